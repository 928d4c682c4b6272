"""What people prefer and are shown by: changed by themselves, told to the rest, gone with the account."""

import base64

import pytest

from prog_broker.replies import Answer
from prog_contracts.ids import new_id
from prog_contracts.profiles import RemoveAvatar, SetAvatar, UpdateProfile
from prog_contracts.users import UserUpdated
from prog_kit import secrets
from prog_kit.database import Database
from prog_workers.users.queries import profiles as queries
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator, code

PICTURE = b"RIFF\x10\0\0\0WEBPone"
OTHER = b"RIFF\x10\0\0\0WEBPtwo"


async def show(person: Person, picture: bytes, actor: str | None = None) -> Answer:
    sealed = person.platform.seal(base64.b64encode(picture).decode(), secrets.PICTURE)
    command = SetAvatar(user_id=person.user_id, sealed_picture=sealed)
    return await person.platform.request(command, actor=actor or person.user_id)


async def test_preferences_are_kept_told_whole_and_taken_back(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    command = UpdateProfile(user_id=ada.user_id, locale="en-gb", time_zone="Europe/London", theme="dark")
    assert (await platform.request(command, actor=ada.user_id)).status == "succeeded"
    platform.clock.at = platform.clock.now()
    back = UpdateProfile(user_id=ada.user_id, name="Countess", unset=("theme",))
    assert (await platform.request(back, actor=ada.user_id)).status == "succeeded"
    first, second = await platform.events(UserUpdated)
    assert (first.changed, first.locale, first.theme) == (("locale", "time_zone", "theme"), "en-GB", "dark")
    assert (second.changed, second.locale, second.time_zone) == (("name", "theme"), "en-GB", "Europe/London")
    [row] = await platform.fetch("SELECT name, locale, time_zone, theme FROM users.users")
    assert tuple(row) == ("Countess", "en-GB", "Europe/London", None)


async def test_what_is_wrong_changes_nothing(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    command = UpdateProfile(user_id=ada.user_id, name="Other", time_zone="Mars/Olympus")
    answer = await platform.request(command, actor=ada.user_id)
    assert code(answer) == "invalid"
    assert await platform.events(UserUpdated) == []


async def test_a_picture_takes_the_place_of_the_one_before(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    assert (await show(ada, PICTURE)).status == "succeeded"
    assert (await show(ada, OTHER)).status == "succeeded"
    assert (await show(ada, OTHER)).status == "succeeded"
    first, second = await platform.events(UserUpdated)
    assert first.changed == second.changed == ("avatar",), "the third changed nothing"
    assert None is not first.avatar_id != second.avatar_id is not None
    rows = await platform.fetch("SELECT avatar_id, content FROM users.avatars")
    assert [tuple(row) for row in rows] == [(second.avatar_id, OTHER)]
    await platform.request(RemoveAvatar(user_id=ada.user_id), actor=ada.user_id)
    assert [event.avatar_id for event in await platform.events(UserUpdated)][2:] == [None]
    assert await platform.fetch("SELECT FROM users.avatars") == []


async def test_nobody_shows_somebody_else_and_operators_take_pictures_away(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    root = await administrator(platform)
    for actor in (root.user_id, new_id("user")):
        assert code(await show(ada, PICTURE, actor)) == "not_permitted"
    await show(ada, PICTURE)
    remove = RemoveAvatar(user_id=ada.user_id)
    assert code(await platform.request(remove, actor=new_id("user"))) == "not_permitted"
    assert (await platform.request(remove, actor=root.user_id)).status == "succeeded"
    assert await platform.fetch("SELECT FROM users.avatars") == []


@pytest.mark.parametrize("picture", [b"", b"<svg/>", b"RIFF\x10\0\0\0WEBP" + b"x" * 70_000])
async def test_what_the_edge_has_not_drawn_is_not_kept(platform: Harness, ada: Person, picture: bytes) -> None:
    await ada.become_verified()
    assert code(await show(ada, picture)) == "invalid"
    command = SetAvatar(user_id=ada.user_id, sealed_picture=base64.b64encode(PICTURE).decode())
    assert (await platform.request(command, actor=ada.user_id)).status == "failed", "nor what is not sealed"


async def test_the_edge_reads_a_picture_by_person_and_digest_alone(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    await show(ada, PICTURE)
    [event] = await platform.events(UserUpdated)
    assert event.avatar_id is not None
    edge = await Database.connect(platform.url, "prog_edge", max_size=1)
    try:
        async with edge.scope(user_id=ada.user_id) as connection:
            assert await queries.avatar(connection, ada.user_id, event.avatar_id) == PICTURE
            assert await queries.avatar(connection, ada.user_id, "0" * 32) is None
        async with edge.scope(user_id=new_id("user")) as connection:
            assert await queries.avatar(connection, ada.user_id, event.avatar_id) is None
            assert await queries.avatar_ids(connection, [ada.user_id]) == {}
        async with edge.operator() as connection:
            assert await queries.avatar_ids(connection, [ada.user_id]) == {ada.user_id: event.avatar_id}
    finally:
        await edge.close()
