"""Bring the database's schema up to this version."""

import asyncio
import json

import typer

app = typer.Typer()


@app.command()
def migrate(as_json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """Apply the migrations that PROG_DATABASE_URL's database lacks, each in one transaction.

    Safe to run at any time and by several at once. Refuses a database that is newer than this version.
    """
    from prog_infra import local, migrations

    applied = asyncio.run(migrations.migrate(local.database_url()))
    if as_json:
        typer.echo(json.dumps({"ok": True, "applied": [str(migration) for migration in applied]}))
    else:
        for migration in applied:
            typer.echo(f"applied {migration}")
        typer.echo(f"The schema is current: {len(applied)} migrations applied, {len(migrations.known())} in all.")
