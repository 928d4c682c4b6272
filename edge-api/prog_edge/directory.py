"""Who a person is and which tenants are theirs, remembered for a few seconds.

Every authenticated request asks; asking PostgreSQL each time would double the cost of a read. What is remembered may be
`FRESH_SECONDS` old, which bounds how long a removed member still gets in. What is not among the remembered is always
looked up again, so a new member never waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Final, Generic, TypeVar

from prog_contracts.tenants import TenantRole

FRESH_SECONDS: Final = 5.0
MAX_REMEMBERED: Final = 10_000

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """The last values of a lookup by key, bounded in age and number. Nothing that was not found is kept."""

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[Value | None]],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        limit: int = MAX_REMEMBERED,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._look_up = look_up
        self._fresh_seconds = fresh_seconds
        self._limit = limit
        self._clock = clock
        self._values: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    async def get(self, key: str, *, anew: bool = False) -> Value | None:
        """The value, at most `fresh_seconds` old; straight from the source with `anew`."""
        found = self._values.get(key)
        if found is not None and not anew and self._clock() - found[0] < self._fresh_seconds:
            return found[1]
        value = await self._look_up(key)
        if value is None:
            self._values.pop(key, None)
            return None
        self._values[key] = (self._clock(), value)
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)
        return value

    def forget(self, key: str) -> None:
        self._values.pop(key, None)


async def role_in(memberships: Remembered[Mapping[str, TenantRole]], user_id: str, tenant_id: str) -> TenantRole | None:
    """A person's role in a tenant. One that is not remembered is looked up, so that nobody new has to wait."""
    role = (await memberships.get(user_id) or {}).get(tenant_id)
    if role is None:
        role = (await memberships.get(user_id, anew=True) or {}).get(tenant_id)
    return role
