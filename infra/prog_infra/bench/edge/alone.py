"""What is measured without a server: checks of access tokens."""

from __future__ import annotations

import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from prog_edge.tokens import AUDIENCE, PublicKeys, TokenVerifier

TOKENS: Final = 400
_ISSUER: Final = "https://bench.example"


async def token_rates() -> tuple[float, float, float]:
    """Checks a second: ours of tokens that are new to it, PyJWT's alone, and ours of tokens that it has seen."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key()
    tokens = [_token(key, number) for number in range(TOKENS)]

    async def load() -> dict[str, Ed25519PublicKey]:
        return {"bench": public}

    verifier = TokenVerifier(PublicKeys(load), _ISSUER)
    new = await _rate(verifier, tokens)
    began = time.perf_counter()
    for token in tokens:
        jwt.decode(token, public, algorithms=["EdDSA"], audience=AUDIENCE, issuer=_ISSUER)
    bare = TOKENS / (time.perf_counter() - began)
    return new, bare, await _rate(verifier, tokens)


async def _rate(verifier: TokenVerifier, tokens: list[str]) -> float:
    began = time.perf_counter()
    for token in tokens:
        await verifier.verify(token)
    return len(tokens) / (time.perf_counter() - began)


def _token(key: Ed25519PrivateKey, number: int) -> str:
    now = int(time.time())
    claims: dict[str, Any] = {"iss": _ISSUER, "aud": AUDIENCE, "sub": "user_1", "sid": f"session_{number}"}
    claims |= {"jti": str(number), "iat": now, "exp": now + 900}
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "bench", "typ": "at+jwt"})
