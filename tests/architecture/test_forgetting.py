"""Whatever names people has somebody who says what becomes of it when an account is deleted (ADR 25)."""

from __future__ import annotations

from typing import Final

import asyncpg

from tests.architecture.test_catalogue import OURS

NAMES_PEOPLE: Final = r"(^|_)(email|address|addresses|recipients?|name|user_agent|subject_line|sender|raw)$|_body$"
"""Columns that may. What holds whole messages is scrubbed as such (`prog_workers.events.forgetting`)."""

BECOMES: Final = {
    "users.users": "goes",
    "users.link_tokens": "goes with the account",
    "users.sessions": "goes with the account",
    "users.passkeys": "goes with the account",
    "users.oauth_consents": "goes with the account",
    "users.oauth_clients": "the tenant's names of its programs",
    "users.api_keys": "the tenant's names of its keys, and where its programs ran",
    "tenants.tenants": "another owner takes over, or nobody; its own name is the tenant's",
    "tenants.members": "goes when the person is released",
    "tenants.invitations": "tenants.forget_person takes address and inviter out",
    "tenants.directory_addresses": "goes with its entry",
    "tenants.directory_users": "goes when the person is released, or tenants.forget_person deletes it",
    "tenants.export_parts": "tenants.forget_person ends exports that have the address in them",
    "tenants.limits": "names of limits",
    "payments.customers": "another owner takes over; kept for a tenant that is being deleted and has none",
    "payments.invoices": "kept, for the law says so",
    "payments.products": "names of what is sold",
    "payments.dunning_policies": "names of policies",
    "email.mails": "email.forget_person takes recipient, subject and data out",
    "email.brandings": "the tenant's own name and addresses",
    "email.suppressions": "email.forget_person deletes it",
    "email.customers": "another owner takes over; emptied where there is none",
    "email.wishes": "email.forget_person deletes it",
    "email.leads": "email.forget_person takes it out",
    "email.mailbox": "email.forget_person deletes what was for the person",
    "users.identities": "goes with the account",
    "events.audit_origins": "the recorder deletes the person's at UserDeleted",
    "events.audit_notes": "goes after a day",
    "bus.audit_intake": "goes within seconds",
    "bus.timers": "names of timers",
    "bus.event_partitions": "names of partitions",
}


async def test_every_table_that_names_people_says_what_becomes_of_them(module_postgres: str) -> None:
    connection = await asyncpg.connect(module_postgres)
    try:
        rows = await connection.fetch(
            """
            SELECT DISTINCT c.oid::regclass::text AS name FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attname ~ $2
            """,
            list(OURS),
            NAMES_PEOPLE,
        )
    finally:
        await connection.close()
    found = {row["name"] for row in rows} - {"bus.schema_migrations"}
    assert found - set(BECOMES) == set(), "have it forgotten when an account is deleted, and say so here"
    assert set(BECOMES) - found == set(), "there is no such table that names people"
