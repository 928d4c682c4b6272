"""What stands behind the pages: sessions in a cookie, and the ports of the account pages and the console."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx
import pytest
import pytest_asyncio

from prog_contracts.errors import Denied, Invalid, NotFound
from prog_contracts.ids import new_id, new_message_id
from prog_edge.web.ports import ListQuery, StoryNode, Viewer, WebServices
from tests.integration.edge.stage import OPERATOR, PASSPHRASE, Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONSOLE = (
    "/admin",
    "/admin/users",
    "/admin/tenants",
    "/admin/subscriptions",
    "/admin/invoices",
    "/admin/messages",
    "/admin/events",
    "/admin/consumers",
    "/admin/topics",
    "/admin/topics/prog.users.events",
    "/admin/dead-letters",
)


def form_key() -> str:
    return str(new_message_id())


@pytest.fixture
def web(stage: Stage) -> WebServices:
    services: WebServices = stage.app.state.web
    return services


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(stage: Stage) -> Person:
    person = await stage.person("ada@pages.example")
    await stage.tenant_of(person, "Pages Ltd")
    return person


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(stage: Stage) -> Person:
    return await stage.operator()


@pytest_asyncio.fixture
async def browser(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=stage.settings.public_url, timeout=20, verify=False, follow_redirects=True
    ) as client:
        yield client


def viewer_of(person: Person, role: str | None = None) -> Viewer:
    return Viewer(person.user_id, person.email, "Ada Lovelace", person.tokens["session_id"], role)  # type: ignore[arg-type]


def form_token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return found[1]


async def enter(browser: httpx.AsyncClient, email: str) -> httpx.Response:
    page = await browser.get("/account/sign-in")
    form = {"csrf_token": form_token(page), "email": email, "password": PASSPHRASE}
    entered = await browser.post("/account/sign-in", data=form)
    assert entered.status_code == 200, entered.text[:500]
    return entered


async def test_a_browser_signs_in_and_calls_the_api_with_its_cookie(
    browser: httpx.AsyncClient, stage: Stage, ada: Person
) -> None:
    await enter(browser, ada.email)
    (cookie,) = [item for item in browser.cookies.jar if item.name == "prog_session"]
    assert cookie.has_nonstandard_attr("HttpOnly")
    me = await browser.get("/v1/me")
    assert me.json()["email"] == ada.email
    bare = await browser.post("/v1/tenants", json={"name": "Forged"})
    assert (bare.status_code, bare.json()["code"]) == (403, "csrf")
    home = await browser.get("/account")
    headers = {"X-CSRF-Token": form_token(home)}
    assert (await browser.post("/v1/tenants", json={"name": "Meant"}, headers=headers)).status_code == 201


async def test_an_access_token_that_has_run_out_is_renewed_on_the_way(
    browser: httpx.AsyncClient, stage: Stage, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enter(browser, ada.email)
    before = browser.cookies["prog_session"]
    tokens = stage.platform.tokens
    real_verify, renewed = tokens.verify, stage.platform.sessions

    async def verify(token: str) -> object:
        opened = renewed._unseal(before)
        assert opened is not None
        if token == opened.access_token:
            raise Denied("The access token has expired.", code="unauthenticated")
        return await real_verify(token)

    monkeypatch.setattr(tokens, "verify", verify)
    answers = await asyncio.gather(*(browser.get("/v1/me") for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
    assert browser.cookies["prog_session"] != before
    assert (await browser.get("/account")).url.path == "/account"


@pytest.mark.parametrize("cookie", ["", "nonsense", "x" * 5000, "a.b.c"])
async def test_a_forged_cookie_opens_nothing(stage: Stage, web: WebServices, cookie: str) -> None:
    assert await web.sessions.open(cookie) is None
    answer = await stage.http.get("/v1/me", headers={"Cookie": f"prog_session={cookie}"})
    assert answer.status_code == 401


async def test_signing_out_ends_the_session_on_the_server(
    browser: httpx.AsyncClient, web: WebServices, ada: Person
) -> None:
    await enter(browser, ada.email)
    cookie = browser.cookies["prog_session"]
    home = await browser.get("/account")
    await browser.post("/account/sign-out", data={"csrf_token": form_token(home)})
    assert "prog_session" not in browser.cookies

    async def over() -> bool:
        return await web.sessions.open(cookie) is None

    await wait_until(over, what="the session to be over, seconds later")
    answer = await browser.get("/v1/me", headers={"Cookie": f"prog_session={cookie}"})
    assert answer.status_code == 401


async def test_the_account_pages_have_what_they_show(web: WebServices, ada: Person) -> None:
    viewer = viewer_of(ada)
    account = web.account
    tenant_id = str(ada.tenant_id)
    assert "Pages Ltd" in [card.name for card in await account.tenants(viewer)]
    await account.invite_member(
        viewer, tenant_id, email="guest@pages.example", role="viewer", idempotency_key=form_key()
    )
    tenant = await account.tenant(viewer, tenant_id)
    assert [row.email for row in tenant.members] == [ada.email]
    assert [row.email for row in tenant.invitations] == ["guest@pages.example"]
    plans = await web.site.plans()
    await account.subscribe(
        viewer, tenant_id, price_id=plans[0].price_id, payment_method="pm_ok", idempotency_key=form_key()
    )

    async def active() -> bool:
        view = await account.billing(viewer, tenant_id)
        return view.subscription is not None and view.subscription.status == "active"

    await wait_until(active, what="the subscription to be active")
    view = await account.billing(viewer, tenant_id)
    assert view.card is not None
    assert view.sandbox
    document = await account.invoice_pdf(viewer, tenant_id, view.invoices[0].id)
    assert document.content.startswith(b"%PDF-")
    await account.cancel_subscription(viewer, tenant_id, idempotency_key=form_key())
    assert (await account.billing(viewer, tenant_id)).subscription.cancel_at_period_end  # type: ignore[union-attr]


async def test_a_tenant_is_renamed_from_its_page(web: WebServices, ada: Person) -> None:
    viewer, tenant_id = viewer_of(ada), str(ada.tenant_id)
    before = (await web.account.tenant(viewer, tenant_id)).name
    for name in ("Renamed", before):
        await web.tenancy.rename_tenant(viewer, tenant_id, name=name, idempotency_key=form_key())
        assert (await web.account.tenant(viewer, tenant_id)).name == name
    with pytest.raises(Invalid):
        await web.tenancy.rename_tenant(viewer, tenant_id, name=" ", idempotency_key=form_key())


async def test_a_tenant_created_on_a_page_is_known_at_once(stage: Stage, web: WebServices) -> None:
    person = await stage.person("at-once@pages.example")
    for known in (0, 1):
        assert len(await stage.platform.tenants_of(person.user_id)) == known
        await web.account.create_tenant(viewer_of(person), name=f"After {known}", idempotency_key=form_key())
    assert len(await stage.platform.tenants_of(person.user_id)) == 2


async def test_a_form_sent_twice_is_done_once(web: WebServices, ada: Person) -> None:
    viewer, key = viewer_of(ada), form_key()
    first = await web.account.create_tenant(viewer, name="Twice", idempotency_key=key)
    second = await web.account.create_tenant(viewer, name="Twice", idempotency_key=key)
    assert first == second
    assert [card.name for card in await web.account.tenants(viewer)].count("Twice") == 1


async def test_a_refused_form_names_the_field_of_the_page(web: WebServices, ada: Person) -> None:
    with pytest.raises(Exception, match="card") as refused:
        await web.account.change_card(
            viewer_of(ada), str(ada.tenant_id), payment_method="no card", idempotency_key=form_key()
        )
    assert [item.field for item in refused.value.fields] == ["payment_method"]  # type: ignore[attr-defined]


async def test_pages_of_another_tenant_do_not_exist(stage: Stage, web: WebServices, ada: Person) -> None:
    eve = await stage.person("eve@pages.example")
    viewer, tenant_id = viewer_of(eve), str(ada.tenant_id)
    for page in (web.account.tenant(viewer, tenant_id), web.account.billing(viewer, tenant_id)):
        with pytest.raises(NotFound):
            await page
    with pytest.raises(NotFound):
        await web.account.invoice_pdf(viewer, tenant_id, new_id("invoice"))
    with pytest.raises(NotFound):
        await web.account.change_card(viewer, tenant_id, payment_method="pm_ok", idempotency_key=form_key())
    with pytest.raises(NotFound):
        await web.tenancy.rename_tenant(viewer, tenant_id, name="Mine", idempotency_key=form_key())


async def test_the_console_is_closed_to_others(browser: httpx.AsyncClient, web: WebServices, ada: Person) -> None:
    viewer = viewer_of(ada)
    with pytest.raises(Denied):
        await web.admin.overview(viewer)
    with pytest.raises(Denied):
        await web.admin.users(viewer, ListQuery())
    with pytest.raises(Denied):
        await anext(web.admin.follow_events(viewer, {}, None))
    with pytest.raises(Denied):
        await web.admin.drop(viewer, str(new_message_id()))
    await enter(browser, ada.email)
    for path in CONSOLE:
        assert (await browser.get(path)).status_code == 403


async def test_the_console_shows_every_page(browser: httpx.AsyncClient, operator: Person, ada: Person) -> None:
    await enter(browser, OPERATOR)
    for path in CONSOLE:
        page = await browser.get(path)
        assert page.status_code == 200, f"{path}: {page.status_code}"
    assert ada.email in (await browser.get("/admin/users")).text
    assert "Pages Ltd" in (await browser.get("/admin/tenants", params={"search": "pages"})).text
    story = await browser.get(f"/admin/story/{ada.tenant_id}")
    assert story.status_code == 200
    assert "create_tenant" in story.text or "Create tenant" in story.text


async def test_the_console_finds_things_and_tells_their_story(web: WebServices, operator: Person, ada: Person) -> None:
    viewer = viewer_of(operator, "operator")
    for text in (ada.email, ada.user_id, str(ada.tenant_id), "Pages Ltd"):
        assert await web.admin.find(viewer, text), text
    story = await web.admin.story(viewer, str(ada.tenant_id))
    kinds = {node.kind for node in walk(story.roots)}
    assert kinds >= {"command", "event", "mail"}
    with pytest.raises(NotFound):
        await web.admin.story(viewer, "nothing")


async def test_searching_a_list_leaves_what_was_searched_for(web: WebServices, operator: Person, ada: Person) -> None:
    viewer = viewer_of(operator, "operator")
    made = await web.admin.messages(viewer, ListQuery(search="create_TENANT"))
    assert {row.type for row in made.rows} == {"prognetwork.tenants.create_tenant"}
    one = made.rows[0].id
    assert [row.id for row in (await web.admin.messages(viewer, ListQuery(search=one))).rows] == [one]
    hers = await web.admin.messages(viewer, ListQuery(search=ada.user_id))
    assert ada.user_id in {row.actor for row in hers.rows}
    events = await web.admin.events(viewer, ListQuery(search="tenant_created"))
    assert {row.type for row in events.rows} == {"prognetwork.tenants.tenant_created"}
    one = events.rows[0].id
    assert [row.id for row in (await web.admin.events(viewer, ListQuery(search=one))).rows] == [one]
    about = await web.admin.events(viewer, ListQuery(search=str(ada.tenant_id)))
    assert {row.subject for row in about.rows} == {ada.tenant_id}
    elsewhere = ListQuery(search="tenant_created", filters={"domain": "payments"})
    assert len((await web.admin.events(viewer, elsewhere)).rows) == 0
    for lists in (web.admin.messages, web.admin.events, web.admin.dead_letters):
        for nothing in ("nothing of this name", str(new_message_id()), new_id("user")):
            assert len((await lists(viewer, ListQuery(search=nothing))).rows) == 0, nothing


async def test_the_console_names_a_person_s_tenants(web: WebServices, operator: Person, ada: Person) -> None:
    facts = await web.security.facts_of(viewer_of(operator, "operator"), ada.user_id)
    assert (ada.tenant_id, "owner") in [(each.tenant_id, each.role) for each in facts.tenants]


async def test_the_console_follows_events_live(web: WebServices, operator: Person, ada: Person) -> None:
    viewer = viewer_of(operator, "operator")
    events = web.admin.follow_events(viewer, {"domain": "tenants", "tenant": str(ada.tenant_id)}, None)
    assert await asyncio.wait_for(anext(events), 10) is None, "it listens"
    await ada.request("PATCH", f"/v1/tenants/{ada.tenant_id}", json={"name": "Pages Incorporated"})
    row = await asyncio.wait_for(anext(events), 10)
    assert row is not None
    assert (row.type, row.tenant_name) == ("prognetwork.tenants.tenant_updated", "Pages Incorporated")
    await events.aclose()  # type: ignore[attr-defined]


def walk(nodes: Sequence[StoryNode]) -> Iterator[StoryNode]:
    for node in nodes:
        yield node
        yield from walk(node.children)
