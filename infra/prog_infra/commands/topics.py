"""Make the topics that the broker needs."""

import asyncio
import json
from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def topics() -> None:
    """Make the topics that the broker needs."""


@app.command()
def sync(
    data: Path = typer.Option(None, "--data", help="The data directory of the platform to talk to."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Make what the topic table names and the broker lacks. Safe to run at any time.

    On Kafka that is the topics with their partitions and retention. On Redis a topic is streams with a group for each
    consumer, at the very beginning; workers make theirs themselves.
    """
    made = asyncio.run(_sync(data))
    if as_json:
        typer.echo(json.dumps({"ok": True, "made": made}))
    else:
        typer.echo(f"The topics are in order: {made} made.")


async def _sync(data: Path | None) -> int:
    from prog_broker.transport import open_transport
    from prog_contracts.topics import TOPICS
    from prog_infra import local
    from prog_infra.errors import OperatorError

    transport = open_transport(local.settings(data))
    try:
        return await transport.ensure(TOPICS.values())
    except transport.outages as error:
        raise OperatorError(f"the broker does not answer: {error}", remedy="check PROG_BROKER_URL") from None
    finally:
        await transport.close()
