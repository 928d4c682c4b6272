"""The signature of a command, as another language would compute it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.envelope import Envelope
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.signing import SigningKey

KEY = "0123456789abcdef" * 4
FULL = Envelope(
    id=UUID(int=1),
    type="prognetwork.tenants.rename_tenant",
    source="/shop",
    tenant_id=PLATFORM_TENANT_ID,
    partition_key="Zoë",
    correlation_id=UUID(int=2),
    time=datetime(2026, 11, 26, 10, 0, 0, 250, tzinfo=UTC),
    data=b'{"name": "\xc3\xa4\x00"}',
    schema_version=2,
    causation_id=UUID(int=3),
    subject="tenant_1",
    actor="user_1",
    traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
    reply_to="prog.replies.x",
)


def test_it_is_hmac_sha_256_over_the_documented_text() -> None:
    text = "\0".join(
        [
            "shop", "0" * 31 + "1", FULL.type, "2", "/shop", PLATFORM_TENANT_ID, "1795687200000250", "Zoë", "tenant_1",
            "user_1", "0" * 31 + "2", "0" * 31 + "3", "prog.replies.x", "",
        ]
    ).encode() + FULL.data  # fmt: skip
    assert SigningKey("shop", KEY).signature(FULL) == hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()


def test_what_an_envelope_does_not_say_is_signed_as_nothing() -> None:
    bare = msgspec.structs.replace(FULL, subject=None, actor=None, causation_id=None, reply_to=None)
    text = "\0".join(
        [
            "shop", "0" * 31 + "1", FULL.type, "2", "/shop", PLATFORM_TENANT_ID, "1795687200000250", "Zoë", "",
            "", "0" * 31 + "2", "", "", "",
        ]
    ).encode() + FULL.data  # fmt: skip
    assert SigningKey("shop", KEY).signature(bare) == hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()


@given(st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=1, max_size=200), st.binary(max_size=300))
def test_keys_of_any_length_do_as_hmac_does(key: str, body: bytes) -> None:
    envelope = msgspec.structs.replace(FULL, data=body)
    one = SigningKey("shop", key).signature(envelope)
    text = SigningKey("shop", KEY)
    head = "\0".join(
        ["shop", FULL.id.hex, FULL.type, "2", "/shop", PLATFORM_TENANT_ID, "1795687200000250", "Zoë", "tenant_1",
         "user_1", FULL.correlation_id.hex, UUID(int=3).hex, "prog.replies.x", ""]
    ).encode()  # fmt: skip
    assert one == hmac.new(key.encode(), head + body, hashlib.sha256).hexdigest()
    assert text.has_signed(envelope) is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", UUID(int=9)), ("type", "prognetwork.tenants.create_tenant"), ("source", "/x"), ("tenant_id", "tenant_x"),
        ("partition_key", "x"), ("correlation_id", UUID(int=9)), ("time", datetime(2027, 1, 1, tzinfo=UTC)),
        ("data", b"{}"), ("schema_version", 3), ("causation_id", None), ("subject", None), ("actor", "user_2"),
        ("reply_to", None), ("producer", "other"), ("signature", None), ("signature", "ä" * 64),
    ],
)  # fmt: skip
def test_whatever_is_changed_afterwards_breaks_it(field: str, value: Any) -> None:
    key = SigningKey("shop", KEY)
    signed = key.signed(FULL)
    assert key.has_signed(signed)
    assert key.has_signed(Envelope.parse(signed.attributes(), signed.data)), "it survives the wire"
    headers = {name.removeprefix("ce_"): value.decode() for name, value in signed.headers() if name.startswith("ce_")}
    assert key.has_signed(Envelope.of(headers, signed.data)), "and Kafka's headers"
    assert not key.has_signed(msgspec.structs.replace(signed, **{field: value}))
    assert not SigningKey("shop", KEY + "x").has_signed(signed)


def test_who_carries_it_may_change_the_trace() -> None:
    key = SigningKey("shop", KEY)
    assert key.has_signed(msgspec.structs.replace(key.signed(FULL), traceparent=None))
