"""The Tensor: a layout over a buffer, and its place on the tape."""

from __future__ import annotations

import operator
import struct
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from diptych.core import buffer as buffers
from diptych.core import dtypes, recording
from diptych.core.buffer import Buffer, PooledBuffer
from diptych.core.dtypes import DType
from diptych.core.layout import Layout, layout
from diptych.errors import ArgumentError, DTypeError

if TYPE_CHECKING:
    from diptych.core.tape import Node

T = TypeVar("T", bound="Tensor")
Array = np.ndarray[Any, Any]

_new = object.__new__


# How a single element is read: for one number struct costs a third of an array and its item().
_READERS = {
    dtype: struct.Struct(code).unpack_from
    for dtype, code in (
        (dtypes.bool_, "?"), (dtypes.uint8, "B"), (dtypes.int8, "b"), (dtypes.int16, "h"),
        (dtypes.int32, "i"), (dtypes.int64, "q"), (dtypes.uint16, "H"), (dtypes.uint32, "I"),
        (dtypes.uint64, "Q"), (dtypes.float16, "e"), (dtypes.float32, "f"), (dtypes.float64, "d"),
    )
}  # fmt: skip


def number(tensor: Tensor) -> Any:
    """The element of a tensor that has exactly one, as a Python number."""
    read = _READERS.get(tensor.layout.dtype)
    buffer = tensor.buffer
    # bfloat16 and complex; a traced value, which has no memory; and while somebody listens.
    if read is None or not buffer.nbytes or recording.active is not None:
        return tensor.values().item()
    return read(buffer.memory, tensor.address - buffer.address)[0]


def _put_grad(tensor: Any, value: Any) -> None:
    tensor.held_grad = value


class Tensor:
    """A typed, strided view of a buffer.

    ``address`` is that of element zero (buffer address + offset). ``node`` and ``output`` are the
    tape's: None for a value that no gradient is wanted of. ``base`` is the tensor whose memory a
    view shares. Each face derives its tensor class from this one; ``result_type`` is the class
    that operations on it return (a subclass such as a parameter gives plain tensors).
    ``held_grad`` is what ``grad`` holds: the engine writes it, users write ``grad``, where a face
    may look at what it is given.
    """

    layout: Layout
    buffer: Buffer
    address: int
    node: Node | None = None
    output: int = 0
    held_grad: Any = None
    base: Tensor | None = None

    result_type: type[Tensor]

    # ---- what it is

    grad: Any = property(operator.attrgetter("held_grad"), _put_grad)

    @property
    def dtype(self) -> Any:
        return self.layout.dtype

    @property
    def shape(self) -> Any:
        return self.layout.shape

    @property
    def ndim(self) -> int:
        return self.layout.ndim

    @property
    def offset(self) -> int:
        """Elements between the buffer's start and element zero."""
        return (self.address - self.buffer.address) // self.layout.dtype.itemsize

    def array(self) -> Array:
        """The elements as a NumPy array on the same memory, valid while this tensor lives.

        bfloat16 comes as its bits (uint16).
        """
        if recording.active is not None:
            recording.active.read(self)
        place = self.layout
        if place.contiguous:
            buffer = self.buffer
            skip = self.address - buffer.address
            return np.ndarray(place.shape, place.dtype.numpy, buffer.memory, skip)
        itemsize = place.dtype.itemsize
        return np.ndarray(
            place.shape,
            place.dtype.numpy,
            self.buffer.memory,
            self.address - self.buffer.address,
            tuple([stride * itemsize for stride in place.strides]),
        )

    def export(self) -> Array:
        """The same memory as a NumPy array that keeps the buffer alive."""
        if recording.active is not None:
            recording.active.read(self)
        return np.asarray(_Exporter(self))

    def values(self) -> Array:
        """The elements as an array that NumPy can compute with: bfloat16 widened to float32."""
        array = self.array()
        return array if self.layout.dtype.exact else dtypes.bfloat16_to_float32(array)

    def item(self) -> Any:
        """The only element as a Python number; ArgumentError when there is not exactly one."""
        place = self.layout
        if place.size != 1:
            raise ArgumentError(
                f"a Tensor with {place.size} elements cannot be converted to Scalar"
            )
        return number(self)


class _Exporter:
    """Carries a tensor's memory to NumPy; the array's base, so the buffer outlives the array."""

    __slots__ = ("__array_interface__", "buffer")

    def __init__(self, tensor: Tensor) -> None:
        place = tensor.layout
        itemsize = place.dtype.itemsize
        self.buffer = tensor.buffer
        self.__array_interface__ = {
            "shape": place.shape,
            "typestr": place.dtype.numpy.str,
            "strides": tuple(stride * itemsize for stride in place.strides),
            "data": (tensor.address, not tensor.buffer.writable),
            "version": 3,
        }


Tensor.result_type = Tensor


def wrap(cls: type[T], place: Layout, buffer: Buffer, address: int) -> T:
    """A tensor of class ``cls`` over this memory, off the tape."""
    tensor = _new(cls)
    tensor.layout = place
    tensor.buffer = buffer
    tensor.address = address
    return tensor


def empty(place: Layout, cls: type[T]) -> T:
    """A tensor of this (contiguous) layout over fresh memory of unknown content."""
    buffer = PooledBuffer(place.nbytes)
    tensor = _new(cls)
    tensor.layout = place
    tensor.buffer = buffer
    tensor.address = buffer.address
    return tensor


def alias(tensor: Tensor, cls: type[T]) -> T:
    """The same value as another object, off the tape and not a view of anything."""
    return wrap(cls, tensor.layout, tensor.buffer, tensor.address)


def cast_class(tensor: Tensor, cls: type[T]) -> T:
    """The same value, place on the tape included, as a tensor of class ``cls``."""
    other = wrap(cls, tensor.layout, tensor.buffer, tensor.address)
    if tensor.node is not None:
        other.node = tensor.node
        other.output = tensor.output
    if tensor.base is not None:
        other.base = tensor.base
    return other


def from_array(array: Array, cls: type[T], dtype: DType | None = None) -> T:
    """A tensor on the array's own memory, without a copy.

    ``dtype`` is needed only for bfloat16 bits held in uint16. Raises DTypeError for a dtype we do
    not have or a foreign byte order, ArgumentError for strides that are not whole elements.
    """
    if type(array) is not np.ndarray:
        array = np.asarray(array)  # NumPy's scalars show the address of a copy that does not last
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.size:
        known = dtype or dtypes.BY_NUMPY.get(array.dtype)  # which has native byte orders alone
        if known is not None:
            held = buffers.of_contiguous(array)
            return wrap(cls, layout(known, array.shape), held, held.address)
    if dtype is None:
        dtype = dtypes.from_numpy(array.dtype)
        if not array.dtype.isnative:
            raise DTypeError(
                "given numpy array has byte order different from the native byte order. "
                "Conversion between byte orders is currently not supported."
            )
    itemsize = dtype.itemsize
    strides = []
    for extent, stride in zip(array.shape, array.strides, strict=True):
        if stride % itemsize and extent > 1:
            raise ArgumentError(
                f"array strides {array.strides} are not multiples of the element size {itemsize}; "
                "copy the array first"
            )
        strides.append(stride // itemsize)
    if array.__array_interface__["data"][0] % min(itemsize, 8):
        array = array.copy()  # misaligned for the element type
        strides = [stride // itemsize for stride in array.strides]
    place = layout(dtype, array.shape, tuple(strides))
    address = array.__array_interface__["data"][0]
    return wrap(cls, place, buffers.of_array(array), address)


def copy_array(array: Array, cls: type[T], dtype: DType | None = None) -> T:
    """A contiguous tensor in memory of its own with the array's elements.

    With ``dtype`` bfloat16 and a float array, the values are rounded to it.
    """
    if dtype is None:
        dtype = dtypes.from_numpy(array.dtype)
    tensor = empty(layout(dtype, array.shape), cls)
    store(tensor, array)
    return tensor


def store(tensor: Tensor, array: Array) -> None:
    """Write the array's values (broadcast, converted) into the tensor's memory."""
    target = tensor.array()
    if not tensor.layout.dtype.exact and array.dtype != np.uint16:
        array = dtypes.float32_to_bfloat16(np.asarray(array, np.float32))
    target[...] = array
