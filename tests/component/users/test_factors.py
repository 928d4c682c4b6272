"""A person changes their second factor, or their password. `check_N` is the number of the security review's check."""

import asyncio
from datetime import timedelta

import pyotp
import pytest

from prog_broker.replies import Answer
from prog_contracts.accounts import RecoveryCodes, TokenSet, TotpEnrolment
from prog_contracts.ids import new_id
from prog_contracts.second_factors import ResetSecondFactor, SecondFactorChanged, StepUpDenied
from prog_contracts.users import OtherSessionsEnded, PasswordChanged, PurgeCredentials, RevokeSessions, SessionEnded
from prog_kit import secrets
from prog_kit.secrets import Sealer
from prog_workers.users import totp
from prog_workers.users.handlers import purging
from tests.component.harness import SECRET_KEYS, Harness
from tests.component.users.people import PASSWORD, Person, administrator, code

NEW = "a wholly different sentence"
NEW_KEYS = ("fedcba9876543210" * 4, *SECRET_KEYS)


@pytest.fixture
async def session(ada: Person) -> TokenSet:
    """Ada has signed in just now, with her password alone."""
    await ada.become_verified()
    return await ada.tokens()


async def count(platform: Harness, table: str) -> int:
    rows = await platform.fetch(f"SELECT FROM users.{table}")
    return len(rows)


async def reset(platform: Harness, person: Person, by: str | None, session_id: str | None, reason: str) -> Answer:
    command = ResetSecondFactor(user_id=person.user_id, reason=reason, by_session_id=session_id)
    return await platform.request(command, actor=by)


# -- setting up --------------------------------------------------------------------------------------------------------


async def test_an_app_counts_once_a_code_confirms_it(platform: Harness, ada: Person, session: TokenSet) -> None:
    started = TotpEnrolment.model_validate((await ada.start_enrolment(session)).result)
    assert started.otpauth_uri == totp.otpauth_uri(started.secret, ada.email)
    await ada.tokens()  # not yet
    assert code(await ada.confirm_enrolment(session, "000000")) == "invalid_code"
    ada.secret = started.secret
    confirmed = await ada.confirm_enrolment(session, ada.app_code())
    assert len(RecoveryCodes.model_validate(confirmed.result).recovery_codes) == 10
    assert (await ada.pending()).mfa_required
    [changed] = await platform.events(SecondFactorChanged)
    assert (changed.user_id, changed.email, changed.change) == (ada.user_id, ada.email, "enrolled")


async def test_secrets_rest_sealed_and_are_in_no_event_and_no_answer_in_clear(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    await ada.enrol(session)
    [row] = await platform.fetch("SELECT sealed_secret FROM users.totp_factors")
    assert platform.sealer.open(row["sealed_secret"], secrets.TOTP) == ada.secret
    for table in ("users.totp_factors", "bus.event_log", "bus.inbox", "bus.dead_letters", "bus.retries"):
        assert ada.secret not in str([dict(item) for item in await platform.fetch(f"SELECT * FROM {table}")]), table


async def test_confirming_twice_at_once_makes_one_app_and_one_set_of_codes(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    ada.secret = TotpEnrolment.model_validate((await ada.start_enrolment(session)).result).secret
    answers = await asyncio.gather(*(ada.confirm_enrolment(session, ada.app_code()) for _ in range(8)))
    assert [answer.status for answer in answers].count("succeeded") == 1
    assert {code(answer) for answer in answers if answer.status == "failed"} == {"no_enrolment"}
    assert await count(platform, "recovery_codes") == 10


async def test_an_enrolment_belongs_to_the_session_that_began_it_and_ends_with_its_time(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    other = await ada.tokens()
    ada.secret = TotpEnrolment.model_validate((await ada.start_enrolment(session)).result).secret
    assert code(await ada.confirm_enrolment(other, ada.app_code())) == "no_enrolment"
    platform.clock.at += timedelta(minutes=15)
    assert code(await ada.confirm_enrolment(session, ada.app_code())) == "no_enrolment"


async def test_another_app_takes_the_place_of_the_first_and_the_codes_stay(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    codes = await ada.enrol(session)
    old = ada.secret
    assert await ada.enrol(await ada.tokens_with_code()) == ()
    assert ada.secret != old
    await ada.next_step()
    assert code(
        await ada.complete(await ada.pending(), pyotp.TOTP(old).generate_otp(totp.step_at(platform.clock.at)))
    ) == ("invalid_code")
    assert (await ada.complete(await ada.pending(), ada.app_code())).status == "succeeded"
    assert (await ada.complete(await ada.pending(), codes[9], "recovery_code")).status == "succeeded"
    assert [event.change for event in await platform.events(SecondFactorChanged)] == ["enrolled", "replaced"]


# -- who may -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["start_enrolment", "new_codes", "remove_factor"])
async def test_check_16_a_change_needs_a_session_opened_just_now_with_the_second_factor(
    platform: Harness, ada: Person, session: TokenSet, change: str
) -> None:
    await ada.enrol(session)
    assert code(await getattr(ada, change)(session)) == "fresh_sign_in_required", "opened with the password alone"
    careful = await ada.tokens_with_code()
    platform.clock.at += timedelta(minutes=10)
    assert code(await getattr(ada, change)(careful)) == "fresh_sign_in_required"
    denied = await platform.events(StepUpDenied)
    assert [event.by_session_id for event in denied] == [session.session_id, careful.session_id]
    fresh = TokenSet.model_validate((await ada.step_up(careful, ada.app_code())).result)
    assert (await getattr(ada, change)(fresh)).status == "succeeded"


async def test_somebody_without_a_second_factor_sets_one_up_with_a_fresh_password(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    platform.clock.at += timedelta(minutes=10)
    assert code(await ada.start_enrolment(session)) == "fresh_sign_in_required"
    assert code(await ada.step_up(session, "not it", "password")) == "invalid_credentials"
    fresh = TokenSet.model_validate((await ada.step_up(session, PASSWORD, "password")).result)
    assert (await ada.start_enrolment(fresh)).status == "succeeded"
    assert code(await ada.new_codes(fresh)) == "no_second_factor"
    assert code(await ada.remove_factor(fresh)) == "no_second_factor"


async def test_nobody_changes_the_second_factor_of_somebody_else(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    await ada.enrol(session)
    mallory = Person(platform, email="mallory@example.com", name="Mallory")
    await mallory.become_verified()
    his = await mallory.tokens()
    for change in ("start_enrolment", "new_codes", "remove_factor"):
        assert code(await getattr(mallory, change)(session)) == "session_not_found"
    posing = Person(platform, user_id=ada.user_id)
    assert code(await posing.step_up(his, PASSWORD, "password", actor=mallory.user_id)) == "not_permitted"
    assert code(await posing.step_up(his, ada.app_code(1), actor=mallory.user_id)) == "not_permitted"
    assert code(await posing.change_password(session, NEW, PASSWORD, actor=mallory.user_id)) == "not_permitted"
    assert code(await ada.step_up(his, ada.app_code(1))) == "session_not_found"


# -- step-up -----------------------------------------------------------------------------------------------------------


async def test_check_16_a_step_up_opens_another_session_and_ends_the_one_in_use(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    await ada.enrol(session)
    await ada.next_step()
    fresh = TokenSet.model_validate((await ada.step_up(session, ada.app_code())).result)
    assert fresh.session_id != session.session_id
    assert code(await ada.refresh(session)) == "session_ended"
    assert (await ada.refresh(fresh)).status == "succeeded"
    assert code(await ada.step_up(session, ada.app_code(1))) == "session_not_found"
    [ended] = await platform.events(SessionEnded)
    assert ended.session_id == session.session_id


async def test_check_09_the_password_alone_steps_nobody_up_who_has_a_second_factor(
    ada: Person, session: TokenSet
) -> None:
    await ada.enrol(session)
    assert code(await ada.step_up(session, PASSWORD, "password")) == "mfa_required"
    assert (await ada.refresh(session)).status == "succeeded", "and the session in use goes on"


async def test_check_07_a_step_that_signed_in_steps_nobody_up(ada: Person, session: TokenSet) -> None:
    codes = await ada.enrol(session)
    careful = await ada.tokens_with_code()
    assert code(await ada.step_up(careful, ada.app_code())) == "invalid_code"
    fresh = TokenSet.model_validate((await ada.step_up(careful, codes[0], "recovery_code")).result)
    assert code(await ada.step_up(fresh, codes[0], "recovery_code")) == "invalid_code"


async def test_check_16_ending_other_sessions_needs_the_second_factor_too(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    await ada.enrol(session)
    careful = await ada.tokens_with_code()

    async def everywhere_else(by: TokenSet) -> Answer:
        command = RevokeSessions(user_id=ada.user_id, by_session_id=by.session_id)
        return await platform.request(command, actor=ada.user_id)

    assert code(await everywhere_else(session)) == "fresh_sign_in_required", "a thief's, opened before it was set up"
    assert (await everywhere_else(careful)).status == "succeeded"
    [event] = await platform.events(OtherSessionsEnded)
    assert event.count == 1


# -- recovery codes, and taking away -----------------------------------------------------------------------------------


async def test_check_08_a_new_set_kills_the_old(platform: Harness, ada: Person, session: TokenSet) -> None:
    old = await ada.enrol(session)
    made = await ada.new_codes(await ada.tokens_with_code())
    codes = RecoveryCodes.model_validate(made.result).recovery_codes
    assert not set(codes) & set(old)
    assert code(await ada.complete(await ada.pending(), old[0], "recovery_code")) == "invalid_code"
    assert (await ada.complete(await ada.pending(), codes[0], "recovery_code")).status == "succeeded"
    assert await count(platform, "recovery_codes") == 10


async def test_without_recovery_codes_left_only_the_app_is_offered(ada: Person, session: TokenSet) -> None:
    for item in await ada.enrol(session):
        assert (await ada.complete(await ada.pending(), item, "recovery_code")).status == "succeeded"
    assert (await ada.pending()).methods == ("totp",)


async def test_turning_it_off_takes_everything_away(platform: Harness, ada: Person, session: TokenSet) -> None:
    codes = await ada.enrol(session)
    waiting = await ada.pending()
    assert (await ada.remove_factor(await ada.tokens_with_code())).status == "succeeded"
    for table in ("totp_factors", "totp_enrolments", "recovery_codes", "pending_sign_ins"):
        assert not await count(platform, table), table
    assert code(await ada.complete(waiting, codes[0], "recovery_code")) == "sign_in_over"
    await ada.tokens()
    assert (await platform.events(SecondFactorChanged))[-1].change == "removed"


async def test_an_operator_takes_it_away_with_a_reason_and_ends_the_sessions(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    await ada.enrol(session)
    root = await administrator(platform)
    roots = (await root.tokens()).session_id
    assert code(await reset(platform, ada, root.user_id, roots, " \n ")) == "invalid"
    assert code(await reset(platform, ada, ada.user_id, session.session_id, "mine")) == "not_permitted"
    assert code(await reset(platform, ada, root.user_id, None, "no session")) == "not_permitted"
    assert code(await reset(platform, ada, root.user_id, session.session_id, "hers")) == "session_not_found"
    assert (await reset(platform, ada, root.user_id, roots, "lost her  phone")).status == "succeeded"
    changed = (await platform.events(SecondFactorChanged))[-1]
    assert (changed.change, changed.reason, changed.sessions_ended) == ("removed_by_operator", "lost her phone", 1)
    assert code(await ada.refresh(session)) == "session_ended"
    await ada.tokens()
    assert code(await reset(platform, ada, root.user_id, roots, "again")) == "no_second_factor"
    unknown = Person(platform, user_id=new_id("user"))
    assert code(await reset(platform, unknown, root.user_id, roots, "who")) == "user_not_found"


async def test_check_16_an_operator_needs_a_fresh_session_and_not_for_the_own_account(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    await ada.enrol(session)
    root = await administrator(platform)
    first = await root.tokens()
    await root.enrol(first)
    assert code(await reset(platform, ada, root.user_id, first.session_id, "lost")) == "fresh_sign_in_required"
    careful = (await root.tokens_with_code()).session_id
    assert code(await reset(platform, root, root.user_id, careful, "my own")) == "not_permitted"
    assert (await reset(platform, ada, root.user_id, careful, "lost")).status == "succeeded"


async def test_a_process_of_the_platform_may_when_no_operator_can_sign_in(platform: Harness) -> None:
    root = await administrator(platform)
    await root.enrol()
    assert code(await reset(platform, root, None, None, "nobody")) == "not_permitted"
    assert (await reset(platform, root, "prog admin", None, "lost app and codes")).status == "succeeded"


# -- one's own password ------------------------------------------------------------------------------------------------


async def test_check_10_a_changed_password_ends_all_but_the_session_in_use(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    others = [await ada.tokens() for _ in range(2)]
    await ada.ask_for_link()
    link = (await ada.mailed_tokens())[-1]
    await ada.forget()
    reset_link = (await ada.mailed_tokens())[-1]
    assert (await ada.change_password(session, NEW, PASSWORD)).status == "succeeded"
    assert [code(await ada.refresh(tokens)) for tokens in others] == ["session_ended"] * 2
    assert (await ada.refresh(session)).status == "succeeded"
    assert code(await ada.sign_in_by_link(link)) == "invalid"
    assert code(await ada.reset(reset_link, "yet another good sentence")) == "invalid"
    assert code(await ada.sign_in()) == "invalid_credentials"
    assert (await ada.sign_in(password=NEW)).status == "succeeded"
    [changed] = await platform.events(PasswordChanged)
    assert (changed.how, changed.sessions_ended, changed.client_address) == ("change", 2, "192.0.2.7")


async def test_check_10_a_sign_in_that_waits_ends_with_the_password_that_began_it(
    ada: Person, session: TokenSet
) -> None:
    await ada.enrol(session)
    waiting = await ada.pending()
    assert (await ada.change_password(session, NEW, PASSWORD)).status == "succeeded"
    assert code(await ada.complete(waiting, ada.app_code(1))) == "sign_in_over"


async def test_the_old_password_or_a_fresh_session_is_needed(platform: Harness, ada: Person, session: TokenSet) -> None:
    assert code(await ada.change_password(session, NEW, "not it")) == "invalid_credentials"
    assert code(await ada.change_password(session, NEW, "")) == "invalid_credentials"
    platform.clock.at += timedelta(minutes=10)
    assert code(await ada.change_password(session, NEW)) == "fresh_sign_in_required"
    assert (await ada.sign_in()).status == "succeeded", "nothing was changed"
    assert len(await platform.events(StepUpDenied)) == 3
    fresh = await ada.tokens()
    assert (await ada.change_password(fresh, NEW)).status == "succeeded"
    assert (await ada.sign_in(password=NEW)).status == "succeeded"


@pytest.mark.parametrize(
    ("password", "problem"),
    [("short", "too_short"), ("x" * 1025, "too_long"), ("password1", "too_common"), ("Ada Lovelace", "too_common")],
)
async def test_check_03_the_new_password_is_judged_like_every_other(
    ada: Person, session: TokenSet, password: str, problem: str
) -> None:
    answer = await ada.change_password(session, password, PASSWORD)
    assert answer.error is not None
    assert [item.code for item in answer.error.fields] == [problem]
    assert (await ada.sign_in()).status == "succeeded"


async def test_of_two_changes_at_once_one_counts(ada: Person, session: TokenSet) -> None:
    wanted = [f"{NEW} number {number}" for number in range(4)]
    answers = await asyncio.gather(*(ada.change_password(session, item, PASSWORD) for item in wanted))
    assert [answer.status for answer in answers].count("succeeded") == 1
    good = [item for item in wanted if (await ada.sign_in(password=item)).status == "succeeded"]
    assert good == [item for item, answer in zip(wanted, answers, strict=True) if answer.status == "succeeded"]


# -- keeping house -----------------------------------------------------------------------------------------------------


async def purge(platform: Harness) -> None:
    answer = await platform.request(PurgeCredentials(), actor="prog-scheduler")
    assert answer.status == "succeeded", answer
    await platform.settle()


async def test_waiting_sign_ins_and_enrolments_are_cleared_away(
    platform: Harness, ada: Person, session: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.enrol(session)
    await ada.start_enrolment(await ada.tokens_with_code())
    for _ in range(3):
        await ada.pending()
    await purge(platform)
    assert (await count(platform, "totp_enrolments"), await count(platform, "pending_sign_ins")) == (1, 4)
    platform.clock.at += timedelta(minutes=16)
    await purge(platform)
    assert (await count(platform, "totp_enrolments"), await count(platform, "pending_sign_ins")) == (0, 4)
    monkeypatch.setattr(purging, "BATCH", 2)
    platform.clock.at += timedelta(days=30)
    await purge(platform)
    assert await count(platform, "pending_sign_ins") == 0
    assert (await count(platform, "totp_factors"), await count(platform, "recovery_codes")) == (1, 10), "these stay"


async def test_secrets_of_apps_outlive_a_rotation_of_keys(platform: Harness, ada: Person, session: TokenSet) -> None:
    codes = await ada.enrol(session)
    platform.sealer = Sealer(NEW_KEYS)
    platform.processors["users"].sealer = platform.sealer  # as after a restart with the new key first
    await purge(platform)
    [row] = await platform.fetch("SELECT sealed_secret FROM users.totp_factors")
    assert row["sealed_secret"].startswith(platform.sealer.mark)
    assert Sealer(NEW_KEYS[:1]).open(row["sealed_secret"], secrets.TOTP) == ada.secret
    platform.sealer = Sealer(NEW_KEYS[:1])
    platform.processors["users"].sealer = platform.sealer  # the old key is gone
    await ada.tokens_with_code()
    assert (await ada.complete(await ada.pending(), codes[0], "recovery_code")).status == "succeeded"


async def test_an_app_whose_secret_does_not_open_leaves_the_recovery_codes(
    platform: Harness, ada: Person, session: TokenSet
) -> None:
    codes = await ada.enrol(session)
    platform.sealer = Sealer(NEW_KEYS[:1])
    platform.processors["users"].sealer = platform.sealer
    await ada.next_step()
    await purge(platform)
    assert code(await ada.complete(await ada.pending(), ada.app_code())) == "invalid_code"
    assert (await ada.complete(await ada.pending(), codes[0], "recovery_code")).status == "succeeded"


async def test_what_is_a_deleted_person_s_goes_with_them(platform: Harness, ada: Person, session: TokenSet) -> None:
    await ada.enrol(session)
    await ada.start_enrolment(await ada.tokens_with_code())
    await ada.pending()
    await platform.admin.execute("DELETE FROM users.users WHERE user_id = $1", ada.user_id)
    for table in ("totp_factors", "totp_enrolments", "recovery_codes", "pending_sign_ins", "sessions"):
        assert not await count(platform, table), table
