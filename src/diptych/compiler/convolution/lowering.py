"""Lowers convolutions: chooses the kernel for each, and makes its step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from diptych.compiler.convolution import by_planes, pointwise
from diptych.compiler.convolution.plan import TooLarge, plan
from diptych.compiler.convolution.problem import (
    forward,
    of_input,
    of_input_spread,
    of_weight,
)
from diptych.compiler.lazy import Lazy, Stored
from diptych.compiler.steps import KernelStep, Place
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit
from diptych.core.layout import Shape
from diptych.graph.graph import Node

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering


def lower(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    """The result of a convolution or of one of its adjoints; None where NumPy has to do it."""
    dtype, shape = lowering.dtype(node), lowering.shape(node)
    operands = [lowering.store(x).place for x in lowering.operands(node)]
    if not dtype.is_float or 0 in shape or any(0 in place.shape for place in operands):
        return None
    if len(operands) == 3 and operands[2].strides != (1,):
        operands[2] = lowering.copied(Stored(operands[2])).place
    result = _result(lowering, node, operands)
    try:
        unit, desc = choose(node, operands, result, lowering.target)
    except TooLarge:
        return None
    lowering.result.steps.append(KernelStep(unit, desc, (*operands, result)))
    return (Stored(result),)


def _result(lowering: Lowering, node: Node, operands: list[Place]) -> Place:
    """Room for the result: channels last where an operand is and the result is an image."""
    place = lowering.fresh(lowering.dtype(node), lowering.shape(node))
    last = node.op.name != "convolution_weight" and any(map(_channels_last, operands[:2]))
    if not last:
        return place
    strides = list(place.strides)
    step = 1
    for axis in (1, *range(len(strides) - 1, 1, -1), 0):
        strides[axis] = step
        step *= place.shape[axis]
    return replace(place, strides=tuple(strides))


def _channels_last(place: Place) -> bool:
    """Whether an image's or weight's channels lie together, and rows do not."""
    if len(place.shape) < 4 or place.layout.contiguous:
        return False
    step = 1
    for axis in (1, *range(len(place.shape) - 1, 1, -1), 0):
        if place.shape[axis] != 1:
            if place.strides[axis] != step:
                return False
            step *= place.shape[axis]
    return True


def choose(
    node: Node, operands: list[Place], result: Place, target: Target
) -> tuple[CodeUnit, tuple[int, ...]]:
    """The kernel of a node and its descriptor: a product, by planes or by tiles, as is quickest."""
    first, second, made = _pair(operands[0]), _pair(operands[1]), _pair(result)
    window, bias = node.params[:4], len(operands) == 3
    name, dtype = node.op.name, result.dtype
    factor = (1, 1, 1)
    if name == "convolution":
        whole = problem = forward(dtype, first, second, made, window, bias)
    elif name == "convolution_weight":
        whole = problem = of_weight(dtype, first, second, made, window)
    else:
        problem = of_input(dtype, first, second, made, window, bias)
        whole, factor = of_input_spread(dtype, first, second, made, window, bias)
    product = pointwise.plan(problem, target)
    if product is not None:
        return product
    if by_planes.spread(problem, factor, whole, target):
        return by_planes.plan(whole, factor, target)
    return plan(problem, target)


def _pair(place: Place) -> tuple[Shape, Shape]:
    return place.shape, place.strides
