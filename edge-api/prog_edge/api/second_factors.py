"""The second factor of one's account, the second step of signing in, and the change of one's password.

What changes the account needs a session opened just now, with the second factor where there is one: `POST
/v1/auth/step-up` gives such a session to whoever is signed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import ConfigDict, Field, model_validator
from starlette.responses import Response

from prog_contracts.accounts import RecoveryCodes, TotpEnrolment
from prog_contracts.credentials import user_of_pending_sign_in
from prog_contracts.errors import Denied, NotFound
from prog_contracts.ids import is_id
from prog_contracts.second_factors import (
    CompleteSignIn,
    ConfirmTotpEnrolment,
    MakeRecoveryCodes,
    RemoveSecondFactor,
    ResetSecondFactor,
    StartTotpEnrolment,
    StepUp,
)
from prog_contracts.users import ChangePassword, SecondFactor
from prog_edge.access import Access, SignedIn, Staff
from prog_edge.api.auth import Anybody, Password, Token, Tokens, personal, tokens_of, user_agent_of
from prog_edge.api.passkeys import PasskeyProof
from prog_edge.api.shapes import Body, Resource, problems
from prog_edge.limits.attempts import claim_of_address, claim_of_person, outcome_of
from prog_edge.platform import Platform
from prog_edge.qr import qr_svg
from prog_edge.writes import perform
from prog_kit.secrets import CODE, PASSWORD, TOKEN
from prog_workers.users import queries

router = APIRouter(prefix="/v1", tags=["Sign-in"])

Code = Annotated[str, Field(min_length=1, max_length=40, examples=["492039"])]
Me = Annotated[Access, Depends(SignedIn())]
Shown = Annotated[Access, Depends(SignedIn(impersonated=True))]


class SecondStep(Body):
    """`code` for an app or a recovery code; `passkey`, with the method of that name, for a passkey."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"mfa_token": "prog_mfa_4c8nf3ktv9q2m6x0r5we", "method": "totp", "code": "492039"}]
        }
    )

    mfa_token: Token
    method: SecondFactor = Field("totp", description="What it is proven with.")
    code: Code | None = None
    passkey: PasskeyProof | None = None

    @model_validator(mode="after")
    def _one(self) -> SecondStep:
        _as_the_method_says(self.method, self.code, self.passkey)
        return self


class FreshProof(Body):
    """Exactly one of `password`, `code` and `passkey`: one of the latter where the account has a second factor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "correct horse battery staple"}]})

    password: Password | None = None
    method: SecondFactor = Field("totp", description="What it is proven with, if not with the password.")
    code: Code | None = None
    passkey: PasskeyProof | None = None

    @model_validator(mode="after")
    def _one(self) -> FreshProof:
        if self.password is None:
            _as_the_method_says(self.method, self.code, self.passkey)
        elif self.code is not None or self.passkey is not None:
            raise ValueError("Send either a password or a second factor.")
        return self


def _as_the_method_says(method: SecondFactor, code: str | None, passkey: PasskeyProof | None) -> None:
    if (method == "passkey") != (passkey is not None) or (method == "passkey") == (code is not None):
        raise ValueError("Send `passkey` with the method passkey, else `code`, and nothing besides.")


class OwnSecondFactor(Resource):
    """What the caller's account asks for beyond the first factor: nothing, where there is no app and no passkey."""

    totp_enrolled_at: datetime | None
    passkeys: int = Field(description="How many there are.")
    recovery_codes_left: int
    recovery_codes_made_at: datetime | None


class Enrolment(Resource):
    """For an authenticator app: to scan or to type in. It counts once a code of it was sent to `/totp/confirm`."""

    secret: str = Field(description="The secret in base32 (RFC 4648), for typing in.")
    otpauth_uri: str = Field(examples=["otpauth://totp/ProgNetwork:ada%40example.com?secret=…&issuer=ProgNetwork"])
    qr_svg: str = Field(description="The address as a QR code: an SVG element.")
    expires_at: datetime = Field(description="Until when it may be confirmed.")


class Confirmation(Body):
    code: Code


class Codes(Resource):
    """Recovery codes, each good once. They are told here and never again; none where those from before stay good."""

    recovery_codes: list[str] = Field(examples=[["4x7k-q2mp-9dch"]])


class PasswordChange(Body):
    """Without `current_password` the session must have been opened just now."""

    password: Password
    current_password: Password | None = None


class Reset(Body):
    reason: str = Field(min_length=1, max_length=500, description="Recorded with who did it.")


@router.post("/auth/mfa", response_model=Tokens, responses=problems(401, 422, 503))
async def complete_sign_in(body: SecondStep, request: Request, visit: Anybody) -> Response:
    """Complete a sign-in with the second factor: a code, or a passkey."""
    user_id = user_of_pending_sign_in(body.mfa_token)
    if user_id is None:
        raise Denied("This sign-in took too long, or too many codes were wrong. Begin again.", code="sign_in_over")
    sealer, address = visit.platform.sealer, visit.context.client_address
    command = CompleteSignIn(
        user_id=user_id,
        sealed_token=sealer.seal(body.mfa_token, TOKEN),
        method=body.method,
        sealed_code=_sealed(visit.platform, body.code, body.passkey),
        client_address=address,
        user_agent=user_agent_of(request),
    )
    async with visit.platform.attempts.attempt(claim_of_person(sealer, user_id), address, body.method) as attempt:
        response = await perform(request, visit, personal(command, tokens_of))
        attempt.outcome = outcome_of(response.status_code, visit.context.code)
    return response


@router.post("/auth/step-up", response_model=Tokens, responses=problems(401, 403, 404, 422, 503))
async def step_up(body: FreshProof, request: Request, access: Me) -> Response:
    """Prove again who you are. The answer is a session opened just now; the one in use ends."""
    sealer, address, caller = access.platform.sealer, access.context.client_address, access.caller
    if body.password is not None:
        person = await access.platform.person(caller.user_id)
        claim, sealed = claim_of_address(sealer, person.email), sealer.seal(body.password, PASSWORD)
    else:
        claim, sealed = claim_of_person(sealer, caller.user_id), _sealed(access.platform, body.code, body.passkey)
    command = StepUp(
        user_id=caller.user_id,
        by_session_id=caller.session_id,
        method="password" if body.password is not None else body.method,
        sealed_proof=sealed,
        client_address=address,
        user_agent=user_agent_of(request),
    )
    factor = None if body.password is not None else body.method
    async with access.platform.attempts.attempt(claim, address, factor) as attempt:
        response = await perform(request, access, personal(command, tokens_of))
        attempt.outcome = outcome_of(response.status_code, access.context.code)
    return response


@router.get("/me/mfa", responses=problems(401))
async def get_second_factor(access: Shown) -> OwnSecondFactor:
    """The caller's second factor."""
    async with access.platform.database.scope(user_id=access.caller.user_id) as connection:
        row = await queries.second_factor(connection, access.caller.user_id)
    if row is None:
        return OwnSecondFactor(totp_enrolled_at=None, passkeys=0, recovery_codes_left=0, recovery_codes_made_at=None)
    return OwnSecondFactor(
        totp_enrolled_at=row.enrolled_at,
        passkeys=row.passkeys,
        recovery_codes_left=row.codes_left,
        recovery_codes_made_at=row.codes_made_at,
    )


@router.post("/me/mfa/totp", status_code=201, response_model=Enrolment, responses=problems(401, 403, 503))
async def enrol_totp(request: Request, access: Me) -> Response:
    """Begin to use an authenticator app, the first or another one. Nothing changes until it is confirmed.

    Needs a sign-in of the last ten minutes, with the second factor where there is one.
    """
    command = StartTotpEnrolment(user_id=access.caller.user_id, by_session_id=access.caller.session_id)
    return await perform(request, access, personal(command, _enrolment, status=201))


@router.post("/me/mfa/totp/confirm", response_model=Codes, responses=problems(401, 404, 422, 503))
async def confirm_totp(body: Confirmation, request: Request, access: Me) -> Response:
    """Confirm the app with a code of it: sign-in asks for one from now on. The first app comes with recovery codes."""
    command = ConfirmTotpEnrolment(
        user_id=access.caller.user_id,
        by_session_id=access.caller.session_id,
        sealed_code=access.platform.sealer.seal(body.code, CODE),
        client_address=access.context.client_address,
    )
    return await perform(request, access, personal(command, _codes))


@router.delete("/me/mfa/totp", status_code=204, responses=problems(401, 403, 404))
async def remove_totp(request: Request, access: Me) -> Response:
    """Take the authenticator app away, and the recovery codes unless there is a passkey.

    Needs a sign-in of the last ten minutes with the second factor.
    """
    command = RemoveSecondFactor(
        user_id=access.caller.user_id,
        by_session_id=access.caller.session_id,
        client_address=access.context.client_address,
    )
    return await perform(request, access, personal(command, lambda _: None))


@router.post("/me/mfa/recovery-codes", response_model=Codes, responses=problems(401, 403, 404, 503))
async def make_recovery_codes(request: Request, access: Me) -> Response:
    """Make ten new recovery codes; those from before are worthless. Needs a sign-in of the last ten minutes."""
    command = MakeRecoveryCodes(
        user_id=access.caller.user_id,
        by_session_id=access.caller.session_id,
        client_address=access.context.client_address,
    )
    return await perform(request, access, personal(command, _codes))


@router.post("/me/password", status_code=204, responses=problems(401, 403, 422, 503))
async def change_password(body: PasswordChange, request: Request, access: Me) -> Response:
    """Set another password, knowing the old one or within ten minutes of a sign-in. Every other session ends."""
    platform, address = access.platform, access.context.client_address
    current = body.current_password
    command = ChangePassword(
        user_id=access.caller.user_id,
        by_session_id=access.caller.session_id,
        sealed_password=platform.sealer.seal(body.password, PASSWORD),
        sealed_current_password=None if current is None else platform.sealer.seal(current, PASSWORD),
        client_address=address,
    )
    write = personal(command, lambda _: None)
    if current is None:
        return await perform(request, access, write)
    person = await platform.person(access.caller.user_id)
    async with platform.attempts.attempt(claim_of_address(platform.sealer, person.email), address) as attempt:
        response = await perform(request, access, write)
        attempt.outcome = outcome_of(response.status_code, access.context.code)
    return response


@router.post("/users/{user_id}/mfa/reset", status_code=204, responses=problems(401, 403, 404, 422, 503))
async def reset_second_factor(
    user_id: Annotated[str, Path(max_length=100)],
    body: Reset,
    request: Request,
    access: Annotated[Access, Depends(Staff("platform.manage"))],
) -> Response:
    """Take all second factors of somebody away who has lost them. Their sessions end, and a mail tells them.

    Needs a sign-in of the last ten minutes, with the operator's own second factor where there is one.
    """
    if not (is_id(user_id) and user_id.startswith("user_")):
        raise NotFound("There is no such user.", code="user_not_found")
    command = ResetSecondFactor(user_id=user_id, reason=body.reason, by_session_id=access.caller.session_id)
    return await perform(request, access, personal(command, lambda _: None))


def _sealed(platform: Platform, code: str | None, passkey: PasskeyProof | None) -> str:
    """A code or a passkey's answer, as commands carry it."""
    if passkey is None:
        return platform.sealer.seal(code or "", CODE)
    return platform.passkeys.sealed_answer(passkey.passkey_token, passkey.credential.model_dump_json())


def _enrolment(result: Mapping[str, Any]) -> Enrolment:
    made = TotpEnrolment.model_validate(result)
    return Enrolment(
        secret=made.secret,
        otpauth_uri=made.otpauth_uri,
        qr_svg=qr_svg(made.otpauth_uri),
        expires_at=made.expires_at,
    )


def _codes(result: Mapping[str, Any]) -> Codes:
    return Codes(recovery_codes=list(RecoveryCodes.model_validate(result).recovery_codes))
