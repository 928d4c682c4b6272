"""Break-glass commands about people: sent by the same way as every other write, by a process and not by a person."""

import asyncio

from prog_contracts.errors import Invalid
from prog_contracts.ids import new_id
from prog_contracts.inputs import normalize_email
from prog_contracts.second_factors import ResetSecondFactor
from prog_contracts.users import EnsureAdministrator
from prog_infra.errors import OperatorError
from prog_infra.local.commands import ask, edge_database
from prog_kit.secrets import PASSWORD, Sealer
from prog_kit.settings import Settings
from prog_workers.users import queries


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
    async with edge_database(settings) as database:
        await ask(settings, database, command, "prog up", f"the operator {email} could not be made")


async def _reset_second_factor(email: str, reason: str, settings: Settings) -> None:
    failed = f"the second factor of {email} could not be removed"
    try:
        address = normalize_email(email)
    except Invalid as error:
        raise OperatorError(
            f"{failed}: {error.message}", remedy="give the address that the person signs in with"
        ) from None
    async with edge_database(settings) as database:
        async with database.operator() as connection:
            found = await queries.list_users(connection, email_prefix=address)
        user_id = next((row.user_id for row in found.rows if row.email == address), None)
        if user_id is None:
            raise OperatorError(f"{failed}: there is no such account", remedy="give the address that they sign in with")
        await ask(settings, database, ResetSecondFactor(user_id=user_id, reason=reason), "prog admin", failed)
