"""One-time codes of authenticator apps (TOTP, RFC 6238): six digits that follow from a secret and the time.

A code is that of a time step of 30 seconds. Those of the step before and the one after are accepted too, for clocks
that are off and people who type slowly; each step once, and none before one that was accepted (RFC 6238, section 5.2).
Pure: which steps were spent is for the caller to keep, by a compare-and-set.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import pyotp

STEP_SECONDS: Final = 30
WINDOW_STEPS: Final = 1
"""Steps before and after the present one whose codes are accepted: a code is good for 90 seconds in all."""
DIGITS: Final = 6
ISSUER: Final = "ProgNetwork"
NEVER: Final = -1
"""The last step of an authenticator that no code of was accepted."""

_CODE: Final = re.compile(rf"[0-9]{{{DIGITS}}}")


@dataclass(frozen=True, slots=True)
class Match:
    """What a code is. `step` is the time step whose code it is, when it is `good`."""

    verdict: Literal["good", "used_before", "wrong_code"]
    step: int = NEVER


def new_secret() -> str:
    """160 random bits in base32, as long as the hash (RFC 4226, section 4)."""
    return pyotp.random_base32(32)


def otpauth_uri(secret: str, email: str) -> str:
    """What an app reads from a QR code (Key Uri Format)."""
    return pyotp.TOTP(secret, name=email, issuer=ISSUER).provisioning_uri()


def step_at(now: datetime) -> int:
    return int(now.timestamp()) // STEP_SECONDS


def match(secret: str, code: str, now: datetime, *, last_step: int = NEVER) -> Match:
    """What a code is now, after one of `last_step` was accepted. Every step is compared, whatever the others say."""
    typed = _typed(code)
    if _CODE.fullmatch(typed) is None:
        return Match("wrong_code")
    codes, present = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS), step_at(now)
    window = range(present - WINDOW_STEPS, present + WINDOW_STEPS + 1)
    matching = [step for step in window if hmac.compare_digest(codes.generate_otp(step), typed)]
    good = [step for step in matching if step > last_step]
    if good:
        return Match("good", good[0])
    return Match("used_before" if matching else "wrong_code")


def _typed(code: str) -> str:
    """The digits as people type them: `123 456`, or in the digits of their own script."""
    spaceless = "".join(code.split()).replace("-", "")
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in spaceless)
