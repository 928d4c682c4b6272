"""What asyncpg asks about PostgreSQL's own types, asked once in a process.

Each new connection asks anew what `integer[]` is, and again for each other array, which takes the server ten
milliseconds each time; a test's database is met by new connections alone. The answer never differs: the numbers below
`FIRST_OF_DATABASE` are the same in every database of a server's version. What a schema defines is asked as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

import pytest
from asyncpg.connection import Connection

FIRST_OF_DATABASE: Final = 16_384  # FirstNormalObjectId in PostgreSQL's access/transam.h
_NO_STATEMENT: Final = SimpleNamespace(name="none was sent")
"""For the statement that asks: one with a name leaves no other to be prepared anew."""


@contextmanager
def asked_once() -> Iterator[None]:
    ask = Connection._introspect_types  # type: ignore[attr-defined] # the stubs know what is public
    known: dict[frozenset[int], Any] = {}

    async def introspect(self: Any, type_oids: Iterable[int], timeout: float | None) -> tuple[Any, Any]:
        asked = frozenset(type_oids)
        if asked in known:
            return known[asked], _NO_STATEMENT
        types, statement = await ask(self, asked, timeout)
        if max(asked) < FIRST_OF_DATABASE:
            known[asked] = types
        return types, statement

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_introspect_types", introspect)
        yield
