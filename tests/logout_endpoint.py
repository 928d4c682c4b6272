"""A client's back-channel logout endpoint on loopback, which keeps what it is told and answers as a test says."""

from __future__ import annotations

import asyncio
from typing import Any, Self
from urllib.parse import parse_qs

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

EVENT = "http://schemas.openid.net/event/backchannel-logout"


class LogoutEndpoint:
    """`status` is its answer; 0 is none, however long one waits. `tokens` are those that it was sent."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.tokens: list[str] = []
        self.heads: list[str] = []
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/backchannel-logout"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0].partition(":")[2]))
        self.heads.append(head)
        self.tokens += parse_qs(body.decode())["logout_token"]
        if self.status == 0:
            await self._over.wait()
        else:
            head = f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
        writer.close()


def checked(token: str, keys: KeySet, *, issuer: str, client_id: str) -> dict[str, Any]:
    """What a client takes from a logout token, after all that section 2.6 of the specification has it look at."""
    read = jwt.decode(token, keys, algorithms=["RS256"])
    assert read.header["typ"] == "logout+jwt"
    claims: dict[str, Any] = read.claims
    rules = jwt.JWTClaimsRegistry(
        leeway=5,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        iat={"essential": True},
        exp={"essential": True},
        jti={"essential": True},
        sub={"essential": True},
        sid={"essential": True},
    )
    rules.validate(claims)
    assert claims["events"] == {EVENT: {}}
    assert "nonce" not in claims, "it would pass for an ID token"
    return claims


async def keys_of(http: httpx.AsyncClient) -> tuple[dict[str, Any], KeySet]:
    """The provider's metadata and keys, found as any client finds them."""
    metadata = (await http.get("/.well-known/openid-configuration")).json()
    return metadata, KeySet.import_key_set((await http.get(metadata["jwks_uri"])).json())
