"""The canonical form of an entry: one text for one entry, and no two entries with one text."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.ids import new_id
from prog_workers.events.audit.entries import BEFORE_THE_FIRST, Entry, Happening, Origin

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
AT = st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year >= 1900)
HASH = st.binary(min_size=32, max_size=32)

ENTRIES = st.builds(
    Entry,
    tenant_id=TEXT,
    sequence=st.integers(1, 2**53),
    format=st.just(1),
    at=AT,
    until=st.none() | AT,
    action=TEXT,
    outcome=st.sampled_from(["success", "failure", "denial"]),
    code=st.none() | TEXT,
    permission=st.none() | TEXT,
    actor_kind=TEXT,
    actor=st.none() | TEXT,
    session_id=st.none() | TEXT,
    subject=st.none() | TEXT,
    message_id=st.none() | st.uuids(),
    correlation_id=st.none() | st.uuids(),
    causation_id=st.none() | st.uuids(),
    trace_id=st.none() | TEXT,
    request_id=st.none() | TEXT,
    count=st.integers(1, 2**53),
    origin_digest=st.none() | HASH,
    previous=HASH,
)


@given(ENTRIES)
def test_the_canonical_form_names_every_field_in_order_and_nothing_else(entry: Entry) -> None:
    text = entry.canonical().decode()
    content = json.loads(text)
    assert list(content) == sorted(each.name for each in fields(Entry))
    again = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # The two serialisers differ in the escapes of DEL alone, which JSON leaves open.
    assert again.replace("\x7f", "") == text.replace("\x7f", "")


@given(ENTRIES, ENTRIES)
def test_entries_that_differ_have_different_texts(one: Entry, other: Entry) -> None:
    assert (one == other) == (one.canonical() == other.canonical())


@given(ENTRIES, st.sampled_from([each.name for each in fields(Entry)]), st.data())
def test_no_field_can_change_without_the_hash(entry: Entry, name: str, data: st.DataObject) -> None:
    before = getattr(entry, name)
    other: Any = getattr(
        data.draw(ENTRIES.filter(lambda each: getattr(each, name) != before or name == "format")), name
    )
    change: dict[str, Any] = {name: 2 if name == "format" else other}
    changed = replace(entry, **change)
    assert changed.hash() != entry.hash()


@given(AT, st.integers(-23, 23))
def test_an_instant_has_one_text_whatever_its_zone(at: datetime, hours: int) -> None:
    entry = example()
    there = at.astimezone(timezone(timedelta(hours=hours)))
    assert replace(entry, at=at).hash() == replace(entry, at=there).hash()


def test_the_hash_can_be_computed_by_anybody() -> None:
    """What infra/adr/0019-audit-trail.md writes down, done by hand: a change here breaks every chain there is."""
    entry = example()
    text = (
        '{"action":"tenants.member_invited","actor":"user_1","actor_kind":"person","at":"2026-11-26T16:00:00.000123Z",'
        '"causation_id":null,"code":null,"correlation_id":"00000000-0000-0000-0000-000000000007","count":1,"format":1,'
        '"message_id":null,"origin_digest":null,"outcome":"success","permission":null,"previous":"' + "00" * 32 + '",'
        '"request_id":"req_1","sequence":1,"session_id":null,"subject":"Zoë","tenant_id":"tenant_1","trace_id":null,'
        '"until":null}'
    )
    assert entry.canonical().decode() == text
    assert entry.hash() == sha256(b"prognetwork audit entry\n" + text.encode()).digest()


@given(st.none() | TEXT, st.none() | TEXT, st.none() | TEXT, st.binary(min_size=16, max_size=16))
def test_an_origin_s_digest_hangs_on_its_salt_and_on_each_field(
    address: str | None, agent: str | None, person: str | None, salt: bytes
) -> None:
    origin = Origin(client_address=address, user_agent=agent, person=person)
    digest = origin.digest(salt)
    assert digest != origin.digest(bytes(16 - len(salt)) + bytes(each ^ 1 for each in salt))
    for name in ("client_address", "user_agent", "person"):
        changed = replace(origin, **{name: f"{getattr(origin, name) or ''}x"})
        assert changed.digest(salt) != digest


@given(st.lists(st.sampled_from(["success", "failure", "denial"]), min_size=1, max_size=20))
def test_a_chain_is_numbered_and_each_entry_holds_the_hash_before_it(outcomes: list[Any]) -> None:
    tenant_id = new_id("tenant")
    sequence, previous = 0, BEFORE_THE_FIRST
    seen = set()
    for outcome in outcomes:
        happening = Happening(
            tenant_id=tenant_id, at=datetime(2026, 1, 1, tzinfo=UTC), action="a", outcome=outcome, actor_kind="nobody"
        )
        entry = Entry.after(sequence, previous, happening, bytes(16))
        assert (entry.sequence, entry.previous) == (sequence + 1, previous)
        sequence, previous = entry.sequence, entry.hash()
        seen.add(previous)
    assert len(seen) == len(outcomes), "even those that say the same"


def example() -> Entry:
    return Entry(
        tenant_id="tenant_1", sequence=1, format=1, at=datetime(2026, 11, 26, 16, 0, 0, 123, tzinfo=UTC), until=None,
        action="tenants.member_invited", outcome="success", code=None, permission=None, actor_kind="person",
        actor="user_1", session_id=None, subject="Zoë", message_id=None, correlation_id=UUID(int=7),
        causation_id=None, trace_id=None, request_id="req_1", count=1, origin_digest=None, previous=BEFORE_THE_FIRST,
    )  # fmt: skip
