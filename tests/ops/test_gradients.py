"""Tests that the declarations write: gradients, and theirs, against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from diptych.core import dtypes, tape
from diptych.core.operation import Operation, Sample, registered
from diptych.core.tensor import Tensor, copy_array
from tests.ops.samples import Array, apply, tensors, widened

DIFFERENTIABLE = [op for op in registered() if op.differentiable]
STEP = 1e-5
LARGEST = 200  # elements of an operand; more say nothing new

TRIANGLE = "one triangle of the matrix is read, and the gradient is that of a Hermitian matrix"
WHOLE = "one triangle of the factor is read, and the gradient is PyTorch's, of all of it"
GAUGE = "complex vectors are unique up to phases, which only gauge-invariant cotangents ignore"
# (order, operation, kind of operand) -> why differences do not agree. One that agrees fails.
KNOWN: dict[tuple[str, str, str], str] = {
    ("first", "cholesky", "f"): TRIANGLE,
    ("first", "cholesky", "c"): TRIANGLE,
    ("first", "eigh", "f"): TRIANGLE,
    ("first", "eigh", "c"): TRIANGLE,
    ("first", "eigvalsh", "f"): TRIANGLE,
    ("first", "eigvalsh", "c"): TRIANGLE,
    ("second", "cholesky", "f"): TRIANGLE,
    ("second", "eigh", "f"): TRIANGLE,
    ("second", "eigvalsh", "f"): TRIANGLE,
    ("first", "zeta", "f"): "it has no derivative by its first operand",
    ("second", "zeta", "f"): "it has no derivative by its first operand",
    ("first", "igamma", "f"): "it has no derivative by its first operand",
    ("second", "igamma", "f"): "it has no derivative by its first operand",
    ("first", "igammac", "f"): "it has no derivative by its first operand",
    ("second", "igammac", "f"): "it has no derivative by its first operand",
    ("second", "ctc", "f"): "its second derivative is not supported, and it says so",
    ("first", "ctc_slope", "f"): "its derivative is not supported, and it says so",
    ("second", "ctc_slope", "f"): "its derivative is not supported, and it says so",
    ("first", "cholesky_solve", "f"): WHOLE,
    ("first", "cholesky_solve", "c"): WHOLE,
    ("second", "cholesky_solve", "f"): WHOLE,
    ("first", "svd", "c"): GAUGE,
    ("first", "eig", "c"): GAUGE,
    ("first", "complex", "c"): "its operands are real parts, sampled as complex",
}


def usable(op: Operation, kind: str) -> list[Sample]:
    """A few samples in float64 or complex128 that are smooth enough to try, of different shapes."""
    wide = {"f": np.float64, "c": np.complex128}[kind]
    found: dict[Any, Sample] = {}
    for sample in op.samples():
        narrow = any(
            isinstance(p, dtypes.DType) and p in (dtypes.float16, dtypes.bfloat16)
            for p in sample.params
        )
        arrays = [np.asarray(operand) for operand in sample.operands]
        if narrow or not any(a.dtype.kind in "fc" for a in arrays):
            continue
        sample = widened(sample)
        arrays = [np.asarray(operand) for operand in sample.operands]
        inexact = [a for a in arrays if a.dtype.kind in "fc"]
        # A difference across a non-finite value, or a tie in a sort, says nothing.
        if any(a.dtype != wide or a.size > LARGEST or not np.isfinite(a).all() for a in inexact):
            continue
        if all(a.size == 0 for a in inexact):
            continue
        params = tuple(p for p in sample.params if not isinstance(p, dtypes.DType))
        if any(p.kind not in "fc" for p in sample.params if isinstance(p, dtypes.DType)):
            continue
        key = (tuple(a.shape for a in arrays), params)
        found.setdefault(key, sample)
    return list(found.values())


def inexact_positions(sample: Sample) -> list[int]:
    return [i for i, a in enumerate(sample.operands) if np.asarray(a).dtype.kind in "fc"]


def draw(generator: np.random.Generator, like: Array) -> Array:
    values: Array = np.asarray(generator.uniform(-1, 1, like.shape))
    if like.dtype.kind == "c":
        values = values + 1j * generator.uniform(-1, 1, like.shape)
    return values.astype(like.dtype)


def inner(a: Array, b: Array) -> float:
    """The real inner product, in which a complex gradient is a steepest ascent."""
    with np.errstate(all="ignore"):
        return float(np.sum(np.real(np.conj(a) * b)))


def first(
    op: Operation, arrays: Sequence[Array], params: Any, cotangents: Sequence[Array | None],
    positions: Sequence[int],
) -> list[Array]:  # fmt: skip
    """The gradients of <cotangents, results> at some of the operands."""
    given = tensors(Sample(tuple(arrays), params))
    for position in positions:
        tape.require_gradient(given[position])
    results = apply(op, given, params)
    roots = [
        (result.node, result.output, copy_array(cotangent, Tensor))
        for result, cotangent in zip(results, cotangents, strict=True)
        if result.node is not None and cotangent is not None
    ]
    pulled = tape.backward(roots, [(given[position].node, 0) for position in positions])
    gradients = []
    for position, gradient in zip(positions, pulled, strict=True):
        shape = np.asarray(arrays[position])
        gradients.append(np.zeros_like(shape) if gradient is None else gradient.values().copy())
    return gradients


def value(op: Operation, arrays: Sequence[Array], params: Any, cotangents: Any) -> float:
    results = apply(op, tensors(Sample(tuple(arrays), params)), params)
    return sum(
        inner(cotangent, result.values())
        for result, cotangent in zip(results, cotangents, strict=True)
        if cotangent is not None
    )


def agrees(slope: float, function: Callable[[float], float]) -> bool | None:
    """Whether a slope is that of a function at 0; None where it has a corner, a jump or an end.

    There, differences over one step and over an eighth of it disagree.
    """
    slopes = []
    for step in (STEP, STEP / 8):
        ahead, here, behind = function(step), function(0.0), function(-step)
        if not np.isfinite([ahead, here, behind]).all():
            return None
        noise = 1e-9 * max(abs(here), 1.0) / step
        slopes += [(ahead - behind) / (2 * step), (ahead - here) / step]
        if abs(slopes[-1] - slopes[-2]) > 1e-2 * max(1.0, abs(slopes[-2])) + noise:
            return None
    central, closer = slopes[0], slopes[2]
    size = max(1.0, abs(central))
    if abs(central - closer) > 1e-2 * size:
        return None
    return abs(slope - central) <= 1e-5 * size + 1e-9 * max(abs(here), 1.0) / STEP


def _moved_value(
    op: Operation, sample: Sample, cotangents: Any, position: int, direction: Array, step: float
) -> float:
    moved = [np.asarray(operand) for operand in sample.operands]
    moved[position] = moved[position] + step * direction
    return value(op, moved, sample.params, cotangents)


def _moved_gradient(
    op: Operation, sample: Sample, cotangents: Any, directions: list[Array], weights: list[Array],
    step: float,
) -> float:  # fmt: skip
    moved = [np.asarray(operand) for operand in sample.operands]
    positions = inexact_positions(sample)
    for position, direction in zip(positions, directions, strict=True):
        moved[position] = moved[position] + step * direction
    found = first(op, moved, sample.params, cotangents, positions)
    return sum(inner(g, w) for g, w in zip(found, weights, strict=True))


def check_first(op: Operation, kind: str, limit: int) -> None:
    tried = smooth = 0
    for sample in usable(op, kind)[:limit]:
        generator = np.random.default_rng(len(op.name))
        arrays = [np.asarray(operand) for operand in sample.operands]
        results = apply(op, tensors(sample), sample.params)
        cotangents = [
            draw(generator, r.values()) if r.layout.dtype.is_inexact else None for r in results
        ]
        positions = inexact_positions(sample)
        gradients = first(op, arrays, sample.params, cotangents, positions)
        for position, gradient in zip(positions, gradients, strict=True):
            array = arrays[position]
            if not array.size:
                continue
            assert gradient.shape == array.shape and gradient.dtype == array.dtype
            direction = draw(generator, array)

            along = partial(_moved_value, op, sample, cotangents, position, direction)
            tried += 1
            good = agrees(inner(gradient, direction), along)
            smooth += good is not None
            assert good is not False, (
                f"{op.name} {[a.shape for a in arrays]} {sample.params}, operand {position}: "
                f"{inner(gradient, direction)} is not {(along(STEP) - along(-STEP)) / 2 / STEP}"
            )
    if tried and not smooth:
        pytest.skip("every sample sits on a corner")


def check_second(op: Operation) -> None:
    """d<gradient, v>/dx by the tape against differences of the gradient."""
    for sample in usable(op, "f")[:3]:
        generator = np.random.default_rng(len(op.name))
        arrays = [np.asarray(operand) for operand in sample.operands]
        if any(not a.size for a in arrays):
            continue
        positions = inexact_positions(sample)
        results = apply(op, tensors(sample), sample.params)
        cotangents = [
            draw(generator, r.values()) if r.layout.dtype.is_inexact else None for r in results
        ]
        directions = [draw(generator, arrays[position]) for position in positions]
        weights = [draw(generator, arrays[position]) for position in positions]
        given = tensors(sample)
        for position in positions:
            tape.require_gradient(given[position])
        outputs = apply(op, given, sample.params)
        roots = [
            (y.node, y.output, copy_array(cotangent, Tensor))
            for y, cotangent in zip(outputs, cotangents, strict=True)
            if y.node is not None and cotangent is not None
        ]
        targets = [(given[position].node, 0) for position in positions]
        gradients = tape.backward(roots, targets, create_graph=True)
        again = [
            (g.node, g.output, copy_array(weight, Tensor))
            for g, weight in zip(gradients, weights, strict=True)
            if g is not None and g.node is not None
        ]
        curvature = tape.backward(again, targets) if again else [None] * len(targets)
        slope = sum(
            inner(c.values(), direction)
            for c, direction in zip(curvature, directions, strict=True)
            if c is not None
        )

        along = partial(_moved_gradient, op, sample, cotangents, directions, weights)
        assert agrees(slope, along) is not False, (
            f"{op.name} {[a.shape for a in arrays]} {sample.params}: {slope} is not "
            f"{(along(STEP) - along(-STEP)) / 2 / STEP}"
        )


def cases(order: str, kind: str) -> Any:
    """Parameters over the operations, the known exceptions marked."""
    made = []
    for op in DIFFERENTIABLE:
        if not usable(op, kind):
            continue
        reason = KNOWN.get((order, op.name, kind))
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        made.append(pytest.param(op, id=op.name, marks=marks))
    return pytest.mark.parametrize("op", made)


@cases("first", "f")
def test_gradient_is_the_slope_in_float64(op: Operation, evaluator: str) -> None:
    check_first(op, "f", 8 if evaluator == "reference" else 3)


@cases("first", "c")
def test_gradient_is_the_slope_in_complex128(op: Operation, evaluator: str) -> None:
    check_first(op, "c", 4)


@cases("second", "f")
def test_gradient_of_the_gradient(op: Operation, evaluator: str) -> None:
    check_second(op)


def test_operations_that_have_a_gradient_are_tried() -> None:
    tried = {op.name for op in DIFFERENTIABLE if usable(op, "f") or usable(op, "c")}
    left = {op.name for op in DIFFERENTIABLE} - tried
    assert not left, f"no sample of these can be differentiated numerically: {sorted(left)}"
