"""What the platform says of itself as an OpenID provider, for clients that configure themselves by it."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends
from starlette.responses import Response

from prog_edge.access import Public, Visit
from prog_edge.oauth.metadata import metadata

router = APIRouter(prefix="/.well-known", tags=["OpenID provider"])

_ADDRESS: Final = {"type": "string", "format": "uri"}
_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "examples": [metadata("https://app.example.com")],
    "required": [
        "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported",
        "subject_types_supported", "id_token_signing_alg_values_supported",
    ],
    "properties": {
        "issuer": _ADDRESS,
        "authorization_endpoint": _ADDRESS,
        "token_endpoint": _ADDRESS,
        "userinfo_endpoint": _ADDRESS,
        "jwks_uri": _ADDRESS,
        "response_types_supported": _TEXTS,
        "subject_types_supported": _TEXTS,
        "id_token_signing_alg_values_supported": _TEXTS,
        "code_challenge_methods_supported": _TEXTS,
    },
}  # fmt: skip
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/json": {"schema": _SCHEMA}}, "description": "The metadata"}
}
Anybody = Annotated[Visit, Depends(Public(any_origin=True))]


@router.get("/openid-configuration", response_class=Response, responses=_ANSWER)
async def get_openid_configuration(visit: Anybody) -> Response:
    """The provider's metadata (OpenID Connect Discovery)."""
    return _document(visit)


@router.get("/oauth-authorization-server", response_class=Response, responses=_ANSWER)
async def get_authorization_server(visit: Anybody) -> Response:
    """The same under the name that OAuth has for it (RFC 8414)."""
    return _document(visit)


def _document(visit: Visit) -> Response:
    body = orjson.dumps(metadata(visit.context.public_url))
    return Response(body, media_type="application/json", headers={"Cache-Control": "public, max-age=300"})
