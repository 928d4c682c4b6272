"""Filters and orders as SQL mean what scim2-models means by them: both are asked the same, of the same entries.

Filters are made at random, from what the grammar allows and from texts that would break a statement that quotes badly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from scim2_models import ScimFilter, SearchRequest

from prog_contracts.errors import Invalid
from prog_contracts.ids import new_id
from prog_contracts.scim import POLICY, FullUser
from prog_edge.api.scim.answers import search_in
from prog_infra import migrations
from prog_kit.database import Database
from prog_workers.tenants import scim
from prog_workers.tenants.queries import directory
from prog_workers.tenants.queries.directory_filters import search_of
from tests.component.tenants.company import Company
from tests.component.tenants.provider import Provider, user_body

EXTENSION = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SEED = 20_261
EXAMPLES = 400

WORDS = ["ada", "Ada", "ÄDA", "a'b", 'q"uote', "back\\slash", "100%", "under_score", "{brace}", "x", ""]
TEXTS = ["userName", "title", "name.familyName", "displayName", f"{EXTENSION}:department", "externalId", "emails.type"]
OPERATORS = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]

words = st.sampled_from(WORDS).map(lambda text: orjson.dumps(text).decode())
addresses = st.sampled_from(["ADA1@example.com", "ada7@example.com", "home7@example.com", "nobody@example.com"]).map(
    lambda text: orjson.dumps(text).decode()
)
comparisons = st.one_of(
    st.tuples(st.sampled_from(TEXTS), st.sampled_from(OPERATORS), words).map(" ".join),
    st.tuples(st.sampled_from(TEXTS), st.sampled_from(["eq null", "ne null"])).map(" ".join),
    st.sampled_from([*TEXTS, "name", "emails", "active", "emails.value"]).map(lambda name: f"{name} pr"),
    st.tuples(st.just("active"), st.sampled_from(["eq", "ne"]), st.sampled_from(["true", "false"])).map(" ".join),
    st.tuples(st.just("emails.value"), st.sampled_from(OPERATORS), words).map(" ".join),
    st.tuples(st.sampled_from(["eq", "ne", "co"]), addresses).map(lambda pair: f"emails.value {pair[0]} {pair[1]}"),
    addresses.map(lambda address: f'emails[type eq "work" and value eq {address}]'),
    addresses.map(lambda address: f"emails[value eq {address} or primary eq true]"),
    st.sampled_from(["work", "home"]).map(lambda kind: f'emails[type eq "{kind}"]'),
    st.tuples(st.sampled_from(["co", "sw"]), words).map(
        lambda pair: f'emails[type eq "work" and value {pair[0]} {pair[1]}]'
    ),
    st.just("emails[primary eq true and not (type pr)]"),
    st.just('emails[type eq "work"].value co "a"'),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        inner.map(lambda one: f"not ({one})"),
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(lambda it: f"({it[0]}{it[1]}{it[2]})"),
    ),
    max_leaves=5,
)


def made(strategy: st.SearchStrategy[str], count: int) -> list[str]:
    """The same filters every time."""
    found: list[str] = []

    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @seed(SEED)
    @given(strategy)
    def collect(text: str) -> None:
        found.append(text)

    collect()
    return found


def people() -> list[dict[str, Any]]:
    """Users who differ in all that is asked for."""
    found = []
    for number in range(24):
        word, other = WORDS[number % len(WORDS)], WORDS[(number * 7 + 3) % len(WORDS)]
        body = user_body(f"{word}{number}")  # words that differ in case alone would be one name
        body["active"] = number % 3 != 0
        if number % 2:
            body["title"] = word
        if number % 4:
            body["name"] = {"familyName": other, "givenName": word} if number % 3 else {"givenName": "G"}
        if number % 5 == 0:
            body["externalId"] = word or "X"
        if number % 3 == 1:
            body[EXTENSION] = {"department": other or "Sales"}
            body["schemas"] = [*body["schemas"], EXTENSION]
        if number % 3:
            kinds: list[dict[str, Any]] = [{"value": f"Ada{number}@example.com", "type": "Work", "primary": True}]
            if number % 2:
                kinds.append({"value": f"home{number}@example.com"})
            body["emails"] = kinds
        found.append(body)
    return found


@pytest.fixture
async def entries(acme: Company) -> dict[str, FullUser]:
    """The users as the library knows them, by their ids; they are in the database."""
    found = {}
    for body in people():
        state, entry_id = scim.new_user(body), new_id("diruser")
        await acme.platform.fetch(
            "INSERT INTO tenants.directory_users (tenant_id, directory_user_id, name_key, email, active, role,"
            " resource, sought, created_at, updated_at)"
            " VALUES ($1, $2, $3, $4, $5, 'member', $6, $7, now(), now())",
            acme.tenant_id,
            entry_id,
            state.name_key,
            state.email,
            state.active,
            orjson.dumps(state.resource).decode(),
            orjson.dumps(state.sought).decode(),
        )
        found[entry_id] = FullUser.model_validate({**state.resource, "id": entry_id})
    return found


Ask = Callable[..., Any]


@pytest.fixture
def ask(acme: Company, edge: Database) -> Ask:
    async def ask(kind: directory.Kind = "User", limit: int = 200, **asked: Any) -> tuple[int, list[str]]:
        request = search_in(kind, asked)
        async with edge.scope(tenant_id=acme.tenant_id) as connection:
            total, rows = await directory.entries(
                connection, kind, acme.tenant_id, search_of(kind, request, limit=limit)
            )
        return total, [row.id for row in rows]

    return ask


async def test_a_filter_finds_what_the_library_finds(entries: dict[str, Any], ask: Ask) -> None:
    asked = made(filters, EXAMPLES)
    hits = 0
    for text in asked:
        with POLICY:
            parsed = ScimFilter[FullUser](text)
            expected = {entry_id for entry_id, user in entries.items() if parsed.match(user)}
        total, found = await ask(filter=text)
        assert set(found) == expected, text
        assert total == len(expected)
        hits += 0 < total < len(entries)
    assert len(asked) == EXAMPLES
    assert hits > EXAMPLES // 3, "filters that find all or nothing tell nothing"


@pytest.mark.parametrize("by", ["userName", "title", "name.familyName", "active", f"{EXTENSION}:department", "emails"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_an_order_is_that_of_the_library(entries: dict[str, Any], ask: Ask, by: str, order: str) -> None:
    request = SearchRequest[FullUser].model_validate({"sortBy": by, "sortOrder": order})
    _, found = await ask(sortBy=by, sortOrder=order)
    values = [request.sort_value(entries[entry_id]) for entry_id in found]
    assert values == [request.sort_value(user) for user in request.sort(list(entries.values()))]


async def test_pages_are_the_whole_in_order(entries: dict[str, Any], ask: Ask) -> None:
    total, everybody = await ask(sortBy="userName")
    assert total == len(entries)
    pages = [await ask(sortBy="userName", startIndex=start, limit=7) for start in range(1, 30, 7)]
    assert [entry for _, page in pages for entry in page] == everybody
    assert {total for total, _ in pages} == {len(entries)}
    assert (await ask(limit=0)) == (total, [])


async def test_people_are_found_by_group_and_groups_by_member(acme: Company, ask: Ask) -> None:
    okta = Provider(acme)
    one, two = await okta.add("one"), await okta.add("two")
    group, empty = await okta.group("Team", one), await okta.group("Empty")
    assert await ask(filter=f'groups.value eq "{group}"') == (1, [one])
    assert await ask(filter=f'not (groups[value eq "{group}"])') == (1, [two])
    assert await ask("Group", filter=f'members.value eq "{one}"') == (1, [group])
    assert await ask("Group", filter=f'members eq "{one}"') == (1, [group]), "as Entra ID asks"
    assert await ask("Group", filter="not (members pr)") == (1, [empty])
    assert await ask("Group", filter='displayName eq "TEAM"') == (1, [group])


async def test_an_address_is_found_as_long_as_an_entry_has_it(acme: Company, ask: Ask) -> None:
    okta = Provider(acme)
    ada = await okta.add("ada", emails=[{"value": "Ada@example.com", "primary": True}, {"value": "ada@example.com"}])
    assert await ask(filter='emails.value eq "ADA@example.com"') == (1, [ada])
    await okta.patch(ada, {"op": "replace", "path": "emails", "value": [{"value": "byron@example.com"}]})
    assert await ask(filter='emails.value eq "ada@example.com"') == (0, [])
    assert await ask(filter='emails.value eq "byron@example.com"') == (1, [ada])
    await okta.patch(ada, {"op": "remove", "path": "emails"})
    assert await ask(filter='emails.value eq "byron@example.com"') == (0, [])
    await okta.patch(ada, {"op": "add", "path": "emails", "value": [{"value": "ada@example.com"}]})
    await okta.delete(ada)
    assert await acme.platform.fetch("SELECT FROM tenants.directory_addresses") == []


async def test_addresses_from_before_there_was_an_index_are_found(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations.known()
    before = tuple(m for m in every if (m.owner, m.number) < ("tenants", 17) or m.owner == "users")
    monkeypatch.setattr(migrations, "known", lambda: before)
    await migrations.migrate(empty_postgres)
    admin = await asyncpg.connect(empty_postgres)
    try:
        tenant_id, sought = new_id("tenant"), {"emails": [{"value": "ada@x.example"}, {"value": "ada@x.example"}, {}]}
        await admin.execute(
            "INSERT INTO tenants.tenants (tenant_id, name, slug, status, created_at, updated_at)"
            " VALUES ($1, 'Acme', 'acme', 'active', now(), now())",
            tenant_id,
        )
        for entry_id, document in (("diruser_1", sought), ("diruser_2", {})):
            await admin.execute(
                "INSERT INTO tenants.directory_users (tenant_id, directory_user_id, name_key, active, role, resource,"
                " sought, created_at, updated_at) VALUES ($1, $2, $2, true, 'member', '{}', $3, now(), now())",
                tenant_id,
                entry_id,
                orjson.dumps(document).decode(),
            )
        monkeypatch.setattr(migrations, "known", lambda: every)
        await migrations.migrate(empty_postgres)
        rows = await admin.fetch("SELECT address, directory_user_id FROM tenants.directory_addresses")
    finally:
        await admin.close()
    assert [tuple(row) for row in rows] == [("ada@x.example", "diruser_1")]


async def test_another_tenant_s_address_is_not_found(entries: dict[str, Any], acme: Company, edge: Database) -> None:
    search = search_of("User", search_in("User", {"filter": 'emails.value eq "ada1@example.com"'}), limit=10)
    async with edge.scope(tenant_id=new_id("tenant")) as connection:
        assert await directory.entries(connection, "User", acme.tenant_id, search) == (0, [])


READS_ALL: list[tuple[dict[str, str], int]] = [
    ({"filter": 'emails.value co "ada"'}, 1),
    ({"filter": 'emails.value sw "ada"'}, 1),
    ({"filter": 'userName ew "a"'}, 1),
    ({"filter": 'userName ne "ada"'}, 1),
    ({"filter": 'emails.value ne "ada@example.com"'}, 1),
    ({"filter": "title pr"}, 1),
    ({"filter": 'not (userName eq "ada")'}, 1),
    ({"filter": "externalId eq null"}, 1),
    ({"filter": 'userName eq "ada" or title eq "x"'}, 2),
    ({"filter": 'emails[type eq "work" or value eq "ada@example.com"]'}, 2),
    ({"sortBy": "userName"}, 1),
    ({"filter": 'title sw "x"', "sortBy": "userName"}, 2),
]
"""With how much they ask of each entry."""
ASKS_AN_INDEX: list[dict[str, str]] = [
    {},
    {"startIndex": "20"},
    {"filter": 'emails.value eq "ada1@example.com"'},
    {"filter": 'emails[type eq "work" and value eq "ada1@example.com"]', "sortBy": "userName"},
    {"filter": 'userName eq "ada" and title co "x"'},
    {"filter": 'externalId eq "x" or id eq "y"'},
    {"filter": 'groups.value eq "dirgroup_1"'},
]


async def test_what_reads_every_entry_of_a_large_directory_is_refused(
    entries: dict[str, Any], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for asked, parts in READS_ALL:
        monkeypatch.setattr(directory, "LOOKS_MAX", len(entries) * parts)
        await ask(**asked)
        monkeypatch.setattr(directory, "LOOKS_MAX", len(entries) * parts - 1)
        with pytest.raises(Invalid) as refused:
            await ask(**asked)
        assert refused.value.code == "too_many", asked
    monkeypatch.setattr(directory, "LOOKS_MAX", 0)
    for asked in ASKS_AN_INDEX:
        await ask(**asked)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("schemas pr", "invalid_filter"),
        ('meta.version eq "1"', "invalid_filter"),
        ('meta.resourceType eq "User"', "invalid_filter"),
        ('name eq "Ada"', "invalid_filter"),
        ('title[value eq "x"]', "invalid_filter"),
        (" and ".join(['title eq "x"'] * 400), "invalid_filter"),
    ],
)
def test_what_cannot_be_sought_is_told(text: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        search_of("User", search_in("User", {"filter": text}), limit=1)
    assert refused.value.code == code
