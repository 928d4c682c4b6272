"""dramatiq on Redis: `python -m dramatiq prog_infra.bench.bus.peers.dramatiq_app`; run by itself it fills the queue."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from prog_infra.bench.bus import message
from prog_infra.bench.bus.peers.counting import URL, counter, numbers

dramatiq.set_broker(RedisBroker(url=URL))  # type: ignore[no-untyped-call]


@dramatiq.actor
def handle(fields: dict[str, Any]) -> None:
    counter.add(message.Body.model_validate(fields))


if __name__ == "__main__":
    for number in numbers():
        handle.send(message.document(number))
