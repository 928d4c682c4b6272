"""Which messages become entries, and what they say. By rule, so that a new message needs no line here.

Every event of the platform's own that tells what somebody did, or what was done to somebody, becomes one; its name is
the action. What it came to follows from its name: `…_failed` and `…_refused` are failures, `…_denied` is a denial, all
others are successes. Commands that were refused become entries under their own names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from prog_contracts import actors
from prog_contracts.events import PLATFORM_PREFIX, EventPublished
from prog_contracts.identities import IdentityLinked
from prog_contracts.ids import is_id
from prog_contracts.users import EmailVerified, PasswordChanged, UserAuthenticated
from prog_workers.events.audit.entries import ActorKind, Outcome

LEFT_OUT_DOMAINS: Final[Mapping[str, str]] = {
    "email": "what becomes of a mail is in the mail's own timeline; whoever caused it is in the trail",
    "monitoring": "figures and alarms are about machines and name no actor",
}
LEFT_OUT_TYPES: Final[Mapping[str, str]] = {
    EventPublished.TYPE: "a tenant's own event is in its log, which is the record of it",
}
"""Events that become no entry, with the reason. So do those that tenants publish under types of their own."""

FAILED_SUFFIXES: Final = ("_failed", "_refused")
DENIED_SUFFIXES: Final = ("_denied",)
REFUSAL: Final = f"({'|'.join((*FAILED_SUFFIXES, *DENIED_SUFFIXES))})$"
"""A regular expression for the names of events that tell of something that did not succeed."""

PROVE_THEIR_SUBJECT: Final = frozenset(
    {UserAuthenticated.TYPE, PasswordChanged.TYPE, EmailVerified.TYPE, IdentityLinked.TYPE}
)
"""Nobody is signed in when these happen, and yet it is known who acted: whoever they are about has just shown it."""

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def why_left_out(type_name: str) -> str | None:
    """Why an event of this type becomes no entry; None for one that does."""
    if not type_name.startswith(PLATFORM_PREFIX):
        return LEFT_OUT_TYPES[EventPublished.TYPE]
    return LEFT_OUT_TYPES.get(type_name) or LEFT_OUT_DOMAINS.get(type_name.split(".")[1])


def action_of(type_name: str) -> str:
    """`users.user_created` of `prognetwork.users.user_created`."""
    return type_name.removeprefix(PLATFORM_PREFIX)[:200]


def outcome_of(type_name: str) -> Outcome:
    """What an event tells: a success, unless its name says otherwise."""
    if type_name.endswith(DENIED_SUFFIXES):
        return "denial"
    return "failure" if type_name.endswith(FAILED_SUFFIXES) else "success"


def actor_of(actor: str | None, type_name: str, body: Mapping[str, Any]) -> str | None:
    """Who acted: whom the message names, or the person who has just proved to be the one it is about."""
    if actor is None and type_name in PROVE_THEIR_SUBJECT:
        return identity(body.get("user_id"))
    return actor


def kind_of(actor: str | None) -> ActorKind:
    """A name that is neither a person's, nor a key's, nor a client's is a process of the platform."""
    if actor is None:
        return "nobody"
    if actors.impersonator_of(actor) is not None:
        return "impersonator"
    key = actors.key_of(actor)
    if _is_client(key or actor):
        return "client"
    if key is not None:
        return "api_key"
    return "person" if _is_person(actor) else "system"


def identity(value: object) -> str | None:
    """The value if it is an id of the platform. Anything else, such as an address of somebody, may be personal."""
    return value if isinstance(value, str) and is_id(value) else None


def slug(value: object) -> str | None:
    """The value if it is a code, such as `wrong_password`."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def person_of(actor: str | None, subject: str | None) -> str | None:
    """Whose personal data a request's address is: the person's who acted, also in another's name, or made the key; of
    nobody's, the one it was about."""
    for each in (actors.impersonator_of(actor), actors.person_of(actor), subject):
        if each is not None and _is_person(each):
            return each
    return None


def _is_client(identity: str) -> bool:
    return identity.startswith("client_") and is_id(identity)


def _is_person(identity: str) -> bool:
    return identity.startswith("user_") and is_id(identity)
