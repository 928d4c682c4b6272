"""A client asks for its person to be signed out here, too (OpenID Connect RP-Initiated Logout 1.0).

An ID token that comes along says which session is meant, and which client asks; also one whose time is over, for
people sign out late. Nobody is sent to an address that the client is not registered with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import jwt

from prog_contracts.redirects import is_registered
from prog_edge.oauth.requests import STATE_MAX_LENGTH, Misdirected
from prog_edge.platform import Platform
from prog_workers.users import queries
from prog_workers.users.queries.clients import ClientRow

_ALGORITHM: Final = "RS256"
_CLAIMS: Final = ("iss", "sub", "aud", "iat", "sid")


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token of ours says."""

    user_id: str
    session_id: str
    client_id: str


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """What is asked for. `back` is where people go afterwards, with what the client wants to see again."""

    client: ClientRow | None
    hint: Hint | None
    back: str | None


async def read_logout(platform: Platform, parameters: Mapping[str, str]) -> LogoutRequest:
    """The request. Raises Misdirected where client and address do not belong together: nobody is sent anywhere then."""
    hint = await read_hint(platform, parameters["id_token_hint"]) if "id_token_hint" in parameters else None
    named = parameters.get("client_id")
    if hint is not None and named is not None and named != hint.client_id:
        raise Misdirected("The app that sent you here says two names of itself.")
    public_id = named if hint is None else hint.client_id
    client = None if public_id is None else await platform.clients.find(public_id)
    address = parameters.get("post_logout_redirect_uri")
    if address is None:
        return LogoutRequest(client, hint, None)
    if client is None:
        raise Misdirected("The app that sent you here does not say who it is, is not registered, or was removed.")
    if not is_registered(address, client.post_logout_redirect_uris, confidential=client.confidential):
        raise Misdirected(f"{client.name} wants you to go to an address afterwards that it is not registered with.")
    state = parameters.get("state")
    if state is None:
        return LogoutRequest(client, hint, address)
    if len(state) > STATE_MAX_LENGTH:
        raise Misdirected(f"The state that {client.name} sent along is too long.")
    mark = "&" if "?" in address else "?"
    return LogoutRequest(client, hint, f"{address}{mark}{urlencode({'state': state})}")


async def read_hint(platform: Platform, text: str) -> Hint | None:
    """What an ID token says that this platform has signed, for however long ago; None for any other text."""
    try:
        header = jwt.get_unverified_header(text)
        if header.get("alg") != _ALGORITHM or header.get("typ") != "JWT":
            return None
        async with platform.database.scope() as connection:
            keys = await queries.signing_keys(connection)
        key = next(each for each in keys if each.kid == header.get("kid") and each.algorithm == _ALGORITHM)
        claims: dict[str, Any] = jwt.decode(
            text,
            jwt.PyJWK(key.jwk()),
            algorithms=[_ALGORITHM],
            issuer=platform.settings.public_url.rstrip("/"),
            options={"require": list(_CLAIMS), "verify_exp": False, "verify_aud": False},
        )
    except (jwt.PyJWTError, StopIteration):
        return None
    told = [claims[name] for name in ("sub", "sid", "aud")]
    return Hint(*told) if all(isinstance(each, str) for each in told) else None
