"""The whole platform in one loop, on real servers: every worker, the relay, the mailbox and the edge on a real port.

async with Stage(postgres, valkey_url) as stage:
    ada = await stage.person("ada@example.com")
    tenant = await ada.post("/v1/tenants", {"name": "Acme"})
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import asyncpg
import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from prog_broker import reading
from prog_broker.relay import RelayProcess
from prog_broker.worker import Worker
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.topics import DOMAINS
from prog_contracts.users import EnsureAdministrator
from prog_edge.app import create_app
from prog_edge.audit import feed
from prog_edge.directory import Remembered
from prog_edge.drain import Drain
from prog_edge.limits import backlog
from prog_edge.platform import Platform
from prog_edge.process import KEEP_ALIVE_SECONDS
from prog_kit.database import Database
from prog_kit.secrets import PASSWORD, Sealer
from prog_kit.settings import Settings
from prog_workers.email import mailbox
from prog_workers.events import app as events
from prog_workers.events.audit import recording
from prog_workers.monitoring import sampling
from prog_workers.process import load
from tests.depth import by_depth
from tests.waiting import wait_until

SECRET_KEYS = ("0123456789abcdef" * 4,)
PASSPHRASE = "correct horse battery staple"
OPERATOR = "operator@prognetwork.example"
REMEMBERED_SECONDS: Final = 1.0
"""How old what the edge remembers may be, instead of FRESH_SECONDS: tests wait for what ends by itself."""
_LETTERS: Final = """
SELECT text_body FROM email.mailbox WHERE recipients @> ARRAY[$1] AND text_body IS NOT NULL ORDER BY letter_id DESC
"""
_TOKEN = re.compile(r"token=([A-Za-z0-9_-]+)")


@dataclass
class Person:
    """Somebody who is signed in, and their way to the API."""

    stage: Stage
    email: str
    user_id: str
    tokens: dict[str, Any]
    tenant_id: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        tenant = {} if self.tenant_id is None else {"Prog-Tenant": self.tenant_id}
        return {"Authorization": f"Bearer {self.tokens['access_token']}", **tenant}

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.stage.http.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> Any:
        """The body of a good answer."""
        return _good(await self.request("GET", path, **options))

    async def post(self, path: str, body: dict[str, Any] | None = None, **options: Any) -> Any:
        headers = {"Idempotency-Key": new_id("key"), **options.pop("headers", {})}
        return _good(await self.request("POST", path, json=body or {}, headers=headers, **options))


class Stage:
    """Set up by `async with`; everything ends with the block. `settings` are added to its own.

    `administrator` is for what only the administrator of the database sees and does, past every rule.
    """

    administrator: asyncpg.Pool[asyncpg.Record]

    def __init__(self, postgres: str, valkey_url: str, **settings: Any) -> None:
        smtp_port, self.port = free_port(), free_port()
        self.settings = Settings.load(
            {},
            env="test",
            database_url=postgres,
            redis_url=valkey_url,
            secret_keys=SECRET_KEYS,
            public_url=f"http://127.0.0.1:{self.port}",
            smtp_url=f"smtp://127.0.0.1:{smtp_port}",
            smtp_listen_port=smtp_port,
            port=self.port,
            database_pool_size=4,
            process_name="stage",
            **settings,
        )
        self.drain = Drain()
        self.app: FastAPI = create_app(self.settings, self.drain)
        self._exits = AsyncExitStack()

    @property
    def platform(self) -> Platform:
        platform: Platform = self.app.state.platform
        return platform

    async def __aenter__(self) -> Self:
        self._exits.enter_context(quick_trail())
        self._exits.enter_context(rare_looks())
        administrator = asyncpg.create_pool(self.settings.database_url, min_size=0, max_size=4)
        self.administrator = await self._exits.enter_async_context(administrator)
        letters = await Database.connect(self.settings.database_url, "prog_email", max_size=2)
        self._exits.push_async_callback(letters.close)
        await self._exits.enter_async_context(mailbox.serving(letters, self.settings.smtp_listen_port))
        await self._start_relay()
        await self.start_worker(*DOMAINS)
        self._exits.push_async_callback(self.stop_worker)
        await self._start_edge()
        self.http = httpx.AsyncClient(base_url=self.settings.public_url, timeout=20, verify=False)
        self._exits.push_async_callback(self.http.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def start_worker(self, *domains: str) -> None:
        """A worker of these domains; one at a time."""
        self.worker = Worker(load(domains), self.settings)
        await self.worker.start()

    async def stop_worker(self) -> None:
        await self.worker.stop()

    async def operator(self) -> Person:
        """The platform's operator."""
        command = EnsureAdministrator(
            user_id=new_id("user"),
            email=OPERATOR,
            name="The Operator",
            sealed_password=Sealer(SECRET_KEYS).seal(PASSPHRASE, PASSWORD),
        )
        answer = await self.platform.commands.request(
            command, tenant_id=PLATFORM_TENANT_ID, actor="test", wait_seconds=20
        )
        assert answer.status == "succeeded", answer
        return await self.sign_in(OPERATOR)

    async def person(self, email: str, name: str = "Ada Lovelace") -> Person:
        """A person with a verified address, signed in."""
        body = {"email": email, "password": PASSPHRASE, "name": name}
        _good(await self.http.post("/v1/auth/register", json=body))
        token = await self.token_mailed_to(email, "verify")
        _good(await self.http.post("/v1/auth/email/verify", json={"token": token}))
        return await self.sign_in(email)

    async def sign_in(self, email: str) -> Person:
        tokens = _good(await self.http.post("/v1/auth/login", json={"email": email, "password": PASSPHRASE}))
        return Person(self, email, tokens["user_id"], tokens)

    async def tenant_of(self, person: Person, name: str) -> str:
        """A new tenant of the person, once it is provisioned and can be billed; the person acts in it from now on."""
        tenant_id: str = (await person.post("/v1/tenants", {"name": name}))["id"]
        person.tenant_id = tenant_id

        async def ready() -> bool:
            tenant = await person.get(f"/v1/tenants/{tenant_id}")
            return tenant["status"] == "active" and bool((await person.get("/v1/customers"))["data"])

        await wait_until(ready, what=f"{name} to be ready")
        return tenant_id

    async def token_mailed_to(self, email: str, kind: str) -> str:
        """The token in the newest mail to an address whose token is of this kind (verify, invite)."""
        found: list[str] = []

        async def arrived() -> bool:
            for row in await self.administrator.fetch(_LETTERS, email.lower()):
                found.extend(token for token in _TOKEN.findall(row["text_body"]) if token.startswith(f"prog_{kind}_"))
            return bool(found)

        await wait_until(arrived, what=f"a {kind} mail to {email}")
        return found[0]

    async def _start_relay(self) -> None:
        relay = RelayProcess(self.settings)
        task = asyncio.create_task(relay.run_until_stopping())

        async def stop() -> None:
            relay.stopping.set()
            await task

        self._exits.push_async_callback(stop)
        await wait_until(lambda: relay.ready or task.done(), what="the relay to relay")

    async def _start_edge(self) -> None:
        config = uvicorn.Config(
            self.app,
            port=self.port,
            log_config=None,
            access_log=False,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,  # who waits for seconds may find a connection closed as it asks
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve())
        await wait_until(lambda: server.started or task.done(), what="the edge to serve")
        remember_for(self.platform, REMEMBERED_SECONDS)

        async def stop() -> None:
            self.drain.start()
            server.should_exit = True
            await task

        self._exits.push_async_callback(stop)


@contextmanager
def quick_trail() -> Iterator[None]:
    """What happens is in the audit trail in a fifth of the usual time: tests wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "PERIOD_SECONDS", 0.05)
        patch.setattr(recording, "IDLE_SECONDS", 0.1)
        patch.setattr(events, "Recorder", partial(recording.Recorder, hold_seconds=recording.HOLD_SECONDS / 5))
        yield


@contextmanager
def rare_looks() -> Iterator[None]:
    """At the usual depth who looks for work, and who counts it, does so less often: a platform with nothing to do takes
    a sixth of a processor from those who have. What comes wakes who waits for it, however long that is."""
    with pytest.MonkeyPatch.context() as patch:
        if by_depth(usual=True, thorough=False):
            patch.setattr(reading, "BLOCK_SECONDS", 3.0)
            patch.setattr(backlog, "PERIOD_SECONDS", 3.0)
            patch.setattr(sampling, "PERIOD_SECONDS", 4.0)
        yield


def remember_for(platform: Platform, seconds: float) -> None:
    """What the edge looks up is asked for again when it is so old, or sooner where it is remembered for less."""
    for part in (platform, platform.keyring, platform.clients):
        for remembered in vars(part).values():
            if isinstance(remembered, Remembered):
                remembered._fresh_seconds = min(remembered._fresh_seconds, seconds)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _good(response: httpx.Response) -> Any:
    assert response.is_success, (
        f"{response.request.method} {response.request.url}: {response.status_code} {response.text}"
    )
    return response.json() if response.content else None
