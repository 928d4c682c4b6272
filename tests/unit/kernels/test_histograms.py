"""The compiled kernels equal NumPy bit for bit, and histograms keep what they promise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from prog_kernels import engine, histograms, layout, reference, selection
from prog_kernels.histograms import Histograms

pytest.importorskip("numba")
compiled = engine.load()

values = st.one_of(
    st.integers(-1, 300),
    st.integers(0, layout.MAX_VALUE),
    st.integers(0, 2**45),
    st.sampled_from([2**k for k in range(45)]),
)
rows = st.lists(st.tuples(st.integers(170_000_000, 170_000_003), st.integers(0, 5), values), max_size=200)
PROBABILITIES = (0.0, 0.01, 0.5, 0.95, 0.99, 0.999, 1.0)


@pytest.fixture(params=[reference, compiled], ids=["numpy", "numba"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(selection, "_current", request.param)
    return request.param


def columns(sample: list[tuple[int, int, int]]) -> tuple[list[int], list[int], list[int]]:
    return [w for w, _, _ in sample], [k for _, k, _ in sample], [v for _, _, v in sample]


def same(one: Any, other: Any) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def integers(items: list[int]) -> Any:
    return np.array(items, np.int64)


@given(st.lists(st.tuples(st.integers(0, 4), values), max_size=300))
def test_aggregate_is_the_same_in_numba_and_numpy(sample: list[tuple[int, int]]) -> None:
    groups, measured = integers([g for g, _ in sample]), integers([v for _, v in sample])
    same(compiled.aggregate(groups, measured, 5), reference.aggregate(groups, measured, 5))


@given(arrays.arrays(np.int64, st.integers(0, 3000), elements=st.integers(0, 2**41)), st.integers(1, 3))
@settings(max_examples=30)
def test_aggregate_of_long_columns_is_the_same_in_numba_and_numpy(measured: Any, size: int) -> None:
    groups = np.arange(measured.size, dtype=np.int64) % size
    same(compiled.aggregate(groups, measured, size), reference.aggregate(groups, measured, size))


@given(st.lists(values.map(lambda v: max(v, 0)), max_size=100))
def test_cells_are_the_same_in_numba_and_numpy(measured: list[int]) -> None:
    np.testing.assert_array_equal(compiled.cells_of(integers(measured)), reference.cells_of(integers(measured)))


@given(rows, rows)
def test_merge_and_quantiles_are_the_same_in_numba_and_numpy(one: Any, other: Any) -> None:
    a, b = (grouped(sample) for sample in (one, other))
    same(compiled.merge(*a, *b), reference.merge(*a, *b))
    offsets, cells, counts = compiled.merge(*a, *b)
    arguments = (offsets, cells, counts, np.full(6, 2**45, np.int64), np.array(PROBABILITIES))
    np.testing.assert_array_equal(compiled.quantiles(*arguments), reference.quantiles(*arguments))


@given(rows)
def test_rates_are_the_same_in_numba_and_numpy(sample: Any) -> None:
    windows, keys, _ = map(integers, columns(sample))
    arguments = (windows, keys, 170_000_000, 3, 10.0)
    np.testing.assert_array_equal(compiled.rates(*arguments), reference.rates(*arguments))


def grouped(sample: list[tuple[int, int, int]]) -> Histograms:
    """One histogram for each of the six keys."""
    _, keys, measured = map(integers, columns(sample))
    return Histograms(*compiled.aggregate(keys, measured, 6)[3:])


@given(rows)
def test_a_summary_equals_counting_by_hand(sample: list[tuple[int, int, int]]) -> None:
    summary = histograms.aggregate(*columns(sample))
    by_hand: dict[tuple[int, int], list[int]] = {}
    for window, key, value in sample:
        by_hand.setdefault((window, key), []).append(value)
    assert list(zip(summary.windows.tolist(), summary.keys.tolist(), strict=True)) == sorted(by_hand)
    for row, place in enumerate(sorted(by_hand)):
        measured = [value for value in by_hand[place] if value >= 0]
        assert summary.counts[row] == len(by_hand[place])
        assert summary.sums[row] == sum(measured)
        assert summary.maxima[row] == max(measured, default=-1)
        assert summary.histograms.totals[row] == len(measured)


@given(st.lists(st.integers(0, layout.MAX_VALUE), min_size=1, max_size=400))
def test_a_quantile_is_off_by_less_than_the_stated_error(measured: list[int]) -> None:
    summary = histograms.aggregate([0] * len(measured), [0] * len(measured), measured)
    found = histograms.quantiles(summary.histograms, summary.maxima, PROBABILITIES)[0]
    ordered = sorted(measured)
    for probability, estimate in zip(PROBABILITIES, found, strict=True):
        true = ordered[max(math.ceil(probability * len(ordered)), 1) - 1]
        assert abs(estimate - true) <= histograms.RELATIVE_ERROR * true
        assert estimate <= ordered[-1]


@pytest.mark.parametrize(
    "draw",
    [
        lambda chance: chance.lognormal(8, 2, 20_000),
        lambda chance: (chance.pareto(1.2, 20_000) + 1) * 500,
        lambda chance: np.full(20_000, 12_345.0),
        lambda chance: np.concatenate([chance.normal(1_000, 50, 10_000), chance.normal(900_000, 9_000, 10_000)]),
    ],
    ids=["lognormal", "pareto", "constant", "bimodal"],
)
def test_percentiles_of_known_distributions_are_within_one_percent(draw: Any, implementation: Any) -> None:
    measured = np.maximum(draw(np.random.default_rng(7)), 0).astype(np.int64)
    summary = histograms.aggregate(np.zeros(measured.size), np.zeros(measured.size), measured)
    wanted = [percent / 1000 for percent in (10, 50, 250, 500, 900, 950, 990, 999)]
    found = histograms.quantiles(summary.histograms, summary.maxima, wanted)[0]
    true = np.quantile(measured, wanted, method="inverted_cdf")
    assert np.all(np.abs(found - true) <= 0.01 * true)


@given(rows, rows, rows)
def test_merging_depends_on_no_order(one: Any, two: Any, three: Any) -> None:
    a, b, c = (grouped(sample) for sample in (one, two, three))
    same(histograms.merge(a, b), histograms.merge(b, a))
    same(histograms.merge(histograms.merge(a, b), c), histograms.merge(a, histograms.merge(b, c)))
    same(histograms.merge(histograms.merge(a, b), c), grouped(one + two + three))


@given(rows)
def test_a_histogram_survives_storage(sample: Any) -> None:
    original = grouped(sample)
    same(histograms.decode(histograms.encode(original)), original)


def test_nothing_stored_is_an_empty_histogram(implementation: Any) -> None:
    empty = histograms.decode([None, b"", b"\x01"])
    assert empty.totals.tolist() == [0, 0, 0]
    assert np.isnan(histograms.quantiles(empty, [-1, -1, -1], (0.5,))).all()


@pytest.mark.parametrize(
    "content", [b"\x02", b"\x01abc", b"\x01" + b"\xff" * 6, histograms._VERSION + b"\1\0\1\0\0\0" * 2]
)
def test_foreign_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a histogram"):
        histograms.decode([content])


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="different length"):
        histograms.aggregate([1, 2], [1], [1, 2])


def test_sets_of_different_size_are_not_merged() -> None:
    with pytest.raises(ValueError, match="2 rows cannot be merged with 1"):
        histograms.merge(histograms.decode([None, None]), histograms.decode([None]))


def test_probabilities_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        histograms.quantiles(histograms.decode([None]), [0], (0.99, 0.5))


def test_windows_far_apart_cost_no_memory_between_them(implementation: Any) -> None:
    summary = histograms.aggregate([0, 10**12], [3, 1], [5, 6])
    assert summary.windows.tolist() == [0, 10**12]
    assert summary.keys.tolist() == [3, 1]
    assert summary.sums.tolist() == [5, 6]


def test_a_read_only_column_is_taken(implementation: Any) -> None:
    column = np.frombuffer(np.arange(4, dtype=np.int64).tobytes(), np.int64)
    assert histograms.aggregate(column, column, column).counts.tolist() == [1, 1, 1, 1]


def test_rates_fill_gaps_with_zero(implementation: Any) -> None:
    found = histograms.rates([5, 5, 7, 99], [10, 20, 5, 1], first=4, length=4, window_seconds=10)
    assert found.tolist() == [0.0, 3.0, 0.0, 0.5]
