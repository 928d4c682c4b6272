"""Rate limits: each request of a client spends one of its quota, for its kind of endpoint.

A client is the signed-in person, or one API key; strangers, and whoever tries to sign in, are told apart by their
address. Redis counts for all edges. While it is away each edge counts alone: reads and writes go on up to the whole
quota, attempts to sign in up to a quarter, so an outage neither stops the platform nor makes guessing cheap.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import Final, Literal

import prometheus_client as prometheus

from prog_broker.redis.connection import OUTAGES, Client
from prog_contracts.quotas import request_factor
from prog_edge.context import RequestContext
from prog_edge.limits.ahead import UnitsAhead
from prog_edge.limits.policies import POLICIES, WRONG_KEYS, EndpointClass, Policy, class_of
from prog_edge.limits.windows import LocalWindows, RedisWindows, Spent
from prog_edge.problems import TooMuch
from prog_kit.logging import get

PATIENCE_SECONDS: Final = 0.5
ALONE_SECONDS: Final = 1.0
"""How long an edge counts alone before it asks Redis again: an outage costs one request a second its patience."""

LIMITED: Final = prometheus.Counter(
    "prog_edge_rate_limited_total", "Requests beyond a client's quota", ["endpoint_class", "mode"]
)
ALONE: Final = prometheus.Counter(
    "prog_edge_rate_limits_alone_total", "Requests that this edge counted without Redis", ["endpoint_class"]
)
WRONG_KEYS_SHOWN: Final = prometheus.Counter("prog_edge_wrong_api_keys_total", "API keys that were shown and not good")

Mode = Literal["on", "shadow", "off"]

_log = get("prog_edge.limits")


@dataclass(frozen=True, slots=True)
class Quota:
    """What a client has left: `remaining` of `policy.quota`, and more in `more_in_seconds`."""

    policy: Policy
    remaining: int
    more_in_seconds: int


class RateLimits:
    """Counts requests. In the mode `shadow` it counts and logs, and refuses nothing."""

    def __init__(self, client: Client, *, mode: Mode, factor: float) -> None:
        self._mode = mode
        self._factor = factor
        self._policies: dict[tuple[EndpointClass, float], Policy] = {}
        """As they were made; as bounded as the plans' factors."""
        self._together = RedisWindows(client)
        self._ahead = UnitsAhead()
        self._alone = LocalWindows()
        self._alone_until = 0.0

    async def spend(
        self, method: str, route: str, context: RequestContext, caller: str | None = None, plan: str | None = None
    ) -> None:
        """Counts a request by its route, as `spend_as` does."""
        kind = class_of(method, route)
        if kind is not None:
            await self.spend_as(kind, context, caller, plan, route=route)

    async def spend_as(
        self,
        kind: EndpointClass,
        context: RequestContext,
        caller: str | None = None,
        plan: str | None = None,
        *,
        route: str | None = None,
    ) -> None:
        """Counts a request as one of a kind, and notes in its context what the client has left.

        `caller` is the person or the API key that asks, None for a stranger; `plan` that of the tenant in which a
        member or a key of it acts. Raises TooMuch with code `rate_limited`.
        """
        if self._mode == "off":
            return
        if kind == "auth" or caller is None:
            client, policy = client_of_address(context.client_address), self._policy(kind)
        else:
            client, policy = caller, self._policy(kind, request_factor(plan))
        policy, spent = await self._count(f"prog:limits:{kind}:{client}", policy, ahead=client == caller)
        quota = Quota(policy, spent.remaining, max(1, math.ceil(spent.more_in_milliseconds / 1000)))
        if self._mode == "shadow":
            if not spent.allowed:
                LIMITED.labels(kind, "shadow").inc()
                _log.info("would be refused for its rate", endpoint_class=kind, client=client, route=route)
            return
        context.quota = quota
        if not spent.allowed:
            LIMITED.labels(kind, "enforced").inc()
            detail = f"{policy.quota} requests in {policy.window_seconds} seconds are the limit here; wait a little."
            raise TooMuch(detail, code="rate_limited", retry_after_seconds=quota.more_in_seconds)

    def quota_of(self, kind: EndpointClass, plan: str | None) -> Policy | None:
        """How often each member and key of a tenant on a plan may ask; None where nothing is refused."""
        return self._policy(kind, request_factor(plan)) if self._mode == "on" else None

    async def count_wrong_key(self, address: str | None) -> None:
        """Counts an API key from this address that is not good. Raises TooMuch when there were many.

        Good ones from there are not refused for it: a stranger behind the same address shuts nobody out.
        """
        WRONG_KEYS_SHOWN.inc()
        if self._mode == "off":
            return
        client = client_of_address(address)
        policy, spent = await self._count(f"prog:limits:wrong_keys:{client}", WRONG_KEYS.scaled(self._factor))
        if spent.allowed:
            return
        if self._mode == "shadow":
            LIMITED.labels(policy.name, "shadow").inc()
            _log.info("would be refused for its wrong API keys", client=client)
            return
        LIMITED.labels(policy.name, "enforced").inc()
        detail = "There were many wrong API keys from this address. Wait a little."
        wait_seconds = max(1, math.ceil(spent.more_in_milliseconds / 1000))
        raise TooMuch(detail, code="too_many_attempts", retry_after_seconds=wait_seconds)

    def _policy(self, kind: EndpointClass, factor: float = 1.0) -> Policy:
        policy = self._policies.get((kind, factor))
        if policy is None:
            policy = self._policies[kind, factor] = POLICIES[kind].scaled(self._factor).scaled(factor)
        return policy

    async def _count(self, key: str, policy: Policy, *, ahead: bool = False) -> tuple[Policy, Spent]:
        if ahead and (spent := self._ahead.take(key, policy)) is not None:
            return policy, spent
        if monotonic() >= self._alone_until:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return policy, await (self._count_with_more if ahead else self._count_one)(key, policy)
            except (TimeoutError, *OUTAGES) as error:
                self._alone_until = monotonic() + ALONE_SECONDS
                _log.warning("rates are counted by this process alone", error=repr(error))
        ALONE.labels(policy.name).inc()
        alone = policy.alone()
        return alone, self._alone.spend(key, alone.quota, alone.window_seconds)

    async def _count_one(self, key: str, policy: Policy) -> Spent:
        spent, _ = await self._together.spend(key, policy.quota, policy.window_seconds)
        return spent

    async def _count_with_more(self, key: str, policy: Policy) -> Spent:
        asking = self._ahead.ask(key, policy)
        if asking is None:
            return await self._count_one(key, policy)
        batch = None
        try:
            spent, batch = await self._together.spend(
                key, policy.quota, policy.window_seconds, ahead=asking.units, unused=asking.unused
            )
        finally:
            if batch is None:
                self._ahead.drop(key)
        self._ahead.keep(key, policy, asking, spent, batch)
        return Spent(spent.allowed, spent.remaining + batch.units, spent.more_in_milliseconds)


def client_of_address(address: str | None) -> str:
    """Who stands for an address: an IPv6 client has its whole /64, IPv4 within IPv6 is IPv4.

    What is no address (a socket of the machine) is one client, so nobody gets a quota by being unreadable.
    """
    if address is None:
        return "nowhere"
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unreadable"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)
