"""What the pages need for signing in through other identity providers, and for the identities of one's account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from prog_edge.web.ports.shared import Client, SecondStep, SessionCookie, Viewer

Purpose = Literal["sign_in", "link", "step_up"]


@dataclass(frozen=True, slots=True)
class ProviderCard:
    """A provider that people may sign in with. `name` is part of its addresses, `kind` decides its picture."""

    name: str
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class IdentityCard:
    """An identity that is linked to the viewer's account."""

    id: str
    provider: str
    title: str
    email: str | None
    linked_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser goes to sign in, and the cookie that keeps what it began."""

    url: str
    cookie: SessionCookie


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came of it, and where the person wanted to go. One of three: they are in (`entered`), the identity is
    linked, or (`to_prove`, a cookie) an account has its address and its person is to prove that first."""

    title: str
    purpose: Purpose
    next_address: str
    entered: SessionCookie | SecondStep | None = None
    to_prove: SessionCookie | None = None


@dataclass(frozen=True, slots=True)
class WayBack:
    """The address at a tenant's own host to which a provider's answer goes on. `is_own` says that the provider is that
    tenant's: the tenant decides anyhow who signs in with it."""

    address: str
    tenant_id: str
    host: str
    title: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class ToProve:
    """An identity that waits for the person of the account with its address."""

    title: str
    email: str


class IdentitiesBackend(Protocol):
    @property
    def cookie_name(self) -> str: ...

    @property
    def providers(self) -> Sequence[ProviderCard]: ...

    async def organisation(self, email: str) -> ProviderCard | None:
        """The provider of the tenant whose domain an address is of, whoever may have an account. Raises Invalid."""
        ...

    async def own_provider(self, tenant_id: str) -> ProviderCard | None:
        """The provider of a tenant, for the pages at its own host."""
        ...

    async def linkable(self, viewer: Viewer) -> Sequence[ProviderCard]:
        """Providers that the viewer's account may be linked to: all, and that of the tenant of their address."""
        ...

    async def linked(self, viewer: Viewer) -> Sequence[IdentityCard]: ...

    async def has_password(self, viewer: Viewer) -> bool: ...

    async def depart(
        self, provider: str, purpose: Purpose, next_address: str, viewer: Viewer | None, hint: str | None = None
    ) -> Departure:
        """Raises NotFound for a provider that is not there, Unavailable for one that does not answer."""
        ...

    async def way_back(self, provider: str, answer: Mapping[str, str]) -> WayBack | None:
        """Where the answer goes on that has come to the platform's host; None for one that is of this host. Raises
        Denied for one that is too late, of another provider, or of a host that is the tenant's no more."""
        ...

    def aim(self, cookie: str) -> tuple[Purpose, str] | None:
        """What was begun, and where the person wanted to go; None for a cookie that keeps nothing."""
        ...

    async def arrive(
        self, provider: str, cookie: str, answer: Mapping[str, str], viewer: Viewer | None, client: Client
    ) -> Arrival:
        """Raises Denied for an answer that is not good, or an identity that opens or links nothing."""
        ...

    def to_prove(self, cookie: str) -> ToProve | None: ...

    async def prove(self, cookie: str, password: str, client: Client) -> SessionCookie | SecondStep:
        """Links what waits, and signs in. Raises Denied, TooMuch after many wrong passwords."""
        ...

    async def unlink(self, viewer: Viewer, identity_id: str, *, client: Client) -> None:
        """Raises Denied with code `fresh_sign_in_required`, Conflict when it is the only way in."""
        ...
