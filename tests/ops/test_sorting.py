"""Sorting and scans: stability, NaN, ties, and results whose size depends on values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych import engine as engine
from diptych.core import tape
from diptych.core.dtypes import float32, float64, int64
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import ArgumentError
from diptych.ops import scan, sorting

NAN = np.nan
Array = np.ndarray[Any, Any]


def tensor(values: Any, dtype: Any = None) -> Tensor:
    return copy_array(np.asarray(values, dtype), Tensor)


def lists(pair: Any) -> list[Any]:
    return [part.array().tolist() for part in pair]


ROWS = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(ROWS, st.booleans())
@settings(deadline=None)
def test_sort_is_stable(row: list[int], descending: bool) -> None:
    values, positions = lists(sorting.sort(tensor(row), 0, descending))
    order = sorted(range(len(row)), key=lambda i: row[i], reverse=descending)
    assert positions == order
    assert values == [row[i] for i in order]


@given(ROWS, st.data())
@settings(deadline=None)
def test_topk_and_kthvalue_are_slices_of_sort(row: list[int], data: Any) -> None:
    k = data.draw(st.integers(1, len(row)))
    assert lists(sorting.topk(tensor(row), k, 0))[0] == sorted(row, reverse=True)[:k]
    assert lists(sorting.topk(tensor(row), k, 0, largest=False))[0] == sorted(row)[:k]
    value, position = lists(sorting.kthvalue(tensor(row), k, 0))
    assert value == sorted(row)[k - 1] == row[position]
    value, position = lists(sorting.median(tensor(row), 0))
    assert value == sorted(row)[(len(row) - 1) // 2] == row[position]


@given(st.lists(st.integers(0, 40), min_size=60, max_size=60), st.integers(1, 7), st.booleans())
@settings(deadline=None)
def test_topk_of_long_rows_prefers_the_first_of_ties(row: list[int], k: int, most: bool) -> None:
    order = sorted(range(len(row)), key=lambda i: row[i], reverse=most)[:k]
    values, positions = lists(sorting.topk(tensor([row, row[::-1]]), k, 1, most))
    assert positions[0] == order
    assert values[0] == values[1] == [row[i] for i in order]


@given(ROWS)
@settings(deadline=None)
def test_mode_is_the_smallest_most_frequent(row: list[int]) -> None:
    value, position = lists(sorting.mode(tensor(row), 0))
    counts = {v: row.count(v) for v in row}
    assert value == min(v for v in row if counts[v] == max(counts.values()))
    assert position == max(i for i, v in enumerate(row) if v == value)


def test_nan_counts_as_the_greatest() -> None:
    row = tensor([1.0, NAN, -np.inf, np.inf])
    assert lists(sorting.sort(row, 0))[1] == [2, 0, 3, 1]
    assert lists(sorting.sort(row, 0, descending=True))[1] == [1, 3, 0, 2]
    assert lists(sorting.topk(row, 1, 0))[1] == [1]
    assert lists(sorting.median(row, 0))[1] == 1
    assert lists(sorting.median(row, 0, ignore_nan=True))[0] == 1.0


def test_an_empty_row_has_no_median() -> None:
    with pytest.raises(ArgumentError, match="non-zero size"):
        sorting.median(tensor(np.zeros((2, 0))), 1)
    assert sorting.sort(tensor(np.zeros((2, 0))), 1)[0].layout.shape == (2, 0)


def test_unique_is_sorted_with_places_and_counts() -> None:
    got = sorting.unique(tensor([[3, 1], [3, 2]]))
    assert lists(got) == [[1, 2, 3], [[2, 0], [2, 1]], [1, 1, 2]]
    rows = sorting.unique(tensor([[1, 2], [0, 5], [1, 2]]), 0)
    assert lists(rows) == [[[0, 5], [1, 2]], [1, 0, 1], [1, 2]]
    assert sorting.unique(tensor([NAN, NAN, 1.0]))[0].layout.shape == (3,), "NaN is not itself"


def test_unique_consecutive_keeps_the_order() -> None:
    got = sorting.unique_consecutive(tensor([1, 1, 2, 1]))
    assert lists(got) == [[1, 2, 1], [0, 0, 1, 2], [2, 1, 1]]
    columns = sorting.unique_consecutive(tensor([[1, 1, 2], [3, 3, 4]]), 1)
    assert lists(columns) == [[[1, 2], [3, 4]], [0, 0, 1], [2, 1]]
    assert lists(sorting.unique_consecutive(tensor(np.zeros(0)))) == [[], [], []]


def test_searchsorted_per_row() -> None:
    edges = tensor([[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]])
    values = tensor([[3.0, 9.0], [4.0, 0.0]])
    assert sorting.searchsorted(edges, values).array().tolist() == [[1, 3], [1, 0]]
    assert sorting.searchsorted(edges, values, right=True).array().tolist() == [[2, 3], [2, 0]]


def test_bincount() -> None:
    x = tensor([0, 2, 2])
    assert sorting.bincount(x, minlength=4).array().tolist() == [1, 0, 2, 0]
    assert sorting.bincount(tensor(np.zeros(0, np.int64))).layout.shape == (0,)
    weighted = sorting.bincount(x, tensor([0.5, 1.0, 2.0], np.float32))
    assert weighted.layout.dtype is float32 and weighted.array().tolist() == [0.5, 0.0, 3.0]
    assert sorting.bincount(x, tensor([1, 1, 1])).layout.dtype is float64
    for bad in ([-1], [[1]], [0.5]):
        with pytest.raises(ArgumentError, match="1-d non-negative integral"):
            sorting.bincount(tensor(bad))


def test_running_extrema_report_the_latest_position() -> None:
    assert lists(scan.cummax(tensor([1, 3, 2, 3]), 0)) == [[1, 3, 3, 3], [0, 1, 1, 3]]
    values, positions = lists(scan.cummin(tensor([2.0, NAN, 1.0, NAN]), 0))
    assert np.array_equal(values, [2.0, NAN, NAN, NAN], equal_nan=True)
    assert positions == [0, 1, 1, 3]


def test_sums_are_kept_wide() -> None:
    """PyTorch accumulates float32 in float64 here."""
    row = np.full(4096, 0.1, np.float32)
    got = scan.cumsum(tensor(row), 0).array().copy()
    assert np.array_equal(got, np.cumsum(row.astype(np.float64)).astype(np.float32))
    assert scan.cumsum(tensor([True, True]), 0, int64).array().tolist() == [1, 2]


def test_logcumsumexp_does_not_overflow() -> None:
    got = scan.logcumsumexp(tensor([1000.0, 1000.0, -np.inf]), 0).array()
    assert np.allclose(got, [1000.0, 1000.0 + np.log(2), 1000.0 + np.log(2)])
    assert scan.logcumsumexp(tensor([-np.inf, -np.inf]), 0).array().tolist() == [-np.inf] * 2


def test_cumprod_gradient_with_zeros() -> None:
    for row in ([2.0, 0.0, 3.0, 4.0], [0.0, 2.0, 0.0, 3.0], [1.0, 2.0, 3.0, 0.0]):
        x = tensor(row)
        tape.require_gradient(x)
        y = scan.cumprod(x, 0)
        weights = np.array([1.0, -2.0, 3.0, 0.5])
        tape.backward([(y.node, y.output, tensor(weights))])
        wanted = [
            sum(weights[i] * np.prod([v for j, v in enumerate(row[: i + 1]) if j != k])
                for i in range(k, 4))
            for k in range(4)
        ]  # fmt: skip
        assert np.allclose(x.grad.array(), wanted), row
