"""The sandbox gateway: a payment provider that behaves by the token it is given, for development and tests.

It is stateful like a real one. Its books are tables that nobody else reads, written on a connection of its own and
committed before the answer, so that a crash of the caller leaves the charge standing, as it would at a real provider.

| token               | what a charge does |
|---------------------|--------------------|
| pm_ok               | succeeds |
| pm_declined, pm_insufficient_funds, pm_expired, pm_lost, pm_requires_action | fails with that reason |
| pm_timeout          | takes the money and does not answer; `find` tells |
| pm_fails_after_N    | succeeds N times with this card, then is declined |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import asyncpg

from prog_contracts.ids import new_id
from prog_contracts.payments import FailureReason
from prog_kit.database import Database
from prog_workers.payments.gateway.port import CardRefused, ChargeRequest, ChargeResult, GatewaySilent, KeptCard, Payer


@dataclass(frozen=True, slots=True)
class _Behaviour:
    """What a token stands for: the card as people see it, and why its charges fail."""

    last4: str
    failure: FailureReason | None = None
    brand: str = "visa"
    expiry_year: int = 2034


_TOKENS: Final[dict[str, _Behaviour]] = {
    "pm_ok": _Behaviour("4242"),
    "pm_timeout": _Behaviour("0119", brand="mastercard"),
    "pm_declined": _Behaviour("0002", "declined"),
    "pm_insufficient_funds": _Behaviour("9995", "insufficient_funds"),
    "pm_expired": _Behaviour("0069", "expired_card", expiry_year=2024),
    "pm_lost": _Behaviour("9987", "lost_card", brand="mastercard"),
    "pm_requires_action": _Behaviour("3184", "requires_action"),
}
_FAILS_AFTER: Final = re.compile(r"pm_fails_after_(\d{1,4})")
_WEARING_OUT: Final = _Behaviour("0341")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The gateway on top of `database`, whose role owns the rows of the sandbox."""

    database: Database

    @property
    def name(self) -> str:
        return "sandbox"

    async def keep_card(self, token: str, payer: Payer, key: str) -> KeptCard:
        behaviour = _TOKENS.get(token) or (_WEARING_OUT if _FAILS_AFTER.fullmatch(token) else None)
        if behaviour is None:
            raise CardRefused(f"{token[:40]!r} is not a token of the sandbox gateway, such as pm_ok")
        payer_reference = payer.reference or f"sandbox_{payer.id}"
        await self.database.pool.execute(
            """
            INSERT INTO payments.sandbox_cards (reference, attach_key, token, customer) VALUES ($1, $2, $3, $4)
            ON CONFLICT (attach_key) DO NOTHING
            """,
            new_id("sandbox_card"),
            key,
            token,
            payer_reference,
        )
        reference = await self.database.pool.fetchval(
            "SELECT reference FROM payments.sandbox_cards WHERE attach_key = $1", key
        )
        return KeptCard(reference, payer_reference, behaviour.brand, behaviour.last4, 12, behaviour.expiry_year)

    async def charge(self, request: ChargeRequest) -> ChargeResult:
        known = await self.find(request)
        if known is not None:
            return known
        token = await self.database.pool.fetchval(
            "SELECT token FROM payments.sandbox_cards WHERE reference = $1 AND customer = $2",
            request.card_reference,
            request.payer_reference,
        )
        if token is None:
            return await self._record(request, "gateway_error")
        result = await self._record(request, await self._failure(token, request))
        if token == "pm_timeout":
            raise GatewaySilent("the sandbox took the charge and, as pm_timeout asks, gave no answer")
        return result

    async def find(self, request: ChargeRequest) -> ChargeResult | None:
        row = await self.database.pool.fetchrow(
            "SELECT reference, failure_reason FROM payments.sandbox_charges WHERE idempotency_key = $1", request.key
        )
        return None if row is None else _result(row)

    async def _failure(self, token: str, request: ChargeRequest) -> FailureReason | None:
        limit = _FAILS_AFTER.fullmatch(token)
        if limit is None:
            return _TOKENS[token].failure
        taken = await self.database.pool.fetchval(
            "SELECT count(*) FROM payments.sandbox_charges WHERE card = $1 AND failure_reason IS NULL",
            request.card_reference,
        )
        return None if taken < int(limit[1]) else "declined"

    async def _record(self, request: ChargeRequest, failure: FailureReason | None) -> ChargeResult:
        """Writes the charge; of two with one key, the first stands and both are answered alike."""
        await self.database.pool.execute(
            """
            INSERT INTO payments.sandbox_charges
                (reference, idempotency_key, card, amount_minor, currency, failure_reason)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (idempotency_key) DO NOTHING
            """,
            new_id("sandbox_charge"),
            request.key,
            request.card_reference,
            request.amount.amount,
            request.amount.currency,
            failure,
        )
        result = await self.find(request)
        assert result is not None
        return result


def _result(row: asyncpg.Record) -> ChargeResult:
    return ChargeResult(row["reference"], row["failure_reason"])
