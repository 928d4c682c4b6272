"""Access tokens: everything that is not exactly one of ours is refused (RFC 8725, RFC 9068)."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from prog_contracts.errors import Denied
from prog_contracts.ids import new_id
from prog_edge.tokens import KEYS_FRESH_SECONDS, MAX_TOKEN_BYTES, Keys, PublicKeys, TokenVerifier, read_kept

ISSUER = "https://prog.example"
NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()


def claims(**changes: Any) -> dict[str, Any]:
    found = {
        "iss": ISSUER,
        "aud": "prognetwork",
        "sub": "user_1",
        "sid": "session_1",
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 890,
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def signed(payload: dict[str, Any] | None = None, key: Any = KEY, algorithm: str = "EdDSA", **header: Any) -> str:
    headers = {"kid": "one", "typ": "at+jwt", **header}
    return jwt.encode(payload or claims(), key, algorithm=algorithm, headers=headers)


def unsigned(payload: dict[str, Any]) -> str:
    parts = ({"alg": "none", "typ": "at+jwt", "kid": "one"}, payload)
    return ".".join(base64.urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts) + "."


def signed_with_the_public_key() -> str:
    """HS256 with what everybody knows as its secret: the mistake of verifiers that let the token choose."""
    parts = (orjson.dumps({"alg": "HS256", "typ": "at+jwt", "kid": "one"}), orjson.dumps(claims()))
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    secret = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hmac.new(secret, text, "sha256").digest()
    return b".".join((text, base64.urlsafe_b64encode(digest).rstrip(b"="))).decode()


class Source:
    """The users domain's keys, and how often they were asked for."""

    def __init__(self) -> None:
        self.keys: Keys = {"one": KEY.public_key()}
        self.loads = 0
        self.away = False

    async def load(self) -> Keys:
        self.loads += 1
        if self.away:
            raise ConnectionRefusedError
        return self.keys


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def verifier(source: Source, monkeypatch: pytest.MonkeyPatch) -> TokenVerifier:
    monkeypatch.setattr("jwt.api_jwt.datetime", _Datetime)
    return TokenVerifier(PublicKeys(source.load, clock=lambda: 0.0), ISSUER, now=lambda: NOW)


class _Datetime:
    """PyJWT's clock, which stands at NOW."""

    @staticmethod
    def now(tz: Any = None) -> Any:
        from datetime import datetime

        return datetime.fromtimestamp(NOW, tz)


async def test_a_good_token_tells_who_it_is_for(verifier: TokenVerifier) -> None:
    found = await verifier.verify(signed(claims(platform_role="operator")))
    assert (found.user_id, found.session_id, found.platform_role) == ("user_1", "session_1", "operator")
    assert (await verifier.verify(signed())).platform_role is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        "ä.b.c",
        "x" * 5000,
        unsigned(claims()),
        signed(key=OTHER_KEY),
        signed(key="0" * 32, algorithm="HS256"),
        signed_with_the_public_key(),
        signed(typ="JWT"),
        signed(typ="id+jwt"),
        signed(kid="two"),
        signed(crit=["exp"]),
        signed(jku="https://evil.example/keys"),
        signed(jwk={"kty": "OKP"}),
        signed(x5u="https://evil.example/chain"),
        signed(x5c=["MIIB"]),
        signed(claims(iss="https://evil.example")),
        signed(claims(aud="another")),
        signed(claims(note="x" * MAX_TOKEN_BYTES)),
        signed(claims(exp=int(NOW) - 60)),
        signed(claims(iat=int(NOW) + 600)),
        signed(claims(nbf=int(NOW) + 600)),
        *(signed(claims(**{name: None})) for name in ("iss", "aud", "sub", "sid", "exp", "iat")),
    ],
)
async def test_check_13_any_other_token_is_refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(Denied) as denied:
        await verifier.verify(token)
    assert denied.value.code == "unauthenticated"


async def test_check_13_a_remembered_token_expires_all_the_same(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwt.api_jwt.datetime", _Datetime)
    now = NOW
    verifier = TokenVerifier(PublicKeys(source.load), ISSUER, now=lambda: now)
    token = signed()
    await verifier.verify(token)
    now = NOW + 900
    with pytest.raises(Denied, match="expired"):
        await verifier.verify(token)


def test_a_token_that_was_kept_is_read_for_renewal_whenever_it_ran_out_and_whatever_became_of_its_key() -> None:
    kept = read_kept(signed(claims(exp=int(NOW) - 10**6), key=OTHER_KEY))
    assert (kept.user_id, kept.session_id) == (claims()["sub"], "session_1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b.c",
        signed(typ="JWT"),
        unsigned(claims()),
        *(signed(claims(**{name: None})) for name in ("sub", "sid", "exp")),
    ],
)
def test_check_14_nothing_else_is_read_for_renewal(text: str) -> None:
    with pytest.raises(Denied) as denied:
        read_kept(text)
    assert denied.value.code == "unauthenticated"


@pytest.mark.parametrize(
    ("payload", "why"), [(claims(exp=int(NOW) - 60), "has expired"), (claims(aud="another"), "is not valid")]
)
async def test_whoever_has_to_renew_a_token_is_told_so(
    verifier: TokenVerifier, payload: dict[str, Any], why: str
) -> None:
    with pytest.raises(Denied, match=why):
        await verifier.verify(signed(payload))


async def test_no_number_of_good_tokens_fills_the_memory(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prog_edge.tokens._MAX_REMEMBERED", 3)
    for number in range(10):
        await verifier.verify(signed(claims(jti=str(number))))
    assert len(verifier._good) == 3


async def test_a_token_that_was_good_ends_with_its_key(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwt.api_jwt.datetime", _Datetime)
    now = 0.0
    verifier = TokenVerifier(PublicKeys(source.load, clock=lambda: now), ISSUER, now=lambda: NOW)
    token = signed()
    await verifier.verify(token)
    source.keys = {"two": OTHER_KEY.public_key()}
    assert (await verifier.verify(token)).session_id == "session_1", "no request looks for keys that are fresh"
    now = KEYS_FRESH_SECONDS + 1
    with pytest.raises(Denied, match="unknown key"):
        await verifier.verify(token)


async def test_known_keys_outlast_a_database_that_is_away(source: Source) -> None:
    now = 0.0
    keys = PublicKeys(source.load, clock=lambda: now)
    assert await keys.get("one") is not None
    source.away = True
    for moment in (KEYS_FRESH_SECONDS + 1, KEYS_FRESH_SECONDS + 2, 299.0):
        now = moment
        assert await keys.get("one") is not None
    assert source.loads == 3, "it is asked again every two seconds"
    with pytest.raises(ConnectionRefusedError):
        await keys.get("two")
    now = 302.0
    with pytest.raises(ConnectionRefusedError):
        await keys.get("one")
    source.away = False
    assert await keys.get("one") is not None


async def test_unknown_key_ids_do_not_flood_the_database(source: Source) -> None:
    now = 0.0
    keys = PublicKeys(source.load, clock=lambda: now)
    for number in range(50):
        assert await keys.get(f"unknown {number}") is None
    assert source.loads == 1
    now = 0.25
    source.keys = {"two": OTHER_KEY.public_key()}
    assert await keys.get("two") is not None, "a key that was made a moment after the look-up"
    assert source.loads == 2


ADA, OPERATOR, IMPERSONATION = new_id("user"), new_id("user"), new_id("impersonation")


def acting(**changes: Any) -> dict[str, Any]:
    return claims(**{"sub": ADA, "sid": IMPERSONATION, "act": {"sub": OPERATOR}, **changes})


async def test_a_token_in_somebody_s_name_says_who_acts(verifier: TokenVerifier) -> None:
    found = await verifier.verify(signed(acting()))
    assert (found.user_id, found.operator_id, found.session_id) == (ADA, OPERATOR, IMPERSONATION)
    assert found.platform_role is None
    assert (await verifier.verify(signed())).operator_id is None


@pytest.mark.parametrize(
    "changes",
    [
        {"act": None},
        {"sid": new_id("session")},
        {"sid": f"x{IMPERSONATION}"},
        {"act": OPERATOR},
        {"act": []},
        {"act": {}},
        {"act": {"sub": None}},
        {"act": {"sub": ""}},
        {"act": {"sub": [OPERATOR]}},
        {"act": {"sub": "prog-scheduler"}},
        {"act": {"sub": new_id("apikey")}},
        {"act": {"sub": f"{OPERATOR}/{ADA}"}},
        {"act": {"sub": OPERATOR, "act": {"sub": new_id("user")}}},
        {"act": {"sub": ADA}},
        {"platform_role": "operator"},
        {"platform_role": "support"},
    ],
)
async def test_check_13_a_token_that_names_an_actor_by_halves_is_refused(
    verifier: TokenVerifier, changes: dict[str, Any]
) -> None:
    with pytest.raises(Denied) as denied:
        await verifier.verify(signed(acting(**changes)))
    assert denied.value.code == "unauthenticated"


def test_check_14_a_token_in_somebody_s_name_renews_no_session() -> None:
    for text in (signed(acting()), signed(acting(exp=int(NOW) - 60))):
        with pytest.raises(Denied):
            read_kept(text)
