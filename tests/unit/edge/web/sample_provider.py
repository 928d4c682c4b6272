"""Clients to look at, and people who sign in to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args
from urllib.parse import parse_qs

from prog_contracts.errors import Denied, Invalid, NotFound, ProgError
from prog_contracts.oauth import PersonScope
from prog_contracts.permissions import SCOPES
from prog_edge.web.ports import (
    Answered,
    AppCard,
    ClientCard,
    ClientsView,
    ConsentView,
    LogoutView,
    MadeClient,
    SignInFirst,
    Viewer,
)
from tests.unit.edge.web.sample_console import sample_id

NOW = datetime.now(UTC)
CLIENT = sample_id("client", 1)
PUBLIC_ID = "prog_client_01jd7z4c8nf3ktv9q2m6x0r5we_01jd7z4c8nf3ktv9q2m6x0r5wf"
SECRET = "prog_secret_q7Rk0bV2mXc9LtNw4hZs8aGdYe3fPu2JS0K2aa81bb2"
BACK = "https://shop.example/signed-in"
OUT = "https://shop.example/signed-out"
SIGN_IN_SCOPES: Final[tuple[PersonScope, ...]] = get_args(PersonScope)

_CLIENTS = (
    ClientCard(
        id=CLIENT,
        public_id=PUBLIC_ID,
        name="Shop",
        confidential=True,
        hint="q7Rk0b",
        redirect_uris=(BACK, "https://shop.example/staging/signed-in"),
        post_logout_redirect_uris=(OUT,),
        backchannel_logout_uri="https://shop.example/backchannel-logout",
        grants=("authorization_code", "refresh_token", "client_credentials"),
        scopes=("openid", "profile", "email", "offline_access", "event.read", "event.publish"),
        holder="Ada Lovelace",
        created_at=NOW - timedelta(days=40),
    ),
    ClientCard(
        id=sample_id("client", 2),
        public_id=PUBLIC_ID.replace("wf", "wg"),
        name="Field app",
        confidential=False,
        hint=None,
        redirect_uris=("com.example.field:/signed-in",),
        post_logout_redirect_uris=(),
        backchannel_logout_uri=None,
        grants=("authorization_code",),
        scopes=("openid", "email"),
        holder=None,
        created_at=NOW - timedelta(days=3),
    ),
    ClientCard(
        id=sample_id("client", 3),
        public_id=PUBLIC_ID.replace("wf", "wh"),
        name="Nightly export",
        confidential=True,
        hint="Zz81aB",
        redirect_uris=(),
        post_logout_redirect_uris=(),
        backchannel_logout_uri=None,
        grants=("client_credentials",),
        scopes=("event.read",),
        holder=None,
        created_at=NOW - timedelta(days=200),
    ),
)


@dataclass
class SampleProvider:
    """A request with `known` in it goes on at once; one with `login` wants a fresh sign-in; all others are asked."""

    empty: bool = False
    done: list[tuple[str, object]] = field(default_factory=list)

    async def decide(self, viewer: Viewer | None, query: str) -> Answered | ConsentView | SignInFirst:
        asked = parse_qs(query)
        if asked.get("client_id") != [PUBLIC_ID]:
            raise Invalid("The app that sent you here is not registered, or was removed.")
        address = f"/oauth2/authorize?{query}"
        if viewer is None or "login" in asked.get("prompt", ()):
            return SignInFirst(address, again=viewer is not None)
        if "known" in asked:
            return Answered(f"{BACK}?code=prog_code_sample&iss=here")
        return ConsentView(
            client="Shop",
            tenant="Analytical Engines",
            host="shop.example",
            origin="https://shop.example",
            scopes=SIGN_IN_SCOPES,
            known=("openid", "profile") if "more" in asked else (),
            request=query,
        )

    async def answer(
        self, viewer: Viewer, query: str, *, agrees: bool, idempotency_key: str
    ) -> Answered | ConsentView | SignInFirst:
        self.done.append(("answer", (query, agrees)))
        return Answered(f"{BACK}?code=prog_code_sample" if agrees else f"{BACK}?error=access_denied")

    async def origin_after(self, address: str) -> str | None:
        return "https://shop.example" if address.startswith("/oauth2/authorize") else None

    async def logout(self, viewer: Viewer | None, query: str) -> LogoutView:
        asked = parse_qs(query)
        if "client_id" not in asked:
            return LogoutView(None, None, None, None, certain="hint" in asked, request=query)
        if asked["client_id"] != [PUBLIC_ID]:
            raise Invalid("The app that sent you here does not say who it is, is not registered, or was removed.")
        certain = viewer is not None and "hint" in asked
        return LogoutView("Shop", OUT, "shop.example", "https://shop.example", certain=certain, request=query)

    async def apps(self, viewer: Viewer) -> Sequence[AppCard]:
        if self.empty:
            return ()
        return (
            AppCard(CLIENT, "Shop", SIGN_IN_SCOPES, NOW - timedelta(days=12), NOW - timedelta(minutes=4)),
            AppCard(sample_id("client", 2), "Field app", ("openid", "email"), NOW - timedelta(days=90), None),
        )

    async def disconnect(self, viewer: Viewer, client_id: str, *, idempotency_key: str) -> str:
        if client_id != CLIENT:
            raise NotFound("This app has nothing of you.")
        self.done.append(("disconnect", client_id))
        return "Shop"


@dataclass
class SampleClients:
    """Takes every form, but for what `refusal` says."""

    empty: bool = False
    manages: bool = True
    refusal: ProgError | None = None
    done: list[tuple[str, Any]] = field(default_factory=list)

    async def clients(self, viewer: Viewer, tenant_id: str) -> ClientsView:
        if not self.manages:
            raise Denied("Your role (member) does not allow this.")
        found = () if self.empty else _CLIENTS
        return ClientsView(tenant_id, "Analytical Engines", found, SCOPES, "http://127.0.0.1:8000")

    async def register(
        self, viewer: Viewer, tenant_id: str, *, name: str, confidential: bool, idempotency_key: str, **wish: Any
    ) -> MadeClient:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(("register", {"name": name, "confidential": confidential, **wish}))
        return MadeClient(PUBLIC_ID, name, SECRET if confidential else None)

    async def change(
        self, viewer: Viewer, tenant_id: str, client_id: str, *, idempotency_key: str, **wish: Any
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(("change", {"client_id": client_id, **wish}))

    async def roll(
        self, viewer: Viewer, tenant_id: str, client_id: str, *, grace_hours: int, idempotency_key: str
    ) -> MadeClient:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(("roll", (client_id, grace_hours)))
        return MadeClient(PUBLIC_ID, "Shop", SECRET)

    async def remove(self, viewer: Viewer, tenant_id: str, client_id: str, *, idempotency_key: str) -> str:
        if client_id != CLIENT:
            raise NotFound("There is no such client.")
        self.done.append(("remove", client_id))
        return "Shop"
