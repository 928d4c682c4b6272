"""Forms: what was typed, and what is wrong with it, so that a refused form comes back with both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from prog_contracts.credentials import TOKEN_MAX_LENGTH
from prog_contracts.errors import FieldError, Invalid, ProgError
from prog_contracts.ids import new_message_id
from prog_contracts.inputs import EMAIL_MAX_LENGTH, NAME_MAX_LENGTH
from prog_edge import texts
from prog_edge.problems import TooMuch
from prog_edge.web.ui.formats import in_words

MAX_FIELDS: Final = 40
MAX_LENGTH: Final = 1024
"""Characters of a field that is not among these."""
MAX_LENGTHS: Final = {
    "email": EMAIL_MAX_LENGTH,
    "name": NAME_MAX_LENGTH,
    "tenant_name": 80,
    "message": 2000,
    "body": 64 * 1024,
    "token": TOKEN_MAX_LENGTH,
    "idempotency_key": 100,
    "price_id": 100,
    "next": 8000,
    "request": 8000,
    "redirect_uris": 12_000,
    "post_logout_redirect_uris": 12_000,
    "payment_method": 200,
    "passkey_token": 800,
    "credential": 32 * 1024,
}


@dataclass(frozen=True, slots=True)
class FormState:
    """A form as a template shows it. `errors` has one message a field; `problem` is about the form as a whole."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    key: str = field(default_factory=lambda: str(new_message_id()))

    def value(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    def error(self, name: str) -> str | None:
        return self.errors.get(name)

    @property
    def failed(self) -> bool:
        return bool(self.errors) or self.problem is not None


class SentForm(Mapping[str, str]):
    """The fields of a posted form. To use one that is too long or not clean raises Invalid, which names all such."""

    def __init__(self, typed: Mapping[str, str]) -> None:
        self._typed = dict(typed)
        self._wrong = {name: error for name, text in typed.items() if (error := _wrong(name, text)) is not None}

    def __getitem__(self, name: str) -> str:
        if name in self._wrong:
            raise Invalid(self._wrong[name].message, fields=list(self._wrong.values()))
        return self._typed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._typed)

    def __len__(self) -> int:
        return len(self._typed)

    def __contains__(self, name: object) -> bool:
        return name in self._typed

    def shown(self) -> dict[str, str]:
        """What was typed, for the page that shows it again; never for a command."""
        return {name: texts.cleaned(text)[: _limit(name)] for name, text in self._typed.items()}


async def sent_form(request: Request) -> SentForm:
    """The text fields of a posted form, trimmed (passwords are kept as typed). Files are ignored."""
    form = await request.form(max_fields=MAX_FIELDS)
    return SentForm(
        {name: value if "password" in name else value.strip() for name, value in form.items() if isinstance(value, str)}
    )


def _wrong(name: str, text: str) -> FieldError | None:
    if not texts.is_clean(text):
        return texts.forbidden(name)
    if len(text) > _limit(name):
        return FieldError(field=name, code="too_long", message=f"This may have {_limit(name)} characters at most.")
    return None


def _limit(name: str) -> int:
    return MAX_LENGTHS.get(name, MAX_LENGTH)


def refused(values: Mapping[str, str], error: ProgError, *, keep_key: bool = False) -> FormState:
    """The form to show again: what was typed, except passwords, with the error's messages.

    A field's dotted path is matched by its last part. The key is made anew, for a corrected form is a new request;
    `keep_key` holds it when the same request may be sent again.
    """
    errors = {problem.field.rpartition(".")[2]: problem.message for problem in error.fields}
    typed = values.shown() if isinstance(values, SentForm) else values
    shown = {name: value for name, value in typed.items() if "password" not in name}
    known = {name: message for name, message in errors.items() if name in values}
    problem = None if known else told(error)
    if keep_key and "idempotency_key" in values:
        return FormState(shown, known, problem, values["idempotency_key"])
    return FormState(shown, known, problem)


def told(error: ProgError) -> str:
    """What is wrong, for people, and where it was too much at once when they can try again."""
    if not isinstance(error, TooMuch):
        return error.message
    return f"{error.message} You can try again in {in_words(error.retry_after_seconds)}."


def form_key(values: Mapping[str, str]) -> str:
    """The idempotency key that was sent with the form, or a fresh one."""
    return values.get("idempotency_key") or str(new_message_id())
