"""A person's account is deleted: every domain forgets who they were, and keeps what it says that it keeps."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator

import pytest

from prog_broker.replies import Answer
from prog_contracts.api_keys import CreateApiKey
from prog_contracts.email import CaptureLead, SendMail
from prog_contracts.erasure import (
    DeleteUser,
    ForgetPerson,
    PersonForgotten,
    PersonReleased,
    UserDeletionStopped,
    UserLeaving,
)
from prog_contracts.events import NewEvent, PublishEvents
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.payments import CreateSubscription
from prog_contracts.profiles import SetAvatar, UpdateProfile
from prog_contracts.users import UserDeleted
from prog_kit import secrets
from prog_kit.database import Database
from prog_workers.email.delivery import Delivery
from prog_workers.email.handlers import email, open_office
from prog_workers.email.render import Renderer
from prog_workers.events.forgetting import rows
from prog_workers.events.handlers import events
from prog_workers.payments.app import domain as payments
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.handlers.domain import use_gateway
from prog_workers.tenants.handlers import tenants
from prog_workers.users import rules
from prog_workers.users.handlers import users
from tests.component.email.conftest import SENDER
from tests.component.email.providers import ScriptedProvider
from tests.component.events.trail import trail_of
from tests.component.harness import Harness
from tests.component.payments.tenant import START, STARTER
from tests.component.tenants.company import Company
from tests.component.tenants.provider import Provider
from tests.component.users.people import Person, administrator

ADDRESS, NAME, NAME_BEFORE = "quirina@vanish.example", "Quirina Vanish", "Quirina Beforehand"
PICTURE = b"RIFF\x10\0\0\0WEBPquirina"
AVATAR = hashlib.sha256(PICTURE).hexdigest()[:32]
SAID_OF_THEM = ("q.vanish.7", "qvanish@elsewhere.example", "Quirinette")
"""How an identity provider knows them."""
KEPT = {"payments.invoices"}
"""Where address and name stay, for the law says so."""

TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'm')
"""


@pytest.fixture
async def platform(lone_postgres: str) -> AsyncIterator[Harness]:
    async with Harness(lone_postgres, users, tenants, payments, email, events, at=START) as platform:
        database = await Database.connect(lone_postgres, "prog_payments", max_size=4)
        use_gateway(Sandbox(database))
        open_office(Delivery(ScriptedProvider(), Renderer("https://prog.example"), SENDER))
        yield platform
        await database.close()


@pytest.fixture
def quirina(platform: Harness) -> Person:
    return Person(platform, email=ADDRESS, name=NAME_BEFORE)


async def named(platform: Harness, *texts: str) -> set[str]:
    """Every table of the database that has one of these texts in some row, as text or as bytes."""
    tables = [row["name"] for row in await platform.fetch(TABLES)]
    assert len(tables) > 60, "all tables are looked at"
    needles = [needle for text in texts for needle in (text.lower(), text.encode().hex())]
    found = set()
    for table in tables:
        query = (
            f"SELECT EXISTS (SELECT FROM {table} AS t, unnest($1::text[]) AS u (needle)"
            " WHERE position(needle IN lower(t::text)) > 0)"
        )
        if (await platform.fetch(query, needles))[0]["exists"]:
            found.add(table)
    return found


async def ask(person: Person) -> Answer:
    tokens = await (person.tokens_with_code() if person.secret else person.tokens())
    command = DeleteUser(user_id=person.user_id, by_session_id=tokens.session_id)
    return await person.platform.request(command, actor=person.user_id)


async def erase(person: Person) -> None:
    """Deletes the account, and lets all the time pass that it takes."""
    assert (await ask(person)).status == "succeeded"
    await let_it_end(person.platform)


async def let_it_end(platform: Harness) -> None:
    await platform.settle()
    end = platform.clock.now() + rules.DELETION_GRACE
    await platform.fire_timers(PLATFORM_TENANT_ID, end)
    await platform.fire_timers(PLATFORM_TENANT_ID, end + rules.FORGOTTEN_AFTER)
    platform.clock.at = end + rules.FORGOTTEN_AFTER


async def busy_life(platform: Harness, quirina: Person) -> tuple[Company, Company]:
    """Leaves something of the person in every table that can have something of one. The company that the person has
    founded, and one of somebody else's that they joined."""
    await platform.request(CaptureLead(lead_id=new_id("lead"), email=ADDRESS, name=NAME, message=f"I am {NAME}"))
    await quirina.become_verified()
    await platform.settle()
    own = Company(platform, name="Own", owner_id=quirina.user_id, owner_email=ADDRESS, owner_name=NAME_BEFORE)
    await own.open()
    await own.invite("early@example.com", "viewer")
    renamed = await platform.request(UpdateProfile(user_id=quirina.user_id, name=NAME), actor=quirina.user_id)
    assert renamed.status == "succeeded"
    wishes = UpdateProfile(user_id=quirina.user_id, locale="de-DE", time_zone="Europe/Berlin")
    assert (await platform.request(wishes, actor=quirina.user_id)).status == "succeeded"
    picture = platform.seal(base64.b64encode(PICTURE).decode(), secrets.PICTURE)
    shown = SetAvatar(user_id=quirina.user_id, sealed_picture=picture)
    assert (await platform.request(shown, actor=quirina.user_id)).status == "succeeded"
    await platform.settle()
    await own.take_in("olga@example.com", "owner")
    await own.invite("guest@example.com", "viewer")
    other = Company(platform, name="Other")
    await other.open()
    await other.invite(ADDRESS, "member")
    assert (await other.accept(await other.mailed_token(), ADDRESS, quirina.user_id)).status == "succeeded"
    provider = Provider(other)
    entry = await provider.add(SAID_OF_THEM[0], displayName=SAID_OF_THEM[2], emails=[{"value": ADDRESS}])
    moved = {"op": "replace", "path": "emails", "value": [{"value": SAID_OF_THEM[1], "primary": True}]}
    assert (await provider.patch(entry, moved)).status == "succeeded"
    third = Company(platform, name="Third")
    await third.open()
    await third.invite(ADDRESS, "admin")
    key = CreateApiKey(
        tenant_id=own.tenant_id, key_id=new_id("apikey"), key_digest="0" * 64, hint="abcd", name="Import",
        scopes=("event.read",),
    )  # fmt: skip
    assert (await own.send(key)).status == "succeeded"
    subscription = CreateSubscription(
        subscription_id=new_id("subscription"), price_id=STARTER, payment_method="pm_ok", quantity=1
    )
    assert (await own.send(subscription)).status == "succeeded"
    await quirina.sign_in("a wrong password")
    await quirina.forget()
    await quirina.ask_for_link()
    await quirina.enrol()
    await quirina.pending()
    await platform.settle()
    await by_hand(own)
    return own, other


async def by_hand(own: Company) -> None:
    """What takes an outage or a defect to come about."""
    execute = own.platform.admin.execute
    body = f'{{"email": "{ADDRESS}", "name": "{NAME}"}}'
    attributes = f'{{"partitionkey": "{ADDRESS}"}}'
    await execute("INSERT INTO email.suppressions VALUES ($1, $2, 'bounced', $3)", own.tenant_id, ADDRESS, START)
    await execute("UPDATE email.mails SET reason = $1 WHERE recipient = $2", f"550 <{ADDRESS}>?", ADDRESS)
    await execute(
        "INSERT INTO email.mailbox (letter_id, sender, recipients, subject_line, text_body, raw, received_at)"
        " VALUES ('a', 'us', $1, 'x', 'x', '', $3), ('b', 'us', '{}', 'x', $2, '', $3)",
        [ADDRESS],
        f"{NAME} invites you",
        START,
    )
    await execute(
        "INSERT INTO bus.dead_letters (id, consumer_group, tenant_id, topic, partition, partition_key, attempts, code,"
        " reason, fingerprint, traceback, attributes, data) SELECT gen_random_uuid(), 'users', $1, 't', 0, $2, 1, 'c',"
        " $3, 'by hand', $3, convert_to($4, 'UTF8'), convert_to($5, 'UTF8')",
        own.tenant_id,
        ADDRESS,
        f"input_value='{NAME}' of {ADDRESS}",
        attributes,
        body,
    )
    await execute(
        "INSERT INTO bus.retries (consumer_group, message_id, tenant_id, topic, partition, partition_key, state,"
        " due_at, attributes, data)"
        " SELECT 'users', gen_random_uuid(), $1, 't', 0, $2, state, $5, $3, convert_to($4, 'UTF8')"
        " FROM unnest(ARRAY['dead', 'waiting']) AS state",
        own.tenant_id,
        ADDRESS,
        attributes,
        body,
        START,
    )
    await execute(
        "INSERT INTO bus.command_outbox (message_id, tenant_id, topic, partition_key, attributes, data, published_at)"
        " SELECT gen_random_uuid(), $1, 't', $2, '{}', convert_to($3, 'UTF8'), now()",
        own.tenant_id,
        ADDRESS,
        body,
    )


async def test_nothing_names_a_person_whose_account_is_deleted(
    platform: Harness, quirina: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "WINDOW", 7)  # many parts, each of which goes on where the one before ended
    own, other = await busy_life(platform, quirina)
    names = (ADDRESS, NAME, NAME_BEFORE, *SAID_OF_THEM)
    before = await named(platform, *names)
    assert before >= {
        "users.users", "users.link_tokens", "tenants.tenants", "tenants.members", "tenants.invitations",
        "tenants.directory_users", "payments.customers", "payments.invoices", "email.mails", "email.customers",
        "email.leads", "email.suppressions", "email.mailbox", "email.wishes", "bus.event_log", "bus.inbox",
        "bus.dead_letters",
        "bus.retries", "bus.command_outbox",
    }, "there is something to forget"  # fmt: skip
    assert await named(platform, AVATAR, PICTURE.hex()) >= {"users.users", "users.avatars", "bus.event_log"}
    await erase(quirina)
    async with trail_of(platform) as trail:
        await trail.record()
        assert all(chain.findings == [] for chain in await trail.verified())
    assert await named(platform, *names) == KEPT
    assert not await named(platform, AVATAR, PICTURE.hex()), "nor what they were shown by"
    assert not await named(platform, *platform.sealer.digests(ADDRESS, "email")), "nor what the address is found by"
    log = await platform.fetch("SELECT FROM bus.event_log WHERE position($1 IN data) > 0", b"192.0.2.7")
    assert not log, "nor where they were"
    [forgotten] = await platform.events(PersonForgotten)
    assert forgotten.messages > 10
    assert len(await platform.events(ForgetPerson)) > 3, "it went part by part"
    assert all(command.sealed_person == "" for command in await platform.events(ForgetPerson))
    assert [event.user_id for event in await platform.events(UserDeleted)] == [quirina.user_id]
    for company in (own, other):
        assert quirina.user_id not in await company.roles()
    assert await platform.fetch(
        "SELECT FROM users.api_keys WHERE created_by = $1 AND revoked_at IS NOT NULL", quirina.user_id
    ), "a key of theirs is over, and its tenant sees that there was one"
    letters = await platform.fetch("SELECT FROM bus.dead_letters WHERE fingerprint <> 'by hand'")
    assert not letters, "nothing was given up"


async def test_another_owner_gets_the_bills_of_whoever_left(platform: Harness, quirina: Person) -> None:
    own, _ = await busy_life(platform, quirina)
    await erase(quirina)
    [tenant] = await platform.fetch("SELECT * FROM tenants.tenants WHERE tenant_id = $1", own.tenant_id)
    assert (tenant["owner_email"], tenant["owner_name"], tenant["member_count"]) == ("olga@example.com", "Joe", 1)
    for table, column in (("payments.customers", "email"), ("email.customers", "address")):
        rows_there = await platform.fetch(f"SELECT {column} FROM {table} WHERE tenant_id = $1", own.tenant_id)
        assert [row[column] for row in rows_there] == ["olga@example.com"], table


async def test_somebody_of_the_same_name_loses_nothing(platform: Harness, quirina: Person) -> None:
    await busy_life(platform, quirina)
    twin = Person(platform, email="twin@example.com", name=NAME)
    await twin.become_verified()
    acme = Company(platform, name="Twins", owner_id=twin.user_id, owner_email=twin.email, owner_name=NAME)
    await acme.open()
    await acme.invite("friend@example.com", "viewer")
    await platform.settle()
    invitation = "SELECT subject_line, data ->> 'inviter_name' AS inviter FROM email.mails WHERE recipient = $1"
    log = "SELECT message_id, data FROM bus.event_log WHERE position($1 IN data) > 0 ORDER BY 1"
    said = await platform.fetch(log, twin.email.encode())
    await erase(quirina)
    assert await platform.fetch(log, twin.email.encode()) == said
    [mail] = await platform.fetch(invitation, "friend@example.com")
    assert (mail["subject_line"], mail["inviter"]) == (f"{NAME} invites you to Twins", NAME)
    [account] = await platform.fetch("SELECT name, status FROM users.users WHERE user_id = $1", twin.user_id)
    assert (account["name"], account["status"]) == (NAME, "active")


async def test_an_event_that_a_tenant_published_is_the_tenant_s_to_change(platform: Harness, quirina: Person) -> None:
    own, _ = await busy_life(platform, quirina)
    told = NewEvent(id="1", source="/shop", type="com.acme.sold", data={"to": ADDRESS})
    assert (await own.send(PublishEvents(events=(told,)))).status == "succeeded"
    await erase(quirina)
    log = await platform.fetch("SELECT type FROM bus.event_log WHERE position($1 IN data) > 0", ADDRESS.encode())
    assert [row["type"] for row in log] == ["com.acme.sold"]


async def test_the_address_is_free_again(platform: Harness, quirina: Person) -> None:
    await quirina.become_verified()
    await platform.settle()
    await erase(quirina)
    again = Person(platform, email=ADDRESS, name="Somebody New")
    await again.become_verified()
    assert (await again.tokens()).user_id == again.user_id != quirina.user_id


async def test_the_only_owner_of_a_tenant_stays_and_learns_why(platform: Harness, quirina: Person) -> None:
    await quirina.become_verified()
    own = Company(platform, name="Own", owner_id=quirina.user_id, owner_email=ADDRESS)
    await own.open()
    other = Company(platform, name="Other")
    await other.open()
    await other.invite(ADDRESS, "member")
    assert (await other.accept(await other.mailed_token(), ADDRESS, quirina.user_id)).status == "succeeded"
    await erase(quirina)
    [stopped] = await platform.events(UserDeletionStopped)
    assert stopped.tenant_ids == (own.tenant_id,)
    assert quirina.user_id in await other.roles(), "nobody is let go from one tenant and kept in another"
    mail = (await platform.events(SendMail))[-1]
    assert (mail.to, mail.template, mail.data) == (
        ADDRESS, "account_deletion", {"step": "stopped", "tenant_names": ["Own"]}
    )  # fmt: skip
    assert (await quirina.tokens()).user_id == quirina.user_id
    await own.delete()
    await erase(quirina)
    assert await platform.events(UserDeleted), "a tenant that is being deleted needs no owner"


async def test_the_last_operator_stays(platform: Harness) -> None:
    root = await administrator(platform)
    await platform.settle()
    await erase(root)
    [stopped] = await platform.events(UserDeletionStopped)
    assert stopped.tenant_ids == (PLATFORM_TENANT_ID,)


async def test_what_is_told_twice_changes_nothing(platform: Harness, quirina: Person) -> None:
    await busy_life(platform, quirina)
    await erase(quirina)
    before = len(await platform.events(UserDeleted))
    released = PersonReleased(user_id=quirina.user_id)
    await platform.publish(released, tenant_id=PLATFORM_TENANT_ID)
    leaving = UserLeaving(user_id=quirina.user_id)
    await platform.publish(leaving, tenant_id=PLATFORM_TENANT_ID)
    await platform.settle()
    assert len(await platform.events(UserDeleted)) == before
