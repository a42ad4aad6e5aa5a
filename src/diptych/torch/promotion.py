"""PyTorch's type promotion: dtype pairs, and the ranks of tensors, 0-d tensors and numbers."""

from __future__ import annotations

from typing import Any

from diptych.core import dtypes as engine
from diptych.core.dtypes import ALL, DType
from diptych.core.layout import Layout
from diptych.core.tensor import Tensor as CoreTensor
from diptych.torch import dtypes
from diptych.torch.dtypes import Default, scalar_name

Params = tuple[DType]
PARAMS: dict[DType, Params] = {d: (d,) for d in ALL}  # elementwise parameters, made once

_WIDE_UNSIGNED = (engine.uint16, engine.uint32, engine.uint64)
_SIGNED_OF_SIZE = {1: engine.int8, 2: engine.int16, 4: engine.int32, 8: engine.int64}


def promote(a: DType, b: DType) -> DType:
    """The dtype that holds both, whatever the operands' ranks: ``torch.promote_types``."""
    if a is b:
        return a
    found = _PAIRS[a.index * 16 + b.index]
    if found is None:
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{scalar_name(a)} and {scalar_name(b)}"
        )
    return found


def _promote(a: DType, b: DType) -> DType | None:
    if a is b:
        return a
    if a in _WIDE_UNSIGNED or b in _WIDE_UNSIGNED:
        other = b if a in _WIDE_UNSIGNED else a
        return other if other.is_float else None
    if a.is_complex or b.is_complex:
        double = {a, b} & {engine.float64, engine.complex128}
        return engine.complex128 if double else engine.complex64
    if a.is_float and b.is_float:
        if a.itemsize == b.itemsize:  # float16 and bfloat16 meet in float32
            return engine.float32
        return a if a.itemsize > b.itemsize else b
    if a.is_float or b.is_float:
        return a if a.is_float else b
    if a.kind == "b" or b.kind == "b":
        return b if a.kind == "b" else a
    if a.kind == b.kind:
        return a if a.itemsize > b.itemsize else b
    unsigned, signed = (a, b) if a.kind == "u" else (b, a)  # uint8 and a signed one
    return _SIGNED_OF_SIZE[max(signed.itemsize, 2 * unsigned.itemsize)]


_PAIRS: list[DType | None] = [None] * 256
for _a in ALL:
    for _b in ALL:
        _PAIRS[_a.index * 16 + _b.index] = _promote(_a, _b)


def combine(higher: DType | None, lower: DType | None) -> DType | None:
    """Join the dtype of operands of a higher rank with that of a lower rank."""
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex:
        return higher
    if higher.is_float:
        return _complex_like(higher) if lower.is_complex else higher
    if lower.is_complex:
        return lower
    if higher.kind == "b" or lower.is_inexact:
        return promote(higher, lower)
    return higher


def _complex_like(d: DType) -> DType:
    if d is engine.float16:
        raise NotImplementedError("torch.complex32 tensors are not implemented in diptych")
    return engine.complex_of(d)


def number_dtype(value: Any) -> DType:
    """The dtype that a Python number stands for."""
    if isinstance(value, bool):
        return engine.bool_
    if isinstance(value, int):
        return engine.int64
    if isinstance(value, float):
        return Default.core
    if isinstance(value, complex):
        return dtypes.default_complex()
    raise TypeError(f"expected a number, got {type(value).__name__}")


def of_layouts(a: Layout, b: Layout) -> DType:
    """The dtype of an operation on two tensors: dimensioned ones rank above 0-d ones."""
    first, second = a.dtype, b.dtype
    if first is second:
        return first
    if (a.ndim == 0) == (b.ndim == 0):
        return promote(first, second)
    result = combine(first, second) if b.ndim == 0 else combine(second, first)
    return result  # type: ignore[return-value]


def of_number(d: DType, value: Any) -> DType:
    """The dtype of an operation on a tensor of dtype ``d`` and a Python number."""
    found = NUMBERS.get(value.__class__)
    if found is not None and d in found:
        return found[d][0]
    result = combine(d, number_dtype(value))
    return result  # type: ignore[return-value]


def of_operands(*operands: Any) -> DType:
    """The dtype of an operation on any mix of tensors and numbers: ``torch.result_type``."""
    ranks: list[DType | None] = [None, None, None]
    for operand in operands:
        if isinstance(operand, CoreTensor):
            rank, d = (1 if operand.layout.ndim == 0 else 0), operand.layout.dtype
        else:
            rank, d = 2, number_dtype(operand)
        held = ranks[rank]
        ranks[rank] = d if held is None else promote(held, d)
    result = combine(combine(ranks[0], ranks[1]), ranks[2])
    return result  # type: ignore[return-value]


# number class -> tensor dtype -> parameters of an elementwise call that promotes as usual
NUMBERS: dict[type, dict[DType, Params]] = {}
# as above for operations that give fractions (division, mean of both, ...)
FLOAT_NUMBERS: dict[type, dict[DType, Params]] = {}


# the same for operations that refuse bool
NUMBERS_NOT_BOOL: dict[type, dict[DType, Params]] = {}


def _fill() -> None:
    for tables in (NUMBERS, FLOAT_NUMBERS, NUMBERS_NOT_BOOL):
        for cls in (bool, int, float, complex):
            tables.setdefault(cls, {}).clear()  # kept as objects: the operators hold them
    for cls, sample in ((bool, True), (int, 1), (float, 1.0), (complex, 1j)):
        plain = NUMBERS[cls]
        for d in ALL:
            if d is engine.float16 and cls is complex:
                continue
            if d in _WIDE_UNSIGNED and cls is complex:
                continue
            joined = combine(d, number_dtype(sample))
            plain[d] = PARAMS[joined]  # type: ignore[index]
        FLOAT_NUMBERS[cls].update({d: PARAMS[fractional(p[0])] for d, p in plain.items()})
        if cls is not bool:
            NUMBERS_NOT_BOOL[cls].update({d: p for d, p in plain.items() if d is not engine.bool_})


def fractional(d: DType) -> DType:
    """``d`` where it holds fractions, else the default dtype."""
    return d if d.kind in "fc" else Default.core


_fill()
Default.listeners.append(_fill)


# ---- the public functions


def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest dtype that both convert to."""
    return dtypes.of(promote(dtypes.core_of(type1), dtypes.core_of(type2)))


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype of arithmetic on two tensors or numbers."""
    return dtypes.of(of_operands(tensor1, tensor2))


def can_cast(from_: Any, to: Any) -> bool:
    """Whether PyTorch's casting rules for in-place results allow the conversion."""
    return castable(dtypes.core_of(from_), dtypes.core_of(to))


def castable(source: DType, target: DType) -> bool:
    """Whether a result of dtype ``source`` may be written into a tensor of ``target``."""
    if source.is_complex and not target.is_complex:
        return False
    if source.is_float and not target.is_inexact:
        return False
    return target.kind != "b" or source.kind == "b"
