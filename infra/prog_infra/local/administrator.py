"""The first administrator: asked for once, by the same command on the same way as every other write."""

import asyncio

from prog_broker.client import CommandClient
from prog_broker.redis.connection import connect
from prog_broker.transport import open_transport
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.users import EnsureAdministrator
from prog_infra.errors import OperatorError
from prog_kit.database import Database
from prog_kit.secrets import PASSWORD, Sealer
from prog_kit.settings import Settings

WAIT_SECONDS = 45.0


def ensure(email: str, password: str, *, name: str = "Administrator", settings: Settings | None = None) -> None:
    """Have the platform make this operator unless it has one with this address; returns when it has said so.

    Raises OperatorError when it refuses or does not answer.
    """
    asyncio.run(_ensure(email, password, name, settings or Settings.load()))


async def _ensure(email: str, password: str, name: str, settings: Settings) -> None:
    sealer = Sealer(settings.secret_keys)
    transport = open_transport(settings)
    client = connect(settings.signals_url, max_connections=4)
    database = await Database.connect(settings.database_url, "prog_edge", max_size=2)
    command = EnsureAdministrator(
        user_id=new_id("user"), email=email, name=name, sealed_password=sealer.seal(password, PASSWORD)
    )
    try:
        async with CommandClient(
            client, database, sealer, publisher=transport.publisher, source="/prognetwork/up"
        ) as commands:
            answer = await commands.request(
                command, tenant_id=PLATFORM_TENANT_ID, actor="prog up", wait_seconds=WAIT_SECONDS
            )
    finally:
        await database.close()
        await transport.close()
        await client.aclose()
    if answer.status != "succeeded":
        reason = answer.error.message if answer.error is not None else "nobody has answered yet"
        raise OperatorError(
            f"the operator {email} could not be made: {reason}", remedy="see the log of the users worker"
        )
