"""Messages of the users domain about the keys that sign tokens: of access, and of who has signed in (ID tokens)."""

from __future__ import annotations

from typing import Literal

from prog_contracts.messages import Command, Event, command, event

SignedKind = Literal["access", "id"]


@command("prognetwork.users.rotate_signing_key", key="tokens")
class RotateSigningKey(Command):
    """Sign tokens of this kind with a new key from now on. Only a process of the platform may ask for it.

    Keys from before sign no more. They stay published for an hour, as long as tokens that they signed live; with
    `withdraw` no longer: for keys that somebody else may know. Whoever holds such an access token renews it.
    """

    tokens: SignedKind
    reason: str
    withdraw: bool = False


@event("prognetwork.users.signing_key_rotated", key="tokens")
class SigningKeyRotated(Event):
    """`kid` signs now; `retired` did before. No private half is told."""

    tokens: SignedKind
    kid: str
    retired: tuple[str, ...]
    withdrawn: bool
    reason: str
