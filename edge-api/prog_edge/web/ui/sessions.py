"""Who may see a page: dependencies for routes. They are coroutines, for the framework puts each plain function that a
route depends on into a thread, which takes longer than what these do."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends
from starlette.requests import Request

from prog_contracts.errors import Denied
from prog_edge.context import context_of
from prog_edge.web.ports import Client, Viewer, WebServices
from prog_edge.web.ui.state import services, web_state

SIGN_IN = "/account/sign-in"


class SignInNeeded(Exception):
    """Nobody is signed in; the visitor is sent to sign in and comes back to `next_address`."""

    def __init__(self, next_address: str) -> None:
        super().__init__(next_address)
        self.next_address = next_address

    @property
    def location(self) -> str:
        return f"{SIGN_IN}?next={quote(self.next_address, safe='/')}"


def client_of(request: Request) -> Client:
    """Where the request comes from."""
    return Client(
        address=context_of(request.scope).client_address,
        user_agent=(request.headers.get("user-agent") or "")[:300] or None,
    )


def signed_in(request: Request) -> Viewer:
    viewer = web_state(request).viewer
    if viewer is None:
        path = request.url.path if request.method == "GET" else "/account"
        query = request.url.query if request.method == "GET" else ""
        raise SignInNeeded(f"{path}?{query}" if query else path)
    return viewer


async def operator(request: Request) -> Viewer:
    """Only the platform's operators; others are told so, for the console's existence is no secret."""
    viewer = signed_in(request)
    if not viewer.is_operator:
        raise Denied("The admin console is for operators of this platform.")
    return viewer


async def _signed_in(request: Request) -> Viewer:
    return signed_in(request)


async def _services(request: Request) -> WebServices:
    return services(request)


SignedIn = Annotated[Viewer, Depends(_signed_in)]
Operator = Annotated[Viewer, Depends(operator)]
Services = Annotated[WebServices, Depends(_services)]


async def goes_on_at(request: Request, web: WebServices, address: str) -> str:
    """`address`, noted: where a sign-in goes on there and leads to another site, the page's form may lead there. From a
    tenant's own host it leads nowhere else."""
    if context_of(request.scope).site is not None:
        return address
    web_state(request).form_origin = await web.provider.origin_after(address)
    return address


def came_from(request: Request) -> str | None:
    """The path of the page that a form was on, as its browser says."""
    try:
        return urlsplit(request.headers.get("referer", "")).path
    except ValueError:
        return None


def own_path(address: str | None, otherwise: str) -> str:
    """`address` when it is a path on this site, else `otherwise`: never a redirect to elsewhere."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")):
        return otherwise
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or any(ord(letter) < 32 for letter in address):
        return otherwise
    return address
