"""argon2id and nothing else, in a process of its own, with the platform's parameters and niceness: in as many threads
as a worker has for it, or on every processor."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, cast

from argon2 import PasswordHasher

from prog_infra.errors import OperatorError
from prog_kit.settings import PasswordHashing
from prog_workers.users import passwords

PATIENCE_SECONDS: Final = 60.0
"""For the process to start, to tell what it has measured, and to end."""
_PASSWORD: Final = "correct horse battery staple"


class Hashing:
    """The process, seen from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def rate(self, seconds: float, threads: int = passwords.CONCURRENCY) -> float:
        """Passwords compared a second, in so many seconds from now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds} {threads}\n".encode())
        async with asyncio.timeout(seconds + PATIENCE_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise OperatorError("the process that hashes has ended", remedy="see what it said")
        return float(line)


@asynccontextmanager
async def hashing(strength: PasswordHashing) -> AsyncIterator[Hashing]:
    """The process, ready; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"from {__name__} import main; main()",
        strength,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        found = Hashing(process)
        await found.rate(0.0)
        yield found
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _compare(hasher: PasswordHasher, stored: str, seconds: float) -> float:
    """Times a second that one thread compares."""
    made, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds or not made:
        hasher.verify(stored, _PASSWORD)
        made += 1
    return made / elapsed if elapsed else 0.0


def main() -> None:
    """Of the process: hashes for so many seconds in so many threads as each line says, and prints the rate. Ends with
    its input."""
    hasher = passwords.STRENGTHS[cast("PasswordHashing", sys.argv[1])]
    stored = hasher.hash(_PASSWORD)
    most = max(passwords.CONCURRENCY, passwords.processors())
    with ThreadPoolExecutor(most, initializer=passwords.yield_to_others) as pool:
        for line in sys.stdin:
            seconds, threads = line.split()
            work = [pool.submit(_compare, hasher, stored, float(seconds)) for _ in range(int(threads))]
            print(sum(each.result() for each in work), flush=True)
