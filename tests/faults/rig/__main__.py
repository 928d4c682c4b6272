"""The command behind `task faults`."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from tests.faults.rig import breaking
from tests.faults.rig.chaos import KINDS
from tests.faults.rig.running import BRIEF, LONG, SHORT, Result, Run
from tests.faults.rig.terminal import summary
from tests.forking import fork_this_process

ACTORS_NEED = ("httpx", "prog_broker.client", "prog_broker.kafka.transport", "prog_broker.relay", "prog_broker.worker")
"""What the rig's processes import: each begins as a fork of this one, at the start and after every kill."""
_SOCKET_DIRECTORY_BYTES = 60


class Broker(StrEnum):
    redis = "redis"
    kafka = "kafka"


def main(
    long: Annotated[
        bool, typer.Option("--long", help="At least 100,000 messages; half an hour on a small machine.")
    ] = False,
    short: Annotated[
        bool, typer.Option("--short", help="Every fault once, about a minute; this is the default.")
    ] = False,
    brief: Annotated[
        bool, typer.Option("--brief", help="Every fault once, at four times the pace of the short form.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Draw the faults of an earlier run again.")] = None,
    messages: Annotated[int | None, typer.Option(help="Send at least so many.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="This kind of fault and no other; may be given again.")
    ] = None,
    broker: Annotated[Broker, typer.Option(help="Which broker carries the messages.")] = Broker.redis,
    json: Annotated[
        bool, typer.Option("--json", help="One object on standard output; the rest on standard error.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data and logs, also of a run that went well.")] = False,
    break_: Annotated[
        str, typer.Option("--break", help="Break a guarantee on purpose: " + ", ".join(breaking.BREAKS))
    ] = "",
) -> None:
    """Kill, pause, cut off and empty everything at random points; then check: nothing lost, doubled or reordered."""
    if long + short + brief > 1:
        raise typer.BadParameter("choose one of --long, --short and --brief")
    if break_ not in ("", *breaking.BREAKS):
        raise typer.BadParameter(f"{break_!r} cannot be broken; choose from {', '.join(breaking.BREAKS)}")
    kinds = [name for name, kind in KINDS.items() if broker.value in kind.brokers]
    if unknown := [name for name in only or () if name not in kinds]:
        raise typer.BadParameter(f"{unknown[0]!r} is no fault with {broker.value}; choose from {', '.join(kinds)}")
    chosen = random.SystemRandom().randrange(10**6) if seed is None else seed
    form = LONG if long else BRIEF if brief else SHORT
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # its pools tell of every connection that was cut
    console = Console(stderr=json, highlight=False)
    fork_this_process(*ACTORS_NEED)
    directory = Path(tempfile.mkdtemp(prefix="prog-faults-", dir=_short_parent()))
    directory.chmod(0o755)
    run = Run(
        form, chosen, directory, console, broker=broker.value, messages=messages, broken=break_, only=tuple(only or ())
    )
    result = asyncio.run(run.play())
    summary(console, result)
    if json:
        sys.stdout.write(orjson.dumps(result.json(), option=orjson.OPT_INDENT_2).decode() + "\n")
    if result.ok and not keep:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        console.print(f"Data and logs are kept in {directory}")
    again(console, result, run.only)
    raise typer.Exit(0 if result.ok else 1)


def again(console: Console, result: Result, only: Collection[str]) -> None:
    """How to have the same faults once more."""
    if not result.ok:
        options = [f"--{result.form}", f"--seed {result.seed}", *(f"--only {kind}" for kind in only)]
        if result.broker != "redis":
            options.append(f"--broker {result.broker}")
        console.print(f"Again with the same faults: task faults -- {' '.join(options)}", soft_wrap=True)


def _short_parent() -> str | None:
    """The usual place for temporary files, unless a socket in it would have too long a name."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) < _SOCKET_DIRECTORY_BYTES else "/tmp"


if __name__ == "__main__":
    typer.run(main)
