"""Two edges of one platform, in processes of their own: what begins at one goes on at the other, and counts at both.

So a balancer may send each request wherever it likes, and nobody is bound to the edge that has seen them first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import httpx
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from prog_edge.limits.policies import POLICIES
from prog_infra.local.token_keys import rotate
from tests.integration.edge.edges import (
    PATIENCE_SECONDS,
    edge,
    events_in,
    publish,
    stream,
    until_streaming,
)
from tests.integration.edge.relying import BACK, Relying, answer_of, field_of, register
from tests.integration.edge.stage import PASSPHRASE, Person, Stage, free_port
from tests.integration.edge.test_attempts import forget_quotas
from tests.servers import TestServers
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

Edges = tuple[httpx.AsyncClient, httpx.AsyncClient]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_postgres: str, servers: TestServers) -> AsyncIterator[Stage]:
    """With the quotas of production."""
    async with Stage(module_postgres, servers.empty_valkey(), rate_limit_factor=1.0) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edges(stage: Stage) -> AsyncIterator[Edges]:
    """The way to the stage's own edge, and to one beside it."""
    port = free_port()
    async with (
        edge(stage, None, port, PROG_RATE_LIMIT_FACTOR="1"),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS, verify=False) as second,
    ):
        yield stage.http, second


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(stage: Stage) -> Person:
    person = await stage.person("ada@two.example")
    await stage.tenant_of(person, "Two Ltd")
    return person


async def status(http: httpx.AsyncClient, person: Person) -> int:
    return (await http.get("/v1/me", headers=person.headers)).status_code


async def test_check_23_a_key_that_one_has_seen_the_other_knows(edges: Edges, ada: Person) -> None:
    headers = ada.headers | {"Idempotency-Key": new_id("key")}
    first, second = [await http.post("/v1/tenants", json={"name": "Once"}, headers=headers) for http in edges]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    other = await edges[1].post("/v1/tenants", json={"name": "Twice"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_check_24_together_they_let_in_one_quota(stage: Stage, edges: Edges) -> None:
    quota = POLICIES["auth"].quota
    await forget_quotas(stage)
    asked = [
        edges[number % 2].post("/v1/auth/password/forgot", json={"email": "nobody@two.example"})
        for number in range(2 * quota)
    ]
    answers = [answer.status_code for answer in await asyncio.gather(*asked)]
    assert (answers.count(204), answers.count(429)) == (quota, quota)
    await forget_quotas(stage)


async def test_check_05_wrong_passwords_at_one_have_the_next_one_wait_at_the_other(
    stage: Stage, edges: Edges, ada: Person
) -> None:
    await forget_quotas(stage)
    grace = await stage.person("guessed@two.example")
    told: list[str] = []
    while "too_many_attempts" not in told:
        http = edges[len(told) % 2]
        answer = await http.post("/v1/auth/login", json={"email": grace.email, "password": "wrong"})
        told.append(answer.json()["code"])
        assert len(told) < 20, told
    for key in [key async for key in stage.platform.redis.scan_iter("prog:attempts:*:*")]:
        await stage.platform.redis.hset(key, "until", 2**42)  # as after many more
    for http in edges:
        right = await http.post("/v1/auth/login", json={"email": grace.email, "password": PASSPHRASE})
        assert (right.status_code, right.json()["code"]) == (429, "too_many_attempts")
    await forget_quotas(stage)


async def test_check_17_a_session_that_is_ended_at_one_is_shut_out_at_the_other(
    stage: Stage, edges: Edges, ada: Person
) -> None:
    other = await stage.sign_in(ada.email)
    assert [await status(http, other) for http in edges] == [200, 200], "both know the session, and remember it"
    body = {"refresh_token": other.tokens["refresh_token"]}
    assert (await edges[0].post("/v1/auth/logout", json=body, headers=other.headers)).status_code == 204
    for http in edges:
        await wait_until(partial(answers, http, other, 401), what="the session to be shut out")
    assert (await edges[1].post("/v1/auth/refresh", json=body)).status_code == 401


async def answers(http: httpx.AsyncClient, person: Person, wanted: int) -> bool:
    return await status(http, person) == wanted


async def test_check_15_a_session_that_was_opened_at_one_is_renewed_at_the_other(
    stage: Stage, edges: Edges, ada: Person
) -> None:
    other = await stage.sign_in(ada.email)
    for http in (*reversed(edges), *edges):
        answer = await http.post("/v1/auth/refresh", json={"refresh_token": other.tokens["refresh_token"]})
        assert answer.status_code == 200, answer.text
        other.tokens |= answer.json()
    assert [await status(http, other) for http in edges] == [200, 200]


async def test_a_new_key_is_known_to_both_at_once_and_the_one_before_stays_so(
    stage: Stage, edges: Edges, ada: Person
) -> None:
    """How soon a withdrawn one is known to none: `tests/unit/edge/test_tokens.py`."""
    before = await stage.sign_in(ada.email)
    assert [await status(http, before) for http in edges] == [200, 200]
    await asyncio.to_thread(rotate, "access", "Once a year.", withdraw=False, settings=stage.settings)
    after = await stage.sign_in(ada.email)
    for person in (before, after):
        assert [await status(http, person) for http in edges] == [200, 200]


async def test_check_17_a_key_that_is_revoked_at_one_is_kept_out_at_the_other(edges: Edges, ada: Person) -> None:
    key = await ada.post("/v1/api-keys", {"name": "Import", "scopes": ["event.read"]})
    headers = {"Authorization": f"Bearer {key['key']}"}

    async def keyed(http: httpx.AsyncClient, wanted: int) -> bool:
        return (await http.get("/v1/events", headers=headers)).status_code == wanted

    for http in edges:
        assert await keyed(http, 200)
    assert (await edges[0].delete(f"/v1/api-keys/{key['id']}", headers=ada.headers)).status_code == 204
    for http in edges:
        await wait_until(partial(keyed, http, 401), what="the key to be kept out")


async def test_a_stream_that_ended_at_one_goes_on_at_the_other(edges: Edges, ada: Person) -> None:
    """`Last-Event-ID` names a place in the log, which both read: what was missed comes first, and nothing twice."""
    urls = [str(http.base_url) for http in edges]
    seen, resumed = list[str](), list[str]()
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(stream(ada, urls[0], seen))
        await until_streaming(seen)
        await publish(ada, urls[1], 1)
        await wait_until(has(seen, 1), within_seconds=PATIENCE_SECONDS, what="an event that the other one took")
        first.cancel()
        await publish(ada, urls[0], 2)
        second = tasks.create_task(stream(ada, urls[1], resumed, events_in(seen)[-1]))
        await wait_until(has(resumed, 1), within_seconds=PATIENCE_SECONDS, what="the event that was missed")
        await publish(ada, urls[0], 3)
        await wait_until(has(resumed, 2), within_seconds=PATIENCE_SECONDS, what="the next event")
        second.cancel()
    ids = events_in(seen) + events_in(resumed)
    assert len(ids) == len(set(ids)) == 3


def has(lines: list[str], number: int) -> Callable[[], bool]:
    return lambda: len(events_in(lines)) >= number


async def test_a_page_of_one_is_answered_at_the_other_and_a_code_is_spent_at_either(
    stage: Stage, edges: Edges, ada: Person
) -> None:
    """Forms, cookies and codes: somebody signs in, agrees and is known to an app, with each step at the other edge."""
    await forget_quotas(stage)
    first, second = (str(http.base_url).rstrip("/") for http in edges)
    shop: Relying = await register(ada)
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, verify=False) as browser:
        page = await browser.get(f"{first}/account/sign-in")
        form = {"csrf_token": field_of(page.text, "csrf_token"), "email": ada.email, "password": PASSPHRASE}
        assert (await browser.post(f"{second}/account/sign-in", data=form)).status_code == 303
        asks = await browser.get(f"{first}{shop.asks()}")
        form = {name: field_of(asks.text, name) for name in ("csrf_token", "idempotency_key", "request")}
        back = await browser.post(f"{second}/oauth2/consent", data=form | {"decision": "allow"})
    code = answer_of(back)["code"]
    exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": shop.verifier}
    tokens = await edges[0].post("/oauth2/token", data=shop.proof | exchange)
    assert tokens.status_code == 200, tokens.text
    about = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    assert (await edges[1].get("/userinfo", headers=about)).json()["sub"] == ada.user_id
    again = await edges[1].post("/oauth2/token", data=shop.proof | exchange)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
