"""Every error is a problem document that names what is wrong and gives nothing away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from prog_edge.middleware.body_limit import MAX_BODY_BYTES, BodyLimitMiddleware
from prog_edge.middleware.gateway import GatewayMiddleware
from prog_kit.settings import Settings

MEMBERS = {"type", "title", "status", "detail", "code", "errors", "trace_id"}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body.keys() == MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"https://prog.example/docs/errors#{code}"
    assert str(body["trace_id"]) in response.headers["traceparent"]
    return body


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("invalid", 422, "invalid"),
        ("denied", 403, "denied"),
        ("unauthenticated", 401, "unauthenticated"),
        ("not_found", 404, "not_found"),
        ("conflict", 409, "already_paid"),
        ("unavailable", 503, "unavailable"),
        ("outage", 503, "unavailable"),
        ("crash", 500, "internal"),
    ],
)
async def test_check_25_each_kind_of_error_has_its_status(
    http: httpx.AsyncClient, kind: str, status: int, code: str
) -> None:
    response = await http.get(f"/v1/raise/{kind}")
    problem(response, status, code)
    assert "hunter2" not in response.text
    assert ("retry-after" in response.headers) is (status == 503)
    assert ("www-authenticate" in response.headers) is (status == 401)


async def test_an_error_of_the_domain_keeps_its_fields(http: httpx.AsyncClient) -> None:
    body = problem(await http.get("/v1/raise/invalid"), 422, "invalid")
    assert body["errors"] == [{"field": "name", "code": "taken", "message": "This name is taken."}]


async def test_unknown_addresses_and_methods(http: httpx.AsyncClient) -> None:
    problem(await http.get("/v1/nowhere"), 404, "not_found")
    wrong = await http.delete("/v1/orders")
    problem(wrong, 405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"] or "GET" in wrong.headers["allow"]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "name", "required"),
        ({"name": "x"}, "name", "too_short"),
        ({"name": 5}, "name", "string_type"),
        ({"name": "ok", "color": "red"}, "color", "unknown_field"),
        ({"name": "ok", "lines": [{"quantity": 1}, {"quantity": 0}]}, "lines.1.quantity", "greater_than_equal"),
        ({"name": "ok", "lines": [{"quantity": 1, "price": 0}]}, "lines.0.price", "unknown_field"),
        ([], "body", "model_attributes_type"),
    ],
)
async def test_a_bad_body_names_the_field(http: httpx.AsyncClient, body: object, field: str, code: str) -> None:
    found = problem(await http.post("/v1/orders", json=body), 422, "invalid")
    errors = found["errors"]
    assert isinstance(errors, list)
    assert {"field": field, "code": code}.items() <= errors[0].items()


async def test_unknown_parameters_are_refused(http: httpx.AsyncClient) -> None:
    found = problem(await http.get("/v1/orders", params={"limit": "0", "page": "2"}), 422, "invalid")
    assert [item["field"] for item in found["errors"]] == ["limit", "page"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [b"{", b'{"name": "ok",}', b"\xff\xfe", b'{"name": "\xc3\x28"}'])
async def test_malformed_json_is_told_from_wrong_json(http: httpx.AsyncClient, content: bytes) -> None:
    response = await http.post("/v1/orders", content=content, headers={"Content-Type": "application/json"})
    problem(response, 400, "malformed_json")


async def test_a_missing_body_is_a_missing_body(http: httpx.AsyncClient) -> None:
    found = problem(await http.post("/v1/orders"), 422, "invalid")
    assert found["errors"] == [{"field": "body", "code": "required", "message": "This field is required."}]


async def test_check_25_the_input_is_never_repeated(http: httpx.AsyncClient) -> None:
    response = await http.post("/v1/orders", json={"name": ["hunter2"]})
    assert "hunter2" not in response.text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_another_content_type_is_refused(http: httpx.AsyncClient, content_type: str) -> None:
    response = await http.post("/v1/orders", content=b'{"name": "ok"}', headers={"Content-Type": content_type})
    problem(response, 415, "unsupported_media_type")


async def test_json_with_parameters_is_json(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert (await http.post("/v1/orders", content=b'{"name": "ok"}', headers=headers)).status_code == 200


async def test_a_large_body_is_refused_by_its_length(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    response = await http.post("/v1/echo", content=b"x" * (MAX_BODY_BYTES + 1), headers=headers)
    problem(response, 413, "content_too_large")
    assert (await http.post("/v1/echo", content=b"x" * MAX_BODY_BYTES, headers=headers)).status_code == 200


async def test_a_large_body_is_refused_while_it_streams(http: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    for path in ("/v1/echo", "/v1/orders"):
        response = await http.post(path, content=pieces(), headers={"Content-Type": "application/json"})
        problem(response, 413, "content_too_large")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (rb'{"name": "a\u0000b"}', "name"),
        (rb'{"name": "a\ud800b"}', "name"),
        (rb'{"name": "ok", "lines": [{"quantity": 1}, {"quantity": "\u0000"}]}', "lines.1.quantity"),
        (rb'{"name": "ok", "odd\u0000": 1}', "odd\ufffd"),
        (rb'{"name": "ok", "odd\udfff": 1}', "odd\ufffd"),
        (rb'["\u0000"]', "0"),
    ],
)
async def test_what_no_text_can_hold_is_refused_by_field(http: httpx.AsyncClient, content: bytes, field: str) -> None:
    response = await http.post("/v1/orders", content=content, headers={"Content-Type": "application/json"})
    found = problem(response, 422, "invalid")
    errors = found["errors"]
    assert isinstance(errors, list)
    assert {"field": field, "code": "forbidden_character"}.items() <= errors[0].items()


async def test_a_surrogate_pair_is_a_character(http: httpx.AsyncClient) -> None:
    response = await http.post(
        "/v1/orders", content=rb'{"name": "\ud83d\ude00!"}', headers={"Content-Type": "application/json"}
    )
    assert response.json() == {"name": "\U0001f600!"}


@pytest.mark.parametrize("depth", [101, 5_000, 200_000])
async def test_a_body_that_goes_too_deep_is_refused_as_a_whole(http: httpx.AsyncClient, depth: int) -> None:
    content = b'{"name": ' + b"[" * depth + b"]" * depth + b"}"
    response = await http.post("/v1/orders", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422), response.text
    assert "in one another" in response.json()["detail"]


async def test_a_body_that_is_not_too_deep_is_judged_by_its_fields(http: httpx.AsyncClient) -> None:
    content = b'{"name": ' + b"[" * 99 + b"]" * 99 + b"}"
    response = await http.post("/v1/orders", content=content, headers={"Content-Type": "application/json"})
    assert problem(response, 422, "invalid")["errors"][0]["field"] == "name"  # type: ignore[index]


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/echo"])
async def test_a_body_that_dribbles_in_is_given_up_in_time(settings: Settings, app: FastAPI, path: str) -> None:
    slow = BodyLimitMiddleware(app.build_middleware_stack(), limit_seconds=0.1)
    told: list[Message] = []
    pieces = iter([{"type": "http.request", "body": b'{"na', "more_body": True}])

    async def receive() -> Message:
        piece = next(pieces, None)
        return piece if piece is not None else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        told.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"20")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    context = GatewayMiddleware(slow, public_url=settings.public_url)
    async with asyncio.timeout(30):
        await context({**scope, "headers": headers, "client": ("127.0.0.1", 1)}, receive, send)
    assert told[0]["status"] == 408
    assert (b"connection", b"close") in told[0]["headers"]
    assert b'"code":"request_timeout"' in told[1]["body"]
