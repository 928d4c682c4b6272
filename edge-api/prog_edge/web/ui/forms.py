"""Forms: what was typed, and what is wrong with it, so that a refused form comes back with both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from prog_contracts.errors import ProgError
from prog_contracts.ids import new_message_id

MAX_FIELDS = 40
MAX_FIELD_LENGTH = 10_000


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


async def sent_form(request: Request) -> dict[str, str]:
    """The text fields of a posted form, trimmed (passwords are kept as typed). Files are ignored."""
    form = await request.form(max_fields=MAX_FIELDS)
    return {
        name: (value if "password" in name else value.strip())[:MAX_FIELD_LENGTH]
        for name, value in form.items()
        if isinstance(value, str)
    }


def refused(values: Mapping[str, str], error: ProgError, *, keep_key: bool = False) -> FormState:
    """The form to show again: what was typed, except passwords, with the error's messages.

    A field's dotted path is matched by its last part. The key is made anew, for a corrected form is a new request;
    `keep_key` holds it when the same request may be sent again.
    """
    errors = {problem.field.rpartition(".")[2]: problem.message for problem in error.fields}
    shown = {name: value for name, value in values.items() if "password" not in name}
    known = {name: message for name, message in errors.items() if name in values}
    problem = None if known else error.message
    if keep_key and "idempotency_key" in values:
        return FormState(shown, known, problem, values["idempotency_key"])
    return FormState(shown, known, problem)


def form_key(values: Mapping[str, str]) -> str:
    """The idempotency key that was sent with the form, or a fresh one."""
    return values.get("idempotency_key") or str(new_message_id())
