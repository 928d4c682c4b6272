"""A worker process of the rig: the product's `Worker` with two small domains that write the ledger.

    python -m tests.faults.rig.worker

`PROG_FAULTS_SKEW_SECONDS` sets its clock wrong, `PROG_FAULTS_PROVIDER` is the provider's address, and
`PROG_FAULTS_BREAK` breaks a guarantee on purpose, to prove that the rig notices.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Final

import httpx
import uvloop

from prog_broker import Domain, Finish, Outcome, Transaction, Work
from prog_broker.worker import Worker
from prog_contracts.errors import Conflict, Unavailable
from prog_contracts.topics import topic_of
from prog_kit import logging
from prog_kit.connecting import connecting
from prog_kit.settings import Settings
from tests.faults.rig import breaking, schema, skew, stacks
from tests.faults.rig.messages import Charge, Move, Moved, Noted

FLAKY_FAILURES: Final = 2
"""How often a flaky message fails in one process before it is taken."""
PROVIDER_SECONDS: Final = 2.0

WORKER: Final = os.environ.get("PROG_PROCESS_NAME", "worker")
tenants, payments = Domain("tenants"), Domain("payments")
_failures: Counter[tuple[str, int]] = Counter()


@tenants.handles(Move)
async def move(command: Move, tx: Transaction) -> Outcome:
    misbehave(command)
    await apply([command], tx)
    return Moved(key=command.key, sequence=command.sequence)


@tenants.performs(Charge)
async def charge(command: Charge, work: Work) -> Finish:
    """Records the intent, asks the provider after a crash, calls with an idempotency key, records the outcome."""
    async with work.transaction() as tx:
        key = str(tx.message_id)
        first = await tx.fetchval(schema.INTEND, tx.message_id, command.key, command.sequence)
    done = first is None and await provider_has(key)
    if not done:
        await provider_does(key, command)

    async def finish(tx: Transaction) -> Outcome:
        await apply([command], tx)
        return Moved(key=command.key, sequence=command.sequence)

    return finish


@payments.handles_batch(Moved)
async def hear(events: list[Moved], tx: Transaction) -> None:
    await apply(events, tx)


@payments.handles(Noted)
async def note(event: Noted, tx: Transaction) -> None:
    misbehave(event)
    await apply([event], tx)


async def apply(messages: Sequence[Move | Charge | Moved | Noted], tx: Transaction) -> None:
    """Writes the ledger, in the transaction of the effects."""
    topic = topic_of(messages[0])
    shards = [f"{tx.domain}/{topic.stream(topic.partition_of(message.key))}" for message in messages]
    keys, sequences = [message.key for message in messages], [message.sequence for message in messages]
    await tx.execute(schema.APPLY, tx.domain, WORKER, shards, keys, sequences)


def misbehave(message: Move | Noted) -> None:
    """Fails as the message asks for."""
    match message.behaviour:
        case "flaky":
            _failures[message.key, message.sequence] += 1
            if _failures[message.key, message.sequence] <= FLAKY_FAILURES:
                raise Unavailable("fails at first, as it was asked to")
        case "defect" | "mended":
            raise RuntimeError("a defect, as it was asked for")
        case "refused":
            raise Conflict("refused, as it was asked to")


async def provider_has(key: str) -> bool:
    """Whether the provider did it in an earlier life of this message. Raises Unavailable."""
    answer = await _call("GET", key, None)
    return answer.status_code == httpx.codes.OK


async def provider_does(key: str, command: Charge) -> None:
    """Has the provider do it, once for this key. Raises Unavailable."""
    answer = await _call("POST", key, {"key": command.key, "sequence": command.sequence})
    if answer.status_code != httpx.codes.OK:
        raise Unavailable(f"the provider says {answer.status_code}")


async def _call(method: str, key: str, body: dict[str, object] | None) -> httpx.Response:
    url = f"{os.environ['PROG_FAULTS_PROVIDER']}/charges/{key}"
    try:
        with connecting():
            async with httpx.AsyncClient(timeout=PROVIDER_SECONDS, verify=False) as client:
                return await client.request(method, url, json=body)
    except httpx.TransportError as error:
        raise Unavailable(f"the provider does not answer: {error!r}") from error


async def main() -> None:
    settings = Settings.load()
    logging.configure(settings.log_level, settings.process_name)
    stacks.on_request()
    skew.apply(float(os.environ.get("PROG_FAULTS_SKEW_SECONDS", "0")))
    breaking.apply(os.environ.get("PROG_FAULTS_BREAK", ""))
    await Worker([tenants, payments], settings).run()


if __name__ == "__main__":
    uvloop.run(main())
