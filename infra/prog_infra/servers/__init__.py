"""The embedded servers: PostgreSQL 18 and Valkey 9 from Python wheels, with no Docker and no system package.

`prog up` and the tests run them through the two classes here. Each knows how to clean up after an earlier life
(`prepare`), how it is started (`launch`) and when it is ready (`is_ready`); who starts it supervises it.
"""

from prog_infra.servers.postgres import Postgres
from prog_infra.servers.valkey import Valkey, free_port, is_free

__all__ = ["Postgres", "Valkey", "free_port", "is_free"]
