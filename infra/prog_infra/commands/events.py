"""The event log: its months, and old ones as files."""

import asyncio
import json
from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="The event log: its months, and old ones as files.")

DATA = typer.Option(None, "--data", help="The data directory of the platform to talk to.")
AS_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def archive(
    directory: Path = typer.Argument(metavar="DIR", help="Where the files go; made if it is not there."),
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """Write the months that the scheduler has detached into DIR (JSON lines, gzip), and drop their tables."""
    from prog_infra import archiving, local

    months = asyncio.run(archiving.archive(local.settings(data).database_url, directory))
    if as_json:
        told = [{"name": m.name, "file": str(m.file), "rows": m.rows, "sha256": m.sha256} for m in months]
        typer.echo(json.dumps({"data": told}))
        return
    for month in months:
        typer.echo(f"{month.file}  {month.rows} rows  sha256 {month.sha256}")
    if not months:
        typer.echo("Nothing to archive: no month is past its time (PROG_EVENT_LOG_DAYS).")


@app.command()
def months(data: Path = DATA, as_json: bool = AS_JSON) -> None:
    """The months of the log: what is readable, what is detached, and where the rest went."""
    from prog_infra import local, migrations

    async def rows() -> list[dict[str, object]]:
        connection = await migrations.connect(local.settings(data).database_url)
        try:
            found = await connection.fetch("SELECT * FROM bus.event_partitions ORDER BY until_at")
            return [dict(row) for row in found]
        finally:
            await connection.close()

    found = asyncio.run(rows())
    if as_json:
        typer.echo(json.dumps({"data": found}, default=str))
        return
    for row in found:
        typer.echo(f"{row['name']:<20}  {row['state']:<9}  until {row['until_at']:%Y-%m-%d}  {row['file'] or ''}")
