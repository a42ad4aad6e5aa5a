"""Attaches the tables of functions to Tensor as methods, operators and in-place methods."""

from __future__ import annotations

import functools
from typing import Any

from diptych.torch import (
    absent,
    binary,
    calculus,
    composed,
    conversion,
    copies,
    creation,
    elementwise,
    factors,
    gradients,
    indexing,
    movement,
    namespace,
    older,
    ordering,
    overrides,
    printing,
    products,
    random,
    reductions,
    selection,
    spectral,
    statistics,
    storage,
)
from diptych.torch.binary import BINARY, RULES
from diptych.torch.operators import (
    forward_operator,
    in_place_operator,
    named,
    reflected_operator,
)
from diptych.torch.tensor import Tensor, face

_COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}


def attach(table: dict[str, Any]) -> None:
    """Make each entry an attribute of Tensor."""
    for name, value in table.items():
        setattr(Tensor, name, value)


def replaced(name: str, function: Any) -> Any:
    """The in-place form of a function: compute, then write back."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return binary.in_place_result(self, function(self, *args, **kwargs))

    return named(method, f"{name}_")


def _operators() -> dict[str, Any]:
    table: dict[str, Any] = {}
    for row in BINARY:
        if not row.operator:
            continue
        rule, stem = RULES[row.name], row.operator
        table[f"__{stem}__"] = named(forward_operator(rule), f"__{stem}__")
        if stem not in _COMPARISONS:
            table[f"__r{stem}__"] = named(reflected_operator(rule), f"__r{stem}__")
            table[f"__i{stem}__"] = named(in_place_operator(rule), f"__i{stem}__")
    return table


def power(self: Any, exponent: Any) -> Any:
    """x ** y."""
    if exponent.__class__ is str or exponent is None:
        return NotImplemented
    return binary.pow(self, exponent)


def power_of_number(self: Any, base: Any) -> Any:
    """number ** x."""
    return binary.pow(base, self)


ROOMS: tuple[Any, ...] = (
    creation, random, gradients, movement, conversion, printing, indexing, reductions, products,
    selection, ordering, namespace, composed, overrides, copies, calculus, factors,
    spectral, statistics, older,
    storage,
)  # fmt: skip


def attach_all() -> None:
    """Give Tensor everything the tables hold."""
    for room in (elementwise, binary):
        attach(room.FUNCTIONS)
        attach(room.IN_PLACE)
    attach(_operators())
    for room in ROOMS:
        attach(room.METHODS)
    for room in (elementwise, binary, products, selection, ordering, composed):
        attach({f"{name}_": replaced(name, room.FUNCTIONS[name])
                for name in room.REPLACED_IN_PLACE})  # fmt: skip
    attach({
        "__new__": staticmethod(creation.legacy_new), "__neg__": elementwise.neg,
        "__pos__": elementwise.positive, "__abs__": elementwise.FUNCTIONS["abs"],
        "__invert__": elementwise.invert, "__pow__": power, "__rpow__": power_of_number,
        "__rdiv__": vars(Tensor)["__rtruediv__"], "__rmatmul__": products.reflected_matmul,
        "__ipow__": binary.pow_, "__hash__": object.__hash__, "__getattr__": absent.method_or_error,
        # Properties of a tensor, functions of the namespace.
        "real": property(elementwise.real), "imag": property(elementwise.imag),
    })  # fmt: skip
    for name, value in vars(Tensor).items():
        if name.endswith("_") and not name.startswith("_") and callable(value):
            IN_PLACE_FUNCTIONS[name] = function_of(name, value)
    for name in ("requires_grad_", "data_ptr", "numpy"):
        IN_PLACE_FUNCTIONS.pop(name, None)


def function_of(name: str, method: Any) -> Any:
    """An in-place method as a function, which must look at what it is given."""

    @functools.wraps(method)
    def function(input: Any, *args: Any, **kwargs: Any) -> Any:
        return method(face(input, name), *args, **kwargs)

    return function


# torch.exp_(x), torch.relu_(x), ...: the in-place methods are functions of the namespace too.
IN_PLACE_FUNCTIONS: dict[str, Any] = {}
