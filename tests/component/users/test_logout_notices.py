"""Clients are told that a person is signed in no more, whatever ended it, on a real database and real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import pytest
from prometheus_client import REGISTRY

from prog_broker.replies import Answer
from prog_contracts.accounts import TokenSet
from prog_contracts.actors import actor_of_impersonation
from prog_contracts.credentials import public_client_id
from prog_contracts.erasure import DeleteUser
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.oauth import (
    LogoutNoticeFailed,
    LogoutNotified,
    RemoveClient,
    ResendLogoutNotices,
    RevokeConsent,
    UpdateClient,
)
from prog_contracts.tenants import TenantDeletionRequested, TenantSuspended
from prog_contracts.users import EndExpiredSessions, EndSession, RevokeSessions, SessionEnded
from prog_kit.database import Database
from prog_kit.outbound import Outbound
from prog_workers.users import logout_courier
from prog_workers.users.handlers import expiring, telling_again
from prog_workers.users.handlers.authorizing import id_tokens
from prog_workers.users.logout_courier import HELD, WHOSE, LogoutCourier
from prog_workers.users.queries.logouts import unheard_sign_outs
from prog_workers.users.rules.logout import DELAYS, EVENT, KEPT, TOKEN_LIFETIME
from prog_workers.users.store import logouts
from tests.component.harness import Harness
from tests.component.users.people import Person
from tests.component.users.test_authorizing import TENANT, Shop
from tests.lasting import kept
from tests.logout_endpoint import LogoutEndpoint

LONG_SECONDS = 60.0


@dataclass
class Scene:
    """A person who is signed in to a shop, and the shop's endpoint."""

    platform: Harness
    shop: Shop
    endpoint: LogoutEndpoint
    database: Database

    @property
    def person(self) -> Person:
        return self.shop.person

    @property
    def session(self) -> TokenSet:
        return self.shop.session

    async def courier(self, *, private: bool = True, clock: Any = None) -> LogoutCourier:
        async def wake() -> None:
            pass

        outbound = Outbound(private=private, plain=True, whose=WHOSE, answer_seconds=logout_courier.ANSWER_SECONDS)
        return LogoutCourier(
            self.database, self.platform.sealer, id_tokens, outbound, clock or self.platform.clock, wake
        )

    async def deliver(self, *, private: bool = True) -> int:
        courier = await self.courier(private=private)
        try:
            async with asyncio.timeout(LONG_SECONDS):
                return await courier.deliver_due()
        finally:
            await courier.outbound.close()

    async def sign_out(self, session: TokenSet | None = None, *, successor: str | None = None) -> None:
        command = EndSession(session_id=(session or self.session).session_id, successor_session_id=successor)
        answer = await self.platform.request(command, actor=self.person.user_id)
        assert answer.status == "succeeded", answer

    @property
    def told(self) -> list[dict[str, Any]]:
        """The claims of the tokens that the endpoint has got."""
        return [jwt.decode(token, options={"verify_signature": False}) for token in self.endpoint.tokens]

    async def waiting(self) -> int:
        return len(await self.platform.fetch("SELECT FROM users.logout_notices WHERE failed_at IS NULL"))

    async def unheard(self) -> int:
        return len(await self.platform.fetch("SELECT FROM users.logout_notices WHERE failed_at IS NOT NULL"))

    async def staff(self, office: str = "operator") -> str:
        somebody = Person(self.platform, f"{new_id('x')}@example.com", "Olivia")
        await somebody.become_verified()
        change = "UPDATE users.users SET platform_role = $2 WHERE user_id = $1"
        await self.platform.admin.execute(change, somebody.user_id, office)
        return somebody.user_id

    async def resend(self, actor: str | None = None) -> Answer:
        """Somebody has sent again what was not heard of; by default an operator."""
        return await self.platform.request(ResendLogoutNotices(), actor=actor or await self.staff())


@pytest.fixture
async def scene(platform: Harness, ada: Person) -> AsyncIterator[Scene]:
    await ada.become_verified()
    shop = Shop(ada, await ada.tokens())
    async with kept().database(platform.url, "prog_users") as database, LogoutEndpoint() as endpoint:
        assert (await shop.register(backchannel_logout_uri=endpoint.url)).status == "succeeded"
        await shop.tokens()
        yield Scene(platform, shop, endpoint, database)


async def test_a_sign_out_is_told_with_a_token_that_names_session_and_person(scene: Scene) -> None:
    await scene.sign_out()
    assert await scene.deliver() == 1
    [token] = scene.endpoint.tokens
    assert jwt.get_unverified_header(token)["typ"] == "logout+jwt"
    [claims] = scene.told
    assert claims.keys() == {"iss", "sub", "aud", "iat", "exp", "jti", "sid", "events"}
    assert claims["iss"] == id_tokens.issuer
    assert claims["aud"] == public_client_id(TENANT, scene.shop.id)
    assert (claims["sub"], claims["sid"]) == (scene.person.user_id, scene.session.session_id)
    assert claims["events"] == {EVENT: {}}
    assert claims["exp"] - claims["iat"] == TOKEN_LIFETIME.total_seconds()
    [head] = scene.endpoint.heads
    assert head.startswith("POST /backchannel-logout HTTP/1.1")
    assert "content-type: application/x-www-form-urlencoded" in head.lower()
    [told] = await scene.platform.events(LogoutNotified, tenant_id=TENANT)
    assert (told.client_id, told.user_id, told.session_id, told.attempts) == (
        scene.shop.id, scene.person.user_id, scene.session.session_id, 1,
    )  # fmt: skip
    assert (await scene.deliver(), await scene.waiting()) == (0, 0)


async def revoke_others(scene: Scene) -> None:
    other = await scene.person.tokens()
    command = RevokeSessions(user_id=scene.person.user_id, by_session_id=other.session_id)
    assert (await scene.platform.request(command, actor=scene.person.user_id)).status == "succeeded"


async def reset_password(scene: Scene) -> None:
    await scene.person.forget()
    token = (await scene.person.mailed_tokens())[-1]
    assert (await scene.person.reset(token, "another correct horse")).status == "succeeded"


async def delete_account(scene: Scene) -> None:
    other = await scene.person.tokens()
    command = DeleteUser(user_id=scene.person.user_id, by_session_id=other.session_id)
    assert (await scene.platform.request(command, actor=scene.person.user_id)).status == "succeeded"


async def reuse_refresh_token(scene: Scene) -> None:
    await scene.person.refresh(scene.session)
    scene.platform.clock.at += timedelta(minutes=1)
    assert (await scene.person.refresh(scene.session)).status == "failed"


async def take_consent_back(scene: Scene) -> None:
    command = RevokeConsent(client_id=scene.shop.id, user_id=scene.person.user_id)
    assert (await scene.shop.ask(command, actor=scene.person.user_id)).status == "succeeded"


async def run_out(scene: Scene) -> None:
    scene.platform.clock.at += timedelta(days=14)
    await end_expired(scene)


async def suspend_the_client_s_tenant(scene: Scene) -> None:
    event = TenantSuspended(tenant_id=TENANT, name="Shop Ltd", reason="Unpaid")
    await scene.platform.publish(event, tenant_id=TENANT)


async def begin_to_delete_the_client_s_tenant(scene: Scene) -> None:
    event = TenantDeletionRequested(tenant_id=TENANT, name="Shop Ltd", purge_at=scene.platform.clock.at)
    await scene.platform.publish(event, tenant_id=TENANT)


async def end_expired(scene: Scene, actor: str = "prog-scheduler") -> None:
    answer = await scene.platform.request(EndExpiredSessions(), actor=actor)
    assert answer.status == ("succeeded" if actor == "prog-scheduler" else "failed"), answer
    await scene.platform.settle()


ENDS = (
    revoke_others,
    reset_password,
    delete_account,
    reuse_refresh_token,
    take_consent_back,
    run_out,
    suspend_the_client_s_tenant,
    begin_to_delete_the_client_s_tenant,
)


@pytest.mark.parametrize("end", ENDS)
async def test_whatever_ends_it_is_told(scene: Scene, end: Callable[[Scene], Awaitable[None]]) -> None:
    await end(scene)
    assert await scene.deliver() == 1
    assert [claims["sid"] for claims in scene.told] == [scene.session.session_id]
    await scene.sign_out()
    assert await scene.waiting() == 0, "and once is enough"


async def test_sessions_that_ran_out_are_ended_once_and_those_that_go_on_are_not(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "BATCH", 2)
    others = [await scene.person.tokens() for _ in range(4)]
    scene.platform.clock.at += timedelta(days=13)
    used = TokenSet.model_validate((await scene.person.refresh(others[0])).result)
    await end_expired(scene)
    assert await scene.platform.events(SessionEnded) == [], "not before their time"
    scene.platform.clock.at += timedelta(days=1)
    await end_expired(scene, actor=scene.person.user_id)
    assert await scene.platform.events(SessionEnded) == [], "the scheduler alone says so"
    await end_expired(scene)
    ended = {(event.session_id, event.reason) for event in await scene.platform.events(SessionEnded)}
    assert ended == {(each.session_id, "expired") for each in (scene.session, *others[1:])}
    await end_expired(scene)
    assert len(await scene.platform.events(SessionEnded)) == 4
    [row] = await scene.platform.fetch(
        "SELECT ended_at - created_at AS lasted, end_reason FROM users.sessions WHERE session_id = $1",
        scene.session.session_id,
    )
    assert (row["lasted"], row["end_reason"]) == (timedelta(days=14), "expired"), "it was over when it ran out"
    assert (await scene.person.refresh(used)).status == "succeeded"
    assert await scene.deliver() == 1


async def test_nobody_signs_in_to_a_client_in_somebody_s_name(scene: Scene) -> None:
    """So no client has to hear of the end of an impersonation."""
    acting = actor_of_impersonation(scene.person.user_id, new_id("user"))
    assert (await scene.shop.authorize(actor=acting)).status == "failed"


async def test_what_came_of_each_notice_is_counted(scene: Scene) -> None:
    def counted(outcome: str) -> float:
        return REGISTRY.get_sample_value("prog_logout_notices_total", {"outcome": outcome}) or 0.0

    before = {outcome: counted(outcome) for outcome in ("told", "again", "refused", "given_up")}
    for status, times in ((503, 1), (204, 1)):
        scene.endpoint.status = status
        if status == 503:
            await scene.sign_out()
        assert await scene.deliver() == times
        scene.platform.clock.at += DELAYS[0]
    assert {outcome: counted(outcome) - count for outcome, count in before.items()} == {
        "told": 1, "again": 1, "refused": 0, "given_up": 0,
    }  # fmt: skip


async def test_who_steps_up_stays_signed_in_at_clients_until_that_session_ends(scene: Scene) -> None:
    answer = await scene.person.step_up(scene.session, scene.person.password, "password")
    assert answer.status == "succeeded", answer
    newer = TokenSet.model_validate(answer.result)
    assert await scene.waiting() == 0
    await scene.sign_out(newer)
    await scene.deliver()
    assert [claims["sid"] for claims in scene.told] == [scene.session.session_id], "as the client knows it"


async def test_who_signs_in_anew_stays_so_and_another_person_s_session_is_no_successor(scene: Scene) -> None:
    newer = await scene.person.tokens()
    await scene.sign_out(successor=newer.session_id)
    assert await scene.waiting() == 0
    grace = Person(scene.platform, "grace@example.com", "Grace Hopper")
    await grace.become_verified()
    await scene.sign_out(newer, successor=(await grace.tokens()).session_id)
    assert await scene.waiting() == 1


async def test_who_has_not_answered_is_told_again_with_the_same_id_and_in_the_end_no_more(scene: Scene) -> None:
    scene.endpoint.status = 503
    await scene.sign_out()
    for delay in DELAYS:
        assert await scene.deliver() == 1
        scene.platform.clock.at += delay - timedelta(seconds=1)
        assert await scene.deliver() == 0, "not before its time"
        scene.platform.clock.at += timedelta(seconds=1)
    assert await scene.deliver() == 1
    assert len({claims["jti"] for claims in scene.told}) == 1
    assert len({claims["iat"] for claims in scene.told}) == len(scene.told) == len(DELAYS) + 1
    [failed] = await scene.platform.events(LogoutNoticeFailed, tenant_id=TENANT)
    assert (failed.reason, failed.status, failed.attempts) == ("given_up", 503, len(DELAYS) + 1)
    assert await scene.waiting() == 0


async def test_a_client_that_comes_back_hears_of_it(scene: Scene) -> None:
    scene.endpoint.status = 500
    await scene.sign_out()
    await scene.deliver()
    scene.endpoint.status = 204
    scene.platform.clock.at += DELAYS[0]
    await scene.deliver()
    [told] = await scene.platform.events(LogoutNotified)
    assert (told.attempts, await scene.waiting()) == (2, 0)


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_client_that_says_no_is_not_asked_again(scene: Scene, status: int) -> None:
    scene.endpoint.status = status
    await scene.sign_out()
    await scene.deliver()
    [failed] = await scene.platform.events(LogoutNoticeFailed, tenant_id=TENANT)
    assert (failed.reason, failed.status, await scene.waiting()) == ("refused", status, 0)


async def test_a_client_that_never_answers_holds_up_nobody(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logout_courier, "ANSWER_SECONDS", 0.2)
    scene.endpoint.status = 0
    async with LogoutEndpoint() as quick:
        other = Shop(scene.person, scene.session)
        await other.register(backchannel_logout_uri=quick.url)
        await other.tokens()
        await scene.sign_out()
        assert await scene.deliver() == 2
        assert len(quick.tokens) == 1
    assert [event.client_id for event in await scene.platform.events(LogoutNotified)] == [other.id]
    assert await scene.waiting() == 1, "which comes again"


async def test_of_one_client_few_are_under_way_at_once(scene: Scene) -> None:
    for _ in range(logout_courier.OF_A_CLIENT + 1):
        scene.shop.session = await scene.person.tokens()
        await scene.shop.tokens()
    await reset_password(scene)
    assert await scene.waiting() == logout_courier.OF_A_CLIENT + 2
    assert [await scene.deliver(), await scene.deliver()] == [logout_courier.OF_A_CLIENT, 2]


async def test_two_couriers_tell_a_client_once(scene: Scene) -> None:
    for _ in range(3):
        scene.shop.session = await scene.person.tokens()
        await scene.shop.tokens()
    await reset_password(scene)
    taken = await asyncio.gather(scene.deliver(), scene.deliver())
    assert sum(taken) == 4
    assert len({claims["jti"] for claims in scene.told}) == len(scene.told) == 4


async def test_what_a_courier_has_taken_that_died_comes_again(scene: Scene) -> None:
    await scene.sign_out()
    now = scene.platform.clock.now()
    async with scene.database.scope() as connection:
        [taken] = await logouts.take_due(connection, now, now + HELD, of_a_client=4, most=4)
    assert await scene.deliver() == 0
    scene.platform.clock.at += HELD
    assert await scene.deliver() == 1
    assert [claims["jti"] for claims in scene.told] == [taken.notice_id]


async def test_an_address_that_cannot_even_be_asked_holds_up_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    await scene.sign_out()
    courier = await scene.courier()
    monkeypatch.setattr(courier.outbound, "send", breaks)
    assert await courier.deliver_due() == 1
    await courier.outbound.close()
    scene.platform.clock.at += DELAYS[0]
    assert (await scene.deliver(), len(scene.told)) == (1, 1), "it came again like any that was not answered"


async def test_a_sign_out_that_races_a_sign_in_to_a_client_is_told_or_lets_nobody_in(scene: Scene) -> None:
    for _ in range(5):
        scene.shop.session = session = await scene.person.tokens()
        code = await scene.shop.code()
        exchanged, _ended = await asyncio.gather(scene.shop.exchange(code), scene.sign_out(session))
        rows = await scene.platform.fetch("SELECT FROM users.logout_notices WHERE sid = $1", session.session_id)
        assert (exchanged.status, len(rows)) in {("succeeded", 1), ("failed", 0)}
        assert await scene.platform.fetch("SELECT FROM users.oauth_sign_ins WHERE sid = $1", session.session_id) == []


async def test_no_address_inside_is_asked_in_production(scene: Scene) -> None:
    await scene.sign_out()
    assert await scene.deliver(private=False) == 1
    assert (scene.endpoint.heads, await scene.waiting()) == ([], 1)


async def test_clients_that_do_not_want_to_hear_or_are_removed_hear_nothing(scene: Scene) -> None:
    change = UpdateClient(client_id=scene.shop.id, tenant_id=TENANT, backchannel_logout_uri="")
    changed = await scene.shop.ask(change, actor=scene.person.user_id)
    assert (changed.status, changed.result and changed.result["backchannel_logout_uri"]) == ("succeeded", None)
    await scene.sign_out()
    await scene.deliver()
    assert (scene.endpoint.heads, await scene.waiting()) == ([], 0)
    scene.shop.session = await scene.person.tokens()
    await scene.shop.tokens()
    await scene.shop.ask(RemoveClient(client_id=scene.shop.id, tenant_id=TENANT), actor=scene.person.user_id)
    await scene.sign_out(scene.shop.session)
    assert await scene.waiting() == 0
    assert await scene.platform.events(LogoutNotified) == []


async def test_it_is_told_under_what_caused_it(scene: Scene) -> None:
    """The story of a sign-out goes on to the clients that heard of it."""
    await scene.sign_out()
    await scene.deliver()
    ended, told = [
        row
        for row in await scene.platform.fetch("SELECT * FROM bus.event_log ORDER BY position")
        if row["type"].endswith(("session_ended", "logout_notified"))
    ]
    assert (ended["tenant_id"], told["tenant_id"]) == (PLATFORM_TENANT_ID, TENANT)
    assert ended["correlation_id"] == told["correlation_id"]
    assert ended["causation_id"] == told["causation_id"]


@pytest.mark.parametrize("status", [400, 503])
async def test_what_a_client_did_not_hear_of_is_sent_again_when_an_operator_says_so(scene: Scene, status: int) -> None:
    scene.endpoint.status = status
    await scene.sign_out()
    while await scene.waiting():
        await scene.deliver()
        scene.platform.clock.at += max(DELAYS)
    first = [claims["jti"] for claims in scene.told]
    assert (await scene.unheard(), await scene.deliver()) == (1, 0), "it waits for somebody to say so"
    operator = await scene.staff()
    scene.endpoint.status = 204
    answers = await asyncio.gather(scene.resend(operator), scene.resend(operator))
    assert sorted(answer.result["resent"] for answer in answers if answer.result) == [0, 1], "two who press at once"
    assert await scene.deliver() == 1
    assert {claims["jti"] for claims in scene.told} == set(first), "a client knows one that it has had"
    assert len(scene.told) == len(first) + 1
    [told] = await scene.platform.events(LogoutNotified, tenant_id=TENANT)
    assert told.attempts == 1
    again = await scene.resend(operator)
    assert again.result == {"resent": 0, "more": False}
    assert (await scene.deliver(), await scene.unheard(), await scene.waiting()) == (0, 0, 0), "it has heard"
    [row] = await scene.platform.fetch("SELECT * FROM bus.event_log WHERE type LIKE '%.logout_notices_resent'")
    assert (row["actor"], row["tenant_id"]) == (operator, PLATFORM_TENANT_ID), "for the trail, once"


async def test_what_is_sent_again_to_a_client_that_is_still_away_comes_again_and_is_kept_again(scene: Scene) -> None:
    scene.endpoint.status = 503
    await scene.sign_out()
    operator = await scene.staff()
    for _ in range(2):
        for _ in (*DELAYS, None):
            assert await scene.deliver() == 1
            scene.platform.clock.at += max(DELAYS)
        assert (await scene.unheard(), await scene.waiting()) == (1, 0)
        await scene.resend(operator)
    assert len(await scene.platform.events(LogoutNoticeFailed, tenant_id=TENANT)) == 2


async def test_a_batch_is_sent_again_the_oldest_first_and_who_asked_is_told_of_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling_again, "BATCH", 2)
    scene.endpoint.status = 400
    sessions = [scene.session]
    for _ in range(2):
        scene.shop.session = await scene.person.tokens()
        await scene.shop.tokens()
        sessions.append(scene.shop.session)
    for session in sessions:
        await scene.sign_out(session)
        await scene.deliver()
        scene.platform.clock.at += timedelta(minutes=1)
    scene.endpoint.status = 204
    operator = await scene.staff()
    assert (await scene.resend(operator)).result == {"resent": 2, "more": True}
    await scene.deliver()
    assert {claims["sid"] for claims in scene.told[3:]} == {each.session_id for each in sessions[:2]}
    assert (await scene.resend(operator)).result == {"resent": 1, "more": False}


async def test_what_nobody_has_sent_again_for_a_week_is_dropped(scene: Scene) -> None:
    scene.endpoint.status = 400
    await scene.sign_out()
    await scene.deliver()
    scene.platform.clock.at += KEPT - timedelta(seconds=1)
    await end_expired(scene)
    assert await scene.unheard() == 1
    scene.platform.clock.at += timedelta(seconds=1)
    assert await scene.deliver() == 0, "it is due for nothing else"
    await end_expired(scene)
    assert await scene.unheard() == 0


@pytest.mark.parametrize("who", ["person", "support", "acting", "process"])
async def test_operators_alone_have_clients_told_again(scene: Scene, who: str) -> None:
    scene.endpoint.status = 400
    await scene.sign_out()
    await scene.deliver()
    actors = {
        "person": scene.person.user_id,
        "support": await scene.staff("support"),
        "acting": actor_of_impersonation(scene.person.user_id, await scene.staff()),
        "process": "prog-scheduler",
    }
    answer = await scene.resend(actors[who])
    assert (answer.error and answer.error.code, await scene.unheard()) == ("not_permitted", 1)


async def test_the_overview_counts_what_can_be_sent_again(scene: Scene) -> None:
    edge = await Database.connect(scene.platform.url, "prog_edge")

    async def counted() -> tuple[int, int]:
        async with edge.operator() as connection:
            found = await unheard_sign_outs(connection)
        return found.count, found.tenants

    scene.endpoint.status = 400
    await scene.sign_out()
    assert await counted() == (0, 0), "it is on its way"
    await scene.deliver()
    assert await counted() == (1, 1)
    await scene.resend()
    assert await counted() == (0, 0)
    await edge.close()
