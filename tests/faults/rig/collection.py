"""Reading what a run has left: how far it is, whether it is quiet, and all its ledgers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import asyncpg
import orjson

from prog_broker.transport import open_transport
from prog_contracts.topics import TOPICS
from prog_kit.database import FAILURES
from prog_kit.settings import Settings
from tests.faults.rig import notebook
from tests.faults.rig.ledger import COMMANDS, EVENTS, Applied, Effect, Ledgers, Sent
from tests.faults.rig.stage import GROUPS, Stage

PROGRESS: Final = """
SELECT (SELECT count(*) FROM faults.applied) AS applied,
       (SELECT count(*) FROM faults.appended) AS appended,
       (SELECT count(*) FROM bus.retries) AS parked,
       (SELECT count(*) FROM bus.dead_letters WHERE state = 'open') AS dead,
       (SELECT count(*) FROM bus.command_outbox WHERE published_at IS NULL) AS outbox,
       (SELECT count(*) FROM bus.event_log, bus.relay_cursors AS c
        WHERE c.lane = 0 AND (event_log.txid, event_log.position) > (c.txid, c.position)) AS log
"""

APPLIED: Final = """
SELECT position, consumer_group, shard, key, sequence, worker, extract(epoch FROM at)::float8 AS at
FROM faults.applied ORDER BY position
"""

APPENDED: Final = """
SELECT id, key, sequence, behaviour, extract(epoch FROM at)::float8 AS at FROM faults.appended ORDER BY key, sequence
"""

DEAD: Final = "SELECT consumer_group, data FROM bus.dead_letters WHERE state <> 'redriven'"

REFUSED: Final = "SELECT consumer_group, message_id FROM bus.inbox WHERE status = 'failed'"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `waiting` is what the database still has to hand on or to handle."""

    sent: int
    applied: int
    parked: int
    dead: int
    waiting: int


async def progress(stage: Stage) -> Progress | None:
    """None while the database does not answer."""
    try:
        connection = await asyncpg.connect(stage.database_url, timeout=2)
        try:
            row = await connection.fetchrow(PROGRESS, timeout=10)
        finally:
            connection.terminate()
    except FAILURES:
        return None
    assert row is not None
    sent = row["appended"] + sum(notes_of(stage))
    return Progress(sent, row["applied"], row["parked"], row["dead"], row["outbox"] + row["log"] + row["parked"])


def notes_of(stage: Stage) -> list[int]:
    """How many commands each producer knows to be accepted, by the look of its notebook."""
    return [
        stage.notebook(actor).read_bytes().count(b'"accepted"') if stage.notebook(actor).exists() else 0
        for actor in stage.of("producer")
    ]


async def waiting_in_broker(stage: Stage) -> int | None:
    """Messages that the workers' groups have not settled; None while the broker does not answer."""
    settings = Settings(
        database_url=stage.database_url,
        redis_url=stage.redis_url,
        broker_url=stage.broker_url,
        secret_keys=(stage.secret,),
    )
    transport = open_transport(settings)
    readers = {topic.name: [group for group in GROUPS if group in topic.consumers] for topic in TOPICS.values()}
    try:
        return sum(shard.lag for shard in await transport.lags(readers))
    except transport.outages:
        return None
    finally:
        await transport.close()


async def collect(stage: Stage) -> Ledgers:
    """All ledgers of a run that has come to rest."""
    connection = await asyncpg.connect(stage.database_url)
    try:
        applied = await connection.fetch(APPLIED)
        appended = await connection.fetch(APPENDED)
        dead = await connection.fetch(DEAD)
        refused = await connection.fetch(REFUSED)
    finally:
        await connection.close()
    notes = [note for actor in stage.of("producer") for note in notebook.read(stage.notebook(actor)).values()]
    by_id = {note.id: Effect(COMMANDS, note.key, note.sequence) for note in notes}
    return Ledgers(
        sent=(
            *(Sent(note.id, by_id[note.id], note.behaviour, note.at, note.accepted is not None) for note in notes),
            *(
                Sent(str(row["id"]), Effect(EVENTS, row["key"], row["sequence"]), row["behaviour"], row["at"])
                for row in appended
            ),
        ),
        applied=tuple(
            Applied(
                row["position"],
                Effect(row["consumer_group"], row["key"], row["sequence"]),
                row["worker"],
                row["shard"],
                row["at"],
            )
            for row in applied
        ),
        dead=frozenset(_effect(row["consumer_group"], row["data"]) for row in dead),
        refused=frozenset(by_id[str(row["message_id"])] for row in refused if str(row["message_id"]) in by_id),
        executed=tuple(_effect(COMMANDS, line) for line in _charges(stage)),
    )


def _charges(stage: Stage) -> list[bytes]:
    return stage.charges.read_bytes().splitlines() if stage.charges.exists() else []


def _effect(group: str, body: bytes) -> Effect:
    fields = orjson.loads(body)
    return Effect(group, fields["key"], fields["sequence"])
