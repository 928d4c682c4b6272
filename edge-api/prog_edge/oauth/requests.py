"""The request with which a client sends people to be signed in, and the answer that they carry back.

Until client and address are known to belong together nobody is sent anywhere (RFC 9700, section 4.11); from then on all
that is wrong is told to that address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from prog_contracts.errors import Invalid
from prog_contracts.oauth import PersonScope
from prog_contracts.redirects import is_registered
from prog_edge.oauth.asking import OAuthError, once
from prog_edge.oauth.metadata import PERSON_SCOPES
from prog_edge.platform import Platform
from prog_workers.users.queries.clients import ClientRow

PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
STATE_MAX_LENGTH: Final = 2000
NONCE_MAX_LENGTH: Final = 500
ASKED_SINCE: Final = "prog_asked_since"
"""A parameter of our own: when the person was asked to sign in again for this request, sealed."""
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_UNSUPPORTED: Final = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where answers go: a client, and an address that it is registered with."""

    client: ClientRow
    redirect_uri: str
    state: str | None

    def answer(self, issuer: str, **parameters: str) -> str:
        """The address with the answer in it, and who answers (RFC 9207)."""
        query = parameters | ({} if self.state is None else {"state": self.state}) | {"iss": issuer}
        mark = "&" if "?" in self.redirect_uri else "?"
        return f"{self.redirect_uri}{mark}{urlencode(query)}"

    @property
    def is_assured(self) -> bool:
        """Whether an answer gets to the client and nobody else. Any app may take a scheme of another one, or listen on
        the machine: people are asked each time then (RFC 8252, section 8.6)."""
        return self.client.confidential or self.redirect_uri.startswith("https://")

    @property
    def origin(self) -> str:
        """What a page's policy has to let a form lead to, for the answer to get there."""
        return origin_of(self.redirect_uri)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What is asked for, once it was found to be right."""

    place: Place
    scopes: tuple[PersonScope, ...]
    code_challenge: str
    nonce: str | None
    prompt: frozenset[str]
    max_age_seconds: int | None


def origin_of(address: str) -> str:
    """An address as a page's policy names where a form may lead."""
    parts = urlsplit(address)
    if not parts.netloc or "[" in parts.netloc:  # a policy has no word for an address of IPv6
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}"


class Misdirected(Invalid):
    """Nobody is sent anywhere: the client or the address is not known."""


def read_query(query: str) -> dict[str, str]:
    """The parameters of an address. Raises Misdirected for what cannot be read, or is there twice."""
    try:
        return once(parse_qsl(query, keep_blank_values=True, max_num_fields=40))
    except (ValueError, OAuthError):
        raise Misdirected("The app that sent you here asked for this in a way that cannot be read.") from None


async def find_place(platform: Platform, parameters: Mapping[str, str]) -> Place:
    """The client and the address for answers. Raises Misdirected when they do not belong together."""
    client = await platform.clients.find(parameters.get("client_id", ""))
    if client is None:
        raise Misdirected("The app that sent you here is not registered, or was removed.")
    address = parameters.get("redirect_uri", "")
    if not is_registered(address, client.redirect_uris, confidential=client.confidential):
        raise Misdirected(
            f"{client.name} sent you here with an address for the way back that it is not registered with."
        )
    state = parameters.get("state")
    if state is not None and len(state) > STATE_MAX_LENGTH:
        raise Misdirected(f"The state that {client.name} sent along is too long.")
    return Place(client, address, state)


def read_request(place: Place, parameters: Mapping[str, str]) -> AuthorizationRequest:
    """The rest of the request. Raises OAuthError for what is told to the client."""
    for name, error in _UNSUPPORTED.items():
        if name in parameters:
            raise OAuthError(error, f"The parameter {name} is not supported.")
    if "response_type" not in parameters:
        raise OAuthError("invalid_request", "The parameter response_type is missing.")
    if parameters["response_type"] != "code":
        raise OAuthError("unsupported_response_type", "The one response type is code.")
    if parameters.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "The one response mode is query.")
    if "authorization_code" not in place.client.grants:
        raise OAuthError("unauthorized_client", "The client is not registered for this.")
    prompt = frozenset(parameters.get("prompt", "").split())
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise OAuthError("invalid_request", "prompt is none, or some of login, consent and select_account.")
    nonce = parameters.get("nonce")
    if nonce is not None and len(nonce) > NONCE_MAX_LENGTH:
        raise OAuthError("invalid_request", f"A nonce has at most {NONCE_MAX_LENGTH} characters.")
    return AuthorizationRequest(
        place=place,
        scopes=_scopes(place.client, parameters.get("scope", "").split()),
        code_challenge=_challenge(parameters),
        nonce=nonce,
        prompt=prompt,
        max_age_seconds=_max_age(parameters.get("max_age")),
    )


def _scopes(client: ClientRow, asked: Sequence[str]) -> tuple[PersonScope, ...]:
    """Those that there are; others are not heard (OpenID Connect Core, section 3.1.2.1)."""
    if "openid" not in asked:
        raise OAuthError("invalid_scope", "The scope openid is missing.")
    known = tuple(scope for scope in PERSON_SCOPES if scope in asked)
    if not set(known) <= set(client.scopes):
        raise OAuthError("invalid_scope", "The client is not registered for all of these scopes.")
    return known


def _challenge(parameters: Mapping[str, str]) -> str:
    challenge = parameters.get("code_challenge")
    if challenge is None:
        raise OAuthError("invalid_request", "The parameter code_challenge is missing (RFC 7636).")
    if parameters.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "The one code_challenge_method is S256.")
    if _CHALLENGE.fullmatch(challenge) is None:
        raise OAuthError("invalid_request", "code_challenge is a SHA-256 in base64url, 43 characters.")
    return challenge


def _max_age(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise OAuthError("invalid_request", "max_age is a number of seconds.")
    return int(text)
