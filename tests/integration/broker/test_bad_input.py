"""Whatever may come in on a commands topic: a bad message is one dead letter with its reason, and the shard goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prog_contracts.envelope import MAX_BODY_BYTES, Envelope, wrap
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant
from prog_contracts.topics import TOPICS
from tests.integration.broker.conftest import Rig, eventually

COMMANDS = TOPICS["prog.tenants.commands"]
TENANT = new_id("tenant")
GONE: Any = object()

BELIEVED = {"invalid_body", "unknown_version"}
"""Only a message that its producer has signed gets so far that its body is read."""

BAD: list[tuple[str, dict[str, Any] | bytes | None, bytes | None, str, str]] = [
    ("no attributes at all", None, None, "undecodable", "cannot be read"),
    ("undecodable attributes", b"\xff\xfe{", None, "undecodable", "cannot be read"),
    ("undecodable body", {}, b"\xff\xfe", "invalid_body", "body"),
    ("no body", {}, b"", "invalid_body", "body"),
    ("a body that is a list", {}, b"[]", "invalid_body", "body"),
    ("a body that breaks its schema", {}, b'{"tenant_id": 7}', "invalid_body", "tenant_id"),
    ("unknown type", {"type": "prognetwork.tenants.paint_tenant"}, b"{}", "unknown_type", "paint_tenant"),
    ("another domain's type", {"type": "prognetwork.users.register_user"}, b"{}", "unknown_type", "register_user"),
    ("unknown version", {"schemaversion": 99}, None, "unknown_version", "version 99"),
    ("version that is no number", {"schemaversion": "new"}, None, "undecodable", "schemaversion"),
    ("too large", {}, b'{"x": "' + b"y" * MAX_BODY_BYTES + b'"}', "undecodable", "the limit is"),
    ("too large an attribute", {"subject": "s" * 600}, None, "undecodable", "subject has more than"),
    ("missing tenant", {"tenantid": GONE}, None, "undecodable", "tenantid"),
    ("a tenant that is none", {"tenantid": "acme"}, None, "bad_tenant", "acme"),
    ("missing id", {"id": GONE}, None, "undecodable", "id"),
    ("a time without an offset", {"time": "2026-11-26T10:00:00"}, None, "undecodable", "offset"),
    ("another version of CloudEvents", {"specversion": "0.3"}, None, "undecodable", "specversion"),
    ("another format", {"datacontenttype": "application/xml"}, b"<a/>", "undecodable", "datacontenttype"),
    ("a body that was changed on its way", {}, b'{"tenant_id": 7}', "bad_signature", "signature"),
    ("unsigned", {"producer": GONE, "signature": GONE}, None, "unknown_producer", "not signed"),
    ("forged tenant", {"tenantid": new_id("tenant")}, None, "bad_signature", "signature"),
]


@pytest.mark.parametrize(("changes", "body", "code", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_it_is_one_dead_letter_with_a_reason(
    rig: Rig, changes: dict[str, Any] | bytes | None, body: bytes | None, code: str, reason: str
) -> None:
    command = RenameTenant(tenant_id=TENANT, name="good")
    good = rig.signed(wrap(command, tenant_id=TENANT, source="/test", message_id=new_message_id()))
    attributes: dict[str, Any] | bytes | None = changes
    if isinstance(changes, dict):
        changed = json.loads(good.attributes()) | changes
        attributes = {name: value for name, value in changed.items() if value is not GONE}
        if code in BELIEVED:
            unsigned = Envelope.parse(json.dumps(attributes).encode(), good.data if body is None else body)
            attributes = json.loads(rig.signed(unsigned).attributes())
    await rig.worker()
    partition = COMMANDS.partition_of(TENANT)
    await rig.put(COMMANDS, partition, attributes, good.data if body is None else body)
    assert (await rig.rename("after", TENANT, wait_seconds=60)).status == "succeeded"
    await eventually(lambda: rig.ledger.handled == ["after"], seconds=60)
    letters = await rig.admin.fetch("SELECT code, reason, consumer_group FROM bus.dead_letters")
    assert [(row["code"], row["consumer_group"]) for row in letters] == [(code, "tenants")]
    assert reason in letters[0]["reason"]
