"""Figures from measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from prog_infra.bench import Row

__all__ = ["median", "percentile", "row_of_rates", "row_of_times"]


def percentile(values: Sequence[float], probability: float) -> float:
    """The quantile by nearest rank. `values` need not be sorted, and are not empty."""
    ordered = sorted(values)
    return ordered[max(math.ceil(probability * len(ordered)), 1) - 1]


def row_of_times(
    path: str, ours: Sequence[float], reference: Sequence[float], *, unit: str, at_least: float, aim: float
) -> Row:
    """A row of times, given one figure for each round; the ratio is the median of the rounds' ratios."""
    ratios = [theirs / mine for mine, theirs in zip(ours, reference, strict=True)]
    return _row(path, [round(median(ours), 3), round(median(reference), 3)], ratios, unit, at_least, aim)


def row_of_rates(
    path: str, ours: Sequence[float], reference: Sequence[float], *, unit: str, at_least: float, aim: float
) -> Row:
    """A row of rates; as for times, with ours over the reference."""
    ratios = [mine / theirs for mine, theirs in zip(ours, reference, strict=True)]
    return _row(path, [round(median(ours)), round(median(reference))], ratios, unit, at_least, aim)


def _row(path: str, figures: Sequence[float], ratios: Sequence[float], unit: str, at_least: float, aim: float) -> Row:
    return Row(
        path=path,
        ours=figures[0],
        reference=figures[1],
        unit=unit,
        ratio=round(median(ratios), 3),
        at_least=at_least,
        aim=aim,
        runs=len(ratios),
        spread=tuple(round(ratio, 3) for ratio in ratios),
    )
