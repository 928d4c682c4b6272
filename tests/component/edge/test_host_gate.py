"""What a request's host decides: the platform's own, a tenant's, anybody's; with a small application behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from starlette.requests import Request

from prog_edge.context import context_of
from prog_edge.hosts import TenantHosts
from prog_workers.tenants.queries.custom_domains import ServedDomain

HOST = "accounts.acme.example"
ACME = "tenant_01jd7z4c8nf3ktv9q2m6x0r5we"
OTHER = "tenant_01jd7z4c8nf3ktv9q2m6x0r5wf"


class Served:
    """What the database says; `reads` counts how often it was asked."""

    def __init__(self) -> None:
        self.names = {HOST: ServedDomain(ACME, is_active=True)}
        self.reads = 0
        self.away = False
        self.now = 1000.0

    async def read(self) -> Mapping[str, ServedDomain]:
        self.reads += 1
        if self.away:
            raise ConnectionRefusedError("no server")
        return self.names


@pytest.fixture
def served(app: FastAPI) -> Served:
    """The application tells which tenant's host it was reached at."""
    served = Served()
    hosts = TenantHosts(served.read, clock=lambda: served.now)
    audit = SimpleNamespace(deny=lambda denial, context: None)
    app.state.platform = SimpleNamespace(hosts=hosts, audit=audit)

    async def where(request: Request) -> dict[str, str | None]:
        site = context_of(request.scope).site
        return {"tenant": None if site is None else site.tenant_id, "host": None if site is None else site.host}

    for path in (
        "/account",
        "/account/sign-in",
        "/v1/me",
        "/v1/auth/oauth/{provider}/start",
        "/v1/auth/oauth/{provider}/callback",
        "/healthz",
        "/metrics",
        "/brand/{tenant_id}/1.css",
        "/admin",
    ):
        app.get(path)(where)
    app.post("/theme")(where)
    return served


@pytest_asyncio.fixture
async def get(app: FastAPI, served: Served) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://prog.example") as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        "prog.example", "PROG.example", "prog.example:443", "prog.example.", "10.2.3.4:9000", "[::1]:8000",
        "127.0.0.1:8000", "localhost:8000", "edge", "prognetwork-edge:8000", "edge.prog.svc.cluster.local", "",
    ],
)  # fmt: skip
async def test_the_platform_s_own_names_go_on_and_nobody_is_asked(
    get: httpx.AsyncClient, served: Served, host: str
) -> None:
    answer = await get.get("/v1/me", headers={"Host": host})
    assert answer.json() == {"tenant": None, "host": None}
    assert served.reads == 0


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}:443", f"{HOST}."])
async def test_a_tenant_s_host_is_its_tenant_s(get: httpx.AsyncClient, host: str) -> None:
    assert (await get.get("/account/sign-in", headers={"Host": host})).json() == {"tenant": ACME, "host": HOST}


@pytest.mark.parametrize("path", ["/", "/account", "/v1/me", "/admin", "/static/app.css", "/robots.txt"])
async def test_nothing_is_served_under_a_name_that_is_nobody_s(get: httpx.AsyncClient, path: str) -> None:
    answer = await get.get(path, headers={"Host": "elsewhere.example"})
    assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")
    page = await get.get(path, headers={"Host": "elsewhere.example", "Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (421, "text/html; charset=utf-8")
    assert "Nothing is served under this name" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "host", ["<script>.example", "a b.example", "user@acme.example", "acme.example:port", "acme.example/x", "a" * 300]
)
async def test_what_is_no_host_is_refused_and_not_repeated(get: httpx.AsyncClient, host: str) -> None:
    answer = await get.get("/account", headers={"Host": host, "Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_host")
    assert host not in answer.text


async def test_two_hosts_are_none(get: httpx.AsyncClient) -> None:
    answer = await get.get("/account", headers=[("Host", "prog.example"), ("Host", HOST)])
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_host")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": HOST},
        {"X-Forwarded-Host": HOST, "X-Forwarded-For": "192.0.2.1"},
        {"Forwarded": f"host={HOST}"},
        {"X-Host": HOST, "X-Original-Host": HOST, "X-Forwarded-Server": HOST},
    ],
)
async def test_check_11_what_a_proxy_or_anybody_says_beside_the_host_counts_for_nothing(
    get: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await get.get("/v1/me", headers=headers)).json()["tenant"] is None
    own = dict.fromkeys(headers, "prog.example")
    refused = await get.get("/v1/me", headers={**own, "Host": HOST})
    assert refused.json()["code"] == "not_at_this_host"


@pytest.mark.parametrize("path", ["/v1/me", "/admin", "/docs", f"/brand/{OTHER}/1.css", "/accounting", "/oauth2/token"])
async def test_only_account_pages_are_at_a_tenant_s_host(get: httpx.AsyncClient, path: str) -> None:
    answer = await get.get(path, headers={"Host": HOST})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_at_this_host")
    assert "https://prog.example" in answer.json()["detail"]


async def test_what_account_pages_need_is_there_too(get: httpx.AsyncClient) -> None:
    for step in ("start", "callback"):
        assert (await get.get(f"/v1/auth/oauth/google/{step}", headers={"Host": HOST})).json()["tenant"] == ACME
    for path in ("/v1/auth/oauth", "/v1/auth/oauth/google/start/x", "/v1/auth/oauth/a/b/callback"):
        assert (await get.get(path, headers={"Host": HOST})).json()["code"] == "not_at_this_host"
    assert (await get.get(f"/brand/{ACME}/1.css", headers={"Host": HOST})).status_code == 200
    assert (await get.post("/theme", headers={"Host": HOST})).status_code == 200
    assert (await get.get("/robots.txt", headers={"Host": HOST})).text == "User-agent: *\nDisallow: /\n"
    home = await get.get("/", headers={"Host": HOST})
    assert (home.status_code, home.headers["location"]) == (303, "/account")


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
@pytest.mark.parametrize("host", [HOST, "elsewhere.example"])
async def test_probes_answer_under_every_name(get: httpx.AsyncClient, host: str, path: str) -> None:
    assert (await get.get(path, headers={"Host": host})).status_code == 200


async def test_https_is_promised_for_a_tenant_s_host_and_not_for_what_is_below(get: httpx.AsyncClient) -> None:
    own = await get.get("/account", headers={"Host": HOST})
    assert own.headers["strict-transport-security"] == "max-age=31536000"
    platform = await get.get("/account")
    assert platform.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_a_flood_of_names_reads_nothing_and_is_not_remembered(get: httpx.AsyncClient, served: Served) -> None:
    for number in range(200):
        answer = await get.get("/account", headers={"Host": f"host{number}.example"})
        assert answer.status_code == 421
    assert served.reads == 1


async def test_what_is_proven_or_lost_is_known_after_five_seconds(get: httpx.AsyncClient, served: Served) -> None:
    assert (await get.get("/account", headers={"Host": HOST})).status_code == 200
    served.names = {"id.other.example": ServedDomain(OTHER, is_active=False)}
    served.now += 4.9
    assert (await get.get("/account", headers={"Host": HOST})).status_code == 200
    served.now += 0.2
    assert (await get.get("/account", headers={"Host": HOST})).status_code == 421
    assert (await get.get("/account", headers={"Host": "id.other.example"})).json()["tenant"] == OTHER
    assert served.reads == 2


async def test_an_outage_leaves_what_was_known_for_minutes_and_asks_a_second_apart(
    get: httpx.AsyncClient, served: Served
) -> None:
    served.away = True
    answer = await get.get("/account", headers={"Host": HOST})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    await get.get("/account", headers={"Host": HOST})
    assert served.reads == 1
    served.away = False
    served.now += 1
    assert (await get.get("/account", headers={"Host": HOST})).status_code == 200
    served.away = True
    served.now += 299
    assert (await get.get("/account", headers={"Host": HOST})).status_code == 200
    served.now += 2
    assert (await get.get("/account", headers={"Host": HOST})).status_code == 503
