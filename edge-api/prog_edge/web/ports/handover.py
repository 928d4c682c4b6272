"""What the pages need to have a passkey asked at the platform's host for a tenant's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from prog_edge.web.ports.shared import PasskeyOffer, Viewer

SigningPurpose = Literal["sign_in", "second_step", "step_up"]


@dataclass(frozen=True, slots=True)
class PasskeyAsked:
    """What the platform's host asks, and for which tenant's host."""

    tenant_id: str
    host: str
    origin: str
    """Scheme, host and port of the tenant's host, to which the page's form leads in the end."""
    offer: PasskeyOffer


@dataclass(frozen=True, slots=True)
class PasskeyAnswered:
    """What has come back. It proves nothing yet."""

    purpose: SigningPurpose
    token: str
    credential: str
    next_address: str


class HandoverBackend(Protocol):
    def to_sign_in(self, browser: str, next_address: str) -> str:
        """Where the browser goes from the tenant's host of this request; `browser` is a secret of the one that asks,
        which alone may come back. So it is for the other two, with what each is bound to."""
        ...

    def to_complete(self, cookie: str, next_address: str) -> str | None:
        """None for a cookie that keeps no sign-in which a passkey completes."""
        ...

    def to_step_up(self, viewer: Viewer, next_address: str) -> str: ...

    async def asked(self, request: str) -> PasskeyAsked | None:
        """None for what no tenant's host has asked just now. Raises Denied when it does not lead here any more."""
        ...

    async def answer(self, request: str, token: str, credential: str) -> str | None:
        """The address at the tenant's host that takes the answer; None and raises as `asked`, or Invalid."""
        ...

    def answered(self, answer: str) -> PasskeyAnswered | None:
        """What has come back to the tenant's host of this request; None for what is not for it."""
        ...
