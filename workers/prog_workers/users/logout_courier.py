"""Tells clients that somebody is signed in to them no more (OpenID Connect Back-Channel Logout 1.0).

Whatever ends a session leaves a notice for each client in its transaction (`store.logouts`). Here, beside the handlers
and never in their way, notices are taken, signed and sent. A client that does not answer holds up nobody: its
notices come again after a while, and of one client few are under way at once. So each is told at least once, with the
same `jti`; what became of it is told in the event log of the client's tenant. What a client did not hear of waits a
week for an operator to have it sent again (`handlers.telling_again`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal
from urllib.parse import urlencode

from prog_broker import carrier
from prog_contracts.credentials import public_client_id
from prog_contracts.envelope import wrap
from prog_contracts.messages import Event
from prog_contracts.oauth import LogoutNoticeFailed, LogoutNotified
from prog_kit import logging
from prog_kit.clock import Clock
from prog_kit.database import FAILURES, Connection, Database
from prog_kit.outbound import Outbound, Unreachable
from prog_kit.secrets import Sealer
from prog_kit.telemetry import LOGOUT_NOTICES
from prog_workers.users.rules import logout as rules
from prog_workers.users.signing import IdTokens
from prog_workers.users.store import logouts
from prog_workers.users.store.logouts import Notice

log = logging.get("prog_workers.users.logout_courier")

ANSWER_SECONDS: Final = 5.0
"""For all of one call."""
OF_A_CLIENT: Final = 4
MOST: Final = 40
"""At once: of one client, and of all."""
HELD: Final = timedelta(seconds=30)
"""A notice that was taken by somebody who died comes again after so long."""
PAUSE_SECONDS: Final = 1.0
ACTOR: Final = "prog-users"
WHOSE: Final = "The client"


@dataclass
class LogoutCourier:
    """One a process. `wake` tells the relay that something was written."""

    database: Database
    sealer: Sealer
    tokens: IdTokens
    outbound: Outbound
    clock: Clock
    wake: Callable[[], Awaitable[None]]
    _in_turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Around what takes a connection: all others are the handlers'."""

    async def run(self) -> None:
        """Until it is cancelled. What the database does not take comes again."""
        try:
            while True:
                taken = 0
                try:
                    taken = await self.deliver_due()
                except FAILURES as error:
                    log.warning("logout notices wait for the database", error=str(error))
                if taken < MOST:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await self.outbound.close()

    async def deliver_due(self) -> int:
        """Sends what is due, at once; returns how many notices that were."""
        now = self.clock.now()
        async with self.database.scope() as connection:
            notices = await logouts.take_due(connection, now, now + HELD, of_a_client=OF_A_CLIENT, most=MOST)
        if notices:
            await asyncio.gather(*(self._deliver(notice) for notice in notices))
            await self.wake()
        return len(notices)

    async def _deliver(self, notice: Notice) -> None:
        try:
            async with self._in_turn, self.database.scope(tenant_id=notice.client_tenant) as connection:
                uri = await logouts.logout_uri(connection, notice.client_id)
                if uri is None:
                    await logouts.drop_notice(connection, notice.notice_id)
                    return
                token = await self._token(connection, notice)
            try:
                status = await self._send(uri, token)
            except Exception:  # whatever is odd about one client's address holds up no other's notices
                log.exception("a logout notice cannot be sent", notice_id=notice.notice_id)
                status = None
            await self._settle(notice, status)
        except FAILURES as error:
            log.warning("a logout notice waits for the database", notice_id=notice.notice_id, error=str(error))

    async def _token(self, connection: Connection, notice: Notice) -> str:
        claims = rules.logout_claims(
            issuer=self.tokens.issuer,
            audience=public_client_id(notice.client_tenant, notice.client_id),
            user_id=notice.user_id,
            sid=notice.sid,
            notice_id=notice.notice_id,
            now=self.clock.now(),
        )
        return await self.tokens.sign(connection, self.sealer, claims, token_type="logout+jwt")  # noqa: S106

    async def _send(self, uri: str, token: str) -> int | None:
        """The status of the answer; None where there is none."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = await self.outbound.send("POST", uri, headers=headers, body=urlencode({"logout_token": token}))
        except Unreachable as error:
            log.info("a client does not hear of a sign-out", uri=uri, reason=error.message)
            return None
        return answer.status_code

    async def _settle(self, notice: Notice, status: int | None) -> None:
        following = rules.next_of(status, notice.attempts)
        async with self._in_turn, self.database.scope(tenant_id=notice.client_tenant) as connection:
            if following == "again":
                due_at = self.clock.now() + rules.DELAYS[notice.attempts - 1]
                await logouts.put_off(connection, notice.notice_id, due_at)
                LOGOUT_NOTICES.labels(following).inc()
                return
            if following == "told":
                settled = await logouts.drop_notice(connection, notice.notice_id)
            else:
                now = self.clock.now()
                settled = await logouts.keep_failed(connection, notice.notice_id, now, now + rules.KEPT)
            if not settled:
                return
            envelope = wrap(
                _told(notice) if following == "told" else _not_told(notice, following, status),
                tenant_id=notice.client_tenant,
                source="/prognetwork/users",
                now=self.clock.now(),
                correlation_id=notice.correlation_id,
                causation_id=notice.causation_id,
                actor=ACTOR,
            )
            await carrier.append(connection, "users", [envelope])
        LOGOUT_NOTICES.labels(following).inc()


def _told(notice: Notice) -> Event:
    return LogoutNotified(
        client_id=notice.client_id, user_id=notice.user_id, session_id=notice.sid, attempts=notice.attempts
    )


def _not_told(notice: Notice, why: Literal["refused", "given_up"], status: int | None) -> Event:
    return LogoutNoticeFailed(
        client_id=notice.client_id,
        user_id=notice.user_id,
        session_id=notice.sid,
        attempts=notice.attempts,
        reason=why,
        status=status,
    )
