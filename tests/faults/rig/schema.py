"""The rig's own tables, beside the platform's in the same database, so that the ledger is written with the effects."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE SCHEMA faults;
CREATE TABLE faults.applied (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group text NOT NULL,
    shard text NOT NULL,
    key text NOT NULL,
    sequence int NOT NULL,
    worker text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE faults.applied IS 'No unique constraint: what is applied twice must show';
CREATE TABLE faults.intents (id uuid PRIMARY KEY, key text NOT NULL, sequence int NOT NULL);
CREATE TABLE faults.appended (
    id uuid NOT NULL,
    key text NOT NULL,
    sequence int NOT NULL,
    behaviour text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (key, sequence)
);
GRANT USAGE ON SCHEMA faults TO prog_tenants, prog_payments, prog_users;
GRANT INSERT ON faults.applied TO prog_tenants, prog_payments;
GRANT SELECT, INSERT ON faults.intents TO prog_tenants;
GRANT SELECT, INSERT ON faults.appended TO prog_users;
"""

APPLY: Final = """
INSERT INTO faults.applied (consumer_group, shard, key, sequence, worker)
SELECT $1, u.shard, u.key, u.sequence, $2
FROM unnest($3::text[], $4::text[], $5::int[]) WITH ORDINALITY AS u (shard, key, sequence, place) ORDER BY u.place
"""

INTEND: Final = """
INSERT INTO faults.intents (id, key, sequence) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id
"""

APPEND: Final = """
INSERT INTO faults.appended (id, key, sequence, behaviour)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[])
"""
