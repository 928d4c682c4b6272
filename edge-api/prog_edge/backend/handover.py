"""Behind the pages that ask a passkey at the platform's host for a tenant's own."""

from __future__ import annotations

from collections.abc import Sequence

from prog_edge.backend.sessions import browser_digest, shown
from prog_edge.context import current_site
from prog_edge.handover import Asked, SigningPurpose
from prog_edge.platform import Platform
from prog_edge.web.ports import PasskeyAnswered, PasskeyAsked, Viewer
from prog_kit.passkeys import bound_to_sign_in
from prog_workers.users import queries


class PasskeyHandover:
    """Implements `prog_edge.web.ports.handover.HandoverBackend`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._handover = platform.handover

    def to_sign_in(self, browser: str, next_address: str) -> str:
        return self._asking("sign_in", browser_digest(browser), next_address)

    def to_complete(self, cookie: str, next_address: str) -> str | None:
        needed = self._platform.sessions.waiting(cookie)
        if needed is None or "passkey" not in needed.methods:
            return None
        return self._asking("second_step", bound_to_sign_in(needed.mfa_token), next_address)

    def to_step_up(self, viewer: Viewer, next_address: str) -> str:
        return self._asking("step_up", viewer.session_id, next_address, viewer.user_id)

    async def asked(self, request: str) -> PasskeyAsked | None:
        asked, offers = self._handover.asked(request), self._platform.passkeys
        if asked is None:
            return None
        origin = await self._handover.origin_of(asked.tenant_id, asked.host)
        own: Sequence[queries.PasskeyRow] = ()
        if asked.user_id is not None:
            async with self._platform.database.scope(user_id=asked.user_id) as connection:
                own = await queries.passkeys(connection, asked.user_id)
        offer = shown(offers, offers.to_sign(asked.purpose, asked.bound_to, own))
        return PasskeyAsked(asked.tenant_id, asked.host, origin, offer)

    async def answer(self, request: str, token: str, credential: str) -> str | None:
        asked = self._handover.asked(request)
        return None if asked is None else await self._handover.answer(asked, token, credential)

    def answered(self, answer: str) -> PasskeyAnswered | None:
        found = self._handover.answered(answer)
        if found is None:
            return None
        return PasskeyAnswered(found.purpose, found.token, found.credential, found.next_address)

    def _asking(self, purpose: SigningPurpose, bound_to: str, next_address: str, user_id: str | None = None) -> str:
        site = current_site()
        assert site is not None, "asked at a tenant's own host alone"
        return self._handover.asking(Asked.at(site, purpose, bound_to, next_address, user_id))
