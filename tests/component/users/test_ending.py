"""An account is deleted with a grace period, by its person or by an operator, and can be kept."""

from datetime import timedelta

import pytest

from prog_broker.replies import Answer
from prog_contracts.accounts import TokenSet
from prog_contracts.actors import actor_of_key
from prog_contracts.email import SendMail
from prog_contracts.erasure import (
    DeleteUser,
    EraseUser,
    ForgetPerson,
    ForgetUser,
    PersonReleased,
    PersonRetained,
    RestoreUser,
    UserDeletionRequested,
    UserDeletionStopped,
    UserLeaving,
    UserRestored,
)
from prog_contracts.exports import ExportUser, UserExported
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.second_factors import StepUpDenied
from prog_contracts.users import UserDeleted
from prog_workers.users import rules
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator, code


async def ask(person: Person, by: TokenSet | None, *, actor: str | None = None, reason: str | None = None) -> Answer:
    session = None if by is None else by.session_id
    command = DeleteUser(user_id=person.user_id, by_session_id=session, reason=reason)
    return await person.platform.request(command, actor=actor or person.user_id)


async def keep(person: Person, actor: str | None = None) -> Answer:
    return await person.platform.request(RestoreUser(user_id=person.user_id), actor=actor or person.user_id)


async def deleting(person: Person) -> TokenSet:
    """A person whose account is to be deleted, and the session in which they asked for it."""
    await person.become_verified()
    tokens = await person.tokens()
    assert (await ask(person, tokens)).status == "succeeded"
    return tokens


async def time_is_up(person: Person) -> None:
    person.platform.clock.at += rules.DELETION_GRACE
    answer = await person.platform.request(EraseUser(user_id=person.user_id), actor="prog-scheduler")
    assert answer.status == "succeeded"


async def last_mail(platform: Harness) -> tuple[str, str]:
    mail = (await platform.events(SendMail))[-1]
    assert mail.template == "account_deletion"
    return mail.to, mail.data["step"]


async def test_the_grace_period_begins_and_every_other_session_ends(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    other, used = await ada.tokens(), await ada.tokens()
    answer = await ask(ada, used)
    [requested] = await platform.events(UserDeletionRequested)
    assert requested.erase_at == platform.clock.now() + rules.DELETION_GRACE
    assert (requested.by, requested.sessions_ended) == ("person", 1)
    assert answer.result is not None
    assert await last_mail(platform) == (ada.email, "requested")
    assert code(await ada.refresh(other)) == "session_ended"
    assert (await ada.refresh(used)).status == "succeeded", "all goes on until then"
    assert (await ada.sign_in()).status == "succeeded"


async def test_asking_twice_is_one_deletion_at_the_first_one_s_time(platform: Harness, ada: Person) -> None:
    used = await deleting(ada)
    platform.clock.at += timedelta(minutes=5)
    answer = await ask(ada, used)
    [requested] = await platform.events(UserDeletionRequested)
    assert answer.result is not None
    assert answer.result["erase_at"] == requested.model_dump(mode="json")["erase_at"]


@pytest.mark.parametrize(("seconds", "good"), [(599, True), (600, False)])
async def test_only_within_ten_minutes_of_a_sign_in(platform: Harness, ada: Person, seconds: int, good: bool) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    platform.clock.at += timedelta(seconds=seconds)
    answer = await ask(ada, tokens)
    assert (answer.status == "succeeded") is good
    if not good:
        assert code(answer) == "fresh_sign_in_required"
        [denied] = await platform.events(StepUpDenied)
        assert (denied.user_id, denied.command) == (ada.user_id, DeleteUser.TYPE)
        assert not await platform.events(UserDeletionRequested)


async def test_nobody_deletes_another_s_account_but_an_operator_with_a_reason(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    bob = Person(platform, email="bob@example.com", name="Bob")
    await bob.become_verified()
    root = await administrator(platform)
    hers, his, operators = await ada.tokens(), await bob.tokens(), await root.tokens()
    for by, actor in ((his, bob.user_id), (hers, actor_of_key(ada.user_id, new_id("apikey"))), (None, bob.user_id)):
        assert code(await ask(ada, by, actor=actor, reason="because")) == "not_permitted"
    assert code(await ask(ada, None)) == "session_not_found"
    assert code(await ask(ada, his)) == "session_not_found", "somebody else's session proves nothing"
    for nothing in (None, "  ", "x" * 501):
        assert code(await ask(ada, operators, actor=root.user_id, reason=nothing)) == "invalid"
    assert not await platform.events(UserDeletionRequested)
    answer = await ask(ada, operators, actor=root.user_id, reason="Asked for on the phone")
    assert answer.status == "succeeded"
    [requested] = await platform.events(UserDeletionRequested)
    assert (requested.by, requested.reason, requested.sessions_ended) == ("operator", "Asked for on the phone", 1)
    assert await last_mail(platform) == (ada.email, "requested_by_operator")
    assert (await ada.tokens()).user_id == ada.user_id, "she may sign in and keep it"
    assert (await keep(ada)).status == "succeeded"


async def test_what_was_asked_for_is_taken_back(platform: Harness, ada: Person) -> None:
    await deleting(ada)
    bob = new_id("user")
    assert code(await keep(ada, bob)) == "not_permitted"
    assert (await keep(ada)).status == "succeeded"
    assert len(await platform.events(UserRestored)) == 1
    assert await last_mail(platform) == (ada.email, "restored")
    assert code(await keep(ada)) == "not_being_deleted"
    assert not await platform.fetch("SELECT FROM bus.timers WHERE name LIKE 'erase:%'")
    await time_is_up(ada)
    assert not await platform.events(UserLeaving)
    assert (await ada.sign_in()).status == "succeeded"


async def test_told_early_it_comes_again(platform: Harness, ada: Person) -> None:
    await deleting(ada)
    platform.clock.at += rules.DELETION_GRACE - timedelta(seconds=1)
    await platform.request(EraseUser(user_id=ada.user_id), actor="prog-scheduler")
    assert not await platform.events(UserLeaving)
    [timer] = await platform.fetch("SELECT due_at FROM bus.timers WHERE name = $1", f"erase:{ada.user_id}")
    assert timer["due_at"] == platform.clock.now() + timedelta(seconds=1)


async def test_at_the_end_nobody_gets_in_and_there_is_no_way_back(platform: Harness, ada: Person) -> None:
    used = await deleting(ada)
    await time_is_up(ada)
    assert len(await platform.events(UserLeaving)) == 1
    assert code(await ada.sign_in()) == "invalid_credentials"
    assert code(await ada.refresh(used)) == "session_ended"
    assert code(await keep(ada)) == "account_ending"
    await time_is_up(ada)
    assert len(await platform.events(UserLeaving)) == 1, "told twice, it leaves once"


async def test_who_has_to_stay_gets_in_again(platform: Harness, ada: Person) -> None:
    await deleting(ada)
    await time_is_up(ada)
    retained = PersonRetained(user_id=ada.user_id, tenant_ids=(new_id("tenant"),), tenant_names=("Acme",))
    await platform.publish(retained, tenant_id=PLATFORM_TENANT_ID)
    assert len(await platform.events(UserDeletionStopped)) == 1
    assert await last_mail(platform) == (ada.email, "stopped")
    assert (await ada.sign_in()).status == "succeeded"
    assert code(await keep(ada)) == "not_being_deleted"


async def test_a_disabled_account_that_has_to_stay_stays_disabled(platform: Harness, ada: Person) -> None:
    await deleting(ada)
    await platform.admin.execute("UPDATE users.users SET status = 'disabled' WHERE user_id = $1", ada.user_id)
    await time_is_up(ada)
    retained = PersonRetained(user_id=ada.user_id, tenant_ids=(), tenant_names=())
    await platform.publish(retained, tenant_id=PLATFORM_TENANT_ID)
    assert code(await ada.sign_in()) == "invalid_credentials"


async def test_an_account_that_is_not_leaving_is_erased_by_nobody(platform: Harness, ada: Person) -> None:
    await deleting(ada)
    await platform.publish(PersonReleased(user_id=ada.user_id), tenant_id=PLATFORM_TENANT_ID)
    assert not await platform.events(UserDeleted)
    forget = ForgetUser(user_id=ada.user_id, sealed_person=platform.seal("{}", "person"))
    assert code(await platform.request(forget, actor="prog-scheduler")) == "account_exists"
    assert not await platform.events(ForgetPerson)
    assert (await ada.sign_in()).status == "succeeded"


async def test_once_released_the_account_is_gone_with_all_that_refers_to_it(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await ada.enrol()
    tokens = await ada.tokens_with_code()
    assert (await ask(ada, tokens)).status == "succeeded"
    await time_is_up(ada)
    await platform.publish(PersonReleased(user_id=ada.user_id), tenant_id=PLATFORM_TENANT_ID)
    assert [event.user_id for event in await platform.events(UserDeleted)] == [ada.user_id]
    assert await last_mail(platform) == (ada.email, "done")
    for table in ("users", "passwords", "sessions", "refresh_tokens", "totp_factors", "recovery_codes", "link_tokens"):
        assert not await platform.fetch(f"SELECT FROM users.{table}"), table
    assert code(await keep(ada)) == "user_not_found"
    [timer] = await platform.fetch("SELECT due_at, data FROM bus.timers WHERE name = $1", f"forget:{ada.user_id}")
    assert timer["due_at"] == platform.clock.now() + rules.FORGOTTEN_AFTER
    assert ada.email.encode() not in timer["data"]


async def test_every_row_of_a_person_refers_to_the_account_and_goes_with_it(platform: Harness) -> None:
    """So that a new table cannot be forgotten: what has a `user_id` goes with the account."""
    rows = await platform.fetch(
        """
        SELECT c.relname AS name, EXISTS (
            SELECT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confdeltype = 'c'
              AND f.confrelid = 'users.users'::regclass) AS goes
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'users'::regnamespace AND c.relkind = 'r' AND c.relname <> 'users'
        """
    )
    assert len(rows) >= 6
    assert [row["name"] for row in rows if not row["goes"]] == ["logout_notices"], (
        "an id and nothing else, until the client has heard that its person is gone, or a week is over"
    )


async def test_data_are_taken_along_once_a_minute_in_a_fresh_session_by_their_person(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()

    async def export(actor: str | None = None) -> Answer:
        command = ExportUser(user_id=ada.user_id, by_session_id=tokens.session_id, client_address="192.0.2.7")
        return await platform.request(command, actor=actor or ada.user_id)

    for other in (new_id("user"), actor_of_key(ada.user_id, new_id("apikey")), "prog-scheduler"):
        assert code(await export(other)) == "not_permitted"
    assert (await export()).status == "succeeded"
    [told] = await platform.events(UserExported)
    assert (told.user_id, told.client_address) == (ada.user_id, "192.0.2.7")
    mail = (await platform.events(SendMail))[-1]
    assert (mail.to, mail.template) == (ada.email, "data_exported")
    assert code(await export()) == "exported_just_now"
    platform.clock.at += rules.EXPORT_INTERVAL
    assert (await export()).status == "succeeded"
    platform.clock.at += rules.STEP_UP_LIFETIME
    assert code(await export()) == "fresh_sign_in_required"
    assert len(await platform.events(UserExported)) == 2
