"""Contestants that are task queues, run by their own commands (`peers`)."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from prog_infra.bench.bus import message
from prog_infra.bench.bus.contest import PATIENCE_SECONDS, STOP_SECONDS
from prog_infra.bench.bus.side import Tally
from prog_infra.bench.bus.stage import Stage, must
from prog_infra.errors import OperatorError
from prog_infra.servers.process import Launch

PACKAGE: Final = "prog_infra.bench.bus.peers"
POLL_SECONDS: Final = 0.02


@dataclass(eq=False)
class Queue:
    """`command` runs its worker, its module by itself fills the queue, `is_done` tells that all is acknowledged."""

    name: str
    module: str
    command: tuple[str, ...]
    is_done: Callable[[Stage], Awaitable[bool]]
    share: float = 0.1
    version: str = field(init=False)

    def __post_init__(self) -> None:
        self.version = version(self.name.lower())

    async def open(self, stage: Stage) -> None:
        """Its processes live for a round."""

    async def round(self, stage: Stage, messages: int) -> Tally:
        result, log = stage.folder / f"{self.module}.json", stage.folder / f"{self.module}.log"
        result.unlink(missing_ok=True)
        environment = stage.environment(
            PROG_BENCH_REDIS_URL=stage.redis_url,
            PROG_BENCH_MESSAGES=str(messages),
            PROG_BENCH_RESULT=str(result),
            dramatiq_queue_prefetch="500",
        )
        filling = await self._start(["-m", f"{PACKAGE}.{self.module}"], environment, log)
        must(await filling.wait() == 0, f"{self.name}'s queue was not filled{_said(log)}")
        working = await self._start(["-m", *self.command], environment, log)
        try:
            await self._until(result.exists, log)
            while not await self.is_done(stage):  # noqa: ASYNC110 - the server tells it to nobody
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await _end(working)
        told: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        must(told["checksum"] == message.checksum(messages), f"{self.name} handled some twice and others never")
        return Tally(messages, told["checksum"], told["seconds"])

    async def close(self) -> None:
        """Nothing is left."""

    async def _start(self, arguments: list[str], environment: dict[str, str], log: Path) -> asyncio.subprocess.Process:
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env=environment, cwd=log.parent, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=Launch((), {}, death_signal=signal.SIGTERM).before_exec(),
            )  # fmt: skip

    async def _until(self, condition: Callable[[], bool], log: Path) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise OperatorError(f"{self.name} does not come to an end{_said(log)}", remedy="see what it said")
            await asyncio.sleep(POLL_SECONDS)


def queues() -> list[Queue]:
    """One process each, as ours; threads where the library's own default has them."""
    worker = f"{PACKAGE}.celery_app", "worker", "--pool", "solo", "--without-gossip", "--without-mingle"
    return [
        Queue(
            "dramatiq", "dramatiq_app", ("dramatiq", f"{PACKAGE}.dramatiq_app", "--processes", "1"), dramatiq_is_done
        ),
        Queue(
            "taskiq",
            "taskiq_app",
            ("taskiq", "worker", f"{PACKAGE}.taskiq_app:broker", "--workers", "1", "--max-prefetch", "500"),
            taskiq_is_done,
        ),
        Queue("Celery", "celery_app", ("celery", "-A", *worker, "--without-heartbeat"), celery_is_done),
    ]


async def dramatiq_is_done(stage: Stage) -> bool:
    """The list of ids and the hash of messages are empty: a message leaves the hash when it is acknowledged."""
    return not await stage.redis.exists("dramatiq:default", "dramatiq:default.msgs")


async def taskiq_is_done(stage: Stage) -> bool:
    return await stage.is_settled("taskiq", "taskiq")


async def celery_is_done(stage: Stage) -> bool:
    """The list of messages and the hash of those not acknowledged are empty."""
    return not await stage.redis.exists("celery", "unacked")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _said(log: Path) -> str:
    return "\n" + log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
