"""The operators of tensors and variables, attached to both classes from one table."""

from __future__ import annotations

from typing import Any

from diptych.core import dtypes
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops.comparison import LOGICAL_XOR
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import math
from diptych.tensorflow.conversion import tensor_as, tensor_like, tensor_of
from diptych.tensorflow.gathering import getitem
from diptych.tensorflow.linalg import matmul
from diptych.tensorflow.tensor import Tensor


def _binary(entry: table.Binary) -> tuple[Any, Any]:
    """``x op y`` and ``y op x`` for an entry of the table."""
    call_, reflected_ = entry.__call__, entry.reflected

    def operator(self: Any, other: Any) -> Any:
        return call_(self, other)

    def reflected(self: Any, other: Any) -> Any:
        return reflected_(self, other)

    return operator, reflected


def _logical(truth: table.Binary, bits: table.Binary) -> tuple[Any, Any]:
    """``&``, ``|``, ``^``: of truth values, or of the bits of integers."""

    def operator(self: Any, other: Any) -> Any:
        dtype = self.layout.dtype
        other = tensor_of(other) if isinstance(other, CoreTensor) else tensor_as(other, dtype)
        return (truth if dtype is dtypes.bool_ else bits)(self, other)

    def reflected(self: Any, other: Any) -> Any:
        other = tensor_as(other, self.layout.dtype)
        return (truth if self.layout.dtype is dtypes.bool_ else bits)(other, self)

    return operator, reflected


_xor = table.Logical("LogicalXor", LOGICAL_XOR, table.BOOL)


def _truediv(self: Any, other: Any) -> Any:
    x = tensor_of(self)
    return math.quotient(x, tensor_like(other, x.layout.dtype))


def _rtruediv(self: Any, other: Any) -> Any:
    y = tensor_of(self)
    return math.quotient(tensor_as(other, y.layout.dtype), y)


def _matmul(self: Any, other: Any) -> Any:
    return matmul(self, other)


def _rmatmul(self: Any, other: Any) -> Any:
    return matmul(tensor_as(other, self.layout.dtype), self)


def _eq(self: Any, other: Any) -> Any:
    return table.equal.operator(self, other)


def _ne(self: Any, other: Any) -> Any:
    return table.not_equal.operator(self, other)


def _invert(self: Any) -> Any:
    return (table.logical_not if self.layout.dtype is dtypes.bool_ else table.invert)(self)


def _neg(self: Any) -> Any:
    return table.negative(self)


def _abs(self: Any) -> Any:
    return math.abs(self)


_PAIRS = {
    "add": _binary(table.add),
    "sub": _binary(table.subtract),
    "mul": _binary(table.multiply),
    "floordiv": _binary(table.floordiv),
    "mod": _binary(table.floormod),
    "pow": _binary(table.power),
    "truediv": (_truediv, _rtruediv),
    "matmul": (_matmul, _rmatmul),
    "and": _logical(table.logical_and, table.bitwise_and),
    "or": _logical(table.logical_or, table.bitwise_or),
    "xor": _logical(_xor, table.bitwise_xor),
}
_SINGLE = {
    "lt": _binary(table.less)[0],
    "le": _binary(table.less_equal)[0],
    "gt": _binary(table.greater)[0],
    "ge": _binary(table.greater_equal)[0],
    "eq": _eq,
    "ne": _ne,
    "neg": _neg,
    "abs": _abs,
    "invert": _invert,
}


def attach(cls: type) -> None:
    """Give a class the operators of tensors."""
    for name, (operator, reflected) in _PAIRS.items():
        setattr(cls, f"__{name}__", operator)
        setattr(cls, f"__r{name}__", reflected)
    for name, operator in _SINGLE.items():
        setattr(cls, f"__{name}__", operator)


attach(Tensor)
setattr(Tensor, "__getitem__", getitem)  # noqa: B010  (a variable has its own)
