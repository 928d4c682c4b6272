"""The AsyncAPI 3 document of all topics and messages, made from the topic table and the models.

It is what a producer or consumer in another language needs: addresses, partitions, who reads what, headers and bodies.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from prog_contracts import examples
from prog_contracts.catalogue import __all__ as _domains  # noqa: F401 - fills the registry
from prog_contracts.messages import Message, all_messages
from prog_contracts.topics import KAFKA_RETENTION_HOURS, TOPICS, Topic, topic_of

_REFERENCE: Final = "#/components/schemas/{model}"

_DESCRIPTION: Final = (
    "Every message is a CloudEvent 1.0 in binary mode. On Kafka the attributes are headers `ce_*` and the body is the"
    " value. On Redis a topic of N partitions is N streams `<topic>.0` to `<topic>.<N-1>`, and an entry has the fields"
    " `ce` (the attributes as one JSON object) and `data` (the body). The partition is the CRC-32 of the partition key"
    " modulo N: messages with one key are handled in order. Readers ignore fields they do not know; writers leave out"
    " fields that are null. Any producer that follows this document and is known may publish to a commands topic: it"
    " signs with the key of `prog producers add`. The signature covers, each followed by a NUL character, producer, id,"
    " type, schemaversion, source, tenantid, time (microseconds since 1970), partitionkey, subject, actor,"
    " correlationid, causationid and replyto (ids as 32 hexadecimal digits; empty where absent), and then the body."
)

_KINDS: Final = {
    "commands": "Asks the {domain} domain to do something. One consumer group reads it; the answer goes to `replyto`.",
    "events": "What has happened in the {domain} domain, in commit order for each partition key.",
    "dead": "Announces messages that the {domain} consumers have given up.",
}


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0.0 document, ready to be written as JSON."""
    models = list(all_messages())
    keys, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    bodies = {model: keys[model, "validation"] for model in models}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:prognetwork",
        "info": {
            "title": "ProgNetwork",
            "version": metadata.version("prognetwork"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "redis": {"host": "localhost:6379", "protocol": "redis", "description": "Redis 7.2 or Valkey 8 or newer"},
            "kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "Apache Kafka 3.7 or newer"},
        },
        "channels": {topic.name: _channel(topic, models) for topic in TOPICS.values()},
        "operations": dict(_operation(topic) for topic in TOPICS.values()),
        "components": {
            "messages": {_name(model): _message(model, bodies[model]) for model in models},
            "messageTraits": {"envelope": {"headers": {"$ref": "#/components/schemas/Envelope"}}},
            "schemas": {"Envelope": _ENVELOPE, **definitions.get("$defs", {})},
        },
    }


def _channel(topic: Topic, models: list[type[Message]]) -> dict[str, Any]:
    kafka_hours = KAFKA_RETENTION_HOURS * (2 if topic.kind == "dead" else 1)
    return {
        "address": topic.name,
        "description": _KINDS[topic.kind].format(domain=topic.domain),
        "messages": {
            _name(model): {"$ref": f"#/components/messages/{_name(model)}"}
            for model in models
            if topic.kind != "dead" and topic_of(model) == topic
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"retention.ms": kafka_hours * 3_600_000},
            }
        },
        "x-redis-streams": [topic.stream(partition) for partition in range(topic.partitions)],
        "x-consumer-groups": list(topic.consumers),
        "x-retention-hours": topic.retention_hours,
    }


def _operation(topic: Topic) -> tuple[str, dict[str, Any]]:
    """Commands are received by the platform; events and dead letters are sent by it."""
    action = "receive" if topic.kind == "commands" else "send"
    return f"{action}-{topic.domain}-{topic.kind}", {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": _KINDS[topic.kind].format(domain=topic.domain),
    }


def _message(model: type[Message], body: dict[str, Any]) -> dict[str, Any]:
    summary = (model.__doc__ or "").strip().partition("\n")[0]
    example = examples.payload(model)
    return {
        "name": model.TYPE,
        "title": model.__name__,
        **({"summary": summary} if summary else {}),
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/envelope"}],
        "payload": body,
        "x-schema-version": model.VERSION,
        "examples": [{"name": "example", "headers": examples.headers(model, example), "payload": example}],
        "x-partition-key": model.KEY_RULE or model.KEY or "the tenant",
        "x-subject": model.SUBJECT,
    }


def _name(model: type[Message]) -> str:
    """Type and version: `users.register_user.v1`."""
    return f"{model.TYPE.removeprefix('prognetwork.')}.v{model.VERSION}"


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


_ENVELOPE: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Envelope",
    "description": "CloudEvents 1.0 attributes and our extensions. On Kafka each name has the prefix `ce_`.",
    "required": ["specversion", "id", "source", "type", "time", "tenantid", "correlationid", "partitionkey"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _text("UUIDv7; the same id is handled once by each consumer group", format="uuid"),
        "source": _text("who publishes, such as /prognetwork/users", format="uri-reference"),
        "type": _text("the message type, such as prognetwork.users.user_created"),
        "time": _text("when it happened, on the tenant's clock", format="date-time"),
        "datacontenttype": {"const": "application/json"},
        "subject": _text("id of the object that the message is about"),
        "tenantid": _text("the tenant that the message belongs to", pattern="^tenant_[0-7][0-9a-hjkmnp-tv-z]{25}$"),
        "correlationid": _text("id of the message that began the story", format="uuid"),
        "causationid": _text("id of the message that caused this one", format="uuid"),
        "partitionkey": _text("messages with one key are handled in order"),
        "schemaversion": {"type": "integer", "minimum": 1, "default": 1, "description": "version of the body's schema"},
        "actor": _text("who asked: a user's id, `user_…/apikey_…` for a key of theirs, or a process"),
        "traceparent": _text("W3C Trace Context"),
        "replyto": _text("where the sender of a command waits for its answer"),
        "producer": _text("who sends a command; a name that the platform knows", pattern="^[a-z][a-z0-9-]{0,62}$"),
        "signature": _text("of a command: HMAC-SHA-256 under the producer's key, in hex", pattern="^[0-9a-f]{64}$"),
    },
}
