"""Decisions about OAuth clients, and about what people let them know.

Sources: RFC 6749, 7636, 8252, 9700, and OpenID Connect Core.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from prog_contracts.claims import claims_about
from prog_contracts.errors import FieldError, Invalid
from prog_contracts.inputs import clean_name
from prog_contracts.oauth import Grant, PersonScope
from prog_contracts.permissions import SCOPES
from prog_workers.users.rules import SESSION_IDLE_LIFETIME, SESSION_LIFETIME, SessionTimes, collect

CODE_LIFETIME: Final = timedelta(seconds=60)
"""A client exchanges its code at once (RFC 9700, 4.5: as short as possible)."""
PERSON_ACCESS_LIFETIME: Final = timedelta(minutes=10)
CLIENT_ACCESS_LIFETIME: Final = timedelta(minutes=15)
ID_TOKEN_LIFETIME: Final = timedelta(minutes=10)
CODES_KEPT: Final = timedelta(days=1)
"""So long is a second use of a code known for what it is."""
CLIENTS_MAX: Final = 100
REDIRECT_URIS_MAX: Final = 20
REDIRECT_URI_MAX_LENGTH: Final = 500
SECRET_GRACE_MAX: Final = timedelta(days=7)
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""SHA-256 in base64url (RFC 7636, section 4.2)."""
VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")

GRANTS: Final[tuple[Grant, ...]] = get_args(Grant)
PERSON_SCOPES: Final[tuple[PersonScope, ...]] = get_args(PersonScope)

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_AUTHORITY: Final = re.compile(r"([A-Za-z0-9.-]{1,253}|\[::1\])(?::[0-9]{1,5})?")
_OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
_VISIBLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class WantedClient:
    """What is kept of a client that somebody wants: everything once, in the order of the tables."""

    name: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...]


def checked_client(
    name: str,
    redirect_uris: Sequence[str],
    post_logout_redirect_uris: Sequence[str],
    backchannel_logout_uri: str | None,
    grants: Sequence[str],
    scopes: Sequence[str],
    *,
    confidential: bool,
) -> WantedClient:
    """A client in its kept form. Raises Invalid with all that is wrong with it."""
    problems: list[FieldError] = []
    clean = collect(problems, lambda: clean_name(name))
    uris = tuple(dict.fromkeys(redirect_uris))
    afterwards = tuple(dict.fromkeys(post_logout_redirect_uris))
    signs_in = "authorization_code" in grants
    problems += _grant_problems(grants, confidential=confidential)
    problems += _redirect_problems("redirect_uris", uris, confidential=confidential, signs_in=signs_in)
    if signs_in and not uris:
        message = "Say to which address people come back when they have signed in."
        problems.append(FieldError(field="redirect_uris", code="required", message=message))
    problems += _redirect_problems(
        "post_logout_redirect_uris", afterwards, confidential=confidential, signs_in=signs_in
    )
    told_at = backchannel_logout_uri or None
    problems += _redirect_problems(
        "backchannel_logout_uri", () if told_at is None else (told_at,), confidential=True, signs_in=signs_in
    )
    problems += _scope_problems(scopes, grants)
    if problems:
        raise Invalid(problems[0].message, fields=problems)
    return WantedClient(
        clean,
        uris,
        afterwards,
        told_at,
        tuple(grant for grant in GRANTS if grant in grants),
        tuple(scope for scope in (*PERSON_SCOPES, *SCOPES) if scope in scopes),
    )


def redirect_uri_problem(uri: str, *, confidential: bool) -> str | None:
    """What is wrong with an address for answers, or None. It is compared as it stands (`prog_contracts.redirects`).

    HTTPS; HTTP on the own machine alone; and for apps a scheme of their own, which is a name of theirs turned round
    (RFC 8252, section 7.1).
    """
    if len(uri) > REDIRECT_URI_MAX_LENGTH or _VISIBLE.fullmatch(uri) is None or "\\" in uri:
        return f"An address has at most {REDIRECT_URI_MAX_LENGTH} characters, none of them blank or beyond ASCII."
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return "This is no address."
    if "#" in uri or "*" in uri:
        return "An address has no # and no * in it: it is compared letter by letter."
    if parts.scheme in ("http", "https"):
        if _AUTHORITY.fullmatch(parts.netloc) is None or port == 0:
            return "Write the address as https://host/path, without a name or password in it."
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            return "Use https. http is for 127.0.0.1, [::1] and localhost alone."
        return None
    if confidential or _OWN_SCHEME.fullmatch(parts.scheme) is None or parts.netloc:
        return "Use https://…, or for an app without a secret a scheme such as com.example.app:/callback."
    return None


def _redirect_problems(field: str, uris: Sequence[str], *, confidential: bool, signs_in: bool) -> list[FieldError]:
    def problem(code: str, message: str) -> list[FieldError]:
        return [FieldError(field=field, code=code, message=message)]

    if not signs_in:
        return problem("not_wanted", "Without people who sign in there are no addresses.") if uris else []
    if len(uris) > REDIRECT_URIS_MAX:
        return problem("too_many", f"A client has at most {REDIRECT_URIS_MAX} addresses.")
    for uri in uris:
        message = redirect_uri_problem(uri, confidential=confidential)
        if message is not None:
            return problem("invalid_uri", message)
    return []


def _grant_problems(grants: Sequence[str], *, confidential: bool) -> list[FieldError]:
    def problem(code: str, message: str) -> list[FieldError]:
        return [FieldError(field="grants", code=code, message=message)]

    if not grants or set(grants) - set(GRANTS):
        return problem("unknown_grant", f"Choose some of {', '.join(GRANTS)}.")
    if "refresh_token" in grants and "authorization_code" not in grants:
        return problem("refresh_alone", "refresh_token goes with authorization_code.")
    if "client_credentials" in grants and not confidential:
        return problem("needs_secret", "client_credentials takes a client with a secret.")
    return []


def _scope_problems(scopes: Sequence[str], grants: Sequence[str]) -> list[FieldError]:
    def problem(code: str, message: str) -> list[FieldError]:
        return [FieldError(field="scopes", code=code, message=message)]

    wanted = set(scopes)
    unknown = sorted(wanted - set(SCOPES) - set(PERSON_SCOPES))
    if unknown:
        return problem("unknown_scope", f"No client can be made for {', '.join(unknown)[:200]}.")
    signs_in, itself = "authorization_code" in grants, "client_credentials" in grants
    if signs_in != ("openid" in wanted):
        return problem("openid", "The scope openid goes with authorization_code, and both with nothing else.")
    if not signs_in and wanted & set(PERSON_SCOPES):
        return problem("no_people", "Scopes about people go with authorization_code.")
    if ("offline_access" in wanted) != ("refresh_token" in grants):
        return problem("offline_access", "The scope offline_access goes with the grant refresh_token.")
    if itself != bool(wanted & set(SCOPES)):
        return problem("api_scopes", "Scopes of the API go with client_credentials, which needs at least one.")
    return []


def secrets_end(now: datetime, grace_seconds: int) -> datetime:
    """Until when the secret before is good. Raises Invalid."""
    if not 0 <= grace_seconds <= SECRET_GRACE_MAX.total_seconds():
        message = f"The grace is 0 to {int(SECRET_GRACE_MAX.total_seconds())} seconds."
        raise Invalid.field("grace_seconds", "out_of_range", message)
    return now + timedelta(seconds=grace_seconds)


def missing_consent(wanted: Sequence[str], given: Sequence[str]) -> bool:
    """Whether somebody has to be asked before a client gets `wanted`."""
    return not set(wanted) <= set(given)


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code that was found."""

    digest: str
    user_id: str
    client_id: str
    session_id: str
    redirect_uri: str
    scopes: tuple[PersonScope, ...]
    code_challenge: str
    nonce: str | None
    expires_at: datetime
    spent_at: datetime | None
    authorization_id: str | None


CodeRefusal = Literal["unknown", "reused", "expired", "wrong_client", "wrong_redirect_uri", "wrong_verifier", "over"]


def code_refusal(code: Code, *, client_id: str, redirect_uri: str, verifier: str, now: datetime) -> CodeRefusal | None:
    """Why a code gives no tokens, or None. A use of it by anybody else does not count as one."""
    if code.client_id != client_id:
        return "wrong_client"
    if code.spent_at is not None:
        return "reused"
    if now >= code.expires_at:
        return "expired"
    if code.redirect_uri != redirect_uri:
        return "wrong_redirect_uri"
    return None if is_proven(code.code_challenge, verifier) else "wrong_verifier"


def is_proven(challenge: str, verifier: str) -> bool:
    """Whether a verifier is what its challenge was made of: S256, the one method that there is (RFC 7636, 4.6)."""
    if VERIFIER.fullmatch(verifier) is None:
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())


def authorization_times(now: datetime, expires_at: datetime | None = None) -> SessionTimes:
    """Until when a client goes on without the person: as long as a session."""
    end = expires_at or now + SESSION_LIFETIME
    return SessionTimes(idle_until=min(now + SESSION_IDLE_LIFETIME, end), expires_at=end)


@dataclass(frozen=True, slots=True)
class Profile:
    """What there is to tell of a person."""

    user_id: str
    email: str
    name: str
    email_verified: bool
    updated_at: datetime
    locale: str | None = None
    time_zone: str | None = None
    avatar_id: str | None = None


def id_claims(
    person: Profile,
    *,
    issuer: str,
    audience: str,
    session_id: str,
    scopes: Sequence[str],
    authenticated_at: datetime,
    amr: Sequence[str],
    access_token: str,
    nonce: str | None,
    now: datetime,
) -> dict[str, Any]:
    """The claims of an ID token (OpenID Connect Core, sections 2 and 3.1.3.6)."""
    issued_at = int(now.timestamp())
    claims = claims_about(person, scopes, issuer) | {
        "iss": issuer,
        "aud": audience,
        "azp": audience,
        "sid": session_id,
        "iat": issued_at,
        "exp": issued_at + int(ID_TOKEN_LIFETIME.total_seconds()),
        "auth_time": int(authenticated_at.timestamp()),
        "amr": list(amr),
        "at_hash": half_hash(access_token),
    }
    if nonce is not None:
        claims["nonce"] = nonce
    return claims


def half_hash(token: str) -> str:
    """The left half of a token's SHA-256, which binds it to the ID token beside it."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).rstrip(b"=").decode()
