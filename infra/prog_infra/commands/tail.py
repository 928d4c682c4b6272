"""Follow topics: every message as it passes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from prog_broker.ports import Delivery
    from prog_contracts.topics import Topic

app = typer.Typer()


@app.command()
def tail(
    topics: list[str] = typer.Argument(None, metavar="TOPIC…", help="Such as prog.users.events; all by default."),
    from_start: bool = typer.Option(False, "--from-start", help="Begin with what the broker still holds."),
    since: str = typer.Option(
        None, "--since", metavar="TIME|DURATION", help="Begin at a time (UTC), or so long ago: 90s, 15m, 2h, 1d."
    ),
    types: list[str] = typer.Option([], "--type", help="These message types alone; may be given several times."),
    tenant: str = typer.Option(None, "--tenant", help="Messages of one tenant."),
    subject: str = typer.Option(None, "--subject", help="Messages about one object."),
    count: int = typer.Option(0, "--count", min=0, help="End after so many messages; 0 follows until Ctrl-C."),
    data: Path = typer.Option(None, "--data", help="The data directory of the platform to talk to."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line (CloudEvents, structured mode)."),
) -> None:
    """Print messages as they pass, without taking them from any consumer."""
    try:
        wanted = Wanted(frozenset(types), tenant, subject)
        asyncio.run(_tail(topics or [], wanted, _beginning(from_start, since), count, data, as_json))
    except KeyboardInterrupt:
        return


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages are shown; what is empty or None limits nothing. A filter leaves out what cannot be decoded."""

    types: frozenset[str] = frozenset()
    tenant_id: str | None = None
    subject: str | None = None

    def allows(self, delivery: Delivery) -> bool:
        from prog_contracts.envelope import Envelope

        if not self.types and self.tenant_id is None and self.subject is None:
            return True
        try:
            envelope = Envelope.parse(delivery.attributes, delivery.data)
        except ValueError:
            return False
        return (
            (not self.types or envelope.type in self.types)
            and self.tenant_id in (None, envelope.tenant_id)
            and self.subject in (None, envelope.subject)
        )


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where to begin: at what the broker still holds, at a time, or (neither) now."""

    from_start: bool = False
    since: datetime | None = None


def _beginning(from_start: bool, since: str | None) -> Beginning:
    from prog_infra.commands._instants import past
    from prog_infra.errors import OperatorError

    if since is None:
        return Beginning(from_start)
    if from_start:
        raise OperatorError("--from-start and --since name two beginnings", remedy="give one of them")
    return Beginning(since=past(since, datetime.now(UTC)))


async def _tail(
    topics: list[str], wanted: Wanted, beginning: Beginning, count: int, data: Path | None, as_json: bool
) -> None:
    from prog_broker.transport import open_transport
    from prog_infra import local

    chosen = _chosen(topics)
    transport = open_transport(local.settings(data))
    seen = 0
    try:
        async for topic, partition, delivery in transport.follow(
            chosen, from_start=beginning.from_start, since=beginning.since
        ):
            if not wanted.allows(delivery):
                continue
            typer.echo(_line(topic.stream(partition), delivery, as_json))
            seen += 1
            if count and seen >= count:
                return
    finally:
        await transport.close()


def _chosen(names: list[str]) -> list[Topic]:
    from prog_contracts.topics import TOPICS
    from prog_infra.errors import OperatorError

    unknown = [name for name in names if name not in TOPICS]
    if unknown:
        raise OperatorError(f"there is no topic {', '.join(unknown)}", remedy=f"choose from {', '.join(TOPICS)}")
    return [TOPICS[name] for name in names] or list(TOPICS.values())


def _line(stream: str, delivery: Delivery, as_json: bool) -> str:
    from prog_contracts.envelope import Envelope

    try:
        envelope = Envelope.parse(delivery.attributes, delivery.data)
    except ValueError as error:
        return json.dumps({"undecodable": str(error)}) if as_json else f"{stream}  undecodable: {error}"
    if as_json:
        return json.dumps(envelope.json(), ensure_ascii=False)
    body = envelope.data.decode(errors="backslashreplace")
    return f"{envelope.time:%H:%M:%S.%f}  {stream:<28}  {envelope.type.removeprefix('prognetwork.'):<34}  {body[:400]}"
