"""The development mailbox's routes. All of them are 404 where no mailbox is set, as in production."""

from __future__ import annotations

import re

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from prog_contracts.errors import NotFound
from prog_edge.web.mailbox.views import MailboxPage, links_in
from prog_edge.web.ports import ListQuery, MailboxBackend, WebServices
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import page_router
from prog_edge.web.ui.security import MAIL_POLICY
from prog_edge.web.ui.sessions import Services

router = page_router("/dev/mailbox")


def _mailbox(web: WebServices) -> MailboxBackend:
    if web.mailbox is None:
        raise NotFound("There is nothing at this address.")
    return web.mailbox


def _query(request: Request) -> ListQuery:
    given = request.query_params
    return ListQuery(search=given.get("search", "").strip()[:200], cursor=given.get("cursor") or None, limit=50)


@router.get("")
async def mails(request: Request, web: Services) -> Response:
    query = _query(request)
    page = await _mailbox(web).mails(query)
    return render(request, MailboxPage(page=page, query=query, mail=None, links=()))


@router.get("/{mail_id}")
async def one_mail(request: Request, mail_id: str, web: Services) -> Response:
    mailbox = _mailbox(web)
    query = _query(request)
    mail = await mailbox.mail(mail_id)
    page = await mailbox.mails(query)
    return render(request, MailboxPage(page=page, query=query, mail=mail, links=links_in(mail)))


@router.get("/{mail_id}/html")
async def html_part(mail_id: str, web: Services) -> Response:
    """The HTML part alone, for the frame: sandboxed by its own policy; its links open in a new tab."""
    mail = await _mailbox(web).mail(mail_id)
    if mail.html is None:
        raise NotFound("This mail has no HTML part.")
    base = '<base target="_blank">'
    html, found = re.subn(r"(<head[^>]*>)", rf"\1{base}", mail.html, count=1, flags=re.IGNORECASE)
    return HTMLResponse(
        html if found else base + html,
        headers={"Content-Security-Policy": MAIL_POLICY, "Cross-Origin-Opener-Policy": "unsafe-none"},
    )
