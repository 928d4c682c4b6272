"""What live traffic leaves to a replay that rebuilds a projection.

From the reset until the replay has caught up, a live batch takes the messages of the replay's scope into the inbox and
goes on without running them: the replay reads them in the log. Both sides meet in the lease's row. A batch holds it
until its commit (`FOR KEY SHARE`); the replay takes all rows of the group when it begins and when it ends (`FOR
UPDATE`), so that no batch is half on one side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from prog_broker.replaying import records
from prog_broker.replaying.selection import Selection, modes_of
from prog_kit.database import Connection

if TYPE_CHECKING:
    from prog_broker.decoding import Incoming
    from prog_broker.domain import Domain

LOCK_REPLAY: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM bus.replays
    WHERE consumer_group = $1 AND (state IN ('pending', 'running', 'paused') OR holds_live) FOR UPDATE
) AS locked
"""
LOCK_LEASES: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM bus.shard_leases WHERE consumer_group = $1 ORDER BY topic, partition FOR UPDATE
) AS locked
"""
MARK_LEASES: Final = "UPDATE bus.shard_leases SET replay_id = $2 WHERE consumer_group = $1"


async def without_left_to_replay(
    connection: Connection, domain: Domain, replay_id: UUID, fresh: list[Incoming]
) -> list[Incoming]:
    """Of the messages that a live batch has just taken, those that it runs itself.

    The others are in the log and in the scope of the replay, which runs them. What never was in the log, as an event
    that somebody published to the broker, is live traffic's own at any time.
    """
    if not fresh:
        return fresh
    replay = await records.found(connection, replay_id)
    if not replay.holds_live:
        return fresh
    where = Selection(domain.name, replay.scope, modes_of(domain), rebuild=True).where()
    where.add("message_id = ANY ({}::uuid[])", [item.envelope.id for item in fresh])
    rows = await connection.fetch(f"SELECT message_id FROM bus.event_log WHERE {where}", *where.values)
    left = {row["message_id"] for row in rows}
    return [item for item in fresh if item.envelope.id not in left]


async def hold(connection: Connection, group: str, replay_id: UUID | None) -> None:
    """Has live batches of the group leave their messages to this replay from now on, or to nobody with None.

    Waits for batches at work; those that come meanwhile wait for the end of this transaction. So do shards that are new
    (`bus.hold_new_shard` reads the row of the replay), or their leases would say what held before.
    """
    await connection.execute(LOCK_REPLAY, group)
    await connection.execute(LOCK_LEASES, group)
    await connection.execute(MARK_LEASES, group, replay_id)
