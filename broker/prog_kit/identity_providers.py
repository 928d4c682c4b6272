"""The identity providers that people may sign in with: what PROG_IDENTITY_PROVIDERS holds, checked at start.

    [{"kind": "google", "client_id": "…", "client_secret_file": "/run/secrets/google"},
     {"kind": "oidc", "name": "acme", "title": "Acme", "issuer": "https://id.acme.example", "client_id": "…",
      "client_secret": "${ACME_SECRET}"}]

`google`, `microsoft` and `github` know their addresses; `oidc` is any OpenID provider, found by its issuer.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Kind = Literal["google", "microsoft", "github", "oidc"]

_KNOWN: Final[dict[Any, dict[str, str]]] = {
    "google": {"name": "google", "title": "Google", "issuer": "https://accounts.google.com"},
    "microsoft": {
        "name": "microsoft",
        "title": "Microsoft",
        "issuer": "https://login.microsoftonline.com/common/v2.0",
    },
    "github": {"name": "github", "title": "GitHub", "issuer": "https://github.com"},
}
_URL: Final = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?")
MOST: Final = 20


class IdentityProvider(BaseModel):
    """One provider. `name` is part of addresses, `title` what people read on its button.

    `issuer` is its OpenID issuer; for GitHub, which is none, the address of the site, whose API is at `api_url`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    name: str = Field("", pattern=r"^[a-z][a-z0-9-]{0,30}$")
    title: str = Field("", min_length=1, max_length=40)
    issuer: str = ""
    client_id: str = Field(min_length=1, max_length=500)
    client_secret: str = Field(min_length=1, max_length=2000, repr=False)
    api_url: str = "https://api.github.com"

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        filled = {**_KNOWN.get(value.get("kind", ""), {}), **value}
        file = filled.pop("client_secret_file", None)
        if file is None:
            return filled
        if "client_secret" in filled:
            raise ValueError("client_secret and client_secret_file are both set; remove one")
        try:
            return {**filled, "client_secret": Path(str(file)).read_text(encoding="utf-8").strip()}
        except OSError as error:
            raise ValueError(f"client_secret_file {file} cannot be read ({error.strerror})") from None

    @model_validator(mode="after")
    def _addressed(self) -> Self:
        if not self.name or not self.title:
            raise ValueError("name and title are needed")
        for name, url in (("issuer", self.issuer), ("api_url", self.api_url)):
            if not _URL.fullmatch(url):
                raise ValueError(f"{name} is an address such as https://id.example.com, without a query")
        return self

    @property
    def is_plain_http(self) -> bool:
        return not (self.issuer.startswith("https://") and self.api_url.startswith("https://"))


def parsed(text: str) -> tuple[IdentityProvider, ...]:
    """The providers in a JSON list. Raises ValueError with what is wrong, and never with a secret."""
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is no JSON ({error.msg} at character {error.pos})") from None
    if not isinstance(items, list) or len(items) > MOST:
        raise ValueError(f"must be a JSON list of {MOST} providers at the most")
    found = []
    for number, item in enumerate(items, start=1):
        try:
            found.append(IdentityProvider.model_validate(item))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            message = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"provider {number}{', ' + place if place else ''}: {message}") from None
    names = [provider.name for provider in found]
    if len(set(names)) != len(names):
        raise ValueError("two providers have the same name; give each a name of its own")
    return tuple(found)
