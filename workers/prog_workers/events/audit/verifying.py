"""Verifying chains: every hash is computed anew, in pages, and what is not as it was written is named.

What it finds, and by what: an entry that was changed (its hash), taken out (its number), put in or moved (the link to
the one before), cut off at the end (the head, a signed checkpoint, an earlier verification), a chain written anew (a
checkpoint, an earlier verification), and origins that were changed, or deleted without an erasure that says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Literal

import asyncpg

from prog_kit.database import Connection
from prog_workers.events.audit.deciding import person_of
from prog_workers.events.audit.entries import BEFORE_THE_FIRST, FORMAT, Entry, Origin
from prog_workers.events.audit.recording import ERASED
from prog_workers.events.audit.signing import Head, Signer

PAGE: Final = 2000
MOST_FINDINGS: Final = 100
"""Of one chain. One that was mauled further is told with its first ones."""

Kind = Literal[
    "changed", "missing", "unlinked", "cut_off", "no_head", "head_differs", "checkpoint_differs", "bad_signature",
    "anchor_differs", "origin_changed", "origin_missing", "unknown_format",
]  # fmt: skip

_FIELDS: Final = tuple(each.name for each in fields(Entry))
_PAGE: Final = f"""
SELECT {", ".join(f"e.{name}" for name in _FIELDS)}, e.hash,
       o.salt, o.person, o.client_address, o.user_agent
FROM events.audit_entries AS e LEFT JOIN events.audit_origins AS o USING (tenant_id, sequence)
WHERE e.tenant_id = $1 AND e.sequence > $2 ORDER BY e.sequence LIMIT $3
"""
_CHAINS: Final = """
SELECT coalesce(h.tenant_id, e.tenant_id) AS tenant_id, h.sequence, h.hash
FROM events.audit_heads AS h
FULL JOIN (SELECT DISTINCT tenant_id FROM events.audit_entries) AS e USING (tenant_id)
WHERE $1::text IS NULL OR coalesce(h.tenant_id, e.tenant_id) = $1
UNION
SELECT DISTINCT tenant_id, NULL::bigint, NULL::bytea FROM events.audit_checkpoints AS c
WHERE ($1::text IS NULL OR tenant_id = $1)
  AND NOT EXISTS (SELECT FROM events.audit_heads AS h WHERE h.tenant_id = c.tenant_id)
  AND NOT EXISTS (SELECT FROM events.audit_entries AS e WHERE e.tenant_id = c.tenant_id)
ORDER BY tenant_id
"""
_CHECKPOINTS: Final = """
SELECT sequence, hash, signed_at, key_id, signature FROM events.audit_checkpoints
WHERE tenant_id = $1 ORDER BY sequence
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written. `sequence` is the number of the entry that shows it."""

    kind: Kind
    sequence: int
    message: str


@dataclass(slots=True)
class Verified:
    """One chain. `sequence` and `hash` are its last entry's: kept elsewhere, they are an anchor for later."""

    tenant_id: str
    sequence: int = 0
    hash: bytes = BEFORE_THE_FIRST
    entries: int = 0
    erased_origins: int = 0
    old_origins: int = 0
    """Those that are gone because they were older than origins are kept."""
    signed_sequence: int = 0
    unknown_keys: int = 0
    findings: list[Finding] = field(default_factory=list)
    truncated: bool = False

    @property
    def intact(self) -> bool:
        return not self.findings

    def find(self, kind: Kind, sequence: int, message: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(kind, sequence, message))
        else:
            self.truncated = True


async def verify(
    connection: Connection,
    signer: Signer,
    *,
    tenant_id: str | None = None,
    anchors: Mapping[str, Head] | None = None,
    origins_since: datetime | None = None,
    page: int = PAGE,
) -> AsyncIterator[Verified]:
    """Each chain, or a tenant's, once it is verified; before that it comes with every page, with `entries` so far.

    `connection` sees all tenants' rows in one snapshot. `anchors` are ends of chains from an earlier verification.
    Origins of entries from before `origins_since` may be gone; without it they are kept for ever.
    """
    known = dict(anchors or {})
    for row in await connection.fetch(_CHAINS, tenant_id):
        chain = _Chain(row, signer, known.pop(row["tenant_id"], None), origins_since)
        async for _ in chain.read(connection, page):
            yield chain.verified
        chain.close()
        yield chain.verified
    for name, anchor in known.items():
        if tenant_id in (None, name):
            gone = Verified(name)
            gone.find("anchor_differs", anchor.sequence, "The chain is gone that an earlier verification has seen.")
            yield gone


class _Chain:
    def __init__(
        self, row: asyncpg.Record, signer: Signer, anchor: Head | None, origins_since: datetime | None
    ) -> None:
        self.verified = Verified(row["tenant_id"])
        self._head = None if row["sequence"] is None else Head(row["tenant_id"], row["sequence"], row["hash"])
        self._signer = signer
        self._anchor = anchor
        self._origins_since = origins_since
        self._checkpoints: list[asyncpg.Record] = []
        self._erased: dict[str, int] = {}
        self._without_origin: list[tuple[Entry, str | None]] = []

    async def read(self, connection: Connection, page: int) -> AsyncIterator[None]:
        verified = self.verified
        self._checkpoints = list(reversed(await connection.fetch(_CHECKPOINTS, verified.tenant_id)))
        while True:
            rows = await connection.fetch(_PAGE, verified.tenant_id, verified.sequence, page)
            for row in rows:
                self._take(row)
            if len(rows) < page:
                return
            yield

    def _take(self, row: asyncpg.Record) -> None:
        verified = self.verified
        entry = Entry(**{name: row[name] for name in _FIELDS})
        number = entry.sequence
        computed = entry.hash()
        if number != verified.sequence + 1:
            first, last = verified.sequence + 1, number - 1
            which = f"Entry {first} is" if first == last else f"Entries {first} to {last} are"
            verified.find("missing", first, f"{which} missing.")
        elif entry.previous != verified.hash:
            verified.find("unlinked", number, f"Entry {number} does not follow from the one that stands before it.")
        if entry.format != FORMAT:
            verified.find("unknown_format", number, f"Entry {number} has a format that this version does not know.")
        elif computed != row["hash"]:
            verified.find("changed", number, f"Entry {number} says something else than when it was written.")
        self._check_origin(entry, row)
        if entry.action == ERASED and entry.subject is not None:
            self._erased[entry.subject] = number
        verified.sequence, verified.hash = number, computed
        verified.entries += 1
        self._check_signed(number, computed)

    def _check_origin(self, entry: Entry, row: asyncpg.Record) -> None:
        if row["salt"] is None:
            if entry.origin_digest is not None:
                self._without_origin.append((entry, person_of(entry.actor, entry.subject)))
            return
        origin = Origin(client_address=row["client_address"], user_agent=row["user_agent"], person=row["person"])
        if entry.origin_digest != origin.digest(row["salt"]):
            message = f"Where entry {entry.sequence} came from is not what it was when it was written."
            self.verified.find("origin_changed", entry.sequence, message)

    def _check_signed(self, number: int, computed: bytes) -> None:
        while self._checkpoints and self._checkpoints[-1]["sequence"] <= number:
            point = self._checkpoints.pop()
            if point["sequence"] < number:
                continue  # of an entry that is missing, which was told
            self._check_signature(point)
            if point["hash"] != computed:
                message = f"Entry {number} is not the one that was signed on {point['signed_at']:%Y-%m-%d %H:%M} UTC."
                self.verified.find("checkpoint_differs", number, message)
        anchor = self._anchor
        if anchor is not None and anchor.sequence == number:
            self._anchor = None
            if anchor.hash != computed:
                message = f"Entry {number} is not the one that an earlier verification has seen."
                self.verified.find("anchor_differs", number, message)

    def _check_signature(self, point: asyncpg.Record) -> None:
        head = Head(self.verified.tenant_id, point["sequence"], point["hash"])
        good = self._signer.is_good(head, point["signed_at"], point["key_id"], point["signature"])
        if good is None:
            self.verified.unknown_keys += 1
        elif good:
            self.verified.signed_sequence = head.sequence
        else:
            message = f"The checkpoint at entry {head.sequence} does not have the platform's signature."
            self.verified.find("bad_signature", head.sequence, message)

    def close(self) -> None:
        """After the last entry: what should have come, and which missing origins an erasure, or their age, explains."""
        verified = self.verified
        last = verified.sequence
        if self._head is None:
            verified.find("no_head", last, "The chain's head is missing.")
        elif self._head.sequence > last:
            verified.find("cut_off", last + 1, f"Entries {last + 1} to {self._head.sequence} are cut off.")
        elif self._head.sequence < last:
            verified.find("head_differs", last, f"The head is at entry {self._head.sequence}, the chain at {last}.")
        elif self._head.hash != verified.hash:
            verified.find("head_differs", last, f"The head has another hash than entry {last}.")
        if self._checkpoints:
            highest = self._checkpoints[0]["sequence"]
            verified.find("cut_off", last + 1, f"A checkpoint was signed at entry {highest}; the chain ends at {last}.")
        if self._anchor is not None:
            message = f"An earlier verification has seen entry {self._anchor.sequence}; the chain ends at {last}."
            verified.find("cut_off", last + 1, message)
        for entry, person in self._without_origin:
            number = entry.sequence
            if person is not None and self._erased.get(person, 0) > number:
                verified.erased_origins += 1
            elif self._origins_since is not None and entry.at < self._origins_since:
                verified.old_origins += 1
            else:
                message = f"Where entry {number} came from is gone; no erasure says why, and it is not old."
                verified.find("origin_missing", number, message)


async def entries(connection: Connection, *, tenant_id: str | None = None) -> AsyncIterator[tuple[Entry, bytes]]:
    """Entries as they stand, with their stored hashes: chain by chain, each from its beginning."""
    for chain in await connection.fetch(_CHAINS, tenant_id):
        sequence = 0
        while rows := await connection.fetch(_PAGE, chain["tenant_id"], sequence, PAGE):
            for row in rows:
                yield Entry(**{name: row[name] for name in _FIELDS}), row["hash"]
            sequence = rows[-1]["sequence"]


def anchors_of(told: Sequence[Mapping[str, Any]]) -> dict[str, Head]:
    """The ends of chains that `prog audit verify --json` printed. Raises ValueError or KeyError for anything else."""
    found = {}
    for chain in told:
        tenant_id, sequence, digest = chain["tenant_id"], chain["sequence"], chain["hash"]
        if not isinstance(tenant_id, str) or not isinstance(sequence, int) or not isinstance(digest, str):
            raise ValueError("a chain has a tenant_id, a sequence and a hash")
        found[tenant_id] = Head(tenant_id, sequence, bytes.fromhex(digest))
    return found
