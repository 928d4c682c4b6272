"""Base classes of messages and the registry that knows them all.

A command asks one domain to do one thing (imperative); an event says what happened (past tense). The decorators give
the type name and the rule for the partition key: messages with one key are handled in order.

    @command("prognetwork.users.register_user", key="email")
    class RegisterUser(Command): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A body. Unknown fields are ignored, so that an older consumer reads a newer producer's message."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str | None] = None
    KEY_RULE: ClassVar[str | None] = None
    """Says in words what `partition_key` is where a message makes it otherwise than from one field or the tenant."""

    SUBJECT: ClassVar[str | None] = None

    @property
    def partition_key(self) -> str | None:
        """The value that orders this message among its like; None means the tenant."""
        return None if self.KEY is None else str(getattr(self, self.KEY))

    @property
    def subject(self) -> str | None:
        """The id of the object that this message is about."""
        return None if self.SUBJECT is None else getattr(self, self.SUBJECT)

    @classmethod
    def domain(cls) -> str:
        """The domain in the type's name: `users` for `prognetwork.users.user_created`."""
        return cls.TYPE.split(".")[1]


class Command(Message):
    """Asks one domain to do one thing."""


class Event(Message):
    """Says what happened in one domain."""


M = TypeVar("M", bound=Message)
_registry: dict[tuple[str, int], type[Message]] = {}


def _register(type_name: str, key: str | None, subject: str | None, version: int) -> Callable[[type[M]], type[M]]:
    def decorate(cls: type[M]) -> type[M]:
        if (type_name, version) in _registry:
            raise ValueError(f"{type_name} version {version} is declared twice")
        for field in (key, subject):
            if field is not None and field not in cls.model_fields:
                raise ValueError(f"{type_name}: there is no field {field!r}")
        cls.TYPE, cls.VERSION, cls.KEY, cls.SUBJECT = type_name, version, key, subject
        _registry[type_name, version] = cls
        return cls

    return decorate


def command(
    type_name: str, *, key: str | None = None, subject: str | None = None, version: int = 1
) -> Callable[[type[M]], type[M]]:
    """Registers a command. `key` names the field that orders it, `subject` the field with the object's id."""
    return _register(type_name, key, subject or key, version)


def event(
    type_name: str, *, key: str | None = None, subject: str | None = None, version: int = 1
) -> Callable[[type[M]], type[M]]:
    """Registers an event; parameters as for `command`."""
    return _register(type_name, key, subject or key, version)


def find(type_name: str, version: int = 1) -> type[Message] | None:
    """The model of a type and version, or None when this code does not know it."""
    return _registry.get((type_name, version))


def all_messages() -> Iterator[type[Message]]:
    """Every registered model, by type and version. Import `prog_contracts.catalogue` first to have them all."""
    for key in sorted(_registry):
        yield _registry[key]
