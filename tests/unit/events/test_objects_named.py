"""The objects of a message are found in its bytes, exactly those that parsing its JSON would find."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.ids import is_id, new_id
from prog_workers.events.rules import MAX_IDS_PER_MESSAGE, objects_named

USER, TENANT, INVOICE = new_id("user"), new_id("tenant"), new_id("invoice")

ids = st.sampled_from(["user", "tenant", "a", "payment_method", "x_y_z"]).map(new_id)
leaves = st.one_of(ids, st.text(), st.integers(), st.none(), ids.map(lambda text: f"see {text}"))
bodies = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4))
)


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in (key, *strings(item))]
    return [found for item in value for found in strings(item)] if isinstance(value, list) else []


def test_the_subject_comes_first_and_nothing_twice() -> None:
    body = json.dumps({"tenant_id": TENANT, "user_id": USER, "lines": [{"invoice_id": INVOICE}, TENANT]})
    assert objects_named(USER, body.encode()) == [USER, TENANT, INVOICE]


def test_a_subject_that_is_no_id_is_left_out() -> None:
    assert objects_named("somebody@example.org", b"{}") == []
    assert objects_named(None, b"{}") == []


def test_an_id_inside_a_longer_text_is_no_mention() -> None:
    assert objects_named(None, json.dumps({"note": f"about {USER}", "url": f"/v1/users/{USER}"}).encode()) == []


def test_more_than_the_limit_are_left_out() -> None:
    many = [new_id("user") for _ in range(MAX_IDS_PER_MESSAGE * 2)]
    assert objects_named(TENANT, json.dumps(many).encode()) == [TENANT, *many[: MAX_IDS_PER_MESSAGE - 1]]


@given(bodies)
def test_bytes_give_what_parsing_gives(body: Any) -> None:
    by_parsing = list(dict.fromkeys(text for text in strings(body) if is_id(text)))
    assert objects_named(None, json.dumps(body).encode(), limit=10_000) == by_parsing
