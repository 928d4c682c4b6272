"""Print the addresses of the platform that runs here, for a shell to take over."""

import json
import shlex
from pathlib import Path
from typing import Final

import typer

app = typer.Typer()

ADDRESSES: Final = ("PROG_BROKER_URL", "PROG_PUBLIC_URL")


@app.command()
def env(
    names: list[str] = typer.Argument(None, metavar="NAME", help="Other settings, such as PROG_DATABASE_URL."),
    data: Path = typer.Option(None, "--data", help="The data directory of the platform to talk to."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Print where broker and API are: `eval "$(prog env)"` lets the programs of that shell find them.

    A setting that is named is printed as it is, secrets too. Exit code 1 when the platform has none of that name.
    """
    from prog_infra import local
    from prog_infra.errors import OperatorError

    known = local.known_environment(data)
    if redis := known.get("PROG_REDIS_URL"):
        known.setdefault("PROG_BROKER_URL", redis)
    wanted = names or [name for name in ADDRESSES if name in known]
    if missing := [name for name in wanted if name not in known]:
        raise OperatorError(f"{missing[0]} is not set here", remedy="infra/SETTINGS.md has every name")
    if as_json:
        typer.echo(json.dumps({name: known[name] for name in wanted}))
        return
    for name in wanted:
        typer.echo(f"export {name}={shlex.quote(known[name])}")
