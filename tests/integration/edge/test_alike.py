"""Check 4: whether an address has an account, and how it stands with it, shows in nothing: not in status, body or
headers, and not in times.

Times are compared by how often one answer takes longer than another (`timing.superiority`): 0.5 where they are alike.
With 60 of each, chance alone moves that by 0.053 (standard deviation, n1 = n2 = 60), whatever the machine is like. The
bound of 0.25 is nearly five of those: for all comparisons together one false alarm in about 20,000 runs. A hash that is
skipped shows as 0 or 1, and one test here makes sure that it does. What stays below the bound helps an attacker little:
even with our clock, beside the server, every fourth guess at which of two answers is which would be wrong.

What an answer takes of processors is compared so: of this process, its PostgreSQL and its Valkey. By the clock, each
question to a server costs as much on a busy machine as others leave it waiting there, which is many times its work; so
by the clock only what is nearly always longer counts (WAIT_BOUND), such as an answer that waits on purpose.

There are looks at 16, 32 and 60 of each. An earlier one only ends what shows nothing, all within 0.15 of 0.5, so there
are no more false alarms for it. What is apart by 0.35 or more has less than one chance in a hundred to end there: at 16
of each that takes nearly three of the 0.07 by which chance moves it.

In the usual depth of the tests the looks are at 8, 24 and 60, and an earlier one ends all that is within the bound:
what is apart by 0.35 has one chance in five to end there, by 0.4 one in twenty, and a skipped hash none. What is not
ended is judged by 60 of each as ever.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import httpx
import psutil
import pytest
import pytest_asyncio

from prog_edge.limits.attempts import claim_of_address
from prog_workers.users import passwords
from tests.depth import by_depth
from tests.integration.edge.stage import PASSPHRASE, Stage
from tests.integration.edge.test_roles import change
from tests.integration.edge.timing import Ask, Times, interleaved, superiority

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow(3),
    pytest.mark.usefixtures("module_strong_hashing"),
]

SEED: Final = 4
LOOKS: Final = by_depth(usual=(8, 24, 60), thorough=(16, 32, 60))
BOUND: Final = 0.25
NEAR: Final = by_depth(usual=BOUND, thorough=0.15)
WAIT_BOUND: Final = 0.4
WAIT_NEAR: Final = 0.3
OTHERWISE: Final = {"date", "x-request-id", "traceparent", "ratelimit", "retry-after"}
"""Headers that differ from answer to answer, whoever is meant. `Retry-After` counts down to one moment."""
KNOWN, UNVERIFIED, DISABLED = (f"{name}@alike.example" for name in ("known-0000", "unverified", "disabled-0"))
SIGNS_ON = "signs-on-0@bound.example"
_numbers = itertools.count(1000)


def unknown() -> str:
    """Another address each time, as long as the others."""
    return f"nobody{next(_numbers)}@alike.example"


WHO: Final[dict[str, Callable[[], str]]] = {
    "unknown": unknown,
    "known": lambda: KNOWN,
    "unverified": lambda: UNVERIFIED,
    "disabled": lambda: DISABLED,
    "signs on alone": lambda: SIGNS_ON,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def accounts(module_strong_hashing: None, stage: Stage) -> None:
    """Accounts that differ in what nobody is to know."""
    for email in (KNOWN, DISABLED, SIGNS_ON):
        await stage.person(email)
    await change(stage, "UPDATE users.users SET status = 'disabled' WHERE email = $1", DISABLED)
    await change(
        stage,
        "INSERT INTO users.sign_on_domains (domain, sign_on_tenant_id, enforced, owners)"
        " VALUES ($1, 'tenant', true, '{}')",
        "bound.example",
    )
    body = {"email": UNVERIFIED, "password": PASSPHRASE, "name": "Grace Hopper"}
    assert (await stage.http.post("/v1/auth/register", json=body)).status_code == 201


CALLS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "sign in with a wrong password": ("/v1/auth/login", {"password": "not this one, not ever"}),
    "sign in with an empty password": ("/v1/auth/login", {"password": ""}),
    "sign in with an over-long password": ("/v1/auth/login", {"password": "x" * 1025}),
    "sign up": ("/v1/auth/register", {"password": PASSPHRASE, "name": "Ada Lovelace"}),
    "ask for a new password": ("/v1/auth/password/forgot", {}),
    "ask for a link that signs in": ("/v1/auth/magic-link", {}),
    "ask for the verification again": ("/v1/auth/email/resend", {}),
}


def question(stage: Stage, call: str, email: Callable[[], str], **fields: str) -> Callable[[], Any]:
    path, body = CALLS[call]

    async def ask() -> httpx.Response:
        return await stage.http.post(path, json={**body, **fields, "email": email()})

    return ask


def told(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    """All that an answer says, but for what is new in every answer and what was sent to it."""
    headers = {name: value for name, value in answer.headers.items() if name not in OTHERWISE}
    body = json.loads(answer.content) if answer.content else {}
    body.pop("trace_id", None)
    if "id" in body:
        body["id"] = len(body["id"])
    asked = json.loads(answer.request.content)["email"]
    return answer.status_code, headers, json.dumps(body, sort_keys=True).replace(asked, "EMAIL")


async def apart(asks: dict[str, Ask], looks: Sequence[int] = LOOKS) -> dict[str, tuple[float, float]]:
    """Which of the others can be told from the first one by the times of their answers, and how well: by what they take
    of processors, and by the clock."""
    times = {name: Times() for name in asks}
    first, *others = asks
    worked: dict[str, float] = {}
    waited: dict[str, float] = {}
    for number, look in enumerate(looks):
        more = await interleaved(asks, look - len(times[first].worked), seed=SEED + number)
        for name, each in more.items():
            times[name].worked += each.worked
            times[name].waited += each.waited
        worked = {name: superiority(times[name].worked, times[first].worked) for name in others}
        waited = {name: superiority(times[name].waited, times[first].waited) for name in others}
        if all(abs(worked[name] - 0.5) <= NEAR and abs(waited[name] - 0.5) <= WAIT_NEAR for name in others):
            break
    return {
        name: (round(worked[name], 2), round(waited[name], 2))
        for name in others
        if abs(worked[name] - 0.5) > BOUND or abs(waited[name] - 0.5) > WAIT_BOUND
    }


@pytest.mark.parametrize("call", CALLS)
async def test_check_04_nobody_learns_from_the_answer_whether_there_is_an_account(stage: Stage, call: str) -> None:
    heard = {who: told(await question(stage, call, email)()) for who, email in WHO.items()}
    for who in WHO:
        assert heard[who] == heard["unknown"], who
    if "empty" not in call and "long" not in call:
        assert heard["unknown"][0] == {"/v1/auth/login": 401, "/v1/auth/register": 201}.get(CALLS[call][0], 204)


@pytest.mark.parametrize("email", [DISABLED, SIGNS_ON])
async def test_check_04_an_account_that_no_password_opens_answers_the_right_one_like_a_wrong_one(
    stage: Stage, email: str
) -> None:
    call = "sign in with a wrong password"
    right = await question(stage, call, lambda: email, password=PASSPHRASE)()
    assert told(right) == told(await question(stage, call, unknown)())


@pytest.mark.parametrize("call", CALLS)
async def test_check_04_nobody_learns_from_the_time_whether_there_is_an_account(stage: Stage, call: str) -> None:
    assert await apart({who: question(stage, call, email) for who, email in WHO.items()}) == {}


async def test_check_04_guesses_that_come_before_their_time_are_refused_alike(stage: Stage) -> None:
    """Whoever guesses too often waits; that it is so shows, and for whom does not."""
    nobody = unknown()
    for email in (KNOWN, nobody):
        claim = claim_of_address(stage.platform.sealer, email)
        await stage.platform.redis.hset(f"prog:attempts:{claim}", mapping={"until": str(10**14), "count": "99"})
    asks = {
        who: question(stage, "sign in with a wrong password", lambda email=email: email)  # type: ignore[misc]
        for who, email in (("unknown", nobody), ("known", KNOWN))
    }
    answers = [await ask() for ask in asks.values()]
    assert told(answers[0]) == told(answers[1])
    assert answers[0].status_code == 429
    assert await apart(asks) == {}


@pytest.fixture(params=by_depth(usual=["quiet"], thorough=["quiet", "busy"]))
def others_work(request: pytest.FixtureRequest) -> Iterator[None]:
    """On a machine that is `busy` each processor has somebody else to work for all the time. To hold that takes ten
    seconds of processor from all other tests."""
    work = [sys.executable, "-S", "-c", f"import os\nwhile os.getppid() == {os.getpid()}: pass"]
    others = [subprocess.Popen(work) for _ in range(psutil.cpu_count() or 1) if request.param == "busy"]
    yield
    for other in others:
        other.kill()
        other.wait()


@pytest.mark.usefixtures("others_work")
async def test_check_04_these_tests_would_see_a_hash_that_is_skipped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual mistake: no account, nothing to compare with, a quick answer."""
    thorough = passwords.verify

    async def hasty(stored_hash: str | None, password: str) -> passwords.Verdict:
        return passwords.Verdict(right=False) if stored_hash is None else await thorough(stored_hash, password)

    monkeypatch.setattr(passwords, "verify", hasty)
    call = "sign in with a wrong password"
    asks = {who: question(stage, call, WHO[who]) for who in ("unknown", "unverified", "disabled")}
    seen = await apart(asks, looks=LOOKS[:1])
    assert seen.keys() == {"unverified", "disabled"}, seen
    assert min(worked for worked, _ in seen.values()) > 0.8, seen


async def test_check_04_these_tests_would_see_an_answer_that_waits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    thorough = passwords.verify

    async def patient(stored_hash: str | None, password: str) -> passwords.Verdict:
        if stored_hash is not None:
            await asyncio.sleep(1)
        return await thorough(stored_hash, password)

    monkeypatch.setattr(passwords, "verify", patient)
    call = "sign in with a wrong password"
    asks = {who: question(stage, call, WHO[who]) for who in ("unknown", "disabled")}
    seen = await apart(asks, looks=[10])
    assert seen.keys() == {"disabled"}, seen
