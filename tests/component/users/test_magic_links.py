"""Sign in by mail. `check_N` in a test's name is the number of the security review's check that it holds."""

import asyncio
from datetime import timedelta

import pytest

from prog_contracts.accounts import TokenSet
from prog_contracts.email import SendMail
from prog_contracts.users import LinkRefused, LinkRequested, UserAuthenticated
from tests.component.harness import Harness
from tests.component.users.people import Person, code


async def link(person: Person) -> str:
    """The token of a new link for this person."""
    assert (await person.ask_for_link()).status == "succeeded"
    return (await person.mailed_tokens())[-1]


async def test_a_link_opens_a_session_like_any_other(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    answer = await ada.sign_in_by_link(await link(ada))
    tokens = TokenSet.model_validate(answer.result)
    assert (await ada.refresh(tokens)).status == "succeeded"
    [event] = await platform.events(UserAuthenticated)
    assert (event.session_id, event.method, event.client_address) == (tokens.session_id, "magic_link", "192.0.2.7")
    [row] = await platform.fetch("SELECT method, user_agent FROM users.sessions")
    assert dict(row) == {"method": "magic_link", "user_agent": "T"}
    kept = await platform.fetch("SELECT coalesce(result::text, '') AS everything FROM bus.inbox")
    assert tokens.refresh_token not in "".join(row["everything"] for row in kept), "credentials rest sealed"


async def test_check_04_everybody_gets_one_answer(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await Person(platform, email="new@example.com").sign_up()
    asked = [ada.email, ada.email, "nobody@example.com", "new@example.com"]
    answers = [await ada.ask_for_link(email) for email in asked]
    assert {(answer.status, str(answer.result), answer.error) for answer in answers} == {
        ("succeeded", "{'status': 'accepted'}", None)
    }
    outcomes = [request.outcome for request in await platform.events(LinkRequested)]
    assert outcomes == ["mailed", "too_soon", "unknown_user", "unverified"]
    assert [mail.to for mail in await platform.events(SendMail) if mail.template == "magic_link"] == [ada.email]


async def test_check_10_of_many_uses_at_once_one_signs_in(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    token = await link(ada)
    answers = await asyncio.gather(*(ada.sign_in_by_link(token) for _ in range(12)))
    assert sorted(answer.status for answer in answers) == ["failed"] * 11 + ["succeeded"]
    assert len(await platform.fetch("SELECT FROM users.sessions")) == 1
    assert len(await platform.events(LinkRefused)) == 11


@pytest.mark.parametrize(("seconds", "good"), [(599, True), (600, False)])
async def test_check_10_a_link_is_good_for_ten_minutes(
    platform: Harness, ada: Person, seconds: int, good: bool
) -> None:
    await ada.become_verified()
    token = await link(ada)
    platform.clock.at += timedelta(seconds=seconds)
    assert ((await ada.sign_in_by_link(token)).status == "succeeded") == good


async def test_check_10_a_new_password_takes_the_links_back(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    token = await link(ada)
    await ada.forget()
    assert (await ada.reset((await ada.mailed_tokens())[-1], "a wholly different sentence")).status == "succeeded"
    assert code(await ada.sign_in_by_link(token)) == "invalid"


async def test_check_10_another_address_takes_the_links_back(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    token = await link(ada)
    await platform.fetch("UPDATE users.users SET email = 'moved@example.com'")
    assert code(await ada.sign_in_by_link(token)) == "invalid"


async def test_check_10_signing_in_takes_the_other_links_back_and_leaves_a_reset(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    first = await link(ada)
    platform.clock.at += timedelta(seconds=61)
    await ada.forget()
    reset = (await ada.mailed_tokens())[-1]
    assert (await ada.sign_in_by_link(await link(ada))).status == "succeeded"
    assert code(await ada.sign_in_by_link(first)) == "invalid"
    assert (await ada.reset(reset, "a wholly different sentence")).status == "succeeded"


async def test_check_14_no_token_of_another_kind_signs_in(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await ada.forget()
    reset = (await ada.mailed_tokens())[-1]
    assert code(await ada.sign_in_by_link(reset)) == "invalid"
    assert code(await ada.sign_in_by_link(reset.replace("reset", "magic"))) == "invalid"
    magic = await link(ada)
    assert code(await ada.reset(magic, "a wholly different sentence")) == "invalid"
    assert code(await ada.reset(magic.replace("magic", "reset"), "a wholly different sentence")) == "invalid"
    assert code(await ada.open_link(magic.replace("magic", "verify"))) == "invalid"
    assert (await ada.sign_in_by_link(magic)).status == "succeeded"


async def test_a_disabled_account_is_not_opened_by_a_link_it_was_sent_before(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    token = await link(ada)
    await platform.fetch("UPDATE users.users SET status = 'disabled'")
    assert code(await ada.sign_in_by_link(token)) == "invalid"
    assert not await platform.fetch("SELECT FROM users.sessions")
