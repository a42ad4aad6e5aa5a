"""Lowers convolutions: chooses the kernel for each, and makes its step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diptych.compiler.convolution.plan import TooLarge, plan
from diptych.compiler.convolution.problem import Problem, forward, of_input, of_weight
from diptych.compiler.lazy import Lazy, Stored
from diptych.compiler.steps import KernelStep, Place
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
    result = lowering.fresh(dtype, shape)
    try:
        unit, desc = plan(problem_of(node, operands, result), lowering.target)
    except TooLarge:
        return None
    lowering.result.steps.append(KernelStep(unit, desc, (*operands, result)))
    return (Stored(result),)


def problem_of(node: Node, operands: list[Place], result: Place) -> Problem:
    """What the kernel of a node computes."""
    first, second, made = _pair(operands[0]), _pair(operands[1]), _pair(result)
    window, bias = node.params[:4], len(operands) == 3
    name, dtype = node.op.name, result.dtype
    if name == "convolution":
        return forward(dtype, first, second, made, window, bias)
    if name == "convolution_weight":
        return of_weight(dtype, first, second, made, window)
    return of_input(dtype, first, second, made, window, bias)


def _pair(place: Place) -> tuple[Shape, Shape]:
    return place.shape, place.strides
