"""What a message says once a person is forgotten."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from prog_workers.events.forgetting.scrubbing import NO_ADDRESS, NO_NAME, Sought, body, value

ADA = Sought("user_01jd7z4c8nf3ktv9q2m6x0r5we", "ada@example.com", "Ada Lovelace", ("d1", "d2"))
OTHER = "user_01jd7z4c8nf3ktv9q2m6x0r5wf"

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "an account's own fields, under a name from before, too",
        {"user_id": ADA.user_id, "email": "ada@example.com", "name": "Ada Byron", "client_address": "192.0.2.7"},
        {"user_id": ADA.user_id, "email": NO_ADDRESS, "name": NO_NAME, "client_address": None},
    ),
    (
        "an owner's fields beside the tenant's",
        {"tenant_id": "t", "name": "Acme", "owner_email": "ada@example.com", "owner_name": "Ada"},
        {"tenant_id": "t", "name": "Acme", "owner_email": NO_ADDRESS, "owner_name": NO_NAME},
    ),
    (
        "a mail to the person",
        {"to": "Ada@Example.com", "to_name": "Ada", "data": {"name": "Ada", "tenant_name": "Acme"}},
        {"to": NO_ADDRESS, "to_name": NO_NAME, "data": {"name": NO_NAME, "tenant_name": "Acme"}},
    ),
    (
        "an address within a text",
        {"reason": "550 <ada@example.com>: unknown"},
        {"reason": f"550 <{NO_ADDRESS}>: unknown"},
    ),
    (
        "a digest by which the address is found",
        {"email_digest": "d2", "client_address": "192.0.2.7"},
        {"email_digest": ADA.user_id, "client_address": None},
    ),
    (
        "a subject that names them",
        {"to": "bob@example.com", "subject_line": "Ada Lovelace invites you"},
        {"to": "bob@example.com", "subject_line": f"{NO_NAME} invites you"},
    ),
    (
        "what an identity provider calls them, at another address, too",
        {"directory_user_id": "d", "user_name": "a.lovelace", "email": "ada@work.example", "user_id": ADA.user_id},
        {"directory_user_id": "d", "user_name": NO_NAME, "email": NO_ADDRESS, "user_id": ADA.user_id},
    ),
    (
        "what it called them before they had joined",
        {"directory_user_id": "d", "user_name": "a.lovelace", "email": "ada@example.com"},
        {"directory_user_id": "d", "user_name": NO_NAME, "email": NO_ADDRESS},
    ),
    (
        "who the person was, sealed",
        {"user_id": ADA.user_id, "sealed_person": "x"},
        {"user_id": ADA.user_id, "sealed_person": ""},
    ),
    (
        "a list of people",
        {"members": [{"user_id": ADA.user_id, "name": "Ada"}, {"user_id": OTHER, "name": "Bob"}]},
        {"members": [{"user_id": ADA.user_id, "name": NO_NAME}, {"user_id": OTHER, "name": "Bob"}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [pytest.param(b, a, id=name) for name, b, a in CASES])
def test_what_names_the_person_goes(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert value(before, ADA) == after
    assert value(after, ADA) == after, "once more it changes nothing"


@pytest.mark.parametrize(
    "others",
    [
        {"user_id": OTHER, "email": "nada@example.com.org", "name": "Bob", "client_address": "192.0.2.8"},
        {"user_id": OTHER, "email": "bob@example.com", "name": "Ada Lovelace"},
        {"tenant_id": "t", "name": "Ada Lovelace", "owner_email": "bob@example.com", "owner_name": "Bob"},
        {"user_id": OTHER, "sealed_person": "x"},
        {"user_id": ADA.user_id, "owner_user_id": OTHER, "owner_email": "bob@example.com", "user_name": None},
        {"amount": 1999, "paid": True, "next": None},
    ],
)
def test_what_is_somebody_else_s_stays(others: dict[str, Any]) -> None:
    assert value(others, ADA) == others


def test_an_invitation_that_they_sent_does_not_name_them_in_its_subject() -> None:
    sent = {"template": "invitation", "to": "bob@example.com", "subject_line": "Ada Byron invites you to Acme"}
    assert value(sent, ADA, acted=True) == {**sent, "subject_line": "invitation"}
    assert value(sent, ADA) == sent, "somebody else's stays"
    paid = {"template": "receipt", "to": "bob@example.com", "subject_line": "Receipt 7"}
    assert value(paid, ADA, acted=True) == paid


def test_of_what_the_person_sent_the_name_and_where_they_were_go_too() -> None:
    invitation = {"to": "bob@example.com", "data": {"inviter_name": "Ada Byron", "tenant_name": "Acme"}}
    assert value(invitation, ADA) == invitation
    sent = value(invitation, ADA, acted=True)
    assert sent == {"to": "bob@example.com", "data": {"inviter_name": NO_NAME, "tenant_name": "Acme"}}
    assert ADA.acted(f"{ADA.user_id}/apikey_1")
    assert not ADA.acted(OTHER)
    assert not ADA.acted(None)


def test_a_body_that_is_no_json_loses_the_texts_alone() -> None:
    assert body(b"\xffada@example.com, Ada Lovelace!", ADA, actor=None) == (
        b"\xff" + f"{NO_ADDRESS}, {NO_NAME}!".encode()
    )


def test_a_body_that_does_not_name_the_person_stays_byte_by_byte() -> None:
    data = b'{ "user_id":"x" , "n": 1.0 }'
    assert body(data, ADA, actor=ADA.user_id) is data


def test_a_name_with_quotes_is_found_as_it_stands_in_json() -> None:
    sought = Sought(ADA.user_id, 'a"b@example.com', "X")
    assert sought.needles[0] == rb"a\"b@example.com"
    assert orjson.loads(body(orjson.dumps({"email": 'a"b@example.com'}), sought, actor=None)) == {"email": NO_ADDRESS}


@pytest.mark.parametrize(
    ("key", "forgotten"),
    [("ada@example.com", ADA.user_id), ("ADA@example.com", ADA.user_id), ("d1", ADA.user_id), ("tenant_1", "tenant_1")],
)
def test_a_key_that_was_the_address_is_the_id(key: str, forgotten: str) -> None:
    assert ADA.key(key) == forgotten
    assert ADA.key(None) is None
