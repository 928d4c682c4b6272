"""Why an answer of a provider is not believed."""

from __future__ import annotations

from typing import Final

from prog_contracts.errors import Denied

_MESSAGES: Final = {
    "canceled": "You did not sign in there. Nothing has changed.",
    "not_begun": "This sign-in was not begun in this browser, or took too long. Begin again.",
    "not_signed_in_again": "The provider did not ask who you are. Sign out there, and try again.",
}
_OTHERWISE: Final = "The provider's answer cannot be trusted. Begin again; nothing has changed."


class Untrusted(Denied):
    """An answer that is not good. `code` is for the records; people are told little, for most are no accident."""

    def __init__(self, code: str) -> None:
        super().__init__(_MESSAGES.get(code, _OTHERWISE), code=code)
