"""Too much to do: new writes are told 429 and leave nothing behind, reads go on, and quiet tenants go on too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
import pytest_asyncio

from prog_broker.transport import open_transport
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant
from prog_contracts.topics import DOMAINS, TOPICS, topic_of
from prog_edge.limits import backlog
from tests.integration.edge.stage import Person, Stage
from tests.servers import TestServers
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACKLOG_LIMIT = 40
TENANT_LIMIT = 3
PATIENCE_SECONDS = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_postgres: str, servers: TestServers) -> AsyncIterator[Stage]:
    limits = {"backlog_limit": BACKLOG_LIMIT, "tenant_in_flight_limit": TENANT_LIMIT}
    looks_every = backlog.PERIOD_SECONDS
    async with Stage(module_postgres, servers.empty_valkey(), **limits) as stage:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backlog, "PERIOD_SECONDS", looks_every)
            yield stage


@asynccontextmanager
async def nobody_at_work_for_tenants(stage: Stage) -> AsyncIterator[None]:
    """Nobody handles what the tenants domain is asked for; the other domains work. Afterwards all of them do."""
    await stage.stop_worker()
    await stage.start_worker(*(domain for domain in DOMAINS if domain != "tenants"))
    try:
        yield
    finally:
        await stage.stop_worker()
        await stage.start_worker(*DOMAINS)


async def rename(person: Person, name: str, **headers: str) -> httpx.Response:
    path = f"/v1/tenants/{person.tenant_id}"
    return await person.request("PATCH", path, json={"name": name}, headers=headers, timeout=PATIENCE_SECONDS)


async def pile_up(stage: Stage, tenant_id: str, count: int) -> None:
    """Commands that wait in the topic of the tenants domain."""
    transport = open_transport(stage.settings)
    command = RenameTenant(tenant_id=tenant_id, name="Waiting")
    envelopes = [wrap(command, tenant_id=tenant_id, source="/prognetwork/test") for _ in range(count)]
    await transport.publisher.send([(topic_of(command), envelope) for envelope in envelopes])
    await transport.close()


async def is_overloaded(person: Person) -> bool:
    answer = await rename(person, "Sounded", Prefer="wait=1")
    return answer.status_code == 429 and bool(answer.json()["code"] == "overloaded")


async def test_a_backlog_refuses_new_writes_until_it_is_drained(stage: Stage) -> None:
    ada = await stage.person("ada@overload.example")
    tenant_id = await stage.tenant_of(ada, "Backlogged")
    done, key = {"Idempotency-Key": new_id("key")}, {"Idempotency-Key": new_id("key")}
    answered = await ada.request("POST", "/v1/tenants", json={"name": "Before"}, headers=done)
    async with nobody_at_work_for_tenants(stage):
        await pile_up(stage, tenant_id, BACKLOG_LIMIT * 2)
        await wait_until(lambda: is_overloaded(ada), within_seconds=PATIENCE_SECONDS, what="the backlog to be seen")
        before = await everything_kept(stage)
        now = await ada.request("POST", "/v1/tenants", json={"name": "Refused"}, headers=key)
        later = await ada.request("POST", "/v1/tenants", json={"name": "Later"}, headers={"Prefer": "respond-async"})
        for answer in (now, later):
            assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
            assert answer.headers["content-type"] == "application/problem+json"
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert await everything_kept(stage) == before, "a refused write left something behind"

        replayed = await ada.request("POST", "/v1/tenants", json={"name": "Before"}, headers=done)
        assert (replayed.status_code, replayed.content) == (201, answered.content), "what was done is no new write"
        assert (await ada.request("GET", f"/v1/tenants/{tenant_id}")).status_code == 200
        assert (await stage.sign_in(ada.email)).user_id == ada.user_id, "another domain has no backlog"

    async def is_taken() -> bool:
        return (await ada.request("POST", "/v1/tenants", json={"name": "Refused"}, headers=key)).status_code == 201

    await wait_until(is_taken, within_seconds=PATIENCE_SECONDS, what="the drained backlog to let writes in")
    names = [tenant["name"] for tenant in (await ada.get("/v1/tenants"))["data"]]
    assert (names.count("Refused"), names.count("Later")) == (1, 0)


async def test_a_noisy_tenant_is_refused_while_another_is_served(stage: Stage) -> None:
    noisy, quiet = await stage.person("noisy@overload.example"), await stage.person("quiet@overload.example")
    await stage.tenant_of(noisy, "Noisy")
    await stage.tenant_of(quiet, "Quiet")
    async with nobody_at_work_for_tenants(stage):
        held = [asyncio.create_task(rename(noisy, f"Loud {n}", Prefer="wait=30")) for n in range(TENANT_LIMIT)]
        command = RenameTenant(tenant_id=str(noisy.tenant_id), name="Louder")
        admission = stage.platform.commands.admission
        await wait_until(
            lambda: admission.refuses(command, command.tenant_id, noisy.user_id),
            within_seconds=PATIENCE_SECONDS,
            what="the share to be used",
        )
        refused = await rename(noisy, "Louder")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_in_flight")
        assert refused.headers["retry-after"] == "1"
        other = await rename(quiet, "Heard", Prefer="wait=1")
        assert other.status_code == 202, "it is stored, for its tenant has no other at work"
        assert (await noisy.request("GET", f"/v1/tenants/{noisy.tenant_id}")).status_code == 200

    assert {answer.status_code for answer in await asyncio.gather(*held)} <= {200, 202}

    async def is_done() -> bool:
        return bool((await quiet.get(other.headers["location"]))["status"] == "succeeded")

    await wait_until(is_done, within_seconds=PATIENCE_SECONDS, what="the quiet tenant's write")
    assert (await rename(noisy, "Calm")).status_code == 200


async def everything_kept(stage: Stage) -> list[int]:
    """How much there is of what a write could leave: keys, stored commands, and commands on the broker."""
    connection = await asyncpg.connect(stage.settings.database_url)
    keys = await connection.fetchval("SELECT count(*) FROM bus.idempotency_keys")
    stored = await connection.fetchval("SELECT count(*) FROM bus.command_outbox")
    await connection.close()
    topic = TOPICS["prog.tenants.commands"]
    redis = stage.platform.redis
    published = [await redis.xlen(topic.stream(partition)) for partition in range(topic.partitions)]
    return [keys, stored, sum(published)]
