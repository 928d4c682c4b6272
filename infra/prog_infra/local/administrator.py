"""Break-glass commands about people: sent by the same way as every other write, by a process and not by a person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prog_broker.client import CommandClient
from prog_broker.redis.connection import connect
from prog_broker.transport import open_transport
from prog_contracts.errors import Invalid
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.inputs import normalize_email
from prog_contracts.messages import Command
from prog_contracts.second_factors import ResetSecondFactor
from prog_contracts.users import EnsureAdministrator
from prog_infra.errors import OperatorError
from prog_kit.database import Database
from prog_kit.secrets import PASSWORD, Sealer
from prog_kit.settings import Settings
from prog_workers.users import queries

WAIT_SECONDS = 45.0


def ensure(email: str, password: str, *, name: str = "Administrator", settings: Settings | None = None) -> None:
    """Have the platform make this operator unless it has one with this address; returns when it has said so.

    Raises OperatorError when it refuses or does not answer.
    """
    asyncio.run(_ensure(email, password, name, settings or Settings.load()))


def reset_second_factor(email: str, reason: str, *, settings: Settings) -> None:
    """Have the platform take a person's second factor away; returns when it has said so. Raises OperatorError."""
    asyncio.run(_reset_second_factor(email, reason, settings))


async def _ensure(email: str, password: str, name: str, settings: Settings) -> None:
    sealed = Sealer(settings.secret_keys).seal(password, PASSWORD)
    command = EnsureAdministrator(user_id=new_id("user"), email=email, name=name, sealed_password=sealed)
    async with _database(settings) as database:
        await _ask(settings, database, command, "prog up", f"the operator {email} could not be made")


async def _reset_second_factor(email: str, reason: str, settings: Settings) -> None:
    failed = f"the second factor of {email} could not be removed"
    try:
        address = normalize_email(email)
    except Invalid as error:
        raise OperatorError(
            f"{failed}: {error.message}", remedy="give the address that the person signs in with"
        ) from None
    async with _database(settings) as database:
        async with database.operator() as connection:
            found = await queries.list_users(connection, email_prefix=address)
        user_id = next((row.user_id for row in found.rows if row.email == address), None)
        if user_id is None:
            raise OperatorError(f"{failed}: there is no such account", remedy="give the address that they sign in with")
        await _ask(settings, database, ResetSecondFactor(user_id=user_id, reason=reason), "prog admin", failed)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    database = await Database.connect(settings.database_url, "prog_edge", max_size=2)
    try:
        yield database
    finally:
        await database.close()


async def _ask(settings: Settings, database: Database, command: Command, actor: str, failed: str) -> None:
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
