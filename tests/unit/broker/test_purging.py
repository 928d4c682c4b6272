"""A purge that the database stops tells why, so that it is tried again and does not end as a defect."""

from __future__ import annotations

from typing import Any, cast

import asyncpg
import pytest

from prog_broker.purging import purge_rows
from prog_broker.transaction import Transaction


class Deadlocked:
    """A transaction whose DELETE loses to another one; after that it takes no statement, as in PostgreSQL."""

    tenant_id = "tenant_1"
    domain = "email"

    def __init__(self) -> None:
        self.failed = False

    async def execute(self, query: str, *values: Any) -> str:
        if self.failed:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        if query.startswith("DELETE FROM email.mails"):
            self.failed = True
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return "DELETE 0"


async def test_what_stopped_a_purge_is_not_hidden_by_what_follows_from_it() -> None:
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await purge_rows(cast("Transaction", Deadlocked()), ("email.mails",))
