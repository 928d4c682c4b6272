"""A connection that tells how many rows the server touched for each statement that the product runs on it."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

_PLANNED: Final = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a statement cost. `touched` are the rows that scans of tables gave out or threw away, by table."""

    query: str
    touched: Mapping[str, int]
    sequential: frozenset[str]
    milliseconds: float
    plan: Any

    def __str__(self) -> str:
        lines = [f"{' '.join(self.query.split())[:400]}", f"  touched {dict(self.touched)}, {self.milliseconds} ms"]
        return "\n".join([*lines, *_drawn(self.plan, 2)])


class Explained:
    """Stands where a connection would. `readings` has the statements that were run, but for settings.

    With `generic` each is planned for all values, as workers have it (`Database.connect(plan_once=True)`).
    """

    def __init__(self, connection: Any, *, generic: bool) -> None:
        self.connection = connection
        self.readings: list[Reading] = []
        self._mode = "force_generic_plan" if generic else "force_custom_plan"

    async def execute(self, query: str, *values: Any) -> str:
        await self._read(query, values)
        return str(await self.connection.execute(query, *values))

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        await self._read(query, values)
        return list(await self.connection.fetch(query, *values))

    async def fetchrow(self, query: str, *values: Any) -> Any:
        await self._read(query, values)
        return await self.connection.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: Any) -> Any:
        await self._read(query, values)
        return await self.connection.fetchval(query, *values)

    async def cursor(self, query: str, *values: Any, prefetch: int) -> AsyncIterator[Any]:
        """The rows that a cursor would give out; the reading is that of `prefetch` rows, of which it asks at first."""
        await self._read(f"SELECT * FROM ({query}) AS ahead LIMIT {prefetch}", values)
        async for row in self.connection.cursor(query, *values, prefetch=prefetch):
            yield row

    def is_closed(self) -> bool:
        return bool(self.connection.is_closed())

    async def _read(self, query: str, values: tuple[Any, ...]) -> None:
        """Has the server run the statement and undo it."""
        if not query.lstrip().startswith(_PLANNED):
            return
        name = f"explained_{next(_numbers)}"
        await self.connection.execute("SAVEPOINT explained")
        try:
            if await self.connection.fetchval("SHOW plan_cache_mode") == "auto":  # or what is run says how itself
                await self.connection.execute(f"SET LOCAL plan_cache_mode = {self._mode}")
            literals = await self._literals(query, values)
            await self.connection.execute(f"PREPARE {name} AS {query}")
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}{literals}"
            document = json.loads(await self.connection.fetchval(explain))[0]
            await self.connection.execute(f"DEALLOCATE {name}")
        finally:
            await self.connection.execute("ROLLBACK TO SAVEPOINT explained")
        self.readings.append(_reading(query, document))

    async def _literals(self, query: str, values: tuple[Any, ...]) -> str:
        """EXECUTE takes no parameters itself."""
        if not values:
            return ""
        prepared = await self.connection.prepare(query)
        types = [_type_name(kind) for kind in prepared.get_parameters()]
        quoted = ", ".join(f"quote_nullable(${place}::{kind}::text)" for place, kind in enumerate(types, 1))
        texts = await self.connection.fetchrow(f"SELECT {quoted}", *values)
        return f"({', '.join(f'{text}::{kind}' for text, kind in zip(texts, types, strict=True))})"


def _type_name(kind: asyncpg.Type) -> str:
    return f"{kind.name.removesuffix('[]')}[]" if kind.kind == "array" else str(kind.name)


def _reading(query: str, document: Any) -> Reading:
    touched: dict[str, int] = {}
    sequential = set()
    for node in _nodes(document["Plan"]):
        table = node.get("Relation Name")
        if table is None or node["Node Type"] == "ModifyTable":
            continue
        rows = node["Actual Rows"] + sum(
            node.get(name, 0) for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck")
        )
        name = f"{node['Schema']}.{table}" if "Schema" in node else table
        touched[name] = touched.get(name, 0) + round(rows * node["Actual Loops"])
        if node["Node Type"] == "Seq Scan":
            sequential.add(name)
    return Reading(query, touched, frozenset(sequential), document["Execution Time"], document["Plan"])


def _nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _drawn(plan: Any, depth: int) -> Iterator[str]:
    """The plan, a line a node."""
    where = " ".join(str(plan[key]) for key in ("Relation Name", "Index Name") if key in plan)
    details = "; ".join(f"{key}: {plan[key]}" for key in ("Index Cond", "Filter", "Sort Key") if key in plan)
    rows = f"{plan['Actual Rows']} rows x {plan['Actual Loops']}, removed {plan.get('Rows Removed by Filter', 0)}"
    yield f"{'  ' * depth}{plan['Node Type']} {where} ({rows}) {details}"[:400]
    for child in plan.get("Plans", ()):
        yield from _drawn(child, depth + 1)
