"""A mail as RFC 5322 text, and how an SMTP server is addressed."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from prog_workers.email.providers.port import OutgoingMail
from prog_workers.email.providers.sendgrid import payload
from prog_workers.email.providers.smtp import SmtpAddress, compose

MAIL = OutgoingMail(
    mail_id="mail_01jd7z4c8nf3ktv9q2m6x0r5we",
    message_id="<mail_01jd7z4c8nf3ktv9q2m6x0r5we@prognetwork.example>",
    attempt=2,
    sender="hello@prognetwork.example",
    sender_name="ProgNetwork",
    recipient="ada@example.com",
    recipient_name="Ada Łovelace, Countess",
    subject_line="Grüße – your receipt",
    text="Hi Ada,\n\n.a line that starts with a dot\n" + "long " * 400 + "\n",
    html="<p>Grüße</p>",
    date=datetime(2027, 2, 14, 12, 0, tzinfo=UTC),
)


def test_a_mail_reads_back_as_it_was_written() -> None:
    raw = compose(MAIL).as_bytes()
    message = message_from_bytes(raw, policy=default)
    assert message["Message-ID"] == MAIL.message_id
    assert message["Subject"] == MAIL.subject_line
    assert message["To"].addresses[0].display_name == MAIL.recipient_name
    assert message["Date"].datetime == MAIL.date
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == MAIL.text.splitlines()
    assert html.get_content().strip() == MAIL.html
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322, section 2.1.1"


def test_answers_go_where_the_mail_says() -> None:
    assert message_from_bytes(compose(MAIL).as_bytes(), policy=default)["Reply-To"] is None
    assert "reply_to" not in payload(MAIL)
    answered = replace(MAIL, reply_to="hello@acme.example")
    assert message_from_bytes(compose(answered).as_bytes(), policy=default)["Reply-To"] == "hello@acme.example"
    assert payload(answered)["reply_to"] == {"email": "hello@acme.example"}


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, "plain"),
        ("smtp://localhost", "localhost", 25, "plain"),
        ("smtp://user:pa%40ss@mail.example.com", "mail.example.com", 587, "starttls"),
        ("smtp://user:pass@127.0.0.1:2525", "127.0.0.1", 2525, "starttls"),
        ("smtp://relay.example.com:25?tls=off", "relay.example.com", 25, "plain"),
        ("smtps://user:pass@mail.example.com", "mail.example.com", 465, "implicit"),
    ],
)
def test_a_server_elsewhere_is_spoken_to_over_tls(url: str, host: str, port: int, tls: str) -> None:
    address = SmtpAddress.parse(url)
    assert (address.host, address.port, address.tls) == (host, port, tls)


def test_a_password_in_the_address_is_unquoted() -> None:
    assert SmtpAddress.parse("smtp://user:pa%40ss@mail.example.com").password == "pa@ss"


@pytest.mark.parametrize("url", ["http://mail.example.com", "smtp://", "mail.example.com:25"])
def test_another_kind_of_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="PROG_SMTP_URL"):
        SmtpAddress.parse(url)


def test_sendgrid_may_not_rewrite_links_that_carry_secrets() -> None:
    body = payload(MAIL)
    assert body["tracking_settings"]["click_tracking"] == {"enable": False, "enable_text": False}
    assert body["tracking_settings"]["open_tracking"] == {"enable": False}
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    assert "mail_01jd7z4c8nf3ktv9q2m6x0r5we" in str(body)
