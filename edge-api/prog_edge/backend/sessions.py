"""The sessions of the pages: `prog_edge.sessions`, with the person behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import orjson

from prog_contracts.credentials import is_magic_link_token
from prog_contracts.errors import Denied, Invalid
from prog_contracts.profiles import avatar_path
from prog_contracts.users import SecondFactor
from prog_edge.limits.attempts import claim_of_address, claim_of_person
from prog_edge.passkeys import Offer, PasskeyOffers, user_of_answer
from prog_edge.platform import Platform
from prog_edge.sessions import MAX_AGE_SECONDS, Waiting
from prog_edge.web.ports import Client, OpenSession, PasskeyOffer, SecondStep, SessionCookie, Viewer
from prog_kit.passkeys import bound_to_sign_in
from prog_workers.users import queries


class PageSessions:
    """Implements `prog_edge.web.ports.Sessions`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._sessions = platform.sessions

    @property
    def cookie_name(self) -> str:
        return self._sessions.cookie_name

    @property
    def second_step_cookie_name(self) -> str:
        return self._sessions.second_step_cookie_name

    async def open(self, cookie: str) -> OpenSession | None:
        """Raises Unavailable when the session needs renewing and nobody answers."""
        opened = await self._sessions.open(cookie)
        if opened is None:
            return None
        claims = opened.claims
        person = await self._platform.person(claims.user_id)
        viewer = Viewer(
            person.user_id,
            person.email,
            person.name,
            claims.session_id,
            claims.platform_role,
            claims.expires_at,
            person.erase_at,
            person.time_zone,
            person.theme,
            None if person.avatar_id is None else avatar_path(person.user_id, person.avatar_id),
        )
        renewed = None if opened.renewed is None else SessionCookie(opened.renewed, MAX_AGE_SECONDS)
        return OpenSession(viewer, renewed)

    async def sign_in(self, email: str, password: str, client: Client) -> SessionCookie | SecondStep:
        claim = claim_of_address(self._platform.sealer, email)
        try:
            async with self._platform.attempts.attempt(claim, client.address) as attempt:
                found = await self._sessions.sign_in(email, password, client.address, client.user_agent)
                attempt.outcome = "right"
        except Denied as error:
            if error.code == "email_unverified":
                raise Denied(error.message, code="unverified") from error
            raise
        return entered(found)

    async def sign_in_by_link(self, token: str, client: Client) -> SessionCookie | SecondStep:
        if not is_magic_link_token(token):
            raise Invalid.field("token", "token_invalid", "This link is not valid any more; ask for a new one.")
        return entered(await self._sessions.sign_in_by_link(token, client.address, client.user_agent))

    def passkey_offer(self, browser: str) -> PasskeyOffer:
        return shown(self._platform.passkeys, self._platform.passkeys.to_sign("sign_in", browser_digest(browser)))

    async def sign_in_by_passkey(self, token: str, credential: str, browser: str, client: Client) -> SessionCookie:
        platform, user_id = self._platform, user_of_answer(credential)
        if user_id is None:
            raise Denied("This passkey is not good here. Use another one, or another way.", code="invalid_passkey")
        answer = platform.passkeys.sealed_answer(token, credential)
        claim = claim_of_person(platform.sealer, user_id)
        async with platform.attempts.attempt(claim, client.address, "passkey") as attempt:
            value = await self._sessions.sign_in_by_passkey(
                user_id, answer, browser_digest(browser), client.address, client.user_agent
            )
            attempt.outcome = "right"
        return SessionCookie(value, MAX_AGE_SECONDS)

    def second_step_offer(self, cookie: str) -> PasskeyOffer | None:
        needed, offers = self._sessions.waiting(cookie), self._platform.passkeys
        if needed is None or "passkey" not in needed.methods:
            return None
        return shown(offers, offers.to_sign("second_step", bound_to_sign_in(needed.mfa_token)))

    async def step_up_offer(self, viewer: Viewer) -> PasskeyOffer | None:
        offers = self._platform.passkeys
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            own = await queries.passkeys(connection, viewer.user_id)
        return shown(offers, offers.to_sign("step_up", viewer.session_id, own)) if own else None

    def second_step(self, cookie: str) -> Sequence[SecondFactor] | None:
        needed = self._sessions.waiting(cookie)
        return None if needed is None else needed.methods

    async def complete(self, cookie: str, method: SecondFactor, code: str, client: Client) -> SessionCookie:
        user_id = self._sessions.person_waiting(cookie)
        claim = claim_of_person(self._platform.sealer, user_id)
        async with self._platform.attempts.attempt(claim, client.address, method) as attempt:
            value = await self._sessions.complete(cookie, method, code, client.address, client.user_agent)
            attempt.outcome = "right"
        return SessionCookie(value, MAX_AGE_SECONDS)

    async def step_up(
        self, viewer: Viewer, method: Literal["password"] | SecondFactor, proof: str, client: Client
    ) -> SessionCookie:
        sealer = self._platform.sealer
        by_password = method == "password"
        claim = claim_of_address(sealer, viewer.email) if by_password else claim_of_person(sealer, viewer.user_id)
        factor = None if method == "password" else method
        async with self._platform.attempts.attempt(claim, client.address, factor) as attempt:
            value = await self._sessions.step_up(
                viewer.user_id, viewer.session_id, method, proof, client.address, client.user_agent
            )
            attempt.outcome = "right"
        return SessionCookie(value, MAX_AGE_SECONDS)

    async def sign_out(self, cookie: str, *, successor: str | None = None) -> None:
        await self._sessions.sign_out(cookie, successor=successor)


def shown(offers: PasskeyOffers, offer: Offer) -> PasskeyOffer:
    """The offer as a page carries it."""
    return PasskeyOffer(offer.token, orjson.dumps(offer.public_key).decode(), offers.party.origins[0])


def browser_digest(browser: str) -> str:
    """What binds a challenge to a browser, by a secret that it alone sends along."""
    return hashlib.sha256(browser.encode()).hexdigest()


def entered(found: str | Waiting) -> SessionCookie | SecondStep:
    """What the browser is to keep after a first factor."""
    if isinstance(found, Waiting):
        return SecondStep(SessionCookie(found.value, found.expires_in))
    return SessionCookie(found, MAX_AGE_SECONDS)
