"""Follow topics: every message as it passes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from prog_broker.ports import Delivery
    from prog_contracts.topics import Topic

app = typer.Typer()

QUIET_SECONDS: Final = 2.0
"""Where nothing comes for so long, the reader is told that it waits."""


@app.command()
def tail(
    topics: list[str] = typer.Argument(None, metavar="TOPIC", help="Such as prog.users.events; all by default."),
    from_start: bool = typer.Option(False, "--from-start", help="Begin with what the broker still holds."),
    since: str = typer.Option(
        None, "--since", metavar="TIME|DURATION", help="Begin at a time (UTC), or so long ago: 90s, 15m, 2h, 1d."
    ),
    types: list[str] = typer.Option([], "--type", help="These message types alone; may be given several times."),
    tenant: str = typer.Option(None, "--tenant", help="Messages of one tenant."),
    subject: str = typer.Option(None, "--subject", help="Messages about one object."),
    count: int = typer.Option(0, "--count", min=0, help="End after so many messages; 0 follows until Ctrl-C."),
    no_follow: bool = typer.Option(False, "--no-follow", help="End behind what the broker holds now."),
    data: Path = typer.Option(None, "--data", help="The data directory of the platform to talk to."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line (CloudEvents, structured mode)."),
) -> None:
    """Print messages as they pass, without taking them from any consumer."""
    try:
        wanted = Wanted(frozenset(types), tenant, subject)
        asyncio.run(_tail(topics or [], wanted, _extent(from_start, since, count, no_follow), data, as_json))
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
class Extent:
    """From where to where: from what the broker still holds, from a time, or (neither) from now; until so many messages
    were shown (0: until Ctrl-C), or until what the broker holds now has passed.
    """

    from_start: bool = False
    since: datetime | None = None
    count: int = 0
    until_now: bool = False


def _extent(from_start: bool, since: str | None, count: int, no_follow: bool) -> Extent:
    from prog_infra.commands._instants import past
    from prog_infra.errors import OperatorError

    if since is not None and from_start:
        raise OperatorError("--from-start and --since name two beginnings", remedy="give one of them")
    if no_follow and since is None and not from_start:
        raise OperatorError("--no-follow ends where it begins, at now", remedy="add --from-start or --since")
    return Extent(from_start, None if since is None else past(since, datetime.now(UTC)), count, no_follow)


async def _tail(topics: list[str], wanted: Wanted, extent: Extent, data: Path | None, as_json: bool) -> None:
    from prog_broker.transport import open_transport
    from prog_infra import local

    chosen = _chosen(topics)
    transport = open_transport(local.settings(data))
    progress = _Progress(extent)
    try:
        async for topic, partition, delivery in transport.follow(
            chosen, from_start=extent.from_start, since=extent.since, until_now=extent.until_now
        ):
            if not wanted.allows(delivery):
                continue
            typer.echo(_line(topic.stream(partition), delivery, as_json))
            if progress.counts_to_the_end():
                return
    finally:
        progress.close()
        await transport.close()


class _Progress:
    """Counts what was shown, and says that it waits: for the first message, or when fewer come than were asked for."""

    def __init__(self, extent: Extent) -> None:
        self._wanted = extent.count
        self._shown = 0
        self._notice: asyncio.TimerHandle | None = None
        if not extent.until_now:
            self._wait()

    def counts_to_the_end(self) -> bool:
        self._shown += 1
        if self._notice is not None:
            self._notice.cancel()
            if self._wanted:
                self._wait()
        return self._shown == self._wanted

    def close(self) -> None:
        if self._notice is not None:
            self._notice.cancel()

    def _wait(self) -> None:
        self._notice = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._say)

    def _say(self) -> None:
        self._notice = None
        so_far = f"{self._shown} of {self._wanted} so far, waiting for more" if self._wanted else "waiting for messages"
        typer.echo(
            f"prog: {so_far} - Ctrl-C ends; --from-start begins with what the broker holds, --no-follow ends behind it",
            err=True,
        )


def _chosen(names: list[str]) -> list[Topic]:
    from prog_contracts.topics import TOPICS
    from prog_infra.commands._messages import nearest
    from prog_infra.errors import OperatorError

    for name in names:
        if name not in TOPICS:
            raise OperatorError(
                f"there is no topic {name}", remedy=nearest(name, TOPICS, see=f"choose from {', '.join(TOPICS)}")
            )
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
