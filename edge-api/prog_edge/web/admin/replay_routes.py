"""The console's page of replays, and decisions about all dead letters of one cause."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Depends, Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.web.admin.views import DOMAINS, ReplaysPage
from prog_edge.web.ui.forms import FormState, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Operator, Services, operator

router = page_router("/admin", dependencies=[Depends(operator)])

_DONE = {"pause": "The replay stands.", "resume": "The replay goes on.", "cancel": "The replay is cancelled."}


@router.get("/replays")
async def replays(request: Request, web: Services, viewer: Operator) -> Response:
    return render(
        request, ReplaysPage(replays=await web.admin.replays(viewer), consumer_groups=DOMAINS, form=FormState())
    )


@router.post("/replays")
async def start(request: Request, web: Services, viewer: Operator) -> Response:
    form = await sent_form(request)
    try:
        await web.admin.start_replay(viewer, {name: form[name] for name in form})
    except (Invalid, Conflict) as error:
        page = ReplaysPage(replays=await web.admin.replays(viewer), consumer_groups=DOMAINS, form=refused(form, error))
        return render(request, page, status=422)
    notify(request, "success", "The replay is asked for; a worker of the group takes it up.")
    return see("/admin/replays")


@router.post("/replays/{replay_id}/{decision}")
async def decide(
    request: Request, replay_id: str, decision: Literal["pause", "resume", "cancel"], web: Services, viewer: Operator
) -> Response:
    try:
        await web.admin.decide_replay(viewer, replay_id, decision)
    except (Invalid, Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        notify(request, "success", _DONE[decision])
    return see("/admin/replays")


@router.post("/dead-letters/causes/{group}/{fingerprint}/{decision}")
async def decide_cause(
    request: Request,
    group: str,
    fingerprint: str,
    decision: Literal["redrive", "drop"],
    web: Services,
    viewer: Operator,
) -> Response:
    try:
        done, kept = await web.admin.decide_cause(viewer, group, fingerprint, decision)
    except (Invalid, Conflict, Denied, NotFound) as error:
        notify(request, "error", error.message)
    else:
        words: Any = {"redrive": "on their way again", "drop": "dropped"}
        notify(request, "error" if kept else "success",
               f"{done} messages are {words[decision]}" + (f", {kept} were refused." if kept else "."))  # fmt: skip
    return see("/admin/dead-letters")
