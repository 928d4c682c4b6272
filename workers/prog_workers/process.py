"""The worker process: `prog worker users payments` serves these domains until it is told to stop."""

from __future__ import annotations

import asyncio
import importlib
import signal
from collections.abc import Sequence

from prog_broker.domain import Domain
from prog_broker.worker import Worker
from prog_contracts.errors import Invalid
from prog_contracts.topics import DOMAINS
from prog_kit import logging, probes
from prog_kit.settings import Settings


def load(names: Sequence[str]) -> list[Domain]:
    """The domains of these names, with all their handlers registered.

    Raises Invalid for a name that is none of them.
    """
    unknown = [name for name in names if name not in DOMAINS]
    if unknown or not names:
        raise Invalid(
            f"no such domain: {', '.join(unknown) or '(none given)'}; choose from {', '.join(DOMAINS)}",
            code="unknown_domain",
        )
    if "tenants" in names:
        importlib.import_module("prog_contracts.scim")  # first, from a shallow stack: see prog_edge.process
    return [importlib.import_module(f"prog_workers.{name}.app").domain for name in dict.fromkeys(names)]


async def run(names: Sequence[str]) -> None:
    """Serves until SIGTERM or SIGINT; then finishes what is at work and gives its shards back."""
    settings = Settings.load()
    logging.configure(settings.log_level, settings.process_name)
    worker = Worker(load(names), settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stopping.set)
    with probes.serving(settings, lambda: worker.ready):
        await worker.run()
