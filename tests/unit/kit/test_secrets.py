import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_kit.secrets import PASSWORD, TOKEN, Sealer, SealError, audit_seeds, producer_keys, sign_on_purpose

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


def test_what_a_tenant_shares_with_its_provider_opens_for_that_tenant_alone() -> None:
    sealer = Sealer((NEW,))
    sealed = sealer.seal("secret", sign_on_purpose("tenant_1"))
    assert sealer.open(sealed, "sign_on tenant_1") == "secret"
    with pytest.raises(SealError):
        sealer.open(sealed, sign_on_purpose("tenant_2"))


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


def test_what_follows_from_a_key_is_the_same_in_every_version() -> None:
    """Digests that are stored are looked up by later versions, and keys of producers are in others' hands."""
    keys = ("0123456789abcdef" * 4,)
    digest = "097575e461ca75d2996a06d2ad63d62ec2d931bae97e16ab20be8438d4927d20"
    assert Sealer(keys).digest("value", "purpose") == digest
    assert producer_keys(keys, "shop", 2) == ["95f1b5099b4333073a93cb2e516788b28d92b54f9dde7894d4e606fc23e66b68"]
    assert audit_seeds(keys)[0].hex() == "d6e2f8424ecab5197ad41ec75b2807d40dfe78d0a5d2daa46c6c7599db553ed5"


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        Sealer(())


def test_what_the_newest_key_sealed_is_told_from_all_else() -> None:
    sealer = Sealer((NEW, OLD))
    assert sealer.is_current(sealer.seal("secret", TOKEN))
    assert sealer.seal("secret", TOKEN).startswith(sealer.mark)
    for other in (Sealer((OLD,)).seal("secret", TOKEN), "", "é", "x"):
        assert sealer.is_current(other) is False
