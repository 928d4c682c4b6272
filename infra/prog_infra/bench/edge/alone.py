"""What is measured without a server: argon2id at the platform's parameters, and checks of access tokens."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import jwt
from argon2 import PasswordHasher, extract_parameters
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from prog_edge.tokens import AUDIENCE, PublicKeys, TokenVerifier
from prog_workers.users import passwords

TOKENS: Final = 400
_ISSUER: Final = "https://bench.example"
_PASSWORD: Final = "correct horse battery staple"


async def argon2_rate(seconds: float) -> float:
    """Hashes compared a second, with the parameters and in as many threads as the platform's."""
    stored = await passwords.hash_password(_PASSWORD)
    hasher = PasswordHasher.from_parameters(extract_parameters(stored))
    began = time.perf_counter()

    def compare() -> int:
        made = 0
        while time.perf_counter() - began < seconds:
            hasher.verify(stored, _PASSWORD)
            made += 1
        return made

    with ThreadPoolExecutor(passwords.CONCURRENCY) as threads:
        loop = asyncio.get_running_loop()
        made = await asyncio.gather(*(loop.run_in_executor(threads, compare) for _ in range(passwords.CONCURRENCY)))
    return sum(made) / (time.perf_counter() - began)


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
