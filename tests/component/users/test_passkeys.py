"""Passkeys: made, used for signing in, and taken away. `check_N` in a name is the number of the security review's check
that it holds."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest

from prog_contracts.accounts import PasskeyAdded, TokenSet
from prog_contracts.ids import decode_id, new_id
from prog_contracts.passkeys import PasskeyChanged, PasskeyCopyRefused, PasskeyRefused
from prog_contracts.second_factors import ResetSecondFactor, SecondFactorChanged, SecondFactorFailed, StepUpDenied
from prog_contracts.users import UserAuthenticated
from prog_kit.passkeys import CHALLENGE_LIFETIME, bound_to_sign_in
from prog_workers.users import rules
from tests.authenticator import ATTESTED, BACKED_UP, BACKUP_ELIGIBLE, USER_PRESENT, USER_VERIFIED, Authenticator
from tests.component.harness import Harness
from tests.component.users.passkey_people import PARTY, PasskeyPerson
from tests.component.users.people import code


@pytest.fixture
async def ada(platform: Harness, monkeypatch: pytest.MonkeyPatch) -> PasskeyPerson:
    monkeypatch.setattr("prog_workers.users.handlers.passkeys.parties", [PARTY])
    person = PasskeyPerson(platform)
    await person.become_verified()
    return person


async def grace(platform: Harness) -> PasskeyPerson:
    person = PasskeyPerson(platform, email="grace@example.com", name="Grace Hopper")
    await person.become_verified()
    return person


async def kept(platform: Harness) -> list[dict[str, Any]]:
    return [dict(row) for row in await platform.fetch("SELECT * FROM users.passkeys ORDER BY created_at")]


async def refusals(platform: Harness) -> list[str]:
    return [event.reason for event in await platform.events(PasskeyRefused)]


# -- making one --------------------------------------------------------------------------------------------------------


async def test_a_passkey_is_kept_with_its_flags_and_comes_with_recovery_codes(
    platform: Harness, ada: PasskeyPerson
) -> None:
    added = await ada.has_passkey()
    assert (added.name, added.backed_up, len(added.recovery_codes)) == ("Phone", True, 10)
    [row] = await kept(platform)
    [credential] = ada.device.credentials
    assert (row["user_id"], row["credential_id"], row["sign_count"]) == (ada.user_id, credential.credential_id, 0)
    assert (row["backup_eligible"], row["backed_up"], row["transports"]) == (True, True, ["hybrid", "internal"])
    [changed] = await platform.events(PasskeyChanged)
    assert (changed.change, changed.passkey_id, changed.passkey_name) == ("added", added.passkey_id, "Phone")
    assert changed.email == ada.email, "a mail goes there"


async def test_the_user_handle_tells_nothing_of_the_person(ada: PasskeyPerson) -> None:
    offer = ada.to_make(await ada.tokens())
    await ada.add_passkey(await ada.tokens(), offer)
    handle = ada.device.credentials[0].user_handle
    assert handle == decode_id(ada.user_id, "user").bytes
    assert ada.email.encode() not in handle


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"origin": "http://localhost:8001"}, "another origin"),
        ({"origin": "https://localhost:8000"}, "another scheme"),
        ({"type": "webauthn.get"}, "the other ceremony"),
        ({"challenge": "AAAA"}, "another challenge"),
        ({"rp_id": "example.com"}, "another domain"),
        ({"flags": USER_PRESENT | ATTESTED}, "nobody unlocked it"),
        ({"flags": USER_VERIFIED | ATTESTED}, "nobody was there"),
        ({"flags": USER_PRESENT | USER_VERIFIED | ATTESTED | BACKED_UP}, "kept elsewhere but not able to"),
        ({"flags": USER_PRESENT | USER_VERIFIED}, "no key in it"),
        ({"format": "tpm"}, "an attestation that nobody asked for"),
        ({"client": {"crossOrigin": True}}, "a page inside another site's"),
        ({"client": {"topOrigin": "https://evil.example"}}, "a page inside another site's"),
        ({"credential_id": b"short"}, "an id that can be guessed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_not_right_is_not_kept(platform: Harness, ada: PasskeyPerson, wrong: Any, why: str) -> None:
    answer = await ada.add_passkey(await ada.tokens(), **wrong)
    assert code(answer) == "invalid", why
    assert answer.error is not None
    assert [problem.code for problem in answer.error.fields] == ["passkey_not_usable"], why
    assert await kept(platform) == []
    assert (await ada.sign_in()).result, "and sign-in is as before"


@pytest.mark.parametrize("credential", ["", "null", "[]", "{}", '"x"', '{"response": 1}', "{" * 500, "x" * 40_000])
async def test_what_is_no_credential_is_refused(platform: Harness, ada: PasskeyPerson, credential: str) -> None:
    session = await ada.tokens()
    answer = await ada.keep(session, ada.to_make(session), credential)
    assert code(answer) == "invalid"
    assert await kept(platform) == []


async def test_a_challenge_to_make_one_is_the_session_s_alone(platform: Harness, ada: PasskeyPerson) -> None:
    mine, other = await ada.tokens(), await ada.tokens()
    assert code(await ada.add_passkey(mine, ada.to_make(other))) == "passkey_challenge_over"
    used = ada.to_make(mine)
    assert (await ada.add_passkey(mine, used)).status == "succeeded"
    fresh = await ada.tokens_with_passkey()
    assert code(await ada.add_passkey(fresh, used)) == "passkey_challenge_over"
    assert len(await kept(platform)) == 1


async def test_a_credential_is_of_one_account_alone(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    other = await grace(platform)
    same = ada.device.credentials[0].credential_id
    assert code(await other.add_passkey(await other.tokens(), credential_id=same)) == "passkey_known"
    assert [row["user_id"] for row in await kept(platform)] == [ada.user_id]


async def test_an_account_has_so_many_at_the_most(
    platform: Harness, ada: PasskeyPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PASSKEYS_MAX", 2)
    await ada.has_passkey()
    session = await ada.tokens_with_passkey()
    assert (await ada.add_passkey(session)).status == "succeeded"
    assert code(await ada.add_passkey(session)) == "too_many_passkeys"


async def test_check_16_an_old_session_makes_no_passkey(platform: Harness, ada: PasskeyPerson) -> None:
    session = await ada.tokens()
    platform.clock.at += rules.STEP_UP_LIFETIME
    assert code(await ada.add_passkey(session)) == "fresh_sign_in_required"
    [denied] = await platform.events(StepUpDenied)
    assert denied.command == "prognetwork.users.add_passkey"


# -- signing in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edwards", [False, True], ids=["ES256", "EdDSA"])
async def test_a_passkey_is_a_whole_sign_in(platform: Harness, ada: PasskeyPerson, edwards: bool) -> None:
    ada.device.edwards = edwards
    await ada.has_passkey()
    tokens = await ada.tokens_with_passkey()
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    assert (claims["sub"], claims["amr"]) == (ada.user_id, ["swk", "user", "mfa"])
    opened = (await platform.events(UserAuthenticated))[-1]
    assert (opened.session_id, opened.method, opened.second_factor) == (tokens.session_id, "passkey", None)
    assert (await kept(platform))[0]["last_used_at"] == platform.clock.now()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"origin": "http://localhost:8001"}, "another origin"),
        ({"type": "webauthn.create"}, "the other ceremony"),
        ({"challenge": "AAAA"}, "another challenge"),
        ({"rp_id": "example.com"}, "another domain"),
        ({"flags": USER_PRESENT | BACKUP_ELIGIBLE | BACKED_UP}, "nobody unlocked it"),
        ({"flags": USER_VERIFIED | BACKUP_ELIGIBLE | BACKED_UP}, "nobody was there"),
        ({"flags": USER_PRESENT | USER_VERIFIED}, "it may not leave its device any more"),
        ({"client": {"crossOrigin": True}}, "a page inside another site's"),
        ({"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"}, "a signature that is none"),
        ({"signature": b"x"}, "what is no signature"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_not_right_signs_nobody_in(platform: Harness, ada: PasskeyPerson, wrong: Any, why: str) -> None:
    await ada.has_passkey()
    before = len(await platform.events(UserAuthenticated))
    assert code(await ada.sign_in_with_passkey(**wrong)) == "invalid_passkey", why
    assert await refusals(platform) == ["wrong_answer"], why
    assert len(await platform.events(UserAuthenticated)) == before


async def test_check_04_one_answer_whatever_is_wrong_with_it(platform: Harness, ada: PasskeyPerson) -> None:
    """A person nobody knows, a passkey nobody knows, somebody else's, a bad signature, a disabled account."""
    await ada.has_passkey()
    other = await grace(platform)
    nobody = decode_id(new_id("user"), "user").bytes
    lonely = PasskeyPerson(platform, device=Authenticator())
    lonely.device.make(ada.to_make(await other.tokens()).public_key)
    answers = [
        await ada.sign_in_with_passkey(handle=nobody),
        await lonely.sign_in_with_passkey(handle=decode_id(ada.user_id, "user").bytes),
        await ada.sign_in_with_passkey(handle=decode_id(other.user_id, "user").bytes),
        await ada.sign_in_with_passkey(signature=b"x"),
    ]
    await platform.admin.execute("UPDATE users.users SET status = 'disabled' WHERE user_id = $1", ada.user_id)
    answers.append(await ada.sign_in_with_passkey())
    assert len({str(answer.error) for answer in answers}) == 1, answers
    assert await refusals(platform) == ["unknown_passkey"] * 3 + ["wrong_answer", "disabled"]


async def test_check_07_a_challenge_is_answered_once(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    offer = ada.to_sign()
    signed = ada.device.sign(offer.public_key)
    answers = await asyncio.gather(*(ada.answer(offer, signed) for _ in range(20)))
    assert [answer.status for answer in answers].count("succeeded") == 1
    assert {code(answer) for answer in answers if answer.status == "failed"} == {"passkey_challenge_over"}
    wrong = ada.to_sign()
    assert code(await ada.sign_in_with_passkey(wrong, signature=b"x")) == "invalid_passkey"
    assert code(await ada.sign_in_with_passkey(wrong)) == "passkey_challenge_over", "a wrong answer spends it, too"


async def test_check_07_a_challenge_is_good_for_five_minutes(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    offer, later = ada.to_sign(), ada.to_sign()
    platform.clock.at += CHALLENGE_LIFETIME - timedelta(seconds=1)
    assert (await ada.sign_in_with_passkey(offer)).status == "succeeded"
    platform.clock.at += timedelta(seconds=1)
    assert code(await ada.sign_in_with_passkey(later)) == "passkey_challenge_over"
    assert await refusals(platform) == ["challenge_over"]


async def test_check_14_a_challenge_is_good_for_its_own_purpose_and_browser(
    platform: Harness, ada: PasskeyPerson
) -> None:
    await ada.has_passkey()
    session, pending = await ada.tokens_with_passkey(), await ada.pending()
    bound = bound_to_sign_in(pending.mfa_token)
    for offer in (ada.to_make(session), ada.to_sign("second_step", bound), ada.to_sign("step_up", session.session_id)):
        signed = ada.device.sign(offer.public_key)
        assert code(await ada.answer(offer, signed)) == "passkey_challenge_over"
    assert code(await ada.sign_in_with_passkey(ada.to_sign(bound_to="one browser"))) == "passkey_challenge_over"
    again = await ada.pending()
    assert code(await ada.complete_with_passkey(again, ada.to_sign("second_step", bound))) == "passkey_challenge_over"
    assert code(await ada.complete_with_passkey(again, ada.to_sign())) == "passkey_challenge_over"
    assert code(await ada.step_up_with_passkey(session, ada.to_sign())) == "passkey_challenge_over"
    other = await ada.tokens_with_passkey()
    foreign = ada.to_sign("step_up", other.session_id)
    assert code(await ada.step_up_with_passkey(session, foreign)) == "passkey_challenge_over"


async def test_a_made_up_token_is_no_challenge(ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    offer = ada.to_sign()
    for token in ("", "prog_passkey_" + "A" * 200, offer.token[:-2], offer.token.replace("passkey", "magic")):
        changed = type(offer)(token, offer.public_key)
        assert code(await ada.sign_in_with_passkey(changed)) == "passkey_challenge_over"


# -- the counter -------------------------------------------------------------------------------------------------------


async def test_a_passkey_that_counts_less_than_before_was_copied(platform: Harness, ada: PasskeyPerson) -> None:
    ada.device.counts, ada.device.synced = True, False
    await ada.has_passkey()
    await ada.tokens_with_passkey()
    await ada.tokens_with_passkey()
    for count in (2, 1, 0):
        assert code(await ada.sign_in_with_passkey(count=count)) == "invalid_passkey"
    assert await refusals(platform) == ["copied_passkey"] * 3
    told = await platform.events(PasskeyCopyRefused)
    assert [(event.email, event.passkey_name) for event in told] == [(ada.email, "Phone")] * 3
    assert (await kept(platform))[0]["sign_count"] == 2
    await ada.tokens_with_passkey()
    assert (await kept(platform))[0]["sign_count"] == 6, "its own count went on"


async def test_nobody_raises_that_alarm_without_the_passkey(platform: Harness, ada: PasskeyPerson) -> None:
    ada.device.counts = True
    await ada.has_passkey()
    await ada.tokens_with_passkey()
    assert code(await ada.sign_in_with_passkey(count=0, signature=b"x")) == "invalid_passkey"
    assert await refusals(platform) == ["wrong_answer"]
    assert await platform.events(PasskeyCopyRefused) == []


async def test_of_two_answers_with_one_count_one_signs_in(platform: Harness, ada: PasskeyPerson) -> None:
    ada.device.counts = True
    await ada.has_passkey()
    offers = [ada.to_sign() for _ in range(10)]
    signed = [ada.device.sign(offer.public_key, count=7) for offer in offers]
    answers = await asyncio.gather(*(ada.answer(*pair) for pair in zip(offers, signed, strict=True)))
    assert [answer.status for answer in answers].count("succeeded") == 1


async def test_whether_it_is_kept_elsewhere_may_change(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    ada.device.credentials[0].flags = BACKUP_ELIGIBLE
    await ada.tokens_with_passkey()
    [row] = await kept(platform)
    assert (row["backup_eligible"], row["backed_up"]) == (True, False)


# -- as a second factor ------------------------------------------------------------------------------------------------


async def test_check_09_a_password_alone_opens_nothing_where_there_is_a_passkey(
    platform: Harness, ada: PasskeyPerson
) -> None:
    added = await ada.has_passkey()
    pending = await ada.pending()
    assert pending.methods == ("passkey", "recovery_code")
    answer = await ada.complete_with_passkey(pending)
    tokens = TokenSet.model_validate(answer.result)
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    assert claims["amr"] == ["pwd", "swk", "user", "mfa"]
    opened = (await platform.events(UserAuthenticated))[-1]
    assert (opened.method, opened.second_factor) == ("password", "passkey")
    assert code(await ada.complete_with_passkey(pending)) == "sign_in_over", "once"
    lost = await ada.complete(await ada.pending(), added.recovery_codes[0], "recovery_code")
    assert lost.status == "succeeded", "the codes stand in for it"


async def test_check_05_wrong_passkeys_end_the_sign_in_that_waits(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    other = await grace(platform)
    await other.has_passkey()
    pending = await ada.pending()
    bound = bound_to_sign_in(pending.mfa_token)
    for _ in range(rules.MAX_WRONG_CODES):
        theirs = other.proof(ada.to_sign("second_step", bound))
        assert code(await ada.complete(pending, theirs, "passkey")) == "invalid_passkey"
    assert code(await ada.complete_with_passkey(pending)) == "sign_in_over"
    reasons = [event.reason for event in await platform.events(SecondFactorFailed)]
    assert reasons == ["unknown_passkey"] * 5 + ["sign_in_over"]


@pytest.mark.parametrize("answer", ["", "123456", "{}", '{"token": "x"}', '{"token": "x", "credential": "{}"}'])
async def test_what_is_no_answer_completes_nothing(ada: PasskeyPerson, answer: str) -> None:
    await ada.has_passkey()
    assert code(await ada.complete(await ada.pending(), answer, "passkey")) == "passkey_challenge_over"


async def test_check_09_a_passkey_signs_in_whoever_has_an_app_too(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.enrol()
    await ada.next_step()
    session = await ada.tokens_with_code()
    added = await ada.add_passkey(session)
    assert PasskeyAdded.model_validate(added.result).recovery_codes == (), "those of the app stay"
    await ada.tokens_with_passkey()
    assert (await ada.pending()).methods == ("passkey", "totp", "recovery_code")


# -- stepping up, and changes ------------------------------------------------------------------------------------------


async def test_check_16_a_passkey_gives_a_fresh_session_in_place_of_the_one_in_use(
    platform: Harness, ada: PasskeyPerson
) -> None:
    await ada.has_passkey()
    session = await ada.tokens_with_passkey()
    platform.clock.at += rules.STEP_UP_LIFETIME
    assert code(await ada.new_codes(session)) == "fresh_sign_in_required"
    answer = await ada.step_up_with_passkey(session)
    fresh = TokenSet.model_validate(answer.result)
    assert fresh.session_id != session.session_id
    claims = jwt.decode(fresh.access_token, options={"verify_signature": False})
    assert claims["amr"] == ["swk", "user", "mfa"]
    assert code(await ada.new_codes(session)) == "session_not_found"
    assert (await ada.new_codes(fresh)).status == "succeeded"


async def test_check_09_the_password_steps_nobody_up_who_has_a_passkey(ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    assert code(await ada.step_up(await ada.tokens_with_passkey(), ada.password, "password")) == "mfa_required"


async def test_a_first_session_proves_the_passkey_before_it_changes_more(ada: PasskeyPerson) -> None:
    session = await ada.tokens()
    added = await ada.add_passkey(session)
    passkey_id = PasskeyAdded.model_validate(added.result).passkey_id
    assert code(await ada.add_passkey(session)) == "fresh_sign_in_required"
    assert code(await ada.remove_passkey(session, passkey_id)) == "fresh_sign_in_required"


async def test_with_the_last_passkey_the_codes_go_and_the_password_is_enough(
    platform: Harness, ada: PasskeyPerson
) -> None:
    added = await ada.has_passkey()
    session = await ada.tokens_with_passkey()
    assert (await ada.remove_passkey(session, added.passkey_id)).status == "succeeded"
    assert code(await ada.sign_in_with_passkey()) == "invalid_passkey"
    assert await platform.fetch("SELECT FROM users.recovery_codes") == []
    await ada.tokens()
    changes = [event.change for event in await platform.events(PasskeyChanged)]
    assert changes == ["added", "removed"]
    assert code(await ada.remove_passkey(await ada.tokens(), added.passkey_id)) == "passkey_not_found"


async def test_a_passkey_goes_and_the_app_stays_and_the_other_way_round(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.enrol()
    await ada.next_step()
    added = await ada.add_passkey(await ada.tokens_with_code())
    assert (await ada.remove_factor(await ada.tokens_with_passkey())).status == "succeeded"
    [_, changed] = await platform.events(SecondFactorChanged)
    assert changed.change == "app_removed"
    assert (await ada.pending()).methods == ("passkey", "recovery_code")
    assert code(await ada.remove_factor(await ada.tokens_with_passkey())) == "no_second_factor", "there is no app"
    passkey_id = PasskeyAdded.model_validate(added.result).passkey_id
    await ada.enrol(await ada.tokens_with_passkey())
    assert (await ada.remove_passkey(await ada.tokens_with_passkey(), passkey_id)).status == "succeeded"
    assert (await ada.pending()).methods == ("totp", "recovery_code")


async def test_nobody_touches_the_passkeys_of_somebody_else(platform: Harness, ada: PasskeyPerson) -> None:
    added = await ada.has_passkey()
    other = await grace(platform)
    theirs = await other.tokens()
    assert code(await ada.rename_passkey(added.passkey_id, "Mine", actor=other.user_id)) == "not_permitted"
    assert code(await other.rename_passkey(added.passkey_id, "Mine")) == "passkey_not_found"
    assert code(await ada.remove_passkey(theirs, added.passkey_id, actor=other.user_id)) == "not_permitted"
    assert code(await other.remove_passkey(theirs, added.passkey_id)) == "passkey_not_found"
    assert [row["name"] for row in await kept(platform)] == ["Phone"]


async def test_a_passkey_has_a_name_that_can_be_seen(platform: Harness, ada: PasskeyPerson) -> None:
    added = await ada.has_passkey()
    assert (await ada.rename_passkey(added.passkey_id, "  Work   laptop ")).status == "succeeded"
    assert [row["name"] for row in await kept(platform)] == ["Work laptop"]
    for name in ("", " ", "x" * 61, "\u200b", "a\u202eb"):
        assert code(await ada.rename_passkey(added.passkey_id, name)) == "invalid"


async def test_an_operator_takes_passkeys_away_with_all_else(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    command = ResetSecondFactor(user_id=ada.user_id, reason="Lost the phone.")
    answer = await platform.request(command, actor="prog admin")
    assert answer.status == "succeeded", answer
    assert await kept(platform) == []
    assert code(await ada.sign_in_with_passkey()) == "invalid_passkey"
    await ada.tokens()


async def test_no_answer_and_no_challenge_is_written_down(platform: Harness, ada: PasskeyPerson) -> None:
    await ada.has_passkey()
    offer = ada.to_sign()
    signed = ada.device.sign(offer.public_key)
    await ada.answer(offer, signed)
    tables = ("bus.event_log", "bus.inbox", "users.answered_challenges")
    written = str([[dict(row) for row in await platform.fetch(f"SELECT * FROM {table}")] for table in tables])
    assert ada.user_id in written
    for secret in (offer.token, offer.public_key["challenge"], signed["response"]["signature"], json.dumps(signed)):
        assert secret not in written
