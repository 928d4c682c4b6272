"""SCIM's bodies: the shapes that Entra ID and Okta send, and any shape at all."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.errors import Invalid
from prog_contracts.scim import GROUP_MEMBERS_MAX, OPERATIONS_MAX, TEXT_MAX_LENGTH
from prog_workers.tenants import scim
from tests.component.tenants.provider import GROUP, PATCH, USER, listed, patch_body, user_body

EXTENSION = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

ADA = scim.new_user(
    user_body(
        "ada@example.com",
        name={"givenName": "Ada", "familyName": "Lovelace"},
        emails=[{"value": "ada@example.com", "type": "work", "primary": True}],
    )
).resource


def patched(*operations: dict[str, Any]) -> dict[str, Any]:
    return dict(scim.patched_user(ADA, patch_body(*operations)).resource)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        # Entra ID: capital letters, texts for booleans, one operation an attribute, paths with a filter
        ([{"op": "Replace", "path": "active", "value": "False"}], {"active": False}),
        ([{"op": "Replace", "path": "active", "value": [{"$ref": None, "value": "False"}]}], None),
        (
            [{"op": "Replace", "path": 'emails[type eq "work"].value', "value": "new@example.com"}],
            {"emails": [{"value": "new@example.com", "type": "work", "primary": True}]},
        ),
        (
            [{"op": "Add", "path": 'emails[type eq "home"].value', "value": "home@example.com"}],
            {
                "emails": [
                    {"value": "ada@example.com", "type": "work", "primary": True},
                    {"value": "home@example.com", "type": "home"},
                ]
            },
        ),
        (
            [
                {"op": "Add", "path": "displayName", "value": "Ada L."},
                {"op": "Replace", "path": "name.familyName", "value": "King"},
                {"op": "Add", "path": f"{EXTENSION}:department", "value": "Engines"},
                {"op": "Add", "path": f"{EXTENSION}:manager", "value": "someone"},
                {"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": "555"},
                {"op": "Add", "path": 'addresses[type eq "work"].formatted', "value": "Street 1"},
            ],
            {
                "displayName": "Ada L.",
                "name": {"givenName": "Ada", "familyName": "King"},
                EXTENSION: {"department": "Engines"},
            },
        ),
        # Okta: one operation without a path, whose value holds the attributes
        ([{"op": "replace", "value": {"active": False}}], {"active": False}),
        (
            [{"op": "replace", "value": {"name.familyName": "King", f"{EXTENSION}:department": "Engines"}}],
            {"name": {"givenName": "Ada", "familyName": "King"}, EXTENSION: {"department": "Engines"}},
        ),
    ],
)
def test_the_shapes_that_providers_send(operations: list[dict[str, Any]], expected: dict[str, Any] | None) -> None:
    if expected is None:
        with pytest.raises(Invalid):
            patched(*operations)
        return
    after = patched(*operations)
    assert {name: after[name] for name in expected} == expected
    untouched = ADA.keys() - expected.keys() - {"schemas"}
    assert {name: after[name] for name in untouched} == {name: ADA[name] for name in untouched}
    assert not {"phoneNumbers", "addresses"} & after.keys(), "what is not kept is dropped"


OKTA = {
    "schemas": [USER],
    "userName": "ada@example.com",
    "name": {"givenName": "Ada", "middleName": "A", "familyName": "Lovelace"},
    "emails": [{"primary": True, "value": "ada@example.com", "type": "work", "display": "ada@example.com"}],
    "displayName": "Ada Lovelace",
    "locale": "en-US",
    "externalId": "00u1a2b3c4d5e6f7g8h9",
    "groups": [],
    "password": "1mz050nq",
    "active": True,
}
ENTRA = {
    "schemas": [USER, EXTENSION, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/User"],
    "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
    "userName": "Ada@example.com",
    "active": "True",
    "emails": [{"primary": True, "type": "work", "value": "Ada@example.com"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "Ada Lovelace", "familyName": "Lovelace", "givenName": "Ada"},
    "phoneNumbers": [{"type": "mobile", "value": "555"}],
    "roles": [],
    EXTENSION: {"department": "Engines", "manager": {"value": "b1"}},
}


@pytest.mark.parametrize("body", [OKTA, ENTRA])
def test_the_bodies_that_providers_send(body: dict[str, Any]) -> None:
    made = scim.new_user(body)
    assert (made.email, made.active, made.resource["name"]["givenName"]) == ("ada@example.com", True, "Ada")
    assert made.resource["externalId"] == body["externalId"]
    assert not {"password", "groups", "phoneNumbers", "roles", "meta", "id"} & made.resource.keys()
    assert made.resource.get(EXTENSION) == ({"department": "Engines"} if EXTENSION in body else None)
    assert made.resource["schemas"] == ([USER, EXTENSION] if EXTENSION in body else [USER])
    again = {**body, "id": "diruser_1", "groups": [{"value": "dirgroup_1"}], "meta": {"resourceType": "User"}}
    assert scim.replaced_user(made.resource, again).resource == made.resource, "a PUT of the same changes nothing"


def test_all_operations_are_done_or_none() -> None:
    good = {"op": "replace", "path": "title", "value": "Countess"}
    with pytest.raises(Invalid) as refused:
        patched(good, {"op": "replace", "path": "id", "value": "other"})
    assert refused.value.code == "mutability"
    assert "title" not in ADA


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "remove", "path": "userName"}, "mutability"),
        ({"op": "replace", "path": "groups", "value": []}, "mutability"),
        ({"op": "remove"}, "no_target"),
        ({"op": "replace", "path": "emails[", "value": 1}, "invalid_path"),
        ({"op": "steal", "path": "title", "value": "x"}, "invalid_value"),
        ({"op": "add", "path": "title"}, "invalid_value"),
        ({"op": "replace", "path": "userName", "value": 7}, "invalid_value"),
        ({"op": "replace", "path": "userName", "value": "  "}, "invalid_value"),
        ({"op": "replace", "path": "userName", "value": "x" * (TEXT_MAX_LENGTH + 1)}, "invalid_value"),
        ({"op": "replace", "path": "emails", "value": [{"value": "no address"}]}, "invalid_value"),
        ({"op": "add", "path": "emails", "value": [{"value": f"a{n}@b.co"} for n in range(30)]}, "invalid_value"),
    ],
)
def test_what_cannot_be_done_is_told_in_the_standard_s_words(operation: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        patched(operation)
    assert refused.value.code == code
    assert "no address" not in refused.value.message, "the input is never repeated"
    assert "x" * 20 not in refused.value.message


def test_a_request_has_bounds() -> None:
    operation = {"op": "replace", "path": "title", "value": "x"}
    assert patched(*[operation] * OPERATIONS_MAX)["title"] == "x"
    with pytest.raises(Invalid) as refused:
        patched(*[operation] * (OPERATIONS_MAX + 1))
    assert refused.value.code == "too_large"
    crowd = {"schemas": [GROUP], "displayName": "All", "members": listed(*map(str, range(GROUP_MEMBERS_MAX + 1)))}
    with pytest.raises(Invalid):
        scim.new_group(crowd)
    full = scim.GroupState("All", None, frozenset(map(str, range(GROUP_MEMBERS_MAX))))
    with pytest.raises(Invalid):
        scim.patched_group(full, "g", patch_body({"op": "add", "path": "members", "value": listed("one more")}))


@pytest.mark.parametrize(
    ("emails", "user_name", "address"),
    [
        ([{"value": "b@x.co"}, {"value": "A@x.co", "primary": True}], "n", "a@x.co"),
        ([{"value": "b@x.co", "type": "home"}, {"value": "a@x.co", "type": "Work"}], "n", "a@x.co"),
        ([{"value": "b@x.co", "type": "home"}, {"value": "a@x.co"}], "n", "b@x.co"),
        ([], "Ada@X.co", "ada@x.co"),
        ([], "ada", None),
    ],
)
def test_where_somebody_is_invited(emails: list[dict[str, Any]], user_name: str, address: str | None) -> None:
    assert scim.new_user(user_body(user_name, emails=emails)).email == address


def test_nothing_that_is_not_said_makes_anybody_active() -> None:
    inactive = scim.new_user(user_body("ada", active=False)).resource
    unsaid = {name: value for name, value in user_body("ada").items() if name != "active"}
    assert scim.new_user(unsaid).active
    assert not scim.replaced_user(inactive, unsaid).active
    assert not scim.patched_user(ADA, patch_body({"op": "remove", "path": "active"})).active


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["userName", "active", "emails", "members", "displayName", "name", "groups", "id", "meta", "externalId", EXTENSION]
)
paths = st.one_of(
    names,
    st.text(max_size=15),
    st.tuples(names, st.sampled_from(["value", "type", "x"]), st.text(max_size=5)).map(
        lambda it: f'{it[0]}[{it[1]} eq "{it[2]}"]'
    ),
    st.tuples(names, st.text(max_size=5)).map(".".join),
)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "Replace", "remove", "x"]) | anything},
    optional={"path": paths | anything, "value": anything | st.dictionaries(names, anything, max_size=3)},
)


@given(st.lists(operations | anything, max_size=4))
def test_any_patch_is_done_or_refused(asked: list[Any]) -> None:
    body = {"schemas": [PATCH], "Operations": asked}
    before = scim.GroupState("Team", None, frozenset({"a", "b"}))
    for change in (
        lambda: scim.patched_user(ADA, body).resource["userName"],
        lambda: scim.patched_group(before, "g", body).display_name,
    ):
        with suppress(Invalid):
            assert change()


@given(st.dictionaries(names | st.text(max_size=10), anything, max_size=5))
def test_any_body_is_taken_or_refused(body: dict[str, Any]) -> None:
    for make in (scim.new_user, scim.new_group, lambda it: scim.replaced_user(ADA, it)):
        with suppress(Invalid):
            make({"schemas": [GROUP if make is scim.new_group else USER], **body})
