"""Sign in, refresh, sign out."""

from datetime import timedelta

import jwt
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from prog_contracts.accounts import TokenSet
from prog_contracts.ids import new_id
from prog_contracts.users import AuthenticationFailed, EndSession, SessionEnded, UserAuthenticated
from prog_kit import secrets
from prog_kit.database import Database
from prog_workers.users import queries, store
from prog_workers.users.handlers.sessions import access_tokens
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator, code


async def test_the_right_password_opens_a_session(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    assert (tokens.user_id, tokens.expires_in, tokens.platform_role) == (ada.user_id, 900, None)
    [event] = await platform.events(UserAuthenticated)
    assert (event.session_id, event.client_address) == (tokens.session_id, "192.0.2.7")


async def test_the_access_token_is_signed_by_a_published_key(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "issuer", "http://127.0.0.1:8000")
    await ada.become_verified()
    tokens = await ada.tokens()
    edge = await Database.connect(platform.url, "prog_edge")
    async with edge.scope() as connection:
        [key] = await queries.signing_keys(connection)
    await edge.close()
    header = jwt.get_unverified_header(tokens.access_token)
    assert header == {"alg": "EdDSA", "typ": "at+jwt", "kid": key.kid}
    public = jwt.PyJWK.from_dict(key.jwk()).key
    assert isinstance(public, Ed25519PublicKey)
    claims = jwt.decode(
        tokens.access_token, public, algorithms=["EdDSA"], audience="prognetwork", issuer="http://127.0.0.1:8000",
        options={"verify_exp": False, "verify_iat": False},
    )  # fmt: skip
    assert (claims["sub"], claims["sid"]) == (ada.user_id, tokens.session_id)
    assert claims["exp"] - claims["iat"] == 900
    assert claims["iat"] == int(platform.clock.at.timestamp())


async def test_check_04_unknown_wrong_and_disabled_get_one_answer_and_each_is_recorded(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    await Person(platform, email="off@example.com").become_verified()
    await platform.fetch("UPDATE users.users SET status = 'disabled' WHERE email = 'off@example.com'")
    answers = [
        await ada.sign_in(email="nobody@example.com"),
        await ada.sign_in(email="no address at all"),
        await ada.sign_in(password="wrong"),
        await ada.sign_in(password=""),
        await ada.sign_in(password="x" * 5000),
        await ada.sign_in(email="off@example.com"),
    ]
    assert {answer.error for answer in answers} == {answers[0].error}
    assert code(answers[0]) == "invalid_credentials"
    failures = await platform.events(AuthenticationFailed)
    assert [failure.reason for failure in failures] == [
        "unknown_user", "unknown_user", "wrong_password", "wrong_password", "wrong_password", "disabled",
    ]  # fmt: skip
    assert all("@" not in failure.email_digest for failure in failures)


async def test_only_the_right_password_tells_that_the_address_is_unverified(platform: Harness, ada: Person) -> None:
    await ada.sign_up()
    assert code(await ada.sign_in(password="wrong")) == "invalid_credentials"
    assert code(await ada.sign_in()) == "email_unverified"
    assert [failure.reason for failure in await platform.events(AuthenticationFailed)] == [
        "wrong_password",
        "unverified",
    ]
    assert not await platform.fetch("SELECT FROM users.sessions")


async def test_the_same_letters_typed_another_way_are_the_same_password(platform: Harness, ada: Person) -> None:
    composed, decomposed = "mot de passe caf\u00e9", "mot de passe cafe\u0301"
    ada.password = composed
    await ada.become_verified()
    assert (await ada.sign_in(password=decomposed)).status == "succeeded"


@pytest.mark.usefixtures("strong_hashing")
async def test_check_01_a_hash_of_weaker_parameters_is_replaced_at_sign_in(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(ada.password)
    await platform.fetch("UPDATE users.passwords SET hash = $1", weak)
    assert (await ada.sign_in()).status == "succeeded"
    [row] = await platform.fetch("SELECT hash FROM users.passwords")
    assert "m=19456,t=2,p=1" in row["hash"]
    assert (await ada.sign_in()).status == "succeeded"


async def test_check_01_a_worker_finds_out_which_strengths_are_stored(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    grace = Person(platform, "grace@example.com")
    await grace.become_verified()
    weak = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(ada.password)
    await platform.fetch("UPDATE users.passwords SET hash = $1 WHERE user_id = $2", weak, ada.user_id)
    async with platform.processors["users"].database.scope() as connection:
        found = await store.hashes_of_each_strength(connection)
    [other] = {row["hash"] for row in await platform.fetch("SELECT hash FROM users.passwords")} - {weak}
    assert sorted(found) == sorted([weak, other])


async def test_a_refresh_token_is_exchanged_for_new_ones(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    first = await ada.tokens()
    platform.clock.at += timedelta(minutes=20)
    second = TokenSet.model_validate((await ada.refresh(first)).result)
    assert second.session_id == first.session_id
    assert second.refresh_token != first.refresh_token
    platform.clock.at += timedelta(minutes=20)
    assert (await ada.refresh(second)).status == "succeeded"


async def test_check_15_a_token_used_again_ends_the_session_for_both_holders(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    stolen = await ada.tokens()
    second = TokenSet.model_validate((await ada.refresh(stolen)).result)
    platform.clock.at += timedelta(seconds=11)
    assert code(await ada.refresh(stolen)) == "session_ended"
    assert code(await ada.refresh(second)) == "session_ended"
    assert [event.reason for event in await platform.events(SessionEnded)] == ["refresh_reused"]


async def test_check_15_two_tabs_that_refresh_at_once_share_one_successor(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    first = await ada.tokens()
    one = TokenSet.model_validate((await ada.refresh(first)).result)
    platform.clock.at += timedelta(seconds=9)
    other = TokenSet.model_validate((await ada.refresh(first)).result)
    assert one.refresh_token == other.refresh_token
    third = TokenSet.model_validate((await ada.refresh(one)).result)
    late = TokenSet.model_validate((await ada.refresh(first)).result)
    assert late.refresh_token == third.refresh_token, "the newest, although the late tab knows the oldest"
    assert len(await platform.fetch("SELECT FROM users.refresh_tokens")) == 3


async def test_a_made_up_token_does_not_end_somebodys_session(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    forged = tokens.model_copy(update={"refresh_token": tokens.refresh_token[:-4] + "AAAA"})
    assert code(await ada.refresh(forged)) == "session_ended"
    other = await ada.tokens()
    assert code(await ada.refresh(tokens, session_id=other.session_id)) == "session_ended"
    assert (await ada.refresh(tokens)).status == "succeeded"


@pytest.mark.parametrize(("idle_days", "refreshes"), [(14, 0), (10, 8)])
async def test_check_16_a_session_ends_when_idle_and_in_any_case_after_ninety_days(
    platform: Harness, ada: Person, idle_days: int, refreshes: int
) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    for _ in range(refreshes):
        platform.clock.at += timedelta(days=idle_days)
        tokens = TokenSet.model_validate((await ada.refresh(tokens)).result)
    platform.clock.at += timedelta(days=idle_days)
    assert code(await ada.refresh(tokens)) == "session_ended"
    assert [event.reason for event in await platform.events(SessionEnded)] == ["expired"]


async def test_check_17_a_disabled_person_gets_no_new_tokens(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    await platform.fetch("UPDATE users.users SET status = 'disabled'")
    assert code(await ada.refresh(tokens)) == "session_ended"
    assert [event.reason for event in await platform.events(SessionEnded)] == ["revoked"]


async def test_signing_out_ends_the_session_once(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    command = EndSession(session_id=tokens.session_id)
    first = await platform.request(command, actor=ada.user_id)
    second = await platform.request(command, actor=ada.user_id)
    assert first.result == second.result
    assert len(await platform.events(SessionEnded)) == 1
    assert code(await ada.refresh(tokens)) == "session_ended"


async def test_a_session_is_ended_by_its_holder_or_an_operator_alone(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    mallory = Person(platform, email="mallory@example.com", name="Mallory")
    await mallory.become_verified()
    tokens, others = await ada.tokens(), await mallory.tokens()
    command = EndSession(session_id=tokens.session_id, reason="revoked")
    assert code(await platform.request(command)) == "session_not_found"
    assert code(await platform.request(command, actor=mallory.user_id)) == "session_not_found"
    wrong = command.model_copy(update={"sealed_refresh_token": platform.seal(others.refresh_token, secrets.TOKEN)})
    assert code(await platform.request(wrong, actor=mallory.user_id)) == "session_not_found"
    right = command.model_copy(update={"sealed_refresh_token": platform.seal(tokens.refresh_token, secrets.TOKEN)})
    assert (await platform.request(right)).status == "succeeded"
    root = await administrator(platform)
    assert (await platform.request(EndSession(session_id=others.session_id), actor=root.user_id)).status == "succeeded"
    assert (
        code(await platform.request(EndSession(session_id=new_id("session")), actor=root.user_id))
        == "session_not_found"
    )
