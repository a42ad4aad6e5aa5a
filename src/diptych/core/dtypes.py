"""The element types: name, kind, size, and how NumPy and native code store them."""

from __future__ import annotations

from typing import Any

import numpy as np


class DType:
    """One element type. Instances are singletons: compare them with ``is``.

    Attributes: ``name``; ``kind`` (``"b"`` bool, ``"u"`` unsigned, ``"i"`` signed, ``"f"`` float,
    ``"c"`` complex); ``itemsize`` in bytes; ``numpy``, the NumPy dtype that stores the bits
    (bfloat16 is stored as uint16); ``exact``, whether ``numpy`` also computes it (not bfloat16).
    """

    __slots__ = ("exact", "index", "is_inexact", "itemsize", "kind", "name", "numpy")

    def __init__(self, index: int, name: str, kind: str, storage: str) -> None:
        self.index = index
        self.name = name
        self.kind = kind
        self.numpy: np.dtype[Any] = np.dtype(storage)
        self.itemsize: int = self.numpy.itemsize
        self.exact = name != "bfloat16"
        self.is_inexact = kind in "fc"  # has a fraction: can carry a gradient

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return (dtype, (self.name,))

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_integer(self) -> bool:
        """Signed or unsigned integers; bool is not one."""
        return self.kind in "ui"


bool_ = DType(0, "bool", "b", "?")
uint8 = DType(1, "uint8", "u", "u1")
int8 = DType(2, "int8", "i", "i1")
int16 = DType(3, "int16", "i", "i2")
int32 = DType(4, "int32", "i", "i4")
int64 = DType(5, "int64", "i", "i8")
uint16 = DType(6, "uint16", "u", "u2")
uint32 = DType(7, "uint32", "u", "u4")
uint64 = DType(8, "uint64", "u", "u8")
float16 = DType(9, "float16", "f", "f2")
bfloat16 = DType(10, "bfloat16", "f", "u2")
float32 = DType(11, "float32", "f", "f4")
float64 = DType(12, "float64", "f", "f8")
complex64 = DType(13, "complex64", "c", "c8")
complex128 = DType(14, "complex128", "c", "c16")

ALL = (
    bool_, uint8, int8, int16, int32, int64, uint16, uint32, uint64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip
FLOATS = (float16, bfloat16, float32, float64)
COMPLEX = (complex64, complex128)
INEXACT = FLOATS + COMPLEX
SIGNED = (int8, int16, int32, int64)
UNSIGNED = (uint8, uint16, uint32, uint64)
INTEGERS = SIGNED + UNSIGNED
INTEGERS_AND_BOOL = (bool_, *INTEGERS)
REAL = INTEGERS + FLOATS
NUMERIC = REAL + COMPLEX

_BY_NAME = {d.name: d for d in ALL}
BY_NUMPY = {d.numpy: d for d in ALL if d.exact}


def dtype(name: str) -> DType:
    """The dtype called ``name``; KeyError if there is none."""
    return _BY_NAME[name]


def from_numpy(numpy_dtype: Any) -> DType:
    """The dtype that NumPy's dtype stores; TypeError where we have none (strings, objects)."""
    found = BY_NUMPY.get(np.dtype(numpy_dtype).newbyteorder("="))
    if found is None:
        raise TypeError(
            f"NumPy dtype {np.dtype(numpy_dtype)} has no tensor dtype; "
            f"supported are {', '.join(d.name for d in ALL)}"
        )
    return found


def real_of(d: DType) -> DType:
    """The dtype of a complex dtype's parts; ``d`` itself when it is real."""
    return {complex64: float32, complex128: float64}.get(d, d)


def complex_of(d: DType) -> DType:
    """The complex dtype whose parts have dtype ``d`` (float16 and bfloat16 go to complex64)."""
    return complex128 if d in (float64, complex128) else complex64


def accumulator(d: DType) -> DType:
    """The dtype in which sums of ``d`` are kept inside a kernel."""
    return float32 if d in (float16, bfloat16) else d


def bfloat16_to_float32(bits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Widen bfloat16 bits (uint16) to float32, exactly."""
    return (np.asarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def float32_to_bfloat16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Round float32 to bfloat16 bits (uint16), to nearest even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).reshape(np.shape(values))
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(
        16
    )
    nan = np.isnan(values)
    return np.where(nan, np.uint32(0x7FC0), rounded).astype(np.uint16)
