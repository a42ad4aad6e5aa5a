"""TensorFlow's dtypes: objects of their own, one for each engine dtype and a few without one."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import dtypes as engine

_bool = bool


class DType:
    """The type of a tensor's elements, as ``tf.float32``; equal to its name and NumPy's dtype."""

    __module__ = "tensorflow"
    __slots__ = ("_number", "engine", "kernel_name", "name")

    def __init__(
        self, number: int, name: str, dtype: engine.DType | None, kernel_name: str
    ) -> None:
        self._number = number
        self.name = name
        self.engine = dtype
        self.kernel_name = kernel_name  # what TensorFlow's errors call it

    def __repr__(self) -> str:
        return f"tf.{self.name}"

    def __str__(self) -> str:
        return f"<dtype: {self.name!r}>"

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> _bool:
        if self is other:
            return True
        if other is None or type(other) is DType:
            return False
        try:
            return as_dtype(other) is self
        except TypeError:
            return False

    def __reduce__(self) -> tuple[Any, ...]:
        return (as_dtype, (self.name,))

    @property
    def as_numpy_dtype(self) -> Any:
        """NumPy's type of the elements (bfloat16, which NumPy lacks, gives float32)."""
        if self.engine is None:
            return np.object_
        return np.float32 if not self.engine.exact else self.engine.numpy.type

    @property
    def as_datatype_enum(self) -> int:
        return self._number

    @property
    def base_dtype(self) -> DType:
        return self

    @property
    def real_dtype(self) -> DType:
        """The dtype of a complex one's parts."""
        return self if self.engine is None else BY_INDEX[engine.real_of(self.engine).index]

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return 1 if self.engine is None else self.engine.itemsize

    @property
    def is_bool(self) -> _bool:
        return self.engine is engine.bool_

    @property
    def is_floating(self) -> _bool:
        return self.engine is not None and self.engine.is_float

    @property
    def is_integer(self) -> _bool:
        return self.engine is not None and self.engine.is_integer

    @property
    def is_complex(self) -> _bool:
        return self.engine is not None and self.engine.is_complex

    @property
    def is_unsigned(self) -> _bool:
        return self.engine is not None and self.engine.kind == "u"

    @property
    def is_quantized(self) -> _bool:
        return False

    @property
    def is_numpy_compatible(self) -> _bool:
        return self.engine is not None

    @property
    def min(self) -> Any:
        """The smallest value."""
        return self._limit("min", "minimum")

    @property
    def max(self) -> Any:
        """The largest value."""
        return self._limit("max", "maximum")

    @property
    def limits(self) -> tuple[Any, Any]:
        """The smallest and the largest integer."""
        return self.min, self.max

    def _limit(self, name: str, word: str) -> Any:
        if self.is_integer:
            return int(getattr(np.iinfo(self.as_numpy_dtype), name))
        if self is bfloat16:
            bits = np.array([0xFF7F if name == "min" else 0x7F7F], np.uint16)
            return engine.bfloat16_to_float32(bits)[0]
        if self.is_floating:
            return getattr(np.finfo(self.as_numpy_dtype), name)
        raise TypeError(f"Cannot find {word} value of {self} with type {self}.")

    def is_compatible_with(self, other: Any) -> _bool:
        """Whether values of ``other`` can stand where this dtype is asked for."""
        return as_dtype(other) is self


float32 = DType(1, "float32", engine.float32, "float")
float64 = DType(2, "float64", engine.float64, "double")
int32 = DType(3, "int32", engine.int32, "int32")
uint8 = DType(4, "uint8", engine.uint8, "uint8")
int16 = DType(5, "int16", engine.int16, "int16")
int8 = DType(6, "int8", engine.int8, "int8")
string = DType(7, "string", None, "string")
complex64 = DType(8, "complex64", engine.complex64, "complex64")
int64 = DType(9, "int64", engine.int64, "int64")
bool = DType(10, "bool", engine.bool_, "bool")
bfloat16 = DType(14, "bfloat16", engine.bfloat16, "bfloat16")
uint16 = DType(17, "uint16", engine.uint16, "uint16")
complex128 = DType(18, "complex128", engine.complex128, "complex128")
float16 = DType(19, "float16", engine.float16, "half")
resource = DType(20, "resource", None, "resource")
variant = DType(21, "variant", None, "variant")
uint32 = DType(22, "uint32", engine.uint32, "uint32")
uint64 = DType(23, "uint64", engine.uint64, "uint64")
half = float16
double = float64

ALL = (
    float32, float64, int32, uint8, int16, int8, string, complex64, int64, bool, bfloat16, uint16,
    complex128, float16, resource, variant, uint32, uint64,
)  # fmt: skip
# TensorFlow's dtype of the engine's, by the engine's index: the hot path of ``tensor.dtype``.
BY_INDEX: list[DType] = [float32] * len(engine.ALL)
for _dtype in ALL:
    if _dtype.engine is not None:
        BY_INDEX[_dtype.engine.index] = _dtype

_known: dict[Any, DType] = {d.name: d for d in ALL}
_known.update({d.engine.numpy.type: d for d in ALL if d.engine is not None and d.engine.exact})
_known.update({d.engine.numpy: d for d in ALL if d.engine is not None and d.engine.exact})
_by_number = {d._number: d for d in ALL}
_known.update({"half": float16, "float": float32, "double": float64, float: float32})
_known[_bool] = bool
for _text in (str, bytes, object, np.str_, np.bytes_, np.object_):
    _known[_text] = string


def as_dtype(type_value: Any) -> DType:
    """The DType that a name, a number, a Python or NumPy type, or another face's dtype means."""
    if type(type_value) is DType:
        return type_value
    try:
        # No DType is a key: one compares with whatever has its hash by asking here again.
        found = _by_number.get(type_value) if type(type_value) is int else _known.get(type_value)
    except TypeError:
        found = None
    if found is not None:
        return found
    if isinstance(type_value, np.dtype) or getattr(type_value, "dtype", None) is not None:
        try:
            return _known[np.dtype(type_value).newbyteorder("=")]
        except (KeyError, TypeError):
            pass
    raise TypeError(
        f"Cannot convert the argument `type_value`: {type_value!r} to a TensorFlow DType."
    )


def engine_dtype(value: Any) -> engine.DType:
    """The engine's dtype of whatever ``as_dtype`` takes."""
    dtype = value if type(value) is DType else as_dtype(value)
    if dtype.engine is None:
        raise NotImplementedError(f"tensors of {dtype!r} are not there yet in diptych.tensorflow")
    return dtype.engine


def kernel_name(dtype: engine.DType) -> str:
    """What TensorFlow's kernels call an engine dtype in their errors: float, double, half, ..."""
    return BY_INDEX[dtype.index].kernel_name
