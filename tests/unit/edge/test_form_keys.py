"""The message id that stands for a form."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.ids import new_message_id
from prog_edge.backend.sender import message_id_of

TYPE = "prognetwork.tenants.create_tenant"


@given(st.text(), st.none() | st.text())
def test_the_same_form_is_the_same_message(key: str, actor: str | None) -> None:
    found = message_id_of(key, actor, TYPE)
    assert found == message_id_of(key, actor, TYPE)
    assert found.version in (7, 8)
    assert found.variant == "specified in RFC 4122"


def test_two_people_with_one_key_send_two_messages() -> None:
    key = str(new_message_id())
    ids = {message_id_of(key, "user_a", TYPE), message_id_of(key, "user_b", TYPE), message_id_of(key, None, TYPE)}
    assert len(ids) == 3
    assert message_id_of(key, "user_a", "prognetwork.payments.pay_invoice") not in ids


def test_the_message_has_the_time_of_its_form() -> None:
    form = new_message_id()
    found = message_id_of(str(form), "user_a", TYPE)
    assert found.version == 7
    assert found.int >> 80 == form.int >> 80
    assert found != form
