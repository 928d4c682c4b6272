"""What edge and workers agree on about passkeys (WebAuthn, Level 3): whose they are, and what is signed with them.

The edge makes a challenge and keeps nothing of it: who asked holds it as a sealed token, which says what it is for, of
which sign-in or session, and until when. The users domain opens the token that comes back with the answer, and keeps
the challenge's digest from then on, so that none is answered twice.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit

import orjson

from prog_kit.secrets import Sealer, SealError
from prog_kit.settings import Settings

NAME: Final = "ProgNetwork"
CHALLENGE_LIFETIME: Final = timedelta(minutes=5)
CHALLENGE_BYTES: Final = 32

Purpose = Literal["enrol", "sign_in", "second_step", "step_up"]

_TOKEN: Final = re.compile(r"prog_passkey_[A-Za-z0-9_-]{32,700}")
_PREFIX: Final = "prog_passkey_"


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The platform, as an authenticator knows it: a domain, and the origins of the pages that may ask."""

    rp_id: str
    origins: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> RelyingParty:
        """That of the settings: the host of PROG_PUBLIC_URL, or the domain above the hosts that are told.

        An address of this machine stands for `localhost`, since no passkey belongs to a number.
        """
        public = _origin(settings.public_url)
        rp_id = settings.passkey_domain or urlsplit(public).hostname or "localhost"
        return cls(rp_id, tuple(dict.fromkeys((public, *map(_origin, settings.passkey_origins)))))

    def serves(self, host: str | None) -> bool:
        """Whether pages of this host can use passkeys of the platform."""
        name = urlsplit(f"//{host or ''}").hostname or ""
        return name == self.rp_id or name.endswith(f".{self.rp_id}")


@dataclass(frozen=True, slots=True)
class Challenge:
    """Random bytes for an authenticator to sign. `bound_to` is the session, sign-in or browser that it is for."""

    value: bytes
    purpose: Purpose
    bound_to: str
    expires_at: datetime

    @classmethod
    def made(cls, purpose: Purpose, bound_to: str, now: datetime) -> Challenge:
        expires_at = (now + CHALLENGE_LIFETIME).replace(microsecond=0)
        return cls(secrets.token_bytes(CHALLENGE_BYTES), purpose, bound_to, expires_at)

    def token(self, sealer: Sealer) -> str:
        """The challenge for whoever asked to bring back with the answer."""
        value = urlsafe_b64encode(self.value).decode()
        content = orjson.dumps([value, self.bound_to, int(self.expires_at.timestamp())]).decode()
        return _PREFIX + sealer.seal(content, _sealed_for(self.purpose))

    @classmethod
    def opened(cls, sealer: Sealer, token: str, purpose: Purpose, bound_to: str, now: datetime) -> Challenge | None:
        """The challenge in a token; None when it is for something else, for somebody else, too old, or made up."""
        if _TOKEN.fullmatch(token) is None:
            return None
        try:
            value, binding, expires_at = orjson.loads(sealer.open(token[len(_PREFIX) :], _sealed_for(purpose)))
        except (SealError, ValueError):
            return None
        if not secrets.compare_digest(binding.encode(), bound_to.encode()) or int(now.timestamp()) >= expires_at:
            return None
        return cls(urlsafe_b64decode(value), purpose, bound_to, datetime.fromtimestamp(expires_at, now.tzinfo))

    @property
    def digest(self) -> str:
        """What is kept of one that was answered."""
        return hashlib.sha256(self.value).hexdigest()


def bound_to_sign_in(token: str) -> str:
    """What binds a challenge to a sign-in that waits, by its token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _sealed_for(purpose: Purpose) -> str:
    return f"passkey_{purpose}"


def _origin(address: str) -> str:
    """Scheme, host and port of an address; `localhost` for a number that stands for this machine."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if _is_loopback(host):
        host = "localhost"
    port = "" if parts.port is None or parts.port == {"http": 80, "https": 443}.get(parts.scheme) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
