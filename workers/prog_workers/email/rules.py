"""Decisions about mails: ids, header text, what to do with a mail found in some state, words for a failed card."""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal
from uuid import UUID

from prog_contracts.errors import Invalid
from prog_contracts.ids import encode_id
from prog_contracts.payments import FailureReason, PaymentFailed
from prog_contracts.quotas import QuotaName
from prog_contracts.tenants import TenantRole

MAX_HEADER_LENGTH: Final = 200
MAX_GREETING_LENGTH: Final = 60
MAX_LEAD_MESSAGE_LENGTH: Final = 5000
LEAD_THANKS_PER_DAY: Final = 1
FORGOTTEN_ADDRESS: Final = "forgotten@forgotten.invalid"
"""What stands where the address of a person was whose account is deleted; no mail goes to it."""

_LOOKS_LIKE_LINK: Final = re.compile(r"://|www\.|\b[a-z0-9-]+\.(?:com|net|org|io|info|biz|ru|cn|top|xyz)\b", re.I)
_BAD_ADDRESS: Final = re.compile(r"\b5\.1\.[1236]\b")

MailStatus = Literal["queued", "sending", "sent", "failed", "held", "suppressed"]
Step = Literal["send", "ask", "nothing"]

REASONS: Final[dict[FailureReason, str]] = {
    "declined": "the bank declined the payment",
    "insufficient_funds": "there were not enough funds on the card",
    "expired_card": "the card has expired",
    "lost_card": "the card was reported lost or stolen",
    "requires_action": "the bank wants you to confirm the payment",
    "gateway_error": "the payment service did not answer",
}
ROLES: Final[dict[TenantRole, str]] = {
    "owner": "an owner",
    "admin": "an admin",
    "billing": "a billing contact",
    "member": "a member",
    "viewer": "a viewer",
}
QUOTAS: Final[dict[QuotaName, str]] = {
    "members": "seats",
    "api_keys": "API keys",
    "events_per_month": "events a month",
    "custom_domains": "custom domains",
}


def one_line(text: str, limit: int = MAX_HEADER_LENGTH) -> str:
    """Text that is safe in a header: no control characters, single blanks, at most `limit` characters."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def greeting_name(name: str | None) -> str | None:
    """The name to greet with; None where there is none, or where it is really an advertisement.

    Whoever signs a stranger's address up chooses the name: a link in it would make our mail carry theirs.
    """
    if name is None:
        return None
    line = one_line(name, MAX_GREETING_LENGTH)
    return None if not line or _LOOKS_LIKE_LINK.search(line) else line


def storable(text: str) -> str:
    """Text as PostgreSQL takes it: no NUL, no lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def lead_message(text: str | None) -> str | None:
    """What a visitor wrote. Raises Invalid when it is too long."""
    if text is not None and len(text) > MAX_LEAD_MESSAGE_LENGTH:
        raise Invalid.field("message", "too_long", f"A message has at most {MAX_LEAD_MESSAGE_LENGTH} characters.")
    return None if text is None else storable(text)


def derived_mail_id(message_id: UUID, template: str) -> str:
    """The id of the mail that a message causes: the same message and template always give the same id.

    It keeps the message's 48 bits of time, so that it sorts as an id made at that moment would (RFC 9562, version 7).
    """
    digest = hashlib.sha256(message_id.bytes + template.encode()).digest()
    value = bytearray(message_id.bytes[:6] + digest[:10])
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return encode_id("mail", UUID(bytes=bytes(value)))


def internet_message_id(mail_id: str, sender: str) -> str:
    """The Message-ID header (RFC 5322): every try of a mail has the same one."""
    return f"<{mail_id}@{sender.rpartition('@')[2]}>"


def mail_id_of(message_id: str | None) -> str | None:
    """The mail that a Message-ID header of ours names; None for another sender's."""
    local = (message_id or "").strip().removeprefix("<").partition("@")[0]
    return local if local.startswith("mail_") else None


def next_step(status: MailStatus) -> Step:
    """What a delivery does with a mail in this state.

    `sending` was left by a try whose outcome nobody recorded: the provider is asked before anything is sent again.
    """
    match status:
        case "queued":
            return "send"
        case "sending":
            return "ask"
        case _:
            return "nothing"


def is_bad_address(reason: str) -> bool:
    """Whether a refusal says that the address itself is wrong (RFC 3463, codes 5.1.1 to 5.1.3 and 5.1.6)."""
    return bool(_BAD_ADDRESS.search(reason))


def tells_about(failure: PaymentFailed) -> bool:
    """Whether a failed charge is worth a mail: not while the person sits at the checkout and reads it there."""
    at_the_screen = failure.trigger in ("new_card", "manual") or failure.subscription_status == "incomplete"
    return not at_the_screen
