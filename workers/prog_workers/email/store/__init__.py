"""All SQL that changes the email domain's tables. The read side for the edge is `queries`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prog_broker.transaction import Transaction
from prog_contracts.actors import person_of
from prog_contracts.configuration import Configuration
from prog_contracts.email import Template
from prog_contracts.erasure import Person
from prog_kit.database import Connection
from prog_workers.email.branding import TenantBrand
from prog_workers.email.rules import MailStatus


@dataclass(frozen=True, slots=True)
class Mail:
    """A row of email.mails with what a delivery needs."""

    mail_id: str
    tenant_id: str
    template: Template
    recipient: str
    recipient_name: str | None
    subject_line: str
    data: dict[str, Any]
    sealed_data: dict[str, str]
    status: MailStatus
    attempt: int
    site_tenant_id: str | None = None
    """The tenant at whose own host it was asked for."""


@dataclass(frozen=True, slots=True)
class Customer:
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as the development mailbox got it."""

    letter_id: str
    message_id: str | None
    attempt: int
    sender: str
    recipients: Sequence[str]
    subject_line: str
    text_body: str | None
    html_body: str | None
    raw: bytes
    received_at: datetime


_MAIL_COLUMNS = (
    "mail_id, tenant_id, template, recipient, recipient_name, subject_line, data, sealed_data, status, attempt,"
    " site_tenant_id"
)

_SAY = """
INSERT INTO email.mail_events (mail_id, tenant_id, status, attempt, detail, occurred_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""


async def insert_mail(tx: Transaction, mail: Mail) -> bool:
    """A new mail; False when this mail is there already."""
    inserted = await tx.fetchval(
        """
        INSERT INTO email.mails (mail_id, tenant_id, template, recipient, recipient_name, subject_line, data,
                                 sealed_data, status, message_id, correlation_id, queued_at, asked_by,
                                 site_tenant_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (mail_id) DO NOTHING RETURNING true
        """,
        mail.mail_id,
        mail.tenant_id,
        mail.template,
        mail.recipient,
        mail.recipient_name,
        mail.subject_line,
        json.dumps(mail.data),
        json.dumps(mail.sealed_data),
        mail.status,
        tx.message_id,
        tx.correlation_id,
        tx.now,
        person_of(tx.actor),
        mail.site_tenant_id,
    )
    if inserted:
        await tx.execute(_SAY, mail.mail_id, mail.tenant_id, mail.status, 0, None, tx.now)
    return bool(inserted)


async def lock_mail(tx: Transaction, mail_id: str) -> Mail | None:
    """The mail, locked until the transaction ends."""
    row = await tx.fetchrow(f"SELECT {_MAIL_COLUMNS} FROM email.mails WHERE mail_id = $1 FOR UPDATE", mail_id)
    if row is None:
        return None
    return Mail(
        mail_id=row["mail_id"],
        tenant_id=row["tenant_id"],
        template=row["template"],
        recipient=row["recipient"],
        recipient_name=row["recipient_name"],
        subject_line=row["subject_line"],
        data=json.loads(row["data"]),
        sealed_data=json.loads(row["sealed_data"]),
        status=row["status"],
        attempt=row["attempt"],
        site_tenant_id=row["site_tenant_id"],
    )


async def begin_attempt(tx: Transaction, mail: Mail, provider: str) -> int | None:
    """Writes down that the mail is being handed over, and returns the number of this try.

    None when another worker has moved the mail on since `mail` was read.
    """
    attempt: int | None = await tx.fetchval(
        """
        UPDATE email.mails SET status = 'sending', attempt = attempt + 1, provider = $4
        WHERE mail_id = $1 AND status = $2 AND attempt = $3 RETURNING attempt
        """,
        mail.mail_id,
        mail.status,
        mail.attempt,
        provider,
    )
    if attempt is not None:
        await tx.execute(_SAY, mail.mail_id, mail.tenant_id, "sending", attempt, provider, tx.now)
    return attempt


async def requeue(tx: Transaction, mail: Mail, attempt: int, reason: str) -> bool:
    """The provider certainly did not take this try: the mail waits for another one."""
    status = await tx.execute(
        """
        UPDATE email.mails SET status = 'queued', reason = $3
        WHERE mail_id = $1 AND status = 'sending' AND attempt = $2
        """,
        mail.mail_id,
        attempt,
        reason,
    )
    if status == "UPDATE 0":
        return False
    await tx.execute(_SAY, mail.mail_id, mail.tenant_id, "queued", attempt, reason, tx.now)
    return True


async def settle(
    tx: Transaction, mail: Mail, status: MailStatus, *, reason: str | None = None, provider_id: str | None = None
) -> bool:
    """Writes down how the mail ended; False when it had ended before. Its secrets go unless it may be sent again."""
    attempt: int | None = await tx.fetchval(
        """
        UPDATE email.mails
        SET status = $2, reason = $3, provider_id = $4, settled_at = $5,
            sealed_data = CASE WHEN $2 = 'held' THEN sealed_data ELSE '{}' END
        WHERE mail_id = $1 AND status IN ('queued', 'sending', 'held') AND status <> $2 RETURNING attempt
        """,
        mail.mail_id,
        status,
        reason,
        provider_id,
        tx.now,
    )
    if attempt is None:
        return False
    await tx.execute(_SAY, mail.mail_id, mail.tenant_id, status, attempt, reason or provider_id, tx.now)
    return True


async def release(tx: Transaction, mail: Mail) -> None:
    """A held mail that did not arrive, as an operator says, waits to be sent again."""
    await tx.execute(
        "UPDATE email.mails SET status = 'queued', reason = NULL, settled_at = NULL WHERE mail_id = $1", mail.mail_id
    )
    await tx.execute(_SAY, mail.mail_id, mail.tenant_id, "queued", mail.attempt, "released by an operator", tx.now)


async def is_suppressed(tx: Transaction, address: str) -> bool:
    """Whether the tenant may not write to this address."""
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM email.suppressions WHERE address = $1)", address))


async def suppress(tx: Transaction, address: str, reason: str) -> None:
    await tx.execute(
        """
        INSERT INTO email.suppressions (tenant_id, address, reason, suppressed_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        """,
        tx.tenant_id,
        address,
        reason,
        tx.now,
    )


async def remember_customer(tx: Transaction, customer_id: str, name: str, address: str) -> None:
    await tx.execute(
        """
        INSERT INTO email.customers (customer_id, tenant_id, name, address) VALUES ($1, $2, $3, $4)
        ON CONFLICT (customer_id) DO UPDATE SET name = excluded.name, address = excluded.address
        """,
        customer_id,
        tx.tenant_id,
        name,
        address,
    )


async def readdress_customer(tx: Transaction, name: str, address: str) -> None:
    """The tenant's bills go to another owner from now on."""
    await tx.execute(
        "UPDATE email.customers SET name = $2, address = $3 WHERE tenant_id = $1", tx.tenant_id, name, address
    )


async def customer(tx: Transaction, customer_id: str) -> Customer | None:
    row = await tx.fetchrow("SELECT name, address FROM email.customers WHERE customer_id = $1", customer_id)
    return None if row is None else Customer(row["name"], row["address"])


async def insert_lead(
    tx: Transaction, *, lead_id: str, address: str, name: str | None, message: str | None, source: str
) -> bool:
    """A new lead; False when it is there already."""
    status = await tx.execute(
        """
        INSERT INTO email.leads (lead_id, tenant_id, address, name, message, source, captured_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (lead_id) DO NOTHING
        """,
        lead_id,
        tx.tenant_id,
        address,
        name,
        message,
        source,
        tx.now,
    )
    return status != "INSERT 0 0"


async def leads_since(tx: Transaction, address: str, since: datetime) -> int:
    """How often this address was left since then."""
    count = await tx.fetchval(
        "SELECT count(*) FROM email.leads WHERE address = $1 AND captured_at > $2", address, since
    )
    return int(count)


# The development mailbox. Storing and asking take one lock a Message-ID, so that each sees what the other has decided.
_LOCK_LETTER = "SELECT pg_advisory_xact_lock(hashtextextended('email.mailbox ' || $1, 0))"


async def keep_letter(connection: Connection, letter: Letter) -> bool:
    """Stores a received mail, duplicates too; False when its sender was told that this try is lost."""
    if letter.message_id is not None:
        await connection.execute(_LOCK_LETTER, letter.message_id)
        fence = await connection.fetchval(
            "SELECT attempt FROM email.mailbox_fences WHERE message_id = $1", letter.message_id
        )
        if fence is not None and letter.attempt <= fence:
            return False
    await connection.execute(
        """
        INSERT INTO email.mailbox (letter_id, message_id, sender, recipients, subject_line, text_body, html_body, raw,
                                   received_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        letter.letter_id,
        letter.message_id,
        letter.sender,
        list(letter.recipients),
        letter.subject_line,
        letter.text_body,
        letter.html_body,
        letter.raw,
        letter.received_at,
    )
    return True


async def find_letter_or_fence(connection: Connection, message_id: str, attempt: int) -> str | None:
    """The letter with this Message-ID; without one, every try up to `attempt` is declared lost."""
    await connection.execute(_LOCK_LETTER, message_id)
    letter_id: str | None = await connection.fetchval(
        "SELECT letter_id FROM email.mailbox WHERE message_id = $1 ORDER BY received_at LIMIT 1", message_id
    )
    if letter_id is None:
        await connection.execute(
            """
            INSERT INTO email.mailbox_fences (message_id, attempt) VALUES ($1, $2)
            ON CONFLICT (message_id) DO UPDATE SET attempt = greatest(mailbox_fences.attempt, excluded.attempt)
            """,
            message_id,
            attempt,
        )
    return letter_id


# -- deleted tenants ---------------------------------------------------------------------------------------------------


async def note_deletion(tx: Transaction) -> None:
    """From now on nothing is written for the tenant."""
    await tx.execute(
        "INSERT INTO email.deleted_tenants (tenant_id, deleted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        tx.tenant_id,
        tx.now,
    )


async def is_deleted(tx: Transaction) -> bool:
    query = "SELECT EXISTS (SELECT FROM email.deleted_tenants WHERE tenant_id = $1)"
    return bool(await tx.fetchval(query, tx.tenant_id))


# -- forgotten people --------------------------------------------------------------------------------------------------

_EMPTY_MAILS = """
UPDATE email.mails
SET recipient = $2, recipient_name = NULL, subject_line = template, data = '{}', sealed_data = '{}',
    reason = CASE WHEN status IN ('queued', 'sending', 'held') THEN 'recipient_forgotten'
                  WHEN position($1 IN lower(reason)) > 0 THEN NULL ELSE reason END,
    settled_at = coalesce(settled_at, $3),
    status = CASE WHEN status IN ('queued', 'sending', 'held') THEN 'failed' ELSE status END
WHERE recipient = $1
"""
_FORGET_DETAILS = """
UPDATE email.mail_events SET detail = NULL
WHERE mail_id IN (SELECT mail_id FROM email.mails WHERE recipient = $1) AND position($1 IN lower(detail)) > 0
"""
_FORGET_INVITER = """
UPDATE email.mails SET subject_line = template, data = data - 'inviter_name'
WHERE template = 'invitation' AND (asked_by = $1 OR (asked_by IS NULL AND data ->> 'inviter_name' = $2))
"""
"""Mails from before it was noted who had them sent are found by the name."""
_FORGET_LETTERS = """
DELETE FROM email.mailbox WHERE $1 = ANY (recipients) OR position($2 IN text_body) > 0
"""


async def forget_person(tx: Transaction, person: Person, forgotten: str) -> None:
    """Takes a person out of mails, whichever tenant's: `forgotten` stands where the address stood.

    What became of each mail stays to be counted. One that was still to go goes nowhere.
    """
    await tx.execute("SELECT set_config('prog.erased_person', $1, true)", person.user_id)
    await tx.execute(_FORGET_DETAILS, person.email)
    await tx.execute(_EMPTY_MAILS, person.email, forgotten, tx.now)
    await tx.execute(_FORGET_INVITER, person.user_id, person.name)
    await tx.execute("DELETE FROM email.suppressions WHERE address = $1", person.email)
    await tx.execute("DELETE FROM email.wishes WHERE address = $1", person.email)
    # Who is billed is somebody else by now, but for a tenant that is being deleted and has no owner any more.
    await tx.execute("UPDATE email.customers SET name = '', address = '' WHERE address = $1", person.email)
    await tx.execute(
        "UPDATE email.leads SET address = $2, name = NULL, message = NULL WHERE address = $1", person.email, forgotten
    )
    await tx.execute(_FORGET_LETTERS, person.email, person.name)
    await tx.execute("SELECT set_config('prog.erased_person', '', true)")


# -- branding ----------------------------------------------------------------------------------------------------------


async def brand(tx: Transaction) -> TenantBrand | None:
    """What is known of the looks of the tenant's mails."""
    row = await tx.fetchrow("SELECT tenant_name, settings FROM email.brandings WHERE tenant_id = $1", tx.tenant_id)
    if row is None:
        return None
    return TenantBrand(tx.tenant_id, row["tenant_name"], Configuration.model_validate_json(row["settings"]))


async def put_brand(tx: Transaction, version: int, configuration: Configuration) -> None:
    """Keeps a version of the configuration, unless a later one came before it."""
    await tx.execute(
        """
        INSERT INTO email.brandings (tenant_id, version, settings) VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id) DO UPDATE SET version = EXCLUDED.version, settings = EXCLUDED.settings
        WHERE email.brandings.version < EXCLUDED.version
        """,
        tx.tenant_id,
        version,
        configuration.model_dump_json(),
    )


async def put_tenant_name(tx: Transaction, name: str) -> None:
    await tx.execute(
        "INSERT INTO email.brandings (tenant_id, tenant_name) VALUES ($1, $2)"
        " ON CONFLICT (tenant_id) DO UPDATE SET tenant_name = EXCLUDED.tenant_name",
        tx.tenant_id,
        name,
    )
