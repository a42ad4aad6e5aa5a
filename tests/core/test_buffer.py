"""Buffers and tensors over foreign memory: aliasing, strides, offsets, read-only arrays."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from diptych.core import buffer as buffers
from diptych.core import dtypes
from diptych.core.layout import layout
from diptych.core.tensor import Tensor, cast_class, copy_array, empty, from_array, store
from diptych.errors import ArgumentError, DTypeError

BASE = np.arange(24, dtype=np.float32).reshape(4, 6)
VIEWS = {
    "whole": lambda a: a,
    "reversed": lambda a: a[::-1],
    "reversed both ways": lambda a: a[::-1, ::-1],
    "columns": lambda a: a[:, 1::2],
    "transposed": lambda a: a.T,
    "an offset": lambda a: a[1:, 2:],
    "broadcast": lambda a: np.broadcast_to(a[1], (3, 6)),
    "a scalar": lambda a: a[2, 3],
    "empty": lambda a: a[:0],
}


@pytest.mark.parametrize("look", VIEWS.values(), ids=VIEWS.keys())
def test_a_tensor_on_an_array_sees_its_elements_without_a_copy(look) -> None:
    base = BASE.copy()
    view = np.asarray(look(base))
    tensor = from_array(view, Tensor)
    assert np.array_equal(tensor.array(), view)
    assert np.array_equal(tensor.export(), view)
    if view.size and view.base is not None and view.ndim:
        base += 100
        assert np.array_equal(tensor.array(), view), "the memory is shared"


@pytest.mark.parametrize("look", VIEWS.values(), ids=VIEWS.keys())
def test_a_buffer_spans_exactly_what_the_array_touches(look) -> None:
    view = np.asarray(look(BASE.copy()))
    found = buffers.of_array(view)
    tensor = from_array(view, Tensor)
    place = tensor.layout
    assert found.nbytes == place.span * 4
    assert tensor.address - tensor.buffer.address == -place.lowest * 4
    assert memoryview(found.memory).nbytes >= found.nbytes


def test_an_array_of_no_elements_with_steps_backwards() -> None:
    tensor = from_array(np.zeros((2, 0), np.float32)[::-1], Tensor)
    assert tensor.array().shape == (2, 0) and tensor.offset == 0


def test_read_only_arrays_stay_read_only() -> None:
    array = BASE.copy()
    array.flags.writeable = False
    tensor = from_array(array, Tensor)
    assert not tensor.buffer.writable
    assert not tensor.export().flags.writeable


def test_an_exported_array_keeps_the_memory() -> None:
    array = copy_array(BASE, Tensor).export()
    gc.collect()
    for _ in range(8):
        copy_array(np.zeros_like(BASE), Tensor)
    assert np.array_equal(array, BASE)


def test_arrays_we_cannot_hold_are_refused() -> None:
    with pytest.raises(DTypeError, match="byte order"):
        from_array(BASE.astype(BASE.dtype.newbyteorder()), Tensor)
    records = np.zeros(3, [("a", "i1"), ("b", "<f4")])
    with pytest.raises(ArgumentError, match="not multiples of the element size"):
        from_array(records["b"], Tensor)
    with pytest.raises(TypeError, match="no tensor dtype"):
        from_array(np.array(["a"]), Tensor)


def test_bfloat16_is_rounded_in_and_widened_out() -> None:
    values = np.array([1.0, 1.00390625, np.nan, np.inf, -0.0], np.float32)
    tensor = copy_array(values, Tensor, dtypes.bfloat16)
    assert tensor.array().dtype == np.uint16
    assert np.array_equal(tensor.values(), [1.0, 1.0, np.nan, np.inf, -0.0], equal_nan=True)


def test_store_broadcasts_and_converts() -> None:
    tensor = empty(layout(dtypes.int32, (2, 3)), Tensor)
    store(tensor, np.array([1.0, 2.0, 3.0]))
    assert tensor.array().tolist() == [[1, 2, 3]] * 2


def test_item_needs_one_element() -> None:
    assert copy_array(np.array([[2.5]]), Tensor).item() == 2.5
    with pytest.raises(ArgumentError, match="2 elements cannot be converted to Scalar"):
        copy_array(np.ones(2), Tensor).item()


def test_a_tensor_passes_to_another_class_with_its_memory() -> None:
    class Other(Tensor):
        pass

    Other.result_type = Other
    tensor = copy_array(BASE, Tensor)
    other = cast_class(tensor, Other)
    assert type(other) is Other and other.address == tensor.address
    assert other.buffer is tensor.buffer


def test_fresh_memory_is_aligned() -> None:
    for count in (1, 7, 1000):
        assert empty(layout(dtypes.int8, (count,)), Tensor).address % buffers.ALIGNMENT == 0
