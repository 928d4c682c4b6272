"""Figures from measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from prog_infra.bench import Row

__all__ = ["median", "percentile", "row_of_times"]


def percentile(values: Sequence[float], probability: float) -> float:
    """The quantile by nearest rank. `values` need not be sorted, and are not empty."""
    ordered = sorted(values)
    return ordered[max(math.ceil(probability * len(ordered)), 1) - 1]


def row_of_times(
    path: str, ours: Sequence[float], reference: Sequence[float], *, unit: str, at_least: float, aim: float
) -> Row:
    """A row of times, given one figure for each round; the ratio is the median of the rounds' ratios."""
    ratios = [theirs / mine for mine, theirs in zip(ours, reference, strict=True)]
    return Row(
        path=path,
        ours=round(median(ours), 3),
        reference=round(median(reference), 3),
        unit=unit,
        ratio=round(median(ratios), 3),
        at_least=at_least,
        aim=aim,
        runs=len(ratios),
        spread=tuple(round(ratio, 3) for ratio in ratios),
    )
