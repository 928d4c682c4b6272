"""Which registered address of a client a request means."""

from __future__ import annotations

import pytest

from prog_contracts.redirects import is_registered

REGISTERED = (
    "https://shop.example/back",
    "http://127.0.0.1/back?a=b",
    "http://[::1]:8000/back",
    "http://localhost/back",
)


@pytest.mark.parametrize("uri", REGISTERED)
@pytest.mark.parametrize("confidential", [True, False])
def test_an_address_is_registered_letter_by_letter(uri: str, confidential: bool) -> None:
    assert is_registered(uri, REGISTERED, confidential=confidential)
    assert not is_registered(uri + "/", REGISTERED, confidential=confidential)
    assert not is_registered(uri.upper(), REGISTERED, confidential=confidential)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:49152/back?a=b", "http://[::1]/back", "http://[::1]:65535/back"])
def test_an_app_without_a_secret_listens_at_any_port_of_the_own_machine(uri: str) -> None:
    assert is_registered(uri, REGISTERED, confidential=False)
    assert not is_registered(uri, REGISTERED, confidential=True)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:1/back",
        "http://127.0.0.1:1@evil.example/back?a=b",
        "http://127.0.0.1.evil.example/back?a=b",
        "http://127.0.0.2:1/back?a=b",
        "http://localhost:1/back",
        "https://127.0.0.1:1/back?a=b",
        "https://shop.example:444/back",
        "http://[::1]:x/back",
        "http://[::1]:123456/back",
        "http://user@[::1]:1/back",
        "",
    ],
)
def test_no_other_address_passes_for_one_of_them(uri: str) -> None:
    assert not is_registered(uri, REGISTERED, confidential=False)
