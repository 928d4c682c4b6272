"""The broker port over Apache Kafka (3.7 or newer), through aiokafka.

A topic of N partitions is a Kafka topic of N partitions; the attributes of a message are headers `ce_*`, its body is
the value, its partition key the key. Partitions are assigned by our leases, not by Kafka's group protocol, so that
ownership and fencing are the same on every broker; offsets are committed to Kafka under the group's name, where its own
tools and autoscalers read them.
"""
