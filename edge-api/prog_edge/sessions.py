"""Browser sessions: the access and the refresh token of a person, sealed into one HttpOnly cookie.

A cookie is good at the host that it was made at, and at no other: its seal names a tenant's host where it is one.
Nothing is stored here: the cookie is the session, readable only by holders of PROG_SECRET_KEYS. When the access token
has run out, or its key was rotated, the refresh token is exchanged on the way and the browser gets a new cookie;
parallel requests of one browser share one exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import orjson

from prog_contracts.accounts import AccountToProve, SecondFactorNeeded, TokenSet
from prog_contracts.credentials import user_of_pending_sign_in
from prog_contracts.errors import Denied, Unavailable
from prog_contracts.identities import ProvenIdentity, SignInAndLink, SignInWithIdentity, StepUpWithIdentity
from prog_contracts.messages import Command
from prog_contracts.passkeys import SignInByPasskey
from prog_contracts.second_factors import CompleteSignIn, StepUp
from prog_contracts.users import Authenticate, ConsumeMagicLink, EndSession, RefreshSession, SecondFactor
from prog_edge.context import at_host
from prog_edge.tokens import Claims, TokenVerifier, read_kept
from prog_kit.secrets import CODE, IDENTITY, PASSWORD, SECOND_STEP, SESSION, TOKEN, Sealer, SealError

MAX_AGE_SECONDS: Final = 30 * 24 * 3600
"""How long a browser keeps the cookie; the session inside may end sooner."""
MAX_COOKIE_BYTES: Final = 4000


class IsLive(Protocol):
    """Whether the session of a token that is good still goes on."""

    def __call__(self, claims: Claims) -> Awaitable[bool]: ...


class Asks(Protocol):
    """Sends a command that belongs to no tenant and returns its result. Raises ProgError."""

    def __call__(self, command: Command, *, actor: str | None) -> Awaitable[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Held:
    """The tokens in a cookie."""

    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Opened:
    """An open session; `renewed` is the cookie's new value when its tokens were exchanged."""

    claims: Claims
    renewed: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sign-in that waits for the second factor: the value of a cookie that keeps it for `expires_in` seconds."""

    value: str
    expires_in: int


class BrowserSessions:
    """Seals, opens, renews and ends sessions."""

    def __init__(self, sealer: Sealer, tokens: TokenVerifier, is_live: IsLive, ask: Asks, *, secure: bool) -> None:
        self._sealer = sealer
        self._tokens = tokens
        self._is_live = is_live
        self._ask = ask
        self._secure = secure
        self._renewals: dict[str, asyncio.Task[Opened | None]] = {}

    @property
    def cookie_name(self) -> str:
        """With the `__Host-` prefix over HTTPS: then no subdomain can set it."""
        return "__Host-prog_session" if self._secure else "prog_session"

    @property
    def second_step_cookie_name(self) -> str:
        return "__Host-prog_second_step" if self._secure else "prog_second_step"

    def set_cookie(self, value: str) -> str:
        """The `Set-Cookie` header for a value."""
        secure = "; Secure" if self._secure else ""
        return f"{self.cookie_name}={value}; Max-Age={MAX_AGE_SECONDS}; Path=/; HttpOnly; SameSite=Lax{secure}"

    async def open(self, cookie: str) -> Opened | None:
        """The session in a cookie; None when it is forged, over or revoked.

        Raises Unavailable when it needs renewing and nobody answers: the session may still be good.
        """
        held = self._unseal(cookie)
        if held is None:
            return None
        try:
            claims = await self._tokens.verify(held.access_token)
        except Denied:
            return await self._renewed_once(cookie, held)
        return Opened(claims) if claims.operator_id is None and await self._is_live(claims) else None

    async def sign_in(self, email: str, password: str, address: str | None, user_agent: str | None) -> str | Waiting:
        """A new session's cookie value, or the sign-in that waits for a second factor.

        Raises Denied, with code `unverified` before the address is verified.
        """
        result = await self._ask(
            Authenticate(
                email=email,
                sealed_password=self._sealer.seal(password, PASSWORD),
                client_address=address,
                user_agent=user_agent,
            ),
            actor=None,
        )
        return self._entered(result)

    async def sign_in_by_link(self, token: str, address: str | None, user_agent: str | None) -> str | Waiting:
        """As `sign_in`, for the token of a mailed link. Raises Invalid when it is not good."""
        sealed = self._sealer.seal(token, TOKEN)
        command = ConsumeMagicLink(sealed_token=sealed, client_address=address, user_agent=user_agent)
        return self._entered(await self._ask(command, actor=None))

    async def sign_in_with_identity(
        self, identity: ProvenIdentity, address: str | None, user_agent: str | None
    ) -> str | Waiting | AccountToProve:
        """As `sign_in`, or the account whose person has to prove it first. Raises Denied."""
        command = SignInWithIdentity(
            identity_digest=identity.digest,
            sealed_identity=self._sealed(identity),
            client_address=address,
            user_agent=user_agent,
        )
        result = await self._ask(command, actor=None)
        return AccountToProve.model_validate(result) if result.get("proof_required") else self._entered(result)

    async def sign_in_and_link(
        self, email: str, password: str, identity: ProvenIdentity, address: str | None, user_agent: str | None
    ) -> str | Waiting:
        """As `sign_in`; the identity is linked to the account. Raises Denied."""
        command = SignInAndLink(
            email=email,
            sealed_password=self._sealer.seal(password, PASSWORD),
            sealed_identity=self._sealed(identity),
            client_address=address,
            user_agent=user_agent,
        )
        return self._entered(await self._ask(command, actor=None))

    async def step_up_with_identity(
        self, user_id: str, session_id: str, identity: ProvenIdentity, address: str | None, user_agent: str | None
    ) -> str:
        """As `step_up`, with an identity of the person's. Raises Denied."""
        command = StepUpWithIdentity(
            user_id=user_id,
            by_session_id=session_id,
            sealed_identity=self._sealed(identity),
            client_address=address,
            user_agent=user_agent,
        )
        return self._seal(TokenSet.model_validate(await self._ask(command, actor=user_id)))

    def _sealed(self, identity: ProvenIdentity) -> str:
        return self._sealer.seal(identity.model_dump_json(), IDENTITY)

    async def sign_in_by_passkey(
        self, user_id: str, sealed_answer: str, bound_to: str, address: str | None, user_agent: str | None
    ) -> str:
        """A new session's cookie value, for what the passkey of a person has answered. Raises Denied."""
        command = SignInByPasskey(
            user_id=user_id,
            sealed_answer=sealed_answer,
            bound_to=bound_to,
            client_address=address,
            user_agent=user_agent,
        )
        return self._seal(TokenSet.model_validate(await self._ask(command, actor=None)))

    def waiting(self, cookie: str) -> SecondFactorNeeded | None:
        """The sign-in that a cookie keeps; None when it keeps none."""
        if len(cookie) > MAX_COOKIE_BYTES:
            return None
        try:
            return SecondFactorNeeded.model_validate_json(self._sealer.open(cookie, at_host(SECOND_STEP)))
        except (SealError, ValueError):
            return None

    def person_waiting(self, cookie: str) -> str:
        """Whose sign-in it is. Raises Denied with code `sign_in_over` when the cookie keeps none."""
        needed = self.waiting(cookie)
        user_id = None if needed is None else user_of_pending_sign_in(needed.mfa_token)
        if user_id is None:
            raise Denied("This sign-in took too long. Begin again.", code="sign_in_over")
        return user_id

    async def complete(
        self, cookie: str, method: SecondFactor, code: str, address: str | None, user_agent: str | None
    ) -> str:
        """A new session's cookie value, for a sign-in that waits and a code of the second factor. Raises Denied.

        Of a passkey the code is a `PasskeyAnswer` as JSON; so it is in `step_up`.
        """
        user_id, needed = self.person_waiting(cookie), self.waiting(cookie)
        assert needed is not None
        command = CompleteSignIn(
            user_id=user_id,
            sealed_token=self._sealer.seal(needed.mfa_token, TOKEN),
            method=method,
            sealed_code=self._sealer.seal(code, CODE),
            client_address=address,
            user_agent=user_agent,
        )
        return self._seal(TokenSet.model_validate(await self._ask(command, actor=None)))

    async def step_up(
        self,
        user_id: str,
        session_id: str,
        method: Literal["password"] | SecondFactor,
        proof: str,
        address: str | None,
        user_agent: str | None,
    ) -> str:
        """The cookie value of a session opened just now, which takes the place of this one. Raises Denied."""
        command = StepUp(
            user_id=user_id,
            by_session_id=session_id,
            method=method,
            sealed_proof=self._sealer.seal(proof, PASSWORD if method == "password" else CODE),
            client_address=address,
            user_agent=user_agent,
        )
        return self._seal(TokenSet.model_validate(await self._ask(command, actor=user_id)))

    async def sign_out(self, cookie: str, *, successor: str | None = None) -> None:
        """Ends the session; a cookie that does not open has none to end.

        `successor` is the cookie of the one that takes its place: apps that the same person has signed in to stay so.
        """
        held = self._unseal(cookie)
        if held is None:
            return
        try:
            claims = read_kept(held.access_token)
        except Denied:
            return
        sealed = self._sealer.seal(held.refresh_token, TOKEN)
        command = EndSession(
            session_id=claims.session_id,
            sealed_refresh_token=sealed,
            successor_session_id=None if successor is None else self._session_of(successor, claims.user_id),
        )
        await self._ask(command, actor=claims.user_id)

    def _session_of(self, cookie: str, user_id: str) -> str | None:
        """The session that a cookie holds, where it is this person's."""
        held = self._unseal(cookie)
        if held is None:
            return None
        try:
            claims = read_kept(held.access_token)
        except Denied:
            return None
        return claims.session_id if claims.user_id == user_id else None

    async def _renewed_once(self, cookie: str, held: Held) -> Opened | None:
        task = self._renewals.get(cookie)
        if task is None:
            task = asyncio.create_task(self._renew(held))
            self._renewals[cookie] = task
            task.add_done_callback(lambda _: self._renewals.pop(cookie, None))
        return await asyncio.shield(task)

    async def _renew(self, held: Held) -> Opened | None:
        try:
            expired = read_kept(held.access_token)
            sealed = self._sealer.seal(held.refresh_token, TOKEN)
            result = await self._ask(
                RefreshSession(session_id=expired.session_id, sealed_refresh_token=sealed), actor=expired.user_id
            )
        except Unavailable:
            raise
        except Denied:
            return None
        tokens = TokenSet.model_validate(result)
        return Opened(await self._tokens.verify(tokens.access_token), self._seal(tokens))

    def _entered(self, result: dict[str, Any]) -> str | Waiting:
        if not result.get("mfa_required"):
            return self._seal(TokenSet.model_validate(result))
        needed = SecondFactorNeeded.model_validate(result)
        return Waiting(self._sealer.seal(needed.model_dump_json(), at_host(SECOND_STEP)), needed.expires_in)

    def _seal(self, tokens: TokenSet) -> str:
        text = orjson.dumps([tokens.access_token, tokens.refresh_token]).decode()
        return self._sealer.seal(text, at_host(SESSION))

    def _unseal(self, cookie: str) -> Held | None:
        if len(cookie) > MAX_COOKIE_BYTES:
            return None
        try:
            access_token, refresh_token = orjson.loads(self._sealer.open(cookie, at_host(SESSION)))
        except (SealError, ValueError):
            return None
        return Held(access_token, refresh_token)
