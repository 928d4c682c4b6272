"""Histograms of whole numbers by window and key: build, merge, ask for quantiles, and keep as bytes.

summary = aggregate(windows, keys, microseconds)
stored = encode(summary.histograms)                      # one bytes a row
merged = merge(decode(stored), summary.histograms)
p50, p95, p99 = quantiles(merged, maxima, (0.50, 0.95, 0.99))[0]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prog_kernels.layout import CELLS, MAX_VALUE, RELATIVE_ERROR
from prog_kernels.selection import kernels

__all__ = [
    "CELLS",
    "MAX_VALUE",
    "RELATIVE_ERROR",
    "Histograms",
    "Summary",
    "aggregate",
    "decode",
    "encode",
    "merge",
    "quantiles",
    "rates",
]

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_VERSION: Final = b"\x01"
_RECORD: Final = np.dtype([("cell", "<u2"), ("count", "<u4")])
_MAX_COUNT: Final = 2**32 - 1
_MIN_DENSE: Final = 4096


class Histograms(NamedTuple):
    """Several histograms: row r holds `cells[offsets[r]:offsets[r + 1]]`, ascending, and as many `counts`."""

    offsets: Integers
    cells: Integers
    counts: Integers

    @property
    def totals(self) -> Integers:
        """How many values each row has counted."""
        reached = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)])
        totals: Integers = reached[self.offsets[1:]] - reached[self.offsets[:-1]]
        return totals


class Summary(NamedTuple):
    """One row for each (window, key) that occurred, by window and key ascending. A maximum of -1: nothing measured."""

    windows: Integers
    keys: Integers
    counts: Integers
    sums: Integers
    maxima: Integers
    histograms: Histograms


def aggregate(windows: ArrayLike, keys: ArrayLike, values: ArrayLike) -> Summary:
    """Counts, sums, maxima and histograms by (window, key).

    Three columns of equal length: the window's number, the key's number (not negative), and what was measured, negative
    for a message that is only counted. Raises ValueError when the lengths differ.
    """
    window, key, value = _integers(windows), _integers(keys), _integers(values)
    if not window.size == key.size == value.size:
        raise ValueError(f"columns of different length: {window.size}, {key.size}, {value.size}")
    if not window.size:
        empty = np.empty(0, np.int64)
        return Summary(empty, empty, empty, empty, empty, Histograms(np.zeros(1, np.int64), empty, empty))
    first, width = int(window.min()), int(key.max()) + 1
    groups = (window - first) * width + key
    size = int(groups.max()) + 1
    if size > max(_MIN_DENSE, 8 * groups.size):
        present, groups = np.unique(groups, return_inverse=True)
    else:
        present = np.arange(size, dtype=np.int64)
    result = kernels().aggregate(_integers(groups), value, len(present))
    counts, sums, maxima, offsets, cells, cell_counts = result
    there = np.flatnonzero(counts)
    kept = np.append(offsets[there], offsets[-1])  # rows that are left out hold no cells
    return Summary(
        present[there] // width + first,
        present[there] % width,
        counts[there],
        sums[there],
        maxima[there],
        Histograms(kept, cells, cell_counts),
    )


def merge(one: Histograms, other: Histograms) -> Histograms:
    """Adds row by row. Raises ValueError when the numbers of rows differ."""
    if one.offsets.size != other.offsets.size:
        raise ValueError(f"{one.offsets.size - 1} rows cannot be merged with {other.offsets.size - 1}")
    return Histograms(*kernels().merge(*_all(one), *_all(other)))


def quantiles(histograms: Histograms, maxima: ArrayLike, probabilities: Sequence[float]) -> Floats:
    """Quantiles by nearest rank, a row for each histogram; NaN where it is empty.

    `probabilities` ascend, between 0 and 1. A result is off by less than RELATIVE_ERROR of the true quantile (for
    values up to MAX_VALUE), and never above the row's maximum. Raises ValueError when they do not ascend.
    """
    wanted = np.ascontiguousarray(probabilities, np.float64)
    if wanted.size and (wanted[0] < 0 or wanted[-1] > 1 or bool(np.any(np.diff(wanted) < 0))):
        raise ValueError("probabilities ascend from 0 to 1")
    found: Floats = kernels().quantiles(*_all(histograms), _integers(maxima), wanted)
    return found


def rates(windows: ArrayLike, counts: ArrayLike, *, first: int, length: int, window_seconds: float) -> Floats:
    """Messages a second in each of `length` windows from number `first` on; 0 where nothing is known."""
    found: Floats = kernels().rates(
        _integers(windows), _integers(counts), int(first), int(length), float(window_seconds)
    )
    return found


def encode(histograms: Histograms) -> list[bytes]:
    """Each row for storage: a version byte, then 6 bytes for each cell that is not empty (little-endian u2, u4)."""
    records = np.empty(histograms.cells.size, _RECORD)
    records["cell"] = histograms.cells
    records["count"] = np.minimum(histograms.counts, _MAX_COUNT)
    offsets = histograms.offsets
    return [_VERSION + records[offsets[row] : offsets[row + 1]].tobytes() for row in range(offsets.size - 1)]


def decode(stored: Sequence[bytes | None]) -> Histograms:
    """What `encode` made of each row; None and nothing stand for an empty one.

    Raises ValueError for bytes that `encode` did not make.
    """
    rows = [_records(content) for content in stored]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([row.size for row in rows], out=offsets[1:])
    records = np.concatenate(rows) if rows else np.empty(0, _RECORD)
    return Histograms(offsets, records["cell"].astype(np.int64), records["count"].astype(np.int64))


def _records(content: bytes | None) -> NDArray[Any]:
    if not content:
        return np.empty(0, _RECORD)
    if content[:1] != _VERSION or (len(content) - 1) % _RECORD.itemsize:
        raise ValueError(f"not a histogram: {content[:16]!r}")
    records = np.frombuffer(content, _RECORD, offset=1)
    cells = records["cell"].astype(np.int64)
    if cells.size and (int(cells[-1]) >= CELLS or bool(np.any(np.diff(cells) <= 0))):
        raise ValueError("not a histogram: its cells do not ascend")
    return records


def _all(histograms: Histograms) -> tuple[Integers, Integers, Integers]:
    return _integers(histograms.offsets), _integers(histograms.cells), _integers(histograms.counts)


def _integers(column: ArrayLike) -> Integers:
    """The column as the compiled kernels want it: int64, contiguous, writeable."""
    return np.require(column, np.int64, ["C", "A", "W"])
