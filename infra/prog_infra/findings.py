"""What an examination sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw. A finding that is not ok says what to do about it."""

    check: str
    verdict: Verdict
    detail: str
    remedy: str = ""
