"""Addresses of a directory that have been somebody else's: an entry means one account, and an account has one entry."""

from __future__ import annotations

from typing import Any

from tests.component.tenants.company import Company, code
from tests.component.tenants.provider import Provider

OLD, NEW = "ada@example.com", "ada.married@example.com"


def called(address: str) -> dict[str, Any]:
    return {"op": "replace", "path": "emails", "value": [{"value": address, "primary": True}]}


async def renamed(acme: Company) -> tuple[Provider, str, str]:
    """A provider, and the entry and account of somebody who has joined and is called otherwise since."""
    provider = Provider(acme)
    entry, ada = await provider.join(OLD)
    assert (await provider.patch(entry, called(NEW), {"op": "replace", "path": "userName", "value": NEW})).status == (
        "succeeded"
    )
    return provider, entry, ada


async def test_an_address_that_a_member_still_has_is_taken_though_their_entry_says_another(acme: Company) -> None:
    provider, entry, ada = await renamed(acme)
    assert code(await provider.create(OLD)) == "uniqueness"
    assert (await provider.row(entry))["user_id"] == ada
    assert ada in await acme.roles()


async def test_an_entry_that_is_not_active_shuts_nobody_out_who_has_another(acme: Company) -> None:
    provider, entry, ada = await renamed(acme)
    answer = await provider.create(OLD, active=False)
    assert answer.status == "succeeded", answer
    assert ada in await acme.roles(), "her own entry is active"
    assert (await provider.row(entry))["user_id"] == ada


async def test_check_17_whoever_joins_by_another_entry_is_shut_out_by_that_one(acme: Company) -> None:
    provider, entry, ada = await renamed(acme)
    await provider.set_active(entry, False)
    assert ada not in await acme.roles()
    another = await provider.add(OLD)
    assert (await acme.accept(await acme.mailed_token(), OLD, ada)).status == "succeeded"
    assert ada in await acme.roles()
    assert ((await provider.row(entry))["user_id"], (await provider.row(another))["user_id"]) == (None, ada)
    await provider.set_active(another, False)
    assert ada not in await acme.roles()


async def test_whoever_joins_at_the_new_address_of_somebody_s_entry_does_not_become_that_entry(acme: Company) -> None:
    provider, entry, ada = await renamed(acme)
    other = await acme.take_in(NEW, "member")
    assert (await provider.row(entry))["user_id"] == ada
    await provider.set_active(entry, False)
    roles = await acme.roles()
    assert ada not in roles
    assert other in roles, "of whom the provider has said nothing"


async def test_whoever_joins_by_hand_is_not_linked_to_an_entry_that_is_not_active(acme: Company) -> None:
    provider = Provider(acme)
    entry = await provider.add(OLD, active=False)
    ada = await acme.take_in(OLD, "member")
    assert ada in await acme.roles()
    assert (await provider.row(entry))["user_id"] is None
