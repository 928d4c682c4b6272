"""Who may publish commands: the platform's own processes, and producers that an operator has made known.

Every command carries its producer's name and signature (`prog_contracts.signing`). The platform signs with a key that
follows from PROG_SECRET_KEYS; so does the key of every other producer, and the file at PROG_PRODUCERS_FILE that
`prog producers` keeps says no secret, but only what each of them may do:

    {"shop": {"types": ["prognetwork.events.*"], "tenants": ["*"], "generation": 1}}

`tenants` are ids, `*` for every customer's, and `platform` for the platform's own, under which sign-up and sign-in run.
Workers read the file anew when it changes. What the gate refuses becomes a dead letter that leaves no trace with the
tenant it names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from prog_broker.ports import Delivery, Publisher
from prog_contracts.envelope import Envelope
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.signing import PLATFORM_PRODUCER, SigningKey
from prog_contracts.topics import Topic
from prog_kit import logging
from prog_kit.secrets import producer_keys
from prog_kit.settings import Settings, SettingsError

log = logging.get("prog_broker.producers")

OLDEST: Final = timedelta(days=7)
"""A foreign command that is older is refused: the inbox, which makes a repeated one harmless, forgets after 30 days."""

SOONEST: Final = timedelta(minutes=15)
_LOOK_SECONDS: Final = 1.0

ProducerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class Rights(BaseModel):
    """What one producer may publish. `generation` counts its keys: only the newest is good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    types: tuple[str, ...] = Field(min_length=1)
    tenants: tuple[str, ...] = Field(min_length=1)
    generation: int = Field(1, ge=1)

    def covers_type(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.types)

    def covers_tenant(self, tenant_id: str) -> bool:
        if tenant_id == PLATFORM_TENANT_ID:
            return "platform" in self.tenants
        return "*" in self.tenants or tenant_id in self.tenants


_FILE: Final = TypeAdapter(dict[ProducerName, Rights])


def read(path: Path) -> dict[str, Rights]:
    """The producers in a file; none when there is no file. Raises SettingsError that names what is wrong."""
    try:
        producers = _FILE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError([f"PROG_PRODUCERS_FILE: {path} cannot be read ({error.strerror})"]) from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise SettingsError([f"PROG_PRODUCERS_FILE: {path}: {place}: {first['msg']}"]) from None
    if PLATFORM_PRODUCER in producers:
        raise SettingsError([f"PROG_PRODUCERS_FILE: {path}: {PLATFORM_PRODUCER} is the platform's own name"])
    return producers


def write(path: Path, producers: dict[str, Rights]) -> None:
    """Replaces the file in one step, so that no worker reads half of it."""
    text = json.dumps({name: producers[name].model_dump() for name in sorted(producers)}, indent=2)
    half = path.with_name(f"{path.name}.new")
    half.write_text(text + "\n", encoding="utf-8")
    half.replace(path)


class ProducerGate:
    """Lets commands of known producers in. Called for each command that a worker reads; see `decoding.Gate`."""

    def __init__(self, secret_keys: tuple[str, ...], path: Path | None) -> None:
        self._secret_keys = secret_keys
        self._path = path
        self._producers: dict[str, Rights] = {}
        self._keys = {PLATFORM_PRODUCER: _signing_keys(secret_keys, PLATFORM_PRODUCER)}
        self._looked_at = 0.0
        self._seen: object = None
        if path is not None:
            self._seen = _stamp(path)
            self._take(read(path))

    @classmethod
    def of(cls, settings: Settings) -> ProducerGate:
        """The gate of a worker. Raises SettingsError when the file is wrong."""
        return cls(settings.secret_keys, None if settings.producers_file is None else Path(settings.producers_file))

    def __call__(self, envelope: Envelope) -> tuple[str, str] | None:
        """None for a command that may come in, else a code and the reason."""
        name = envelope.producer
        if name is None or envelope.signature is None:
            return "unknown_producer", "the command is not signed: make its sender known with `prog producers add`"
        keys = self._keys.get(name)
        if name != PLATFORM_PRODUCER or keys is None:
            self._look()
            keys = self._keys.get(name)
            if keys is None:
                return "unknown_producer", f"nobody knows a producer {name[:64]!r}; see `prog producers list`"
        if not any(key.has_signed(envelope) for key in keys):
            return "bad_signature", f"this is not the signature of {name}, or the message was changed"
        return None if name == PLATFORM_PRODUCER else self._judged(name, envelope)

    def _judged(self, name: str, envelope: Envelope) -> tuple[str, str] | None:
        rights = self._producers[name]
        if not rights.covers_tenant(envelope.tenant_id):
            return "forged_tenant", f"{name} has no right to {envelope.tenant_id}"
        if not rights.covers_type(envelope.type):
            return "forbidden_type", f"{name} has no right to {envelope.type[:200]}"
        age = datetime.now(UTC) - envelope.time
        if not -SOONEST < age < OLDEST:
            return "stale", f"the command is of {envelope.time:%Y-%m-%d %H:%M} UTC; check the clock of {name}"
        return None

    def _look(self) -> None:
        """Reads the file anew when it has changed, about once a second; keeps what it knows when that is broken."""
        now = time.monotonic()
        if self._path is None or now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._take(read(self._path))
        except SettingsError as error:
            log.error("the producers stay as they were", problem=error.problems[0])

    def _take(self, producers: dict[str, Rights]) -> None:
        self._producers = producers
        own = self._keys[PLATFORM_PRODUCER]
        self._keys = {
            name: _signing_keys(self._secret_keys, name, rights.generation) for name, rights in producers.items()
        } | {PLATFORM_PRODUCER: own}


class SigningPublisher:
    """A publisher that signs the commands which nobody has signed yet."""

    def __init__(self, publisher: Publisher, producer: str, key: str) -> None:
        self._publisher = publisher
        self._signed = SigningKey(producer, key).signed

    @classmethod
    def of_platform(cls, publisher: Publisher, secret_keys: tuple[str, ...]) -> SigningPublisher:
        return cls(publisher, PLATFORM_PRODUCER, producer_keys(secret_keys, PLATFORM_PRODUCER)[0])

    def prepared(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> Sequence[tuple[Topic, Envelope]]:
        return [
            (topic, self._signed(envelope))
            if topic.kind == "commands" and envelope.signature is None
            else (topic, envelope)
            for topic, envelope in envelopes
        ]

    async def send(self, envelopes: Sequence[tuple[Topic, Envelope]]) -> None:
        await self._publisher.send(self.prepared(envelopes))

    async def announce(self, topic: Topic, deliveries: Sequence[Delivery]) -> None:
        await self._publisher.announce(topic, deliveries)


def _signing_keys(secret_keys: tuple[str, ...], producer: str, generation: int = 0) -> list[SigningKey]:
    return [SigningKey(producer, key) for key in producer_keys(secret_keys, producer, generation)]


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
