"""Passkeys over HTTP and on the pages, on the whole platform. `check_N` is the security review's check."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import orjson
import pytest

from prog_contracts.ids import decode_id, new_id
from tests.authenticator import Authenticator, base64url
from tests.integration.edge.stage import OPERATOR, PASSPHRASE, Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def device_for(stage: Stage, **kind: Any) -> Authenticator:
    return Authenticator(f"http://localhost:{stage.port}", **kind)


async def asked(stage: Stage, path: str = "/v1/auth/passkey/begin", **body: Any) -> Any:
    answer = await stage.http.post(path, json=body or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def proof(device: Authenticator, offer: Any, **wrong: Any) -> dict[str, Any]:
    return {"passkey_token": offer["passkey_token"], "credential": device.sign(offer["public_key"], **wrong)}


async def added(person: Person, device: Authenticator, name: str = "Phone") -> Any:
    offer = await person.post("/v1/me/mfa/passkeys/begin")
    body = {"passkey_token": offer["passkey_token"], "credential": device.make(offer["public_key"]), "name": name}
    return await person.post("/v1/me/mfa/passkeys", body)


async def signed_in(stage: Stage, device: Authenticator) -> Person:
    answer = await stage.http.post("/v1/auth/passkey/finish", json=proof(device, await asked(stage)))
    assert answer.status_code == 200, answer.text
    return Person(stage, "", answer.json()["user_id"], answer.json())


async def mailed(stage: Stage, email: str, subject: str) -> None:
    async def arrived() -> bool:
        mails = (await stage.http.get("/v1/mailbox", params={"to": email})).json()["data"]
        return any(subject in mail["subject"] for mail in mails)

    await wait_until(arrived, what=f"a mail about {subject!r} to {email}")


async def test_a_passkey_is_made_named_used_and_removed(stage: Stage) -> None:
    ada, device = await stage.person("whole@passkeys.example"), device_for(stage)
    offer = await ada.post("/v1/me/mfa/passkeys/begin")
    assert offer["public_key"]["rp"] == {"id": "localhost", "name": "ProgNetwork"}
    assert offer["public_key"]["user"]["id"] == base64url(decode_id(ada.user_id, "user").bytes)
    assert offer["public_key"]["attestation"] == "none"
    selection = offer["public_key"]["authenticatorSelection"]
    assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
    made = await added(ada, device)
    assert (made["name"], made["backed_up"], len(made["recovery_codes"])) == ("Phone", True, 10)
    has = await ada.get("/v1/me/mfa")
    assert (has["totp_enrolled_at"], has["passkeys"], has["recovery_codes_left"]) == (None, 1, 10)
    await mailed(stage, ada.email, "A passkey was added")

    session = await signed_in(stage, device)
    [current] = [item for item in (await session.get("/v1/me/sessions"))["data"] if item["current"]]
    assert (current["method"], current["second_factor"]) == ("passkey", None)
    assert current["amr"] == ["swk", "user", "mfa"]
    [listed] = (await session.get("/v1/me/mfa/passkeys"))["data"]
    assert (listed["id"], listed["name"]) == (made["id"], "Phone")
    assert listed["last_used_at"] is not None

    again = await session.post("/v1/me/mfa/passkeys/begin")
    assert [item["id"] for item in again["public_key"]["excludeCredentials"]] == [
        base64url(device.credentials[0].credential_id)
    ]
    path = f"/v1/me/mfa/passkeys/{made['id']}"
    renamed = await session.request("PATCH", path, json={"name": "Old phone"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Old phone")
    assert (await session.request("DELETE", path)).status_code == 204
    assert (await session.request("DELETE", path)).status_code == 404
    await mailed(stage, ada.email, "A passkey was removed")
    refused = await stage.http.post("/v1/auth/passkey/finish", json=proof(device, await asked(stage)))
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_passkey")


async def test_a_passkey_completes_a_sign_in_and_steps_up(stage: Stage) -> None:
    ada, device = await stage.person("second@passkeys.example"), device_for(stage, counts=True, synced=False)
    await added(ada, device)
    login = {"email": ada.email, "password": PASSPHRASE}
    pending = (await stage.http.post("/v1/auth/login", json=login)).json()
    assert pending["methods"] == ["passkey", "recovery_code"]
    offer = await asked(stage, "/v1/auth/mfa/passkey/begin", mfa_token=pending["mfa_token"])
    assert offer["public_key"]["allowCredentials"] == [], "what somebody has is told to nobody who is not signed in"
    body = {"mfa_token": pending["mfa_token"], "method": "passkey"}
    for wrong in ({**body, "code": "123456"}, body, {**body, "method": "totp", "passkey": proof(device, offer)}):
        assert (await stage.http.post("/v1/auth/mfa", json=wrong)).status_code == 422
    answer = await stage.http.post("/v1/auth/mfa", json={**body, "passkey": proof(device, offer)})
    assert answer.status_code == 200, answer.text
    session = Person(stage, ada.email, ada.user_id, answer.json())
    offer = await session.post("/v1/auth/step-up/passkey/begin")
    assert len(offer["public_key"]["allowCredentials"]) == 1
    fresh = await session.post("/v1/auth/step-up", {"method": "passkey", "passkey": proof(device, offer)})
    assert fresh["session_id"] != session.tokens["session_id"]
    reused = await Person(stage, ada.email, ada.user_id, fresh).request(
        "POST", "/v1/auth/step-up", json={"method": "passkey", "passkey": proof(device, offer)}
    )
    assert (reused.status_code, reused.json()["code"]) == (401, "passkey_challenge_over")


async def test_check_04_no_answer_about_passkeys_tells_whether_there_is_an_account(stage: Stage) -> None:
    ada, device, stranger = await stage.person("alike@passkeys.example"), device_for(stage), device_for(stage)
    stranger.make((await ada.post("/v1/me/mfa/passkeys/begin"))["public_key"])
    await added(ada, device)
    begun = [await stage.http.post("/v1/auth/passkey/begin") for _ in range(2)]
    options = [{**answer.json()["public_key"], "challenge": ""} for answer in begun]
    assert options[0] == options[1], "nobody says who they are"
    nobody = decode_id(new_id("user"), "user").bytes
    answers = [
        await stage.http.post("/v1/auth/passkey/finish", json=proof(which, await asked(stage), **wrong))
        for which, wrong in (
            (device, {"handle": nobody}),
            (stranger, {}),
            (device, {"signature": b"x"}),
            (device, {"handle": b"short"}),
        )
    ]
    told = [{**answer.json(), "trace_id": ""} for answer in answers]
    assert {answer.status_code for answer in answers} == {401}
    assert all(each == told[0] for each in told), told
    made_up = f"prog_mfa_{ada.user_id.removeprefix('user_')}_{'a' * 43}"
    offer = await asked(stage, "/v1/auth/mfa/passkey/begin", mfa_token=made_up)
    assert offer["public_key"]["allowCredentials"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"passkey_token": "x" * 900},
        {"credential": "text"},
        {"credential": {"id": "!", "rawId": "!", "type": "public-key", "response": {}}},
        {"credential": {"type": "password"}},
        {"unknown": 1},
    ],
)
async def test_what_has_not_the_form_is_refused_with_its_field(stage: Stage, changes: dict[str, Any]) -> None:
    device = device_for(stage)
    ada = await stage.person(f"form-{abs(hash(str(changes)))}@passkeys.example")
    device.make((await ada.post("/v1/me/mfa/passkeys/begin"))["public_key"])
    body = {**proof(device, await asked(stage)), **changes}
    answer = await stage.http.post("/v1/auth/passkey/finish", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


async def test_check_14_a_challenge_of_the_pages_is_its_browser_s_alone(stage: Stage) -> None:
    ada, device = await stage.person("browser@passkeys.example"), device_for(stage)
    await added(ada, device)

    async def opened(browser: httpx.AsyncClient) -> tuple[dict[str, str], dict[str, Any]]:
        page = (await browser.get("/account/sign-in")).text
        form = page[page.index('action="/account/sign-in/passkey"') :]
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[: form.index("</form>")]))
        found = re.search(r'data-passkey-options="([^"]*)"', form)
        assert found
        return fields, orjson.loads(html.unescape(found[1]))

    async with (
        httpx.AsyncClient(base_url=stage.settings.public_url, verify=False) as mine,
        httpx.AsyncClient(base_url=stage.settings.public_url, verify=False) as theirs,
    ):
        (fields, options), (other, _) = await opened(mine), await opened(theirs)
        answer = {**fields, "credential": orjson.dumps(device.sign(options)).decode()}
        stolen = await theirs.post("/account/sign-in/passkey", data={**answer, "csrf_token": other["csrf_token"]})
        assert stolen.status_code == 422
        assert "That took too long." in stolen.text
        good = await mine.post("/account/sign-in/passkey", data=answer)
        assert (good.status_code, good.headers["location"]) == (303, "/account")
        again = await mine.post("/account/sign-in/passkey", data=answer)
        assert again.status_code in (403, 422), "the browser is another one now that somebody is signed in"
    over_the_api = {"passkey_token": fields["passkey_token"], "credential": device.sign(options)}
    refused = await stage.http.post("/v1/auth/passkey/finish", json=over_the_api)
    assert refused.json()["code"] == "passkey_challenge_over"


async def test_an_operator_resets_somebody_s_passkeys_on_a_page_with_a_reason(stage: Stage) -> None:
    ada, device = await stage.person("lost@passkeys.example"), device_for(stage)
    await added(ada, device)
    await stage.operator()
    path = f"/admin/users/{ada.user_id}"
    async with httpx.AsyncClient(base_url=stage.settings.public_url, verify=False) as console:
        await sent(console, "/account/sign-in", "/account/sign-in", email=OPERATOR, password=PASSPHRASE)
        assert "lost@passkeys.example" in (await console.get(path)).text
        silent = await sent(console, path, f"{path}/reset-second-factor", reason=" ")
        assert (silent.status_code, "Say why" in silent.text) == (422, True)
        done = await sent(console, path, f"{path}/reset-second-factor", reason="Lost the phone.")
        assert (done.status_code, done.headers["location"]) == (303, path)
        assert "reset-second-factor" not in (await console.get(path)).text
    refused = await stage.http.post("/v1/auth/passkey/finish", json=proof(device, await asked(stage)))
    assert refused.json()["code"] == "invalid_passkey"
    await mailed(stage, ada.email, "Two-step verification was removed for you")
    assert (await stage.sign_in(ada.email)).user_id == ada.user_id, "the password is enough again"


async def sent(browser: httpx.AsyncClient, page: str, action: str, **values: str) -> httpx.Response:
    """Fills in the form on a page that posts to `action`."""
    text = (await browser.get(page)).text
    form = text[text.index(f'action="{action}"') :]
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[: form.index("</form>")]))
    return await browser.post(action, data={**fields, **values})
