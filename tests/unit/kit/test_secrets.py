import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_kit.secrets import PASSWORD, TOKEN, Sealer, SealError

OLD, NEW = "o" * 32, "n" * 32


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_again(secret: str) -> None:
    sealer = Sealer((NEW,))
    assert sealer.open(sealer.seal(secret, PASSWORD), PASSWORD) == secret


def test_a_sealed_value_shows_nothing_and_is_never_the_same_twice() -> None:
    sealer = Sealer((NEW,))
    first, second = sealer.seal("hunter2", PASSWORD), sealer.seal("hunter2", PASSWORD)
    assert first != second
    assert "hunter2" not in first


def test_a_value_opens_for_its_own_purpose_alone() -> None:
    sealer = Sealer((NEW,))
    with pytest.raises(SealError):
        sealer.open(sealer.seal("secret", PASSWORD), TOKEN)


def test_after_a_rotation_old_values_still_open_and_new_ones_need_the_new_key() -> None:
    before, after = Sealer((OLD,)), Sealer((NEW, OLD))
    assert after.open(before.seal("secret", TOKEN), TOKEN) == "secret"
    with pytest.raises(SealError):
        before.open(after.seal("secret", TOKEN), TOKEN)


def test_a_rotation_ends_with_dropping_the_old_key() -> None:
    before, during, after = Sealer((OLD,)), Sealer((NEW, OLD)), Sealer((NEW,))
    sealed = before.seal("secret", TOKEN)
    assert (before.is_current(sealed), during.is_current(sealed)) == (True, False)
    moved = during.reseal(sealed, TOKEN)
    assert during.is_current(moved)
    assert after.open(moved, TOKEN) == "secret"
    with pytest.raises(SealError):
        after.reseal(sealed, TOKEN)
    assert not after.is_current("no sealed value")


def test_what_was_stored_by_its_digest_is_found_while_its_key_is_kept() -> None:
    before, during, after = Sealer((OLD,)), Sealer((NEW, OLD)), Sealer((NEW,))
    assert during.digests("x", TOKEN) == [after.digest("x", TOKEN), before.digest("x", TOKEN)]
    assert during.digest("x", TOKEN) == after.digest("x", TOKEN), "what is stored outlives the old key"
    assert before.digest("x", TOKEN) not in after.digests("x", TOKEN)
    assert before.digest("x", TOKEN) != before.digest("x", PASSWORD)


@pytest.mark.parametrize("broken", ["", "x", "AAAA", "é", "A" * 400])
def test_what_was_never_sealed_does_not_open(broken: str) -> None:
    with pytest.raises(SealError):
        Sealer((NEW,)).open(broken, TOKEN)


def test_a_changed_value_does_not_open() -> None:
    sealer = Sealer((NEW,))
    sealed = sealer.seal("secret", TOKEN)
    changed = sealed[:-2] + ("A" if sealed[-2] != "A" else "B") + sealed[-1]
    with pytest.raises(SealError):
        sealer.open(changed, TOKEN)
