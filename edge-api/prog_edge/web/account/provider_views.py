"""Page contexts of the OpenID provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final

from prog_contracts.oauth import PersonScope
from prog_edge.web.account.views import GRACES
from prog_edge.web.account.views import SCOPE_TEXTS as API_SCOPE_TEXTS
from prog_edge.web.ports import AppCard, ClientCard, ClientsView, ConsentView, LogoutView, MadeClient
from prog_edge.web.ui.forms import FormState

SCOPE_TEXTS: Final[Mapping[PersonScope, str]] = MappingProxyType(
    {
        "openid": "Know that it is you",
        "profile": "See your name, picture, language and time zone",
        "email": "See your mail address",
        "offline_access": "Go on doing so while you are away",
    }
)
KINDS: Final = (
    ("web", "A website with a server"),
    ("app", "An app without a server"),
    ("machine", "A program without people"),
)
OFFERED: Final[tuple[PersonScope, ...]] = ("profile", "email", "offline_access")
"""What a form asks for; `openid` goes without saying."""


@dataclass(frozen=True, slots=True)
class ConsentPage:
    template: ClassVar[str] = "account/consent.html"
    view: ConsentView
    form: FormState
    texts: Mapping[PersonScope, str] = field(default_factory=lambda: SCOPE_TEXTS)


@dataclass(frozen=True, slots=True)
class SignOutPage:
    template: ClassVar[str] = "account/sign_out.html"
    view: LogoutView


@dataclass(frozen=True, slots=True)
class AppsPage:
    """`forms` has one a card, by its id."""

    template: ClassVar[str] = "account/apps.html"
    apps: Sequence[AppCard]
    forms: Mapping[str, FormState]
    texts: Mapping[PersonScope, str] = field(default_factory=lambda: SCOPE_TEXTS)


@dataclass(frozen=True, slots=True)
class ClientsPage:
    template: ClassVar[str] = "account/clients.html"
    view: ClientsView
    form: FormState
    kinds: Sequence[tuple[str, str]] = KINDS
    example: str = "https://shop.example/signed-in"
    offered: Sequence[PersonScope] = OFFERED
    scope_texts: Mapping[str, str] = field(default_factory=lambda: API_SCOPE_TEXTS)
    texts: Mapping[PersonScope, str] = field(default_factory=lambda: SCOPE_TEXTS)
    section: str = "clients"


@dataclass(frozen=True, slots=True)
class ClientMadePage:
    template: ClassVar[str] = "account/client_made.html"
    view: ClientsView
    made: MadeClient
    section: str = "clients"


@dataclass(frozen=True, slots=True)
class ClientPage:
    """`form` changes the client, `rolling` gives it another secret, `removing` ends it."""

    template: ClassVar[str] = "account/client.html"
    view: ClientsView
    client: ClientCard
    form: FormState
    rolling: FormState
    removing: FormState
    graces: Sequence[tuple[str, str]] = GRACES
    offered: Sequence[PersonScope] = OFFERED
    scope_texts: Mapping[str, str] = field(default_factory=lambda: API_SCOPE_TEXTS)
    texts: Mapping[PersonScope, str] = field(default_factory=lambda: SCOPE_TEXTS)
    section: str = "clients"
