"""Messages of other versions: older ones are led up to the handler's version, newer ones wait for an upgrade."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from prog_broker import Domain, Transaction
from prog_broker.decoding import Incoming, Rejected, decode
from prog_broker.ports import Delivery, Shard
from prog_contracts import compatibility, messages, schemas, upcasting
from prog_contracts.envelope import Envelope
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.messages import Event, Message, all_messages, event
from prog_contracts.topics import TOPICS
from prog_contracts.upcasting import Body, UnknownVersion, UpcastFailed, newest, upcast, upcaster

TYPE = "prognetwork.tenants.plan_chosen"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "plan_chosen.v1.json").read_text())
SHARD = Shard("payments", TOPICS["prog.tenants.events"], 0)


@dataclass
class PlanChosen:
    """The three versions of a message that only these tests know."""

    v1: type[Message]
    v2: type[Message]
    v3: type[Message]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of the registries, so that nothing declared in a test is known outside of it."""
    monkeypatch.setattr(messages, "_registry", dict(messages._registry))
    monkeypatch.setattr(upcasting, "_upcasters", dict(upcasting._upcasters))


@pytest.fixture
def versions(registry: None) -> PlanChosen:
    @event(TYPE, key="plan_id")
    class PlanChosenV1(Event):
        plan_id: str
        who: str
        price: str

    @event(TYPE, key="plan_id", version=2)
    class PlanChosenV2(Event):
        plan_id: str
        given_name: str
        family_name: str
        price: str

    @event(TYPE, key="plan_id", version=3)
    class PlanChosenV3(Event):
        plan_id: str
        given_name: str
        family_name: str
        amount_minor: int
        currency: str
        seats: int = 1

    return PlanChosen(PlanChosenV1, PlanChosenV2, PlanChosenV3)


@pytest.fixture
def chain(versions: PlanChosen) -> PlanChosen:
    @upcaster(TYPE, from_version=1)
    def split_name(body: Body) -> Body:
        given, _, family = body.pop("who").partition(" ")
        return body | {"given_name": given, "family_name": family}

    @upcaster(TYPE, from_version=2)
    def price_in_minor_units(body: Body) -> Body:
        amount, currency = body.pop("price").split()
        units, _, cents = amount.partition(".")
        return body | {"amount_minor": int(units) * 100 + int(cents), "currency": currency}

    return versions


def delivered(body: dict[str, Any] | bytes, version: int) -> Delivery:
    envelope = Envelope(
        id=new_message_id(),
        type=TYPE,
        source="/test",
        tenant_id=new_id("tenant"),
        partition_key="plan_1",
        correlation_id=new_message_id(),
        time=datetime(2027, 1, 1, tzinfo=UTC),
        data=body if isinstance(body, bytes) else orjson.dumps(body),
        schema_version=version,
    )
    return Delivery(b"1-1", envelope.attributes(), envelope.data)


def reader(model: type[Message]) -> Domain:
    payments = Domain("payments")

    @payments.handles(model)
    async def hear(event: Message, tx: Transaction) -> None: ...

    return payments


def read(model: type[Message], delivery: Delivery) -> Incoming | Rejected | None:
    return decode(reader(model), SHARD, delivery)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["v1"]["plan_id"])
def test_requirement_26_a_v1_event_through_the_chain_equals_its_golden_v3(
    golden: dict[str, Any], chain: PlanChosen
) -> None:
    item = read(chain.v3, delivered(golden["v1"], 1))
    assert isinstance(item, Incoming)
    assert item.message == chain.v3(**golden["v3"])
    assert item.message is not None
    assert item.message.model_dump() == golden["v3"]
    assert item.envelope.schema_version == 1, "the envelope says what was sent"


def test_requirement_26_each_version_is_led_to_the_version_that_the_handler_reads(chain: PlanChosen) -> None:
    v1, v2 = GOLDEN[0]["v1"], {"plan_id": "plan_1", "given_name": "Ada", "family_name": "L", "price": "1.00 USD"}
    from_first, from_second = read(chain.v2, delivered(v1, 1)), read(chain.v3, delivered(v2, 2))
    assert isinstance(from_first, Incoming)
    assert isinstance(from_first.message, chain.v2)
    assert isinstance(from_second, Incoming)
    assert isinstance(from_second.message, chain.v3)


def test_requirement_26_a_future_version_is_a_dead_letter_that_says_what_to_do(chain: PlanChosen) -> None:
    item = read(chain.v3, delivered({"plan_id": "plan_1"}, 4))
    assert isinstance(item, Rejected)
    assert item.code == "unknown_version"
    assert "version 4; this code reads versions 1 to 3" in item.reason
    assert "upgrade this consumer and redrive" in item.reason
    assert item.error is None, "nobody sent anything wrong"


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_that_cannot_be_is_rejected(version: int, chain: PlanChosen) -> None:
    item = read(chain.v3, delivered(GOLDEN[0]["v1"], version))
    assert isinstance(item, Rejected)
    assert item.code == "unknown_version"


def test_a_chain_with_a_gap_is_a_dead_letter_and_not_a_guess(versions: PlanChosen) -> None:
    @upcaster(TYPE, from_version=1)
    def first(body: Body) -> Body:
        return body

    item = read(versions.v3, delivered(GOLDEN[0]["v1"], 1))
    assert isinstance(item, Rejected)
    assert item.code == "unknown_version"
    assert "no upcaster leads on from version 2" in item.reason
    assert list(upcasting.broken_chains()) == [
        f"{TYPE}: version 1 is declared, and no upcaster leads on from 2",
        f"{TYPE}: version 2 is declared, and no upcaster leads on from 2",
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"plan_id": "plan_1", "who": 7, "price": "1.00 USD"}, "version 1: AttributeError"),
        ({"plan_id": "plan_1", "price": "1.00 USD"}, "version 1: KeyError"),
        ({"plan_id": "plan_1", "who": "Ada", "price": "free"}, "version 2: ValueError"),
        (b"[]", "no JSON object"),
        (b"{", "no JSON"),
    ],
)
def test_an_old_body_that_breaks_its_own_schema_is_refused_with_the_reason(
    body: dict[str, Any] | bytes, told: str, chain: PlanChosen
) -> None:
    item = read(chain.v3, delivered(body, 1))
    assert isinstance(item, Rejected)
    assert item.code == "invalid_body"
    assert told in item.reason


def test_what_an_upcaster_makes_is_held_against_the_schema(versions: PlanChosen) -> None:
    @upcaster(TYPE, from_version=2)
    def forgetful(body: Body) -> Body:
        return {"plan_id": body["plan_id"]}

    item = read(versions.v3, delivered({"plan_id": "plan_1"}, 2))
    assert isinstance(item, Rejected)
    assert item.code == "invalid_body"
    assert item.error is not None
    assert {field.field for field in item.error.fields} == {"given_name", "family_name", "amount_minor", "currency"}


def test_requirement_25_an_older_consumer_reads_a_newer_producer_within_a_version(registry: None) -> None:
    """The producer has a field more; the consumer's code does not know it."""

    @event(TYPE, key="plan_id")
    class Consumers(Event):
        plan_id: str
        who: str

    item = read(Consumers, delivered({"plan_id": "plan_1", "who": "Ada", "coupon": "SPRING"}, 1))
    assert isinstance(item, Incoming)
    assert item.message == Consumers(plan_id="plan_1", who="Ada")


def test_requirement_25_a_newer_consumer_reads_an_older_producer_within_a_version(registry: None) -> None:
    @event(TYPE, key="plan_id")
    class Consumers(Event):
        plan_id: str
        who: str
        coupon: str | None = None

    item = read(Consumers, delivered({"plan_id": "plan_1", "who": "Ada"}, 1))
    assert isinstance(item, Incoming)
    assert item.message == Consumers(plan_id="plan_1", who="Ada", coupon=None)


def test_requirement_25_across_versions_newer_reads_older_and_older_waits_for_its_upgrade(chain: PlanChosen) -> None:
    assert isinstance(read(chain.v3, delivered(GOLDEN[0]["v1"], 1)), Incoming)
    older = read(chain.v2, delivered(GOLDEN[0]["v3"], 3))
    assert isinstance(older, Rejected)
    assert older.code == "unknown_version"


def test_requirement_25_a_change_that_one_side_could_not_read_is_refused_by_the_check(chain: PlanChosen) -> None:
    """What became versions 2 and 3 could not have been done within version 1."""
    before, after = schemas.schema(chain.v1), schemas.schema(chain.v2)
    after["x-prognetwork"] = before["x-prognetwork"]
    refused = {(problem.path, problem.rule) for problem in compatibility.problems(before, after)}
    assert refused == {("who", "field_removed"), ("given_name", "required_added"), ("family_name", "required_added")}


def test_every_older_version_of_the_product_has_an_unbroken_chain() -> None:
    assert list(upcasting.broken_chains()) == []


def test_a_step_that_leads_nowhere_is_found(chain: PlanChosen) -> None:
    assert list(upcasting.broken_chains()) == []

    @upcaster(TYPE, from_version=3)
    def beyond(body: Body) -> Body:
        return body

    assert list(upcasting.broken_chains()) == [
        f"{TYPE}: an upcaster leads on from version 3, which no newer version follows"
    ]


def test_two_upcasters_of_one_step_are_refused(chain: PlanChosen) -> None:
    with pytest.raises(ValueError, match="two upcasters"):
        upcaster(TYPE, from_version=1)(lambda body: body)


def test_the_newest_version_is_what_tools_write(chain: PlanChosen) -> None:
    assert newest(TYPE) is chain.v3
    assert newest("prognetwork.tenants.never_heard_of") is None


def test_upcasting_to_the_same_version_changes_nothing(chain: PlanChosen) -> None:
    assert upcast(TYPE, {"a": 1}, from_version=2, to_version=2) == {"a": 1}
    with pytest.raises(UnknownVersion, match="reads version 1"):
        upcast(TYPE, {}, from_version=2, to_version=1)
    with pytest.raises(UpcastFailed):
        upcast(TYPE, {}, from_version=1, to_version=2)


def test_the_messages_of_these_tests_are_not_the_product_s() -> None:
    assert all(model.TYPE != TYPE for model in all_messages())
    assert not [name for name in schemas.documents() if "plan_chosen" in name]
    assert not [key for key in upcasting._upcasters if key[0] == TYPE]
