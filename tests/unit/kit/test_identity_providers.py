"""Identity providers in the settings: complete, or refused at start with what is wrong and no secret."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest

from prog_kit.identity_providers import IdentityProvider, parsed
from prog_kit.settings import Settings, SettingsError

GOOGLE = {"kind": "google", "client_id": "id", "client_secret": "hush-hush"}
ACME = {**GOOGLE, "kind": "oidc", "name": "acme", "title": "Acme", "issuer": "https://id.acme.example/realm"}
GOOD = {
    "PROG_DATABASE_URL": "postgresql://localhost/x",
    "PROG_REDIS_URL": "redis://localhost",
    "PROG_SECRET_KEYS": "x" * 32,
}


def read(*items: object) -> tuple[IdentityProvider, ...]:
    return parsed(orjson.dumps(items).decode())


def test_the_known_ones_need_an_id_and_a_secret_alone() -> None:
    google, microsoft, github, acme = read(GOOGLE, {**GOOGLE, "kind": "microsoft"}, {**GOOGLE, "kind": "github"}, ACME)
    assert (google.name, google.title, google.issuer) == ("google", "Google", "https://accounts.google.com")
    assert microsoft.issuer == "https://login.microsoftonline.com/common/v2.0"
    assert (github.issuer, github.api_url) == ("https://github.com", "https://api.github.com")
    assert (acme.name, acme.title) == ("acme", "Acme")
    assert "hush-hush" not in repr(google)


def test_one_may_be_told_otherwise() -> None:
    [mine] = read(
        {**GOOGLE, "kind": "microsoft", "name": "staff", "title": "Staff", "issuer": "https://login.example/t"}
    )
    assert (mine.name, mine.title, mine.issuer) == ("staff", "Staff", "https://login.example/t")


def test_a_secret_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    without = {name: value for name, value in GOOGLE.items() if name != "client_secret"}
    [google] = read({**without, "client_secret_file": str(tmp_path / "secret")})
    assert google.client_secret == "from the file"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({**ACME, "issuer": "id.acme.example"}, "issuer"),
        ({**ACME, "issuer": "https://id.acme.example/?tenant=1"}, "issuer"),
        ({**ACME, "issuer": "https://user@id.acme.example"}, "issuer"),
        ({**ACME, "name": "Acme!"}, "name"),
        ({**ACME, "title": ""}, "title"),
        ({**GOOGLE, "kind": "oidc"}, "provider 1"),
        ({**GOOGLE, "kind": "facebook"}, "kind"),
        ({**GOOGLE, "client_secret": ""}, "client_secret"),
        ({**GOOGLE, "client_secret_file": "/x"}, "remove one"),
        ({"kind": "google", "client_id": "id", "client_secret_file": "/not/there"}, "cannot be read"),
        ({**GOOGLE, "scope": "all"}, "scope"),
        ("google", "provider 1"),
        (7, "provider 1"),
    ],
)
def test_what_is_wrong_is_told_without_the_secret(item: object, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as refused:
        read(item)
    assert "hush-hush" not in str(refused.value)


@pytest.mark.parametrize("text", ["{", "{}", "7", "null"])
def test_what_is_no_list_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        parsed(text)


def test_two_of_one_name_are_told() -> None:
    with pytest.raises(ValueError, match="same name"):
        read(GOOGLE, GOOGLE)


def test_settings_read_them_and_complain_at_start(tmp_path: Path) -> None:
    (tmp_path / "providers.json").write_bytes(orjson.dumps([{**GOOGLE, "client_secret": "${THE_SECRET}"}]))
    settings = Settings.load(
        GOOD | {"PROG_IDENTITY_PROVIDERS_FILE": str(tmp_path / "providers.json"), "THE_SECRET": "s3cret"}
    )
    assert settings.identity_providers[0].client_secret == "s3cret"
    with pytest.raises(SettingsError, match="PROG_IDENTITY_PROVIDERS"):
        Settings.load(GOOD | {"PROG_IDENTITY_PROVIDERS": "[{}]"})


def test_production_takes_no_provider_without_tls() -> None:
    plain = orjson.dumps([{**ACME, "issuer": "http://id.acme.example"}]).decode()
    with pytest.raises(SettingsError) as refused:
        Settings.load(GOOD | {"PROG_ENV": "production", "PROG_IDENTITY_PROVIDERS": plain})
    assert any("PROG_IDENTITY_PROVIDERS" in line for line in refused.value.problems)
