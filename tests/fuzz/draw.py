"""Draws operands from a seed: tensors in odd layouts between guard bytes, and odd values."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.tensor import Tensor, from_array
from diptych.errors import DiptychError

Array = np.ndarray[Any, Any]

GUARD = 0xA5
_MARGIN = 64
EXTENTS = (0, 1, 1, 2, 2, 3, 3, 4, 5, 8, 17)
BIG_EXTENTS = (67, 257, 1030)

# Sizes and positions are either small or absurd: what lies between might be legal and slow.
SMALL_INTS = (-3, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 4, 5, 8)
ABSURD_INTS = (
    2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**30, -(2**31),
    -(2**31) - 1, -(2**62), -(2**63), -(2**63) - 1, -(10**30),
)  # fmt: skip
FLOATS = (
    0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -2.5, 1e-8, 1e38, 1e300, 1e-320, math.inf, -math.inf, math.nan,
)  # fmt: skip
STRINGS = ("", "sum", "mean", "none", "ij", "bogus", "\0", "cuda", "é" * 3, "x" * 300)


class Thing:
    """An object that nothing knows what to do with."""

    def __repr__(self) -> str:
        return "<thing>"


class Drawer:
    """One call's generator. ``cls`` is the face's tensor class, ``make_dtype`` its dtype objects.

    All memory of drawn tensors lies between guard bytes; :meth:`intact` says whether they survived.
    ``tame`` leaves out extreme values, read-only memory, and windows that share places.
    """

    tame = False

    def __init__(self, seed: str, cls: type[Tensor], face_dtypes: dict[str, Any]) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.numpy = np.random.default_rng(self.rng.getrandbits(32))
        self.cls = cls
        self.face_dtypes = face_dtypes
        self.guarded: list[tuple[Array, int]] = []
        self.arrays: list[Array] = []
        self.base_shape = self.fresh_shape()
        self.base_dtype = self.fresh_dtype()

    # ---- chance

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def choice(self, options: Any) -> Any:
        return options[self.rng.randrange(len(options))]

    # ---- numbers and other values

    def integer(self) -> int:
        """A small integer, or seldom an absurd one."""
        return self.choice(ABSURD_INTS) if self.chance(0.12) else self.choice(SMALL_INTS)

    def number(self) -> Any:
        if self.chance(0.4):
            return self.integer()
        if self.chance(0.05):
            return complex(self.choice(FLOATS), self.choice(FLOATS))
        return self.choice(FLOATS)

    def flag(self) -> Any:
        return self.value() if self.chance(0.03) else self.chance(0.5)

    def string(self) -> str:
        return str(self.choice(STRINGS))

    def value(self) -> Any:
        """Anything at all, of whatever type."""
        kind = self.rng.randrange(16)
        if kind == 0:
            return None
        if kind == 1:
            return self.string()
        if kind == 2:
            return [self.integer() for _ in range(self.rng.randrange(4))]
        if kind == 3:
            return tuple(self.number() for _ in range(self.rng.randrange(4)))
        if kind == 4:
            return {"dim": 1, 3: "a"}
        if kind == 5:
            return self.choice((Thing(), Thing, len, ..., NotImplemented, slice(None, None, -1)))
        if kind == 6:
            return self.choice((b"ab", bytearray(3), range(3), {1, 2}, iter([1, 2])))
        if kind == 7:
            return self.choice(
                (np.float32(1.5), np.int64(-3), np.uint8(200), np.bool_(True), np.float64("nan"))
            )
        if kind == 8:
            return self.array(self.shape(), self.fresh_dtype())
        if kind == 9:
            return [[1, 2], [3]] if self.chance(0.5) else [[1.0, 2.0], [3.0, 4.0]]
        if kind == 10:
            return self.choice(ABSURD_INTS)
        if kind == 11:
            return self.dtype()
        if kind in (12, 13):
            return self.tensor()
        return self.number()

    def dtype(self) -> Any:
        """A dtype as the face names it; seldom NumPy's, Python's or a name."""
        if self.chance(0.1):
            others = (float, int, bool, complex, str, np.float32, np.dtype("int8"), "float")
            return self.choice(others)
        return self.choice(list(self.face_dtypes.values()))

    # ---- shapes

    def fresh_shape(self) -> tuple[int, ...]:
        rank = self.choice((0, 1, 1, 2, 2, 2, 3, 3, 4))
        shape = [self.choice(EXTENTS) for _ in range(rank)]
        if shape and self.chance(0.08):
            shape[self.rng.randrange(rank)] = self.choice(BIG_EXTENTS)
        while math.prod(shape) > 6000:
            shape[shape.index(max(shape))] = 2
        return tuple(shape)

    def shape(self) -> tuple[int, ...]:
        """The call's own shape, one that broadcasts to it, or another one."""
        kind = self.rng.random()
        if kind < 0.6:
            return self.base_shape
        if kind < 0.8:
            start = self.rng.randrange(len(self.base_shape) + 1)
            return tuple(1 if self.chance(0.3) else n for n in self.base_shape[start:])
        if kind < 0.88 and len(self.base_shape) >= 2:
            swapped = (*self.base_shape[:-2], self.base_shape[-1], self.base_shape[-2])
            return swapped
        return self.fresh_shape()

    def extents(self) -> Any:
        """A shape argument: a sequence of extents, some of them absurd."""
        if self.chance(0.3):
            return self.base_shape
        rank = self.rng.randrange(5)
        return [self.integer() for _ in range(rank)] if self.chance(0.5) else self.fresh_shape()

    def axis(self) -> Any:
        rank = len(self.base_shape)
        if self.chance(0.75):
            return self.rng.randrange(-max(rank, 1), max(rank, 1))
        return self.integer()

    def axes(self) -> Any:
        if self.chance(0.4):
            return self.axis()
        made = [self.axis() for _ in range(self.rng.randrange(4))]
        return tuple(made) if self.chance(0.5) else made

    # ---- arrays and tensors

    def fresh_dtype(self) -> DType:
        if self.chance(0.45):
            return dtypes.float32
        return self.choice(dtypes.ALL)

    def operand_dtype(self) -> DType:
        return self.base_dtype if self.chance(0.8) else self.fresh_dtype()

    def memory(self, count: int, dtype: DType) -> Array:
        """``count`` elements between guard bytes."""
        nbytes = count * dtype.itemsize
        raw = np.full(nbytes + 2 * _MARGIN, GUARD, np.uint8)
        self.guarded.append((raw, nbytes))
        inner = raw[_MARGIN : _MARGIN + nbytes].view(dtype.numpy)
        inner[...] = self.contents((count,), dtype)
        return inner

    def contents(self, shape: tuple[int, ...], dtype: DType) -> Array:
        """Values of a dtype: mostly tame, some extreme (bfloat16 as its bits)."""
        if dtype.kind == "b":
            return self.numpy.integers(0, 2, shape).astype(bool)
        wild = self.chance(0.25) and not self.tame
        if dtype.is_integer:
            info = np.iinfo(dtype.numpy)
            low, high = (int(info.min), int(info.max)) if wild else (max(int(info.min), -9), 9)
            return self.numpy.integers(low, high, shape, endpoint=True, dtype=dtype.numpy)
        values = self.numpy.normal(0.0, 2.0, shape)
        if wild and values.size:
            extremes = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e-30])
            odd = self.numpy.choice(extremes, shape)
            values = np.where(self.numpy.random(shape) < 0.3, odd, values)
        with np.errstate(all="ignore"):
            if dtype.is_complex:
                return (values + 1j * values[::-1]).astype(dtype.numpy)
            if not dtype.exact:
                return dtypes.float32_to_bfloat16(values.astype(np.float32))
            return values.astype(dtype.numpy)

    def array(self, shape: tuple[int, ...], dtype: DType) -> Array:
        """An array of this shape in some layout, views that overlap themselves included."""
        kind = self.rng.randrange(9 if self.tame else 12)
        rank = len(shape)
        count = math.prod(shape)
        if kind < 4 or not rank:
            return self.memory(count, dtype).reshape(shape)
        if kind == 4:  # transposed
            order = self.rng.sample(range(rank), rank)
            stored = tuple(shape[axis] for axis in order)
            return self.memory(count, dtype).reshape(stored).transpose(np.argsort(order))
        if kind == 5:  # every other element along an axis
            return self._stepped(shape, dtype, 2)
        if kind == 6:
            return self._stepped(shape, dtype, self.choice((-1, -2)))
        if kind == 7:  # an offset, and rows longer than the shape
            wider = (*shape[:-1], shape[-1] + 3)
            return self.memory(math.prod(wider), dtype).reshape(wider)[..., 2 : 2 + shape[-1]]
        if kind == 8:  # expanded: a stride of 0
            axis = self.rng.randrange(rank)
            narrow = tuple(1 if k == axis else n for k, n in enumerate(shape))
            stored = self.memory(math.prod(narrow), dtype).reshape(narrow)
            strides = [0 if k == axis else s for k, s in enumerate(stored.strides)]
            return np.lib.stride_tricks.as_strided(stored, shape, strides)
        if kind == 9:  # windows over a row: elements share places
            strides = [self.choice((1, 1, 2)) for _ in shape]
            steps = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
            row = self.memory(sum(steps) + 1 if count else 0, dtype)
            strides = [s * dtype.itemsize for s in strides]
            return np.lib.stride_tricks.as_strided(row, shape, strides)
        stored = self.memory(count, dtype).reshape(shape)
        if kind == 10:
            stored.flags.writeable = False
        return stored

    def _stepped(self, shape: tuple[int, ...], dtype: DType, step: int) -> Array:
        axis = self.rng.randrange(len(shape))
        stored = tuple(n * abs(step) if k == axis else n for k, n in enumerate(shape))
        whole = self.memory(math.prod(stored), dtype).reshape(stored)
        return whole[(slice(None),) * axis + (slice(None, None, step),)]

    def pair(self, shape: tuple[int, ...], dtype: DType) -> tuple[Any, Array]:
        """A tensor, and the array whose memory it shares."""
        array = self.array(shape, dtype)
        self.arrays.append(array)
        return from_array(array, self.cls, None if dtype.exact else dtype), array

    def tensor(self, shape: Any = None, dtype: DType | None = None) -> Any:
        """A tensor in some layout; sometimes one that wants a gradient, or a view on the tape."""
        made, _ = self.pair(
            self.shape() if shape is None else shape,
            self.operand_dtype() if dtype is None else dtype,
        )
        if made.layout.dtype.is_inexact and hasattr(made, "requires_grad_") and self.chance(0.3):
            made.requires_grad_()
            if self.chance(0.5):
                try:
                    made = self._recorded_view(made)
                except DiptychError:
                    pass  # an operation that has no such dtype
        return made

    def _recorded_view(self, x: Any) -> Any:
        """A view or a value of a tensor on the tape."""
        kind = self.rng.randrange(4)
        if kind == 0 and x.layout.ndim >= 2:
            return x.transpose(0, -1)
        if kind == 1:
            return x.expand(2, *x.layout.shape)
        if kind == 2 and x.layout.ndim and x.layout.shape[0] > 1:
            return x[1:]
        return x + x

    def index(self) -> Any:
        """A tensor of indices: mostly within a small range, some out of it or of another dtype."""
        dtype = dtypes.int64 if self.chance(0.8) else self.choice((dtypes.int32, *dtypes.ALL))
        shape = self.shape() if self.chance(0.6) else (self.choice((0, 1, 3, 5)),)
        array = self.array(shape, dtype)
        if dtype.is_integer and array.flags.writeable and array.size:
            reach = max(self.base_shape, default=1) if self.chance(0.4) else 1
            low = 0 if self.chance(0.7) or dtype.kind == "u" else -2
            array[...] = self.numpy.integers(low, max(reach, low + 1), array.shape)
            if self.chance(0.2):
                extreme = self.choice((127, -128, 2**31, 2**62, -(2**63), 2**63 - 1, 5, -7))
                info = np.iinfo(array.dtype)
                array[(0,) * array.ndim] = min(max(extreme, int(info.min)), int(info.max))
        return from_array(array, self.cls, None if dtype.exact else dtype)

    def indices(
        self, shape: tuple[int, ...], low: int, high: int, dtype: DType = dtypes.int64
    ) -> Any:
        """A tensor of integers from ``low`` to below ``high``, in some layout."""
        array = self.array(shape, dtype)
        info = np.iinfo(dtype.numpy)
        low, high = max(low, int(info.min)), min(high, int(info.max))
        writable, array.flags.writeable = array.flags.writeable, True
        array[...] = self.numpy.integers(low, max(high, low + 1), shape)
        array.flags.writeable = writable
        return from_array(array, self.cls)

    def key(self) -> Any:
        """What may stand between brackets."""
        items = [self._key_item() for _ in range(self.choice((1, 1, 2, 2, 3, 5)))]
        return items[0] if len(items) == 1 and self.chance(0.8) else tuple(items)

    def _key_item(self) -> Any:
        kind = self.rng.randrange(10)
        if kind < 3:
            return self.integer()
        if kind < 5:
            bounds = [None if self.chance(0.4) else self.integer() for _ in range(3)]
            return slice(*bounds)
        if kind == 5:
            return self.choice((None, ..., True, False))
        if kind == 6:
            return self.index()
        if kind == 7:
            return self.tensor(dtype=dtypes.bool_)
        if kind == 8:
            return [self.choice(SMALL_INTS) for _ in range(self.rng.randrange(4))]
        return self.value()

    def intact(self) -> bool:
        """Whether nothing was written outside the drawn tensors."""
        return all(
            bool((raw[:_MARGIN] == GUARD).all() and (raw[_MARGIN + nbytes :] == GUARD).all())
            for raw, nbytes in self.guarded
        )
