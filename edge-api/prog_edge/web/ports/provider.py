"""What the pages of the OpenID provider need: sign-in to a client, what people let clients know, a tenant's clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prog_contracts.oauth import Grant, PersonScope
from prog_contracts.permissions import Action
from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class ConsentView:
    """What a client asks a person for. `host` is where the answer goes, `origin` the same for a page's policy; `known`
    are scopes that it has been let have before; `request` goes back with the decision."""

    client: str
    tenant: str
    host: str
    origin: str
    scopes: Sequence[PersonScope]
    known: Sequence[str]
    request: str


@dataclass(frozen=True, slots=True)
class SignInFirst:
    """The person has to sign in, or again where they are signed in, and comes back to `address`."""

    address: str
    again: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """The person goes back to the client, with what it asked for or with what is wrong."""

    location: str


@dataclass(frozen=True, slots=True)
class LogoutView:
    """Somebody was sent to be signed out. `client` is who sent them, as far as it is known; `back` where they go then,
    and `host` and `origin` of that; `certain` says that it is this very session that the client means."""

    client: str | None
    back: str | None
    host: str | None
    origin: str | None
    certain: bool
    request: str


@dataclass(frozen=True, slots=True)
class AppCard:
    """What the viewer lets a client know."""

    id: str
    name: str
    scopes: Sequence[PersonScope]
    given_at: datetime
    last_used_at: datetime | None


class ProviderBackend(Protocol):
    """`query` is that of the request with which a client sent somebody. `Invalid` where it is not even known where to
    send them back to."""

    async def decide(self, viewer: Viewer | None, query: str) -> Answered | ConsentView | SignInFirst: ...

    async def answer(
        self, viewer: Viewer, query: str, *, agrees: bool, idempotency_key: str
    ) -> Answered | ConsentView | SignInFirst: ...

    async def origin_after(self, address: str) -> str | None:
        """To which other site a sign-in leads that goes on at `address`; None for none."""
        ...

    async def logout(self, viewer: Viewer | None, query: str) -> LogoutView:
        """What a client asks for that sends people to be signed out."""
        ...

    async def apps(self, viewer: Viewer) -> Sequence[AppCard]: ...

    async def disconnect(self, viewer: Viewer, client_id: str, *, idempotency_key: str) -> str:
        """The name of the app."""
        ...


@dataclass(frozen=True, slots=True)
class ClientCard:
    """A client of a tenant. `public_id` is what it calls itself; `holder` a name, an id, or None for nobody."""

    id: str
    public_id: str
    name: str
    confidential: bool
    hint: str | None
    redirect_uris: Sequence[str]
    post_logout_redirect_uris: Sequence[str]
    backchannel_logout_uri: str | None
    grants: Sequence[Grant]
    scopes: Sequence[str]
    holder: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ClientsView:
    """The clients of a tenant, newest first. `scopes` are those of the API that the viewer may give one; staff none."""

    tenant_id: str
    tenant_name: str
    clients: Sequence[ClientCard]
    scopes: Sequence[Action]
    issuer: str


@dataclass(frozen=True, slots=True)
class MadeClient:
    """A client with its secret, which is shown this once; a public one has none."""

    public_id: str
    name: str
    secret: str | None


class ClientsBackend(Protocol):
    """The viewer's tenants alone; `Denied` for a role that does not manage clients."""

    async def clients(self, viewer: Viewer, tenant_id: str) -> ClientsView: ...

    async def register(
        self,
        viewer: Viewer,
        tenant_id: str,
        *,
        name: str,
        confidential: bool,
        redirect_uris: Sequence[str],
        post_logout_redirect_uris: Sequence[str],
        backchannel_logout_uri: str,
        grants: Sequence[Grant],
        scopes: Sequence[str],
        idempotency_key: str,
    ) -> MadeClient:
        """Raises Conflict when the form made a client before."""
        ...

    async def change(
        self,
        viewer: Viewer,
        tenant_id: str,
        client_id: str,
        *,
        name: str,
        redirect_uris: Sequence[str],
        post_logout_redirect_uris: Sequence[str],
        backchannel_logout_uri: str,
        grants: Sequence[Grant],
        scopes: Sequence[str],
        idempotency_key: str,
    ) -> None: ...

    async def roll(
        self, viewer: Viewer, tenant_id: str, client_id: str, *, grace_hours: int, idempotency_key: str
    ) -> MadeClient: ...

    async def remove(self, viewer: Viewer, tenant_id: str, client_id: str, *, idempotency_key: str) -> str:
        """The name of the client."""
        ...
