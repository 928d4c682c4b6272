import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.envelope import MAX_BODY_BYTES, Envelope, wrap
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id, new_message_id
from prog_contracts.tenants import RenameTenant

printable = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)


def rename(name: str = "Acme") -> RenameTenant:
    return RenameTenant(tenant_id=new_id("tenant"), name=name)


@given(actor=printable, key=printable)
def test_an_envelope_survives_the_wire_whatever_its_attributes_hold(actor: str, key: str) -> None:
    sent = Envelope(
        id=new_message_id(),
        type="prognetwork.tenants.rename_tenant",
        source="/test",
        tenant_id=PLATFORM_TENANT_ID,
        partition_key=key,
        correlation_id=new_message_id(),
        time=datetime(2027, 1, 31, 12, 30, 1, 250, tzinfo=UTC),
        data=b"{}",
        actor=actor,
    )
    attributes = sent.attributes()
    assert attributes.isascii()
    assert Envelope.parse(attributes, sent.data) == sent


def test_a_message_that_starts_a_story_is_its_own_correlation() -> None:
    envelope = wrap(rename(), tenant_id=PLATFORM_TENANT_ID, source="/test")
    assert envelope.correlation_id == envelope.id
    assert envelope.causation_id is None


def test_attributes_are_a_cloudevent() -> None:
    envelope = wrap(rename("Zoë & Söhne"), tenant_id=PLATFORM_TENANT_ID, source="/test", actor="user_x")
    event = json.loads(envelope.attributes())
    assert {"specversion", "id", "source", "type"} <= set(event), "the attributes that CloudEvents 1.0 requires"
    assert event["specversion"] == "1.0"
    assert all(name.islower() and name.isalnum() for name in event), "lower-case letters and digits"
    assert envelope.json()["data"]["name"] == "Zoë & Söhne"


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"specversion":"1.0"}', "missing required field"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_attributes_that_are_none_are_refused_with_the_reason(attributes: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Envelope.parse(attributes, b"{}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"actor": "a\u0000b"}, "actor holds a NUL"),
        ({"partitionkey": "a\u0000b"}, "partition_key holds a NUL"),
        ({"subject": "s" * 513}, "subject has more than 512 bytes"),
        ({"id": "17"}, "Invalid UUID"),
        ({"time": "yesterday"}, "Invalid RFC3339"),
        ({"time": "2026-11-26T10:00:00"}, "no offset"),
    ],
)
def test_an_envelope_this_code_cannot_read_is_refused(change: dict[str, str], reason: str) -> None:
    good = json.loads(wrap(rename(), tenant_id=PLATFORM_TENANT_ID, source="/test").attributes())
    with pytest.raises(ValueError, match=reason):
        Envelope.parse(json.dumps(good | change).encode(), b"{}")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=1"]
)
def test_other_ways_to_write_the_content_type_are_read(content_type: str) -> None:
    good = json.loads(wrap(rename(), tenant_id=PLATFORM_TENANT_ID, source="/test").attributes())
    attributes = good | {"datacontenttype": content_type, "time": "2026-11-26T12:00:00+02:00"}
    envelope = Envelope.parse(json.dumps(attributes).encode(), b"{}")
    assert envelope.time == datetime(2026, 11, 26, 10, tzinfo=UTC)


def test_a_body_over_the_limit_is_refused() -> None:
    attributes = wrap(rename(), tenant_id=PLATFORM_TENANT_ID, source="/test").attributes()
    with pytest.raises(ValueError, match="the limit is"):
        Envelope.parse(attributes, b" " * (MAX_BODY_BYTES + 1))
