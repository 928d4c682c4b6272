"""The mailbox's page contexts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from prog_edge.web.ports import ListQuery, MailRow, MailView, Page

_LINK: Final = re.compile(r"https?://[^\s<>\"')\]]+")


@dataclass(frozen=True, slots=True)
class MailboxPage:
    """The list, and the mail that is open beside it."""

    template: ClassVar[str] = "mailbox/mailbox.html"
    page: Page[MailRow]
    query: ListQuery
    mail: MailView | None
    links: Sequence[str]


def links_in(mail: MailView) -> list[str]:
    """The addresses in a mail's text part, each once, in order."""
    return list(dict.fromkeys(match.rstrip(".,;") for match in _LINK.findall(mail.text)))
