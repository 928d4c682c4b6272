"""Wiring of the events domain: what `prog worker events` runs."""

import asyncio

from prog_broker.worker import Resources
from prog_workers.events.audit.recording import Recorder
from prog_workers.events.audit.signing import Signer
from prog_workers.events.handlers import events as domain

__all__ = ["domain"]


@domain.on_start
async def keep_the_trail(resources: Resources) -> None:
    """Records what happens in the audit trail, unless another worker does."""
    recorder = Recorder(
        resources.database,
        Signer(resources.settings.secret_keys),
        origin_days=resources.settings.audit_origin_days,
    )
    resources.tasks.append(asyncio.create_task(recorder.run()))
