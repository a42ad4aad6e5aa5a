"""Runs convolution kernels on NumPy arrays, for any target this CPU can execute."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from diptych.compiler.convolution import by_planes, pointwise
from diptych.compiler.convolution.plan import plan
from diptych.compiler.convolution.problem import (
    forward,
    of_input,
    of_input_spread,
    of_weight,
)
from diptych.compiler.target import Target
from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.ops import convolution as ops
from tests.compiler.contraction.harness import TARGETS, call, exact, store_as

Array = np.ndarray[Any, Any]


class Case(NamedTuple):
    """One convolution: the shapes of x and of the weight, and the window."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def params(self) -> Any:
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def y(self) -> tuple[int, ...]:
        made = ops.output_extents(self.x[2:], self.weight[2:], *self.params[:3])
        return (self.x[0], self.weight[0], *made)


def draw(rng: np.random.Generator, most: int = 20) -> Case:
    """A small convolution of any rank, with a result that is not empty."""
    while True:
        rank = int(rng.integers(1, 4))
        groups = int(rng.choice([1, 1, 2, 3]))
        channels = int(rng.choice([1, 2, rng.integers(1, most)]))
        features = int(rng.choice([1, 2, rng.integers(1, 3 * most)]))
        sizes = [int(n) for n in rng.integers(1, (70, 20, 9)[rank - 1], rank)]
        kernel = [int(n) for n in rng.integers(1, 5, rank)]
        case = Case(
            (int(rng.integers(1, 4)), groups * channels, *sizes),
            (groups * features, channels, *kernel),
            tuple(int(n) for n in rng.integers(1, 4, rank)),
            tuple((int(a), int(b)) for a, b in rng.integers(-1, 4, (rank, 2))),
            tuple(int(n) for n in rng.integers(1, 4, rank)),
            groups,
        )
        if min(case.y) > 0 and all(
            n + a + b > 0 for n, (a, b) in zip(sizes, case.padding, strict=True)
        ):
            return case


def strides(array: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return array.shape, tuple(step // array.itemsize for step in array.strides)


def laid_out(array: Array, layout: str) -> Array:
    """The same values row-major ("rows"), channels last ("last") or with gaps ("gaps")."""
    if layout == "last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if layout == "gaps":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), array.dtype)
        wide[..., 1::2] = array
        return wide[..., 1::2]
    return np.ascontiguousarray(array)


def run(
    name: str, operands: list[Array], result: Array, case: Case, dtype: DType = dtypes.float32,
    target: Target = TARGETS["avx512"], by: str = "tiles",
) -> Array:  # fmt: skip
    """Run one of the three operations ("forward", "input", "weight") by a kernel of choice."""
    pairs = [strides(array) for array in (*operands[:2], result)]
    bias = len(operands) == 3
    if name == "weight":
        problem = of_weight(dtype, *pairs, case.params)
    elif name == "forward":
        problem = forward(dtype, *pairs, case.params, bias)
    else:
        problem = of_input(dtype, *pairs, case.params, bias)
    if by == "planes":
        apart = (1, 1, 1)
        if name == "input":
            problem, apart = of_input_spread(dtype, *pairs, case.params, bias)
        unit, desc = by_planes.plan(problem, apart, target)
    elif by == "products":
        found = pointwise.plan(problem, target)
        assert found is not None
        unit, desc = found
    else:
        unit, desc = plan(problem, target)
    call(unit, desc, [x.ctypes.data for x in (*operands, result)], target)
    return result


def takes_planes(name: str, case: Case) -> bool:
    """Whether the kernel by planes can do it (its results need unit strides)."""
    return name == "input" or case.stride[-1] <= 2


def arrays(case: Case, dtype: DType, seed: int = 0) -> dict[str, Array]:
    """Operands of all three operations, rounded to a dtype."""
    rng = np.random.default_rng(seed)
    shapes = {"x": case.x, "w": case.weight, "y": case.y,
              "bias": case.weight[:1], "back": case.x[1:2]}  # fmt: skip
    return {name: store_as(rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def wanted(name: str, given: dict[str, Array], case: Case, dtype: DType) -> Array:
    """What NumPy computes in float64."""
    wide = {key: exact(value, dtype) for key, value in given.items()}
    if name == "forward":
        return ops._convolution(wide["x"], wide["w"], wide["bias"], *case.params)
    if name == "input":
        sizes = case.x[2:]
        return ops._convolution_input(wide["y"], wide["w"], wide["back"], *case.params, sizes)
    return ops._convolution_weight(wide["x"], wide["y"], *case.params, case.weight[2:])


def operands_of(name: str, given: dict[str, Array]) -> list[Array]:
    names = {"forward": ("x", "w", "bias"), "input": ("y", "w", "back"), "weight": ("x", "y")}
    return [given[key] for key in names[name]]


def close(got: Array, want: Array, dtype: DType) -> bool:
    """Within rounding of the largest value."""
    tolerance = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 3e-6, "float64": 1e-13}[dtype.name]
    scale = max(1.0, float(np.abs(want).max(initial=0.0)))
    return bool(np.abs(exact(got, dtype) - want).max(initial=0.0) <= tolerance * scale)
