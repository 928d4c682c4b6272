"""Rules about people's input that more than one room applies: e-mail addresses and names.

An address has one spelling everywhere, so that an account, an invitation and a mail mean the same mailbox.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from prog_contracts.errors import Invalid

EMAIL_MAX_LENGTH: Final = 254
NAME_MAX_LENGTH: Final = 100

_LOCAL_MAX_LENGTH: Final = 64
_LOCAL: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})")


def normalize_email(text: str, field: str = "email") -> str:
    """The one spelling of an address: lower case, the domain in its ASCII form (IDNA 2003).

    The grammar is the dot-atom form of RFC 5321, section 4.1.2, with a domain of two labels or more; quoted local parts
    and such outside of ASCII are refused. Raises Invalid for `field`.
    """
    address = unicodedata.normalize("NFC", text).strip().lower()
    local, at, domain = address.rpartition("@")
    if not at or not local:
        raise Invalid.field(field, "invalid_email", "Enter an e-mail address such as ada@example.com.")
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        domain = ""
    fits = len(local) <= _LOCAL_MAX_LENGTH and len(local) + 1 + len(domain) <= EMAIL_MAX_LENGTH
    if not fits or _LOCAL.fullmatch(local) is None or _DOMAIN.fullmatch(domain) is None:
        raise Invalid.field(field, "invalid_email", "Enter an e-mail address such as ada@example.com.")
    return f"{local}@{domain}"


def clean_name(text: str, field: str = "name", max_length: int = NAME_MAX_LENGTH) -> str:
    """A name of a person or an organisation as it is shown: NFC, inner white space as single spaces.

    Raises Invalid for `field` when nothing is left, when it is too long, or when it holds characters that cannot be
    seen, by which two names would look alike or one like none: controls, marks that change the direction of the text
    around them, spaces without width, letters that are blank. Two joiners are let be, which languages write with.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise Invalid.field(field, "required", "Enter a name.")
    if len(name) > max_length:
        raise Invalid.field(field, "too_long", f"A name has at most {max_length} characters.")
    if any(map(_is_unseen, name)) or not any(map(_is_seen, name)):
        raise Invalid.field(field, "invalid_characters", "The name holds characters that cannot be shown.")
    return name


_JOINERS: Final = frozenset("\u200c\u200d")
_BLANKS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f")
"""Letters, a mark and a Braille cell that show nothing."""


def _is_unseen(letter: str) -> bool:
    return letter in _BLANKS or (unicodedata.category(letter) in ("Cc", "Cf", "Cs") and letter not in _JOINERS)


def _is_seen(letter: str) -> bool:
    """Whether a letter shows something by itself: a letter, a number, a sign or a symbol."""
    return unicodedata.category(letter)[0] in "LNPS"
