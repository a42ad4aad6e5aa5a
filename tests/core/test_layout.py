"""Layouts: interning, contiguity, shapes and strides against NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diptych.core import dtypes
from diptych.core.layout import (
    broadcast_shapes,
    broadcast_strides,
    check_shape,
    is_contiguous,
    layout,
    normalize_axes,
    normalize_axis,
    reshape_strides,
    row_major,
)
from diptych.errors import AxisError, ShapeError

SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def in_elements(array: np.ndarray) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


def test_no_layout_has_a_negative_or_an_absurd_extent() -> None:
    with pytest.raises(ShapeError, match="negative extent -1"):
        layout(dtypes.float32, (2, -1), (1, 1))
    with pytest.raises(ShapeError, match="more than"):
        layout(dtypes.float32, (1 << 40, 1 << 40), (0, 0))


def test_equal_layouts_are_one_object() -> None:
    assert layout(dtypes.float32, (2, 3)) is layout(dtypes.float32, (2, 3), (3, 1))
    assert layout(dtypes.float32, (2, 3)) is not layout(dtypes.float64, (2, 3))
    assert layout(dtypes.float32, (2, 3)).with_dtype(dtypes.int8) is layout(dtypes.int8, (2, 3))


@given(SHAPES)
def test_row_major_is_numpys_order(shape: tuple[int, ...]) -> None:
    array = np.empty(shape, np.int16)
    if array.size:
        assert row_major(shape) == in_elements(array)
    assert is_contiguous(shape, row_major(shape))


@given(SHAPES, st.permutations([0, 1, 2, 3]), st.lists(st.sampled_from([1, 2, -1]), min_size=4))
def test_contiguity_is_numpys(shape: tuple[int, ...], order: list[int], steps: list[int]) -> None:
    array = np.empty(shape, np.int16).transpose([k for k in order if k < len(shape)])
    array = array[tuple(slice(None, None, step) for step in steps[: array.ndim])]
    found = layout(dtypes.int16, array.shape, in_elements(array))
    assert found.contiguous == array.flags.c_contiguous
    assert found.size == array.size and found.nbytes == array.nbytes


@given(
    st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4),
    st.permutations([0, 1, 2, 3]),
    st.lists(st.sampled_from([1, 2, -1, -2]), min_size=4, max_size=4),
    st.lists(st.sampled_from([1, 2, 3, 4, 6]), max_size=5),
)
@settings(max_examples=300)
def test_reshape_strides_say_what_numpy_does(
    shape: list[int], order: list[int], steps: list[int], wanted: list[int]
) -> None:
    """Where NumPy can reshape without copying, so can we, to the same elements; nowhere else."""
    array = np.arange(np.prod(shape)).reshape(shape)
    array = array.transpose([k for k in order if k < array.ndim])
    array = array[tuple(slice(None, None, step) for step in steps[: array.ndim])]
    size = int(np.prod(wanted))
    assume(size and array.size % size == 0)
    to = (*wanted, array.size // size)
    found = reshape_strides(array.shape, in_elements(array), to)
    reshaped = array.reshape(to)
    if np.shares_memory(reshaped, array):
        assert found is not None
        bytes_ = tuple(stride * array.itemsize for stride in found)
        seen = np.lib.stride_tricks.as_strided(array, to, bytes_)
        assert np.array_equal(seen, reshaped)
    else:
        assert found is None


def test_reshape_of_an_empty_tensor_never_copies() -> None:
    assert reshape_strides((0, 3), (3, 1), (2, 0)) == row_major((2, 0))


@given(SHAPES, SHAPES)
def test_broadcasting_is_numpys(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        wanted = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError, match="must match the size of tensor b"):
            broadcast_shapes((a, b), "add")
        return
    assert broadcast_shapes((a, b), "add") == wanted
    array = np.empty(a, np.int32)
    seen = np.broadcast_to(array, wanted)
    got = broadcast_strides(a, in_elements(array), wanted)
    for extent, ours, theirs in zip(wanted, got, in_elements(seen), strict=True):
        assert extent <= 1 or ours == theirs


def test_span_covers_negative_strides() -> None:
    place = layout(dtypes.float32, (3, 2), (-4, 1))
    assert (place.lowest, place.span, place.contiguous) == (-8, 10, False)
    assert layout(dtypes.float32, (0, 2), (5, 1)).span == 0


def test_shapes_are_checked() -> None:
    assert check_shape([np.int64(2), 3], "empty") == (2, 3)
    with pytest.raises(ShapeError, match="negative dimension -1"):
        check_shape((2, -1), "empty")
    with pytest.raises(ShapeError, match="at most"):
        check_shape((1 << 40, 1 << 40), "empty")
    with pytest.raises(ShapeError, match="dimensions"):
        check_shape((1,) * 65, "empty")


def test_axes_are_counted_from_the_front() -> None:
    assert normalize_axis(-1, 3, "sum") == 2
    assert normalize_axis(-1, 0, "sum") == 0
    assert normalize_axes((-1, 0), 3, "sum") == (0, 2)
    with pytest.raises(AxisError, match=r"range of \[-3, 2\], but got 3"):
        normalize_axis(3, 3, "sum")
    with pytest.raises(ShapeError, match="appears multiple times"):
        normalize_axes((1, -2), 3, "sum")
