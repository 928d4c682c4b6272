"""The other ends of the wire: a real SMTP server and SendGrid's documented API, both told how to behave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any, Literal

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from prog_workers.email.providers.port import MailProvider
from prog_workers.email.providers.sendgrid import SendgridProvider
from prog_workers.email.providers.smtp import SmtpAddress, SmtpProvider

Behaviour = Literal["takes", "refuses", "defers", "hangs_up_after_taking", "is_silent_after_taking"]
API_KEY = "SG.key"


@dataclass
class Arrived:
    """A mail as the other end understood it."""

    message_id: str
    recipient: str
    subject: str
    text: str
    html: str


@dataclass
class Server:
    """The other end. `behaviour` may be changed at any time."""

    behaviour: Behaviour = "takes"
    arrived: list[Arrived] = field(default_factory=list)


@dataclass
class Pair:
    """A provider and the server that it speaks to."""

    provider: MailProvider
    server: Server


class SmtpEnd:
    """What aiosmtpd asks at the end of a mail."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.server.behaviour == "refuses":
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, smtp: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.server.behaviour == "defers":
            return "451 4.7.1 come back later"
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        assert text is not None
        assert html is not None
        self.server.arrived.append(
            Arrived(
                message["Message-ID"], envelope.rcpt_tos[0], message["Subject"], text.get_content(), html.get_content()
            )
        )
        if self.server.behaviour == "hangs_up_after_taking":
            assert smtp.transport is not None
            smtp.transport.close()
        if self.server.behaviour == "is_silent_after_taking":
            await asyncio.Event().wait()
        return "250 2.0.0 taken"


@asynccontextmanager
async def smtp_server(
    server: Server, tls: ssl.SSLContext | None = None, *, implicit: bool = False
) -> AsyncIterator[int]:
    """Serves SMTP on a free port; with `tls`, from the first byte or by STARTTLS."""
    loop = asyncio.get_running_loop()
    handler: Any = SmtpEnd(server)
    sessions: list[SMTP] = []

    upgrade = None if implicit else tls

    def connection() -> SMTP:
        session = SMTP(handler, tls_context=upgrade, require_starttls=upgrade is not None, loop=loop)
        sessions.append(session)
        return session

    listening = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls if implicit else None)
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    for session in sessions:
        if session.transport is not None:
            session.transport.close()
    await listening.wait_closed()


@asynccontextmanager
async def smtp_pair(timeout_seconds: float = 5.0) -> AsyncIterator[Pair]:
    server = Server()
    async with smtp_server(server) as port:
        address = SmtpAddress.parse(f"smtp://127.0.0.1:{port}")
        yield Pair(SmtpProvider(address, timeout_seconds=timeout_seconds), server)


def sendgrid_api(server: Server) -> Starlette:
    """/v3/mail/send and /v3/messages as SendGrid documents them."""
    mail_ids: dict[str, Arrived] = {}

    async def send(request: Request) -> Response:
        body = await request.json()
        if request.headers["authorization"] != f"Bearer {API_KEY}":
            return problem(401, "The provided authorization grant is invalid, expired, or revoked")
        if server.behaviour == "refuses":
            return problem(400, "Does not contain a valid address. 5.1.1")
        if server.behaviour == "defers":
            return problem(429, "too many requests")
        content = {part["type"]: part["value"] for part in body["content"]}
        (personalization,) = body["personalizations"]
        mail = Arrived(
            body["headers"]["Message-ID"],
            personalization["to"][0]["email"],
            body["subject"],
            content["text/plain"],
            content["text/html"],
        )
        server.arrived.append(mail)
        mail_ids[body.get("custom_args", personalization.get("custom_args"))["mail_id"]] = mail
        if server.behaviour == "hangs_up_after_taking":
            return problem(500, "internal error")
        if server.behaviour == "is_silent_after_taking":
            await asyncio.Event().wait()
        return Response(status_code=202, headers={"X-Message-Id": f"sg-{len(server.arrived)}"})

    async def messages(request: Request) -> Response:
        query = request.query_params["query"]
        found = [mail_id for mail_id in mail_ids if f'unique_args["mail_id"]="{mail_id}"' in query]
        return JSONResponse({"messages": [{"msg_id": f"sg-{mail_id}", "status": "delivered"} for mail_id in found]})

    def problem(status: int, message: str) -> Response:
        return JSONResponse({"errors": [{"message": message, "field": None, "help": None}]}, status)

    return Starlette(
        routes=[Route("/v3/mail/send", send, methods=["POST"]), Route("/v3/messages", messages, methods=["GET"])]
    )


@asynccontextmanager
async def http_server(app: Starlette) -> AsyncIterator[int]:
    config = uvicorn.Config(app, "127.0.0.1", 0, log_config=None, lifespan="off", timeout_graceful_shutdown=0)
    serving = uvicorn.Server(config)
    serving.config.load()
    serving.lifespan = config.lifespan_class(config)
    await serving.startup()
    task = asyncio.create_task(serving.main_loop())
    yield serving.servers[0].sockets[0].getsockname()[1]
    serving.should_exit = True
    await task
    await serving.shutdown()


@asynccontextmanager
async def sendgrid_pair(timeout_seconds: float = 5.0) -> AsyncIterator[Pair]:
    server = Server()
    async with http_server(sendgrid_api(server)) as port:
        provider = SendgridProvider(API_KEY, f"http://127.0.0.1:{port}", timeout_seconds=timeout_seconds)
        yield Pair(provider, server)
        await provider.close()
