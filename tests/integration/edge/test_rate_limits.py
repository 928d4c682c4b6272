"""Check 24: limits are atomic across edges, spend no quota twice at a boundary, agree with what they tell, and have a
stated way to go on while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from prog_broker.redis.connection import Client, connect
from prog_contracts.credentials import CLIENT_ACCESS_PREFIX, api_key
from prog_contracts.ids import new_id
from prog_edge.context import RequestContext
from prog_edge.limits.policies import POLICIES, WRONG_KEYS
from prog_edge.limits.rates import RateLimits
from prog_edge.limits.windows import SLICES, Batch, RedisWindows
from prog_edge.problems import TooMuch
from prog_infra.servers import Valkey
from tests.integration.edge.stage import Person, Stage
from tests.servers import TestServers
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGIN = ("POST", "/v1/auth/login")
READ = ("GET", "/v1/tenants")


def visit(address: str = "203.0.113.7") -> RequestContext:
    return RequestContext("req_test", "", "http://127.0.0.1", client_address=address)


async def is_let_in(
    limits: RateLimits, method: str, route: str, address: str = "203.0.113.7", user_id: str | None = None
) -> bool:
    try:
        await limits.spend(method, route, visit(address), user_id)
    except TooMuch:
        return False
    return True


async def test_check_24_edges_under_load_let_in_no_more_than_the_quota_together(valkey_url: str) -> None:
    clients = [connect(valkey_url) for _ in range(3)]
    edges = [RateLimits(client, mode="on", factor=1.0) for client in clients]
    answers = await asyncio.gather(*(is_let_in(edges[n % 3], *LOGIN) for n in range(90)))
    assert sum(answers) == POLICIES["auth"].quota
    assert await is_let_in(edges[0], *LOGIN, address="203.0.113.8"), "another client has its own"
    for client in clients:
        await client.aclose()


async def test_check_24_a_boundary_gives_no_second_quota(valkey_url: str) -> None:
    """Half a second is the window: over many of them, none has more than the quota, wherever it begins."""
    client = connect(valkey_url)
    windows = RedisWindows(client)
    loop = asyncio.get_running_loop()
    quota, window_seconds = 5, 1
    spans: list[tuple[float, float]] = []
    deadline = loop.time() + 3 * window_seconds
    while loop.time() < deadline:
        before = loop.time()
        spent, _ = await windows.spend("boundary", quota, window_seconds)
        if spent.allowed:
            spans.append((before, loop.time()))
        assert 0 < spent.more_in_milliseconds <= 1100 * window_seconds
    for first, last in zip(spans, spans[quota:], strict=False):
        assert last[1] - first[0] > window_seconds, "six within one window"
    assert len(spans) >= 2 * quota, "and what had gone came back"
    await client.aclose()


async def test_check_24_units_counted_ahead_are_of_the_same_quota(valkey_url: str) -> None:
    """Three edges hold units for one client; together they let in the quota, and not one more."""
    clients = [connect(valkey_url) for _ in range(3)]
    edges = [RateLimits(client, mode="on", factor=0.5) for client in clients]
    quota = POLICIES["writes"].scaled(0.5).quota
    let_in = 0
    for number in range(quota + 50):
        let_in += await is_let_in(edges[number % 3], "POST", "/v1/tenants", user_id="user_ada")
    assert let_in == quota
    for client in clients:
        await client.aclose()


async def test_a_client_in_a_loop_waits_for_redis_once_in_a_while(valkey_url: str) -> None:
    client = connect(valkey_url)
    limits = RateLimits(client, mode="on", factor=1.0)
    left = []
    before = await commands_of(client)
    for _ in range(100):
        context = visit()
        await limits.spend(*READ, context, "user_grace")
        assert context.quota is not None
        left.append(context.quota.remaining)
    assert left == [POLICIES["reads"].quota - number for number in range(1, 101)], "told as if each were counted alone"
    assert await commands_of(client) - before < 20
    await client.aclose()


async def test_check_24_what_was_counted_ahead_and_not_used_is_given_back(valkey_url: str) -> None:
    client = connect(valkey_url)
    windows = RedisWindows(client)
    first, batch = await windows.spend("given-back", 100, 60, ahead=20)
    assert (first.remaining, batch.units) == (79, 20)
    second, none = await windows.spend("given-back", 100, 60, unused=Batch(15, batch.slice_number))
    assert (second.remaining, none.units) == (93, 0)
    third, refused = await windows.spend("given-back", 100, 60, ahead=43)
    assert (third.remaining, refused.units) == (92, 0), "not beyond half the quota"
    fourth, _ = await windows.spend("given-back", 100, 60, unused=Batch(5, batch.slice_number - 20))
    assert fourth.remaining == 91, "what the window has forgotten is not given back"
    await client.aclose()


async def test_check_24_units_used_a_slice_later_still_count_for_a_whole_window(valkey_url: str) -> None:
    """As the boundary's test, with units that are used as late as they may be, begun in every part of a slice."""
    client = connect(valkey_url)
    windows = RedisWindows(client)
    loop = asyncio.get_running_loop()
    quota, ahead, window_seconds = 12, 5, 1

    async def uses_of(name: str) -> list[tuple[float, float]]:
        """Everything that was let in, by when it was at the earliest and at the latest."""
        begun_at = loop.time()
        _, batch = await windows.spend(name, quota, window_seconds, ahead=ahead)
        assert batch.units == ahead
        used_at = begun_at + window_seconds / SLICES
        uses = [(begun_at, loop.time())] + [(used_at, used_at)] * ahead
        while loop.time() < begun_at + 2.5 * window_seconds:
            before = loop.time()
            spent, _ = await windows.spend(name, quota, window_seconds)
            uses += [(before, loop.time())] * spent.allowed
        return sorted(uses)

    async def begun_later(number: int) -> list[tuple[float, float]]:
        await asyncio.sleep(number * window_seconds / SLICES / 5)
        return await uses_of(f"late{number}")

    for uses in await asyncio.gather(*map(begun_later, range(5))):
        assert len(uses) > quota, "and what had gone came back"
        for first, last in zip(uses, uses[quota:], strict=False):
            assert last[1] - first[0] > window_seconds, "more than the quota within one window"
    await client.aclose()


async def commands_of(client: Client) -> int:
    """How many scripts Redis has run."""
    commands: Any = await client.info("commandstats")
    return sum(int(commands.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "eval"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_postgres: str, servers: TestServers) -> AsyncIterator[Stage]:
    async with Stage(module_postgres, servers.empty_valkey(), rate_limit_factor=1.0) as stage:
        yield stage


async def test_check_24_an_answer_tells_what_is_left_and_a_refusal_when_there_is_more(stage: Stage) -> None:
    answers: list[httpx.Response] = []
    while not answers or answers[-1].status_code != 429:
        body = {"email": f"nobody{len(answers)}@limits.example", "password": "wrong"}
        answers.append(await stage.http.post("/v1/auth/login", json=body))
        assert len(answers) <= POLICIES["auth"].quota + 1
    first, refused = answers[0], answers[-1]
    assert first.headers["ratelimit-policy"] == '"auth";q=30;w=60'
    assert quota_of(first)["r"] == 29
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["content-type"] == "application/problem+json"
    assert quota_of(refused) == {"r": 0, "t": int(refused.headers["retry-after"])}
    page = await stage.http.post("/account/sign-in", data={"email": "x"}, headers={"Accept": "text/html"})
    assert page.status_code == 429, "the page is no way around"
    assert page.headers["retry-after"]
    assert page.headers["content-type"].startswith("text/html")
    assert (await stage.http.get("/v1/prices")).status_code == 200, "another kind of endpoint has its own quota"
    for path in ("/healthz", "/readyz"):
        assert "ratelimit" not in (await stage.http.get(path)).headers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(stage: Stage) -> Person:
    await stage.platform.redis.delete("prog:limits:auth:127.0.0.1")  # what other tests have spent
    owner = await stage.person("owner@limits.example")
    await stage.tenant_of(owner, "Limits Ltd")
    return owner


async def test_each_api_key_has_a_quota_of_its_own(stage: Stage, owner: Person) -> None:
    keys = [(await owner.post("/v1/api-keys", {"name": name, "scopes": ["event.read"]}))["key"] for name in "ab"]
    for key in keys:
        left = []
        for _ in range(2):
            answer = await stage.http.get("/v1/events", headers={"Authorization": f"Bearer {key}"})
            left.append(quota_of(answer)["r"])
        assert left == [POLICIES["reads"].quota - 1, POLICIES["reads"].quota - 2]


async def test_check_24_wrong_api_keys_are_counted_by_source_and_shut_nobody_out(stage: Stage, owner: Person) -> None:
    made = await owner.post("/v1/api-keys", {"name": "good", "scopes": ["event.read"]})
    answers = []
    for number in range(WRONG_KEYS.quota + 3):
        text = api_key("test", new_id("tenant"), f"{number:030}")
        answers.append(await stage.http.get("/v1/events", headers={"Authorization": f"Bearer {text}"}))
    answer = answers[-1]
    assert [answer.status_code for answer in answers] == [401] * WRONG_KEYS.quota + [429] * 3
    assert (answer.json()["code"], answer.headers["content-type"]) == ("too_many_attempts", "application/problem+json")
    assert 0 < int(answer.headers["retry-after"]) <= WRONG_KEYS.window_seconds + 6
    good = await stage.http.get("/v1/events", headers={"Authorization": f"Bearer {made['key']}"})
    assert good.status_code == 200, "a good key from the same address gets in"
    token = {"Authorization": f"Bearer {CLIENT_ACCESS_PREFIX}wrong"}
    assert (await stage.http.get("/v1/events", headers=token)).status_code == 429, "clients' tokens count with them"


async def test_a_bad_credential_buys_no_quota_of_its_own(stage: Stage) -> None:
    before = quota_of(await stage.http.get("/v1/prices"))["r"]
    for number in range(3):
        answer = await stage.http.get("/v1/tenants", headers={"Authorization": f"Bearer forged{number}"})
        assert answer.status_code == 401
    assert quota_of(await stage.http.get("/v1/prices"))["r"] <= before - 4


async def test_who_is_signed_in_tries_passwords_at_the_cost_of_their_address(stage: Stage, owner: Person) -> None:
    """Many accounts, or a paid plan, buy no further tries."""
    login = {"email": "nobody@limits.example", "password": "wrong"}
    before = quota_of(await stage.http.post("/v1/auth/login", json=login))["r"]
    assert quota_of(await owner.request("POST", "/v1/me/password", json={}))["r"] == before - 1
    assert quota_of(await stage.http.post("/v1/auth/login", json=login))["r"] == before - 2


async def test_check_24_in_shadow_nothing_is_refused_and_all_is_counted(valkey_url: str) -> None:
    def count() -> float:
        labels = {"endpoint_class": "auth", "mode": "shadow"}
        return REGISTRY.get_sample_value("prog_edge_rate_limited_total", labels) or 0.0

    client = connect(valkey_url)
    limits, before = RateLimits(client, mode="shadow", factor=1.0), count()
    assert all([await is_let_in(limits, *LOGIN) for _ in range(POLICIES["auth"].quota + 4)])
    assert count() == before + 4
    await client.aclose()


async def test_a_member_of_a_paying_tenant_has_more(valkey_url: str) -> None:
    client = connect(valkey_url)
    limits = RateLimits(client, mode="on", factor=1.0)
    quotas = {}
    for plan in (None, "Starter", "Scale"):
        context = visit()
        await limits.spend(*READ, context, f"user_{plan}", plan)
        assert context.quota is not None
        quotas[plan] = context.quota.policy.quota
    assert quotas == {None: 6_000, "Starter": 12_000, "Scale": 60_000}
    await client.aclose()


async def test_check_24_while_redis_is_dead_reads_go_on_and_guessing_gets_no_cheaper(tmp_path: Path) -> None:
    def counted_alone() -> float:
        return REGISTRY.get_sample_value("prog_edge_rate_limits_alone_total", {"endpoint_class": "reads"}) or 0.0

    async def asks_redis() -> bool:
        before = counted_alone()
        assert await is_let_in(limits, *READ, user_id="user_ada")
        return counted_alone() == before

    valkey = Valkey(tmp_path / "valkey")
    with valkey.running(tmp_path / "log"):
        client = connect(valkey.url())
        limits = RateLimits(client, mode="on", factor=1.0)
        assert await asks_redis()
    assert not await asks_redis()
    assert all([await is_let_in(limits, *READ, user_id="user_ada") for _ in range(50)])
    answers = [await is_let_in(limits, *LOGIN) for _ in range(POLICIES["auth"].quota)]
    assert sum(answers) == POLICIES["auth"].alone().quota < POLICIES["auth"].quota
    with valkey.running(tmp_path / "log"):
        await wait_until(asks_redis, within_seconds=60, what="Redis to be asked again")
    await client.aclose()


def quota_of(response: httpx.Response) -> dict[str, int]:
    """`r` and `t` of the RateLimit header."""
    parameters: list[Any] = response.headers["ratelimit"].split(";")[1:]
    return {name: int(value) for name, value in (item.split("=") for item in parameters)}
