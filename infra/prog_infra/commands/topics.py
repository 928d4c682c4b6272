"""Make the topics that the broker needs, and show what is in them."""

import asyncio
import json

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def topics() -> None:
    """Make the topics that the broker needs."""


@app.command()
def sync(as_json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """Make every topic and consumer group of the topic table that the broker lacks. Safe to run at any time.

    On Redis a topic is streams, and workers make their groups themselves; doing it first lets nothing be missed when
    producers start before consumers.
    """
    made = asyncio.run(_sync())
    if as_json:
        typer.echo(json.dumps({"ok": True, "groups_made": made}))
    else:
        typer.echo(f"The topics are in order: {made} consumer groups made.")


async def _sync() -> int:
    from prog_broker.redis.connection import OUTAGES, connect
    from prog_broker.redis.streams import ensure_groups
    from prog_contracts.topics import TOPICS
    from prog_infra import local
    from prog_infra.errors import OperatorError

    client = connect(local.settings().effective_broker_url, max_connections=4)
    try:
        return await ensure_groups(client, TOPICS.values())
    except OUTAGES as error:
        raise OperatorError(f"the broker does not answer: {error}", remedy="check PROG_BROKER_URL") from None
    finally:
        await client.aclose()
