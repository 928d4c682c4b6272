"""What is begun at a tenant's own host and done elsewhere counts there alone, for minutes, while it is the tenant's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio

from prog_contracts.errors import Denied, Invalid
from prog_contracts.hosts import PlatformHosts
from prog_contracts.ids import new_id
from prog_edge.context import RequestContext, Site, serving
from prog_edge.federation import Federation, Whence
from prog_edge.federation.errors import Untrusted
from prog_edge.handover import CREDENTIAL_MAX_LENGTH, LIFETIME, Asked, Handover
from prog_edge.hosts import TenantHosts
from prog_kit.identity_providers import IdentityProvider as Configured
from prog_kit.outbound import Outbound
from prog_kit.secrets import Sealer
from prog_workers.tenants.queries.custom_domains import ServedDomain
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, Someone
from tests.unit.edge.test_federation import answer_to, query_of

TENANT, OTHER = new_id("tenant"), new_id("tenant")
SITE = Site(TENANT, "accounts.acme.example", is_active=True)
ELSEWHERE = Site(OTHER, "id.globex.example", is_active=True)
SEALER = Sealer(("0123456789abcdef" * 4,))

pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextmanager
def at(site: Site | None) -> Iterator[None]:
    """A request that came to this host; None is the platform's."""
    with serving(RequestContext("request", "00-0-0-00", "https://prog.example", site=site)):
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider() as provider:
        provider.person = Someone("ada-at-provider", "ada@example.com")
        yield provider


@pytest_asyncio.fixture(loop_scope="module")
async def federation(provider: IdentityProvider) -> AsyncIterator[Federation]:
    site = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "issuer": provider.issuer}
    configured = [Configured(kind="oidc", name=name, title=name, **site) for name in ("acme", "other")]
    ours = Outbound(private=True, plain=True)
    federation = Federation(configured, SEALER, "https://prog.example", ours, ours, lambda _: _none())
    yield federation
    await federation.close()


async def _none() -> None:
    return None


async def test_check_19_what_was_begun_at_a_tenant_s_host_comes_back_to_it_by_the_platform_s(
    federation: Federation,
) -> None:
    with at(SITE):
        begun = await federation.begin("acme", "sign_in", "/account/x")
    assert query_of(begun)["redirect_uri"] == "https://prog.example/v1/auth/oauth/acme/callback"
    answer = await answer_to(begun)
    with at(None):
        whence = federation.whence("acme", answer["state"])
        assert whence is not None
        assert (whence.tenant_id, whence.host) == (SITE.tenant_id, SITE.host)
        assert federation.only_hands_on("acme", answer["state"])
    with at(SITE):
        assert not federation.only_hands_on("acme", answer["state"]), "here it is tried"
        finished = await federation.finish("acme", begun.cookie, answer)
        assert (finished.identity.subject, finished.pending.next_address) == ("ada-at-provider", "/account/x")
        with pytest.raises(Untrusted) as again:
            await federation.finish("acme", begun.cookie, answer)
    assert again.value.code == "code_refused"


@pytest.mark.parametrize(
    "there", [None, ELSEWHERE, Site(TENANT, "other.acme.example", True), Site(OTHER, SITE.host, True)]
)
async def test_check_19_its_cookie_is_good_at_no_other_host(federation: Federation, there: Site | None) -> None:
    with at(SITE):
        begun = await federation.begin("acme", "sign_in", "/")
        kept = federation.keep((await federation.finish("acme", begun.cookie, await answer_to(begun))).identity)
        again = await federation.begin("acme", "sign_in", "/")
        assert federation.kept(kept) is not None
    answer = await answer_to(again)
    with at(there):
        assert federation.kept(kept) is None, "nor that of an identity that waits for its person"
        with pytest.raises(Untrusted) as refused:
            await federation.finish("acme", again.cookie, answer)
    assert refused.value.code == "not_begun"


async def test_check_19_another_browser_s_answer_signs_nobody_in_at_a_tenant_s_host(federation: Federation) -> None:
    with at(SITE):
        mine, attackers = await federation.begin("acme", "sign_in", "/"), await federation.begin("acme", "sign_in", "/")
        with pytest.raises(Untrusted) as refused:
            await federation.finish("acme", mine.cookie, await answer_to(attackers))
    assert refused.value.code == "not_begun"


async def test_check_19_an_answer_of_another_provider_or_from_long_ago_goes_on_to_no_host(
    federation: Federation,
) -> None:
    with at(SITE):
        state = query_of(await federation.begin("acme", "sign_in", "/"))["state"]
    with pytest.raises(Untrusted) as mixed_up:
        federation.whence("other", state)
    assert mixed_up.value.code == "not_begun"
    with at(None):
        assert not federation.only_hands_on("other", state)
    now = datetime.now(UTC)
    for begun_at, good in ((now, True), (now - timedelta(minutes=10), False), (now + timedelta(minutes=2), False)):
        assert Whence("acme", TENANT, SITE.host, begun_at).is_answered_by("acme", now) is good


async def test_a_state_of_the_platform_s_or_of_nobody_s_goes_on_to_no_host(federation: Federation) -> None:
    own = query_of(await federation.begin("acme", "sign_in", "/"))["state"]
    with at(SITE):
        cookie = (await federation.begin("acme", "sign_in", "/")).cookie
    for state in (own, "", "made-up", cookie, "x" * 5000, "é"):
        assert federation.whence("acme", state) is None
        with at(None):
            assert not federation.only_hands_on("acme", state)


class Stood:
    """What is served, and what time it is."""

    def __init__(self) -> None:
        self.served: Mapping[str, ServedDomain] = {SITE.host: ServedDomain(TENANT, is_active=True)}
        self.now = datetime.now(UTC)

    async def read(self) -> Mapping[str, ServedDomain]:
        return self.served

    def handover(self) -> Handover:
        names = frozenset({"prog.example"})
        hosts = PlatformHosts("https://prog.example:8443", names, names, "prog.example")
        return Handover(SEALER, TenantHosts(self.read), hosts, "https://prog.example:8443", lambda: self.now)


def asked(next_address: str = "/account") -> Asked:
    return Asked.at(SITE, "sign_in", "browser", next_address, None)


def param(address: str, name: str) -> str:
    return dict(parse_qsl(urlsplit(address).query))[name]


@pytest.mark.parametrize(
    "served",
    [
        {},
        {SITE.host: ServedDomain(OTHER, is_active=True)},
        {SITE.host: ServedDomain(TENANT, is_active=False)},
        {ELSEWHERE.host: ServedDomain(TENANT, is_active=True)},
    ],
)
async def test_nobody_is_led_to_a_host_that_is_not_the_tenant_s_or_leads_elsewhere(
    served: dict[str, ServedDomain],
) -> None:
    stood = Stood()
    address = await stood.handover().address_at(TENANT, SITE.host, "/account", {"code": "a&b"})
    assert address == f"https://{SITE.host}:8443/account?code=a%26b"
    stood.served = served
    with pytest.raises(Denied) as refused:
        await stood.handover().address_at(TENANT, SITE.host, "/account", {})
    assert refused.value.code == "host_not_active"
    with pytest.raises(Denied):
        await stood.handover().answer(asked(), "token", "{}")


async def test_a_passkey_is_asked_for_minutes_and_what_it_answers_opens_at_the_host_that_asked() -> None:
    stood = Stood()
    handover = stood.handover()
    address = handover.asking(asked("/account/tenants/x?y=1"))
    assert address.startswith("https://prog.example:8443/account/passkey/for-host?")
    request = param(address, "request")
    found = handover.asked(request)
    assert found is not None
    back = await handover.answer(found, "token", '{"id": "x"}')
    assert back.startswith(f"https://{SITE.host}:8443/account/passkey/answer?")
    answer = param(back, "answer")
    with at(SITE):
        answered = handover.answered(answer)
        assert answered is not None
        assert (answered.token, answered.credential) == ("token", '{"id": "x"}')
        assert (answered.purpose, answered.next_address) == ("sign_in", "/account/tenants/x?y=1")
        assert handover.answered(request) is None, "what was asked is no answer"
    for there in (None, ELSEWHERE, Site(OTHER, SITE.host, True)):
        with at(there):
            assert handover.answered(answer) is None
    stood.now += LIFETIME + timedelta(seconds=1)
    assert handover.asked(request) is None
    assert handover.asked(answer) is None
    assert handover.asked("made-up") is None


async def test_what_fits_in_no_address_is_said_and_a_long_way_on_is_left_out() -> None:
    handover = Stood().handover()
    with pytest.raises(Invalid):
        await handover.answer(asked(), "token", "x" * (CREDENTIAL_MAX_LENGTH + 1))
    longest = await handover.answer(asked("/" + "y" * 999), "t" * 713, "x" * CREDENTIAL_MAX_LENGTH)
    assert len(longest) < 8_000, "as long as proxies take one by default"
    with at(SITE):
        assert handover.answered(param(longest, "answer")) is not None
    assert asked("/" + "y" * 1000).next_address == "/account"
