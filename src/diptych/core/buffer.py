"""Buffers: memory that tensors share, with an address taken once and a version counter."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

ALIGNMENT = 64
# Where versions start: 0, but while a whole call is recorded a number above all counts, so that
# the recorder can tell what was made during it.
EPOCH_BITS = 40
epoch = 0


class Allocator(Protocol):
    """What the runtime installs to hand out memory."""

    def allocate(self, nbytes: int) -> tuple[int, Any]:
        """A 64-byte aligned block of at least ``nbytes``: its address and its owner."""

    def release(self, nbytes: int, address: int, memory: Any) -> None:
        """Take a block of :meth:`allocate` back; nothing refers to it any more."""


class PlainAllocator:
    """Fresh NumPy memory each time: what serves where no runtime is installed."""

    def allocate(self, nbytes: int) -> tuple[int, Any]:
        raw = np.empty(nbytes + ALIGNMENT, np.uint8)
        address = raw.__array_interface__["data"][0]
        skip = -address % ALIGNMENT
        return address + skip, raw[skip:]

    def release(self, nbytes: int, address: int, memory: Any) -> None:
        """Nothing to do: the memory goes with its owner."""


class Buffer:
    """Memory shared by tensors: ``address``, ``nbytes``, its owner ``memory``, and ``version``.

    ``version`` counts in-place changes through any view; the tape compares it to notice that a
    value it saved was overwritten. ``memory`` supports the buffer protocol and starts at
    ``address``.
    """

    __slots__ = ("__weakref__", "address", "memory", "nbytes", "version", "writable")

    def __init__(self, address: int, nbytes: int, memory: Any, writable: bool = True) -> None:
        self.address = address
        self.nbytes = nbytes
        self.memory = memory
        self.version = epoch
        self.writable = writable


# Small blocks wait in lists of their exact size, in front of the allocator: a call into it costs
# more than a small kernel. Bounded by sizes * blocks * bytes.
_waiting: dict[int, list[tuple[int, Any]]] = {}
_WAITING_SIZES = 256
_WAITING_BLOCKS = 32
_WAITING_BYTES = 1 << 14


class PooledBuffer(Buffer):
    """A buffer whose block goes back to the allocator when the last tensor lets go of it."""

    __slots__ = ("waiting",)

    waiting: list[tuple[int, Any]] | None

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.version = epoch
        self.writable = True
        self.waiting = waiting = _waiting.get(nbytes)
        if waiting:
            try:
                self.address, self.memory = waiting.pop()
                return
            except IndexError:  # another thread took it
                pass
        elif waiting is None and nbytes <= _WAITING_BYTES and len(_waiting) < _WAITING_SIZES:
            self.waiting = _waiting.setdefault(nbytes, [])
        self.address, self.memory = installed.allocate(nbytes)

    def __del__(self) -> None:
        try:
            waiting = self.waiting
            if waiting is not None and len(waiting) < _WAITING_BLOCKS:
                waiting.append((self.address, self.memory))
            else:
                installed.release(self.nbytes, self.address, self.memory)
        except (AttributeError, TypeError):
            pass  # the allocation failed, or the interpreter is shutting down


def flush() -> None:
    """Give the waiting blocks back to the allocator."""
    for nbytes, blocks in list(_waiting.items()):
        while blocks:
            installed.release(nbytes, *blocks.pop())
    _waiting.clear()


installed: Allocator = PlainAllocator()


def install(allocator: Allocator) -> None:
    """Make ``allocator`` serve all buffers from now on."""
    global installed
    flush()
    installed = allocator


class ArrayBuffer(Buffer):
    """The memory of a row-major NumPy array; its bytes are viewed when somebody asks for them."""

    __slots__ = ("array", "viewed")

    def __init__(self, array: np.ndarray[Any, Any], address: int, writable: bool) -> None:
        self.address = address
        self.nbytes = array.nbytes
        self.version = epoch
        self.writable = writable
        self.array = array
        self.viewed: Any = None

    @property
    def memory(self) -> Any:
        found = self.viewed
        if found is None:
            array = self.array
            flat = array if array.ndim == 1 else array.reshape(-1)
            found = self.viewed = flat.view(np.uint8)
        return found


# NumPy's C interface promises that an array object holds its address right after Python's own
# header. Reading it there takes a sixth of the time of ``__array_interface__``.
_DATA = object.__basicsize__


def _data_address(array: np.ndarray[Any, Any]) -> int:
    return ctypes.c_void_p.from_address(id(array) + _DATA).value or 0


def _interface_address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _quickest() -> Callable[[np.ndarray[Any, Any]], int]:
    """The short way where this interpreter's objects are laid out so, which a look tells."""
    if sys.implementation.name != "cpython":
        return _interface_address
    sample = np.zeros(9, np.uint8)
    same = all(_data_address(x) == _interface_address(x) for x in (sample, sample[3:]))
    return _data_address if same else _interface_address


address_of = _quickest()


def of_contiguous(array: np.ndarray[Any, Any]) -> Buffer:
    """A buffer over the memory of a row-major array that has elements, without a copy."""
    return ArrayBuffer(array, address_of(array), array.flags.writeable)


def of_array(array: np.ndarray[Any, Any]) -> Buffer:
    """A buffer over the memory that ``array`` spans, without a copy, from its lowest byte."""
    interface = array.__array_interface__
    address, read_only = interface["data"]
    lowest = highest = 0
    if array.size:
        for extent, stride in zip(array.shape, array.strides, strict=True):
            reach = (extent - 1) * stride
            lowest, highest = lowest + min(reach, 0), highest + max(reach, 0)
    nbytes = highest - lowest + array.itemsize if array.size else 0
    if lowest == 0 and array.flags.c_contiguous:
        memory: Any = array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
    else:
        memory = np.asarray(_Span(array, address + lowest, nbytes, read_only))
    return Buffer(address + lowest, nbytes, memory, writable=not read_only)


class _Span:
    """The bytes that a strided array covers, as NumPy's array interface; keeps the array alive."""

    def __init__(self, owner: Any, address: int, nbytes: int, read_only: bool) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "shape": (nbytes,), "typestr": "|u1", "data": (address, read_only), "version": 3,
        }  # fmt: skip
