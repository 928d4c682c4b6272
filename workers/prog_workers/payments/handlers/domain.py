"""The domain that the use cases register with, and the gateway that they charge through."""

from __future__ import annotations

from prog_broker.domain import Domain
from prog_workers.payments.gateway.port import Gateway

payments = Domain("payments")

_gateway: Gateway | None = None


def use_gateway(gateway: Gateway) -> None:
    """Sets the process's gateway; `app` does so at start, and tests that bring their own."""
    global _gateway  # noqa: PLW0603 - one a process, chosen by its settings
    _gateway = gateway


def gateway() -> Gateway:
    """The process's gateway. Raises RuntimeError before the process has started."""
    if _gateway is None:
        raise RuntimeError("no gateway is set: prog_workers.payments.app chooses one at start")
    return _gateway
