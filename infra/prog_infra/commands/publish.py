"""Publish a message: a command or an event, checked against its schema."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from prog_contracts.messages import Message

app = typer.Typer()


@app.command()
def publish(
    type_name: str = typer.Argument(metavar="TYPE", help="Such as prognetwork.tenants.rename_tenant."),
    body: str = typer.Argument(
        "{}", metavar="JSON|-|@FILE", help="The body; - reads it from standard input, @FILE from a file."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Check it against its schema, and publish nothing."),
    tenant: str = typer.Option(
        None, "--tenant", help="The tenant it belongs to; by default the one whose tenant_id it has, else the platform."
    ),
    actor: str = typer.Option("prog publish", "--actor", help="Who asks, for the audit trail."),
    wait: float = typer.Option(5.0, "--wait", min=0.0, help="Seconds to wait for a command's answer; 0 does not wait."),
    data: Path = typer.Option(None, "--data", help="The data directory of the platform to talk to."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Publish TYPE with a JSON body. A command waits for its answer; an event returns when the broker holds it."""
    text = _text(body)
    if dry_run:
        from prog_infra.commands._messages import parsed

        message = parsed(type_name, text)
        checked = {
            "status": "valid",
            "type": message.TYPE,
            "version": message.VERSION,
            "partitionkey": message.partition_key,
        }
        typer.echo(json.dumps(checked) if as_json else f"valid  {message.TYPE} version {message.VERSION}")
        return
    answer = asyncio.run(_publish(type_name, text, tenant, actor, wait, data))
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        typer.echo(f"{answer['status']}  {answer['id']}")
        for name in ("result", "error"):
            if answer.get(name) is not None:
                typer.echo(json.dumps(answer[name], indent=2, ensure_ascii=False))
    if answer["status"] in ("failed", "dead"):
        raise typer.Exit(1)


def _text(body: str) -> str:
    from prog_infra.errors import OperatorError

    if body == "-":
        return sys.stdin.read()
    if not body.startswith("@"):
        return body
    try:
        return Path(body[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{body[1:]} cannot be read: {error}", remedy="give a file of JSON in UTF-8") from None


def tenant_of(message: "Message") -> str:
    """The tenant that a message is about, where it says so; else the platform."""
    from prog_contracts.ids import PLATFORM_TENANT_ID

    return str(getattr(message, "tenant_id", None) or PLATFORM_TENANT_ID)


async def _publish(
    type_name: str, text: str, tenant: str | None, actor: str, wait: float, data: Path | None
) -> dict[str, object]:
    from prog_broker.client import CommandClient
    from prog_broker.redis.connection import connect
    from prog_broker.transport import open_transport
    from prog_contracts.envelope import wrap
    from prog_contracts.messages import Command
    from prog_contracts.topics import topic_of
    from prog_infra import local
    from prog_infra.commands._messages import parsed
    from prog_kit.database import Database
    from prog_kit.secrets import Sealer

    message = parsed(type_name, text)
    settings = local.settings(data)
    redis = connect(settings.signals_url, max_connections=4)
    transport = open_transport(settings)
    tenant_id = tenant or tenant_of(message)
    try:
        if not isinstance(message, Command):
            envelope = wrap(message, tenant_id=tenant_id, source="/prognetwork/cli", actor=actor)
            await transport.publisher.send([(topic_of(message), envelope)])
            return {"status": "published", "id": str(envelope.id)}
        database = await Database.connect(settings.database_url, "prog_edge", max_size=2)
        sealer = Sealer(settings.secret_keys)
        client = CommandClient(redis, database, sealer, publisher=transport.publisher, source="/prognetwork/cli")
        async with client:
            answer = await client.request(message, tenant_id=tenant_id, actor=actor, wait_seconds=wait)
        await database.close()
        error = None if answer.error is None else answer.error.model_dump(mode="json")
        return {"status": answer.status, "id": str(answer.message_id), "result": answer.result, "error": error}
    finally:
        await transport.close()
        await redis.aclose()
