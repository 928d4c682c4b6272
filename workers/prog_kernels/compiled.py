"""The kernels, compiled by Numba. Importing this module compiles, or loads what was compiled before: see `engine`.

Histograms of several rows are three arrays, as in a CSR matrix: row r holds `cells[offsets[r]:offsets[r + 1]]`,
ascending, and as many `counts`. All sums are of integers, so the result depends on no order.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from prog_kernels.layout import CELLS, EXPONENT_BASE, MANTISSA_SHIFT, MAX_VALUE, SUB_BITS, middles

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_MIDDLES = middles()
_FEW = 24  # so many values are sorted in place; more are counted in a scratch histogram that stays in the cache


@njit(inline="always")
def _cell_of(value: int) -> int:
    clamped = min(value, MAX_VALUE)
    if clamped < (1 << SUB_BITS):
        return clamped
    return int(np.float64(clamped).view(np.int64) >> MANTISSA_SHIFT) - EXPONENT_BASE


@njit("int64[::1](int64[::1])", cache=True, nogil=True)
def cells_of(values: Integers) -> Integers:
    """The cell of each value; values are not negative."""
    cells = np.empty(values.size, np.int64)
    for i in range(values.size):
        cells[i] = _cell_of(values[i])
    return cells


@njit(inline="always")
def _count_few(found: Integers, begin: int, end: int, cells: Integers, counts: Integers, at: int) -> int:
    """Sorts the cells found[begin:end] and writes them run by run; returns the next free place."""
    for i in range(begin + 1, end):
        cell = found[i]
        j = i - 1
        while j >= begin and found[j] > cell:
            found[j + 1] = found[j]
            j -= 1
        found[j + 1] = cell
    for i in range(begin, end):
        if i > begin and found[i] == found[i - 1]:
            counts[at - 1] += 1
        else:
            cells[at] = found[i]
            counts[at] = 1
            at += 1
    return at


@njit(inline="always")
def _count_many(
    found: Integers, begin: int, end: int, scratch: Integers, cells: Integers, counts: Integers, at: int
) -> int:
    """Counts the cells found[begin:end] in `scratch`, which is zero before and after; returns the next free place."""
    low = CELLS
    high = -1
    for i in range(begin, end):
        cell = found[i]
        scratch[cell] += 1
        low = min(low, cell)
        high = max(high, cell)
    for cell in range(low, high + 1):
        if scratch[cell] > 0:
            cells[at] = cell
            counts[at] = scratch[cell]
            scratch[cell] = 0
            at += 1
    return at


_AGGREGATE = (
    "Tuple((int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1]))(int64[::1], int64[::1], int64)"
)


@njit(_AGGREGATE, cache=True, nogil=True)
def aggregate(
    groups: Integers, values: Integers, size: int
) -> tuple[Integers, Integers, Integers, Integers, Integers, Integers]:
    """Counts, sums, maxima and histograms of `values` by group, in one counting sort.

    `groups` are 0 to size - 1. A negative value counts its message and measures nothing; the maximum of a group without
    measures is -1. Returns counts, sums, maxima, and the histograms' offsets, cells and counts.
    """
    counts = np.zeros(size, np.int64)
    sums = np.zeros(size, np.int64)
    maxima = np.full(size, -1, np.int64)
    starts = np.zeros(size + 1, np.int64)
    for i in range(groups.size):
        counts[groups[i]] += 1
        if values[i] >= 0:
            starts[groups[i] + 1] += 1
    for group in range(size):
        starts[group + 1] += starts[group]
    places = starts[:size].copy()
    found = np.empty(starts[size], np.int64)
    for i in range(groups.size):
        value = values[i]
        if value >= 0:
            group = groups[i]
            sums[group] += value
            maxima[group] = max(maxima[group], value)
            found[places[group]] = _cell_of(value)
            places[group] += 1
    offsets = np.zeros(size + 1, np.int64)
    cells = np.empty(found.size, np.int64)
    cell_counts = np.empty(found.size, np.int64)
    scratch = np.zeros(CELLS, np.int64)
    at = 0
    for group in range(size):
        begin = starts[group]
        end = starts[group + 1]
        if end - begin <= _FEW:
            at = _count_few(found, begin, end, cells, cell_counts, at)
        else:
            at = _count_many(found, begin, end, scratch, cells, cell_counts, at)
        offsets[group + 1] = at
    return counts, sums, maxima, offsets, cells[:at].copy(), cell_counts[:at].copy()


_MERGE = (
    "Tuple((int64[::1], int64[::1], int64[::1]))"
    "(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])"
)


@njit(_MERGE, cache=True, nogil=True)
def merge(
    offsets_a: Integers,
    cells_a: Integers,
    counts_a: Integers,
    offsets_b: Integers,
    cells_b: Integers,
    counts_b: Integers,
) -> tuple[Integers, Integers, Integers]:
    """Adds two sets of histograms row by row. Associative and commutative."""
    size = offsets_a.size - 1
    offsets = np.zeros(size + 1, np.int64)
    cells = np.empty(cells_a.size + cells_b.size, np.int64)
    counts = np.empty(cells_a.size + cells_b.size, np.int64)
    at = 0
    for row in range(size):
        a = offsets_a[row]
        b = offsets_b[row]
        end_a = offsets_a[row + 1]
        end_b = offsets_b[row + 1]
        while a < end_a or b < end_b:
            cell_a = cells_a[a] if a < end_a else CELLS
            cell_b = cells_b[b] if b < end_b else CELLS
            cells[at] = min(cell_a, cell_b)
            counts[at] = 0
            if cell_a <= cell_b:
                counts[at] += counts_a[a]
                a += 1
            if cell_b <= cell_a:
                counts[at] += counts_b[b]
                b += 1
            at += 1
        offsets[row + 1] = at
    return offsets, cells[:at].copy(), counts[:at].copy()


@njit(
    "float64[:, ::1](int64[::1], int64[::1], int64[::1], int64[::1], float64[::1])",
    cache=True,
    nogil=True,
)
def quantiles(offsets: Integers, cells: Integers, counts: Integers, maxima: Integers, probabilities: Floats) -> Floats:
    """Quantiles of each histogram by nearest rank, one row each; NaN for an empty one. `probabilities` ascend.

    A result is off by less than 1/128 of the true quantile, and never above the row's maximum.
    """
    size = offsets.size - 1
    found = np.full((size, probabilities.size), np.nan)
    for row in range(size):
        begin = offsets[row]
        end = offsets[row + 1]
        total = 0
        for i in range(begin, end):
            total += counts[i]
        if total == 0:
            continue
        place = begin
        reached = counts[begin]
        for p in range(probabilities.size):
            rank = max(np.int64(np.ceil(probabilities[p] * total)), 1)
            while reached < rank and place + 1 < end:
                place += 1
                reached += counts[place]
            found[row, p] = min(_MIDDLES[cells[place]], np.float64(maxima[row]))
    return found


@njit("float64[::1](int64[::1], int64[::1], int64, int64, float64)", cache=True, nogil=True)
def rates(windows: Integers, counts: Integers, first: int, length: int, window_seconds: float) -> Floats:
    """Messages a second for each of `length` windows from number `first` on; windows without an entry give 0."""
    totals = np.zeros(length, np.int64)
    for i in range(windows.size):
        place = windows[i] - first
        if 0 <= place < length:
            totals[place] += counts[i]
    return totals / window_seconds
