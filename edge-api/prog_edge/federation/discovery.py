"""What is known of OpenID providers: their metadata (OpenID Connect Discovery 1.0) and their keys, for an hour.

A token that names a key which is not among those known has them fetched anew, so that a provider may rotate its keys at
any time; made-up key ids make a provider be asked twice a minute at the most.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from prog_kit.outbound import Outbound, Unreachable

KEPT_SECONDS: Final = 3600.0
ANEW_SECONDS: Final = 30.0
FAILED_SECONDS: Final = 5.0
"""A provider that did not answer is not asked again for so long: who comes meanwhile does not wait for it, too."""
MOST_KEPT: Final = 1000
MOST_KEYS: Final = 100
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""What ID tokens may be signed with: by the provider's private key alone, so no HS256 and never `none`."""
_AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Metadata:
    """A provider's addresses and abilities, as it publishes them.

    `tells_issuer` says that its answers carry `iss` (RFC 9207).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    tells_issuer: bool
    auth_method: str
    algorithms: tuple[str, ...]


@dataclass(slots=True)
class _Kept(Generic[Value]):
    at: float = 0.0
    value: Value | None = None
    failed_at: float = -FAILED_SECONDS
    failure: Unreachable | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Directory:
    """One a process. `any_issuer` lets metadata name another issuer than it was asked for, as Microsoft's do."""

    def __init__(self, outbound: Outbound, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self.clock = clock
        self._metadata: OrderedDict[str, _Kept[Metadata]] = OrderedDict()
        self._keys: OrderedDict[str, _Kept[KeySet]] = OrderedDict()

    def forget(self, issuer: str) -> None:
        """What is asked for next of this issuer is fetched anew."""
        self._metadata.pop(issuer, None)

    def knows(self, issuer: str) -> bool:
        """Whether `metadata` would tell by what was fetched before, and ask nobody."""
        entry = self._metadata.get(issuer)
        return entry is not None and (self._is_fresh(entry, KEPT_SECONDS) or self._has_failed(entry))

    async def metadata(self, issuer: str, *, templated: bool = False) -> Metadata:
        """What the provider publishes. Raises Unreachable.

        With `templated` its issuer may hold `{tenantid}`, for whoever asks to fill.
        """

        async def fetch() -> Metadata:
            document = await self._json(get_well_known_url(issuer, external=True))
            return _metadata(document, issuer, templated=templated)

        return await self._kept(self._metadata, issuer, fetch, KEPT_SECONDS)

    async def keys(self, metadata: Metadata, *, anew: bool = False) -> KeySet:
        """The provider's public keys; with `anew` fetched again, unless that was just done. Raises Unreachable."""

        async def fetch() -> KeySet:
            return _key_set(await self._json(metadata.jwks_uri))

        return await self._kept(self._keys, metadata.jwks_uri, fetch, ANEW_SECONDS if anew else KEPT_SECONDS)

    async def _kept(
        self,
        kept: OrderedDict[str, _Kept[Value]],
        key: str,
        fetch: Callable[[], Awaitable[Value]],
        fresh_seconds: float,
    ) -> Value:
        entry = kept.setdefault(key, _Kept())
        kept.move_to_end(key)
        while len(kept) > MOST_KEPT:
            kept.popitem(last=False)
        async with entry.lock:
            if entry.value is not None and self._is_fresh(entry, fresh_seconds):
                return entry.value
            if entry.failure is not None and self._has_failed(entry):
                raise Unreachable(entry.failure.message)
            try:
                entry.value, entry.at, entry.failure = await fetch(), self.clock(), None
            except Unreachable as error:
                entry.failure, entry.failed_at = error, self.clock()
                raise
            return entry.value

    def _is_fresh(self, entry: _Kept[Value], fresh_seconds: float) -> bool:
        return entry.value is not None and self.clock() - entry.at < fresh_seconds

    def _has_failed(self, entry: _Kept[Value]) -> bool:
        """Just now, so that it is not asked again yet."""
        return entry.failure is not None and self.clock() - entry.failed_at < FAILED_SECONDS

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self._outbound.get(url, {"Accept": "application/json"})
        answer.raise_for_status()
        try:
            document = answer.json()
        except ValueError as error:
            raise Unreachable("The identity provider's answer is no JSON.") from error
        if not isinstance(document, dict):
            raise Unreachable("The identity provider's answer is no JSON object.")
        return document


def _metadata(document: dict[str, Any], issuer: str, *, templated: bool) -> Metadata:
    """Raises Unreachable for what is no metadata, or somebody else's."""
    published = OpenIDProviderMetadata(document)
    found = published.get("issuer")
    if found != issuer and not (templated and isinstance(found, str) and "{tenantid}" in found):
        raise Unreachable("The identity provider publishes another issuer than the one that is configured.")
    addresses = [published.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(isinstance(url, str) and url.startswith(("https://", "http://")) for url in addresses):
        raise Unreachable("The identity provider does not publish the addresses that are needed.")
    if issuer.startswith("https://") and not all(url.startswith("https://") for url in addresses):
        raise Unreachable("The identity provider publishes an address without TLS.")
    offered = _listed(published, "id_token_signing_alg_values_supported") or ["RS256"]
    methods = _listed(published, "token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        issuer=found,
        authorization_endpoint=addresses[0],
        token_endpoint=addresses[1],
        jwks_uri=addresses[2],
        tells_issuer=published.get("authorization_response_iss_parameter_supported") is True,
        auth_method=next((method for method in _AUTH_METHODS if method in methods), _AUTH_METHODS[0]),
        algorithms=tuple(name for name in ALGORITHMS if name in offered),
    )


def _key_set(document: dict[str, Any]) -> KeySet:
    """The keys that can be read, of those for signatures; a kind that is not known here spoils no other."""
    keys: list[Key] = []
    for each in _listed(document, "keys")[:MOST_KEYS]:
        if not isinstance(each, dict) or each.get("kty") == "oct" or each.get("use", "sig") != "sig":
            continue
        try:
            keys.append(JWKRegistry.import_key(each))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    if not keys:
        raise Unreachable("The identity provider publishes no key that can be used.")
    return KeySet(keys)


def _listed(document: Mapping[str, Any], name: str) -> list[Any]:
    """A list that a provider publishes; none for what is no list."""
    found = document.get(name)
    return found if isinstance(found, list) else []
