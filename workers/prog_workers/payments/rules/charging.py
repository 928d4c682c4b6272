"""What identifies an attempt to charge an invoice."""

from __future__ import annotations

from uuid import UUID

from prog_workers.payments.rules.dunning import SLOT_TRIGGERS, Trigger


def idempotency_key(invoice_id: str, trigger: Trigger, attempt: int, message_id: UUID) -> str:
    """The key under which the gateway knows the attempt.

    Automatic attempts are identified by their slot: whoever asks for slot 2 of an invoice, and however often, means one
    charge. The others are as many as there are commands, each of them delivered any number of times.
    """
    if trigger in SLOT_TRIGGERS:
        return f"{invoice_id}-slot-{attempt}"
    return f"{invoice_id}-{trigger}-{message_id.hex}"
