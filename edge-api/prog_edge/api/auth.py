"""Signing up, in and out. Answers never tell whether an address has an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.accounts import SecondFactorNeeded, TokenSet
from prog_contracts.credentials import (
    TOKEN_MAX_LENGTH,
    is_magic_link_token,
    is_reset_token,
    is_verification_token,
    session_of_refresh_token,
)
from prog_contracts.errors import Denied, Invalid
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.inputs import NAME_MAX_LENGTH, normalize_email
from prog_contracts.messages import Command
from prog_contracts.users import (
    Authenticate,
    ConsumeMagicLink,
    EndSession,
    RefreshSession,
    RegisterUser,
    RequestMagicLink,
    RequestPasswordReset,
    ResendVerification,
    ResetPassword,
    SecondFactor,
    VerifyEmail,
)
from prog_edge.access import Public, Visit
from prog_edge.api.shapes import Body, EmailAddress, Resource, problems
from prog_edge.idempotency import read_key
from prog_edge.limits.attempts import claim_of_address, outcome_of
from prog_edge.writes import Present, Write, perform
from prog_kit.secrets import PASSWORD, TOKEN

router = APIRouter(prefix="/v1/auth", tags=["Sign-in"])

MAX_USER_AGENT_LENGTH = 300

Password = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    ),
]
Token = Annotated[str, Field(min_length=1, max_length=TOKEN_MAX_LENGTH)]
Anybody = Annotated[Visit, Depends(Public())]


class SignUp(Body):
    email: EmailAddress
    password: Password
    name: Annotated[str, Field(min_length=1, max_length=NAME_MAX_LENGTH, examples=["Ada Lovelace"])]
    tenant_name: str | None = Field(
        None, max_length=80, description="Creates this tenant once the address is verified."
    )


class SignedUp(Resource):
    """The new account, which waits for its address to be verified. Alike for a known address."""

    id: str = Field(examples=["user_01jd7z4c8nf3ktv9q2m6x0r5we"])
    email: str
    name: str
    email_verified: bool = False


class Verification(Body):
    token: Token


class Address(Body):
    email: EmailAddress


class LinkToken(Body):
    token: Token


class NewPassword(Body):
    token: Token
    password: Password


class Verified(Resource):
    id: str
    email: str
    name: str
    email_verified: bool = True


class SignIn(Body):
    email: EmailAddress
    password: Password


class RefreshToken(Body):
    refresh_token: Token


class Tokens(Resource):
    """Credentials of a session (RFC 6749, section 5.1). The refresh token changes with every use."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="Seconds for which the access token is good.")
    session_id: str
    user_id: str


class MfaRequired(Resource):
    """The first factor was right. `POST /v1/auth/mfa` with a code of the second one gives the tokens."""

    mfa_required: Literal[True] = True
    mfa_token: str = Field(description="Good for this sign-in alone, and for nothing but completing it.")
    methods: list[SecondFactor] = Field(description="What the account has to prove itself with.")
    expires_in: int = Field(description="Seconds for which the sign-in waits.")


@router.post("/register", status_code=201, response_model=SignedUp, responses=problems(409, 422, 503))
async def register(body: SignUp, request: Request, visit: Anybody) -> Response:
    """Make an account. A mail with a link verifies the address; a known address gets the same answer and no account."""
    command = RegisterUser(
        user_id=new_id("user"),
        email=body.email,
        name=body.name,
        sealed_password=visit.platform.sealer.seal(body.password, PASSWORD),
        tenant_name=body.tenant_name or None,
    )

    def signed_up(result: Mapping[str, Any]) -> SignedUp:
        return SignedUp(id=result.get("user_id", command.user_id), email=result["email"], name=result["name"])

    return await perform(request, visit, personal(command, signed_up, status=201))


@router.post("/email/verify", response_model=Verified, responses=problems(409, 422, 503))
async def verify_email(body: Verification, request: Request, visit: Anybody) -> Response:
    """Verify an address with the token of the link in the mail."""
    return await perform(request, visit, personal(verification(visit, body.token), _verified))


@router.post("/email/resend", status_code=204, responses=problems(422, 503))
async def resend_verification(body: Address, request: Request, visit: Anybody) -> Response:
    """Send the verification mail again. The answer is the same for every address."""
    return await perform(request, visit, personal(ResendVerification(email=normalize_email(body.email)), _nothing))


@router.post("/password/forgot", status_code=204, responses=problems(422, 503))
async def forgot_password(body: Address, request: Request, visit: Anybody) -> Response:
    """Mail a link that sets a new password. The answer is the same for every address, and waits for nothing."""
    command = RequestPasswordReset(email=normalize_email(body.email), client_address=visit.context.client_address)
    return await perform(request, visit, personal(command, _nothing))


@router.post("/password/reset", status_code=204, responses=problems(422, 503))
async def reset_password(body: NewPassword, request: Request, visit: Anybody) -> Response:
    """Set a new password with the token of the link in the mail. Every session of the account ends."""
    if not is_reset_token(body.token):
        raise _bad_link()
    command = ResetPassword(
        sealed_token=visit.platform.sealer.seal(body.token, TOKEN),
        sealed_password=visit.platform.sealer.seal(body.password, PASSWORD),
        client_address=visit.context.client_address,
    )
    return await perform(request, visit, personal(command, _nothing))


@router.post("/login", response_model=Tokens | MfaRequired, responses=problems(401, 403, 422, 503))
async def login(body: SignIn, request: Request, visit: Anybody) -> Response:
    """Sign in with address and password. Where the account has a second factor, the answer asks for that."""
    command = Authenticate(
        email=body.email,
        sealed_password=visit.platform.sealer.seal(body.password, PASSWORD),
        client_address=visit.context.client_address,
        user_agent=user_agent_of(request),
    )
    attempts, claim = visit.platform.attempts, claim_of_address(visit.platform.sealer, body.email)
    async with attempts.attempt(claim, visit.context.client_address) as attempt:
        response = await perform(request, visit, personal(command, _entered))
        attempt.outcome = outcome_of(response.status_code, visit.context.code)
    return response


@router.post("/magic-link", status_code=204, responses=problems(422, 503))
async def magic_link(body: Address, request: Request, visit: Anybody) -> Response:
    """Mail a link that signs in. The answer is the same for every address, and waits for nothing."""
    command = RequestMagicLink(email=normalize_email(body.email), client_address=visit.context.client_address)
    return await perform(request, visit, personal(command, _nothing))


@router.post("/magic-link/consume", response_model=Tokens | MfaRequired, responses=problems(422, 503))
async def consume_magic_link(body: LinkToken, request: Request, visit: Anybody) -> Response:
    """Sign in with the token of the link in the mail. A second factor is asked for as after a password."""
    if not is_magic_link_token(body.token):
        raise _bad_link()
    command = ConsumeMagicLink(
        sealed_token=visit.platform.sealer.seal(body.token, TOKEN),
        client_address=visit.context.client_address,
        user_agent=user_agent_of(request),
    )
    return await perform(request, visit, personal(command, _entered))


@router.post("/refresh", response_model=Tokens, responses=problems(401, 422, 503))
async def refresh(body: RefreshToken, request: Request, visit: Anybody) -> Response:
    """Exchange a refresh token for new tokens. A token that was used before ends the session."""
    session_id = session_of_refresh_token(body.refresh_token)
    if session_id is None:
        raise Denied("The session is over; sign in again.", code="session_ended")
    sealed = visit.platform.sealer.seal(body.refresh_token, TOKEN)
    command = RefreshSession(session_id=session_id, sealed_refresh_token=sealed)
    return await perform(request, visit, personal(command, tokens_of))


@router.post("/logout", status_code=204, responses=problems(422, 503))
async def logout(body: RefreshToken, request: Request, visit: Anybody) -> Response:
    """End the session of a refresh token. One that is over already is no error."""
    read_key(request.headers, required=False)  # unusable is unusable, whatever the token is worth
    session_id = session_of_refresh_token(body.refresh_token)
    if session_id is None:
        return Response(status_code=204)
    sealed = visit.platform.sealer.seal(body.refresh_token, TOKEN)
    response = await perform(
        request, visit, personal(EndSession(session_id=session_id, sealed_refresh_token=sealed), _nothing)
    )
    return Response(status_code=204) if response.status_code in (401, 403, 404, 409) else response


def verification(visit: Visit, token: str) -> VerifyEmail:
    """The command that spends a verification token. Raises Invalid for what is no such token."""
    if not is_verification_token(token):
        raise _bad_link()
    return VerifyEmail(sealed_token=visit.platform.sealer.seal(token, TOKEN))


def user_agent_of(request: Request) -> str | None:
    return (request.headers.get("user-agent") or "")[:MAX_USER_AGENT_LENGTH] or None


def _bad_link() -> Invalid:
    return Invalid.field("token", "token_invalid", "This link is not valid any more; ask for a new one.")


def personal(command: Command, present: Present, *, status: int = 200) -> Write:
    """A write about a person: people belong to no tenant but the platform."""
    return Write(command, PLATFORM_TENANT_ID, present, status=status)


def _entered(result: Mapping[str, Any]) -> Tokens | MfaRequired:
    if not result.get("mfa_required"):
        return tokens_of(result)
    needed = SecondFactorNeeded.model_validate(result)
    return MfaRequired(mfa_token=needed.mfa_token, methods=list(needed.methods), expires_in=needed.expires_in)


def tokens_of(result: Mapping[str, Any]) -> Tokens:
    """The answer that opens a session."""
    tokens = TokenSet.model_validate(result)
    return Tokens(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_in=tokens.expires_in,
        session_id=tokens.session_id,
        user_id=tokens.user_id,
    )


def _verified(result: Mapping[str, Any]) -> Verified:
    return Verified(id=result["user_id"], email=result["email"], name=result["name"])


def _nothing(_: Mapping[str, Any]) -> None:
    return None
