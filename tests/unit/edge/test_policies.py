"""Which quota a request spends, and whose."""

from __future__ import annotations

import pytest

from prog_contracts.quotas import request_factor
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes
from prog_edge.limits.policies import POLICIES, class_of
from prog_edge.limits.rates import Quota, client_of_address
from prog_edge.middleware.rate_headers import rate_headers


@pytest.mark.parametrize(
    ("method", "route", "kind"),
    [
        ("POST", "/v1/auth/login", "auth"),
        ("POST", "/v1/auth/register", "auth"),
        ("POST", "/v1/auth/email/verify", "auth"),
        ("POST", "/v1/auth/email/resend", "auth"),
        ("POST", "/v1/auth/password/forgot", "auth"),
        ("POST", "/v1/auth/mfa", "auth"),
        ("POST", "/account/sign-in", "auth"),
        ("POST", "/account/forgot-password", "auth"),
        ("GET", "/account/sign-in", "reads"),
        ("GET", "/v1/auth/oauth/{provider}/start", "reads"),
        ("GET", "/v1/auth/oauth/{provider}/callback", "auth"),
        ("GET", "/v1/auth/oauth", "reads"),
        ("GET", "/account/passkey/for-host", "reads"),
        ("POST", "/account/passkey/for-host", "writes"),
        ("GET", "/account/passkey/answer", "auth"),
        ("POST", "/v1/leads", "auth"),
        ("POST", "/leads", "auth"),
        ("GET", "/leads/thanks", "reads"),
        ("POST", "/v1/auth/refresh", "writes"),
        ("POST", "/v1/auth/logout", "writes"),
        ("PATCH", "/v1/tenants/{tenant_id}", "writes"),
        ("GET", "/v1/tenants", "reads"),
        ("HEAD", "/v1/tenants", "reads"),
        ("GET", "/v1/events/stream", "streams"),
        ("GET", "/readyz", None),
    ],
)
def test_each_kind_of_endpoint_has_its_quota(method: str, route: str, kind: str | None) -> None:
    assert class_of(method, route) == kind


def test_every_way_to_prove_who_one_is_is_strict() -> None:
    routes = {(method, route.path) for route in api_routes(ROUTERS) for method in route.methods or ()}
    sign_in = {(method, path) for method, path in routes if path.startswith("/v1/auth/") and method == "POST"}
    by_token = {("POST", "/v1/auth/refresh"), ("POST", "/v1/auth/logout")}
    assert by_token < sign_in
    assert {class_of(*route) for route in sign_in - by_token} == {"auth"}


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "unreadable"),
        ("<script>", "unreadable"),
        (None, "nowhere"),
    ],
)
def test_an_address_stands_for_one_client(address: str | None, client: str) -> None:
    assert client_of_address(address) == client


def test_paid_plans_may_ask_for_more() -> None:
    assert request_factor(None) == request_factor("free") == 1.0
    assert 1.0 < request_factor("Starter") <= request_factor("of one's own") < request_factor("scale")


def test_a_quota_is_never_scaled_to_nothing() -> None:
    assert POLICIES["auth"].scaled(0.001).quota == 1
    assert POLICIES["auth"].alone().quota < POLICIES["auth"].quota
    assert POLICIES["reads"].alone().quota == POLICIES["reads"].quota


def test_the_headers_come_in_the_form_that_is_chosen() -> None:
    quota = Quota(POLICIES["auth"], 7, 42)
    assert rate_headers(quota, "draft") == [
        (b"ratelimit-policy", b'"auth";q=30;w=60'),
        (b"ratelimit", b'"auth";r=7;t=42'),
    ]
    assert rate_headers(quota, "x") == [
        (b"x-ratelimit-limit", b"30"),
        (b"x-ratelimit-remaining", b"7"),
        (b"x-ratelimit-reset", b"42"),
    ]
