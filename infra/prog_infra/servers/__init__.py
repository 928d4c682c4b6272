"""The embedded servers: PostgreSQL 18 and Valkey 9 from Python wheels, Kafka from its own jars; no Docker.

`prog up` and the tests run them through the classes here. Each knows how to clean up after an earlier life
(`prepare`), how it is started (`launch`) and when it is ready (`is_ready`); who starts it supervises it.
"""

from prog_infra.servers.kafka import Kafka
from prog_infra.servers.postgres import Postgres
from prog_infra.servers.valkey import Valkey, free_port, is_free

__all__ = ["Kafka", "Postgres", "Valkey", "free_port", "is_free"]
