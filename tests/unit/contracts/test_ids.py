from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts import ids


@given(st.uuids())
def test_an_id_decodes_to_the_uuid_it_was_made_of(value: UUID) -> None:
    assert ids.decode_id(ids.encode_id("invoice", value), "invoice") == value


@given(st.uuids(), st.uuids())
def test_ids_sort_as_their_uuids(first: UUID, second: UUID) -> None:
    in_order = ids.encode_id("user", first) < ids.encode_id("user", second)
    assert in_order == (first < second)


def test_the_specification_s_example_decodes() -> None:
    """TypeID specification, section "Encoding": prefix_01h455vb4pex5vsknk084sn02q."""
    value = ids.decode_id("prefix_01h455vb4pex5vsknk084sn02q")
    assert value == UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user",
        "user_",
        "user_01h455vb4pex5vsknk084sn02",
        "user_81h455vb4pex5vsknk084sn02q",
        "user_01H455VB4PEX5VSKNK084SN02Q",
        "user_01h455vb4pex5vsknk084sn02l",
        "User_01h455vb4pex5vsknk084sn02q",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    assert not ids.is_id(text)
    with pytest.raises(ValueError, match="is not an id"):
        ids.decode_id(text)


def test_an_id_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="starts with tenant_"):
        ids.decode_id(ids.new_id("user"), "tenant")


def test_message_ids_are_uuid_version_7_and_rise() -> None:
    made = [ids.new_message_id() for _ in range(1000)]
    assert {value.version for value in made} == {7}
    assert made == sorted(made)
    assert len(set(made)) == 1000
