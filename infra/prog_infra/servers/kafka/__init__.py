"""A real Kafka on this machine: its own jars from Maven Central, on Java 17 or newer, with no Docker.

`java` finds the Java, `distribution` brings the jars, `storage` and `class_data` make starts fast, `node` is one
process, and `Kafka` in `cluster` is what `prog up` and the tests use: one node, or several to lose one of.
"""

from prog_infra.servers.kafka.cluster import Kafka

__all__ = ["Kafka"]
