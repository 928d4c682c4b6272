"""Commands that a process of the platform sends for whoever runs it: the same way as every other write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prog_broker.client import CommandClient
from prog_broker.redis.connection import connect
from prog_broker.transport import open_transport
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.messages import Command
from prog_infra.errors import OperatorError
from prog_kit.database import Database
from prog_kit.secrets import Sealer
from prog_kit.settings import Settings

WAIT_SECONDS = 45.0


@asynccontextmanager
async def edge_database(settings: Settings) -> AsyncIterator[Database]:
    """Connections of the edge's role, which reads what every page shows and may store commands."""
    database = await Database.connect(settings.database_url, "prog_edge", max_size=2)
    try:
        yield database
    finally:
        await database.close()


async def ask(settings: Settings, database: Database, command: Command, actor: str, failed: str) -> dict[str, Any]:
    """Sends a command in the name of the process `actor`; what its handler answers.

    Raises OperatorError, which begins with `failed`, when the platform refuses or does not answer.
    """
    transport = open_transport(settings)
    client = connect(settings.signals_url, max_connections=4)
    sealer = Sealer(settings.secret_keys)
    try:
        async with CommandClient(
            client, database, sealer, publisher=transport.publisher, source="/prognetwork/up"
        ) as commands:
            answer = await commands.request(
                command, tenant_id=PLATFORM_TENANT_ID, actor=actor, wait_seconds=WAIT_SECONDS
            )
    finally:
        await transport.close()
        await client.aclose()
    if answer.status != "succeeded":
        reason = answer.error.message if answer.error is not None else "nobody has answered yet"
        raise OperatorError(f"{failed}: {reason}", remedy="see the log of the users worker")
    return answer.result or {}
