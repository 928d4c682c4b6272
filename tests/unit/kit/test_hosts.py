"""Which names are the platform's own, and which ones no tenant gets."""

from __future__ import annotations

import pytest

from prog_contracts.hosts import PlatformHosts
from prog_kit.hosts import hosts_of
from prog_kit.settings import Settings, SettingsError


def hosts(**settings: object) -> PlatformHosts:
    return hosts_of(
        Settings.load(
            {},
            database_url="postgresql://nowhere/none",
            redis_url="redis://nowhere:1",
            secret_keys=("0123456789abcdef" * 4,),
            **{"public_url": "https://app.prog.example", **settings},
        )
    )


def test_names_of_the_settings_are_the_platform_s_own() -> None:
    found = hosts(
        platform_hosts="api.prog.example,console.prog.example",
        custom_domain_target="custom.prog.example",
        passkey_domain="prog.example",
        passkey_origins="https://id.prog.example:8443",
    )
    assert found.target == "custom.prog.example"
    for name in ("app", "api", "console", "custom", "id"):
        assert found.is_own(f"{name}.prog.example")
    assert not found.is_own("prog.example")
    assert not found.is_own("accounts.acme.example")


@pytest.mark.parametrize("name", ["edge", "localhost", "10.0.0.1", "[::1]", "edge.default.svc.cluster.local"])
def test_names_that_no_tenant_can_have_are_too(name: str) -> None:
    assert hosts().is_own(name)


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("app.prog.example", True),
        ("acme.app.prog.example", True),
        ("prog.example", True),
        ("other.prog.example", False),
        ("xapp.prog.example", False),
        ("accounts.acme.example", False),
    ],
)
def test_what_is_below_and_above_the_platform_s_is_reserved(name: str, reserved: bool) -> None:
    assert hosts().is_reserved(name) is reserved


def test_all_below_the_passkeys_domain_is_reserved() -> None:
    assert hosts(passkey_domain="prog.example").is_reserved("other.prog.example")


def test_an_address_reserves_no_names() -> None:
    found = hosts(public_url="http://127.0.0.1:8000")
    assert (found.target, found.is_reserved("x.127.0.0.1"), found.is_reserved("acme.example")) == (
        "127.0.0.1", False, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("public_url", "site"),
    [
        ("https://app.prog.example", "https://accounts.acme.example"),
        ("https://app.prog.example/", "https://accounts.acme.example"),
        ("http://127.0.0.1:8000", "http://accounts.acme.example:8000"),
    ],
)
def test_a_tenant_s_pages_are_where_the_platform_s_are(public_url: str, site: str) -> None:
    assert hosts(public_url=public_url).url_of("accounts.acme.example") == site


@pytest.mark.parametrize(
    "names", ["https://api.example.com", "API.example.com", "api.example.com:443", "*.example.com"]
)
def test_what_is_no_name_is_refused_at_start(names: str) -> None:
    with pytest.raises(SettingsError, match="no host's name"):
        hosts(platform_hosts=names)
