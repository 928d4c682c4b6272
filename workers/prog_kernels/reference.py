"""The kernels in NumPy: what `compiled` must equal, and what runs until that is ready."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prog_kernels.layout import CELLS, EXPONENT_BASE, MANTISSA_SHIFT, MAX_VALUE, SUB_BITS, middles

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_MIDDLES = middles()


def cells_of(values: Integers) -> Integers:
    """The cell of each value; values are not negative."""
    clamped = np.minimum(values, MAX_VALUE)
    above = (clamped.astype(np.float64).view(np.int64) >> MANTISSA_SHIFT) - EXPONENT_BASE
    return np.where(clamped < 1 << SUB_BITS, clamped, above)


def aggregate(
    groups: Integers, values: Integers, size: int
) -> tuple[Integers, Integers, Integers, Integers, Integers, Integers]:
    """See `compiled.aggregate`."""
    counts = np.bincount(groups, minlength=size).astype(np.int64)
    measured = values >= 0
    groups, values = groups[measured], values[measured]
    sums = np.zeros(size, np.int64)
    np.add.at(sums, groups, values)
    maxima = np.full(size, -1, np.int64)
    np.maximum.at(maxima, groups, values)
    keys, cell_counts = np.unique(groups * CELLS + cells_of(values), return_counts=True)
    offsets = np.searchsorted(keys, np.arange(size + 1) * CELLS).astype(np.int64)
    return counts, sums, maxima, offsets, keys % CELLS, cell_counts.astype(np.int64)


def merge(
    offsets_a: Integers,
    cells_a: Integers,
    counts_a: Integers,
    offsets_b: Integers,
    cells_b: Integers,
    counts_b: Integers,
) -> tuple[Integers, Integers, Integers]:
    """See `compiled.merge`."""
    size = len(offsets_a) - 1
    rows = np.arange(size, dtype=np.int64)
    keys = np.concatenate(
        [np.repeat(rows, np.diff(offsets_a)) * CELLS + cells_a, np.repeat(rows, np.diff(offsets_b)) * CELLS + cells_b]
    )
    unique, places = np.unique(keys, return_inverse=True)
    counts = np.zeros(len(unique), np.int64)
    np.add.at(counts, places, np.concatenate([counts_a, counts_b]))
    offsets = np.searchsorted(unique, np.arange(size + 1) * CELLS).astype(np.int64)
    return offsets, unique % CELLS, counts


def quantiles(offsets: Integers, cells: Integers, counts: Integers, maxima: Integers, probabilities: Floats) -> Floats:
    """See `compiled.quantiles`."""
    size = len(offsets) - 1
    found = np.full((size, len(probabilities)), np.nan)
    for row in range(size):
        begin, end = offsets[row], offsets[row + 1]
        if begin == end:
            continue
        reached = np.cumsum(counts[begin:end])
        ranks = np.maximum(np.ceil(probabilities * reached[-1]), 1).astype(np.int64)
        places = np.searchsorted(reached, ranks)
        found[row] = np.minimum(_MIDDLES[cells[begin:end][places]], maxima[row])
    return found


def rates(windows: Integers, counts: Integers, first: int, length: int, window_seconds: float) -> Floats:
    """See `compiled.rates`."""
    places = windows - first
    inside = (places >= 0) & (places < length)
    totals = np.zeros(length, np.int64)
    np.add.at(totals, places[inside], counts[inside])
    return totals / window_seconds
