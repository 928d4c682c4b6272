"""Checks 4 to 6: wrong passwords and codes make the next one wait, alike whoever is meant, and shut nobody out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
import pytest_asyncio

from prog_broker.redis.connection import connect
from prog_contracts.users import SecondFactor
from prog_edge.limits.attempts import (
    FROM_EVERYWHERE,
    FROM_ONE_SOURCE,
    FROM_STRANGERS,
    Attempts,
    LocalAttempts,
    claim_of_person,
    outcome_of,
)
from prog_edge.problems import TooMuch
from prog_infra.servers import Valkey
from tests.integration.edge.stage import PASSPHRASE, Stage
from tests.integration.edge.test_passkeys import added, asked, device_for, proof
from tests.servers import TestServers

pytestmark = pytest.mark.asyncio(loop_scope="module")

FREE = FROM_ONE_SOURCE.free
SLOW = tuple(replace(growth, first_seconds=120) for growth in (FROM_ONE_SOURCE, FROM_EVERYWHERE, FROM_STRANGERS))
"""Delays that begin so long that none is over before a slow machine has asked again."""
KNOWN = "known@attempts.example"
HERE, THERE = "203.0.113.7", "198.51.100.9"


@pytest_asyncio.fixture(loop_scope="module")
async def attempts(valkey_url: str) -> AsyncIterator[Attempts]:
    client = connect(valkey_url)
    yield Attempts(client, mode="on", factor=1.0, growths=SLOW)
    await client.aclose()


async def guess(
    attempts: Attempts, address: str = HERE, outcome: Any = "wrong", factor: SecondFactor | None = None
) -> int:
    """Seconds that the guess has to wait; 0 when it was made."""
    try:
        async with attempts.attempt("ada", address, factor) as attempt:
            attempt.outcome = outcome
    except TooMuch as error:
        return error.retry_after_seconds
    return 0


async def test_check_05_many_guesses_at_once_are_no_way_around(attempts: Attempts) -> None:
    waits = await asyncio.gather(*(guess(attempts) for _ in range(40)))
    assert waits.count(0) == FREE + 1, "the free ones, and the one that began the delays"


async def test_check_06_a_stranger_s_guesses_do_not_shut_the_owner_out(attempts: Attempts) -> None:
    while not await guess(attempts, HERE):
        pass
    assert await guess(attempts, THERE, "right") == 0
    assert await guess(attempts, HERE) > 0, "what is right elsewhere frees nobody here"


async def test_check_06_guesses_from_many_places_wait_too_but_never_for_long(attempts: Attempts) -> None:
    waits = [await guess(attempts, f"198.51.100.{number}") for number in range(60)]
    assert waits.count(0) == FROM_EVERYWHERE.free + 1
    assert max(waits) <= FROM_EVERYWHERE.longest_seconds


async def test_check_06_codes_are_guessed_slowly_from_many_places_and_their_owner_gets_in(attempts: Attempts) -> None:
    assert await guess(attempts, HERE, "right", "totp") == 0, "where the owner has been before"
    waits = [await guess(attempts, f"198.51.100.{number}", factor="totp") for number in range(60)]
    assert waits.count(0) == FROM_STRANGERS.free + 1
    assert FROM_EVERYWHERE.longest_seconds < max(waits) <= FROM_STRANGERS.longest_seconds
    assert await guess(attempts, HERE, "right", "totp") == 0, "guesses elsewhere make nobody wait at home"
    for factor in ("passkey", "recovery_code"):
        assert await guess(attempts, THERE, "right", factor) == 0, "nor anybody who has what cannot be guessed"
    assert await guess(attempts, THERE, "right", "totp") == 0, "where that was right is known, too"
    assert await guess(attempts, "198.51.100.1", "right", "totp") > 0


async def test_check_06_a_pause_of_an_hour_makes_strangers_guesses_none_the_quicker() -> None:
    now = 1000.0
    local, keys = LocalAttempts(lambda: now), {"ada": FROM_STRANGERS}
    while not local.take(keys):
        pass
    now += 3 * 3600
    assert local.take(keys) == 0
    assert local.take(keys) > 0, "one guess, and not twenty"
    now += 24 * 3600
    assert [local.take(keys) for _ in range(FROM_STRANGERS.free)] == [0] * FROM_STRANGERS.free


async def test_a_right_one_forgets_the_wrong_ones_before_it(attempts: Attempts) -> None:
    for _ in range(4):
        assert [await guess(attempts) for _ in range(FREE - 1)] == [0] * (FREE - 1)
        assert await guess(attempts, outcome="right") == 0


async def test_what_nobody_could_answer_does_not_count(attempts: Attempts) -> None:
    assert {await guess(attempts, outcome="unknown") for _ in range(FREE * 4)} == {0}


async def test_check_06_the_delay_grows_from_a_second_to_its_longest() -> None:
    now = 1000.0
    local, keys = LocalAttempts(lambda: now), {"ada": FROM_ONE_SOURCE}
    made = 0
    waits: list[int] = []
    while len(waits) < 11:
        wait_milliseconds = local.take(keys)
        if wait_milliseconds:
            waits.append(round(wait_milliseconds / 1000))
            now += waits[-1]
        made += not wait_milliseconds
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert made == FREE + len(waits)
    now += 3600
    assert [local.take(keys) for _ in range(FREE)] == [0] * FREE, "after an hour all is forgotten"


async def test_check_05_while_redis_is_dead_guesses_are_counted_all_the_same(tmp_path: Path) -> None:
    with Valkey(tmp_path / "valkey").running(tmp_path / "log") as server:
        client = connect(server.url())
        attempts = Attempts(client, mode="on", factor=1.0, growths=SLOW)
        assert await guess(attempts) == 0
    waits = [await guess(attempts) for _ in range(FREE + 5)]
    assert waits.count(0) == FREE + 1
    await client.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(module_postgres: str, servers: TestServers) -> AsyncIterator[Stage]:
    async with Stage(module_postgres, servers.empty_valkey(), rate_limit_factor=1.0) as stage:
        yield stage


async def test_check_04_known_unverified_and_unknown_addresses_are_told_the_same(stage: Stage) -> None:
    await stage.person(KNOWN)
    unverified = {"email": "unverified@attempts.example", "password": PASSPHRASE, "name": "Grace"}
    assert (await stage.http.post("/v1/auth/register", json=unverified)).status_code == 201
    told = []
    for email in (KNOWN, unverified["email"], "unknown@attempts.example"):
        await forget_quotas(stage)
        told.append(await refused_at_last(stage, email))
    assert told[0] == told[1] == told[2]
    assert [answer[:2] for answer in told[0]] == [(401, "invalid_credentials"), (429, "too_many_attempts")]


async def test_check_05_the_page_counts_with_the_api_and_a_reset_stays_open(stage: Stage) -> None:
    redis = stage.platform.redis
    await forget_quotas(stage)
    await refused_at_last(stage, KNOWN)
    for key in [key async for key in redis.scan_iter("prog:attempts:*:*")]:
        await redis.hset(key, "until", (int(time.time()) + 120) * 1000)  # as after many more
    right = await sign_in(stage, KNOWN, PASSPHRASE)
    assert (right.status_code, right.json()["code"]) == (429, "too_many_attempts")
    opened = await stage.http.get("/account/sign-in")
    token = opened.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    page = await stage.http.post("/account/sign-in", data={"email": KNOWN, "password": PASSPHRASE, "csrf_token": token})
    assert page.status_code == 429
    assert int(page.headers["retry-after"]) >= 1
    assert "You can try again in" in page.text
    assert (await stage.http.post("/v1/auth/password/forgot", json={"email": KNOWN})).status_code == 204


async def test_check_05_wrong_codes_of_the_second_factor_make_the_next_one_wait(stage: Stage) -> None:
    """The claim is the person, so that to begin the sign-in anew is no way around, nor the other kind of code."""
    await forget_quotas(stage)
    ada = await stage.person("codes@attempts.example")
    codes = pyotp.TOTP((await ada.post("/v1/me/mfa/totp"))["secret"])
    kept = (await ada.post("/v1/me/mfa/totp/confirm", {"code": codes.now()}))["recovery_codes"]
    told: list[tuple[int, str]] = []
    while not told or told[-1][0] != 429:
        await forget_quotas(stage)
        told.append(await try_code(stage, ada.email, "totp" if len(told) % 2 else "recovery_code", "wrong"))
    assert told[:-1] == [(401, "invalid_code")] * (len(told) - 1)
    assert len(told) > FREE
    assert told[-1] == (429, "too_many_attempts")
    redis, claim = stage.platform.redis, claim_of_person(stage.platform.sealer, ada.user_id)
    for key in [key async for key in redis.scan_iter(f"prog:attempts:{claim}:*")]:
        await redis.hset(key, "until", (int(time.time()) + 120) * 1000)  # as after many more
    assert await try_code(stage, ada.email, "totp", codes.at(int(time.time()) + 30)) == (429, "too_many_attempts")
    assert await try_code(stage, ada.email, "recovery_code", kept[0]) == (429, "too_many_attempts")
    step_up = await ada.request("POST", "/v1/auth/step-up", json={"method": "recovery_code", "code": kept[0]})
    assert step_up.status_code == 429


async def test_check_05_wrong_passkeys_make_the_next_one_wait(stage: Stage) -> None:
    """The claim is the person whom the authenticator names; a right answer has to wait as well."""
    await forget_quotas(stage)
    ada, device = await stage.person("passkeys@attempts.example"), device_for(stage)
    await added(ada, device)
    told: list[tuple[int, str]] = []
    while not told or told[-1][0] != 429:
        await forget_quotas(stage)
        body = proof(device, await asked(stage), signature=b"x")
        answer = await stage.http.post("/v1/auth/passkey/finish", json=body, headers={"Prefer": "respond-async"})
        told.append((answer.status_code, answer.json()["code"]))
    assert told[:-1] == [(401, "invalid_passkey")] * (len(told) - 1)
    assert len(told) > FREE
    assert told[-1] == (429, "too_many_attempts")
    redis, claim = stage.platform.redis, claim_of_person(stage.platform.sealer, ada.user_id)
    for key in [key async for key in redis.scan_iter(f"prog:attempts:{claim}:*")]:
        await redis.hset(key, "until", (int(time.time()) + 120) * 1000)  # as after many more
    right = await stage.http.post("/v1/auth/passkey/finish", json=proof(device, await asked(stage)))
    assert (right.status_code, right.json()["code"]) == (429, "too_many_attempts")


@pytest.mark.parametrize("wish", ["respond-async", "wait=0"])
async def test_check_05_a_client_that_does_not_wait_guesses_no_faster(stage: Stage, wish: str) -> None:
    """What is counted by its answer is answered: none is put off, to be fetched where nobody counts."""
    await forget_quotas(stage)
    ada = await stage.person(f"{wish.replace('=', '')}@attempts.example")
    routes: dict[str, dict[str, str]] = {
        "/v1/auth/login": {"email": ada.email, "password": "wrong"},
        "/v1/auth/step-up": {"password": "wrong"},
        "/v1/me/password": {"password": "another good sentence", "current_password": "wrong"},
    }
    told: list[tuple[int, str]] = []
    while not told or told[-1][0] != 429:
        await forget_quotas(stage)
        path, body = list(routes.items())[len(told) % len(routes)]
        answer = await ada.request("POST", path, json=body, headers={"Prefer": wish})
        told.append((answer.status_code, str(answer.json().get("code"))))
        assert len(told) < 40, "nothing is counted"
    assert told[:-1] == [(401, "invalid_credentials")] * (len(told) - 1)
    assert len(told) > FREE


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [(200, None, "right"), (204, None, "right"), (202, None, "unknown"), (401, "invalid_code", "wrong")],
)
async def test_an_answer_that_is_still_to_come_is_not_right(status: int, code: str | None, outcome: str) -> None:
    assert outcome_of(status, code) == outcome


async def refused_at_last(stage: Stage, email: str) -> list[tuple[int, str, str]]:
    """The distinct answers to wrong passwords, up to the first that comes before its time."""
    told: list[tuple[int, str, str]] = []
    while not told or told[-1][0] == 401:
        answer = await sign_in(stage, email, "wrong")
        heard = answer.status_code, str(answer.json()["code"]), str(answer.json()["detail"])
        if heard not in told:
            told.append(heard)
        assert answer.status_code in (401, 429)
    return told


async def try_code(stage: Stage, email: str, method: str, code: str) -> tuple[int, str]:
    """A sign-in of its own, as far as the second step."""
    pending = (await sign_in(stage, email, PASSPHRASE)).json()
    body = {"mfa_token": pending["mfa_token"], "method": method, "code": code}
    answer = await stage.http.post("/v1/auth/mfa", json=body)
    return answer.status_code, str(answer.json().get("code"))


async def forget_quotas(stage: Stage) -> None:
    """The attempts of these tests all come from one address, which has its own quota."""
    redis = stage.platform.redis
    async for key in redis.scan_iter("prog:limits:*"):
        await redis.delete(key)


async def sign_in(stage: Stage, email: str, password: str) -> httpx.Response:
    return await stage.http.post("/v1/auth/login", json={"email": email, "password": password})
