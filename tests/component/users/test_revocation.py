"""A person ends sessions of theirs. `check_N` in a name is the number of the security review's check that it holds."""

import asyncio
from datetime import timedelta

import pytest

from prog_broker.replies import Answer
from prog_contracts.accounts import TokenSet
from prog_contracts.ids import new_id
from prog_contracts.users import OtherSessionsEnded, RevocationDenied, RevokeSessions, SessionEnded
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator, code


async def revoke(person: Person, by: TokenSet, session_id: str | None = None, *, actor: str | None = None) -> Answer:
    command = RevokeSessions(user_id=person.user_id, by_session_id=by.session_id, session_id=session_id)
    return await person.platform.request(command, actor=actor or person.user_id)


async def test_check_16_a_fresh_session_ends_another_one(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    old, fresh = await ada.tokens(), await ada.tokens()
    assert (await revoke(ada, fresh, old.session_id)).status == "succeeded"
    assert code(await ada.refresh(old)) == "session_ended"
    assert (await ada.refresh(fresh)).status == "succeeded"
    [ended] = await platform.events(SessionEnded)
    assert (ended.session_id, ended.reason) == (old.session_id, "revoked")


async def test_ending_one_twice_is_no_error_and_one_event(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    old, fresh = await ada.tokens(), await ada.tokens()
    first, second = await revoke(ada, fresh, old.session_id), await revoke(ada, fresh, old.session_id)
    assert first.result == second.result
    assert len(await platform.events(SessionEnded)) == 1


@pytest.mark.parametrize(("seconds", "good"), [(599, True), (600, False)])
async def test_check_16_only_within_ten_minutes_of_a_sign_in(
    platform: Harness, ada: Person, seconds: int, good: bool
) -> None:
    await ada.become_verified()
    stolen, mine = await ada.tokens(), await ada.tokens()
    platform.clock.at += timedelta(seconds=seconds)
    for target in (mine.session_id, None):
        answer = await revoke(ada, stolen, target)
        assert answer.status == "succeeded" if good else code(answer) == "fresh_sign_in_required"
    assert ((await ada.refresh(mine)).status == "succeeded") != good
    assert len(await platform.events(RevocationDenied)) == (0 if good else 2)


async def test_check_16_renewing_tokens_makes_no_session_fresh(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    stolen, mine = await ada.tokens(), await ada.tokens()
    platform.clock.at += timedelta(minutes=11)
    assert (await ada.refresh(stolen)).status == "succeeded"
    assert code(await revoke(ada, stolen, mine.session_id)) == "fresh_sign_in_required"
    again = await ada.tokens()
    assert again.session_id not in (stolen.session_id, mine.session_id), "another sign-in is another session"
    assert (await revoke(ada, again, stolen.session_id)).status == "succeeded"


async def test_the_session_in_use_may_be_ended_at_any_time(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    old, other = await ada.tokens(), await ada.tokens()
    platform.clock.at += timedelta(days=3)
    assert (await revoke(ada, old, old.session_id)).status == "succeeded"
    assert code(await ada.refresh(old)) == "session_ended"
    assert (await ada.refresh(other)).status == "succeeded"


async def test_check_16_signing_out_everywhere_else_keeps_the_one_in_use(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    others, fresh = [await ada.tokens() for _ in range(3)], await ada.tokens()
    bob = Person(platform, email="bob@example.com", name="Bob")
    await bob.become_verified()
    bobs = await bob.tokens()
    assert (await revoke(ada, fresh)).status == "succeeded"
    assert [code(await ada.refresh(tokens)) for tokens in others] == ["session_ended"] * 3
    assert (await ada.refresh(fresh)).status == "succeeded"
    assert (await bob.refresh(bobs)).status == "succeeded"
    [event] = await platform.events(OtherSessionsEnded)
    assert (event.count, event.kept_session_id) == (3, fresh.session_id)


async def test_nobody_ends_the_sessions_of_somebody_else(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    mallory = Person(platform, email="mallory@example.com", name="Mallory")
    await mallory.become_verified()
    hers, his = await ada.tokens(), await mallory.tokens()
    root = await administrator(platform)
    assert code(await revoke(mallory, his, hers.session_id)) == "session_not_found"
    assert code(await revoke(mallory, hers, hers.session_id)) == "session_not_found"
    assert code(await revoke(ada, hers, actor=mallory.user_id)) == "not_permitted"
    assert code(await revoke(ada, hers, actor=root.user_id)) == "not_permitted"
    assert code(await revoke(ada, hers, actor="a-process")) == "not_permitted"
    assert code(await revoke(ada, hers, new_id("session"))) == "session_not_found"
    assert (await ada.refresh(hers)).status == "succeeded"


async def test_a_session_that_is_over_ends_nothing(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    gone, mine = await ada.tokens(), await ada.tokens()
    await revoke(ada, mine, gone.session_id)
    assert code(await revoke(ada, gone, mine.session_id)) == "session_not_found"
    assert code(await revoke(ada, gone)) == "session_not_found"
    assert (await ada.refresh(mine)).status == "succeeded"


async def test_two_that_end_each_other_at_once_leave_one(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    one, other = await ada.tokens(), await ada.tokens()
    answers = await asyncio.gather(revoke(ada, one, other.session_id), revoke(ada, other))
    assert sorted(answer.status for answer in answers) == ["failed", "succeeded"]
    rows = await platform.fetch("SELECT FROM users.sessions WHERE ended_at IS NULL")
    assert len(rows) == 1
