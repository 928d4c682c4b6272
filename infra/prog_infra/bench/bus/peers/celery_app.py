"""Celery on Redis: `python -m celery -A prog_infra.bench.bus.peers.celery_app worker`; by itself it fills the queue."""

from __future__ import annotations

from typing import Any

from celery import Celery

from prog_infra.bench.bus import message
from prog_infra.bench.bus.peers.counting import URL, counter, numbers

app = Celery("bench", broker=URL)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=500,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="bench.handle")
def handle(fields: dict[str, Any]) -> None:
    counter.add(message.Body.model_validate(fields))


if __name__ == "__main__":
    with app.producer_or_acquire() as producer:
        for number in numbers():
            handle.apply_async((message.document(number),), producer=producer)
