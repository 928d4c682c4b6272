"""Bring the database's schema up to this version."""

import asyncio
import json
from pathlib import Path

import typer

app = typer.Typer()


@app.command()
def migrate(
    data: Path = typer.Option(None, "--data", help="The data directory of the platform to talk to."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Apply the migrations that PROG_DATABASE_URL's database lacks, each in one transaction.

    Safe to run at any time and by several at once. Refuses a database that is newer than this version.
    """
    from prog_infra import local, migrations

    applied = asyncio.run(migrations.migrate(local.database_url(data)))
    if as_json:
        typer.echo(json.dumps({"ok": True, "applied": [str(migration) for migration in applied]}))
    else:
        for migration in applied:
            typer.echo(f"applied {migration}")
        done = "1 migration" if len(applied) == 1 else f"{len(applied) or 'no'} migrations"
        typer.echo(f"The schema is current: {done} applied, {len(migrations.known())} in all.")
