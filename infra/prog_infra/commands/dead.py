"""Dead letters: list and show them, run them again, or drop them."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import typer

app = typer.Typer(no_args_is_help=True, help="Dead letters: messages that were given up, with the reason.")

DATA = typer.Option(None, "--data", help="The data directory of the platform to talk to.")
AS_JSON = typer.Option(False, "--json", help="Print JSON.")


CONSUMER: str | None = typer.Option(None, "--consumer", help="Those of one consumer group.")
CAUSE: str | None = typer.Option(
    None, "--group", metavar="FINGERPRINT", help="Those with one cause (`prog dead groups`)."
)
BY = typer.Option("prog dead", "--by", help="Who decided, for the history.")


@app.command()
def groups(consumer: str | None = CONSUMER, data: Path = DATA, as_json: bool = AS_JSON) -> None:
    """Open dead letters by cause, the largest group first."""
    from prog_workers.events import queries

    found = asyncio.run(_as_operator(data, lambda c: queries.dead_letter_groups(c, group=consumer)))
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({"data": [asdict(group) for group in found]}, default=str))
        return
    if not found:
        typer.echo("No dead letters.")
    for group in found:
        name = (group.type or "undecodable").removeprefix("prognetwork.")
        seen = f"{group.first_at:%m-%d %H:%M} to {group.last_at:%m-%d %H:%M}"
        cause = f"{group.code}: {group.reason[:100]}"
        typer.echo(f"{group.fingerprint}  {group.count:>6}  {group.consumer_group:<10}  {name:<32}  {seen}  {cause}")


@app.command("list")
def list_letters(
    every: bool = typer.Option(False, "--all", help="Those that were decided too."),
    consumer: str | None = CONSUMER,
    cause: str | None = CAUSE,
    type_name: str = typer.Option(None, "--type", help="Those of one message type."),
    tenant: str = typer.Option(None, "--tenant", help="Those of one tenant."),
    limit: int = typer.Option(50, "--limit", min=1, max=500),
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """The newest dead letters, those with one cause sharing a fingerprint."""
    from prog_workers.events import queries

    page = asyncio.run(
        _as_operator(
            data,
            lambda c: queries.dead_letters(
                c, state=None if every else "open", group=consumer, fingerprint=cause, type_name=type_name,
                tenant_id=tenant, limit=limit,
            ),
        )
    )  # fmt: skip
    letters = page.rows
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({"data": [asdict(letter) for letter in letters]}, default=str))
        return
    if not letters:
        typer.echo("No dead letters.")
    for letter in letters:
        name = (letter.type or "undecodable").removeprefix("prognetwork.")
        when, why = f"{letter.recorded_at:%Y-%m-%d %H:%M:%S}", f"{letter.code}: {letter.reason[:120]}"
        who = f"{letter.consumer_group:<10}  {name:<32}"
        typer.echo(f"{letter.id}  {when}  {letter.state:<8}  {who}  {letter.fingerprint}  {why}")


@app.command()
def show(letter_id: str = typer.Argument(metavar="ID"), data: Path = DATA, as_json: bool = AS_JSON) -> None:
    """All of one dead letter: message, reason, traceback, history."""
    from prog_broker import dead_letters

    letter = asyncio.run(_as_operator(data, lambda c: dead_letters.shown(c, _uuid(letter_id))))
    if as_json:
        typer.echo(json.dumps(letter, default=str))
        return
    for name, value in letter.items():
        if name != "traceback" and value is not None:
            typer.echo(f"{name:<16}{value}")
    if letter["traceback"]:
        typer.echo(f"\n{letter['traceback']}")


@app.command()
def redrive(
    letter_id: str | None = typer.Argument(None, metavar="ID"),
    cause: str | None = CAUSE,
    body: str | None = typer.Option(None, "--body", help="A mended JSON body, for a single one."),
    by: str = BY,
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """Run a message again, first in the line of its key, or all messages with one cause."""
    from prog_broker import dead_letters

    if cause is not None:
        if body is not None:
            raise typer.BadParameter("a body mends a single letter: give its ID")
        _decide_group(
            data, letter_id, cause, as_json, "run again", lambda d, ids: dead_letters.redrive_all(d, ids, by=by)
        )
        return
    mended = None if body is None else body.encode()
    _decide_one(data, letter_id, as_json, "runs again", lambda d, i: dead_letters.redrive(d, i, by=by, body=mended))


@app.command()
def drop(
    letter_id: str | None = typer.Argument(None, metavar="ID"),
    cause: str | None = CAUSE,
    by: str = BY,
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """Give a message up for good, or all with one cause; those behind it go on."""
    from prog_broker import dead_letters

    if cause is not None:
        _decide_group(
            data, letter_id, cause, as_json, "are dropped", lambda d, ids: dead_letters.drop_all(d, ids, by=by)
        )
        return
    _decide_one(data, letter_id, as_json, "is dropped", lambda d, i: dead_letters.drop(d, i, by=by))


def _decide_one(
    data: Path | None, letter_id: str | None, as_json: bool, words: str, decide: Callable[[Any, UUID], Any]
) -> None:
    if letter_id is None:
        raise typer.BadParameter("give the ID of a letter, or --group FINGERPRINT")
    asyncio.run(_as_group(data, letter_id, decide))
    if as_json:
        typer.echo(json.dumps({"done": [letter_id], "refused": []}))
    else:
        typer.echo(f"{letter_id} {words}.")


def _decide_group(
    data: Path | None, letter_id: str | None, cause: str, as_json: bool, words: str, decide: Callable[[Any, Any], Any]
) -> None:
    """Decides about all open letters with one cause, a thousand at a time; 1 when one was refused."""
    if letter_id is not None:
        raise typer.BadParameter("give the ID of a letter or --group FINGERPRINT, not both")
    done, refused = asyncio.run(_together(data, cause, decide))
    if as_json:
        told = [{"id": str(i), "code": error.code, "message": error.message} for i, error in refused]
        typer.echo(json.dumps({"done": [str(i) for i in done], "refused": told}))
    else:
        typer.echo(f"{len(done)} {words}.")
        for identity, error in refused:
            typer.echo(f"{identity} is refused: {error.message}", err=True)
    if refused:
        raise typer.Exit(1)


async def _together(data: Path | None, cause: str, decide: Callable[[Any, Any], Any]) -> tuple[list[UUID], list[Any]]:
    import prog_contracts.catalogue  # noqa: F401 - fills the registry
    from prog_broker import dead_letters
    from prog_infra import local
    from prog_infra.errors import OperatorError
    from prog_kit.database import Database
    from prog_workers.events import queries

    found = await _as_operator(data, queries.dead_letter_groups)
    names = [group.consumer_group for group in found if group.fingerprint == cause]
    if not names:
        raise OperatorError(f"no open dead letter has the cause {cause[:64]}", remedy="see `prog dead groups`")
    database = await Database.connect(local.settings(data).database_url, f"prog_{names[0]}", max_size=1)
    done: list[UUID] = []
    refused: list[Any] = []
    try:
        more = True
        while more:
            letter_ids = await dead_letters.of_cause(database, names[0], cause)
            decided = await decide(database, letter_ids)
            done += decided.done
            refused += decided.refused
            more = decided.more and bool(decided.done)
    finally:
        await database.close()
    return done, refused


async def _as_operator(data: Path | None, read: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    from prog_infra import local
    from prog_kit.database import Database

    database = await Database.connect(local.settings(data).database_url, "prog_edge", max_size=1)
    try:
        async with database.operator() as connection:
            return await read(connection)
    finally:
        await database.close()


async def _as_group(
    data: Path | None, letter_id: str, decide: Callable[[Any, UUID], Coroutine[Any, Any, None]]
) -> None:
    import prog_contracts.catalogue  # noqa: F401 - fills the registry
    from prog_broker import dead_letters
    from prog_infra import local
    from prog_kit.database import Database

    letter = await _as_operator(data, lambda c: dead_letters.shown(c, _uuid(letter_id)))
    role = f"prog_{letter['consumer_group']}"
    database = await Database.connect(local.settings(data).database_url, role, max_size=1)
    try:
        await decide(database, _uuid(letter_id))
    finally:
        await database.close()


def _uuid(text: str) -> UUID:
    from prog_infra.errors import OperatorError

    try:
        return UUID(text)
    except ValueError:
        raise OperatorError(f"{text!r} is no dead letter's id", remedy="see `prog dead list`") from None
