"""Sign-in through other providers, as their client, against a provider on loopback that keeps to its specification.

`check_N` in a test's name is the number of the security review's check that it holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import pytest_asyncio

from prog_contracts.errors import NotFound
from prog_contracts.ids import new_id
from prog_edge.federation import Begun, Federation, Finished, Purpose, SignOnProvider
from prog_edge.federation.errors import Untrusted
from prog_kit.identity_providers import IdentityProvider as Configured
from prog_kit.outbound import Outbound, Unreachable
from prog_kit.secrets import Sealer
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, Someone

TENANT = new_id("tenant")
ADA = ("ada-at-provider", ("ada@example.com",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider() as server:
        yield server


@pytest.fixture
def provider(server: IdentityProvider) -> IdentityProvider:
    """The provider as it was at first: it tells the truth, and Ada is signed in there."""
    server.person, server.twist, server.tells_issuer, server.says_no = (
        Someone(*ADA[:1], "ada@example.com"),
        "",
        True,
        False,
    )
    server.metadata, server.signed_in_seconds_ago = {}, 0
    server.asked.clear()
    return server


@pytest_asyncio.fixture(loop_scope="module")
async def federation(provider: IdentityProvider) -> AsyncIterator[Federation]:
    site = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "issuer": provider.issuer}
    providers = (
        Configured(kind="oidc", name="acme", title="Acme", **site),
        Configured(kind="oidc", name="other", title="Other", **site),
        Configured(kind="google", **site),
        Configured(kind="microsoft", **site),
        Configured(kind="github", api_url=provider.issuer, **site),
        Configured(kind="oidc", name="wrong-secret", title="W", **{**site, "client_secret": "wrong"}),
    )
    sealer = Sealer(("0123456789abcdef" * 4,))

    async def sign_on(name: str) -> SignOnProvider | None:
        if name != TENANT:
            return None
        domains = frozenset({"example.com"})
        return SignOnProvider(TENANT, "Acme", provider.issuer, CLIENT_ID, CLIENT_SECRET, domains)

    ours, strict = Outbound(private=True, plain=True), Outbound(private=True, plain=True)
    federation = Federation(providers, sealer, "http://127.0.0.1:1", ours, strict, sign_on)
    yield federation
    await federation.close()


async def answer_to(begun: Begun) -> dict[str, str]:
    """What the provider sends the browser back with."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as browser:
        response = await browser.get(begun.url)
    assert response.status_code == 302, response.text
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))


async def come_back(
    federation: Federation, name: str = "acme", purpose: Purpose = "sign_in", **changes: str | None
) -> Finished:
    """All of the way; `changes` are made to the provider's answer on its way back."""
    begun = await federation.begin(name, purpose, "/account")
    answer: dict[str, Any] = {**await answer_to(begun), **changes}
    return await federation.finish(
        name, begun.cookie, {key: value for key, value in answer.items() if value is not None}
    )


def query_of(begun: Begun) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(begun.url).query))


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_check_19_an_identity_is_the_issuer_and_the_subject(
    federation: Federation, provider: IdentityProvider
) -> None:
    finished = await come_back(federation)
    identity = finished.identity
    assert (identity.issuer, identity.subject, identity.emails) == (provider.issuer, *ADA)
    assert (identity.provider, identity.title, identity.name) == ("acme", "Acme", "Ada Lovelace")
    assert (finished.pending.purpose, finished.pending.next_address) == ("sign_in", "/account")


async def test_what_is_asked_for_has_state_nonce_and_challenge_anew_each_time(federation: Federation) -> None:
    first, second = (
        query_of(await federation.begin("acme", "sign_in", "/")),
        query_of(await federation.begin("acme", "sign_in", "/")),
    )
    assert first["code_challenge_method"] == "S256"
    assert set(first["scope"].split()) == {"openid", "email", "profile"}
    assert first["redirect_uri"] == "http://127.0.0.1:1/v1/auth/oauth/acme/callback"
    assert all(first[name] != second[name] and len(first[name]) >= 43 for name in ("state", "nonce", "code_challenge"))


@pytest.mark.parametrize("state", ["", "made-up", None])
async def test_check_19_an_answer_to_another_question_is_none(federation: Federation, state: str | None) -> None:
    with pytest.raises(Untrusted) as refused:
        await come_back(federation, state=state)
    assert refused.value.code == "not_begun"


async def test_check_19_an_answer_counts_in_the_browser_that_asked(federation: Federation) -> None:
    mine, anothers = await federation.begin("acme", "sign_in", "/"), await federation.begin("acme", "sign_in", "/")
    for cookie in ("", "forged", anothers.cookie, federation.keep((await come_back(federation)).identity)):
        with pytest.raises(Untrusted) as refused:
            await federation.finish("acme", cookie, await answer_to(mine))
        assert refused.value.code == "not_begun"


async def test_check_19_an_answer_of_one_provider_is_none_of_another(federation: Federation) -> None:
    begun = await federation.begin("acme", "sign_in", "/")
    with pytest.raises(Untrusted) as refused:
        await federation.finish("other", begun.cookie, await answer_to(begun))
    assert refused.value.code == "not_begun"


@pytest.mark.parametrize(
    "twist",
    [
        "nonce", "no nonce", "issuer", "audience", "two audiences", "expired", "of the future", "no subject",
        "unsigned", "signed with the public key", "signed with a key of its own",
    ],
)  # fmt: skip
async def test_check_19_an_id_token_that_is_not_right_in_all_is_refused(
    federation: Federation, provider: IdentityProvider, twist: str
) -> None:
    assert (await come_back(federation)).identity.subject == ADA[0]
    provider.twist = twist
    with pytest.raises(Untrusted) as refused:
        await come_back(federation)
    assert refused.value.code == "bad_id_token"


async def test_check_19_an_answer_that_names_another_issuer_is_refused(
    federation: Federation, provider: IdentityProvider
) -> None:
    provider.twist = "iss parameter"
    with pytest.raises(Untrusted) as refused:
        await come_back(federation)
    assert refused.value.code == "wrong_issuer"
    assert "/token" not in provider.asked, "the code went to nobody"


async def test_check_19_a_provider_that_tells_its_issuer_always_does(
    federation: Federation, provider: IdentityProvider
) -> None:
    with pytest.raises(Untrusted) as refused:
        await come_back(federation, iss=None)
    assert refused.value.code == "wrong_issuer"
    provider.tells_issuer = False
    with pytest.raises(Untrusted):
        await come_back(federation, iss=None)  # for an hour it is known to tell


async def test_a_provider_that_does_not_tell_its_issuer_is_taken(
    federation: Federation, provider: IdentityProvider
) -> None:
    provider.tells_issuer = False
    assert (await come_back(federation)).identity.subject == ADA[0]
    with pytest.raises(Untrusted):
        await come_back(federation, iss="https://another.example")


async def test_check_19_a_code_counts_once_and_with_its_verifier(federation: Federation) -> None:
    begun = await federation.begin("acme", "sign_in", "/")
    answer = await answer_to(begun)
    assert (await federation.finish("acme", begun.cookie, answer)).identity.subject == ADA[0]
    with pytest.raises(Untrusted) as again:
        await federation.finish("acme", begun.cookie, answer)
    stolen = (await answer_to(await federation.begin("acme", "sign_in", "/")))["code"]
    with pytest.raises(Untrusted) as injected:
        await come_back(federation, code=stolen)
    assert (again.value.code, injected.value.code) == ("code_refused", "code_refused")


async def test_check_19_a_key_that_was_rotated_is_found_and_the_old_one_is_none(
    federation: Federation, provider: IdentityProvider
) -> None:
    await come_back(federation)
    federation.directory.clock = lambda: 1e9  # long after the keys were fetched, and the documents too
    asked_before = provider.asked.count("/jwks")
    provider.rotate()
    assert (await come_back(federation)).identity.subject == ADA[0]
    assert provider.asked.count("/jwks") == asked_before + 1


async def test_made_up_keys_do_not_have_a_provider_asked_again_and_again(
    federation: Federation, provider: IdentityProvider
) -> None:
    await come_back(federation)
    provider.twist = "signed with a key of its own"
    for _ in range(5):
        with pytest.raises(Untrusted):
            await come_back(federation)
    assert provider.asked.count("/jwks") == 1


async def test_who_says_no_there_is_told_no_more_than_that(federation: Federation, provider: IdentityProvider) -> None:
    provider.says_no = True
    with pytest.raises(Untrusted) as canceled:
        await come_back(federation)
    assert canceled.value.code == "canceled"
    assert "script" not in canceled.value.message


async def test_check_19_an_address_that_the_provider_has_not_verified_is_none(
    federation: Federation, provider: IdentityProvider
) -> None:
    for verified in (False, "yes", 1):
        provider.person = Someone("ada-at-provider", "ada@example.com", verified=verified)  # type: ignore[arg-type]
        assert (await come_back(federation)).identity.emails == (() if verified != 1 else ADA[1])
    provider.person = Someone("ada-at-provider", None)
    assert (await come_back(federation)).identity.emails == ()


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({}, False),
        ({"xms_edov": False}, False),
        ({"xms_edov": True}, True),
        ({"xms_edov": "1"}, True),
        ({"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}, True),
    ],
)
async def test_check_19_what_microsoft_lets_administrators_type_in_is_no_verified_address(
    federation: Federation, provider: IdentityProvider, claims: dict[str, Any], good: bool
) -> None:
    directory = claims.get("tid", "72f988bf-86f1-41af-91ab-2d7cd011db47")
    provider.metadata = {"issuer": f"{provider.issuer}/{{tenantid}}/v2.0"}
    provider.tells_issuer = False
    issuer = f"{provider.issuer}/{directory}/v2.0"
    provider.person = Someone("ada", "ada@example.com", claims={"tid": directory, "iss": issuer, **claims})
    identity = (await come_back(federation, "microsoft")).identity
    assert (identity.issuer, identity.emails) == (issuer, ADA[1] if good else ())


@pytest.mark.parametrize("directory", [None, "72f988bf", "../../evil", "72f988bf-86f1-41af-91ab-2d7cd011db48"])
async def test_check_19_microsoft_s_issuer_is_that_of_the_token_s_own_directory(
    federation: Federation, provider: IdentityProvider, directory: str | None
) -> None:
    provider.metadata = {"issuer": f"{provider.issuer}/{{tenantid}}/v2.0"}
    provider.tells_issuer = False
    issuer = f"{provider.issuer}/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"
    provider.person = Someone("ada", "ada@example.com", claims={"iss": issuer, "tid": directory})
    with pytest.raises(Untrusted):
        await come_back(federation, "microsoft")


async def test_github_is_asked_for_the_number_and_the_verified_addresses(
    federation: Federation, provider: IdentityProvider
) -> None:
    provider.tells_issuer = False
    provider.person = Someone("4711")
    provider.github_emails = [
        {"email": "old@example.com", "primary": False, "verified": True},
        {"email": "ada@example.com", "primary": True, "verified": True},
        {"email": "typed-in@example.com", "primary": False, "verified": False},
        {"email": "4711+ada@users.noreply.github.com", "primary": False, "verified": True},
    ]
    identity = (await come_back(federation, "github")).identity
    assert (identity.issuer, identity.subject) == (provider.issuer, "4711")
    assert identity.emails == ("ada@example.com", "old@example.com")
    begun = await federation.begin("github", "sign_in", "/")
    answer = await answer_to(begun)
    await federation.finish("github", begun.cookie, answer)
    with pytest.raises(Untrusted):
        await federation.finish("github", begun.cookie, answer)


async def test_who_steps_up_is_asked_again_at_the_provider(federation: Federation, provider: IdentityProvider) -> None:
    asked = query_of(await federation.begin("acme", "step_up", "/"))
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert (await come_back(federation, purpose="step_up")).pending.purpose == "step_up"
    provider.signed_in_seconds_ago = 3600
    with pytest.raises(Untrusted) as refused:
        await come_back(federation, purpose="step_up")
    assert refused.value.code == "not_signed_in_again"
    assert (await come_back(federation)).identity.subject == ADA[0], "a sign-in may be an old one there"


async def test_a_provider_that_refuses_this_platform_opens_nothing(federation: Federation) -> None:
    with pytest.raises(Untrusted) as refused:
        await come_back(federation, "wrong-secret")
    assert refused.value.code == "code_refused"


async def test_a_provider_that_is_not_there_is_no_crash(federation: Federation) -> None:
    with pytest.raises(NotFound):
        await federation.begin("nobody", "sign_in", "/")


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://another.example"},
        {"token_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": 7},
    ],
)
async def test_check_19_metadata_of_another_issuer_or_without_addresses_is_none(
    federation: Federation, provider: IdentityProvider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    with pytest.raises(Unreachable):
        await federation.begin("acme", "sign_in", "/")


@pytest.mark.parametrize(
    ("person", "emails"),
    [
        (Someone("ada", "Ada@Example.com"), ("Ada@Example.com",)),
        (Someone("ada", "ada@example.com", verified=None), ("ada@example.com",)),  # type: ignore[arg-type]
        (Someone("ada", "ada@example.com", verified=False), ()),
        (Someone("ada", "ada@elsewhere.example"), ()),
        (Someone("ada", "ada@sub.example.com"), ()),
        (Someone("ada", "ada@example.com@elsewhere.example"), ()),
    ],
)
async def test_check_19_a_tenant_s_provider_vouches_for_the_tenant_s_domains_alone(
    federation: Federation, provider: IdentityProvider, person: Someone, emails: tuple[str, ...]
) -> None:
    provider.person = person
    identity = (await come_back(federation, TENANT)).identity
    assert (identity.tenant_id, identity.title, identity.emails) == (TENANT, "Acme", emails)


async def test_a_tenant_without_a_provider_leads_nowhere(federation: Federation) -> None:
    with pytest.raises(NotFound):
        await federation.begin(new_id("tenant"), "sign_in", "/")


async def test_who_is_expected_is_told_to_the_provider(federation: Federation) -> None:
    begun = await federation.begin(TENANT, "sign_in", "/", hint="ada@example.com")
    assert query_of(begun)["login_hint"] == "ada@example.com"


async def test_production_asks_a_tenant_s_provider_at_public_addresses_alone(provider: IdentityProvider) -> None:
    async def sign_on(name: str) -> SignOnProvider | None:
        return SignOnProvider(TENANT, "Acme", provider.issuer, CLIENT_ID, CLIENT_SECRET, frozenset())

    ours, strict = Outbound(private=True, plain=True), Outbound(private=False, plain=True)
    federation = Federation((), Sealer(("0123456789abcdef" * 4,)), "http://127.0.0.1:1", ours, strict, sign_on)
    with pytest.raises(Unreachable):
        await federation.begin(TENANT, "sign_in", "/")
    with pytest.raises(Unreachable):
        await federation.probe(TENANT, provider.issuer)
    assert provider.asked == []
    await federation.close()


async def test_a_code_goes_to_no_private_address_that_a_tenant_s_provider_has_published(
    provider: IdentityProvider,
) -> None:
    async def sign_on(name: str) -> SignOnProvider | None:
        return SignOnProvider(TENANT, "Acme", provider.issuer, CLIENT_ID, CLIENT_SECRET, frozenset())

    ours, strict = Outbound(private=True, plain=True), Outbound(private=False, plain=True)
    federation = Federation((), Sealer(("0123456789abcdef" * 4,)), "http://127.0.0.1:1", ours, strict, sign_on)
    federation.tenants_directory = federation.directory  # type: ignore[misc]  # as if it were at a public address
    begun = await federation.begin(TENANT, "sign_in", "/")
    answer = await answer_to(begun)
    asked = list(provider.asked)
    with pytest.raises(Unreachable):
        await federation.finish(TENANT, begun.cookie, answer)
    assert provider.asked == asked
    await federation.close()


@pytest.mark.parametrize("name", ["acme", TENANT, "microsoft", "github"], ids=["acme", "tenant", "microsoft", "github"])
async def test_who_has_a_provider_asked_is_counted_before_it_is(
    federation: Federation, provider: IdentityProvider, name: str
) -> None:
    counted = 0

    async def count() -> None:
        nonlocal counted
        assert not provider.asked
        counted += 1

    for _ in range(3):
        with suppress(Unreachable):  # Microsoft's metadata would look otherwise
            await federation.begin(name, "sign_in", "/account", before_asking=count)
    assert counted == (0 if name == "github" else 1)
    federation.directory.clock = federation.tenants_directory.clock = lambda: 1e9
    provider.asked.clear()
    with suppress(Unreachable):
        await federation.begin(name, "sign_in", "/account", before_asking=count)
    assert counted == (0 if name == "github" else 2), "what was known holds an hour"


async def test_a_provider_that_did_not_answer_is_not_asked_again_at_once(
    federation: Federation, provider: IdentityProvider
) -> None:
    provider.metadata = {"issuer": "https://another.example"}
    for _ in range(3):
        with pytest.raises(Unreachable):
            await federation.begin("acme", "sign_in", "/")
    assert len(provider.asked) == 1
    provider.metadata = {}
    federation.directory.clock = lambda: 1e9
    assert (await come_back(federation)).identity.subject == ADA[0]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
async def test_a_provider_may_sign_with_curves(
    federation: Federation, provider: IdentityProvider, algorithm: str
) -> None:
    provider.rotate(algorithm)
    provider.metadata = {"id_token_signing_alg_values_supported": [algorithm]}
    assert (await come_back(federation)).identity.subject == ADA[0]
    provider.metadata = {"id_token_signing_alg_values_supported": ["RS256"]}
    federation.directory.clock = lambda: 1e9
    with pytest.raises(Untrusted):
        await come_back(federation)
    provider.rotate()
