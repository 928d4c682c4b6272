"""Sign-in with a second factor. `check_N` in a name is the number of the security review's check that it holds."""

import asyncio
from datetime import timedelta

import jwt
import pytest

from prog_contracts.accounts import SecondFactorNeeded, TokenSet
from prog_contracts.credentials import pending_sign_in_token
from prog_contracts.ids import new_id
from prog_contracts.second_factors import (
    RecoveryCodeUsed,
    SecondFactorAsked,
    SecondFactorFailed,
    SecondFactorGuessesRefused,
)
from prog_contracts.users import SecondFactor, UserAuthenticated, VerifyEmail
from prog_kit import secrets
from prog_workers.users import passwords, rules
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator, code


@pytest.fixture
async def codes(ada: Person) -> tuple[str, ...]:
    """Ada has an authenticator app; her recovery codes."""
    await ada.become_verified()
    return await ada.enrol()


async def test_a_password_alone_opens_no_session(platform: Harness, ada: Person, codes: tuple[str, ...]) -> None:
    await ada.next_step()
    before = len(await platform.events(UserAuthenticated))
    pending = await ada.pending()
    assert pending.methods == ("totp", "recovery_code")
    assert len(await platform.events(UserAuthenticated)) == before
    answer = await ada.complete(pending, ada.app_code())
    tokens = TokenSet.model_validate(answer.result)
    assert tokens.user_id == ada.user_id
    [asked] = await platform.events(SecondFactorAsked)
    assert (asked.user_id, asked.method) == (ada.user_id, "password")
    opened = (await platform.events(UserAuthenticated))[-1]
    assert (opened.session_id, opened.method, opened.second_factor) == (tokens.session_id, "password", "totp")


async def test_check_07_a_totp_step_is_accepted_once(platform: Harness, ada: Person, codes: tuple[str, ...]) -> None:
    await ada.next_step()
    waiting = [await ada.pending() for _ in range(50)]
    answers = await asyncio.gather(*(ada.complete(pending, ada.app_code()) for pending in waiting))
    assert [answer.status for answer in answers].count("succeeded") == 1
    assert {code(answer) for answer in answers if answer.status == "failed"} == {"invalid_code"}
    assert {event.reason for event in await platform.events(SecondFactorFailed)} == {"used_before"}
    await ada.next_step()
    assert (await ada.complete(await ada.pending(), ada.app_code())).status == "succeeded"


async def test_check_07_the_code_that_enrolled_cannot_sign_in(ada: Person, codes: tuple[str, ...]) -> None:
    assert code(await ada.complete(await ada.pending(), ada.app_code())) == "invalid_code"
    assert code(await ada.complete(await ada.pending(), ada.app_code(-1))) == "invalid_code", "nor one before it"


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_check_07_codes_of_the_step_before_and_after_are_accepted(
    ada: Person, codes: tuple[str, ...], steps: int, good: bool
) -> None:
    for _ in range(5):
        await ada.next_step()
    answer = await ada.complete(await ada.pending(), ada.app_code(steps))
    assert (answer.status == "succeeded") is good


async def test_check_07_none_before_a_step_that_was_accepted(ada: Person, codes: tuple[str, ...]) -> None:
    await ada.next_step()
    assert (await ada.complete(await ada.pending(), ada.app_code(1))).status == "succeeded"
    assert code(await ada.complete(await ada.pending(), ada.app_code())) == "invalid_code"


async def test_check_08_a_recovery_code_works_once(platform: Harness, ada: Person, codes: tuple[str, ...]) -> None:
    waiting = [await ada.pending() for _ in range(50)]
    answers = await asyncio.gather(*(ada.complete(pending, codes[3], "recovery_code") for pending in waiting))
    assert [answer.status for answer in answers].count("succeeded") == 1
    assert {code(answer) for answer in answers if answer.status == "failed"} == {"invalid_code"}
    [used] = await platform.events(RecoveryCodeUsed)
    assert (used.user_id, used.codes_left) == (ada.user_id, 9)
    shouted = f" {codes[4].upper().replace('-', ' ')} "
    assert (await ada.complete(await ada.pending(), shouted, "recovery_code")).status == "succeeded"


async def test_check_08_recovery_codes_are_kept_as_hashes(
    platform: Harness, ada: Person, codes: tuple[str, ...]
) -> None:
    assert len(set(codes)) == 10
    kept = str([dict(row) for row in await platform.fetch("SELECT * FROM users.recovery_codes")])
    log = str([dict(row) for row in await platform.fetch("SELECT * FROM bus.event_log")])
    inbox = str([dict(row) for row in await platform.fetch("SELECT * FROM bus.inbox")])
    for secret in (*codes, *(item.replace("-", "") for item in codes), ada.secret):
        assert secret not in kept
        assert secret not in log
        assert secret not in inbox


async def test_check_05_wrong_codes_end_the_sign_in_that_waits(
    platform: Harness, ada: Person, codes: tuple[str, ...]
) -> None:
    """Whatever the edge counts: the transaction that would open the session looks at the failures again."""
    await ada.next_step()
    pending, wrong = await ada.pending(), "not-a-code"
    tries = await asyncio.gather(*(ada.complete(pending, wrong) for _ in range(rules.MAX_WRONG_CODES + 3)))
    assert sorted(code(answer) for answer in tries) == ["invalid_code"] * 5 + ["sign_in_over"] * 3
    assert code(await ada.complete(pending, ada.app_code())) == "sign_in_over"
    assert code(await ada.complete(pending, codes[0], "recovery_code")) == "sign_in_over"
    assert (await ada.complete(await ada.pending(), ada.app_code())).status == "succeeded", "nothing was spent"
    reasons = [event.reason for event in await platform.events(SecondFactorFailed)]
    assert sorted(reasons) == ["sign_in_over"] * 5 + ["wrong_code"] * 5


async def test_check_05_an_account_that_was_disabled_meanwhile_gets_no_session(
    platform: Harness, ada: Person, codes: tuple[str, ...]
) -> None:
    await ada.next_step()
    pending = await ada.pending()
    await platform.admin.execute("UPDATE users.users SET status = 'disabled' WHERE user_id = $1", ada.user_id)
    assert code(await ada.complete(pending, ada.app_code())) == "sign_in_over"


@pytest.mark.parametrize(("seconds", "good"), [(299, True), (300, False)])
async def test_a_sign_in_waits_for_five_minutes(
    platform: Harness, ada: Person, codes: tuple[str, ...], seconds: int, good: bool
) -> None:
    pending = await ada.pending()
    platform.clock.at += timedelta(seconds=seconds)
    answer = await ada.complete(pending, ada.app_code())
    assert answer.status == "succeeded" if good else code(answer) == "sign_in_over"


async def test_a_sign_in_is_completed_once(ada: Person, codes: tuple[str, ...]) -> None:
    await ada.next_step()
    pending = await ada.pending()
    assert (await ada.complete(pending, ada.app_code())).status == "succeeded"
    assert code(await ada.complete(pending, ada.app_code(1))) == "sign_in_over"
    assert code(await ada.complete(pending, codes[0], "recovery_code")) == "sign_in_over"


async def test_nobody_completes_the_sign_in_of_somebody_else(
    platform: Harness, ada: Person, codes: tuple[str, ...]
) -> None:
    mallory = Person(platform, email="mallory@example.com", name="Mallory")
    await mallory.become_verified()
    await mallory.enrol()
    await ada.next_step()
    pending = await ada.pending()
    assert code(await mallory.complete(pending, mallory.app_code(), user_id=mallory.user_id)) == "sign_in_over"
    assert code(await mallory.complete(pending, mallory.app_code())) == "invalid_code", "it takes hers"
    assert code(await mallory.complete(pending, ada.app_code(), user_id=new_id("user"))) == "sign_in_over"


async def test_check_09_a_link_by_mail_asks_for_the_second_factor_too(
    platform: Harness, ada: Person, codes: tuple[str, ...]
) -> None:
    await ada.next_step()
    await ada.ask_for_link()
    answer = await ada.sign_in_by_link((await ada.mailed_tokens())[-1])
    pending = SecondFactorNeeded.model_validate(answer.result)
    completed = await ada.complete(pending, ada.app_code())
    tokens = TokenSet.model_validate(completed.result)
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    assert claims["amr"] == ["email", "otp", "mfa"]


async def test_check_09_a_reset_skips_no_second_factor_and_ends_sign_ins_that_wait(
    ada: Person, codes: tuple[str, ...]
) -> None:
    await ada.next_step()
    before = await ada.pending()
    await ada.forget()
    assert (await ada.reset((await ada.mailed_tokens())[-1], "another good sentence")).status == "succeeded"
    assert code(await ada.complete(before, ada.app_code())) == "sign_in_over"
    ada.password = "another good sentence"
    assert (await ada.complete(await ada.pending(), ada.app_code())).status == "succeeded"


async def test_check_14_the_token_of_a_sign_in_that_waits_is_good_for_nothing_else(
    platform: Harness, ada: Person, codes: tuple[str, ...]
) -> None:
    pending = await ada.pending()
    sealed = platform.seal(pending.mfa_token, secrets.TOKEN)
    assert code(await platform.request(VerifyEmail(sealed_token=sealed))) == "invalid"
    assert code(await ada.sign_in_by_link(pending.mfa_token)) == "invalid"
    assert code(await ada.reset(pending.mfa_token, "another good sentence")) == "invalid"
    with pytest.raises(jwt.DecodeError):
        jwt.get_unverified_header(pending.mfa_token)
    await ada.ask_for_link()
    link = (await ada.mailed_tokens())[-1]
    forged = pending.model_copy(update={"mfa_token": link})
    assert code(await ada.complete(forged, ada.app_code(1), user_id=ada.user_id)) == "sign_in_over"


async def test_check_04_without_a_sign_in_no_time_tells_who_has_recovery_codes(
    monkeypatch: pytest.MonkeyPatch, ada: Person, codes: tuple[str, ...]
) -> None:
    hashed = []

    async def hash_code(form: str, salt: str) -> str:
        hashed.append(form)
        return await real(form, salt)

    real = passwords.hash_code
    monkeypatch.setattr(passwords, "hash_code", hash_code)
    pending = await ada.pending()
    forged = pending.model_copy(update={"mfa_token": pending_sign_in_token(ada.user_id, secrets.new_token())})
    assert code(await ada.complete(forged, codes[0], "recovery_code")) == "sign_in_over"
    assert hashed == []
    assert (await ada.complete(pending, codes[0], "recovery_code")).status == "succeeded"
    assert len(hashed) == 1
    assert code(await ada.complete(pending, codes[1], "recovery_code")) == "sign_in_over"
    assert len(hashed) == 1, "nor is a sign-in that was completed"


async def test_tokens_tell_how_and_when_their_person_was_authenticated(
    platform: Harness, ada: Person, codes: tuple[str, ...]
) -> None:
    tokens = await ada.tokens_with_code()
    opened_at = int(platform.clock.at.timestamp())
    platform.clock.at += timedelta(hours=3)
    renewed = TokenSet.model_validate((await ada.refresh(tokens)).result)
    for item in (tokens, renewed):
        claims = jwt.decode(item.access_token, options={"verify_signature": False})
        assert (claims["amr"], claims["auth_time"]) == (["pwd", "otp", "mfa"], opened_at)


async def test_somebody_without_a_second_factor_is_asked_for_none(ada: Person) -> None:
    await ada.become_verified()
    claims = jwt.decode((await ada.tokens()).access_token, options={"verify_signature": False})
    assert claims["amr"] == ["pwd"]


async def test_an_operator_has_a_second_factor_like_everybody(platform: Harness) -> None:
    root = await administrator(platform)
    await root.enrol()
    tokens = await root.tokens_with_code()
    assert tokens.platform_role == "operator"


async def guesses(ada: Person, count: int) -> None:
    """Wrong codes, each behind the right password; a sign-in takes five of them."""
    waits = await ada.pending()
    for each in range(count):
        if each % rules.MAX_WRONG_CODES == 0:
            waits = await ada.pending()
        assert code(await ada.complete(waits, "000000")) == "invalid_code"


async def test_many_wrong_codes_are_told_once_a_day(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await ada.enrol()
    await guesses(ada, rules.GUESSES_TOLD - 1)
    assert await platform.events(SecondFactorGuessesRefused) == []
    began = platform.clock.at
    await guesses(ada, 1)
    [told] = await platform.events(SecondFactorGuessesRefused)
    assert (told.user_id, told.email, told.wrong_codes) == (ada.user_id, ada.email, rules.GUESSES_TOLD)
    assert told.since == began
    await guesses(ada, 20)
    assert len(await platform.events(SecondFactorGuessesRefused)) == 1
    platform.clock.at += rules.GUESSES_WINDOW
    await guesses(ada, rules.GUESSES_TOLD - 1)
    assert len(await platform.events(SecondFactorGuessesRefused)) == 1, "yesterday's do not count today"
    await guesses(ada, 1)
    assert len(await platform.events(SecondFactorGuessesRefused)) == 2
    await ada.tokens_with_code()


async def test_wrong_codes_of_a_step_up_count_too(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    session = await ada.tokens()
    await ada.enrol(session)
    for each in range(rules.GUESSES_TOLD):
        method: SecondFactor = "recovery_code" if each % 2 else "totp"
        assert (await ada.step_up(session, "000000", method)).status == "failed"
    assert len(await platform.events(SecondFactorGuessesRefused)) == 1
