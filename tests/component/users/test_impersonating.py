"""An operator acts in somebody's name: with a reason, for minutes, and for nothing that is the person's alone."""

from datetime import timedelta
from typing import Any

import jwt
import pytest

from prog_broker.replies import Answer
from prog_contracts.accounts import ImpersonationToken, TokenSet
from prog_contracts.actors import actor_of_impersonation, actor_of_key
from prog_contracts.email import SendMail
from prog_contracts.erasure import DeleteUser
from prog_contracts.exports import ExportUser
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.impersonation import (
    BeginImpersonation,
    EndImpersonation,
    ExpireImpersonation,
    ImpersonationBegan,
    ImpersonationEnded,
)
from prog_contracts.messages import Command
from prog_contracts.passkeys import RemovePasskey
from prog_contracts.profiles import UpdateProfile
from prog_contracts.second_factors import RemoveSecondFactor, ResetSecondFactor, StartTotpEnrolment, StepUpDenied
from prog_contracts.users import EndSession, PurgeCredentials, RefreshSession, RevokeSessions
from prog_kit import secrets
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator, code

REASON = "Ticket 4711: the invoice page is empty"


@pytest.fixture
async def root(platform: Harness, ada: Person) -> Person:
    """The operator; ada has an account."""
    await ada.become_verified()
    return await administrator(platform)


async def begin(
    operator: Person,
    by: TokenSet,
    person: Person,
    *,
    reason: str = REASON,
    actor: str | None = None,
    impersonation_id: str | None = None,
    **more: Any,
) -> Answer:
    command = BeginImpersonation(
        impersonation_id=impersonation_id or new_id("impersonation"),
        user_id=person.user_id,
        by_session_id=by.session_id,
        reason=reason,
        **more,
    )
    return await operator.platform.request(command, actor=actor or operator.user_id)


async def begun(operator: Person, by: TokenSet, person: Person, **more: Any) -> ImpersonationToken:
    answer = await begin(operator, by, person, **more)
    assert answer.status == "succeeded", answer
    return ImpersonationToken.model_validate(answer.result)


async def ends(platform: Harness) -> list[str]:
    return [ended.end for ended in await platform.events(ImpersonationEnded)]


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


# -- beginning ---------------------------------------------------------------------------------------------------------


async def test_the_token_names_both_and_lasts_as_long_as_was_asked(
    platform: Harness, ada: Person, root: Person
) -> None:
    given = await begun(root, await root.tokens(), ada, minutes=30)
    claims = claims_of(given.access_token)
    assert (claims["sub"], claims["act"], claims["sid"]) == (ada.user_id, {"sub": root.user_id}, given.impersonation_id)
    assert claims["exp"] - claims["iat"] == 30 * 60
    assert not claims.keys() & {"platform_role", "amr", "auth_time"}
    [told] = await platform.events(ImpersonationBegan)
    assert (told.user_id, told.operator_id, told.reason) == (ada.user_id, root.user_id, REASON)
    assert told.expires_at - told.began_at == timedelta(minutes=30)


async def test_it_lasts_a_quarter_of_an_hour_unless_asked_otherwise_and_never_more_than_one(
    ada: Person, root: Person
) -> None:
    given = await begun(root, await root.tokens(), ada)
    assert given.expires_at - given.began_at == timedelta(minutes=15)
    for minutes in (0, -1, 61, 10_000):
        with pytest.raises(ValueError, match="minutes"):
            await begin(root, await root.tokens(), ada, minutes=minutes)


@pytest.mark.parametrize("reason", ["", "   \n", "x" * 501])
async def test_a_reason_is_needed_that_somebody_can_read(ada: Person, root: Person, reason: str) -> None:
    answer = await begin(root, await root.tokens(), ada, reason=reason)
    assert code(answer) == "invalid"
    assert answer.error is not None
    assert [field.field for field in answer.error.fields] == ["reason"]


async def test_a_mail_tells_the_person_when_until_when_and_why(platform: Harness, ada: Person, root: Person) -> None:
    given = await begun(root, await root.tokens(), ada)
    [mail] = [mail for mail in await platform.events(SendMail) if mail.template == "impersonated"]
    assert (mail.to, mail.data["reason"]) == (ada.email, REASON)
    assert mail.data["expires_at"].startswith(given.expires_at.strftime("%Y-%m-%dT%H:%M:%S"))


async def test_only_operators_may_who_have_signed_in_just_now(platform: Harness, ada: Person, root: Person) -> None:
    eve = Person(platform, email="eve@example.com")
    await eve.become_verified()
    assert code(await begin(eve, await eve.tokens(), ada)) == "not_permitted"
    await platform.admin.execute("UPDATE users.users SET platform_role = 'support' WHERE user_id = $1", eve.user_id)
    assert code(await begin(eve, await eve.tokens(), ada)) == "not_permitted"
    tokens = await root.tokens()
    platform.clock.at += timedelta(minutes=11)
    assert code(await begin(root, tokens, ada)) == "fresh_sign_in_required"
    assert [denied.command for denied in await platform.events(StepUpDenied)] == [BeginImpersonation.TYPE]
    assert code(await begin(root, await eve.tokens(), ada)) == "session_not_found", "in a session of somebody else"
    assert await platform.fetch("SELECT FROM users.impersonations") == []


async def test_neither_a_key_nor_a_process_nor_an_impersonator_begins_one(
    platform: Harness, ada: Person, root: Person
) -> None:
    tokens = await root.tokens()
    for actor in (
        actor_of_key(root.user_id, new_id("apikey")),
        actor_of_key(root.user_id, new_id("client")),
        actor_of_impersonation(root.user_id, ada.user_id),
        actor_of_impersonation(ada.user_id, root.user_id),
        "prog-scheduler",
    ):
        assert code(await begin(root, tokens, ada, actor=actor)) == "not_permitted", actor
    assert await platform.events(ImpersonationBegan) == []


@pytest.mark.parametrize("office", ["operator", "support"])
async def test_nobody_acts_in_the_name_of_the_staff(platform: Harness, ada: Person, root: Person, office: str) -> None:
    await platform.admin.execute("UPDATE users.users SET platform_role = $2 WHERE user_id = $1", ada.user_id, office)
    assert code(await begin(root, await root.tokens(), ada)) == "staff_not_impersonated"
    assert code(await begin(root, await root.tokens(), root)) == "not_permitted", "nor in one's own"


async def test_nobody_acts_in_the_name_of_an_account_that_is_disabled_ending_or_gone(
    platform: Harness, ada: Person, root: Person
) -> None:
    tokens = await ada.tokens()
    deleted = DeleteUser(user_id=ada.user_id, by_session_id=tokens.session_id)
    assert (await platform.request(deleted, actor=ada.user_id)).status == "succeeded"
    assert code(await begin(root, await root.tokens(), ada)) == "account_not_impersonated"
    await platform.admin.execute(
        "UPDATE users.users SET erase_at = NULL, status = 'disabled' WHERE email = $1", ada.email
    )
    assert code(await begin(root, await root.tokens(), ada)) == "account_not_impersonated"
    assert code(await begin(root, await root.tokens(), Person(platform))) == "user_not_found"


async def test_an_id_is_used_once(ada: Person, root: Person) -> None:
    tokens = await root.tokens()
    given = await begun(root, tokens, ada)
    assert code(await begin(root, tokens, ada, impersonation_id=given.impersonation_id)) == "impersonation_exists"


# -- what is the person's alone ----------------------------------------------------------------------------------------


async def test_nothing_of_the_account_is_done_in_its_person_s_name(
    platform: Harness, ada: Person, root: Person
) -> None:
    session = await ada.tokens()
    actor = actor_of_impersonation(ada.user_id, root.user_id)
    asked: list[Command] = [
        StartTotpEnrolment(user_id=ada.user_id, by_session_id=session.session_id),
        RemoveSecondFactor(user_id=ada.user_id, by_session_id=session.session_id),
        ResetSecondFactor(user_id=ada.user_id, by_session_id=session.session_id, reason=REASON),
        RemovePasskey(user_id=ada.user_id, by_session_id=session.session_id, passkey_id=new_id("passkey")),
        RevokeSessions(user_id=ada.user_id, by_session_id=session.session_id),
        DeleteUser(user_id=ada.user_id, by_session_id=session.session_id, reason=REASON),
        ExportUser(user_id=ada.user_id, by_session_id=session.session_id),
        UpdateProfile(user_id=ada.user_id, name="Mallory"),
    ]
    for command in asked:
        assert code(await platform.request(command, actor=actor)) == "not_permitted", command.TYPE
    assert code(await ada.change_password(session, "a wholly different sentence", actor=actor)) == "not_permitted"
    assert code(await ada.step_up(session, ada.password, "password", actor=actor)) == "not_permitted"
    ending = EndSession(session_id=session.session_id)
    assert code(await platform.request(ending, actor=actor)) == "session_not_found"


async def test_it_has_nothing_to_refresh_with(platform: Harness, ada: Person, root: Person) -> None:
    given = await begun(root, await root.tokens(), ada)
    assert not [name for name in ImpersonationToken.model_fields if "refresh" in name]
    for text in (given.access_token, f"prog_refresh_{given.impersonation_id.partition('_')[2]}_{'x' * 43}"):
        sealed = platform.seal(text, secrets.TOKEN)
        session = f"session_{given.impersonation_id.partition('_')[2]}"
        answer = await platform.request(RefreshSession(session_id=session, sealed_refresh_token=sealed))
        assert code(answer) == "session_ended"


# -- ending ------------------------------------------------------------------------------------------------------------


async def end(platform: Harness, impersonation_id: str, actor: str | None) -> Answer:
    return await platform.request(EndImpersonation(impersonation_id=impersonation_id), actor=actor)


async def test_an_operator_ends_it_once(platform: Harness, ada: Person, root: Person) -> None:
    given = await begun(root, await root.tokens(), ada)
    for actor in (ada.user_id, actor_of_impersonation(ada.user_id, root.user_id), None):
        assert code(await end(platform, given.impersonation_id, actor)) == "not_permitted"
    for _ in range(2):
        assert (await end(platform, given.impersonation_id, root.user_id)).status == "succeeded"
    assert await ends(platform) == ["by_hand"]
    assert code(await end(platform, new_id("impersonation"), root.user_id)) == "impersonation_not_found"


async def test_it_ends_at_its_limit_and_is_told_to_have_ended_then(
    platform: Harness, ada: Person, root: Person
) -> None:
    given = await begun(root, await root.tokens(), ada, minutes=5)
    early = ExpireImpersonation(impersonation_id=given.impersonation_id)
    await platform.request(early, actor=root.user_id)
    assert await ends(platform) == []
    await platform.fire_timers(PLATFORM_TENANT_ID, platform.clock.now() + timedelta(hours=1))
    assert await ends(platform) == ["time_limit"]
    [row] = await platform.fetch("SELECT ended_at - began_at AS lasted FROM users.impersonations")
    assert row["lasted"] == timedelta(minutes=5)


async def test_it_ends_with_the_operator_s_session_and_with_no_other(
    platform: Harness, ada: Person, root: Person
) -> None:
    one, other = await root.tokens(), await root.tokens()
    await begun(root, one, ada)
    await platform.request(EndSession(session_id=other.session_id), actor=root.user_id)
    assert await ends(platform) == []
    await platform.request(EndSession(session_id=one.session_id), actor=root.user_id)
    assert await ends(platform) == ["session_ended"]


async def test_it_ends_when_the_operator_steps_up_or_signs_out_everywhere_else(
    platform: Harness, ada: Person, root: Person
) -> None:
    one, other = await root.tokens(), await root.tokens()
    await begun(root, one, ada)
    await begun(root, other, ada)
    assert (await root.step_up(one, root.password, "password")).status == "succeeded"
    assert await ends(platform) == ["session_ended"]
    keep = await root.tokens()
    revoked = RevokeSessions(user_id=root.user_id, by_session_id=keep.session_id)
    assert (await platform.request(revoked, actor=root.user_id)).status == "succeeded"
    assert await ends(platform) == ["session_ended"] * 2


@pytest.mark.parametrize("how", ["password", "second_factor", "deletion"])
async def test_it_ends_when_the_account_changes(platform: Harness, ada: Person, root: Person, how: str) -> None:
    session = await ada.tokens()
    if how == "second_factor":
        await ada.enrol(session)
    by = await root.tokens()
    await begun(root, by, ada)
    if how == "password":
        answer = await ada.change_password(session, "a wholly different sentence", ada.password)
    elif how == "second_factor":
        reset = ResetSecondFactor(user_id=ada.user_id, reason=REASON, by_session_id=by.session_id)
        answer = await platform.request(reset, actor=root.user_id)
    else:
        deleted = DeleteUser(user_id=ada.user_id, by_session_id=by.session_id, reason=REASON)
        answer = await platform.request(deleted, actor=root.user_id)
    assert answer.status == "succeeded", answer
    assert await ends(platform) == ["account_changed"]


async def test_it_is_listed_for_a_year_and_goes_with_the_account(platform: Harness, ada: Person, root: Person) -> None:
    await begun(root, await root.tokens(), ada)
    platform.clock.at += timedelta(days=364)
    await platform.request(PurgeCredentials(), actor="prog-scheduler")
    assert len(await platform.fetch("SELECT FROM users.impersonations")) == 1
    platform.clock.at += timedelta(days=2)
    await platform.request(PurgeCredentials(), actor="prog-scheduler")
    assert await platform.fetch("SELECT FROM users.impersonations") == []
    await begun(root, await root.tokens(), ada)
    await platform.admin.execute("DELETE FROM users.users WHERE user_id = $1", ada.user_id)
    assert await platform.fetch("SELECT FROM users.impersonations") == []
