"""Shapes that several page contexts share. A page of one adds the name of its template, and what is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prog_contracts.users import SecondFactor
from prog_edge.web.ports import PasskeyOffer
from prog_edge.web.ui.forms import FormState


@dataclass(frozen=True)
class FormPage:
    """A form, and whatever its template says around it."""

    form: FormState


@dataclass(frozen=True)
class MailedPage(FormPage):
    """Asks for an address that a mail goes to; `sent` says that it is on its way."""

    sent: bool = False


@dataclass(frozen=True)
class TokenPage:
    """Opened from a mail. Without a `token` it says that the link does not work."""

    token: str
    form: FormState


@dataclass(frozen=True)
class FactorPage(FormPage):
    """Asks for one proof of who somebody is, and goes on at `next_address`.

    `others` is what else would do, `offer` what a passkey is asked where that is the method.
    """

    next_address: str
    method: Literal["password"] | SecondFactor
    others: Sequence[SecondFactor] = ()
    offer: PasskeyOffer | None = None
