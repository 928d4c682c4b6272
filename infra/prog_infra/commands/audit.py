"""The audit trail: verify it, look into it, take it elsewhere."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from prog_kit.database import Connection

app = typer.Typer(no_args_is_help=True, help="The audit trail: verify it, look into it, take it elsewhere.")

DATA = typer.Option(None, "--data", help="The data directory of the platform to talk to.")
AS_JSON = typer.Option(False, "--json", help="Print JSON.")
TENANT: str | None = typer.Option(None, "--tenant", help="The chain of one tenant.")


@app.command()
def verify(
    tenant: str | None = TENANT,
    against: Path | None = typer.Option(
        None, "--against", metavar="FILE", help="What an earlier `prog audit verify --json` printed."
    ),
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """Compute every hash anew, and tell which entries are not as they were written. Exit code 1 if any is not.

    Keep what --json prints on another machine: with --against it also tells a chain that was made anew in whole.
    """
    import time

    started = time.perf_counter()
    chains = asyncio.run(_verified(data, tenant, against, show=not as_json and sys.stderr.isatty()))
    seconds = time.perf_counter() - started
    entries = sum(chain.entries for chain in chains)
    broken = [chain for chain in chains if not chain.intact]
    if as_json:
        told = [
            {
                "tenant_id": chain.tenant_id,
                "sequence": chain.sequence,
                "hash": chain.hash.hex(),
                "entries": chain.entries,
                "signed_sequence": chain.signed_sequence,
                "unknown_keys": chain.unknown_keys,
                "erased_origins": chain.erased_origins,
                "old_origins": chain.old_origins,
                "findings": [{"kind": f.kind, "sequence": f.sequence, "message": f.message} for f in chain.findings],
                "more_findings": chain.truncated,
            }
            for chain in chains
        ]
        typer.echo(json.dumps({"intact": not broken, "entries": entries, "seconds": round(seconds, 3), "data": told}))
    else:
        for chain in broken:
            for finding in chain.findings:
                typer.echo(f"{chain.tenant_id}  {finding.kind:<18}  {finding.message}")
            if chain.truncated:
                typer.echo(f"{chain.tenant_id}  and more")
        unsigned = sum(chain.sequence - chain.signed_sequence for chain in chains if chain.intact)
        words = "intact" if not broken else f"{len(broken)} of them not as they were written"
        chains_words = f"{len(chains)} chain{'' if len(chains) == 1 else 's'}"
        typer.echo(
            f"{entries} entries in {chains_words}: {words}. {unsigned} since the last signed checkpoint."
            f" {seconds:.1f} s."
        )
    if broken:
        raise typer.Exit(1)


@app.command("list")
def list_entries(
    tenant: str | None = TENANT,
    actor: str | None = typer.Option(None, "--actor", help="What one person, key or process did."),
    action: str | None = typer.Option(None, "--action", help="An action, or the beginning of some, such as 'users.*'."),
    outcome: str | None = typer.Option(None, "--outcome", help="success, failure or denial."),
    subject: str | None = typer.Option(None, "--subject", help="What was done to one object."),
    limit: int = typer.Option(50, "--limit", min=1, max=500),
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """The newest entries, of all tenants or of one."""
    if outcome not in (None, "success", "failure", "denial"):
        raise typer.BadParameter("an outcome is success, failure or denial")
    rows = asyncio.run(
        _listed(data, tenant_id=tenant, actor=actor, action=action, outcome=outcome, subject=subject, limit=limit)
    )
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({"data": [{**asdict(row), "hash": row.hash.hex()} for row in rows]}, default=str))
        return
    if not rows:
        typer.echo("No entries.")
    for row in rows:
        who = row.actor or row.client_address or row.actor_kind
        why = "" if row.code is None else f"  {row.code}{f' ({row.permission})' if row.permission else ''}"
        many = "" if row.count == 1 else f"  x{row.count}"
        what = f"{row.outcome:<7}  {row.action:<36}  {who:<31}  {row.subject or '-'}"
        typer.echo(f"{row.at:%Y-%m-%d %H:%M:%S}  {what}{why}{many}")


@app.command()
def export(
    file: Path = typer.Argument(metavar="FILE", help="Where the lines go; it must not be there yet."),
    tenant: str | None = TENANT,
    data: Path = DATA,
    as_json: bool = AS_JSON,
) -> None:
    """Write whole chains as JSON lines: each an entry's canonical form, as it is hashed, and its hash."""
    from prog_infra.errors import OperatorError

    try:
        with file.open("x", encoding="utf-8") as out:
            count = asyncio.run(_exported(data, tenant, out))
    except FileExistsError:
        raise OperatorError(f"{file} is there already", remedy="name a new file") from None
    typer.echo(json.dumps({"file": str(file), "entries": count}) if as_json else f"{count} entries in {file}.")


async def _verified(data: Path | None, tenant: str | None, against: Path | None, *, show: bool) -> list[Any]:
    from prog_infra import local
    from prog_workers.events.audit.signing import Signer
    from prog_workers.events.audit.verifying import verify as verify_chains

    settings = local.settings(data)
    signer = Signer(settings.secret_keys)
    days = settings.audit_origin_days
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    anchors = None if against is None else _anchors(against)
    chains: dict[str, Any] = {}
    async with _snapshot(data) as connection:
        async for chain in verify_chains(connection, signer, tenant_id=tenant, anchors=anchors, origins_since=since):
            chains[chain.tenant_id] = chain
            if show:
                done = sum(each.entries for each in chains.values())
                sys.stderr.write(f"\r{done} entries, {len(chains)} chains ")
    if show:
        sys.stderr.write("\r\033[K")
    return list(chains.values())


def _anchors(file: Path) -> dict[str, Any]:
    from prog_infra.errors import OperatorError
    from prog_workers.events.audit.verifying import anchors_of

    try:
        return dict(anchors_of(json.loads(file.read_text(encoding="utf-8"))["data"]))
    except FileNotFoundError:
        raise OperatorError(f"there is no {file}", remedy="keep what `prog audit verify --json` prints") from None
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(
            f"{file} is not what `prog audit verify --json` prints: {error}", remedy="name the right file"
        ) from None


async def _listed(data: Path | None, **filters: Any) -> Any:
    from prog_workers.events import queries

    async with _snapshot(data) as connection:
        return (await queries.audit_entries(connection, **filters)).rows


async def _exported(data: Path | None, tenant: str | None, out: Any) -> int:
    from prog_workers.events.audit.verifying import entries

    count = 0
    async with _snapshot(data) as connection:
        async for entry, digest in entries(connection, tenant_id=tenant):
            text = entry.canonical().decode()
            out.write(f'{text[:-1]},"hash":"{digest.hex()}"}}\n')
            count += 1
    return count


@asynccontextmanager
async def _snapshot(data: Path | None) -> "AsyncIterator[Connection]":
    """All tenants' rows as they are at one instant, to read."""
    from prog_infra import local
    from prog_kit.database import Database

    database = await Database.connect(local.settings(data).database_url, "prog_edge", max_size=1)
    try:
        async with (
            database.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute("SET LOCAL ROLE prog_operator")
            yield connection
    finally:
        await database.close()
