"""PROG_SECRET_KEYS are rotated: nobody notices, or (a key is dropped at once) people sign in again and can."""

from datetime import timedelta

import jwt
import pytest

from prog_contracts.accounts import TokenSet
from prog_contracts.token_keys import RotateSigningKey, SignedKind, SigningKeyRotated
from prog_kit.database import Database
from prog_kit.secrets import Sealer
from prog_workers.users import queries
from prog_workers.users.handlers import sessions
from prog_workers.users.signing import AccessTokens
from tests.component.harness import SECRET_KEYS, Harness
from tests.component.users.people import Person, code

NEW = ("fedcba9876543210" * 4,)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "access_tokens", AccessTokens())


async def restart(platform: Harness, keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker takes over, with these keys."""
    platform.sealer = Sealer(keys)
    worker = platform.processors["users"]
    worker.sealer = platform.sealer
    monkeypatch.setattr(sessions, "access_tokens", AccessTokens())
    async with worker.database.scope() as connection:
        await sessions.access_tokens.prepare(connection, platform.sealer)


async def published(platform: Harness) -> list[str]:
    edge = await Database.connect(platform.url, "prog_edge")
    async with edge.scope() as connection:
        keys = await queries.signing_keys(connection)
    await edge.close()
    return [key.kid for key in keys]


async def test_after_a_rotation_in_order_the_same_key_signs_and_sessions_go_on(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    [kid] = await published(platform)
    for keys in (SECRET_KEYS + NEW, NEW + SECRET_KEYS, NEW):
        await restart(platform, keys, monkeypatch)
        platform.clock.at += timedelta(minutes=20)
        tokens = TokenSet.model_validate((await ada.refresh(tokens)).result)
    assert await published(platform) == [kid]
    assert (await ada.sign_in()).status == "succeeded"


async def test_dropping_the_only_key_at_once_ends_sessions_and_nothing_else(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    [leaked] = await published(platform)
    await restart(platform, NEW, monkeypatch)
    [kid] = await published(platform)
    assert kid != leaked, "who had the old key may know what signs"
    assert code(await ada.refresh(tokens)) == "session_ended"
    again = await ada.tokens()
    assert (await ada.refresh(again)).status == "succeeded"


async def test_a_worker_that_cannot_open_the_key_signs_with_its_own_and_neither_stops_the_other(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.become_verified()
    await ada.tokens()
    database = platform.processors["users"].database
    one, other = (AccessTokens(), Sealer(SECRET_KEYS)), (AccessTokens(), Sealer(NEW))
    async with database.scope() as connection:
        kids = [(await tokens.ensure_key(connection, sealer))[0] for tokens, sealer in (one, other, one, other)]
    assert kids[0] != kids[1]
    assert kids[:2] == kids[2:], "no key is made for each sign-in"
    assert set(await published(platform)) == set(kids)


async def test_a_link_mailed_before_the_rotation_still_verifies(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.sign_up()
    [token] = await ada.mailed_tokens()
    await restart(platform, NEW + SECRET_KEYS, monkeypatch)
    assert (await ada.open_link(token)).status == "succeeded"
    assert code(await ada.open_link(token)) == "already_verified"


async def test_a_link_mailed_during_the_rotation_verifies_after_the_old_key_was_dropped(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await restart(platform, NEW + SECRET_KEYS, monkeypatch)
    await ada.sign_up()
    [token] = await ada.mailed_tokens()
    await restart(platform, NEW, monkeypatch)
    assert (await ada.open_link(token)).status == "succeeded"


async def test_check_15_two_tabs_that_refresh_around_the_rotation_share_one_successor(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.become_verified()
    first = await ada.tokens()
    one = TokenSet.model_validate((await ada.refresh(first)).result)
    await restart(platform, NEW + SECRET_KEYS, monkeypatch)
    other = TokenSet.model_validate((await ada.refresh(first)).result)
    assert one.refresh_token == other.refresh_token
    assert (await ada.refresh(other)).status == "succeeded"


def rotation(tokens: SignedKind = "access", reason: str = "Once a year.", **more: bool) -> RotateSigningKey:
    return RotateSigningKey(tokens=tokens, reason=reason, **more)


def signed_by(tokens: TokenSet) -> str:
    return str(jwt.get_unverified_header(tokens.access_token)["kid"])


async def test_a_rotated_key_signs_no_more_and_stays_published_as_long_as_its_tokens_live(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    old = signed_by(tokens)
    assert await published(platform) == [old]
    assert (await platform.request(rotation(), actor="prog keys")).status == "succeeded"
    [event] = await platform.events(SigningKeyRotated)
    assert (event.retired, event.withdrawn, event.reason) == ((old,), False, "Once a year.")
    again = TokenSet.model_validate((await ada.refresh(tokens)).result)
    assert signed_by(again) == event.kid != old
    assert await published(platform) == [event.kid, old]
    async with platform.processors["users"].database.scope() as connection:
        await connection.execute("UPDATE users.signing_keys SET retired_at = retired_at - interval '61 minutes'")
    assert await published(platform) == [event.kid]


async def test_a_withdrawn_key_is_good_for_nobody_and_neither_are_those_before_it(
    platform: Harness, ada: Person
) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    await platform.request(rotation(), actor="prog keys")
    assert (await platform.request(rotation(withdraw=True), actor="prog keys")).status == "succeeded"
    event = (await platform.events(SigningKeyRotated))[-1]
    assert len(event.retired) == 2
    assert await published(platform) == [event.kid]
    again = TokenSet.model_validate((await ada.refresh(tokens)).result)
    assert signed_by(again) == event.kid, "sessions outlive it: their tokens are renewed"


async def test_keys_of_one_kind_of_token_are_left_alone_by_the_rotation_of_the_other(platform: Harness) -> None:
    for kind in ("access", "id"):
        await platform.request(rotation(kind), actor="prog keys")
    access, of_id = await platform.events(SigningKeyRotated)
    assert sorted(await published(platform)) == sorted([access.kid, of_id.kid])
    await platform.request(rotation("id"), actor="prog keys")
    assert (await platform.events(SigningKeyRotated))[-1].retired == (of_id.kid,)


@pytest.mark.parametrize(("actor", "reason"), [("ada", "Once a year."), (None, "Once a year."), ("prog keys", " ")])
async def test_no_person_rotates_keys_and_nobody_without_a_reason(
    platform: Harness, ada: Person, actor: str | None, reason: str
) -> None:
    await ada.become_verified()
    answer = await platform.request(rotation(reason=reason), actor=ada.user_id if actor == "ada" else actor)
    assert answer.status == "failed"
    assert await platform.events(SigningKeyRotated) == []
