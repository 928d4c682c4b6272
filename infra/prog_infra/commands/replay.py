"""Replays: run messages of the event log again in a consumer group."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import typer

app = typer.Typer(no_args_is_help=True, help="Replays: run messages of the event log again in a consumer group.")

DATA = typer.Option(None, "--data", help="The data directory of the platform to talk to.")
AS_JSON = typer.Option(False, "--json", help="Print JSON.")
BY = typer.Option("prog replay", "--by", help="Who decided, for the history.")
FOLLOW = typer.Option(False, "--follow", help="Show the progress until it is over; 1 when it fails.")
REPLAY_ID = typer.Argument(metavar="ID")


@app.command()
def start(
    group: str = typer.Argument(metavar="GROUP", help="The consumer group, which is a domain, such as events."),
    reason: str = typer.Option(..., "--reason", help="Why; others will read it."),
    types: list[str] = typer.Option([], "--type", help="These event types alone; may be given several times."),
    tenant: str = typer.Option(None, "--tenant", help="The events of one tenant."),
    subject: str = typer.Option(None, "--subject", help="The events about one object."),
    stream: str = typer.Option(None, "--stream", help="The events of one stream."),
    start_position: int = typer.Option(None, "--from-position", min=0, help="The first position of the log."),
    end_position: int = typer.Option(None, "--to-position", min=0, help="The last one."),
    start_time: datetime = typer.Option(None, "--from", help="Recorded at this time (UTC) or later."),
    end_time: datetime = typer.Option(None, "--to", help="Recorded before this time (UTC)."),
    reset: bool = typer.Option(False, "--reset", help="Empty the projection first, and rebuild all of it."),
    skip_failing: bool = typer.Option(False, "--skip-failing", help="Pass over messages whose handler raises."),
    follow: bool = FOLLOW,
    by: str = BY,
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """Ask for a replay. A worker of GROUP takes it up; nothing that its handlers send leaves the replay."""
    from prog_broker import replaying

    scope = replaying.Scope(
        types=tuple(types),
        tenant_id=tenant,
        subject=subject,
        stream=stream,
        from_position=start_position,
        to_position=end_position,
        from_time=_utc(start_time),
        to_time=_utc(end_time),
    )
    request = replaying.ReplayRequest(group, reason, scope, rebuild=reset, skip_failing=skip_failing)
    replaying.check_group(group)
    replay_id = asyncio.run(_as_group(data, group, lambda d: replaying.start(d, request, by=by)))
    _tell(replay_id, data, follow=follow, as_json=as_json)


@app.command("list")
def list_replays(
    group: str = typer.Option(None, "--group", help="Those of one consumer group."),
    limit: int = typer.Option(50, "--limit", min=1, max=1000),
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """The newest replays."""
    from prog_broker import replaying

    replays = asyncio.run(_as_operator(data, lambda c: replaying.listed(c, group=group, limit=limit)))
    if as_json:
        typer.echo(json.dumps({"data": [_fields(replay) for replay in replays]}))
        return
    if not replays:
        typer.echo("No replays.")
    for replay in replays:
        typer.echo(_line(replay))


@app.command()
def show(replay_id: str = REPLAY_ID, follow: bool = FOLLOW, data: Path = DATA, as_json: bool = AS_JSON) -> None:
    """One replay: what it covers, how far it is, what was decided."""
    _tell(_uuid(replay_id), data, follow=follow, as_json=as_json, whole=not follow)


@app.command()
def pause(replay_id: str = REPLAY_ID, by: str = BY, data: Path = DATA, as_json: bool = AS_JSON) -> None:
    """Stop it where it is; `resume` goes on there."""
    from prog_broker import replaying

    _decide(replay_id, data, as_json, lambda d, i: replaying.pause(d, i, by=by))


@app.command()
def resume(
    replay_id: str = REPLAY_ID,
    skip_failing: bool = typer.Option(None, "--skip-failing/--stop-at-failing", help="Change what a failure does."),
    by: str = BY,
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """Go on where it was paused, or where it failed."""
    from prog_broker import replaying

    _decide(replay_id, data, as_json, lambda d, i: replaying.resume(d, i, by=by, skip_failing=skip_failing))


@app.command()
def cancel(
    replay_id: str = REPLAY_ID,
    leave_incomplete: bool = typer.Option(
        False, "--leave-incomplete", help="Also when it has emptied a projection, which then stays incomplete."
    ),
    by: str = BY,
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """End it for good; what it did stays."""
    from prog_broker import replaying

    _decide(replay_id, data, as_json, lambda d, i: replaying.cancel(d, i, by=by, leave_incomplete=leave_incomplete))


def _decide(
    replay_id: str, data: Path | None, as_json: bool, decide: Callable[[Any, UUID], Coroutine[Any, Any, None]]
) -> None:
    from prog_broker import replaying

    identity = _uuid(replay_id)
    replay = asyncio.run(_as_operator(data, lambda c: replaying.shown(c, identity)))
    asyncio.run(_as_group(data, replay.group, lambda d: decide(d, identity)))
    _tell(identity, data, follow=False, as_json=as_json)


def _tell(replay_id: UUID, data: Path | None, *, follow: bool, as_json: bool, whole: bool = False) -> None:
    """Prints a replay: as JSON, with all that is known of it, or in the line that stands in the list."""
    from prog_broker import replaying

    if follow and not as_json:
        replay = asyncio.run(_followed(replay_id, data))
    else:
        replay = asyncio.run(_as_operator(data, lambda c: _until_over(c, replay_id) if follow
                                          else replaying.shown(c, replay_id)))  # fmt: skip
    if as_json:
        typer.echo(json.dumps(_fields(replay)))
    else:
        if whole:
            for name, value in _fields(replay).items():
                if value not in (None, [], "", False):
                    typer.echo(f"{name:<18}{value if isinstance(value, str) else json.dumps(value)}")
        else:
            typer.echo("\n".join((_line(replay), *_troubles(replay))))
        if replay.waits_for_worker:
            typer.echo(f"No process serves {replay.group}: it waits for one (`prog worker {replay.group}`).")
    if follow and replay.state != "done":
        raise typer.Exit(1)


async def _followed(replay_id: UUID, data: Path | None) -> Any:
    """Shows a bar on the terminal until the replay is over."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("replay", total=None, rate="")

        def show(replay: Any) -> None:
            rate = "" if replay.per_second is None else f"{replay.per_second:,.0f}/s"
            words = "waits for a worker" if replay.waits_for_worker else replay.state
            progress.update(task, description=words, completed=replay.done, total=replay.total, rate=rate)

        return await _as_operator(data, lambda c: _until_over(c, replay_id, show))


async def _until_over(connection: Any, replay_id: UUID, show: Callable[[Any], None] = lambda _: None) -> Any:
    from prog_broker import replaying

    while True:
        replay = await replaying.shown(connection, replay_id)
        show(replay)
        if replay.is_over or replay.state == "paused":
            return replay
        await asyncio.sleep(0.25)


def _line(replay: Any) -> str:
    when = f"{replay.requested_at:%Y-%m-%d %H:%M:%S}"
    done = f"{replay.done}" if replay.total is None else f"{replay.done}/{replay.total}"
    words = "waits for a worker" if replay.waits_for_worker else replay.state
    return f"{replay.id}  {when}  {replay.group:<10}  {words:<10}  {done:>16}  {replay.reason[:80]}"


def _troubles(replay: Any) -> list[str]:
    """What its line does not tell and nobody should miss."""
    told = [f"Messages that were passed over, since their handler raised: {replay.failed}."] if replay.failed else []
    if replay.failure is not None:
        failure = replay.failure
        at = f" {failure['type']} at position {failure['position']}," if "position" in failure else ""
        told.append(f"{'It stopped:' if replay.state == 'failed' else 'The last:'}{at} {failure['reason'][:200]}")
        told.append(f"`prog replay show {replay.id}` tells all of it.")
    return told


def _fields(replay: Any) -> dict[str, Any]:
    """A replay as JSON."""
    from dataclasses import asdict

    fields = asdict(replay)
    for name in ("cursor", "fence_txid", "token", "busy_seconds"):
        fields.pop(name)
    fields["position"] = replay.cursor[1]
    fields |= {"per_second": replay.per_second, "eta_seconds": replay.eta_seconds}
    found: dict[str, Any] = json.loads(json.dumps(fields, default=str))
    return found


async def _as_operator(data: Path | None, read: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    from prog_infra import local
    from prog_kit.database import Database

    database = await Database.connect(local.settings(data).database_url, "prog_edge", max_size=1)
    try:
        async with database.operator() as connection:
            return await read(connection)
    finally:
        await database.close()


async def _as_group(data: Path | None, group: str, write: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    from prog_infra import local
    from prog_kit.database import Database

    database = await Database.connect(local.settings(data).database_url, f"prog_{group}", max_size=1)
    try:
        return await write(database)
    finally:
        await database.close()


def _uuid(text: str) -> UUID:
    from prog_infra.errors import OperatorError

    try:
        return UUID(text)
    except ValueError:
        raise OperatorError(f"{text!r} is no replay's id", remedy="see `prog replay list`") from None


def _utc(at: datetime | None) -> datetime | None:
    from datetime import UTC

    return None if at is None else at.replace(tzinfo=UTC) if at.tzinfo is None else at
