"""Tampering, as somebody who may do anything to the database would: verifying finds each kind, and where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prog_contracts.ids import PLATFORM_TENANT_ID, new_message_id
from prog_workers.events.audit.entries import Entry
from prog_workers.events.audit.recording import Recorder
from prog_workers.events.audit.signing import Head, Signer
from prog_workers.events.audit.verifying import _FIELDS, Verified, anchors_of, verify
from tests.component.events.trail import ADA, OURS, THEIRS, Trail

COUNT = 8


@pytest.fixture
async def written(trail: Trail) -> Trail:
    """Eight entries of ours, signed, each with an origin, and three of somebody else's."""
    for number in range(COUNT):
        await trail.rename(f"name {number}")
    for number in range(3):
        await trail.rename(f"theirs {number}", THEIRS)
    await trail.record()
    await trail.recorder.tidy()
    assert all(chain.intact for chain in await trail.verified())
    return trail


def kinds(chain: Verified) -> list[tuple[str, int]]:
    return [(finding.kind, finding.sequence) for finding in chain.findings]


async def rewrite(admin: Any, since: int, **changes: object) -> None:
    """Changes an entry and makes every hash from there on fit, and the head: all but what takes a key."""
    rows = await admin.fetch("SELECT * FROM events.audit_entries WHERE tenant_id = $1 ORDER BY sequence", OURS)
    previous = None
    for row in rows:
        fields = {name: row[name] for name in _FIELDS}
        if row["sequence"] == since:
            fields |= changes
        if previous is not None:
            fields["previous"] = previous
        entry = Entry(**fields)
        previous = entry.hash()
        await admin.execute(
            "UPDATE events.audit_entries SET actor = $3, action = $4, previous = $5, hash = $6"
            " WHERE tenant_id = $1 AND sequence = $2",
            OURS, entry.sequence, entry.actor, entry.action, entry.previous, previous,
        )  # fmt: skip
    await admin.execute("UPDATE events.audit_heads SET hash = $2 WHERE tenant_id = $1", OURS, previous)


async def test_an_intact_chain_is_told_with_its_end(written: Trail) -> None:
    chain = await written.ours()
    assert (chain.entries, chain.sequence, chain.signed_sequence, chain.findings) == (COUNT, COUNT, COUNT, [])
    last = await written.admin.fetchval(
        "SELECT hash FROM events.audit_entries WHERE tenant_id = $1 AND sequence = $2", OURS, COUNT
    )
    assert chain.hash == last


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "'user_01jd7z4c8nf3ktv9q2m6x0r5we'"), ("action", "'tenants.nothing'"), ("outcome", "'denial'"),
        ("code", "'other'"), ("permission", "'audit.read'"), ("subject", "NULL"), ("at", "at + interval '1 second'"),
        ("until", "at"), ("count", "count + 1"), ("session_id", "'x'"), ("request_id", "'x'"), ("trace_id", "'x'"),
        ("message_id", "gen_random_uuid()"), ("correlation_id", "NULL"), ("causation_id", "gen_random_uuid()"),
        ("actor_kind", "'nobody'"), ("origin_digest", "'\\x00'"),
    ],
)  # fmt: skip
async def test_every_field_that_is_changed_is_found(written: Trail, column: str, value: str) -> None:
    async with written.past_every_rule() as admin:
        await admin.execute(
            f"UPDATE events.audit_entries SET {column} = {value} WHERE tenant_id = $1 AND sequence = 4", OURS
        )
    found = kinds(await written.ours())
    assert ("changed", 4) in found
    others = [chain for chain in await written.verified() if chain.tenant_id != OURS]
    assert all(chain.intact for chain in others)


async def test_a_changed_entry_with_a_hash_that_fits_breaks_the_link_behind_it(written: Trail) -> None:
    async with written.past_every_rule() as admin:
        row = await admin.fetchrow("SELECT * FROM events.audit_entries WHERE tenant_id = $1 AND sequence = 4", OURS)
        assert row is not None
        forged = Entry(**{**{name: row[name] for name in _FIELDS}, "actor": "somebody"})
        await admin.execute(
            "UPDATE events.audit_entries SET actor = 'somebody', hash = $2 WHERE tenant_id = $1 AND sequence = 4",
            OURS, forged.hash(),
        )  # fmt: skip
    assert kinds(await written.ours()) == [("unlinked", 5)]


@pytest.mark.parametrize(("first", "last"), [(1, 1), (4, 4), (3, 5)])
async def test_entries_that_are_taken_out_are_found(written: Trail, first: int, last: int) -> None:
    async with written.past_every_rule() as admin:
        await admin.execute(
            "DELETE FROM events.audit_entries WHERE tenant_id = $1 AND sequence BETWEEN $2 AND $3", OURS, first, last
        )
    assert kinds(await written.ours()) == [("missing", first)]


async def test_an_entry_that_is_taken_out_with_the_others_moved_up_is_found(written: Trail) -> None:
    async with written.past_every_rule() as admin:
        await admin.execute("DELETE FROM events.audit_entries WHERE tenant_id = $1 AND sequence = 4", OURS)
        for sequence in range(5, COUNT + 1):
            await admin.execute(
                "UPDATE events.audit_entries SET sequence = sequence - 1 WHERE tenant_id = $1 AND sequence = $2",
                OURS, sequence,
            )  # fmt: skip
        await admin.execute("UPDATE events.audit_heads SET sequence = sequence - 1 WHERE tenant_id = $1", OURS)
    found = kinds(await written.ours())
    assert ("unlinked", 4) in found
    assert ("changed", 4) in found


async def test_an_entry_that_is_put_in_is_found(written: Trail) -> None:
    async with written.past_every_rule() as admin:
        for sequence in range(COUNT, 3, -1):
            await admin.execute(
                "UPDATE events.audit_entries SET sequence = sequence + 1 WHERE tenant_id = $1 AND sequence = $2",
                OURS, sequence,
            )  # fmt: skip
        await admin.execute(
            "INSERT INTO events.audit_entries (tenant_id, sequence, format, at, action, outcome, actor_kind, count,"
            " previous, hash) SELECT tenant_id, 4, 1, at, 'made.up', 'success', 'nobody', 1, hash, hash"
            " FROM events.audit_entries WHERE tenant_id = $1 AND sequence = 3",
            OURS,
        )
        await admin.execute("UPDATE events.audit_heads SET sequence = sequence + 1 WHERE tenant_id = $1", OURS)
    found = kinds(await written.ours())
    assert ("changed", 4) in found
    assert ("unlinked", 5) in found


async def test_entries_that_changed_places_are_found(written: Trail) -> None:
    async with written.past_every_rule() as admin:
        for old, new in ((3, 99), (4, 3), (99, 4)):
            await admin.execute(
                "UPDATE events.audit_entries SET sequence = $3 WHERE tenant_id = $1 AND sequence = $2", OURS, old, new
            )
    found = kinds(await written.ours())
    assert ("unlinked", 3) in found
    assert ("unlinked", 4) in found


async def test_a_chain_that_is_cut_off_is_found_by_its_head(written: Trail) -> None:
    async with written.past_every_rule() as admin:
        await admin.execute("DELETE FROM events.audit_entries WHERE tenant_id = $1 AND sequence > 6", OURS)
    assert kinds(await written.ours())[0] == ("cut_off", 7)


async def cut_off_with_its_head(trail: Trail, keep: int) -> None:
    async with trail.past_every_rule() as admin:
        await admin.execute("DELETE FROM events.audit_entries WHERE tenant_id = $1 AND sequence > $2", OURS, keep)
        await admin.execute(
            "UPDATE events.audit_heads SET sequence = $2, hash = (SELECT hash FROM events.audit_entries"
            " WHERE tenant_id = $1 AND sequence = $2) WHERE tenant_id = $1",
            OURS, keep,
        )  # fmt: skip


async def test_a_chain_that_is_cut_off_with_its_head_is_found_by_the_checkpoint(written: Trail) -> None:
    await cut_off_with_its_head(written, 6)
    assert kinds(await written.ours()) == [("cut_off", 7)]


async def test_a_chain_that_is_cut_off_with_all_that_tells_of_it_is_found_by_an_anchor_that_was_kept(
    written: Trail,
) -> None:
    """What the database alone cannot prove: it is put back to a state that it once was in."""
    anchors = {chain.tenant_id: Head(chain.tenant_id, chain.sequence, chain.hash) for chain in await written.verified()}
    await cut_off_with_its_head(written, 6)
    async with written.past_every_rule() as admin:
        await admin.execute("DELETE FROM events.audit_checkpoints WHERE tenant_id = $1", OURS)
    assert (await written.ours()).intact
    assert kinds(await written.ours(anchors)) == [("cut_off", 7)]


async def test_a_chain_that_is_gone_altogether_is_found_by_its_checkpoint_or_an_anchor(written: Trail) -> None:
    anchors = anchors_of(
        [{"tenant_id": c.tenant_id, "sequence": c.sequence, "hash": c.hash.hex()} for c in await written.verified()]
    )
    async with written.past_every_rule() as admin:
        for table in ("entries", "heads", "origins"):
            await admin.execute(f"DELETE FROM events.audit_{table} WHERE tenant_id = $1", OURS)
    assert ("cut_off", 1) in kinds(await written.ours())
    async with written.past_every_rule() as admin:
        await admin.execute("DELETE FROM events.audit_checkpoints WHERE tenant_id = $1", OURS)
    assert [chain.tenant_id for chain in await written.verified()] == [THEIRS]
    assert kinds(await written.ours(anchors)) == [("anchor_differs", COUNT)]


async def test_a_chain_that_was_made_anew_is_found_by_the_checkpoint(written: Trail) -> None:
    anchors = {OURS: Head(OURS, COUNT, (await written.ours()).hash)}
    async with written.past_every_rule() as admin:
        await rewrite(admin, 3, actor="somebody")
    assert kinds(await written.ours()) == [("checkpoint_differs", COUNT)]
    async with written.past_every_rule() as admin:
        await admin.execute(
            "UPDATE events.audit_checkpoints AS c SET hash = h.hash FROM events.audit_heads AS h"
            " WHERE c.tenant_id = $1 AND h.tenant_id = $1",
            OURS,
        )
    assert kinds(await written.ours()) == [("bad_signature", COUNT)], "it cannot be signed without the key"
    assert ("anchor_differs", COUNT) in kinds(await written.ours(anchors))


async def test_a_chain_that_was_made_anew_without_its_checkpoints_is_found_by_an_anchor_alone(written: Trail) -> None:
    """What the database alone cannot prove: the recorder signs the head that it finds."""
    anchors = {OURS: Head(OURS, COUNT, (await written.ours()).hash)}
    async with written.past_every_rule() as admin:
        await rewrite(admin, 3, actor="somebody")
        await admin.execute("DELETE FROM events.audit_checkpoints WHERE tenant_id = $1", OURS)
        await admin.execute("UPDATE events.audit_heads SET signed_sequence = 0 WHERE tenant_id = $1", OURS)
    await written.recorder.tidy()
    chain = await written.ours()
    assert (chain.intact, chain.signed_sequence) == (True, COUNT)
    assert ("anchor_differs", COUNT) in kinds(await written.ours(anchors))


async def test_a_head_that_is_gone_or_changed_is_found(written: Trail) -> None:
    async with written.past_every_rule() as admin:
        await admin.execute("UPDATE events.audit_heads SET hash = '\\x00' WHERE tenant_id = $1", OURS)
        assert kinds(await written.ours()) == [("head_differs", COUNT)]
        await admin.execute("UPDATE events.audit_heads SET sequence = 2 WHERE tenant_id = $1", OURS)
        assert kinds(await written.ours()) == [("head_differs", COUNT)]
        await admin.execute("DELETE FROM events.audit_heads WHERE tenant_id = $1", OURS)
    assert kinds(await written.ours()) == [("no_head", COUNT)]


async def test_another_origin_or_one_that_is_gone_without_an_erasure_is_found(trail: Trail) -> None:
    for number in range(3):
        await trail.admin.execute(
            "INSERT INTO bus.audit_intake (tenant_id, told_by, action, outcome, actor, client_address, message_id)"
            " VALUES ($1, 'edge', 'GET /v1/x', 'denial', $2, $3, $4)",
            OURS, ADA, f"192.0.2.{number}", new_message_id(),
        )  # fmt: skip
    await trail.record()
    assert (await trail.ours()).intact
    async with trail.past_every_rule() as admin:
        await admin.execute("UPDATE events.audit_origins SET client_address = '198.51.100.1' WHERE sequence = 2")
    assert kinds(await trail.ours()) == [("origin_changed", 2)]
    await trail.admin.execute("DELETE FROM events.audit_origins WHERE sequence = 3")
    assert kinds(await trail.ours()) == [("origin_changed", 2), ("origin_missing", 3)]


async def test_an_origin_that_is_older_than_they_are_kept_is_taken_out_and_not_missed(trail: Trail) -> None:
    await trail.admin.execute(
        "INSERT INTO bus.audit_intake (tenant_id, told_by, action, outcome, actor, client_address, message_id)"
        " VALUES ($1, 'edge', 'GET /v1/x', 'denial', $2, '192.0.2.1', $3)",
        OURS, ADA, new_message_id(),
    )  # fmt: skip
    await trail.record()
    keeper = Recorder(trail.database, trail.signer, hold_seconds=0, origin_days=400)
    await keeper.tidy()
    assert (await trail.ours()).intact, "it is young"
    async with trail.past_every_rule() as admin:
        await admin.execute("UPDATE events.audit_origins SET noted_at = clock_timestamp() - interval '401 days'")
    await keeper.tidy()
    assert await trail.admin.fetchval("SELECT count(*) FROM events.audit_origins") == 0
    assert kinds(await trail.ours()) == [("origin_missing", 1)], "its entry is not old"
    async with trail.reader.operator() as connection:
        later = datetime.now(UTC) + timedelta(days=1)
        found = [chain async for chain in verify(connection, trail.signer, tenant_id=OURS, origins_since=later)]
    assert (found[-1].old_origins, found[-1].intact) == (1, True)


async def test_after_a_rotation_of_keys_the_new_key_covers_what_the_old_one_signed(written: Trail) -> None:
    new, old = "new0" * 16, "0123456789abcdef" * 4
    rotated = Signer((new, old))
    assert (await written.ours(signer=rotated)).signed_sequence == COUNT
    written.recorder._signer = rotated
    await written.recorder.tidy()
    alone = await written.ours(signer=Signer((new,)))
    assert (alone.intact, alone.signed_sequence, alone.unknown_keys) == (True, COUNT, 1)
    stranger = await written.ours(signer=Signer(("other" * 8,)))
    assert (stranger.intact, stranger.signed_sequence, stranger.unknown_keys) == (True, 0, 2)


async def test_an_idle_chain_is_signed_once(written: Trail) -> None:
    await written.recorder.tidy()
    await written.recorder.tidy()
    assert await written.admin.fetchval("SELECT count(*) FROM events.audit_checkpoints") == 2
    assert PLATFORM_TENANT_ID not in {chain.tenant_id for chain in await written.verified()}


@pytest.mark.parametrize("told", [{}, [1], [{"tenant_id": 1, "sequence": 1, "hash": ""}], [{"tenant_id": "t"}]])
def test_what_is_no_earlier_verification_is_refused(told: Any) -> None:
    if told == {}:
        assert anchors_of(told) == {}
        return
    with pytest.raises((ValueError, KeyError, TypeError)):
        anchors_of(told)
