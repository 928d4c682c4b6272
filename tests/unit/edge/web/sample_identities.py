"""Linked accounts and providers as the pages see them, with made-up people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from prog_contracts.errors import Conflict, Denied, NotFound
from prog_contracts.inputs import normalize_email
from prog_edge.federation.errors import Untrusted
from prog_edge.web.ports import (
    Arrival,
    Client,
    Departure,
    IdentityCard,
    ProviderCard,
    Purpose,
    SecondStep,
    SessionCookie,
    ToProve,
    Viewer,
    WayBack,
)

GOOGLE = ProviderCard("google", "Google", "google")
ACME = ProviderCard("tenant_01jd7z4c8nf3ktv9q2m6x0r5we", "Acme Industries", "sign_on")
GITHUB = ProviderCard("github", "GitHub", "github")
LINKED = IdentityCard(
    "identity_01jd7z4c8nf3ktv9q2m6x0r5we",
    "google",
    "Google",
    "ada@example.com",
    datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
    datetime(2026, 11, 26, 8, 15, tzinfo=UTC),
)
KEPT = SessionCookie("waits-for-its-person", 600)


class SampleIdentities:
    """`linked` is Google or nothing; without a `password` it is the only way in. `fresh` lets it be unlinked. With
    `own` the tenant has a provider."""

    cookie_name = "prog_federation"

    def __init__(self, *, linked: bool = True, password: bool = True, fresh: bool = True, own: bool = False) -> None:
        self.own = own
        self.providers: Sequence[ProviderCard] = (GOOGLE, GITHUB)
        self.is_linked = linked
        self.password = password
        self.fresh = fresh
        self.departed: list[tuple[str, Purpose, str]] = []

    async def organisation(self, email: str) -> ProviderCard | None:
        return ACME if normalize_email(email).endswith("@acme.example") else None

    async def own_provider(self, tenant_id: str) -> ProviderCard | None:
        return replace(ACME, name=tenant_id) if self.own else None

    async def way_back(self, provider: str, answer: Mapping[str, str]) -> WayBack | None:
        state = answer.get("state", "")
        if state == "of-a-gone-host":
            raise Denied("The address at which this was begun does not lead here any more.", code="host_not_active")
        if state != "of-a-host":
            return None
        address = f"http://accounts.acme.example:8000/v1/auth/oauth/{provider}/callback?code=c&state={state}"
        return WayBack(address, ACME.name, "accounts.acme.example", "Google", is_own=provider == ACME.name)

    async def linkable(self, viewer: Viewer) -> Sequence[ProviderCard]:
        return self.providers

    async def linked(self, viewer: Viewer) -> Sequence[IdentityCard]:
        return [LINKED] if self.is_linked else []

    async def has_password(self, viewer: Viewer) -> bool:
        return self.password

    async def depart(
        self, provider: str, purpose: Purpose, next_address: str, viewer: Viewer | None, hint: str | None = None
    ) -> Departure:
        if provider not in ("google", "github") and not provider.startswith("tenant_"):
            raise NotFound("There is no such identity provider.")
        self.departed.append((provider, purpose, next_address))
        return Departure("https://accounts.example/authorize?state=s", SessionCookie("begun", 600))

    def aim(self, cookie: str) -> tuple[Purpose, str] | None:
        return ("sign_in", "/account/sessions") if cookie == "begun" else None

    async def arrive(
        self, provider: str, cookie: str, answer: Mapping[str, str], viewer: Viewer | None, client: Client
    ) -> Arrival:
        if cookie != "begun":
            raise Untrusted("not_begun")
        if answer.get("error") == "access_denied":
            raise Untrusted("canceled")
        arrival = Arrival("Google", "sign_in", "/account/sessions", entered=SessionCookie("ada", 600))
        if answer.get("code") == "known-address":
            return Arrival("Google", "sign_in", "/account/sessions", to_prove=KEPT)
        return arrival

    def to_prove(self, cookie: str) -> ToProve | None:
        return ToProve("Google", "ada@example.com") if cookie == KEPT.value else None

    async def prove(self, cookie: str, password: str, client: Client) -> SessionCookie | SecondStep:
        if password != "correct horse battery":
            raise Denied("The address or the password is wrong.", code="invalid_credentials")
        return SessionCookie("ada", 600)

    async def unlink(self, viewer: Viewer, identity_id: str, *, client: Client) -> None:
        if not self.fresh:
            raise Denied("Sign in again first.", code="fresh_sign_in_required")
        if identity_id != LINKED.id:
            raise NotFound("There is no such linked account.", code="identity_not_found")
        if not self.password:
            raise Conflict("This is your only way in.", code="last_way_in")
        self.is_linked = False
