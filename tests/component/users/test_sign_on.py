"""Sign-on by a tenant's own provider, as the users domain has it. `check_N` is the security review's check."""

from datetime import timedelta
from typing import Any

import pytest

from prog_contracts.accounts import AccountToProve, SecondFactorNeeded, TokenSet
from prog_contracts.identities import IdentityRefused, ProvenIdentity
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.sign_on import AdmitSignedOn, SignOnChanged
from prog_contracts.tenants import TenantDeleted
from prog_contracts.users import AuthenticationFailed, LinkRequested, UserAuthenticated
from tests.component.harness import Harness
from tests.component.users import test_identities as social
from tests.component.users.people import PASSWORD, Person, administrator, code

TENANT, OTHER = new_id("tenant"), new_id("tenant")
ISSUER = "https://id.example"


async def sign_on(platform: Harness, tenant_id: str = TENANT, **changes: Any) -> None:
    """Tells that a tenant's people sign on with addresses of example.com."""
    values: dict[str, Any] = {
        "tenant_id": tenant_id,
        "change": "configured",
        "issuer": ISSUER,
        "client_id": "c",
        "default_role": "member",
        "enforced": False,
        "domains": ("example.com",),
    }
    await platform.publish(SignOnChanged(**{**values, **changes}), tenant_id=tenant_id)


def identity(platform: Harness, tenant_id: str | None = TENANT, **changes: Any) -> ProvenIdentity:
    values: dict[str, Any] = {
        "provider": tenant_id or "oidc",
        "title": "Acme",
        "issuer": ISSUER,
        "subject": "ada",
        "emails": ("ada@example.com",),
        "name": "Ada Lovelace",
        "proven_at": platform.clock.now(),
        "tenant_id": tenant_id,
    }
    return ProvenIdentity(**{**values, **changes})


async def admissions(platform: Harness) -> list[tuple[str, str]]:
    return [(each.tenant_id, each.user_id) for each in await platform.events(AdmitSignedOn)]


async def test_somebody_new_gets_an_account_and_is_admitted_by_the_tenant(platform: Harness) -> None:
    await sign_on(platform)
    tokens = await social.signed_in(platform, identity(platform))
    assert await admissions(platform) == [(TENANT, tokens.user_id)]
    [row] = await platform.fetch("SELECT tenant_id FROM bus.event_log WHERE type = $1", AdmitSignedOn.TYPE)
    assert row["tenant_id"] == TENANT, "it is the tenant's own to admit"
    [event] = await platform.events(UserAuthenticated)
    assert event.method == "sign_on"
    again = await social.signed_in(platform, identity(platform))
    assert again.user_id == tokens.user_id


async def test_check_19_a_tenant_s_provider_speaks_for_no_other_s_addresses(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    for domains in ((), ("example.org",)):
        await sign_on(platform, domains=domains)
        assert code(await social.sign_in(platform, identity(platform))) == "identity_of_other_domain"
    await sign_on(platform, OTHER)
    assert code(await social.sign_in(platform, identity(platform))) == "identity_of_other_domain"
    assert code(await social.prove(platform, identity(platform), PASSWORD)) == "identity_of_other_domain"
    assert code(await social.link(platform, await ada.tokens(), identity(platform))) == "identity_of_other_domain"
    assert code(await social.sign_in(platform, identity(platform, emails=()))) == "identity_of_other_domain"
    assert not await platform.fetch("SELECT FROM users.identities")
    assert set(await social.refusals(platform)) == {"other_domain"}


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1)])
async def test_a_domain_is_whoever_s_has_proven_it_last_in_whatever_order_that_is_heard(
    platform: Harness, order: tuple[int, ...]
) -> None:
    """One tenant proves and releases it, another one proves it then. A tenant's own events keep their order."""
    told: list[tuple[str, dict[str, Any]]] = [
        (TENANT, {"proofs": {"example.com": 5}, "change": "domain_proven"}),
        (TENANT, {"domains": (), "change": "domain_released"}),
        (OTHER, {"proofs": {"example.com": 9}, "change": "domain_proven"}),
    ]
    for place in order:
        tenant_id, changes = told[place]
        await sign_on(platform, tenant_id, **changes)
    rows = await platform.fetch("SELECT domain, sign_on_tenant_id, proof FROM users.sign_on_domains")
    assert [tuple(row) for row in rows] == [("example.com", OTHER, 9)]


async def test_check_19_the_same_issuer_and_subject_are_apart_for_each_tenant_and_the_platform(
    platform: Harness,
) -> None:
    """A tenant that names the issuer of another gets none of the other's people."""
    await sign_on(platform)
    await sign_on(platform, OTHER, domains=("evil.example",))
    victim = await social.signed_in(platform, identity(platform))
    evil = identity(platform, OTHER, emails=("x@evil.example",))
    assert (await social.signed_in(platform, evil)).user_id != victim.user_id
    own = identity(platform, tenant_id=None, emails=("third@example.org",))
    assert (await social.signed_in(platform, own)).user_id != victim.user_id


async def test_check_19_an_account_from_before_is_proven_by_its_person(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await sign_on(platform, enforced=True)
    answer = await social.sign_in(platform, identity(platform))
    assert AccountToProve.model_validate(answer.result).email == ada.email
    assert await admissions(platform) == []
    proven = await social.prove(platform, identity(platform), PASSWORD)
    assert TokenSet.model_validate(proven.result).user_id == ada.user_id, "though nothing else lets her in"
    assert await admissions(platform) == [(TENANT, ada.user_id)]
    assert (await social.signed_in(platform, identity(platform))).user_id == ada.user_id


async def test_check_04_where_sign_on_is_enforced_a_right_password_answers_like_a_wrong_one(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    await sign_on(platform, enforced=True)
    right, wrong = await ada.sign_in(), await ada.sign_in("a wrong password")
    unknown = await ada.sign_in(email="nobody@example.com")
    assert right.error == wrong.error == unknown.error
    assert code(right) == "invalid_credentials"
    reasons = [event.reason for event in await platform.events(AuthenticationFailed)]
    assert reasons == ["sign_on_only", "wrong_password", "unknown_user"]
    assert not await platform.fetch("SELECT FROM users.sessions")


async def test_where_sign_on_is_enforced_no_link_and_no_other_provider_lets_in(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await ada.ask_for_link()
    before = (await ada.mailed_tokens())[-1]
    tokens = await ada.tokens()
    assert (await social.link(platform, tokens, social.identity(platform))).status == "succeeded"
    await sign_on(platform, enforced=True)
    assert code(await ada.sign_in_by_link(before)) == "invalid"
    assert (await ada.ask_for_link()).result == {"status": "accepted"}
    assert [event.outcome for event in await platform.events(LinkRequested)] == ["mailed", "sign_on_only"]
    assert code(await social.sign_in(platform, social.identity(platform))) == "identity_refused"
    other = social.identity(platform, subject="109")
    assert code(await social.prove(platform, other, PASSWORD)) == "identity_refused"
    somebody = social.identity(platform, subject="110", emails=("new@example.com",))
    assert code(await social.sign_in(platform, somebody)) == "identity_refused"
    reasons = [event.reason for event in await platform.events(IdentityRefused)]
    assert reasons == ["sign_on_only", "sign_on_only", "sign_on_only"]


async def test_an_owner_gets_in_otherwise_too(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await sign_on(platform, enforced=True, owners=(ada.user_id,))
    assert (await ada.sign_in()).status == "succeeded"
    await sign_on(platform, enforced=True, change="owners_changed")
    assert code(await ada.sign_in()) == "invalid_credentials"


async def test_no_tenant_shuts_the_platform_s_staff_out(platform: Harness) -> None:
    root = await administrator(platform)
    await sign_on(platform, enforced=True)
    assert (await root.sign_in()).status == "succeeded"


@pytest.mark.parametrize("end", ["removed", "released", "deleted"])
async def test_sign_on_that_has_ended_binds_nobody(platform: Harness, ada: Person, end: str) -> None:
    await ada.become_verified()
    await sign_on(platform, enforced=True)
    proven = await social.prove(platform, identity(platform), PASSWORD)
    assert proven.status == "succeeded"
    if end == "removed":
        await sign_on(platform, change="removed", issuer=None)
    elif end == "released":
        await sign_on(platform, change="domain_released", domains=())
    else:
        await platform.publish(TenantDeleted(tenant_id=TENANT), tenant_id=TENANT)
        assert not await platform.fetch("SELECT FROM users.identities")
    assert (await ada.sign_in()).status == "succeeded"
    assert code(await social.sign_in(platform, identity(platform))) == "identity_of_other_domain"


async def test_check_09_sign_on_asks_for_the_second_factor_too(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await sign_on(platform)
    tokens = await ada.tokens()
    assert (await social.link(platform, tokens, identity(platform))).status == "succeeded"
    await ada.enrol(tokens)
    answer = await social.sign_in(platform, identity(platform))
    assert SecondFactorNeeded.model_validate(answer.result).mfa_required


async def test_check_19_a_tenant_that_has_lost_a_domain_opens_the_accounts_of_its_addresses_no_more(
    platform: Harness, ada: Person
) -> None:
    """Its provider may say what it likes of the addresses that are left to it: the account's own is none of them."""
    await ada.become_verified()
    await sign_on(platform, domains=("example.com", "kept.example"))
    tokens = await ada.tokens()
    assert (await social.link(platform, tokens, identity(platform))).status == "succeeded"
    await sign_on(platform, domains=("kept.example",), change="domain_released")
    elsewhere = identity(platform, emails=("whoever@kept.example",))
    assert code(await social.sign_in(platform, elsewhere)) == "identity_of_other_domain"
    assert code(await social.step_up(platform, tokens, elsewhere)) == "identity_of_other_domain"
    await sign_on(platform, OTHER)
    assert code(await social.sign_in(platform, elsewhere)) == "identity_of_other_domain"
    assert set(await social.refusals(platform)) == {"other_domain"}
    await sign_on(platform, domains=("example.com", "kept.example"))
    assert (await social.signed_in(platform, elsewhere)).user_id == ada.user_id


async def test_a_domain_that_moves_to_another_tenant_is_the_new_one_s(platform: Harness) -> None:
    await sign_on(platform)
    await sign_on(platform, OTHER)
    await sign_on(platform, domains=(), change="domain_released")
    [row] = await platform.fetch("SELECT sign_on_tenant_id FROM users.sign_on_domains")
    assert row["sign_on_tenant_id"] == OTHER
    assert PLATFORM_TENANT_ID != OTHER


async def vouched(platform: Harness) -> list[tuple[str, str | None]]:
    """By what each session was opened, in order, and which tenant's provider has vouched for its person."""
    rows = await platform.fetch("SELECT method, sign_on_tenant_id FROM users.sessions ORDER BY created_at, session_id")
    return [tuple(row) for row in rows]


async def test_a_session_says_whose_provider_has_vouched_for_its_person(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await sign_on(platform)
    await ada.tokens()
    platform.clock.at += timedelta(seconds=1)
    proven = await social.prove(platform, identity(platform), PASSWORD)
    assert proven.status == "succeeded", proven
    platform.clock.at += timedelta(seconds=1)
    await social.signed_in(platform, identity(platform))
    assert await vouched(platform) == [("password", None), ("password", TENANT), ("sign_on", TENANT)]


async def test_it_says_so_beyond_the_second_factor_and_a_step_up(platform: Harness, ada: Person) -> None:
    await sign_on(platform)
    tokens = await social.signed_in(platform, identity(platform))
    ada.user_id = tokens.user_id
    await ada.enrol(tokens)
    await ada.next_step()
    needed = SecondFactorNeeded.model_validate((await social.sign_in(platform, identity(platform))).result)
    session = TokenSet.model_validate((await ada.complete(needed, ada.app_code())).result)
    await ada.next_step()
    assert (await ada.step_up(session, ada.app_code())).status == "succeeded"
    sessions = await vouched(platform)
    assert len(sessions) == 3
    assert {tenant for _, tenant in sessions} == {TENANT}
