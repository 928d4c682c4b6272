"""Providers whose answers are well formed and yet none: whatever they send, nobody is let in and nothing breaks."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from prog_contracts.identities import ProvenIdentity
from prog_edge.federation import Federation
from prog_edge.federation.errors import Untrusted
from prog_kit.identity_providers import IdentityProvider
from prog_kit.outbound import Answer, Outbound, Unreachable
from prog_kit.secrets import Sealer

ISSUER = "https://id.example"
KEY = RSAKey.generate_key(2048, {"kid": "k"})
TOO_DEEP = "[" * 20_000


class Odd(Outbound):
    """A provider that answers what it is told to; no connection is made."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.keys: Any = [KEY.as_dict(private=False)]
        self.claims: dict[str, Any] = {}
        self.text: str | None = None
        self.nonce = ""

    async def close(self) -> None:
        """There is nothing to close."""

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> Answer:
        return Answer(200, (self.text or json.dumps(self._document(urlsplit(url).path))).encode())

    def _document(self, path: str) -> dict[str, Any]:
        if path == "/token":
            return {"access_token": "a", "token_type": "Bearer", "id_token": self._id_token()}
        if path == "/jwks":
            return {"keys": self.keys}
        addresses = {f"{name}_endpoint": f"{ISSUER}/{name}" for name in ("authorization", "token")}
        return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks", **addresses, **self.metadata}

    def _id_token(self) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "ada", "aud": "c", "iat": now, "exp": now + 60, "nonce": self.nonce}
        text = json.dumps({**claims, "email": "ada@example.com", "email_verified": True, **self.claims})
        return jws.serialize_compact({"alg": "RS256", "kid": "k"}, text.replace('"TOO DEEP"', TOO_DEEP).encode(), KEY)


async def come_back(odd: Odd) -> ProvenIdentity:
    """All of the way through the provider."""
    configured = IdentityProvider(kind="oidc", name="odd", title="Odd", issuer=ISSUER, client_id="c", client_secret="s")

    async def nobody_s(_: str) -> None:
        return None

    federation = Federation((configured,), Sealer(("0123456789abcdef" * 4,)), "http://127.0.0.1:1", odd, odd, nobody_s)
    begun = await federation.begin("odd", "sign_in", "/account")
    query = dict(parse_qsl(urlsplit(begun.url).query))
    odd.nonce = query["nonce"]
    return (await federation.finish("odd", begun.cookie, {"state": query["state"], "code": "c"})).identity


async def test_it_is_believed_while_it_says_nothing_odd() -> None:
    identity = await come_back(Odd())
    assert (identity.subject, identity.emails) == ("ada", ("ada@example.com",))


@pytest.mark.parametrize(
    "claims", [{"sub": "a\0b"}, {"sub": "\ud800"}, {"sub": 7}, {"sub": "x" * 300}, {"x": "TOO DEEP"}, {"exp": [1]}]
)
async def test_check_19_a_subject_that_cannot_be_stored_and_claims_that_cannot_be_read_are_nobody_s(
    claims: dict[str, Any],
) -> None:
    odd = Odd()
    odd.claims = claims
    with pytest.raises(Untrusted) as refused:
        await come_back(odd)
    assert refused.value.code == "bad_id_token"


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_a_name_or_address_that_cannot_be_stored_is_left_out(text: str) -> None:
    odd = Odd()
    odd.claims = {"name": text, "email": f"{text}@example.com"}
    identity = await come_back(odd)
    assert (identity.name, identity.emails) == (None, ())


@pytest.mark.parametrize("text", ["[]", "null", "7", TOO_DEEP, '{"issuer": ' + TOO_DEEP, "<html>"])
async def test_what_is_no_object_is_no_metadata(text: str) -> None:
    odd = Odd()
    odd.text = text
    with pytest.raises(Unreachable):
        await come_back(odd)


@pytest.mark.parametrize("keys", [7, "keys", None, {}, [7], [None], [{"kty": ["RSA"]}], [{"kty": "RSA", "n": 7}]])
async def test_keys_that_are_none_let_nobody_in(keys: Any) -> None:
    odd = Odd()
    odd.keys = keys
    with pytest.raises(Unreachable):
        await come_back(odd)


@pytest.mark.parametrize("value", [7, "RS256", {"RS256": 1}, None])
async def test_lists_that_are_none_say_nothing(value: Any) -> None:
    """The provider has what every provider has to have."""
    odd = Odd()
    odd.metadata = {"id_token_signing_alg_values_supported": value, "token_endpoint_auth_methods_supported": value}
    assert (await come_back(odd)).subject == "ada"
