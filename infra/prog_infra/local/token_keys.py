"""The keys that sign tokens, as an operator at the command line sees and replaces them."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from prog_contracts.token_keys import RotateSigningKey, SignedKind
from prog_infra.local.commands import ask, edge_database
from prog_kit.settings import Settings
from prog_workers.users import queries

KINDS: Final[tuple[SignedKind, ...]] = ("access", "id")


def published(settings: Settings) -> Sequence[queries.PublicKey]:
    """The keys whose tokens may still be good, newest first. Raises OperatorError when the database does not answer."""
    return asyncio.run(_published(settings))


def rotate(tokens: SignedKind, reason: str, *, withdraw: bool, settings: Settings) -> dict[str, Any]:
    """Have the platform sign these tokens with a new key; what it says of it: `tokens`, `kid`, `retired`, `withdrawn`.

    Raises OperatorError when it refuses or does not answer.
    """
    command = RotateSigningKey(tokens=tokens, reason=reason, withdraw=withdraw)
    return asyncio.run(_rotate(command, settings))


async def _published(settings: Settings) -> Sequence[queries.PublicKey]:
    async with edge_database(settings) as database, database.scope() as connection:
        return await queries.signing_keys(connection)


async def _rotate(command: RotateSigningKey, settings: Settings) -> dict[str, Any]:
    async with edge_database(settings) as database:
        return await ask(settings, database, command, "prog keys", f"the key of {command.tokens} tokens stays")
