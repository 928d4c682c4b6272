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


@app.command("list")
def list_letters(
    every: bool = typer.Option(False, "--all", help="Those that were decided too."),
    limit: int = typer.Option(50, "--limit", min=1, max=1000),
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """The newest dead letters, those with one cause sharing a fingerprint."""
    from prog_broker import dead_letters

    states = ("open", "redriven", "dropped") if every else ("open",)
    letters = asyncio.run(_as_operator(data, lambda c: dead_letters.listed(c, states=states, limit=limit)))
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({"data": [asdict(letter) for letter in letters]}, default=str))
        return
    if not letters:
        typer.echo("No dead letters.")
    for letter in letters:
        name = (letter.type or "undecodable").removeprefix("prognetwork.")
        when, cause = f"{letter.recorded_at:%Y-%m-%d %H:%M:%S}", f"{letter.code}: {letter.reason[:120]}"
        who = f"{letter.consumer_group:<10}  {name:<32}"
        typer.echo(f"{letter.id}  {when}  {letter.state:<8}  {who}  {letter.fingerprint}  {cause}")


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
    letter_id: str = typer.Argument(metavar="ID"),
    body: str | None = typer.Option(None, "--body", help="A mended JSON body."),
    by: str = typer.Option("prog dead", "--by", help="Who decided, for the history."),
    data: Path = DATA,
) -> None:
    """Run the message again, first in the line of its key."""
    from prog_broker import dead_letters

    mended = None if body is None else body.encode()
    asyncio.run(_as_group(data, letter_id, lambda d, i: dead_letters.redrive(d, i, by=by, body=mended)))
    typer.echo(f"{letter_id} runs again.")


@app.command()
def drop(
    letter_id: str = typer.Argument(metavar="ID"),
    by: str = typer.Option("prog dead", "--by", help="Who decided, for the history."),
    data: Path = DATA,
) -> None:
    """Give the message up for good; those behind it go on."""
    from prog_broker import dead_letters

    asyncio.run(_as_group(data, letter_id, lambda d, i: dead_letters.drop(d, i, by=by)))
    typer.echo(f"{letter_id} is dropped.")


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
