import prog_contracts.catalogue  # noqa: F401 - fills the registry
from prog_contracts.messages import Command, all_messages
from prog_contracts.topics import DOMAINS, TOPICS, consumed_by, topic_of


def test_every_message_has_a_topic_of_its_own_domain() -> None:
    for model in all_messages():
        topic = topic_of(model)
        assert topic.domain == model.domain()
        assert topic.kind == ("commands" if issubclass(model, Command) else "events")


def test_commands_go_to_their_domain_alone() -> None:
    for domain in DOMAINS:
        assert TOPICS[f"prog.{domain}.commands"].consumers == (domain,)


def test_every_event_reaches_the_event_log_s_readers() -> None:
    """monitoring and events read everything; neither reads its own events, which would never end."""
    for domain in DOMAINS:
        consumers = set(TOPICS[f"prog.{domain}.events"].consumers)
        assert ({"monitoring", "events"} - {domain}) <= consumers
        assert domain not in consumers


def test_a_key_stays_on_its_partition() -> None:
    """The published rule: CRC-32 of the key, modulo the partitions. A change would break the order of running keys."""
    topic = TOPICS["prog.users.commands"]
    assert [topic.partition_of(key) for key in ("ada@example.com", "tenant_1", "Zoë")] == [0, 3, 2]


def test_groups_read_what_the_table_says() -> None:
    assert [topic.name for topic in consumed_by("users")] == [
        "prog.users.commands",
        "prog.tenants.events",
        "prog.payments.events",
        "prog.email.events",
    ]
