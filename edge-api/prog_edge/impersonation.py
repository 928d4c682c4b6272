"""What the API and the pages tell an operator who acts in somebody's name (infra/adr/0029-impersonation.md)."""

from __future__ import annotations

from typing import Final

from prog_contracts.errors import Denied

PREFIX: Final = "impersonation_"


def not_while_impersonating() -> Denied:
    """What an operator is told who tries in somebody's name what is that person's alone."""
    return Denied(
        "You act in somebody else's name, and this is theirs alone to do. End that first.",
        code="not_while_impersonating",
    )


def is_impersonation(session_id: str) -> bool:
    """Whether what a caller shows for a session is an operator's, in somebody's name."""
    return session_id.startswith(PREFIX)
