"""Indexing functions against NumPy's own indexing, on drawn shapes, and their checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych import engine as engine
from diptych.core import tape
from diptych.core.dtypes import float32, int64
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import ArgumentError, IndexShapeError, OutOfRangeError, ShapeError
from diptych.ops import indexing

Array = np.ndarray[Any, Any]


def tensor(values: Any, dtype: Any = None) -> Tensor:
    return copy_array(np.asarray(values, dtype), Tensor)


@st.composite
def indexed(draw: Any) -> tuple[Array, list[Array | None]]:
    """An array and integer indices for some of its axes, of shapes that broadcast together."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    array = np.arange(float(np.prod(shape))).reshape(shape)
    common = draw(st.lists(st.integers(0, 3), max_size=2))
    indices: list[Array | None] = []
    for extent in shape:
        if draw(st.booleans()):
            indices.append(None)
            continue
        kept = draw(st.integers(0, len(common)))
        own = [n if draw(st.booleans()) else 1 for n in common[kept:]]
        size = int(np.prod(own))
        values = draw(st.lists(st.integers(-extent, extent - 1), min_size=size, max_size=size))
        indices.append(np.array(values, np.int64).reshape(own))
    if all(index is None for index in indices):
        indices[0] = np.array([0])
    return array, indices


def as_numpy(indices: list[Array | None]) -> tuple[Any, ...]:
    return tuple(slice(None) if index is None else index for index in indices)


def as_tensors(indices: list[Array | None]) -> list[Tensor | None]:
    return [None if index is None else tensor(index) for index in indices]


@given(indexed())
@settings(max_examples=150, deadline=None)
def test_index_follows_numpy(case: tuple[Array, list[Array | None]]) -> None:
    array, indices = case
    got = indexing.index(tensor(array), as_tensors(indices)).array()
    assert np.array_equal(got, array[as_numpy(indices)])
    assert got.shape == array[as_numpy(indices)].shape


@given(indexed(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_index_put_follows_numpy(case: tuple[Array, list[Array | None]], accumulate: bool) -> None:
    array, indices = case
    where = as_numpy(indices)
    values = np.arange(float(array[where].size)).reshape(array[where].shape)
    got = indexing.index_put(tensor(array), as_tensors(indices), tensor(values), accumulate).array()
    wanted = array.copy()
    if accumulate:
        np.add.at(wanted, where, values)
        assert np.array_equal(got, wanted)
        return
    # Which of several values for one element stays is left open: it must be one of them.
    wanted[where] = values
    written = np.zeros(array.shape, bool)
    written[where] = True
    assert np.array_equal(got[~written], array[~written])
    assert np.isin(got[written], values).all()


def test_masks_are_their_nonzero_positions() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    rows = np.array([[True, False, True], [False, True, False]])
    x = tensor(array)
    assert np.array_equal(indexing.index(x, (tensor(rows),)).array(), array[rows])
    last = np.array([True, False, False, True])
    got = indexing.index(x, (None, None, tensor(last)))
    assert np.array_equal(got.array(), array[:, :, last])
    picked = indexing.index(x, (tensor(rows), tensor([0, 1, 3])))
    assert np.array_equal(picked.array(), array[rows, [0, 1, 3]])
    none = indexing.index(x, (tensor(np.zeros((2, 3), bool)),))
    assert none.layout.shape == (0, 4)
    with pytest.raises(IndexShapeError, match=r"mask \[3\] at index 0 does not match"):
        indexing.index(x, (tensor([True, False, True]),))


def test_assigning_one_value_under_a_mask() -> None:
    array = np.arange(6.0).reshape(2, 3)
    x, mask = tensor(array), tensor(array > 2)
    got = indexing.index_put(x, (mask,), tensor(9.0))
    assert got.array().tolist() == [[0, 1, 2], [9, 9, 9]]
    got = indexing.index_put(x, (tensor([True, False]),), tensor(1.0), accumulate=True)
    assert got.array().tolist() == [[1, 2, 3], [3, 4, 5]]


def test_too_many_indices() -> None:
    x = tensor(np.zeros((2, 3)))
    with pytest.raises(IndexError, match="too many indices for tensor of dimension 2"):
        indexing.index(x, (tensor([0]),) * 3)
    with pytest.raises(IndexError, match="too many indices"):
        indexing.index(x, (None, None, None, tensor([0])))


@pytest.mark.parametrize(
    ("bad", "extent"), [(3, 3), (-4, 3), (2**40, 3), (-(2**62), 3), (0, 0), (-1, 0)]
)
def test_every_index_is_checked_before_memory_is_touched(bad: int, extent: int) -> None:
    x = tensor(np.zeros((extent, 2)))
    wrong = tensor([bad])
    column = tensor([[bad, bad]])
    calls = [
        lambda: indexing.index(x, (wrong,)),
        lambda: indexing.index_put(x, (wrong,), tensor([1.0, 2.0])),
        lambda: indexing.index_select(x, wrong, 0),
        lambda: indexing.index_add(x, wrong, tensor(np.ones((1, 2))), 0),
        lambda: indexing.take_along(x, column, 0),
        lambda: indexing.scatter(x, column, tensor(np.ones((1, 2))), 0, "add"),
    ]
    for function in calls:
        with pytest.raises(OutOfRangeError, match=f"index {bad} is out of bounds for dimension 0"):
            function()


def test_only_indexing_wraps_negative_indices() -> None:
    x = tensor([1.0, 2.0, 3.0])
    assert indexing.index(x, (tensor([-1]),)).item() == 3.0
    got = indexing.take(tensor(np.arange(6.0).reshape(2, 3)), tensor([-1, 0]))
    assert got.array().tolist() == [5.0, 0.0]
    for function in (indexing.index_select, indexing.take_along):
        with pytest.raises(OutOfRangeError, match="index -1"):
            function(x, tensor([-1]), 0)


def test_scatter_leaves_the_operand_alone() -> None:
    x = tensor([1.0, 2.0])
    indexing.scatter(x, tensor([0]), tensor([5.0]), 0, "add")
    assert x.array().tolist() == [1.0, 2.0] and x.buffer.version == 0


def test_duplicates_accumulate_in_order() -> None:
    """Sums of float32 depend on the order: it is that of the index, as in PyTorch on one thread."""
    values = np.float32([1e8, 1.0, -1e8, 1.0])
    got = indexing.index_add(tensor(np.zeros(1, np.float32)), tensor([0] * 4), tensor(values), 0)
    wanted = np.float32(0)
    for value in values:
        wanted = np.float32(wanted + value)
    assert got.item() == wanted


def test_nonzero_of_any_rank() -> None:
    assert indexing.nonzero(tensor([[0, 2], [3, 0]])).array().tolist() == [[0, 1], [1, 0]]
    assert indexing.nonzero(tensor(np.zeros((0, 2)))).layout.shape == (0, 2)
    assert indexing.nonzero(tensor(5)).layout.shape == (1, 0)
    assert indexing.nonzero(tensor(0)).layout.shape == (0, 0)
    assert indexing.nonzero(tensor([np.nan, 0.0])).array().tolist() == [[0]]


def test_masked_select_and_fill_broadcast() -> None:
    x = tensor(np.arange(6.0).reshape(2, 3))
    mask = tensor([True, False, True])
    assert indexing.masked_select(x, mask).array().tolist() == [0, 2, 3, 5]
    assert indexing.masked_fill(x, mask, -1).array().tolist() == [[-1, 1, -1], [-1, 4, -1]]
    assert indexing.masked_select(tensor(3.0), tensor(True)).array().tolist() == [3.0]


def test_masked_select_passes_its_gradient() -> None:
    x = tensor([1.0, 2.0, 3.0])
    tape.require_gradient(x)
    y = indexing.masked_select(x, tensor([True, False, True]))
    tape.backward([(y.node, y.output, tensor([5.0, 7.0]))])
    assert x.grad.array().tolist() == [5.0, 0.0, 7.0]


def test_one_hot() -> None:
    got = indexing.one_hot(tensor([[0, 2]]), 3)
    assert got.layout.dtype is int64
    assert got.array().tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert indexing.one_hot(tensor([5, -1]), 2, float32).array().tolist() == [[0, 0], [0, 0]]


def test_repeat_interleave() -> None:
    x = tensor(np.arange(4.0).reshape(2, 2))
    assert indexing.repeat_interleave(x, 2, 0).array().tolist() == [[0, 1], [0, 1], [2, 3], [2, 3]]
    got = indexing.repeat_interleave(x, tensor([0, 3]), 1)
    assert got.array().tolist() == [[1, 1, 1], [3, 3, 3]]
    with pytest.raises(ArgumentError, match="negative"):
        indexing.repeat_interleave(x, -1, 0)
    with pytest.raises(ShapeError, match="same size"):
        indexing.repeat_interleave(x, tensor([1, 2, 3]), 0)


@pytest.mark.parametrize("shift", [0, 1, -1, 5, -7])
def test_roll(shift: int) -> None:
    array = np.arange(12.0).reshape(3, 4)
    got = indexing.roll(tensor(array), (shift, 2), (1, 0))
    assert np.array_equal(got.array(), np.roll(array, (shift, 2), (1, 0)))
    assert indexing.roll(tensor(np.zeros((0, 2))), (shift,), (0,)).layout.shape == (0, 2)
