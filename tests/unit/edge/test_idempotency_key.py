"""Which Idempotency-Key headers are taken."""

from __future__ import annotations

import pytest

from prog_edge.idempotency import HEADER, read_key
from prog_edge.problems import Refused


@pytest.mark.parametrize(("header", "key"), [("abc", "abc"), ('"abc"', "abc"), ("a b", "a b"), ("x" * 255, "x" * 255)])
def test_a_key_is_printable_ascii_with_or_without_quotes(header: str, key: str) -> None:
    assert read_key({HEADER: header}, required=True) == key


@pytest.mark.parametrize("header", ["", '""', "x" * 256, "käse", "tab\there"])
def test_another_key_is_refused(header: str) -> None:
    with pytest.raises(Refused) as refused:
        read_key({HEADER: header}, required=False)
    assert (refused.value.status, refused.value.code) == (400, "idempotency_key_invalid")


def test_a_missing_key_is_refused_where_one_is_required() -> None:
    assert read_key({}, required=False) is None
    with pytest.raises(Refused) as refused:
        read_key({}, required=True)
    assert (refused.value.status, refused.value.code) == (400, "idempotency_key_required")
