"""The histogram kernel, compiled by Numba, against its twin in NumPy on the same columns.

Counts, sums, maxima and p50/p95/p99 of lognormal latencies in 10 s windows, 6 windows and so many keys as the row says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from prog_infra.bench import Length, Options, Peer, Result, Row, machine
from prog_infra.bench.figures import median
from prog_kernels import engine, reference

ROUNDS: Final[dict[Length, int]] = {"short": 5, "normal": 11, "long": 31}
CASES: Final = (
    ("500 events, 20 keys", 500, 20),
    ("100k events, 100 keys", 100_000, 100),
    ("1M events, 10k keys", 1_000_000, 10_000),
)
WINDOWS: Final = 6
PROBABILITIES: Final = np.array([0.50, 0.95, 0.99])
MIN_SECONDS: Final = 0.02


def run(options: Options) -> Result:
    """Measures on one thread."""
    compiled = engine.load()
    rows, peers = [], []
    for path, events, keys in CASES:
        columns = _columns(events, keys)
        _rate(compiled, columns, events)  # the first call loads the machine code
        ours, theirs = [], []
        for _ in range(ROUNDS[options.length]):
            ours.append(_rate(compiled, columns, events))
            theirs.append(_rate(reference, columns, events))
        rows.append(_row(path, ours, theirs))
        peers.append(Peer("NumPy", version("numpy"), path, rows[-1].reference, "events/s"))
    return Result("kernels", machine(), rows, peers)


def _columns(events: int, keys: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    chance = np.random.default_rng(7)
    groups = chance.integers(0, keys * WINDOWS, events)
    return groups, chance.lognormal(8, 1.5, events).astype(np.int64), keys * WINDOWS


def _rate(kernels: ModuleType, columns: tuple[Any, Any, int], events: int) -> float:
    """Events a second, over at least MIN_SECONDS."""
    work: Callable[..., Any] = kernels.aggregate
    began, times = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < MIN_SECONDS:
        _, _, maxima, offsets, cells, counts = work(*columns)
        kernels.quantiles(offsets, cells, counts, maxima, PROBABILITIES)
        times += 1
    return events * times / took


def _row(path: str, ours: list[float], theirs: list[float]) -> Row:
    ratios = [mine / reference for mine, reference in zip(ours, theirs, strict=True)]
    return Row(
        path=path,
        ours=round(median(ours)),
        reference=round(median(theirs)),
        unit="events/s",
        ratio=round(median(ratios), 2),
        at_least=4.0,
        aim=10.0,
        runs=len(ratios),
        spread=tuple(round(ratio, 2) for ratio in ratios),
    )
