"""PyTorch's dtype objects, their ranges (finfo, iinfo), and the default dtype."""

from __future__ import annotations

from typing import Any

from diptych.core import dtypes as engine
from diptych.core.dtypes import DType


class dtype:  # noqa: N801 (PyTorch's name)
    """An element type as programs see it; ``engine`` is the core's, None where we have none."""

    __slots__ = ("_name", "engine", "is_complex", "is_floating_point", "is_signed", "itemsize")
    __module__ = "torch"

    def __init__(self, name: str, core: DType | None, kind: str, itemsize: int) -> None:
        self._name = name
        self.engine = core
        self.is_floating_point = kind == "f"
        self.is_complex = kind == "c"
        self.is_signed = kind in "ifc"
        self.itemsize = itemsize

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (dtype_named, (self._name,))

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: Any) -> dtype:
        return self

    def to_complex(self) -> dtype:
        """The complex dtype whose parts have (about) this precision."""
        if self.engine is None:
            raise NotImplementedError(f"{self}.to_complex() is not implemented in diptych")
        return of(engine.complex_of(self.engine))

    def to_real(self) -> dtype:
        """The dtype of a complex dtype's parts."""
        if self.engine is None:
            raise NotImplementedError(f"{self}.to_real() is not implemented in diptych")
        return of(engine.real_of(self.engine))


# In the order of the core's indices, so that a lookup is one subscript.
BY_INDEX: list[dtype] = [dtype(d.name, d, d.kind, d.itemsize) for d in engine.ALL]
NAMED: dict[str, dtype] = {d._name: d for d in BY_INDEX}

# PyTorch has these too; tensors of them are not there yet. Name: (kind, bytes).
_ABSENT = {
    "complex32": ("c", 4), "float8_e4m3fn": ("f", 1), "float8_e4m3fnuz": ("f", 1),
    "float8_e5m2": ("f", 1), "float8_e5m2fnuz": ("f", 1), "float8_e8m0fnu": ("f", 1),
    "float4_e2m1fn_x2": ("f", 1), "qint8": ("i", 1), "quint8": ("u", 1), "qint32": ("i", 4),
    "quint4x2": ("u", 1), "quint2x4": ("u", 1), "bits1x8": ("u", 1), "bits2x4": ("u", 1),
    "bits4x2": ("u", 1), "bits8": ("u", 1), "bits16": ("u", 2),
    **{f"int{n}": ("i", 1) for n in range(1, 8)}, **{f"uint{n}": ("u", 1) for n in range(1, 8)},
}  # fmt: skip
NAMED.update({name: dtype(name, None, *rest) for name, rest in _ABSENT.items()})
ALIASES = {
    "half": "float16", "float": "float32", "double": "float64", "short": "int16", "int": "int32",
    "long": "int64", "chalf": "complex32", "cfloat": "complex64", "cdouble": "complex128",
    "bit": "uint1",
}  # fmt: skip

# The names that PyTorch's error messages use for element types.
SCALAR_NAMES = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int",
    "int64": "Long", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
    "float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double",
    "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip


def of(core: DType) -> dtype:
    """The face's object of a core dtype."""
    return BY_INDEX[core.index]


def dtype_named(name: str) -> dtype:
    """The dtype object of this canonical name (what pickles refer to)."""
    return NAMED[name]


def scalar_name(core: DType) -> str:
    """What PyTorch calls the element type in its messages: Float, Long, ..."""
    return SCALAR_NAMES[core.name]


def core_of(given: Any, function: str = "to") -> DType:
    """The core's dtype of a dtype argument; TypeError for anything else."""
    if given.__class__ is dtype:
        core: DType | None = given.engine
        if core is None:
            raise NotImplementedError(f"tensors of dtype {given} are not implemented in diptych")
        return core
    if given is float:
        return engine.float64
    if given is int:
        return engine.int64
    if given is bool:
        return engine.bool_
    if given is complex:
        return engine.complex128
    raise TypeError(
        f"{function}(): argument 'dtype' must be torch.dtype, not {type(given).__name__}"
    )


class Default:
    """The default dtype, changed by ``set_default_dtype``; ``listeners`` hear of a change."""

    core: DType = engine.float32
    listeners: list[Any] = []


def get_default_dtype() -> dtype:
    """The dtype of Python floats and of factories that are given none."""
    return of(Default.core)


def set_default_dtype(d: dtype) -> None:
    """Make ``d`` the dtype of Python floats and of factories that are given none."""
    if d.__class__ is not dtype:
        raise TypeError(f"invalid dtype object: {d!r}")
    if not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, but got {d}")
    Default.core = core_of(d)
    for listener in Default.listeners:
        listener()


def default_complex() -> DType:
    """The complex dtype that goes with the default dtype."""
    return engine.complex_of(Default.core)


class iinfo:  # noqa: N801 (PyTorch's name)
    """The range of an integer dtype."""

    __module__ = "torch"

    def __init__(self, type: dtype) -> None:
        core = core_of(type)
        if not core.is_integer:
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'"
            )
        self.bits = 8 * core.itemsize
        signed = core.kind == "i"
        self.min = -(1 << (self.bits - 1)) if signed else 0
        self.max = (1 << (self.bits - signed)) - 1
        self.dtype = core.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


# digits of the significand (with the hidden one), largest exponent, smallest normal exponent,
# and the decimal resolution that PyTorch states
_FLOATS = {
    engine.float16: (11, 15, -14, 1e-3), engine.bfloat16: (8, 127, -126, 1e-2),
    engine.float32: (24, 127, -126, 1e-6), engine.float64: (53, 1023, -1022, 1e-15),
}  # fmt: skip


class finfo:  # noqa: N801 (PyTorch's name)
    """The precision and range of a floating-point dtype (of the parts of a complex one)."""

    __module__ = "torch"

    def __init__(self, type: dtype | None = None) -> None:
        core = Default.core if type is None else engine.real_of(core_of(type))
        if core not in _FLOATS:
            raise TypeError(
                f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"'{type}'"
            )
        digits, top, bottom, self.resolution = _FLOATS[core]
        self.bits = 8 * core.itemsize
        self.eps = 2.0 ** (1 - digits)
        self.max = (2.0 - self.eps) * 2.0**top
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**bottom
        self.dtype = core.name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )
