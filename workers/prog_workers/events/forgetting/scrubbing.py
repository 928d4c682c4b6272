"""What a message says once a person is forgotten: the same, without address and name.

Ids stay, as pseudonyms: what happened, to which account, and what came of it can still be followed. Where an address or
a name goes it leaves a word of the same type, so that the message still fits its model and can be replayed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

NO_ADDRESS: Final = "forgotten@forgotten.invalid"
NO_NAME: Final = "Forgotten"

_WHOLE: Final = r"(?<![\w.+-]){}(?![\w-]|\.\w)"
"""An address that is no part of a longer one."""

ADDRESSES: Final = ("client_address", "user_agent")
"""Where a request came from: of a message about the person, or by them."""
SEALED: Final = ("sealed_person", "sealed_picture")
"""What of the person a message of theirs has in it that only its consumer opens."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Who is to be forgotten. `digests` are the keyed ones of the address, which messages about failures carry."""

    user_id: str
    email: str
    name: str
    digests: tuple[str, ...] = ()
    _address: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_address", re.compile(_WHOLE.format(re.escape(self.email)), re.IGNORECASE))

    @property
    def needles(self) -> list[bytes]:
        """What a message has in it that may name the person, as it stands in JSON."""
        return [orjson.dumps(text)[1:-1] for text in (self.email, self.user_id, *self.digests)]

    def acted(self, actor: str | None) -> bool:
        """Whether the person, or a key of theirs, is who asked."""
        return actor is not None and (actor == self.user_id or actor.startswith(f"{self.user_id}/"))

    def is_address(self, value: object) -> bool:
        return isinstance(value, str) and value.lower() == self.email

    def key(self, value: str | None) -> str | None:
        """A partition key or subject: the id stands where an address or its digest stood."""
        if value is None or not (self.is_address(value) or value in self.digests):
            return value
        return self.user_id

    def text(self, value: str, *, name: bool = False) -> str:
        """A text without the address, and without the name where that is asked for."""
        if value in self.digests:
            return self.user_id
        value = self._address.sub(NO_ADDRESS, value)
        return value.replace(self.name, NO_NAME) if name and self.name else value


def body(data: bytes, sought: Sought, *, actor: str | None) -> bytes:
    """The body of a message, JSON or not; as it was where it does not name the person."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return sought.text(data.decode("utf-8", "surrogateescape"), name=True).encode("utf-8", "surrogateescape")
    changed = value(found, sought, acted=sought.acted(actor))
    return data if changed == found else orjson.dumps(changed)


def value(found: Any, sought: Sought, *, acted: bool = False, theirs: bool = False) -> Any:
    """A JSON value without the person. `acted` says that it is of a message that they sent, `theirs` that it belongs to
    an object about them."""
    if isinstance(found, str):
        return sought.text(found)
    if isinstance(found, list):
        return [value(item, sought, acted=acted, theirs=theirs) for item in found]
    if not isinstance(found, dict):
        return found
    families = _about(found, sought) | ({""} if theirs else set())
    mine = "" in families
    changed: dict[str, Any] = {}
    for key, item in found.items():
        if key in SEALED and found.get("user_id") == sought.user_id:
            changed[key] = ""
        elif (key in ADDRESSES and (acted or mine)) or (key == "avatar_id" and mine):
            changed[key] = None
        elif isinstance(item, str) and _is_their_name(key, item, families, sought, acted=acted):
            changed[key] = NO_NAME
        elif isinstance(item, str) and key.endswith("email") and _is_their_id(found, key.removesuffix("email"), sought):
            changed[key] = NO_ADDRESS
        elif key == "subject_line" and isinstance(item, str):
            # An invitation's names who sent it, under the name that they had then.
            invites = acted and found.get("template") == "invitation"
            changed[key] = "invitation" if invites else sought.text(item, name=True)
        else:
            changed[key] = value(item, sought, acted=acted, theirs=mine and key == "data")
    return changed


def _about(found: dict[str, Any], sought: Sought) -> set[str]:
    """The families of fields that are about the person: `owner_` where `owner_email` or `owner_user_id` is theirs."""
    families = set()
    for key, item in found.items():
        if key == "to" and sought.is_address(item):
            families |= {"", "to_"}
        for ending, fits in (
            ("user_id", item == sought.user_id),
            ("email", sought.is_address(item)),
            ("email_digest", item in sought.digests),
        ):
            if fits and (key == ending or key.endswith(f"_{ending}")):
                families.add(key.removesuffix(ending))
    return families


def _is_their_id(found: dict[str, Any], family: str, sought: Sought) -> bool:
    """Whether the id beside an address is theirs: then so is the address, as where a tenant's directory has another."""
    return found.get(f"{family}user_id") == sought.user_id


def _is_their_name(key: str, item: str, families: set[str], sought: Sought, *, acted: bool) -> bool:
    """Whether a field holds a name of the person's, today's or one from before."""
    if not key.endswith("name"):
        return False
    if key.removesuffix("name") in families or (key == "user_name" and "" in families):
        return True
    if key == "inviter_name":
        return acted or item == sought.name
    return key == "name" and item == sought.name and acted
