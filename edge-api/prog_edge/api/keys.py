"""The public keys that check access tokens, for whoever gets one."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from starlette.responses import Response

from prog_edge.access import Public, Visit
from prog_workers.users import queries

router = APIRouter(prefix="/.well-known", tags=["Sign-in"])


@router.get("/jwks.json")
async def get_jwks(visit: Annotated[Visit, Depends(Public())]) -> Response:
    """The public keys that check access tokens, as a JWK Set (RFC 7517)."""
    async with visit.platform.reader.scope() as connection:
        keys = await queries.signing_keys(connection)
    body = orjson.dumps({"keys": [key.jwk() for key in keys]})
    return Response(body, media_type="application/jwk-set+json", headers={"Cache-Control": "public, max-age=300"})
