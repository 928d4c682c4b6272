"""Signing up, in and out over HTTP, on the whole platform."""

from __future__ import annotations

import asyncio
import json

import jwt
import pytest

from prog_infra.errors import OperatorError
from prog_infra.local.token_keys import published, rotate
from tests.integration.edge.stage import PASSPHRASE, Stage
from tests.integration.edge.test_roles import browser_of
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_person_registers_verifies_and_signs_in(stage: Stage) -> None:
    ada = await stage.person("ada@example.com")
    me = await ada.get("/v1/me")
    assert me["email"] == "ada@example.com"
    assert me["email_verified"] is True
    assert me["tenants"] == []


async def test_a_known_address_gets_the_answer_of_an_unknown_one(stage: Stage) -> None:
    known = await stage.person("known@example.com")
    body = {"password": PASSPHRASE, "name": "Somebody"}
    first = await stage.http.post("/v1/auth/register", json={**body, "email": known.email})
    second = await stage.http.post("/v1/auth/register", json={**body, "email": "unknown@example.com"})
    assert first.status_code == second.status_code == 201
    assert first.json().keys() == second.json().keys()
    assert first.json()["id"] != known.user_id
    for email in (known.email, "unknown@example.com"):
        assert (await stage.http.post("/v1/auth/email/resend", json={"email": email})).status_code == 204


async def test_wrong_and_unknown_credentials_cannot_be_told_apart(stage: Stage) -> None:
    await stage.person("login@example.com")
    wrong = await stage.http.post("/v1/auth/login", json={"email": "login@example.com", "password": "not this one"})
    unknown = await stage.http.post("/v1/auth/login", json={"email": "nobody@example.com", "password": "not this one"})
    assert wrong.status_code == unknown.status_code == 401
    assert without_trace(wrong.json()) == without_trace(unknown.json())
    assert wrong.json()["code"] == "invalid_credentials"
    assert wrong.headers["www-authenticate"].startswith("Bearer")


async def test_check_15_a_used_refresh_token_ends_the_session_once_its_grace_is_over(stage: Stage) -> None:
    person = await stage.person("refresh@example.com")
    token = person.tokens["refresh_token"]
    for _ in range(4):
        renewed = await stage.http.post("/v1/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]})
        assert renewed.status_code == 200, renewed.text
        assert renewed.json()["refresh_token"] != person.tokens["refresh_token"]
        person.tokens = renewed.json()
    reused = await stage.http.post("/v1/auth/refresh", json={"refresh_token": token})
    assert reused.status_code == 401
    after = await stage.http.post("/v1/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]})
    assert after.status_code == 401
    assert after.json()["code"] == "session_ended"


async def test_check_15_parallel_refreshes_of_one_token_get_one_successor(stage: Stage) -> None:
    person = await stage.person("tabs@example.com")
    body = {"refresh_token": person.tokens["refresh_token"]}
    answers = await asyncio.gather(*(stage.http.post("/v1/auth/refresh", json=body) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_check_15_a_sign_out_that_races_refreshes_leaves_no_token_that_works(stage: Stage) -> None:
    person = await stage.person("race@example.com")
    for _ in range(3):
        body = {"refresh_token": person.tokens["refresh_token"]}
        asked = [stage.http.post("/v1/auth/refresh", json=body) for _ in range(4)]
        asked.insert(2, stage.http.post("/v1/auth/logout", json=body))
        answers = await asyncio.gather(*asked)
        assert answers[2].status_code == 204
        held = [body["refresh_token"], *(answer.json().get("refresh_token") for answer in answers if answer.content)]
        for token in filter(None, held):
            after = await stage.http.post("/v1/auth/refresh", json={"refresh_token": token})
            assert (after.status_code, after.json()["code"]) == (401, "session_ended")
        person = await stage.sign_in(person.email)


async def test_signing_out_twice_is_no_error_and_ends_the_session(stage: Stage) -> None:
    person = await stage.person("leaving@example.com")
    body = {"refresh_token": person.tokens["refresh_token"]}
    assert (await stage.http.post("/v1/auth/logout", json=body)).status_code == 204
    assert (await stage.http.post("/v1/auth/logout", json=body)).status_code == 204
    assert (await stage.http.post("/v1/auth/refresh", json=body)).status_code == 401

    async def refused() -> bool:
        return (await person.request("GET", "/v1/me")).status_code == 401

    await wait_until(refused, what="the access token to be refused, seconds later")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/auth/email/verify", {"token": "prog_refresh_01jd7z4c8nf3ktv9q2m6x0r5we_" + "a" * 43}),
        ("/v1/auth/refresh", {"refresh_token": "prog_verify_" + "a" * 43}),
    ],
)
async def test_check_14_a_token_of_another_kind_is_refused(stage: Stage, path: str, body: dict[str, str]) -> None:
    assert (await stage.http.post(path, json=body)).status_code in (401, 422)


async def test_check_14_a_refresh_token_is_no_access_token(stage: Stage) -> None:
    person = await stage.person("kinds@example.com")
    headers = {"Authorization": f"Bearer {person.tokens['refresh_token']}"}
    refused = await stage.http.get("/v1/me", headers=headers)
    assert refused.status_code == 401
    assert refused.json()["code"] == "unauthenticated"


async def test_check_13_the_public_keys_check_an_access_token(stage: Stage) -> None:
    person = await stage.person("keys@example.com")
    answer = await stage.http.get("/.well-known/jwks.json")
    assert answer.headers["content-type"] == "application/jwk-set+json"
    header = jwt.get_unverified_header(person.tokens["access_token"])
    key = next(item for item in answer.json()["keys"] if item["kid"] == header["kid"])
    claims = jwt.decode(
        person.tokens["access_token"],
        jwt.PyJWK(key),
        algorithms=["EdDSA"],
        audience="prognetwork",
        issuer=stage.settings.public_url,
    )
    assert claims["sub"] == person.user_id


async def test_a_new_name_is_seen_at_once(stage: Stage) -> None:
    person = await stage.person("renamed@example.com")
    answer = await person.request("PATCH", "/v1/me", json={"name": "  Grace   Hopper "})
    assert answer.json()["name"] == "Grace Hopper"
    assert (await person.get("/v1/me"))["name"] == "Grace Hopper"


def without_trace(body: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name != "trace_id"}


@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/auth/register", "/v1/auth/email/resend", "/v1/leads"])
async def test_no_address_breaks_a_thing(stage: Stage, path: str) -> None:
    for email in (
        "nobody",
        "@",
        "a@b",
        "a\0b@identity.example",
        "a\ud800@identity.example",
        "x" * 255 + "@identity.example",
        "x" * 65 + "@identity.example",
        f"x@{'y' * 64}.example",
        "x@..",
        "\u202e@identity.example",
        "x@\u0130\u0307.example",
        "x@xn--a.example",
        " ",
        "ada@identity.example\r\nBcc: x@y.example",
    ):
        body = {"email": email}
        if path in ("/v1/auth/login", "/v1/auth/register"):
            body["password"] = "wrong horse battery staple"
        if path == "/v1/auth/register":
            body["name"] = "Nobody"
        sent = {"content": json.dumps(body).encode(), "headers": {"Content-Type": "application/json"}}
        answer = await stage.http.post(path, **sent)  # type: ignore[arg-type]  # of a request's options
        assert answer.status_code < 500, f"{email!r}: {answer.text}"
        if path == "/v1/auth/login":
            assert answer.status_code in (401, 422), f"{email!r}: {answer.text}"


async def test_keys_are_rotated_from_the_command_line_and_nobody_notices(stage: Stage) -> None:
    ada = await stage.person("keys@identity.example")
    before = {key.kid for key in await asyncio.to_thread(published, stage.settings)}
    done = await asyncio.to_thread(rotate, "access", "Once a year.", withdraw=False, settings=stage.settings)
    assert set(done["retired"]) <= before
    keys = (await stage.http.get("/.well-known/jwks.json")).json()["keys"]
    assert {key["kid"] for key in keys} == before | {done["kid"]}
    again = await stage.sign_in(ada.email)
    assert jwt.get_unverified_header(again.tokens["access_token"])["kid"] == done["kid"]
    for person in (ada, again):
        assert (await person.get("/v1/me"))["email"] == ada.email
    with pytest.raises(OperatorError, match="the key of access tokens stays"):
        await asyncio.to_thread(rotate, "access", "", withdraw=False, settings=stage.settings)


async def test_browsers_outlive_the_key_that_signed_their_token(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes back after a key was withdrawn, or an hour after a rotation, is signed in, and can sign out."""
    monkeypatch.setattr("prog_edge.tokens.KEYS_FRESH_SECONDS", 0)
    monkeypatch.setattr("prog_edge.tokens._KEYS_RETRY_SECONDS", 0)
    ada = await stage.person("withdrawn@identity.example")
    async with browser_of(ada) as staying, browser_of(ada) as leaving:
        before = staying.cookies["prog_session"]
        page = (await leaving.get("/account")).text
        out = {"csrf_token": page.partition('name="csrf_token" value="')[2].partition('"')[0]}
        done = await asyncio.to_thread(rotate, "access", "It got out.", withdraw=True, settings=stage.settings)
        assert done["withdrawn"] is True
        assert (await ada.request("GET", "/v1/me")).status_code == 401, "programs refresh their tokens"
        assert (await staying.get("/account")).status_code == 200
        assert staying.cookies["prog_session"] != before
        sessions = len((await staying.get("/v1/me/sessions")).json()["data"])
        assert (await leaving.post("/account/sign-out", data=out)).status_code == 303
        assert len((await staying.get("/v1/me/sessions")).json()["data"]) == sessions - 1, "it has ended there, too"
