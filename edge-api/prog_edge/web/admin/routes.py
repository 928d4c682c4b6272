"""The console's routes. Every one asks for an operator; live feeds are in `live_routes`."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.web.admin.story import story_tree
from prog_edge.web.admin.views import (
    FILTERS,
    AuditPage,
    ConsumersPage,
    DeadLettersPage,
    EventsPage,
    FindPage,
    FindPart,
    InvoicesPage,
    MessagesPage,
    OverviewPage,
    StoryPage,
    SubscriptionsPage,
    TenantsPage,
    TopicPage,
    TopicsPage,
    UsersPage,
    audit_file,
    listing,
)
from prog_edge.web.ports import ListQuery
from prog_edge.web.ui.forms import form_key, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Operator, Services, operator

router = page_router("/admin", dependencies=[Depends(operator)])


def asked(request: Request, name: str) -> ListQuery:
    """The list's page that an address asks for; unknown filters and values that are no choice are left out."""
    given = request.query_params
    filters = {}
    for key, options in FILTERS[name].items():
        value = given.get(key, "").strip()[:200]
        if value and (not options or value in dict(options)):
            filters[key] = value
    return ListQuery(search=given.get("search", "").strip()[:200], filters=filters, cursor=given.get("cursor") or None)


@router.get("")
async def overview(request: Request, web: Services, viewer: Operator) -> Response:
    return render(request, OverviewPage(overview=await web.admin.overview(viewer)))


@router.post("/sign-outs/resend")
async def resend_sign_outs(request: Request, web: Services, viewer: Operator) -> Response:
    """Tells apps again of the sign-outs that they did not hear of."""
    count, more = await web.admin.resend_sign_outs(viewer, idempotency_key=form_key(await sent_form(request)))
    if count:
        told = "1 sign-out is" if count == 1 else f"{count} sign-outs are"
        notify(request, "success", f"{told} on the way again.{' There are more: send again.' if more else ''}")
    else:
        notify(request, "info", "There is nothing to send again.")
    return see("/admin")


@router.get("/users")
async def users(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "users")
    page = await web.admin.users(viewer, query)
    return render(request, UsersPage(page=page, listing=listing("users", query, page.next_cursor)))


@router.get("/tenants")
async def tenants(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "tenants")
    page = await web.admin.tenants(viewer, query)
    return render(request, TenantsPage(page=page, listing=listing("tenants", query, page.next_cursor)))


@router.get("/subscriptions")
async def subscriptions(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "subscriptions")
    page = await web.admin.subscriptions(viewer, query)
    return render(request, SubscriptionsPage(page=page, listing=listing("subscriptions", query, page.next_cursor)))


@router.get("/invoices")
async def invoices(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "invoices")
    page = await web.admin.invoices(viewer, query)
    return render(request, InvoicesPage(page=page, listing=listing("invoices", query, page.next_cursor)))


@router.get("/messages")
async def messages(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "messages")
    page = await web.admin.messages(viewer, query)
    return render(request, MessagesPage(page=page, listing=listing("messages", query, page.next_cursor)))


@router.get("/events")
async def events(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "events")
    page = await web.admin.events(viewer, query)
    stream = None
    if query.cursor is None and not query.search:
        after = {"after": page.rows[0].position} if page.rows else {}
        stream = f"/admin/events/live?{urlencode({**query.filters, **after})}"
    return render(request, EventsPage(page=page, listing=listing("events", query, page.next_cursor), stream=stream))


@router.get("/audit")
async def audit(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "audit")
    page = await web.admin.audit(viewer, query)
    shown = listing("audit", query, page.next_cursor)
    return render(request, AuditPage(page=page, listing=shown, csv=audit_file(query)))


@router.get("/consumers")
async def consumers(request: Request, web: Services, viewer: Operator) -> Response:
    return render(request, ConsumersPage(consumers=await web.admin.consumers(viewer)))


@router.get("/topics")
async def topics(request: Request, web: Services, viewer: Operator) -> Response:
    return render(request, TopicsPage(topics=await web.admin.topics(viewer)))


@router.get("/topics/{name}")
async def topic(request: Request, name: str, web: Services, viewer: Operator) -> Response:
    found, shards = await web.admin.topic(viewer, name)
    return render(request, TopicPage(topic=found, shards=shards))


@router.get("/dead-letters")
async def dead_letters(request: Request, web: Services, viewer: Operator) -> Response:
    query = asked(request, "dead-letters")
    page = await web.admin.dead_letters(viewer, query)
    shown = listing("dead-letters", query, page.next_cursor)
    causes = () if shown.is_filtered or shown.newest else await web.admin.dead_letter_causes(viewer)
    return render(request, DeadLettersPage(page=page, listing=shown, causes=causes))


@router.post("/dead-letters/{dead_letter_id}/redrive")
async def redrive(request: Request, dead_letter_id: str, web: Services, viewer: Operator) -> Response:
    try:
        await web.admin.redrive(viewer, dead_letter_id, (await sent_form(request)).get("body") or None)
    except (Invalid, Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", "The message is on its way again.")
    return see("/admin/dead-letters")


@router.post("/dead-letters/{dead_letter_id}/drop")
async def drop(request: Request, dead_letter_id: str, web: Services, viewer: Operator) -> Response:
    try:
        await web.admin.drop(viewer, dead_letter_id)
    except (Invalid, Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", "The dead letter is dropped.")
    return see("/admin/dead-letters")


@router.get("/story/{object_id}")
async def story(request: Request, object_id: str, web: Services, viewer: Operator) -> Response:
    return render(request, StoryPage(tree=story_tree(await web.admin.story(viewer, object_id))))


@router.get("/find")
async def find(request: Request, web: Services, viewer: Operator) -> Response:
    """The palette's search, as a page or (`part=1`) as the hits alone. One exact hit is opened at once."""
    text = request.query_params.get("q", "").strip()[:200]
    hits = await web.admin.find(viewer, text) if text else ()
    if request.query_params.get("part"):
        return render(request, FindPart(hits=hits))
    if len(hits) == 1:
        return RedirectResponse(hits[0].href, status_code=303)
    return render(request, FindPage(text=text, hits=hits))
