"""Credentials that are past their time are cleared away; what is still of use stays."""

from datetime import timedelta

import pytest

from prog_contracts.accounts import TokenSet
from prog_contracts.users import EndSession, PurgeCredentials
from prog_kit.secrets import Sealer
from prog_workers.users.handlers import purging
from tests.component.harness import SECRET_KEYS, Harness
from tests.component.users.people import Person, code

PROCESS = "prog-scheduler"
NEWEST = "fedcba9876543210" * 4


async def purge(platform: Harness) -> None:
    answer = await platform.request(PurgeCredentials(), actor=PROCESS)
    assert answer.status == "succeeded", answer
    await platform.settle()


async def sessions(platform: Harness) -> set[str]:
    kept = {row["session_id"] for row in await platform.fetch("SELECT session_id FROM users.sessions")}
    rows = await platform.fetch("SELECT session_id FROM users.refresh_tokens")
    assert {row["session_id"] for row in rows} == kept, "a session's tokens go with it"
    return kept


async def test_sessions_go_thirty_days_after_their_end(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    ended, idle, used = await ada.tokens(), await ada.tokens(), await ada.tokens()
    await platform.request(EndSession(session_id=ended.session_id), actor=ada.user_id)
    platform.clock.at += timedelta(days=13)
    used = TokenSet.model_validate((await ada.refresh(used)).result)
    platform.clock.at += timedelta(days=13)
    used = TokenSet.model_validate((await ada.refresh(used)).result)
    platform.clock.at += timedelta(days=4)
    await purge(platform)
    assert await sessions(platform) == {ended.session_id, idle.session_id, used.session_id}
    platform.clock.at += timedelta(seconds=1)
    await purge(platform)
    assert await sessions(platform) == {idle.session_id, used.session_id}
    used = TokenSet.model_validate((await ada.refresh(used)).result)
    platform.clock.at += timedelta(days=14)
    await purge(platform)
    assert await sessions(platform) == {used.session_id}, "the idle one ran out after 14 days"


async def test_links_go_thirty_days_after_they_expired(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    [token] = await ada.mailed_tokens()
    platform.clock.at += timedelta(days=31)
    await purge(platform)
    assert code(await ada.open_link(token)) == "already_verified"
    platform.clock.at += timedelta(seconds=1)
    await purge(platform)
    assert not await platform.fetch("SELECT FROM users.link_tokens")


async def test_much_is_cleared_away_in_batches(platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "BATCH", 2)
    await ada.become_verified()
    for _ in range(5):
        await ada.tokens()
    platform.clock.at += timedelta(days=60)
    await purge(platform)
    assert await sessions(platform) == set()


async def test_a_secret_that_does_not_open_keeps_no_other_from_being_sealed_anew(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "BATCH", 1)
    people = [Person(platform, email=f"{name}@example.com") for name in ("ada", "bob", "cleo")]
    for person in people:
        await person.become_verified()
        await person.enrol(await person.tokens())
    first, *others = sorted(person.user_id for person in people)
    await platform.fetch("UPDATE users.totp_factors SET sealed_secret = 'x' || sealed_secret WHERE user_id = $1", first)
    newest = Sealer((NEWEST, *SECRET_KEYS))
    monkeypatch.setattr(platform.processors["users"], "sealer", newest)
    await purge(platform)
    rows = await platform.fetch("SELECT user_id, sealed_secret FROM users.totp_factors ORDER BY user_id")
    current = [row["user_id"] for row in rows if newest.is_current(row["sealed_secret"])]
    assert current == others


async def test_people_clear_nothing_away(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    for actor in (None, ada.user_id):
        assert code(await platform.request(PurgeCredentials(), actor=actor)) == "not_permitted"


async def test_verifications_do_not_wait_for_one_another(platform: Harness, ada: Person) -> None:
    await ada.sign_up()
    bob = Person(platform, email="bob@example.com")
    await bob.sign_up()
    [token] = await ada.mailed_tokens()
    await ada.open_link(token)
    [parked] = await platform.fetch("SELECT partition_key FROM bus.inbox WHERE type LIKE '%verify_email'")
    await platform.fetch(
        "INSERT INTO bus.retries (consumer_group, message_id, tenant_id, topic, partition, partition_key, state,"
        " due_at, attributes, data) VALUES ('users', gen_random_uuid(), 't', 'prog.users.commands', 0, $1, 'dead',"
        " clock_timestamp(), '', '')",
        parked["partition_key"],
    )
    assert (await bob.open_link((await bob.mailed_tokens())[-1])).status == "succeeded"
