from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole
from prog_contracts.messages import Command, all_messages
from prog_kit.settings import Settings
from prog_workers.payments.app import domain, gateway_of
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.gateway.stripe import StripeGateway


def resources(**settings: Any) -> Any:
    loaded = Settings.load(
        {}, database_url="postgresql://h/d", redis_url="redis://h", secret_keys=("0" * 32,), **settings
    )
    return SimpleNamespace(settings=loaded, database=None)


def test_every_command_of_payments_has_a_handler() -> None:
    commands = {m.TYPE for m in all_messages() if issubclass(m, Command) and m.domain() == "payments"}
    assert commands <= set(domain.registrations)


def test_money_moves_only_outside_of_a_transaction() -> None:
    for name in ("charge_invoice", "pay_invoice", "create_subscription", "attach_payment_method"):
        registration = domain.registrations[f"prognetwork.payments.{name}"]
        assert registration.performer is not None, name


def test_the_sandbox_serves_where_no_key_of_stripe_is_set() -> None:
    assert isinstance(gateway_of(resources()), Sandbox)
    assert isinstance(gateway_of(resources(stripe_api_key="sk_test_123")), StripeGateway)
