"""The account's routes for a person's profile: what they are called and prefer, and their picture. No JavaScript is
needed."""

from __future__ import annotations

from functools import cache
from typing import Final
from zoneinfo import available_timezones

from babel import Locale
from babel.localedata import locale_identifiers
from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from prog_contracts.errors import Conflict, Invalid
from prog_contracts.profiles import Theme
from prog_edge.avatars import SENT_MAX_BYTES
from prog_edge.web.account.own_views import ProfilePage
from prog_edge.web.ports import ProfileView, Upload
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import THEME_COOKIE, notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/profile")

HERE: Final = "/account/profile"
_AREAS: Final = frozenset(
    ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
)
"""Zones that are named after a place. The others are for compatibility, and the API takes them."""


@router.get("")
async def profile(request: Request, web: Services, viewer: SignedIn) -> Response:
    view = await web.profile.view(viewer)
    return render(request, _page(view, FormState(_shown(view)), FormState()))


@router.post("")
async def save(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    theme = _theme(values.get("theme", ""))
    try:
        await web.profile.save(
            viewer,
            name=values.get("name", ""),
            locale=values.get("locale") or None,
            time_zone=values.get("time_zone") or None,
            theme=theme,
            idempotency_key=form_key(values),
        )
    except (Invalid, Conflict) as error:
        view = await web.profile.view(viewer)
        return render(request, _page(view, refused(values, error), FormState()), status=422)
    notify(request, "success", "Your profile is saved.")
    response = see(HERE)
    response.delete_cookie(THEME_COOKIE, path="/")  # what this browser was switched to before
    return response


@router.post("/picture")
async def set_picture(request: Request, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.profile.set_picture(viewer, await _upload(request))
    except Invalid as error:
        view = await web.profile.view(viewer)
        form = refused({**values, "image": ""}, error)
        return render(request, _page(view, FormState(_shown(view)), form), status=422)
    notify(request, "success", "This is your picture now.")
    return see(HERE)


@router.post("/picture/remove")
async def remove_picture(request: Request, web: Services, viewer: SignedIn) -> Response:
    await web.profile.remove_picture(viewer)
    notify(request, "success", "Your picture is removed.")
    return see(HERE)


def _page(view: ProfileView, form: FormState, picture: FormState) -> ProfilePage:
    return ProfilePage(
        view=view,
        form=form,
        picture=picture,
        locales=[("", "Not said"), *_with(_locales(), view.locale)],
        time_zones=[("", "Not said: times are in UTC"), *_with(_time_zones(), view.time_zone)],
    )


def _shown(view: ProfileView) -> dict[str, str]:
    return {
        "name": view.name,
        "locale": view.locale or "",
        "time_zone": view.time_zone or "",
        "theme": view.theme or "",
    }


def _theme(text: str) -> Theme | None:
    return text if text in ("light", "dark") else None  # type: ignore[return-value]  # narrowed by the test


def _with(options: tuple[tuple[str, str], ...], value: str | None) -> tuple[tuple[str, str], ...]:
    """The options, with one that was set otherwise and is not among them."""
    known = value is None or any(value == option for option, _ in options)
    return options if known else ((str(value), str(value)), *options)


@cache
def _locales() -> tuple[tuple[str, str], ...]:
    """Languages as they are written in some country, by their English names."""
    found = []
    for identifier in locale_identifiers():
        language, _, territory = identifier.partition("_")
        if len(language) in (2, 3) and len(territory) == 2 and territory.isupper():
            found.append((f"{language}-{territory}", str(Locale.parse(identifier).get_display_name("en"))))
    return tuple(sorted(found, key=lambda option: option[1]))


@cache
def _time_zones() -> tuple[tuple[str, str], ...]:
    places = sorted(name for name in available_timezones() if name.partition("/")[0] in _AREAS)
    return tuple((name, name.replace("_", " ")) for name in ("UTC", *places))


async def _upload(request: Request) -> Upload:
    """The picture that came along. Raises Invalid where none was chosen: browsers send an empty file then."""
    sent = (await request.form()).get("image")
    content = await sent.read(SENT_MAX_BYTES + 1) if isinstance(sent, UploadFile) else b""
    if not content:
        raise Invalid.field("image", "required", "Choose a picture first.")
    return Upload(content)
