"""The demo's requests outlive a platform that is away for a moment, and are done once."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from prog_infra.demo import client
from prog_infra.demo.client import Api, Caller, Refused, StoryError, wait_for
from prog_infra.demo.story import Story
from prog_infra.errors import OperatorError

ADA = Caller("token", "tenant_1")
PROBLEM = {"content-type": "application/problem+json"}


class Platform:
    """Answers requests one after the other, as it was told, and remembers them."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={**PROBLEM, **headers}, content=json.dumps({"code": code}).encode())


def ok(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


@pytest.fixture
def api_of() -> Iterator[Callable[[Platform], Api]]:
    opened: list[Api] = []

    def make(platform: Platform) -> Api:
        opened.append(Api("http://platform.example", transport=httpx.MockTransport(platform)))
        return opened[-1]

    yield make
    for api in opened:
        api.close()


def test_a_write_is_repeated_with_the_same_key_until_it_is_answered(api_of: Callable[[Platform], Api]) -> None:
    platform = Platform(
        httpx.ConnectError("refused"),
        httpx.ReadError("killed"),
        problem(503, "unavailable"),
        problem(409, "idempotency_key_in_use"),
        problem(429, "too_many_requests", **{"Retry-After": "0"}),
        ok({"id": "tenant_1"}, 201),
    )
    assert api_of(platform).post("/v1/tenants", {"name": "Acme"}, ADA) == {"id": "tenant_1"}
    assert len({request.headers["Idempotency-Key"] for request in platform.requests}) == 1
    assert {request.content for request in platform.requests} == {b'{"name":"Acme"}'}
    assert {request.headers["Prog-Tenant"] for request in platform.requests} == {"tenant_1"}


def test_two_writes_have_two_keys(api_of: Callable[[Platform], Api]) -> None:
    platform = Platform(ok({}), ok({}))
    api = api_of(platform)
    for _ in range(2):
        api.post("/v1/leads", {})
    assert len({request.headers["Idempotency-Key"] for request in platform.requests}) == 2


@pytest.mark.parametrize(("status", "code"), [(409, "email_taken"), (422, "invalid"), (500, "internal_error")])
def test_a_refusal_is_told_and_not_repeated(api_of: Callable[[Platform], Api], status: int, code: str) -> None:
    platform = Platform(problem(status, code))
    with pytest.raises(Refused, match=f"POST /v1/tenants was answered with {status} {code}") as raised:
        api_of(platform).post("/v1/tenants", {}, ADA)
    assert raised.value.status == status


def test_a_write_that_takes_long_is_followed_to_its_end(api_of: Callable[[Platform], Api]) -> None:
    location = "/v1/operations/operation_1"
    platform = Platform(
        ok({"status": "pending"}, 202, Location=location),
        problem(404, "not_found"),
        ok({"status": "pending"}),
        ok({"status": "succeeded", "result": {"tenant_id": "tenant_1"}}),
    )
    assert api_of(platform).post("/v1/tenants", {}, ADA) == {"tenant_id": "tenant_1"}
    assert [request.url.path for request in platform.requests[1:]] == [location] * 3


def test_a_write_that_fails_later_ends_the_story(api_of: Callable[[Platform], Api]) -> None:
    platform = Platform(
        ok({"status": "pending"}, 202, Location="/v1/operations/operation_1"),
        ok({"status": "failed", "error": {"code": "denied"}}),
    )
    with pytest.raises(StoryError, match="denied"):
        api_of(platform).post("/v1/tenants", {}, ADA)


def test_somebody_who_is_not_signed_in_waits_for_the_mail_instead(api_of: Callable[[Platform], Api]) -> None:
    platform = Platform(ok({"status": "pending"}, 202, Location="/v1/operations/operation_1"))
    assert api_of(platform).post("/v1/leads", {}) == {}


def test_all_pages_of_a_list_are_read(api_of: Callable[[Platform], Api]) -> None:
    platform = Platform(
        ok({"data": [{"id": 1}], "next_cursor": "two"}),
        ok({"data": [{"id": 2}], "next_cursor": None}),
    )
    assert [item["id"] for item in api_of(platform).pages("/v1/invoices", ADA, status="paid")] == [1, 2]
    assert platform.requests[1].url.params["cursor"] == "two"
    assert platform.requests[1].url.params["status"] == "paid"


def test_a_platform_that_never_comes_back_ends_the_story(
    api_of: Callable[[Platform], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DEADLINE_SECONDS", 0.2)
    platform = Platform(*(httpx.ConnectError("refused") for _ in range(50)))
    with pytest.raises(StoryError, match=r"no good answer in .* ConnectError: refused"):
        api_of(platform).get("/v1/tenants")


def test_a_platform_that_does_not_run_is_told_with_the_remedy(
    api_of: Callable[[Platform], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "HELLO_SECONDS", 0.1)
    platform = Platform(*(httpx.ConnectError("refused") for _ in range(50)))
    with pytest.raises(OperatorError) as raised:
        api_of(platform).hello()
    assert "nothing answers at http://platform.example" in raised.value.message
    assert "prog up" in raised.value.remedy


def test_a_condition_that_never_holds_is_named() -> None:
    with pytest.raises(StoryError, match="in vain for: a mail"):
        wait_for("a mail", lambda: None, seconds=0.05)


def test_every_run_has_people_and_a_tenant_of_its_own(api_of: Callable[[Platform], Api]) -> None:
    one, other = (Story(api_of(Platform()), "admin@example.com", "secret") for _ in range(2))
    assert {one.owner.email, one.guest.email}.isdisjoint({other.owner.email, other.guest.email})
    assert one.company != other.company
    assert len({step.name for step in one.steps()}) == len(one.steps()) == 12
