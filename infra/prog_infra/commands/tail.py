"""Follow topics: every message as it passes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import typer

app = typer.Typer()


@app.command()
def tail(
    topics: list[str] = typer.Argument(None, metavar="TOPIC…", help="Such as prog.users.events; all by default."),
    from_start: bool = typer.Option(False, "--from-start", help="Begin with what the broker still holds."),
    count: int = typer.Option(0, "--count", min=0, help="End after so many messages; 0 follows until Ctrl-C."),
    data: Path = typer.Option(None, "--data", help="The data directory of the platform to talk to."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line (CloudEvents, structured mode)."),
) -> None:
    """Print messages as they pass, without taking them from any consumer."""
    try:
        asyncio.run(_tail(topics or [], from_start, count, data, as_json))
    except KeyboardInterrupt:
        return


async def _tail(topics: list[str], from_start: bool, count: int, data: Path | None, as_json: bool) -> None:
    from prog_broker.redis.connection import connect
    from prog_infra import local

    streams = _streams(topics)
    client = connect(local.settings(data).effective_broker_url, max_connections=2)
    positions: dict[Any, Any] = dict.fromkeys(streams, b"0-0" if from_start else b"$")
    seen = 0
    try:
        while True:
            reply: Any = await client.xread(positions, count=100, block=1000)
            for stream, batches in reply.items() if isinstance(reply, dict) else reply or []:
                entries = batches[0] if isinstance(reply, dict) else batches
                for entry_id, fields in entries:
                    positions[stream.decode()] = entry_id
                    typer.echo(_line(stream.decode(), fields, as_json))
                    seen += 1
                    if count and seen >= count:
                        return
    finally:
        await client.aclose()


def _streams(names: list[str]) -> list[str]:
    from prog_contracts.topics import TOPICS
    from prog_infra.errors import OperatorError

    unknown = [name for name in names if name not in TOPICS]
    if unknown:
        raise OperatorError(f"there is no topic {', '.join(unknown)}", remedy=f"choose from {', '.join(TOPICS)}")
    chosen = [TOPICS[name] for name in names] or list(TOPICS.values())
    return [topic.stream(partition) for topic in chosen for partition in range(topic.partitions)]


def _line(stream: str, fields: dict[bytes, bytes], as_json: bool) -> str:
    from prog_contracts.envelope import Envelope

    try:
        envelope = Envelope.parse(fields.get(b"ce", b""), fields.get(b"data", b""))
    except ValueError as error:
        return json.dumps({"undecodable": str(error)}) if as_json else f"{stream}  undecodable: {error}"
    if as_json:
        return json.dumps(envelope.json(), ensure_ascii=False)
    body = envelope.data.decode(errors="backslashreplace")
    return f"{envelope.time:%H:%M:%S.%f}  {stream:<28}  {envelope.type.removeprefix('prognetwork.'):<34}  {body[:400]}"
