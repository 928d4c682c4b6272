"""Old bodies made new: functions that lead a body from one version of its type to the next.

A type that changes incompatibly keeps its old model and gets a new one with the next version, and a function between:

    @upcaster("prognetwork.users.user_created", from_version=1)
    def split_name(body: Body) -> Body:
        given, _, family = body.pop("name").partition(" ")
        return body | {"given_name": given, "family_name": family}

Consumers and replays run the chain up to the version that their handler reads, so no handler knows old versions. A
function takes a plain dict of its own and returns one; it needs no clock, no I/O and no luck, for an event that is
replayed in a year must come out the same. Nothing leads back: a message of a newer version than the handler's waits as
a dead letter until the consumer is upgraded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import orjson

from prog_contracts.messages import Message, all_messages

Body: TypeAlias = dict[str, Any]
Upcaster: TypeAlias = Callable[[Body], Body]

_upcasters: dict[tuple[str, int], Upcaster] = {}


class UnknownVersion(ValueError):
    """No way leads from the version of a body to the version that is read. The message says what to do."""


class UpcastFailed(ValueError):
    """A body broke on its way: it does not say what its version promises."""


def upcaster(type_name: str, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Registers the step from `from_version` to the next one; one a type and version."""

    def decorate(function: Upcaster) -> Upcaster:
        if (type_name, from_version) in _upcasters:
            raise ValueError(f"{type_name} has two upcasters from version {from_version}")
        _upcasters[type_name, from_version] = function
        return function

    return decorate


def upcast(type_name: str, body: Body, *, from_version: int, to_version: int) -> Body:
    """The body as version `to_version` would have it. `body` itself is left to the functions, which may change it.

    Raises UnknownVersion when the chain is broken or `from_version` is the newer one, and UpcastFailed when a function
    cannot make sense of the body.
    """
    if from_version < 1:
        raise UnknownVersion(f"{type_name} version {from_version}: versions begin at 1; drop the message")
    if from_version > to_version:
        raise UnknownVersion(
            f"{type_name} version {from_version}; this code reads {_read(to_version)}:"
            " upgrade this consumer and redrive the message, or drop it"
        )
    for version in range(from_version, to_version):
        step = _upcasters.get((type_name, version))
        if step is None:
            raise UnknownVersion(
                f"{type_name} version {from_version}; this code reads version {to_version}, and no upcaster leads on"
                f" from version {version}: register one and redrive the message, or drop it"
            )
        try:
            body = step(body)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            told = f"{type(error).__name__}: {error}"
            raise UpcastFailed(f"the body is no {type_name} version {version}: {told[:300]}") from error
    return body


def upcast_json(type_name: str, data: bytes, *, from_version: int, to_version: int) -> bytes:
    """`upcast` for a body as JSON text. Raises UpcastFailed also for what is no JSON object."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UpcastFailed(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise UpcastFailed("the body is no JSON object")
    return orjson.dumps(upcast(type_name, body, from_version=from_version, to_version=to_version))


def readable(data: bytes, version: int, model: type[Message]) -> bytes:
    """The body as `model` reads it. Raises UnknownVersion and UpcastFailed."""
    if version == model.VERSION:
        return data
    return upcast_json(model.TYPE, data, from_version=version, to_version=model.VERSION)


def newest(type_name: str) -> type[Message] | None:
    """The model of the highest version of a type, or None when this code does not know the type."""
    return {model.TYPE: model for model in all_messages()}.get(type_name)  # they come in the order of their versions


def broken_chains() -> Iterator[str]:
    """What the contract test refuses: an older version without a way to the newest, or a step that leads nowhere."""
    newest_version: dict[str, int] = {}
    for model in all_messages():
        newest_version[model.TYPE] = max(model.VERSION, newest_version.get(model.TYPE, 0))
    for model in all_messages():
        for version in range(model.VERSION, newest_version[model.TYPE]):
            if (model.TYPE, version) not in _upcasters:
                yield f"{model.TYPE}: version {model.VERSION} is declared, and no upcaster leads on from {version}"
    for type_name, version in sorted(_upcasters):
        if not version < newest_version.get(type_name, 0):
            yield f"{type_name}: an upcaster leads on from version {version}, which no newer version follows"


def _read(version: int) -> str:
    return "version 1" if version == 1 else f"versions 1 to {version}"
