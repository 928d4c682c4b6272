"""The account's routes for somebody without their password: links by mail that set a new one, or sign in.

They need no JavaScript. To look at a link spends nothing, for mail scanners follow links too: its page's button does.
"""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid
from prog_edge.web.account.second_step_routes import entered
from prog_edge.web.account.views import (
    ForgotPasswordPage,
    OpenSignInLinkPage,
    ResetPasswordPage,
    SignInLinkPage,
)
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import SIGN_IN, Services, client_of

router = page_router("/account")


@router.get("/forgot-password")
async def forgot_password_form(request: Request) -> Response:
    return render(request, ForgotPasswordPage(form=FormState(), sent="sent" in request.query_params))


@router.post("/forgot-password")
async def forgot_password(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    try:
        await web.account.request_password_reset(email=values.get("email", ""), client=client_of(request))
    except (Invalid, Conflict) as error:
        return render(request, ForgotPasswordPage(form=refused(values, error)), status=422)
    return see("/account/forgot-password?sent")


@router.get("/reset-password")
async def reset_password_form(request: Request, token: str = "") -> Response:
    return render(request, ResetPasswordPage(token=token, form=FormState()))


@router.post("/reset-password")
async def reset_password(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    try:
        await web.account.reset_password(
            token=values.get("token", ""),
            password=values.get("password", ""),
            client=client_of(request),
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict, Denied) as error:
        good = all(problem.field != "token" for problem in error.fields)
        page = ResetPasswordPage(token=values.shown().get("token", "") if good else "", form=refused(values, error))
        return render(request, page, status=422)
    notify(request, "success", "Your password is changed, and every other session is over. Sign in with the new one.")
    return see(SIGN_IN)


@router.get("/sign-in-link")
async def sign_in_link_form(request: Request) -> Response:
    return render(request, SignInLinkPage(form=FormState(), sent="sent" in request.query_params))


@router.post("/sign-in-link")
async def mail_sign_in_link(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    try:
        await web.account.request_magic_link(email=values.get("email", ""), client=client_of(request))
    except (Invalid, Conflict) as error:
        return render(request, SignInLinkPage(form=refused(values, error)), status=422)
    return see("/account/sign-in-link?sent")


@router.get("/sign-in-link/open")
async def opened_sign_in_link(request: Request, token: str = "") -> Response:
    return render(request, OpenSignInLinkPage(token=token, form=FormState()))


@router.post("/sign-in-link/open")
async def sign_in_by_link(request: Request, web: Services) -> Response:
    values = await sent_form(request)
    try:
        found = await web.sessions.sign_in_by_link(values.get("token", ""), client_of(request))
    except (Invalid, Denied) as error:
        return render(request, OpenSignInLinkPage(token="", form=refused({}, error)), status=422)
    return await entered(request, web, found, "/account")
