"""Identities of other providers. `check_N` in a test's name is the number of the security review's check it holds."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from prog_broker.replies import Answer
from prog_contracts.accounts import AccountToProve, SecondFactorNeeded, TokenSet
from prog_contracts.identities import (
    IdentityLinked,
    IdentityRefused,
    IdentityUnlinked,
    LinkIdentity,
    ProvenIdentity,
    SignInAndLink,
    SignInWithIdentity,
    StepUpWithIdentity,
    UnlinkIdentity,
)
from prog_contracts.ids import new_id
from prog_contracts.second_factors import SecondFactorAsked, StepUpDenied
from prog_contracts.users import EmailVerified, UserAuthenticated, UserCreated
from prog_kit import secrets
from tests.component.harness import Harness
from tests.component.users.people import PASSWORD, Person, code

ISSUER = "https://accounts.google.com"


def identity(platform: Harness, subject: str = "108", **changes: Any) -> ProvenIdentity:
    """What Google says of Ada."""
    values: dict[str, Any] = {
        "provider": "google",
        "title": "Google",
        "issuer": ISSUER,
        "subject": subject,
        "emails": ("Ada@example.com",),
        "name": "Ada Lovelace",
        "proven_at": platform.clock.now(),
    }
    return ProvenIdentity(**{**values, **changes})


def sealed(platform: Harness, proven: ProvenIdentity) -> str:
    return platform.seal(proven.model_dump_json(), secrets.IDENTITY)


async def sign_in(platform: Harness, proven: ProvenIdentity) -> Answer:
    return await platform.request(
        SignInWithIdentity(
            identity_digest=proven.digest,
            sealed_identity=sealed(platform, proven),
            client_address="192.0.2.7",
            user_agent="T",
        )
    )


async def signed_in(platform: Harness, proven: ProvenIdentity) -> TokenSet:
    answer = await sign_in(platform, proven)
    assert answer.status == "succeeded", answer
    return TokenSet.model_validate(answer.result)


async def link(platform: Harness, by: TokenSet, proven: ProvenIdentity, actor: str | None = None) -> Answer:
    command = LinkIdentity(user_id=by.user_id, by_session_id=by.session_id, sealed_identity=sealed(platform, proven))
    return await platform.request(command, actor=actor or by.user_id)


async def unlink(platform: Harness, by: TokenSet, identity_id: str, actor: str | None = None) -> Answer:
    command = UnlinkIdentity(user_id=by.user_id, by_session_id=by.session_id, identity_id=identity_id)
    return await platform.request(command, actor=actor or by.user_id)


async def prove(platform: Harness, proven: ProvenIdentity, password: str, email: str = "ada@example.com") -> Answer:
    return await platform.request(
        SignInAndLink(
            email=email,
            sealed_password=platform.seal(password, secrets.PASSWORD),
            sealed_identity=sealed(platform, proven),
        )
    )


async def refusals(platform: Harness) -> list[str]:
    return [event.reason for event in await platform.events(IdentityRefused)]


async def linked_users(platform: Harness) -> list[str]:
    return [row["user_id"] for row in await platform.fetch("SELECT user_id FROM users.identities ORDER BY linked_at")]


async def test_somebody_new_gets_an_account_with_a_verified_address_and_no_password(platform: Harness) -> None:
    tokens = await signed_in(platform, identity(platform))
    [row] = await platform.fetch(
        "SELECT user_id, email, name, email_verified_at IS NOT NULL AS verified FROM users.users"
    )
    assert dict(row) == {
        "user_id": tokens.user_id, "email": "ada@example.com", "name": "Ada Lovelace", "verified": True,
    }  # fmt: skip
    assert not await platform.fetch("SELECT FROM users.passwords")
    [created], [verified] = await platform.events(UserCreated), await platform.events(EmailVerified)
    [linked], [authenticated] = await platform.events(IdentityLinked), await platform.events(UserAuthenticated)
    assert (created.email_verified, verified.user_id, linked.with_account) == (True, tokens.user_id, True)
    assert (authenticated.method, authenticated.client_address) == ("social", "192.0.2.7")
    [session] = await platform.fetch("SELECT method, user_agent FROM users.sessions")
    assert dict(session) == {"method": "social", "user_agent": "T"}


async def test_check_19_an_identity_opens_its_account_whatever_address_it_comes_with(
    platform: Harness, ada: Person
) -> None:
    first = await signed_in(platform, identity(platform))
    await Person(platform, email="eve@example.com", name="Eve").become_verified()
    again = await signed_in(platform, identity(platform, emails=("eve@example.com",)))
    without = await signed_in(platform, identity(platform, emails=()))
    assert {first.user_id, again.user_id, without.user_id} == {first.user_id}


async def test_check_19_the_same_subject_of_another_issuer_is_somebody_else(platform: Harness) -> None:
    first = await signed_in(platform, identity(platform))
    other = await signed_in(platform, identity(platform, issuer="https://id.example", emails=("o@example.com",)))
    assert other.user_id != first.user_id


async def test_check_19_an_address_takes_nobody_s_account_over(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    answer = await sign_in(platform, identity(platform))
    assert AccountToProve.model_validate(answer.result).email == ada.email
    assert not await platform.fetch("SELECT FROM users.sessions")
    assert not await linked_users(platform)
    assert await refusals(platform) == ["account_exists"]


async def test_check_19_the_password_proves_the_account_and_links(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    proven = identity(platform)
    assert code(await prove(platform, proven, "another password")) == "invalid_credentials"
    assert not await linked_users(platform)
    answer = await prove(platform, proven, PASSWORD)
    assert TokenSet.model_validate(answer.result).user_id == ada.user_id
    assert await linked_users(platform) == [ada.user_id]
    assert (await signed_in(platform, identity(platform))).user_id == ada.user_id
    [linked] = await platform.events(IdentityLinked)
    assert (linked.with_account, linked.email) == (False, ada.email), "a mail tells of it"


async def test_check_19_a_password_of_one_account_links_no_identity_of_another_s_address(
    platform: Harness, ada: Person
) -> None:
    """Eve knows her own password, and comes with an identity whose provider has verified Ada's address."""
    await ada.become_verified()
    await Person(platform, email="eve@example.com", name="Eve").become_verified()
    answer = await prove(platform, identity(platform), PASSWORD, "eve@example.com")
    assert code(answer) == "identity_of_other_address"
    assert not await linked_users(platform)


async def test_check_19_who_is_signed_in_links_what_is_verified_on_both_sides_alone(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    for emails in ((), ("other@example.com",)):
        assert code(await link(platform, tokens, identity(platform, emails=emails))) == "identity_of_other_address"
    await platform.fetch("UPDATE users.users SET email_verified_at = NULL")
    assert code(await link(platform, tokens, identity(platform))) == "identity_of_other_address"
    await platform.fetch("UPDATE users.users SET email_verified_at = now()")
    assert not await linked_users(platform)
    second = identity(platform, emails=("work@example.com", "ADA@example.com"))
    assert (await link(platform, tokens, second)).status == "succeeded"
    assert await linked_users(platform) == [ada.user_id]
    assert await refusals(platform) == ["other_address"] * 3


async def test_check_19_linking_needs_a_fresh_session_of_one_s_own(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    assert code(await link(platform, tokens, identity(platform), actor=new_id("user"))) == "not_permitted"
    platform.clock.at += timedelta(minutes=10)
    assert code(await link(platform, tokens, identity(platform))) == "fresh_sign_in_required"
    [denied] = await platform.events(StepUpDenied)
    assert denied.command == LinkIdentity.TYPE
    assert not await linked_users(platform)


async def test_an_identity_belongs_to_one_account(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    other = await signed_in(platform, identity(platform, emails=("other@example.com",)))
    assert code(await link(platform, tokens, identity(platform))) == "identity_taken"
    assert await linked_users(platform) == [other.user_id]


async def test_check_19_what_a_stranger_signed_up_with_is_worth_nothing_to_them_later(
    platform: Harness, ada: Person
) -> None:
    """Eve signs up with Ada's address and waits for Ada to come with Google. Her password must open nothing then."""
    await ada.sign_up(tenant_name="Eve's trap")
    [link_before] = await ada.mailed_tokens()
    tokens = await signed_in(platform, identity(platform, name="Ada herself"))
    assert tokens.user_id == ada.user_id
    assert code(await ada.sign_in()) == "invalid_credentials"
    assert code(await ada.open_link(link_before)) == "invalid"
    [row] = await platform.fetch("SELECT name, wanted_tenant_name FROM users.users")
    assert dict(row) == {"name": "Ada herself", "wanted_tenant_name": None}
    [verified] = await platform.events(EmailVerified)
    assert (verified.user_id, verified.tenant_name) == (ada.user_id, None)


async def test_check_09_a_second_factor_is_asked_for_all_the_same(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    assert (await link(platform, tokens, identity(platform))).status == "succeeded"
    await ada.enrol(tokens)
    answer = await sign_in(platform, identity(platform))
    pending = SecondFactorNeeded.model_validate(answer.result)
    [asked] = await platform.events(SecondFactorAsked)
    assert asked.method == "social"
    await ada.next_step()
    completed = await ada.complete(pending, ada.app_code())
    assert completed.status == "succeeded", completed
    last = (await platform.events(UserAuthenticated))[-1]
    assert (last.method, last.second_factor) == ("social", "totp")


async def test_check_09_the_password_alone_links_nothing_to_who_has_a_second_factor(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    await ada.enrol()
    answer = await prove(platform, identity(platform), PASSWORD)
    assert SecondFactorNeeded.model_validate(answer.result).mfa_required
    assert not await linked_users(platform)


@pytest.mark.parametrize("seconds", [600, -61])
async def test_what_a_provider_told_long_ago_is_worth_nothing(platform: Harness, ada: Person, seconds: int) -> None:
    proven = identity(platform)
    platform.clock.at += timedelta(seconds=seconds)
    assert code(await sign_in(platform, proven)) == "sign_in_over"
    assert await refusals(platform) == ["too_old"]


async def test_nobody_without_the_keys_makes_an_identity(platform: Harness) -> None:
    proven = identity(platform)
    text = proven.model_dump_json()
    for wrong in (text, platform.seal(text, secrets.TOKEN), platform.seal("{}", secrets.IDENTITY)):
        answer = await platform.request(SignInWithIdentity(identity_digest=proven.digest, sealed_identity=wrong))
        assert code(answer) == "invalid"
    assert not await platform.fetch("SELECT FROM users.users")


async def test_no_verified_address_is_no_account(platform: Harness) -> None:
    for emails in ((), ("no address",)):
        assert code(await sign_in(platform, identity(platform, emails=emails))) == "identity_without_address"
    assert not await platform.fetch("SELECT FROM users.users")
    assert await refusals(platform) == ["no_address"] * 2


async def test_a_disabled_account_is_not_opened(platform: Harness) -> None:
    await signed_in(platform, identity(platform))
    await platform.fetch("UPDATE users.users SET status = 'disabled'")
    assert code(await sign_in(platform, identity(platform))) == "identity_refused"
    assert code(await sign_in(platform, identity(platform, subject="109"))) == "identity_refused"
    assert await refusals(platform) == ["disabled", "disabled"]


async def test_many_first_sign_ins_at_once_are_one_account(platform: Harness) -> None:
    answers = await asyncio.gather(*(sign_in(platform, identity(platform)) for _ in range(8)))
    assert len({TokenSet.model_validate(answer.result).user_id for answer in answers}) == 1
    assert len(await platform.fetch("SELECT FROM users.users")) == 1
    assert len(await linked_users(platform)) == 1


async def test_unlinking_takes_the_way_in_away_and_never_the_last_one(platform: Harness, ada: Person) -> None:
    tokens = await signed_in(platform, identity(platform))
    [row] = await platform.fetch("SELECT identity_id FROM users.identities")
    assert code(await unlink(platform, tokens, row["identity_id"])) == "last_way_in"
    second = identity(platform, subject="4711", issuer="https://github.com", provider="github", title="GitHub")
    assert (await link(platform, tokens, second)).status == "succeeded"
    stranger = await signed_in(platform, identity(platform, subject="eve", emails=("eve@example.com",)))
    assert code(await unlink(platform, stranger, row["identity_id"])) == "identity_not_found"
    assert code(await unlink(platform, tokens, row["identity_id"], actor=stranger.user_id)) == "not_permitted"
    assert (await unlink(platform, tokens, row["identity_id"])).status == "succeeded"
    [unlinked] = await platform.events(IdentityUnlinked)
    assert (unlinked.identity_id, unlinked.title, unlinked.issuer) == (row["identity_id"], "Google", ISSUER)
    answer = await sign_in(platform, identity(platform))
    assert AccountToProve.model_validate(answer.result).email == "ada@example.com"


async def test_two_who_unlink_at_once_leave_one_way_in(platform: Harness) -> None:
    tokens = await signed_in(platform, identity(platform))
    second = identity(platform, subject="4711", issuer="https://github.com", provider="github", title="GitHub")
    assert (await link(platform, tokens, second)).status == "succeeded"
    rows = await platform.fetch("SELECT identity_id FROM users.identities")
    answers = await asyncio.gather(*(unlink(platform, tokens, row["identity_id"]) for row in rows))
    assert sorted(answer.status for answer in answers) == ["failed", "succeeded"]
    assert len(await linked_users(platform)) == 1


async def test_unlinking_needs_a_fresh_session(platform: Harness) -> None:
    tokens = await signed_in(platform, identity(platform))
    [row] = await platform.fetch("SELECT identity_id FROM users.identities")
    platform.clock.at += timedelta(minutes=10)
    assert code(await unlink(platform, tokens, row["identity_id"])) == "fresh_sign_in_required"


async def step_up(platform: Harness, by: TokenSet, proven: ProvenIdentity, actor: str | None = None) -> Answer:
    command = StepUpWithIdentity(
        user_id=by.user_id, by_session_id=by.session_id, sealed_identity=sealed(platform, proven)
    )
    return await platform.request(command, actor=actor or by.user_id)


async def test_check_16_an_own_identity_steps_up_into_another_session(platform: Harness) -> None:
    tokens = await signed_in(platform, identity(platform))
    platform.clock.at += timedelta(minutes=11)
    eve = await signed_in(platform, identity(platform, subject="eve", emails=("eve@example.com",)))
    assert code(await step_up(platform, tokens, identity(platform, subject="eve"))) == "identity_not_linked"
    assert code(await step_up(platform, tokens, identity(platform), actor=eve.user_id)) == "not_permitted"
    answer = await step_up(platform, tokens, identity(platform))
    fresh = TokenSet.model_validate(answer.result)
    assert fresh.session_id != tokens.session_id
    [row] = await platform.fetch("SELECT end_reason FROM users.sessions WHERE session_id = $1", tokens.session_id)
    assert row["end_reason"] == "signed_out"
    assert code(await step_up(platform, tokens, identity(platform))) == "session_not_found"


async def test_check_09_an_identity_steps_nobody_up_who_has_a_second_factor(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    assert (await link(platform, tokens, identity(platform))).status == "succeeded"
    await ada.enrol(tokens)
    assert code(await step_up(platform, tokens, identity(platform))) == "mfa_required"
