"""Which clients may be registered, and what an authorization code takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prog_contracts.errors import Invalid
from prog_workers.users.rules import clients as rules

NOW = datetime(2027, 1, 1, tzinfo=UTC)
BACK = "https://shop.example/back"
OUT = "https://shop.example/out"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""Those of RFC 7636, appendix B."""


@pytest.mark.parametrize(
    "uri",
    [
        BACK,
        "https://shop.example:8443/back?tenant=1&x=%20",
        "http://127.0.0.1:3000/back",
        "http://localhost/back",
        "http://[::1]:9000/back",
        "https://[::1]/back",
        "com.example.app:/back",
    ],
)
def test_addresses_that_are_good_for_an_app(uri: str) -> None:
    assert rules.redirect_uri_problem(uri, confidential=False) is None


@pytest.mark.parametrize(
    "uri",
    [
        "http://shop.example/back",
        "http://127.0.0.1.evil.example/back",
        "https://shop.example/back#part",
        "https://*.shop.example/back",
        "https://ada:secret@shop.example/back",
        "https://shop.example@evil.example/back",
        "https://shop.example\\@evil.example/back",
        "https:///back",
        "https://shop.example:0/back",
        "https://shop.example:99999/back",
        "https://shop example/back",
        "https://shöp.example/back",
        "https://shop.example/back\n",
        "https://shop.example;script-src *",
        "javascript:alert(1)",
        "data:text/html,x",
        "myapp:/back",
        "com.example.app://host/back",
        "//shop.example/back",
        "/back",
        "",
        "https://shop.example/" + "a" * 500,
    ],
)
def test_addresses_that_are_good_for_nobody(uri: str) -> None:
    assert rules.redirect_uri_problem(uri, confidential=False) is not None


def test_a_scheme_of_its_own_is_for_apps_without_a_secret() -> None:
    assert rules.redirect_uri_problem("com.example.app:/back", confidential=True) is not None


def test_everything_is_kept_once_in_the_order_of_the_tables() -> None:
    wanted = rules.checked_client(
        "  A \n shop ",
        [BACK, BACK],
        [OUT, OUT],
        f"{OUT}/told",
        ["client_credentials", "authorization_code"],
        ["event.read", "email", "openid"],
        confidential=True,
    )
    assert wanted == rules.WantedClient(
        "A shop",
        (BACK,),
        (OUT,),
        f"{OUT}/told",
        ("authorization_code", "client_credentials"),
        ("openid", "email", "event.read"),
    )


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"name": " "}, "name", "required"),
        ({"redirect_uris": []}, "redirect_uris", "required"),
        ({"redirect_uris": [f"{BACK}{n}" for n in range(21)]}, "redirect_uris", "too_many"),
        ({"redirect_uris": ["javascript:1"]}, "redirect_uris", "invalid_uri"),
        ({"post_logout_redirect_uris": ["javascript:1"]}, "post_logout_redirect_uris", "invalid_uri"),
        ({"post_logout_redirect_uris": [f"{BACK}{n}" for n in range(21)]}, "post_logout_redirect_uris", "too_many"),
        ({"backchannel_logout_uri": "com.example:/out"}, "backchannel_logout_uri", "invalid_uri"),
        ({"backchannel_logout_uri": "http://shop.example/out"}, "backchannel_logout_uri", "invalid_uri"),
        ({"backchannel_logout_uri": "https://ada:x@shop.example/out"}, "backchannel_logout_uri", "invalid_uri"),
        ({"backchannel_logout_uri": "https://shop.example/out#in"}, "backchannel_logout_uri", "invalid_uri"),
        ({"grants": []}, "grants", "unknown_grant"),
        ({"grants": ["password"]}, "grants", "unknown_grant"),
        ({"grants": ["refresh_token"]}, "grants", "refresh_alone"),
        ({"grants": ["authorization_code", "client_credentials"], "confidential": False}, "grants", "needs_secret"),
        ({"scopes": ["openid", "root"]}, "scopes", "unknown_scope"),
        ({"scopes": ["openid", "api_key.manage"]}, "scopes", "unknown_scope"),
        ({"scopes": ["openid", "client.manage"]}, "scopes", "unknown_scope"),
        ({"scopes": ["email"]}, "scopes", "openid"),
        ({"scopes": ["openid", "offline_access"]}, "scopes", "offline_access"),
        ({"grants": ["authorization_code", "refresh_token"]}, "scopes", "offline_access"),
        ({"scopes": ["openid", "event.read"]}, "scopes", "api_scopes"),
        ({"grants": ["authorization_code", "client_credentials"]}, "scopes", "api_scopes"),
        ({"grants": ["client_credentials"], "scopes": ["event.read"]}, "redirect_uris", "not_wanted"),
        (
            {
                "grants": ["client_credentials"],
                "scopes": ["event.read"],
                "redirect_uris": [],
                "post_logout_redirect_uris": [OUT],
            },
            "post_logout_redirect_uris",
            "not_wanted",
        ),
        (
            {
                "grants": ["client_credentials"],
                "scopes": ["event.read"],
                "redirect_uris": [],
                "backchannel_logout_uri": OUT,
            },
            "backchannel_logout_uri",
            "not_wanted",
        ),
        ({"grants": ["client_credentials"], "scopes": ["event.read", "email"]}, "scopes", "no_people"),
    ],
)
def test_what_does_not_go_together_is_refused(change: dict[str, Any], field: str, code: str) -> None:
    wish: dict[str, Any] = {
        "name": "Shop",
        "redirect_uris": [BACK],
        "post_logout_redirect_uris": [],
        "backchannel_logout_uri": None,
        "grants": ["authorization_code"],
        "scopes": ["openid"],
        "confidential": True,
    }
    with pytest.raises(Invalid) as caught:
        rules.checked_client(**wish | change)
    assert (field, code) in {(problem.field, problem.code) for problem in caught.value.fields}


def code(**changes: Any) -> rules.Code:
    values: dict[str, Any] = {
        "digest": "d",
        "user_id": "user",
        "client_id": "client",
        "session_id": "session",
        "redirect_uri": BACK,
        "scopes": ("openid",),
        "code_challenge": CHALLENGE,
        "nonce": None,
        "expires_at": NOW + rules.CODE_LIFETIME,
        "spent_at": None,
        "authorization_id": None,
    }
    return rules.Code(**values | changes)


@pytest.mark.parametrize(
    ("found", "asked", "refusal"),
    [
        ({}, {}, None),
        ({}, {"client_id": "other"}, "wrong_client"),
        ({"spent_at": NOW}, {"client_id": "other"}, "wrong_client"),
        ({"spent_at": NOW}, {}, "reused"),
        ({"expires_at": NOW}, {}, "expired"),
        ({}, {"redirect_uri": BACK + "/"}, "wrong_redirect_uri"),
        ({}, {"verifier": VERIFIER[:-1] + "l"}, "wrong_verifier"),
        ({}, {"verifier": CHALLENGE}, "wrong_verifier"),
        ({}, {"verifier": VERIFIER[:42]}, "wrong_verifier"),
        ({"code_challenge": ""}, {"verifier": ""}, "wrong_verifier"),
    ],
)
def test_check_18_what_a_code_takes(found: dict[str, Any], asked: dict[str, Any], refusal: str | None) -> None:
    wish: dict[str, Any] = {"client_id": "client", "redirect_uri": BACK, "verifier": VERIFIER, "now": NOW} | asked
    assert rules.code_refusal(code(**found), **wish) == refusal


def test_a_secret_s_grace_has_bounds() -> None:
    assert rules.secrets_end(NOW, 60) == NOW + timedelta(seconds=60)
    for seconds in (-1, 7 * 24 * 3600 + 1):
        with pytest.raises(Invalid):
            rules.secrets_end(NOW, seconds)


def test_claims_are_those_of_the_scopes_and_bound_to_the_access_token() -> None:
    ada = rules.Profile("user_1", "ada@example.com", "Ada", True, NOW)
    claims = rules.id_claims(
        ada,
        issuer="https://id.example",
        audience="client",
        session_id="session_1",
        scopes=("openid", "email"),
        authenticated_at=NOW,
        amr=("pwd",),
        access_token="jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
        nonce=None,
        now=NOW,
    )
    assert claims["at_hash"] == "77QmUPtjPfzWtF2AnpK9RQ", "of the example in OpenID Connect Core, appendix A.3"
    assert "nonce" not in claims
    assert claims.keys() >= {"email", "email_verified"}
    assert "name" not in claims
