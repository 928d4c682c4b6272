"""Who asked: the text in a message's attribute `actor`, which every effect of the message inherits.

- `user_…`            a person
- `user_…/user_…`     an operator of the platform, the second one, in the name of the first (ADR 29)
- `user_…/apikey_…`   a program, with a key that this person made
- `user_…/client_…`   an OAuth client by itself, whose secret this person made
- `client_…`          an OAuth client that asks for tokens
- anything else       a process of the platform, such as `prog-scheduler`

Nobody but the person has the person's text: what only a person may do compares the actor with the person's id, and that
of a key, or of whoever acts in their name, is another text.
"""

from __future__ import annotations

from typing import Final

from prog_contracts.ids import is_id

_BY: Final = "/"
_PERSON: Final = "user_"


def actor_of_key(user_id: str, key_id: str) -> str:
    """The actor of a command that came with an API key, or from an OAuth client; `user_id` is whose it is."""
    return f"{user_id}{_BY}{key_id}"


def actor_of_impersonation(user_id: str, operator_id: str) -> str:
    """The actor of what an operator asks in somebody's name."""
    return f"{user_id}{_BY}{operator_id}"


def person_of(actor: str | None) -> str | None:
    """The person in whose name something was asked, by themselves, with a key of theirs, or by an operator; None for a
    process."""
    if actor is None:
        return None
    person = actor.partition(_BY)[0]
    return person if is_id(person) else None


def key_of(actor: str | None) -> str | None:
    """The API key or OAuth client with which something was asked, or None."""
    by = _by(actor)
    return None if by is None or by.startswith(_PERSON) else by


def is_acted_by(actor: str, who: str) -> bool:
    """Whether this is somebody who acted: by themselves, as a key, as an operator in another's name; or the person in
    whose name an operator did."""
    return actor == who or _by(actor) == who or (impersonator_of(actor) is not None and person_of(actor) == who)


def impersonator_of(actor: str | None) -> str | None:
    """The operator who asked in somebody else's name, or None."""
    by = _by(actor)
    return by if by is not None and by.startswith(_PERSON) else None


def is_by_themselves(actor: str | None) -> bool:
    """Whether a person asked, who was there: with no key, and nobody in their name."""
    return actor is not None and person_of(actor) == actor


def is_process(actor: str | None) -> bool:
    """Whether a command was sent by a process of the platform rather than for a person."""
    return actor is not None and person_of(actor) is None


def _by(actor: str | None) -> str | None:
    if actor is None or person_of(actor) is None:
        return None
    return actor.partition(_BY)[2] or None
