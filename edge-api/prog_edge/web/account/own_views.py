"""What the pages about a person's own account show: sessions, second factor, passkeys, data, the account's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from prog_edge.web.ports import (
    ActivityEntry,
    EnrolmentView,
    IdentityCard,
    OwnedAlone,
    PasskeyOffer,
    PasskeyView,
    ProfileView,
    ProviderCard,
    SecondFactorView,
    SessionCard,
)
from prog_edge.web.ui.forms import FormState
from prog_edge.web.ui.pages import FactorPage, FormPage


@dataclass(frozen=True, slots=True)
class SessionsPage:
    template: ClassVar[str] = "account/sessions.html"
    sessions: Sequence[SessionCard]


@dataclass(frozen=True)
class SignInAgainPage(FactorPage):
    """For somebody who is signed in, and is about to do what needs a fresh sign-in."""

    template: ClassVar[str] = "account/sign_in_again.html"
    has_password: bool = True
    providers: Sequence[ProviderCard] = ()
    """Those that the viewer's account is linked to."""
    token: str = ""
    """Shows that the link to a provider is of this page."""


class SecondStepPage(FactorPage):
    template: ClassVar[str] = "account/second_step.html"


@dataclass(frozen=True, slots=True)
class SecurityPage:
    """`form` begins what changes the second factor, `password` changes that, `unlink` takes an identity away."""

    template: ClassVar[str] = "account/security.html"
    factor: SecondFactorView | None
    passkeys: Sequence[PasskeyView]
    form: FormState
    password: FormState
    identities: Sequence[IdentityCard] = ()
    providers: Sequence[ProviderCard] = ()
    """Those that an account can be linked to still."""
    has_password: bool = True
    token: str = ""
    """Shows that the link to a provider is of this page."""
    unlink: FormState = field(default_factory=FormState)


@dataclass(frozen=True, slots=True)
class NewPasskeyPage:
    template: ClassVar[str] = "account/new_passkey.html"
    offer: PasskeyOffer
    form: FormState


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """`older` says that this is not the beginning of the list."""

    template: ClassVar[str] = "account/activity.html"
    activity: Sequence[ActivityEntry]
    next_cursor: str | None
    older: bool


@dataclass(frozen=True, slots=True)
class ProfilePage:
    """`form` changes what is said, `picture` sends a picture."""

    template: ClassVar[str] = "account/profile.html"
    view: ProfileView
    form: FormState
    picture: FormState
    locales: Sequence[tuple[str, str]]
    time_zones: Sequence[tuple[str, str]]
    themes: Sequence[tuple[str, str]] = (("", "As the system"), ("light", "Light"), ("dark", "Dark"))


class DataPage(FormPage):
    template: ClassVar[str] = "account/data.html"


@dataclass(frozen=True, slots=True)
class PasskeyPage:
    """One of the viewer's passkeys. `last` says that nothing is left of two-step verification without it."""

    template: ClassVar[str] = "account/passkey.html"
    passkey: PasskeyView
    last: bool
    form: FormState


@dataclass(frozen=True, slots=True)
class DeleteAccountPage:
    """`needed_by` are the tenants that are in the way. `form` deletes the account, or keeps it after all."""

    template: ClassVar[str] = "account/delete_account.html"
    needed_by: Sequence[OwnedAlone]
    form: FormState


@dataclass(frozen=True, slots=True)
class AuthenticatorPage:
    template: ClassVar[str] = "account/authenticator.html"
    enrolment: EnrolmentView
    form: FormState


@dataclass(frozen=True, slots=True)
class RecoveryCodesPage:
    """`first` says that they come with a first second factor."""

    template: ClassVar[str] = "account/recovery_codes.html"
    codes: Sequence[str]
    first: bool
