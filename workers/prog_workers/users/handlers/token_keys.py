"""The keys that sign tokens, replaced by whoever runs the platform."""

from __future__ import annotations

from typing import Any

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.token_keys import RotateSigningKey, SigningKeyRotated
from prog_workers.users import errors, rules
from prog_workers.users.handlers.authorizing import id_tokens
from prog_workers.users.handlers.domain import users
from prog_workers.users.handlers.sessions import access_tokens
from prog_workers.users.signing import SignedTokens


@users.handles(RotateSigningKey)
async def rotate_signing_key(command: RotateSigningKey, tx: Transaction) -> SigningKeyRotated:
    """The next token is signed with the new key, by every worker: each looks the newest one up as it signs."""
    if not is_process(tx.actor):
        raise errors.not_permitted()
    reason = rules.checked_reason(command.reason)
    if reason is None:
        raise errors.reason_needed()
    signer: SignedTokens[Any] = access_tokens if command.tokens == "access" else id_tokens
    kid, retired = await signer.rotate(tx.connection, tx.sealer, withdraw=command.withdraw)
    return SigningKeyRotated(
        tokens=command.tokens, kid=kid, retired=tuple(retired), withdrawn=command.withdraw, reason=reason
    )
