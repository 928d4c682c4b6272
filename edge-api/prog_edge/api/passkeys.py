"""Passkeys: sign in with one, prove who one is with one, and keep one's own.

Each takes two calls: `…/begin` gives what `navigator.credentials` is asked, and a token; the next one takes the token
with what the authenticator answered. A challenge is good for five minutes and one answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response

from prog_contracts.accounts import PasskeyAdded
from prog_contracts.credentials import user_of_pending_sign_in
from prog_contracts.errors import Denied, NotFound
from prog_contracts.ids import is_id, new_id
from prog_contracts.passkeys import AddPasskey, RemovePasskey, RenamePasskey, SignInByPasskey
from prog_edge.access import Access, SignedIn
from prog_edge.api.auth import Anybody, Token, Tokens, personal, tokens_of, user_agent_of
from prog_edge.api.shapes import Body, Listing, Resource, problems
from prog_edge.idempotency import read_key
from prog_edge.limits.attempts import claim_of_person, outcome_of
from prog_edge.passkeys import EXPIRES_IN_SECONDS, Offer, user_of_handle
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.writes import perform
from prog_kit.passkeys import bound_to_sign_in
from prog_workers.users import queries

router = APIRouter(prefix="/v1", tags=["Sign-in"])

Me = Annotated[Access, Depends(SignedIn())]
Shown = Annotated[Access, Depends(SignedIn(impersonated=True))]
PasskeyToken = Annotated[
    str, Field(min_length=1, max_length=800, description="What `…/begin` gave, good for one answer.")
]
PasskeyName = Annotated[str, Field(min_length=1, max_length=60, examples=["Phone"])]
_Bytes = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*={0,2}$", max_length=16_384, description="In base64url.")]
_Id = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]+$",
        max_length=1400,
        description="In base64url.",
        examples=["pWFFJwzms769HdAStzlIZw"],
    ),
]


class _Credential(Body):
    """The JSON form of a PublicKeyCredential (`toJSON()` in browsers). Members beyond these are ignored."""

    model_config = ConfigDict(extra="ignore")


class _MadeResponse(_Credential):
    clientDataJSON: _Bytes  # noqa: N815 - the standard's name
    attestationObject: _Bytes  # noqa: N815
    transports: list[Annotated[str, Field(max_length=40)]] | None = Field(None, max_length=20)


class MadeCredential(_Credential):
    """What `navigator.credentials.create()` gave, as its `toJSON()` tells it. Further members are ignored."""

    id: _Id
    rawId: _Id  # noqa: N815
    type: Literal["public-key"]
    response: _MadeResponse


class _SignedResponse(_Credential):
    clientDataJSON: _Bytes  # noqa: N815
    authenticatorData: _Bytes  # noqa: N815
    signature: _Bytes
    userHandle: _Bytes | None = None  # noqa: N815


class SignedCredential(_Credential):
    """What `navigator.credentials.get()` gave, as its `toJSON()` tells it. Further members are ignored."""

    id: _Id
    rawId: _Id  # noqa: N815
    type: Literal["public-key"]
    response: _SignedResponse


class PasskeyProof(Body):
    passkey_token: PasskeyToken
    credential: SignedCredential


class NewPasskey(Body):
    passkey_token: PasskeyToken
    credential: MadeCredential
    name: PasskeyName


class PendingSignIn(Body):
    mfa_token: Token


class PasskeyNameChange(Body):
    name: PasskeyName


class PasskeyChallenge(Resource):
    """For a browser: `public_key` is what `PublicKeyCredential.parseRequestOptionsFromJSON` or
    `parseCreationOptionsFromJSON` reads."""

    passkey_token: str
    public_key: dict[str, Any] = Field(
        examples=[{"challenge": "LdAL134CIs7YgmZUganB2fkHMJ0W4F7QB6HqY5KEd6k", "rpId": "app.example.com"}]
    )
    expires_in: int = Field(description="Seconds for which an answer is taken.")


class Passkey(Resource):
    id: str = Field(examples=["passkey_01jd7z4c8nf3ktv9q2m6x0r5we"])
    name: str
    backed_up: bool = Field(description="Whether it is kept beyond the device that made it, when it was last used.")
    created_at: datetime
    last_used_at: datetime | None


class MadePasskey(Passkey):
    recovery_codes: list[str] = Field(description="Told here and never again; none where those from before stay good.")


@router.post("/auth/passkey/begin", responses=problems(422))
async def begin_passkey_sign_in(request: Request, visit: Anybody) -> PasskeyChallenge:
    """Begin to sign in with a passkey. The answer is the same for everybody: nobody says who they are."""
    read_key(request.headers, required=False)
    return _challenge(visit.platform.passkeys.to_sign("sign_in", ""))


@router.post("/auth/passkey/finish", response_model=Tokens, responses=problems(401, 422, 503))
async def sign_in_by_passkey(body: PasskeyProof, request: Request, visit: Anybody) -> Response:
    """Sign in with a passkey: the device that has it, and what unlocks that, are two factors."""
    user_id = user_of_handle(body.credential.response.userHandle)
    if user_id is None:
        raise Denied("This passkey is not good here. Use another one, or another way.", code="invalid_passkey")
    platform, address = visit.platform, visit.context.client_address
    command = SignInByPasskey(
        user_id=user_id,
        sealed_answer=platform.passkeys.sealed_answer(body.passkey_token, body.credential.model_dump_json()),
        client_address=address,
        user_agent=user_agent_of(request),
    )
    claim = claim_of_person(platform.sealer, user_id)
    async with platform.attempts.attempt(claim, address, "passkey") as attempt:
        response = await perform(request, visit, personal(command, tokens_of))
        attempt.outcome = outcome_of(response.status_code, visit.context.code)
    return response


@router.post("/auth/mfa/passkey/begin", responses=problems(401, 422))
async def begin_passkey_second_step(body: PendingSignIn, request: Request, visit: Anybody) -> PasskeyChallenge:
    """Begin to complete a sign-in with a passkey. `POST /v1/auth/mfa` takes the answer."""
    read_key(request.headers, required=False)
    if user_of_pending_sign_in(body.mfa_token) is None:
        raise Denied("This sign-in took too long, or too many codes were wrong. Begin again.", code="sign_in_over")
    return _challenge(visit.platform.passkeys.to_sign("second_step", bound_to_sign_in(body.mfa_token)))


@router.post("/auth/step-up/passkey/begin", responses=problems(401, 404, 422))
async def begin_passkey_step_up(request: Request, access: Me) -> PasskeyChallenge:
    """Begin to prove again who you are, with a passkey of yours. `POST /v1/auth/step-up` takes the answer."""
    read_key(request.headers, required=False)
    own = await _own(access)
    if not own:
        raise NotFound("There is no passkey.", code="passkey_not_found")
    return _challenge(access.platform.passkeys.to_sign("step_up", access.session_id, own))


@router.get("/me/mfa/passkeys", responses=problems(401))
async def list_passkeys(access: Shown) -> Listing[Passkey]:
    """The caller's passkeys, in the order in which they were made; at most 20."""
    return Listing(data=[Passkey(**_fields(row)) for row in await _own(access)], next_cursor=None)


@router.post("/me/mfa/passkeys/begin", responses=problems(401, 403, 422))
async def begin_passkey(request: Request, access: Me) -> PasskeyChallenge:
    """Begin to make a passkey. Needs a sign-in of the last ten minutes, with the second factor where there is one."""
    read_key(request.headers, required=False)
    platform, caller = access.platform, access.caller
    await require_fresh_sign_in(platform, caller.user_id, access.session_id)
    person = await platform.person(caller.user_id)
    own = await _own(access)
    return _challenge(platform.passkeys.to_make(person.user_id, person.email, person.name, access.session_id, own))


@router.post(
    "/me/mfa/passkeys", status_code=201, response_model=MadePasskey, responses=problems(401, 403, 409, 422, 503)
)
async def add_passkey(body: NewPasskey, request: Request, access: Me) -> Response:
    """Keep the passkey that was made: a whole sign-in from now on, and a second factor where another way is taken.

    Recovery codes are made where there are none.
    """
    command = AddPasskey(
        user_id=access.caller.user_id,
        by_session_id=access.session_id,
        passkey_id=new_id("passkey"),
        name=body.name,
        sealed_answer=access.platform.passkeys.sealed_answer(body.passkey_token, body.credential.model_dump_json()),
        client_address=access.context.client_address,
    )
    return await perform(request, access, personal(command, _added, status=201))


@router.patch("/me/mfa/passkeys/{passkey_id}", response_model=Passkey, responses=problems(401, 404, 422, 503))
async def rename_passkey(
    passkey_id: Annotated[str, Path(max_length=100)], body: PasskeyNameChange, request: Request, access: Me
) -> Response:
    """Give a passkey another name."""
    row = next((row for row in await _own(access) if row.passkey_id == passkey_id), None)
    if row is None:
        raise _unknown()
    command = RenamePasskey(user_id=access.caller.user_id, passkey_id=passkey_id, name=body.name)

    def renamed(result: Mapping[str, Any]) -> Passkey:
        return Passkey(**{**_fields(row), "name": result["passkey_name"]})

    return await perform(request, access, personal(command, renamed))


@router.delete("/me/mfa/passkeys/{passkey_id}", status_code=204, responses=problems(401, 403, 404, 503))
async def remove_passkey(passkey_id: Annotated[str, Path(max_length=100)], request: Request, access: Me) -> Response:
    """Refuse a passkey from now on. Needs a sign-in of the last ten minutes, with the second factor.

    With the last second factor the recovery codes go, too.
    """
    if not (is_id(passkey_id) and passkey_id.startswith("passkey_")):
        raise _unknown()
    command = RemovePasskey(
        user_id=access.caller.user_id,
        by_session_id=access.session_id,
        passkey_id=passkey_id,
        client_address=access.context.client_address,
    )
    return await perform(request, access, personal(command, lambda _: None))


async def _own(access: Access) -> list[queries.PasskeyRow]:
    async with access.platform.database.scope(user_id=access.caller.user_id) as connection:
        return list(await queries.passkeys(connection, access.caller.user_id))


def _unknown() -> NotFound:
    return NotFound("There is no such passkey.", code="passkey_not_found")


def _challenge(offer: Offer) -> PasskeyChallenge:
    return PasskeyChallenge(passkey_token=offer.token, public_key=offer.public_key, expires_in=EXPIRES_IN_SECONDS)


def _fields(row: queries.PasskeyRow) -> dict[str, Any]:
    return {
        "id": row.passkey_id,
        "name": row.name,
        "backed_up": row.backed_up,
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
    }


def _added(result: Mapping[str, Any]) -> MadePasskey:
    added = PasskeyAdded.model_validate(result)
    return MadePasskey(
        id=added.passkey_id,
        name=added.name,
        backed_up=added.backed_up,
        created_at=added.created_at,
        last_used_at=None,
        recovery_codes=list(added.recovery_codes),
    )
