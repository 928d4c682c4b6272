"""What is begun at a tenant's own host, done at the platform's, and counts where it was begun (infra/adr/0037-…).

Passkeys belong to the platform's host, and other providers send people back there. So a tenant's host asks, the
platform's host answers, and the answer goes back: sealed for the tenant's host, bound to the browser that asked there,
good for minutes and once. Nobody is signed in on the way. It goes back to a domain that is active now, and is that
tenant's still: wherever else it might be sent, it is not.

Of a passkey the whole answer goes back as it was signed. Its challenge is what binds it: to the sign-in form, waiting
sign-in or session of that browser, and for one use, which the users domain keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, ValidationError

from prog_contracts.errors import Denied, Invalid
from prog_contracts.hosts import PlatformHosts
from prog_edge.context import Site, at_host
from prog_edge.federation.pending import CLOCKS_APART
from prog_edge.hosts import TenantHosts
from prog_kit.secrets import PASSKEY_ANSWERED, PASSKEY_ASKED, Sealer, SealError

LIFETIME: Final = timedelta(minutes=10)
ASKED_PATH: Final = "/account/passkey/for-host"
ANSWERED_PATH: Final = "/account/passkey/answer"
NEXT_MAX_LENGTH: Final = 1_000
CREDENTIAL_MAX_LENGTH: Final = 4_096
"""What an address can hold of what a passkey has answered; most have a quarter of it."""
_SEALED_MAX_LENGTH: Final = 12_000

SigningPurpose = Literal["sign_in", "second_step", "step_up"]


class Asked(BaseModel):
    """What a passkey is asked at the platform's host for a tenant's. `bound_to` is what the challenge is bound to, and
    `user_id` says whose passkeys would do, where that is known."""

    model_config = ConfigDict(frozen=True)

    tenant_id: str
    host: str
    purpose: SigningPurpose
    bound_to: str
    next_address: str
    asked_at: datetime
    user_id: str | None = None

    @classmethod
    def at(cls, site: Site, purpose: SigningPurpose, bound_to: str, next_address: str, user_id: str | None) -> Self:
        return cls(
            tenant_id=site.tenant_id,
            host=site.host,
            purpose=purpose,
            bound_to=bound_to,
            next_address=next_address if len(next_address) <= NEXT_MAX_LENGTH else "/account",
            asked_at=datetime.now(UTC),
            user_id=user_id,
        )


class Answered(BaseModel):
    """What a passkey has answered, on its way back to the host that asked."""

    model_config = ConfigDict(frozen=True)

    purpose: SigningPurpose
    token: str
    credential: str
    next_address: str


class Handover:
    """`origin` is that of the platform's pages that may ask passkeys."""

    def __init__(
        self,
        sealer: Sealer,
        served: TenantHosts,
        hosts: PlatformHosts,
        origin: str,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._sealer = sealer
        self._served = served
        self._hosts = hosts
        self._origin = origin
        self._now = clock or (lambda: datetime.now(UTC))

    async def address_at(self, tenant_id: str, host: str, path: str, query: Mapping[str, str]) -> str:
        """An address at a tenant's host. Raises Denied unless that is the tenant's now, and leads here."""
        return f"{await self.origin_of(tenant_id, host)}{path}?{urlencode(query)}"

    async def origin_of(self, tenant_id: str, host: str) -> str:
        """Scheme, host and port of a tenant's host. Raises as `address_at`."""
        served = await self._served.served(host)
        if served is None or served.tenant_id != tenant_id or not served.is_active:
            raise Denied("The address at which this was begun does not lead here any more.", code="host_not_active")
        return self._hosts.url_of(host)

    def asking(self, asked: Asked) -> str:
        """Where the browser goes to have its passkey asked."""
        return f"{self._origin}{ASKED_PATH}?{urlencode({'request': self._sealed(asked, PASSKEY_ASKED)})}"

    def asked(self, request: str) -> Asked | None:
        """What is to be asked; None for what no tenant's host has asked just now."""
        text = self._opened(request, PASSKEY_ASKED)
        try:
            asked = None if text is None else Asked.model_validate_json(text)
        except ValidationError:
            return None
        return asked if asked is not None and -CLOCKS_APART <= self._now() - asked.asked_at < LIFETIME else None

    async def answer(self, asked: Asked, token: str, credential: str) -> str:
        """Where the browser goes with its answer. Raises Invalid for one that fits in no address, Denied."""
        if len(credential) > CREDENTIAL_MAX_LENGTH:
            message = "What this passkey answers is too long to be handed on. Take another one, or another way."
            raise Invalid.field("credential", "too_long", message)
        answered = Answered(purpose=asked.purpose, token=token, credential=credential, next_address=asked.next_address)
        purpose = at_host(PASSKEY_ANSWERED, Site(asked.tenant_id, asked.host, is_active=True))
        query = {"answer": self._sealed(answered, purpose)}
        return await self.address_at(asked.tenant_id, asked.host, ANSWERED_PATH, query)

    def answered(self, answer: str) -> Answered | None:
        """What has come back to the tenant's host of this request; None for what was not sealed for it."""
        text = self._opened(answer, at_host(PASSKEY_ANSWERED))
        try:
            return None if text is None else Answered.model_validate_json(text)
        except ValidationError:
            return None

    def _sealed(self, content: BaseModel, purpose: str) -> str:
        return self._sealer.seal(content.model_dump_json(), purpose)

    def _opened(self, sealed: str, purpose: str) -> str | None:
        if len(sealed) > _SEALED_MAX_LENGTH:
            return None
        try:
            return self._sealer.open(sealed, purpose)
        except SealError:
            return None
