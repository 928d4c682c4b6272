"""Decisions about mails."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.errors import Invalid
from prog_contracts.ids import decode_id, new_message_id
from prog_workers.email import rules


def test_a_message_and_a_template_always_give_the_same_mail() -> None:
    message, other = new_message_id(), new_message_id()
    first = rules.derived_mail_id(message, "receipt")
    assert first == rules.derived_mail_id(message, "receipt")
    assert len({first, rules.derived_mail_id(message, "welcome"), rules.derived_mail_id(other, "receipt")}) == 3


@given(st.uuids(version=4))
def test_a_derived_mail_id_is_a_uuid_of_version_7_made_at_the_message_s_time(message: UUID) -> None:
    value = decode_id(rules.derived_mail_id(message, "receipt"), "mail")
    assert (value.version, value.variant) == (7, "specified in RFC 4122")
    assert value.bytes[:6] == message.bytes[:6]


def test_a_message_id_names_its_mail() -> None:
    message_id = rules.internet_message_id("mail_01jd7z4c8nf3ktv9q2m6x0r5we", "hello@prognetwork.example")
    assert message_id == "<mail_01jd7z4c8nf3ktv9q2m6x0r5we@prognetwork.example>"
    assert rules.mail_id_of(message_id) == "mail_01jd7z4c8nf3ktv9q2m6x0r5we"
    assert rules.mail_id_of("<abc@elsewhere.example>") is None
    assert rules.mail_id_of(None) is None


@given(st.text())
def test_a_header_line_is_one_printable_line(text: str) -> None:
    line = rules.one_line(text)
    assert line.isprintable()
    assert len(line) <= rules.MAX_HEADER_LENGTH
    assert line == line.strip()


@pytest.mark.parametrize(
    ("name", "greeted"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Ada\r\nBcc: all@example.com", None),
        ("  ", None),
        (None, None),
        ("Click https://evil.example now", None),
        ("www.evil.example", None),
        ("buy at evil.com", None),
        ("Dr. J. R. Ewing", "Dr. J. R. Ewing"),
    ],
)
def test_only_a_name_is_greeted(name: str | None, greeted: str | None) -> None:
    assert rules.greeting_name(name) == greeted


@pytest.mark.parametrize(
    ("status", "step"),
    [
        ("queued", "send"),
        ("sending", "ask"),
        ("sent", "nothing"),
        ("failed", "nothing"),
        ("held", "nothing"),
        ("suppressed", "nothing"),
    ],
)
def test_a_mail_of_unknown_outcome_is_asked_for_before_it_is_sent(status: rules.MailStatus, step: rules.Step) -> None:
    assert rules.next_step(status) == step


@pytest.mark.parametrize(
    ("reason", "bad"),
    [
        ("550 5.1.1 no such user", True),
        ("553 5.1.3 bad address", True),
        ("554 5.7.1 spam", False),
        ("552 5.2.2 mailbox full", False),
        ("550 mailbox 15.1.10", False),
    ],
)
def test_a_refusal_of_the_address_is_told_from_one_of_the_mail(reason: str, bad: bool) -> None:
    assert rules.is_bad_address(reason) is bad


@given(st.text(max_size=200))
def test_what_a_visitor_writes_can_be_stored(text: str) -> None:
    stored = rules.lead_message(text)
    assert stored is not None
    assert "\0" not in stored
    stored.encode()


def test_a_visitor_s_message_has_an_end() -> None:
    with pytest.raises(Invalid):
        rules.lead_message("x" * (rules.MAX_LEAD_MESSAGE_LENGTH + 1))
