"""Wiring of the payments domain: what `prog worker payments` runs."""

from __future__ import annotations

from prog_broker.worker import Resources
from prog_workers.payments import handlers
from prog_workers.payments.gateway.port import Gateway
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.gateway.stripe import StripeGateway
from prog_workers.payments.handlers.domain import payments as domain
from prog_workers.payments.handlers.domain import use_gateway

__all__ = ["domain", "handlers"]


@domain.on_start
async def choose_gateway(resources: Resources) -> None:
    """Stripe where its key is set, else the sandbox; settings refuse the sandbox in production."""
    use_gateway(gateway_of(resources))


def gateway_of(resources: Resources) -> Gateway:
    settings = resources.settings
    if settings.stripe_api_key is None:
        return Sandbox(resources.database)
    return StripeGateway(settings.stripe_api_key, settings.stripe_api_base)
