"""A forgotten password. `check_N` in a test's name is the number of the security review's check that it holds."""

import asyncio
from datetime import timedelta

import pytest

from prog_contracts.email import SendMail
from prog_contracts.users import EmailVerified, LinkRefused, LinkRequested, PasswordChanged
from tests.component.harness import Harness
from tests.component.users.people import Person, code

NEW = "a wholly different sentence"


async def link(person: Person) -> str:
    """The token of a new link for this person."""
    assert (await person.forget()).status == "succeeded"
    return (await person.mailed_tokens())[-1]


async def test_a_link_sets_another_password(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    assert (await ada.reset(await link(ada), NEW)).status == "succeeded"
    assert code(await ada.sign_in()) == "invalid_credentials"
    assert (await ada.sign_in(password=NEW)).status == "succeeded"
    [changed] = await platform.events(PasswordChanged)
    assert (changed.user_id, changed.email, changed.how) == (ada.user_id, ada.email, "reset")
    assert changed.client_address == "192.0.2.7"


async def test_check_04_everybody_gets_one_answer_and_only_the_record_tells_them_apart(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    await Person(platform, email="new@example.com").sign_up()
    off = Person(platform, email="off@example.com")
    await off.become_verified()
    await platform.fetch("UPDATE users.users SET status = 'disabled' WHERE email = $1", off.email)
    asked = [ada.email, ada.email, "nobody@example.com", "new@example.com", off.email]
    answers = [await ada.forget(email) for email in asked]
    assert {(answer.status, str(answer.result), answer.error) for answer in answers} == {
        ("succeeded", "{'status': 'accepted'}", None)
    }
    requests = await platform.events(LinkRequested)
    assert [request.outcome for request in requests] == ["mailed", "too_soon", "unknown_user", "mailed", "disabled"]
    assert all("@" not in request.email_digest for request in requests)
    mails = [mail.to for mail in await platform.events(SendMail) if mail.template == "reset_password"]
    assert mails == [ada.email, "new@example.com"]


async def test_check_09_a_reset_opens_no_session(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    answer = await ada.reset(await link(ada), NEW)
    assert answer.result == {"user_id": ada.user_id}
    assert not await platform.fetch("SELECT FROM users.sessions")


async def test_check_10_of_many_uses_at_once_one_sets_the_password(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    token = await link(ada)
    passwords = [f"a different sentence {number}" for number in range(6)]
    answers = await asyncio.gather(*(ada.reset(token, password) for password in passwords))
    good = [password for password, answer in zip(passwords, answers, strict=True) if answer.status == "succeeded"]
    assert len(good) == 1
    assert {code(answer) for answer in answers if answer.status != "succeeded"} == {"invalid"}
    assert (await ada.sign_in(password=good[0])).status == "succeeded"
    assert len(await platform.events(PasswordChanged)) == 1
    assert len(await platform.events(LinkRefused)) == 5


async def test_check_10_two_links_spent_at_once_do_not_lock_each_other_out(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    first = await link(ada)
    platform.clock.at += timedelta(seconds=61)
    second = await link(ada)
    answers = await asyncio.gather(ada.reset(first, NEW), ada.reset(second, NEW + "!"))
    assert sorted(answer.status for answer in answers) == ["failed", "succeeded"]


async def test_check_10_only_a_keyed_digest_of_the_token_is_kept(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    token = await link(ada)
    rows = await platform.fetch("SELECT t::text AS everything FROM users.link_tokens AS t")
    log = await platform.fetch("SELECT string_agg(convert_from(data, 'UTF8'), ' ') AS everything FROM bus.event_log")
    assert token not in "".join(row["everything"] for row in [*rows, *log])
    assert len(token) >= len("prog_reset_") + 43, "256 bits"


@pytest.mark.parametrize(("minutes", "good"), [(29, True), (30, False)])
async def test_check_10_a_link_is_good_for_half_an_hour(
    platform: Harness, ada: Person, minutes: int, good: bool
) -> None:
    await ada.become_verified()
    token = await link(ada)
    platform.clock.at += timedelta(minutes=minutes)
    assert ((await ada.reset(token, NEW)).status == "succeeded") == good


async def test_check_10_a_change_takes_back_every_other_link_and_every_session(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    one, other = await ada.tokens(), await ada.tokens()
    first = await link(ada)
    platform.clock.at += timedelta(seconds=61)
    assert (await ada.reset(await link(ada), NEW)).status == "succeeded"
    assert code(await ada.reset(first, NEW)) == "invalid"
    assert [code(await ada.refresh(tokens)) for tokens in (one, other)] == ["session_ended"] * 2
    rows = await platform.fetch("SELECT DISTINCT end_reason FROM users.sessions")
    assert [row["end_reason"] for row in rows] == ["revoked"]
    [changed] = await platform.events(PasswordChanged)
    assert changed.sessions_ended == 2


async def test_check_10_a_refused_password_does_not_spend_the_link(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    token = await link(ada)
    for password in ("short", "x" * 1025, ada.email, "aaaaaaaaaa"):
        refused = await ada.reset(token, password)
        assert refused.error is not None
        assert [problem.field for problem in refused.error.fields] == ["password"]
    assert (await ada.reset(token, NEW)).status == "succeeded"


async def test_check_14_no_token_of_another_kind_resets_a_password(platform: Harness, ada: Person) -> None:
    await ada.sign_up()
    verify = (await ada.mailed_tokens())[-1]
    assert code(await ada.reset(verify, NEW)) == "invalid"
    assert code(await ada.reset(verify.replace("verify", "reset"), NEW)) == "invalid"
    reset = await link(ada)
    assert code(await ada.open_link(reset)) == "invalid"
    assert code(await ada.open_link(reset.replace("reset", "verify"))) == "invalid"
    await ada.open_link(verify)
    tokens = await ada.tokens()
    assert code(await ada.reset(tokens.refresh_token, NEW)) == "invalid"
    assert code(await ada.reset(tokens.access_token, NEW)) == "invalid"


async def test_the_link_proves_an_address_that_nobody_had_verified(platform: Harness, ada: Person) -> None:
    await ada.sign_up(password="whoever signed the address up knows this")
    [verify] = await ada.mailed_tokens()
    assert (await ada.reset(await link(ada), NEW)).status == "succeeded"
    assert (await ada.sign_in(password=NEW)).status == "succeeded"
    assert code(await ada.sign_in(password="whoever signed the address up knows this")) == "invalid_credentials"
    assert [event.user_id for event in await platform.events(EmailVerified)] == [ada.user_id]
    assert code(await ada.open_link(verify)) == "invalid"


async def test_a_disabled_account_is_not_opened_by_a_link_it_was_sent_before(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    token = await link(ada)
    await platform.fetch("UPDATE users.users SET status = 'disabled'")
    assert code(await ada.reset(token, NEW)) == "invalid"
    assert not await platform.events(PasswordChanged)


async def test_an_account_without_a_password_gets_its_first_one(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await platform.fetch("DELETE FROM users.passwords")
    assert code(await ada.sign_in()) == "invalid_credentials"
    assert (await ada.reset(await link(ada), NEW)).status == "succeeded"
    assert (await ada.sign_in(password=NEW)).status == "succeeded"
