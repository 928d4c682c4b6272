"""What the edge reads of impersonations: whether one goes on, and lists of them."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from prog_kit.database import Database
from prog_workers.users.queries import impersonations
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator
from tests.component.users.test_impersonating import REASON, begun


@dataclass
class Scene:
    """`impersonation_id` is of one that has begun just now."""

    platform: Harness
    ada: Person
    root: Person
    edge: Database
    impersonation_id: str
    session_id: str

    async def goes_on(self, **later: float) -> bool:
        now = self.platform.clock.now() + timedelta(**later)
        async with self.edge.operator() as connection:
            return await impersonations.live_impersonation(connection, self.impersonation_id, now) is not None


@pytest.fixture
async def scene(platform: Harness, ada: Person, postgres: str) -> Scene:
    await ada.become_verified()
    root = await administrator(platform)
    by = await root.tokens()
    given = await begun(root, by, ada)
    edge = await Database.connect(postgres, "prog_edge", max_size=2)
    platform._exits.push_async_callback(edge.close)
    return Scene(platform, ada, root, edge, given.impersonation_id, by.session_id)


async def test_it_goes_on_until_its_limit_to_the_second(scene: Scene) -> None:
    assert await scene.goes_on()
    assert await scene.goes_on(minutes=14, seconds=59)
    assert not await scene.goes_on(minutes=15)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users.users SET platform_role = NULL WHERE user_id = $1",
        "UPDATE users.users SET platform_role = 'support' WHERE user_id = $1",
        "UPDATE users.users SET status = 'disabled' WHERE user_id = $1",
        "UPDATE users.sessions SET ended_at = now(), end_reason = 'revoked' WHERE user_id = $1",
        "UPDATE users.sessions SET idle_until = created_at WHERE user_id = $1",
        "DELETE FROM users.users WHERE user_id = $1",
    ],
)
async def test_it_is_over_once_the_operator_s_session_or_office_is(scene: Scene, change: str) -> None:
    await scene.platform.admin.execute(change, scene.root.user_id)
    assert not await scene.goes_on()


@pytest.mark.parametrize(
    "change", ["status = 'disabled'", "erase_at = now()", "platform_role = 'operator'", "platform_role = 'support'"]
)
async def test_it_is_over_once_the_account_is_disabled_ending_or_of_the_staff(scene: Scene, change: str) -> None:
    await scene.platform.admin.execute(f"UPDATE users.users SET {change} WHERE user_id = $1", scene.ada.user_id)
    assert not await scene.goes_on()


async def test_a_session_of_somebody_else_carries_none(scene: Scene) -> None:
    other = await scene.ada.tokens()
    await scene.platform.admin.execute("UPDATE users.impersonations SET by_session_id = $1", other.session_id)
    assert not await scene.goes_on()


async def test_lists_are_filtered_and_paged(scene: Scene) -> None:
    for _ in range(2):
        await begun(scene.root, await scene.root.tokens(), scene.ada, minutes=1)
    now = scene.platform.clock.now() + timedelta(minutes=2)
    async with scene.edge.operator() as connection:
        first = await impersonations.list_impersonations(connection, now, limit=2)
        rest = await impersonations.list_impersonations(connection, now, limit=2, cursor=first.next_cursor)
        assert len({row.impersonation_id for row in (*first.rows, *rest.rows)}) == 3
        assert rest.next_cursor is None
        active = (await impersonations.list_impersonations(connection, now, active=True)).rows
        over = (await impersonations.list_impersonations(connection, now, active=False)).rows
        assert [row.impersonation_id for row in active] == [scene.impersonation_id]
        assert {row.end(now) for row in over} == {"time_limit"}
        for either in (scene.ada.user_id, scene.root.user_id):
            assert len((await impersonations.list_impersonations(connection, now, concerning=either)).rows) == 3
        found = await impersonations.list_impersonations(connection, now, user_id=scene.root.user_id)
        assert list(found.rows) == []
        assert active[0].operator_email == scene.root.email


async def test_people_see_those_in_their_own_name_alone(scene: Scene) -> None:
    seen = {}
    for person in (scene.ada, scene.root):
        async with scene.edge.scope(user_id=person.user_id) as connection:
            rows = await connection.fetch("SELECT impersonation_id FROM users.impersonations")
            seen[person.user_id] = [row["impersonation_id"] for row in rows]
    assert seen == {scene.ada.user_id: [scene.impersonation_id], scene.root.user_id: []}


async def test_people_take_along_what_was_in_their_name_and_not_in_whose_hands_it_was(scene: Scene) -> None:
    async with scene.edge.scope(user_id=scene.ada.user_id) as connection:
        [own] = await impersonations.own_impersonations(connection, scene.ada.user_id)
        assert list(await impersonations.own_impersonations(connection, scene.root.user_id)) == []
    assert (own.impersonation_id, own.reason) == (scene.impersonation_id, REASON)
    assert scene.root.user_id not in str(own)
