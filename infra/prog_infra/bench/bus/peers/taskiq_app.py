"""taskiq on Redis streams: `python -m taskiq worker …peers.taskiq_app:broker`; by itself it fills the stream."""

import asyncio

from taskiq_redis import RedisStreamBroker

from prog_infra.bench.bus import message
from prog_infra.bench.bus.peers.counting import URL, counter, numbers

broker = RedisStreamBroker(URL, queue_name="taskiq", consumer_id="0", xread_count=500)


@broker.task(task_name="bench.handle")
async def handle(body: message.Body) -> None:
    counter.add(body)


async def fill() -> None:
    await broker.startup()
    for number in numbers():
        await handle.kiq(message.body(number))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(fill())
