"""The benchmarks of `prog bench NAME`: each measures ours and its reference in one run, and tells their ratio.

A benchmark is a module here with a function `run(options: Options) -> Result` and a first docstring line for the help.
It takes its rounds in turns (ours, reference, ours, …), so that whatever else the machine does hits both alike, and
reports the median over the rounds.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from prog_infra.errors import OperatorError

__all__ = ["NAMES", "Length", "Options", "Peer", "Result", "Row", "find", "machine"]

NAMES = ("bus", "command", "edge", "isolation", "kernels")

Length = Literal["short", "normal", "long"]


@dataclass(frozen=True, slots=True)
class Options:
    """`data` and `url` name a platform that runs; without them a benchmark that needs one starts its own.

    `only` names the one part to run, `profile` asks where the time goes, of a benchmark that can tell.
    """

    length: Length = "normal"
    data: Path | None = None
    url: str | None = None
    only: str | None = None
    profile: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is ours over the reference, for times the reference over ours: more is better.

    Below `at_least` the benchmark has failed; `aim` is what we want. `spread` has the ratio of each of the `runs`.
    """

    path: str
    ours: float
    reference: float
    unit: str
    ratio: float
    at_least: float
    aim: float
    runs: int
    spread: tuple[float, ...] = ()

    @property
    def ok(self) -> bool:
        return self.ratio >= self.at_least


@dataclass(frozen=True, slots=True)
class Peer:
    """What somebody else, or a part of the way, takes for the same in the same run."""

    name: str
    version: str
    path: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Result:
    bench: str
    machine: dict[str, Any]
    rows: list[Row]
    peers: list[Peer] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def json(self) -> dict[str, Any]:
        """The object that `prog bench NAME --json` prints."""
        return asdict(self)


def find(name: str) -> Callable[[Options], Result]:
    """The function that runs a benchmark. Raises OperatorError for an unknown name."""
    if name not in NAMES:
        raise OperatorError(f"there is no benchmark {name!r}", remedy=f"choose from {', '.join(NAMES)}")
    function: Callable[[Options], Result] = import_module(f"prog_infra.bench.{name}").run
    return function


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
