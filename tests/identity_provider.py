"""An identity provider on loopback that keeps to its specification: OpenID Connect Core and Discovery 1.0 with PKCE
(RFC 7636) and `iss` (RFC 9207), and GitHub's OAuth 2.0 with its API.

    async with IdentityProvider() as provider:
        provider.person = Someone("ada", email="ada@example.com")     # who is signed in there
        provider.twist = "nonce"                                      # what it gets wrong from now on

It refuses what a real one refuses: another redirect URI, a code used twice, a wrong verifier, a wrong client secret.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
import warnings
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus, urlencode

import uvicorn
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from prog_kit.tasks import cancelled

CLIENT_ID = "prognetwork-at-the-provider"
CLIENT_SECRET = "a secret : with % signs"
START_SECONDS = 30


@dataclass
class Someone:
    """Who is signed in at the provider. `claims` are added to the ID token."""

    subject: str
    email: str | None = None
    verified: bool = True
    name: str | None = "Ada Lovelace"
    claims: dict[str, Any] = field(default_factory=dict)


@dataclass
class Grant:
    """A code that was given out."""

    query: dict[str, str]
    person: Someone
    signed_in_at: int


class IdentityProvider:
    """`twist` names what it gets wrong; `asked` lists the paths that were asked for."""

    def __init__(self) -> None:
        self.person = Someone("ada-at-provider", "ada@example.com")
        self.twist = ""
        self.tells_issuer = True
        self.says_no = False
        self.asked: list[str] = []
        self.signed_in_seconds_ago = 0
        self.metadata: dict[str, Any] = {}
        self.github_emails: list[dict[str, Any]] = []
        self._codes: dict[str, Grant] = {}
        self._bearers: set[str] = set()
        self.rotate()

    def rotate(self, algorithm: str = "RS256") -> None:
        """Another key from now on; the one before is not published any more."""
        named: Any = {"kid": secrets.token_hex(8), "use": "sig", "alg": algorithm}
        self._algorithm = algorithm
        self._key: RSAKey | ECKey | OKPKey
        if algorithm == "RS256":
            self._key = RSAKey.generate_key(2048, named)
        elif algorithm == "ES256":
            self._key = ECKey.generate_key("P-256", named)
        else:
            self._key = OKPKey.generate_key("Ed25519", named)

    async def __aenter__(self) -> Self:
        routes = [
            Route("/.well-known/openid-configuration", self._discovery),
            Route("/jwks", self._jwks),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/login/oauth/authorize", self._authorize),
            Route("/login/oauth/access_token", self._github_token, methods=["POST"]),
            Route("/user", self._github_user),
            Route("/user/emails", self._github_emails),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), host="127.0.0.1", port=0, log_config=None, lifespan="off", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._task = asyncio.create_task(self._server._serve())
        async with asyncio.timeout(START_SECONDS):
            while not self._server.started:
                assert not self._task.done(), "the identity provider does not start"
                await asyncio.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.issuer = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._task
        finally:
            await cancelled([self._task])

    # -- OpenID Connect ------------------------------------------------------------------------------------------------

    async def _discovery(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": self.tells_issuer,
            **self.metadata,
        }
        return JSONResponse(document)

    async def _jwks(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        unknown = {"kty": "future", "kid": "unknown"}
        return JSONResponse({"keys": [unknown, self._key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        """Whoever is signed in there agrees, unless `says_no`."""
        self.asked.append(request.url.path)
        query = dict(request.query_params)
        answer = {"state": query["state"]}
        if self.tells_issuer:
            answer["iss"] = "https://another.example" if self.twist == "iss parameter" else self.issuer
        if self.says_no:
            answer |= {"error": "access_denied", "error_description": "<script>alert(1)</script>"}
        else:
            assert query["client_id"] == CLIENT_ID
            assert query["response_type"] == "code"
            assert query["code_challenge_method"] == "S256"
            answer["code"] = secrets.token_urlsafe(24)
            signed_in_at = int(time.time()) - self.signed_in_seconds_ago
            self._codes[answer["code"]] = Grant(query, self.person, signed_in_at)
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        form = await _form(request)
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        given = base64.b64decode(credentials).decode() if scheme == "Basic" else ""
        if tuple(map(unquote_plus, given.split(":"))) != (CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        grant = self._granted(form)
        if grant is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(
            {
                "access_token": secrets.token_urlsafe(24),
                "token_type": "Bearer",
                "expires_in": 300,
                "id_token": self._id_token(grant),
            }
        )

    def _granted(self, form: dict[str, str]) -> Grant | None:
        """What a code stands for, once: with the verifier of its challenge, and its redirect URI."""
        grant = self._codes.pop(form.get("code", ""), None)
        if grant is None or form.get("redirect_uri") != grant.query["redirect_uri"]:
            return None
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return grant if challenge == grant.query["code_challenge"] else None

    def _id_token(self, grant: Grant) -> str:
        now, person = int(time.time()), grant.person
        claims = {
            "iss": self.issuer,
            "sub": person.subject,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "auth_time": grant.signed_in_at,
            "nonce": grant.query.get("nonce"),
            "email": person.email,
            "email_verified": person.verified,
            "name": person.name,
            **person.claims,
        }
        twisted: dict[str, dict[str, Any]] = {
            "nonce": {"nonce": "of another sign-in"},
            "issuer": {"iss": "https://another.example"},
            "audience": {"aud": "another client"},
            "two audiences": {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
            "expired": {"iat": now - 900, "exp": now - 600},
            "of the future": {"iat": now + 900, "exp": now + 1200},
        }
        claims |= twisted.get(self.twist, {})
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.twist == "no subject":
            del claims["sub"]
        if self.twist == "no nonce":
            del claims["nonce"]
        header = {"alg": self._algorithm, "kid": self._key.kid}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of EdDSA, which has a newer name
            signed = jwt.encode(header, claims, self._key, algorithms=[self._algorithm])
        if self.twist == "unsigned":
            return ".".join((_encoded(b'{"alg":"none"}'), signed.split(".")[1], ""))
        if self.twist == "signed with the public key":
            head = json.dumps({"alg": "HS256", "kid": self._key.kid}).encode()
            body = f"{_encoded(head)}.{signed.split('.')[1]}"
            digest = hmac.new(self._key.as_pem(private=False), body.encode(), hashlib.sha256).digest()
            return f"{body}.{_encoded(digest)}"
        if self.twist == "signed with a key of its own":
            own = RSAKey.generate_key(2048)
            return jwt.encode({**header, "jwk": own.as_dict(private=False)}, claims, own)
        return signed

    # -- GitHub --------------------------------------------------------------------------------------------------------

    async def _github_token(self, request: Request) -> Response:
        """GitHub answers errors with 200, and takes the client's secret in the body."""
        self.asked.append(request.url.path)
        form = await _form(request)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "incorrect_client_credentials"})
        if self._granted(form) is None:
            return JSONResponse({"error": "bad_verification_code"})
        bearer = f"gho_{secrets.token_hex(18)}"
        self._bearers.add(bearer)
        return JSONResponse({"access_token": bearer, "scope": "read:user,user:email", "token_type": "bearer"})

    async def _github_user(self, request: Request) -> Response:
        if not self._is_bearer(request):
            return JSONResponse({"message": "Bad credentials"}, 401)
        number = int(self.person.subject)
        return JSONResponse({"id": number, "login": "ada", "name": self.person.name, "email": "shown@example.com"})

    async def _github_emails(self, request: Request) -> Response:
        return JSONResponse(self.github_emails if self._is_bearer(request) else {"message": "Bad credentials"})

    def _is_bearer(self, request: Request) -> bool:
        return request.headers.get("authorization", "").removeprefix("Bearer ") in self._bearers


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
