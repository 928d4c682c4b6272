"""How easily a new password is guessed, and whether it is known from a breach.

Guessing is estimated by zxcvbn: lists of common passwords, words and names, keyboard rows, sequences, repeats, and the
person's own address and name. What falls within a million guesses is refused (ASVS 5.0, 6.2.4 and 6.2.11).

Breached passwords are looked up by k-anonymity: the first five digits of the SHA-1 leave this process, and the service
answers with all that begin so (ASVS 5.0, 6.2.12). It is asked only where a setting names it.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Literal

import httpx
from zxcvbn import zxcvbn

from prog_kit import logging
from prog_kit.connecting import connecting

log = logging.get("prog_workers.users.strength")

PART_LENGTH: Final = 20
"""The estimate takes time that grows steeply with the length (0.1 s here at worst, seconds at 60 characters that all
stand for letters), so of a longer password its two ends are looked at, and it is guessable when both are. Of one that
repeats a text, that text is looked at."""
GUESSABLE_SCORE: Final = 1
TIMEOUT_SECONDS: Final = 3.0
MAX_ANSWER_BYTES: Final = 1024 * 1024
_PREFIX_LENGTH: Final = 5

_one_at_a_time: Final = Lock()
"""zxcvbn keeps what is known of a person where every thread sees it: two at once would judge by each other's names."""

Outage = Literal["accept", "refuse"]


def is_guessable(password: str, about: Sequence[str]) -> bool:
    """Whether a password is among those that are tried first. `about` is what anybody knows of the person."""
    unit = _repeated_unit(password)
    parts = {unit[:PART_LENGTH], unit[-PART_LENGTH:]}
    known = [word for text in about for word in (text, *text.split("@"), *re.split(r"[@.\s]+", text))] + ["prognetwork"]
    with _one_at_a_time:
        return all(zxcvbn(part, user_inputs=known)["score"] <= GUESSABLE_SCORE for part in parts)


def _repeated_unit(password: str) -> str:
    """The shortest text whose repetition the password is: itself, as a rule."""
    return password[: (password + password).find(password, 1)]


class ServiceAway(Exception):
    """The service of breached passwords does not answer."""


@dataclass
class BreachedPasswords:
    """The service, at `url`, to which five hexadecimal digits are appended. `outage` says what holds while it is away:
    `accept` lets passwords pass that could not be looked up, `refuse` asks people to try again later."""

    url: str
    outage: Outage = "accept"
    _tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    async def has(self, password: str) -> bool:
        """Whether the password is known from a breach. Raises ServiceAway under `refuse`."""
        digest = hashlib.sha1(password.encode("utf-8", "replace"), usedforsecurity=False).hexdigest().upper()
        prefix, suffix = digest[:_PREFIX_LENGTH], digest[_PREFIX_LENGTH:]
        try:
            with connecting():
                answer = await self._range(prefix)
        except (httpx.HTTPError, ValueError) as error:
            log.warning("breached passwords cannot be looked up", error=repr(error), outage=self.outage)
            if self.outage == "refuse":
                raise ServiceAway(str(error)) from error
            return False
        return any(_names(line, suffix) for line in answer.splitlines())

    async def _range(self, prefix: str) -> str:
        # Padding makes all answers about as long, so that their length tells an eavesdropper nothing.
        headers = {"Add-Padding": "true", "User-Agent": "prognetwork"}
        async with (
            httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT_SECONDS, trust_env=False) as client,
            client.stream("GET", self.url + prefix, headers=headers) as response,
        ):
            response.raise_for_status()
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"status {response.status_code}")
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too long")
        return body.decode("ascii", "replace")


def _names(line: str, suffix: str) -> bool:
    """Whether a line `SUFFIX:COUNT` names the password; lines that pad the answer count 0."""
    found, _, count = line.strip().partition(":")
    return found.upper() == suffix and count.strip() != "0"
