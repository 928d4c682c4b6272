"""Programs that people sign in to, and the browsers in which they do: for the tests of the OpenID provider."""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import browser_of

BACK = "https://shop.example/signed-in"
ALL = ("openid", "profile", "email", "offline_access")
SIGN_IN = ("authorization_code", "refresh_token")


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Relying:
    """A registered client, by hand: whatever it sends, it sends as it says."""

    stage: Stage
    made: dict[str, Any]
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def id(self) -> str:
        return str(self.made["id"])

    @property
    def client_id(self) -> str:
        return str(self.made["client_id"])

    @property
    def proof(self) -> dict[str, str]:
        """What proves it, in the form."""
        secret = self.made.get("client_secret")
        return {"client_id": self.client_id} | ({} if secret is None else {"client_secret": secret})

    def asks(self, **changes: str | None) -> str:
        """The address to which it sends people; a change to None leaves a parameter out."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": BACK,
            "scope": " ".join(ALL),
            "state": "a state & more",
            "nonce": "a nonce",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
        } | changes
        return "/oauth2/authorize?" + urlencode(
            {name: value for name, value in parameters.items() if value is not None}
        )

    async def post(self, path: str, form: dict[str, str], **options: Any) -> httpx.Response:
        return await self.stage.http.post(path, data=form, **options)

    async def token(self, **form: str) -> httpx.Response:
        return await self.post("/oauth2/token", self.proof | form)

    async def exchange(self, code: str, **changes: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": self.verifier}
        return await self.token(**form | changes)

    async def refresh(self, token: str, **changes: str) -> httpx.Response:
        return await self.token(**{"grant_type": "refresh_token", "refresh_token": token} | changes)

    async def tokens_for(self, person: Person, **changes: str) -> dict[str, Any]:
        """Everything that a person who agrees gives it."""
        async with browser_of(person) as browser:
            answer = await self.exchange(await self.code_from(browser, **changes))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def code_from(self, browser: httpx.AsyncClient, **changes: str | None) -> str:
        return answer_of(await agree(browser, self.asks(**changes)))["code"]

    async def worth(self, token: str) -> dict[str, Any]:
        answer = await self.post("/oauth2/introspect", self.proof | {"token": token})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def userinfo(self, token: str) -> httpx.Response:
        return await self.stage.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})


async def register(owner: Person, **changes: Any) -> Relying:
    """A client of the owner's tenant with a secret, to which people sign in; `changes` are to its body."""
    body = {"name": "Shop", "redirect_uris": [BACK], "grants": SIGN_IN, "scopes": ALL} | changes
    return Relying(owner.stage, await owner.post("/v1/oauth-clients", body))


def field_of(page: str, name: str) -> str:
    """The value of a hidden field of the page's main form, as a browser would send it."""
    main = page.partition("<main")[2]
    return html.unescape(main.partition(f'name="{name}" value="')[2].partition('"')[0])


def answer_of(response: httpx.Response) -> dict[str, str]:
    """What a person carries back to the client."""
    assert response.status_code == 303, response.text
    location = response.headers["location"]
    assert location.startswith(BACK), location
    return dict(parse_qsl(urlsplit(location).query))


async def agree(browser: httpx.AsyncClient, address: str, decision: str = "allow") -> httpx.Response:
    """Follows a client's request to its end: sent back at once, or after the person's decision."""
    answer = await browser.get(address)
    if answer.status_code == 303:
        return answer
    assert answer.status_code == 200, answer.text
    form = {name: field_of(answer.text, name) for name in ("csrf_token", "idempotency_key", "request")}
    return await browser.post("/oauth2/consent", data=form | {"decision": decision})


@asynccontextmanager
async def stranger_at(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which nobody is signed in."""
    async with httpx.AsyncClient(base_url=stage.settings.public_url, timeout=20, verify=False) as browser:
        yield browser
