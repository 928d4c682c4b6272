"""When API keys were last used, told to the users domain on the side: no request waits for it.

An edge tells of a key once a minute at most, with one command a tenant; the domain leaves out what several edges tell
within a minute. What cannot be told now is told later, and an edge that ends tells what it has left.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from prog_contracts.api_keys import ApiKeyUse, NoteApiKeyUses
from prog_contracts.errors import ProgError
from prog_edge.limits.commands import Commands
from prog_kit.database import FAILURES
from prog_kit.logging import get
from prog_workers.users.queries.api_keys import ApiKeyRow

ACTOR: Final = "prog-edge"
LOOK_SECONDS: Final = 2.0
INTERVAL_SECONDS: Final = 60.0
MAX_KEYS: Final = 10_000
"""Keys whose use waits to be told, or was told just now; of more, the oldest are forgotten."""
MAX_IN_COMMAND: Final = 1000
CLOSE_SECONDS: Final = 2.0

_log = get("prog_edge.key_uses")


class KeyUses:
    """The uses that this process has seen and not told yet."""

    def __init__(
        self, commands: Commands, *, look_seconds: float = LOOK_SECONDS, clock: Callable[[], float] = monotonic
    ) -> None:
        self._commands = commands
        self._look_seconds = look_seconds
        self._clock = clock
        self._waiting: OrderedDict[str, tuple[str, ApiKeyUse]] = OrderedDict()
        self._told_at: OrderedDict[str, float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Tells what is left, within moments or not at all."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.tell(all_of_them=True)

    def note(self, key: ApiKeyRow, client_address: str | None) -> None:
        """A key was used just now."""
        use = ApiKeyUse(key_id=key.key_id, used_at=datetime.now(UTC), client_address=client_address)
        self._waiting[key.key_id] = (key.tenant_id, use)
        self._waiting.move_to_end(key.key_id)
        if len(self._waiting) > MAX_KEYS:
            self._waiting.popitem(last=False)

    async def tell(self, *, all_of_them: bool = False) -> None:
        """Sends what is due. What is refused, or cannot be sent, waits on."""
        due: defaultdict[str, list[ApiKeyUse]] = defaultdict(list)
        now = self._clock()
        for key_id, (tenant_id, use) in self._waiting.items():
            told_at = self._told_at.get(key_id)
            if all_of_them or told_at is None or now - told_at >= INTERVAL_SECONDS:
                due[tenant_id].append(use)
        for tenant_id, uses in due.items():
            if not await self._send(tenant_id, uses[:MAX_IN_COMMAND]):
                return
            for use in uses[:MAX_IN_COMMAND]:
                self._was_told(use, now)

    def _was_told(self, use: ApiKeyUse, now: float) -> None:
        if self._waiting.get(use.key_id, (None, None))[1] is use:  # else it was used again meanwhile
            del self._waiting[use.key_id]
        self._told_at[use.key_id] = now
        self._told_at.move_to_end(use.key_id)
        if len(self._told_at) > MAX_KEYS:
            self._told_at.popitem(last=False)

    async def _send(self, tenant_id: str, uses: list[ApiKeyUse]) -> bool:
        command = NoteApiKeyUses(tenant_id=tenant_id, uses=tuple(uses))
        try:
            await self._commands.request(command, tenant_id=tenant_id, actor=ACTOR, wait_seconds=0)
        except (ProgError, *FAILURES) as error:
            _log.info("uses of API keys are told later", error=repr(error))
            return False
        return True

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            await self.tell()
