"""One suite for every provider: what the port promises holds for SMTP, the development mailbox and SendGrid."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from prog_contracts.ids import new_id
from prog_kit.database import Database
from prog_kit.settings import Settings, SettingsError
from prog_workers.email import providers
from prog_workers.email.mailbox import serving
from prog_workers.email.providers.mailbox import MailboxProvider
from prog_workers.email.providers.port import Accepted, Deferred, MailProvider, OutgoingMail, Rejected, Unknown
from prog_workers.email.providers.sendgrid import SendgridProvider
from prog_workers.email.providers.smtp import SmtpAddress, SmtpProvider, TlsMode
from tests.integration.email.servers import (
    Behaviour,
    Pair,
    Server,
    sendgrid_pair,
    smtp_pair,
    smtp_server,
)


@asynccontextmanager
async def mailbox_pair(url: str) -> AsyncIterator[Pair]:
    database = await Database.connect(url, "prog_email", max_size=4)
    async with serving(database, 0) as port:
        yield Pair(MailboxProvider(SmtpAddress.parse(f"smtp://127.0.0.1:{port}"), database), Server())
    await database.close()


@pytest.fixture(params=["smtp", "mailbox", "sendgrid"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    if request.param == "mailbox":
        opened = mailbox_pair(request.getfixturevalue("postgres"))
    else:
        opened = {"smtp": smtp_pair, "sendgrid": sendgrid_pair}[request.param]()
    async with opened as pair:
        assert pair.provider.name == request.param
        yield pair


@pytest.fixture(params=["smtp", "sendgrid"])
async def moody_pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    async with {"smtp": smtp_pair, "sendgrid": sendgrid_pair}[request.param](timeout_seconds=0.3) as pair:
        yield pair


def outgoing(attempt: int = 1) -> OutgoingMail:
    mail_id = new_id("mail")
    return OutgoingMail(
        mail_id=mail_id,
        message_id=f"<{mail_id}@prognetwork.example>",
        attempt=attempt,
        sender="hello@prognetwork.example",
        sender_name="ProgNetwork",
        recipient="ada@example.com",
        recipient_name="Ada Łovelace",
        subject_line="Grüße",
        text="Hi Ada,\n\n.dot\nhttps://prog.example/account/verify?token=abc\n",
        html="<p>Grüße</p>\n",
        date=datetime(2027, 2, 14, tzinfo=UTC),
    )


async def test_a_mail_that_is_accepted_can_be_found_or_not_told_but_is_never_absent(pair: Pair) -> None:
    mail = outgoing()
    assert isinstance(await pair.provider.send(mail), Accepted)
    assert isinstance(await pair.provider.find(mail.message_id, mail.mail_id, 1), Accepted | Unknown)


async def test_a_mail_that_was_never_sent_is_not_found(pair: Pair) -> None:
    mail = outgoing()
    assert not isinstance(await pair.provider.find(mail.message_id, mail.mail_id, 1), Accepted)


async def test_many_mails_at_once_are_all_accepted(pair: Pair) -> None:
    results = await asyncio.gather(*(pair.provider.send(outgoing()) for _ in range(20)))
    assert {type(result) for result in results} == {Accepted}


async def test_a_mail_arrives_as_it_was_written(moody_pair: Pair) -> None:
    mail = outgoing()
    await moody_pair.provider.send(mail)
    (arrived,) = moody_pair.server.arrived
    assert (arrived.message_id, arrived.recipient, arrived.subject) == (mail.message_id, mail.recipient, "Grüße")
    assert arrived.text.splitlines() == mail.text.splitlines()
    assert arrived.html.strip() == mail.html.strip()


@pytest.mark.parametrize(
    ("behaviour", "result"),
    [
        ("refuses", Rejected),
        ("defers", Deferred),
        ("hangs_up_after_taking", Unknown),
        ("is_silent_after_taking", Unknown),
    ],
)
async def test_what_is_certain_is_told_from_what_nobody_knows(
    moody_pair: Pair, behaviour: Behaviour, result: type
) -> None:
    moody_pair.server.behaviour = behaviour
    assert isinstance(await moody_pair.provider.send(outgoing()), result)


@pytest.mark.parametrize(
    "provider",
    [
        SmtpProvider(SmtpAddress.parse("smtp://127.0.0.1:1")),
        SendgridProvider("SG.key", "http://127.0.0.1:1"),
    ],
    ids=lambda provider: provider.name,
)
async def test_a_provider_that_is_away_has_taken_nothing(provider: MailProvider) -> None:
    assert isinstance(await provider.send(outgoing()), Deferred)


async def test_a_wrong_key_is_not_the_mail_s_fault() -> None:
    async with sendgrid_pair() as pair:
        assert isinstance(pair.provider, SendgridProvider)
        pair.provider._client.headers["Authorization"] = "Bearer revoked"
        assert isinstance(await pair.provider.send(outgoing()), Deferred)


async def test_sendgrid_finds_a_mail_whose_answer_was_lost() -> None:
    async with sendgrid_pair() as pair:
        mail = outgoing()
        pair.server.behaviour = "hangs_up_after_taking"
        await pair.provider.send(mail)
        found = await pair.provider.find(mail.message_id, mail.mail_id, 1)
        assert found == Accepted(f"sg-{mail.mail_id}")


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own for localhost; the file `ca.pem` holds it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(made.public_bytes(encoding))
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    return context


@pytest.mark.parametrize("mode", ["implicit", "starttls"])
async def test_a_mail_travels_over_tls_that_is_checked(
    mode: TlsMode, certificate: ssl.SSLContext, tmp_path: Path
) -> None:
    server = Server()
    async with smtp_server(server, certificate, implicit=mode == "implicit") as port:
        local = SmtpAddress.parse(f"smtp://localhost:{port}")
        address = replace(local, tls=mode)
        trusting = SmtpProvider(address, tls_context=ssl.create_default_context(cafile=tmp_path / "ca.pem"))
        assert isinstance(await trusting.send(outgoing()), Accepted)
        stranger = await SmtpProvider(address).send(outgoing())
    assert isinstance(stranger, Deferred)
    assert len(server.arrived) == 1


async def test_a_server_without_tls_gets_no_mail_that_asks_for_it() -> None:
    server = Server()
    async with smtp_server(server) as port:
        address = replace(SmtpAddress.parse(f"smtp://127.0.0.1:{port}"), tls="starttls")
        assert isinstance(await SmtpProvider(address).send(outgoing()), Deferred)
    assert server.arrived == []


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"PROG_SMTP_URL": "smtp://127.0.0.1:2525", "PROG_SMTP_LISTEN_PORT": "2525"}, "mailbox"),
        ({"PROG_SMTP_URL": "smtp://127.0.0.1:2525", "PROG_SMTP_LISTEN_PORT": "2526"}, "smtp"),
        ({"PROG_SMTP_URL": "smtp://u:p@mail.example.com"}, "smtp"),
        ({"PROG_SMTP_URL": "smtp://u:p@mail.example.com", "PROG_SENDGRID_API_KEY": "SG.key"}, "sendgrid"),
    ],
)
async def test_the_settings_choose_the_provider(
    variables: dict[str, str], kind: str, environment: dict[str, str]
) -> None:
    settings = Settings.load(environment | variables)
    database = await Database.connect(settings.database_url, "prog_email")
    assert providers.choose(settings, database).name == kind
    await database.close()


@pytest.mark.parametrize("variables", [{}, {"PROG_SMTP_URL": "http://mail.example.com"}])
async def test_without_a_way_out_for_mail_nothing_starts(
    variables: dict[str, str], environment: dict[str, str]
) -> None:
    settings = Settings.load(environment | variables)
    database = await Database.connect(settings.database_url, "prog_email")
    with pytest.raises(SettingsError, match="PROG_SMTP_URL"):
        providers.choose(settings, database)
    await database.close()
