"""Passkeys that the platform's host asks for a tenant's own, as the pages see it. Nothing is sealed here."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from prog_contracts.errors import Denied, Invalid
from prog_edge.web.ports import PasskeyAnswered, PasskeyAsked, SigningPurpose, Viewer
from tests.unit.edge.web.sample_security import TO_SIGN

TENANT = "tenant_01jd7z4c8nf3ktv9q2m6x0r5we"
HOST = "accounts.acme.example"
BEGUN = "begun-at-the-host"
"""A request that has been there from the beginning."""


@dataclass
class SampleHandover:
    """`asking` has what each was asked for; a `gone` host leads here no more."""

    platform: str = "http://127.0.0.1:8000"
    site: str = f"http://{HOST}:8000"
    gone: bool = False
    asking: list[tuple[SigningPurpose, str, str]] = field(default_factory=list)
    credentials: dict[str, str] = field(default_factory=dict)

    def to_sign_in(self, browser: str, next_address: str) -> str:
        return self._ask("sign_in", browser, next_address)

    def to_complete(self, cookie: str, next_address: str) -> str | None:
        return self._ask("second_step", cookie, next_address) if cookie == "waiting-keyed" else None

    def to_step_up(self, viewer: Viewer, next_address: str) -> str:
        return self._ask("step_up", viewer.session_id, next_address)

    async def asked(self, request: str) -> PasskeyAsked | None:
        if self.gone:
            raise Denied("The address at which this was begun does not lead here any more.", code="host_not_active")
        known = request == BEGUN or (request.isdecimal() and int(request) < len(self.asking))
        return PasskeyAsked(TENANT, HOST, self.site, TO_SIGN) if known else None

    async def answer(self, request: str, token: str, credential: str) -> str | None:
        if await self.asked(request) is None:
            return None
        if len(credential) > 4096:
            raise Invalid.field("credential", "too_long", "What this passkey answers is too long to be handed on.")
        self.credentials[request] = credential
        return f"{self.site}/account/passkey/answer?answer={quote(request)}"

    def answered(self, answer: str) -> PasskeyAnswered | None:
        credential = self.credentials.get(answer)
        if credential is None:
            return None
        purpose, _, next_address = self.asking[int(answer)]
        return PasskeyAnswered(purpose, TO_SIGN.token, credential, next_address)

    def _ask(self, purpose: SigningPurpose, bound_to: str, next_address: str) -> str:
        self.asking.append((purpose, bound_to, next_address))
        return f"{self.platform}/account/passkey/for-host?request={len(self.asking) - 1}"
