"""The public keys that check access tokens, for whoever gets one."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends
from starlette.responses import Response

from prog_edge.access import Public, Visit
from prog_workers.users import queries

router = APIRouter(prefix="/.well-known", tags=["Sign-in"])

MEDIA_TYPE: Final = "application/jwk-set+json"
_TEXT: Final = {"type": "string"}
_OF_ACCESS_TOKENS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["kty", "crv", "x", "kid", "alg", "use"],
    "properties": {"kty": {"const": "OKP"}, "crv": {"const": "Ed25519"}, "x": _TEXT, "kid": _TEXT}
    | {"alg": {"const": "EdDSA"}, "use": {"const": "sig"}},
    "additionalProperties": False,
}
_OF_ID_TOKENS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["kty", "n", "e", "kid", "alg", "use"],
    "properties": {"kty": {"const": "RSA"}, "n": _TEXT, "e": {"const": "AQAB"}, "kid": _TEXT}
    | {"alg": {"const": "RS256"}, "use": {"const": "sig"}},
    "additionalProperties": False,
}
_JWK_SET: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["keys"],
    "properties": {"keys": {"type": "array", "items": {"oneOf": [_OF_ACCESS_TOKENS, _OF_ID_TOKENS]}}},
}
"""RFC 7517, RFC 7518 and RFC 8037; what is private has no place in it."""


@router.get(
    "/jwks.json",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {"schema": _JWK_SET}}, "description": "The keys"}},
)
async def get_jwks(visit: Annotated[Visit, Depends(Public(any_origin=True))]) -> Response:
    """The public keys that check access tokens and ID tokens, as a JWK Set (RFC 7517)."""
    async with visit.platform.reader.scope() as connection:
        keys = await queries.signing_keys(connection)
    body = orjson.dumps({"keys": [key.jwk() for key in keys]})
    return Response(body, media_type=MEDIA_TYPE, headers={"Cache-Control": "public, max-age=300"})
