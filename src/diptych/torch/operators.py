"""The operators of Tensor (+, -, *, ...): the shortest path from an expression to the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.core import call, inplace
from diptych.core import dtypes as engine
from diptych.core.dtypes import ALL, DType
from diptych.core.layout import broadcast_shapes
from diptych.core.operation import Operation
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class, from_array
from diptych.ops.select import cast, constant
from diptych.torch import promotion
from diptych.torch.dtypes import Default, scalar_name
from diptych.torch.gradient_nodes import label
from diptych.torch.promotion import FLOAT_NUMBERS, NUMBERS, PARAMS, Params, of_layouts
from diptych.torch.tensor import Tensor, face

# Where both operands have one dtype: the parameters of the call; a missing entry goes the long way.
PLAIN: dict[DType, Params] = dict(PARAMS)
NOT_BOOL: dict[DType, Params] = {d: p for d, p in PARAMS.items() if d is not engine.bool_}
FRACTIONS: dict[DType, Params] = {}


def _fill_fractions() -> None:
    for d in ALL:
        FRACTIONS[d] = PARAMS[promotion.fractional(d)]


_fill_fractions()
Default.listeners.append(_fill_fractions)

Rule = Callable[[DType, "tuple[Any, Any]"], DType]


class Binary:
    """How a two-operand operation promotes: tables for the common cases, a rule for the others.

    ``same`` maps the one dtype of both operands to the call's parameters, ``numbers`` a number's
    class and the tensor's dtype; ``rule(promoted, operands)`` gives the dtype to compute in, or
    raises for operands that the operation refuses.
    """

    def __init__(
        self, name: str, op: Operation, same: dict[DType, Params],
        numbers: dict[type, dict[DType, Params]], rule: Rule,
    ) -> None:  # fmt: skip
        self.name = name
        self.op = op
        self.same = same
        self.numbers = numbers
        self.rule = rule

    def dtype(self, a: Any, b: Any) -> DType:
        """The dtype to compute in, the long way."""
        if isinstance(a, CoreTensor) and isinstance(b, CoreTensor):
            return self.rule(of_layouts(a.layout, b.layout), (a, b))
        return self.rule(promotion.of_operands(a, b), (a, b))

    def __call__(self, a: Any, b: Any) -> Any:
        """The result for any mix of tensors and numbers (at least one tensor)."""
        if isinstance(a, CoreTensor):
            if isinstance(b, CoreTensor):
                params = self.same.get(a.layout.dtype) if a.layout.dtype is b.layout.dtype else None
                if params is None:
                    params = PARAMS[self.dtype(a, b)]
                if not isinstance(a, Tensor):
                    a = cast_class(a, Tensor)
                return call.current.apply2(self.op, a, b, params)
            b = number(b, self.name, "other", 2)
            params = PARAMS[self.dtype(a, b)]
            if not isinstance(a, Tensor):
                a = cast_class(a, Tensor)
            return call.current.apply2(self.op, a, constant(b, params[0]), params)
        a = number(a, self.name, "input", 1)
        b = face(b, self.name, "other", 2)
        params = PARAMS[self.dtype(a, b)]
        return call.current.apply2(self.op, face_constant(a, params[0]), b, params)

    def into(self, target: Tensor, other: Any) -> Tensor:
        """``target`` becomes the result, in place."""
        place = target.layout
        operand, params = other, None
        if isinstance(other, CoreTensor):
            given = other.layout
            # The same shape and dtype: nothing to promote, to check or to convert.
            if given is place or (given.shape == place.shape and given.dtype is place.dtype):
                params = self.same.get(place.dtype)
        else:
            table = self.numbers.get(other.__class__)
            params = None if table is None else table.get(place.dtype)
            if params is not None:
                operand = constant(other, params[0])
        if params is not None and params[0] is place.dtype and self.op not in TRUTH:
            inplace.update(target, self.op, (target, operand), params)
            return target
        if not isinstance(other, CoreTensor):
            other = number(other, f"{self.name}_", "other", 1)
            dtype = self.dtype(target, other)
            other = constant(other, dtype)
        else:
            dtype = self.dtype(target, other)
            check_in_place_shape(target, other)
        check_result_dtype(dtype if self.op not in TRUTH else engine.bool_, target)
        inplace.update(target, self.op, (target, other), PARAMS[dtype])
        return target


TRUTH: set[Operation] = set()  # operations whose result is bool


def face_constant(value: Any, dtype: DType) -> Tensor:
    """A number as a 0-d tensor of this face, for the first operand."""
    return cast_class(constant(value, dtype), Tensor)


def number(value: Any, function: str, argument: str, position: int) -> Any:
    """``value`` as a Python number; TypeError in PyTorch's words for what is none."""
    if isinstance(value, (bool, int, float, complex)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"{function}(): argument '{argument}' (position {position}) must be Tensor, not "
        f"{type(value).__name__}"
    )


def check_in_place_shape(target: Tensor, *others: CoreTensor) -> None:
    """RuntimeError when the broadcast result would not have the target's shape."""
    shape = target.layout.shape
    shapes = [other.layout.shape for other in others]
    if all(other == shape or not other for other in shapes):
        return
    result = broadcast_shapes((shape, *shapes), "in-place operation")
    if result != shape:
        raise RuntimeError(
            f"output with shape {list(shape)} doesn't match the broadcast shape {list(result)}"
        )


def check_result_dtype(dtype: DType, target: CoreTensor) -> None:
    """RuntimeError when a result of ``dtype`` may not be written into the target."""
    if dtype is not target.layout.dtype and not promotion.castable(dtype, target.layout.dtype):
        raise RuntimeError(
            f"result type {scalar_name(dtype)} can't be cast to the desired output type "
            f"{scalar_name(target.layout.dtype)}"
        )


# ---- operator methods


def forward_operator(binary: Binary) -> Callable[[Any, Any], Any]:
    """``x op y``."""
    op, same, numbers = binary.op, binary.same, binary.numbers

    def operator(self: Any, other: Any) -> Any:
        if isinstance(other, CoreTensor):
            dtype = self.layout.dtype
            if dtype is other.layout.dtype:
                params = same.get(dtype)
                if params is not None:
                    return call.current.apply2(op, self, other, params)
            return binary(self, other)
        table = numbers.get(other.__class__)
        if table is not None:
            params = table.get(self.layout.dtype)
            if params is not None:
                return call.current.apply2(op, self, constant(other, params[0]), params)
        if not isinstance(other, (bool, int, float, complex, np.generic)):
            if isinstance(other, np.ndarray) and op in TRUTH:
                return binary(self, from_array(other, Tensor))
            return NotImplemented
        return binary(self, other)

    return operator


def reflected_operator(binary: Binary) -> Callable[[Any, Any], Any]:
    """``y op x`` where y is a number."""

    name = f"R{binary.name}Backward1" if binary.name == "sub" else ""

    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, (CoreTensor, bool, int, float, complex, np.generic)):
            return NotImplemented
        result = binary(other, self)
        return label(result, name) if name else result

    return operator


def in_place_operator(binary: Binary) -> Callable[[Any, Any], Any]:
    """``x op= y``."""

    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, (CoreTensor, bool, int, float, complex, np.generic)):
            return NotImplemented
        return binary.into(self, other)

    return operator


def named(function: Any, name: str) -> Any:
    """Give a made function its name."""
    function.__name__ = name
    function.__qualname__ = f"Tensor.{name}"
    return function


__all__ = ["FLOAT_NUMBERS", "NUMBERS", "Binary", "cast"]
