"""Tests that the declarations write: each operation against its reference, on each evaluator."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from diptych.core import dtypes, inplace
from diptych.core.operation import NoBatching, Operation, Primitive, Sample, registered
from diptych.core.tensor import Tensor, copy_array
from diptych.engine import traced_call
from diptych.errors import ArgumentError, DTypeError
from diptych.graph.interpreter import interpret
from tests.ops.samples import (
    apply,
    close,
    dtype_of,
    expected,
    strided_views,
    tensors,
    widened,
)

OPERATIONS = registered()
ELEMENTWISE = [op for op in OPERATIONS if op.family == "elementwise"]

# Operations with jumps: their value in float64 is not the one a narrower computation should give.
JUMPS = {
    "floordiv": "the quotient is rounded before it is floored",
    "truncdiv": "the quotient is rounded before it is cut",
    "remainder": "it is a - floor(a/b) b of the rounded quotient",
    "nextafter": "it is about the grid of the dtype itself",
    "cast": "it is exact in its own dtype",
}
# Decompositions are unique up to signs or phases, which LAPACK chooses by rounding.
GAUGE = {"eigh", "eig", "svd", "qr"}

# (test, operation) -> why it fails today. One that starts to pass fails the run: remove it then.
KNOWN: dict[tuple[str, str], str] = {
    ("views", "as_strided"): "it addresses memory, whatever the layout of its operand",
}


def cases(test: str, operations: Any = OPERATIONS) -> Any:
    """Parameters of a test over operations, the known failures marked."""
    made = []
    for op in operations:
        reason = KNOWN.get((test, op.name))
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        made.append(pytest.param(op, id=op.name, marks=marks))
    return pytest.mark.parametrize("op", made)


def samples_of(op: Operation) -> list[Sample]:
    return list(op.samples())


def tolerance(op: Operation, name: str) -> float:
    return op.tolerance.of(name)


# ---- forward


# Kernels are made per dtype: the quick tier compiles these, the slow one all of them.
QUICK = {dtypes.bool_, dtypes.uint8, dtypes.int64, dtypes.float32, dtypes.bfloat16}


def in_quick_tier(sample: Sample) -> bool:
    computed = [p for p in sample.params if isinstance(p, dtypes.DType)]
    held = [dtype_of(np.asarray(operand), sample) for operand in sample.operands]
    return QUICK.issuperset(computed or held)


@cases("forward")
def test_forward_agrees_with_the_reference_in_float64(op: Operation, evaluator: str) -> None:
    samples = samples_of(op)
    check_forward(op, [s for s in samples if evaluator == "reference" or in_quick_tier(s)])


@pytest.mark.slow
@pytest.mark.native
@cases("forward")
def test_forward_in_the_other_dtypes(op: Operation, native: str) -> None:
    check_forward(op, [s for s in samples_of(op) if not in_quick_tier(s)])


def check_forward(op: Operation, samples: list[Sample]) -> None:
    for sample in samples:
        narrow = op.name in JUMPS or op.name in GAUGE
        wanted = expected(op, sample if narrow else widened(sample))
        given = tensors(sample)
        for got, want in zip(apply(op, given, sample.params), wanted, strict=True):
            name = got.layout.dtype.name
            computed = next((p.name for p in sample.params if p in dtypes.INEXACT), name)
            relative = max(tolerance(op, name), tolerance(op, computed))
            assert close(got, want, relative, scaled=op.family != "elementwise"), (
                f"{op.name}{[x.layout for x in given]} {sample.params}:\n{got.values()}\n{want}"
            )


@cases("graph")
def test_its_graph_is_valid_and_interprets_to_the_eager_result(
    op: Operation, reference: str
) -> None:
    for sample in samples_of(op)[:12]:
        given = tensors(sample)
        graph = traced_call(op, [x.layout for x in given], sample.params)
        graph.verify()
        outputs = interpret(graph, [x.values() for x in given])
        for got, want in zip(apply(op, given, sample.params), outputs, strict=False):
            assert got.layout.shape == want.shape
            assert close(got, want, 1e-4 if got.layout.dtype.itemsize > 2 else 2e-2, scaled=True)


@cases("views")
def test_strided_operands_give_what_contiguous_ones_give(op: Operation, evaluator: str) -> None:
    tried, limit = 0, 6 if evaluator == "reference" else 1
    for sample in samples_of(op):
        arrays = [np.asarray(operand) for operand in sample.operands]
        if tried > limit or not any(a.dtype in (np.float32, np.float64, np.int64) for a in arrays):
            continue
        given = tensors(sample)
        plain = apply(op, given, sample.params)
        for position, array in enumerate(arrays):
            if array.ndim == 0 or (array.dtype == np.float64 and tried):
                continue
            tried += 1
            for view in strided_views(array, dtype_of(array, sample)):
                mixed = [*given[:position], view, *given[position + 1 :]]
                for got, want in zip(apply(op, mixed, sample.params), plain, strict=True):
                    assert close(got, want.values(), 1e-5, scaled=True), f"{view.layout}"


# ---- dtypes, broadcasting, sizes of elementwise operations


@cases("dtypes", ELEMENTWISE)
def test_exactly_the_sampled_dtypes_are_accepted(op: Operation, reference: str) -> None:
    sampled = samples_of(op)
    claimed = {sample.params[0] for sample in sampled}
    arity = len(sampled[0].operands)
    for dtype in dtypes.ALL:
        given = [copy_array(np.ones(3, np.float32), Tensor, dtype) for _ in range(arity)]
        if dtype in claimed:
            apply(op, given, (dtype,))
        else:
            with pytest.raises(DTypeError, match=f"not implemented for '{dtype}'"):
                apply(op, given, (dtype,))


@cases("broadcasting", [op for op in ELEMENTWISE if len(samples_of(op)[0].operands) > 1])
def test_broadcasting_is_that_of_expanded_operands(op: Operation, evaluator: str) -> None:
    for sample in samples_of(op):
        arrays = [np.asarray(operand) for operand in sample.operands]
        dtype = sample.params[0]
        if not arrays[0].size or arrays[0].ndim != 1 or dtype.name not in ("float32", "int32"):
            continue
        shapes = itertools.cycle([(3, 1, 2), (4, 1), (2,)])
        parts = [np.resize(a, shape) for a, shape in zip(arrays, shapes, strict=False)]
        whole = np.broadcast_shapes(*[part.shape for part in parts])
        spread = [np.ascontiguousarray(np.broadcast_to(part, whole)) for part in parts]
        got = apply(op, tensors(Sample(tuple(parts))), (dtype,))[0]
        want = apply(op, tensors(Sample(tuple(spread))), (dtype,))[0]
        assert got.layout.shape == whole
        assert np.array_equal(got.values(), want.values(), equal_nan=dtype.is_inexact)
        return


@cases("empty", ELEMENTWISE)
def test_empty_operands_give_empty_results(op: Operation, evaluator: str) -> None:
    sample = samples_of(op)[-1]
    for shape in ((0,), (2, 0, 3)):
        given = [copy_array(np.zeros(shape, np.float32), Tensor, sample.params[0])]
        given *= len(sample.operands)
        assert apply(op, given, sample.params)[0].layout.shape == shape


# ---- calls that must fail


@cases("errors")
def test_bad_calls_fail_as_declared(op: Operation, evaluator: str) -> None:
    for bad in op.errors():
        given = tensors(Sample(bad.operands, bad.params))
        with pytest.raises(bad.error) as caught:
            apply(op, given, bad.params)
        assert re.search(bad.match, str(caught.value)), f"{bad.match!r} not in {caught.value}"


# ---- in place


@cases("into", [op for op in OPERATIONS if len(samples_of(op)[0].operands)])
def test_in_place_equals_out_of_place(op: Operation, evaluator: str) -> None:
    tried: set[Any] = set()
    for sample in samples_of(op):
        given = tensors(sample)
        target = given[0]
        if target.layout.dtype in tried:
            continue
        if evaluator == "native" and target.layout.dtype not in (dtypes.float32, dtypes.int64):
            continue
        results = apply(op, given, sample.params)
        if len(results) != 1 or results[0].layout.shape != target.layout.shape:
            continue
        tried.add(target.layout.dtype)
        if results[0].layout.dtype is not target.layout.dtype:
            continue
        version = target.buffer.version
        want = results[0].values().copy()
        inplace.update(target, op, given, sample.params)
        assert target.buffer.version == version + 1
        assert close(target, want, 1e-5 if target.layout.dtype.itemsize > 2 else 2e-2, scaled=True)


# ---- batching rules


def mapped_patterns(count: int) -> Any:
    """Which operands are mapped, and along which axis: each alone, and all together."""
    for axis in (0, -1):
        for position in range(count):
            yield tuple(axis if k == position else None for k in range(count))
        if count > 1:
            yield (axis,) * count


@cases(
    "batching",
    [op for op in OPERATIONS if not isinstance(op.batch, NoBatching) and op.name != "iota"],
)
def test_batching_is_a_call_for_each_slice(op: Operation, reference: str) -> None:
    for sample in [s for s in samples_of(op) if in_quick_tier(s) and s.operands][:6]:
        arrays = [np.asarray(operand) for operand in sample.operands]
        kinds = [dtype_of(array, sample) for array in arrays]
        for pattern in mapped_patterns(len(arrays)):
            slices = [
                [a, np.flip(a)] if axis is not None else [a, a]
                for a, axis in zip(arrays, pattern, strict=True)
            ]
            given, axes = [], []
            for pair, axis, kind in zip(slices, pattern, kinds, strict=True):
                array = pair[0] if axis is None else np.stack(pair, axis)
                given.append(copy_array(array, Tensor, kind))
                axes.append(None if axis is None else axis % array.ndim)
            result, places = op.batch(op, tuple(given), tuple(axes), sample.params)
            results = result if isinstance(result, tuple) else (result,)
            places = places if isinstance(places, tuple) else (places,)
            for number in (0, 1):
                single = [
                    copy_array(pair[number], Tensor, kind)
                    for pair, kind in zip(slices, kinds, strict=True)
                ]
                wanted = apply(op, single, sample.params)
                for got, place, want in zip(results, places, wanted, strict=True):
                    part = np.take(got.values(), number, place)
                    assert part.shape == want.layout.shape, f"{pattern} {sample.params}"
                    assert np.allclose(part, want.values(), 1e-5, 1e-6, equal_nan=True), pattern


# ---- declarations


PARTS = ("infer", "vjp", "batch", "reference", "lower", "samples", "errors", "tolerance")


@pytest.mark.parametrize("missing", PARTS)
def test_an_incomplete_declaration_is_refused(missing: str) -> None:
    whole: dict[str, Any] = {
        "params": (), "saves": "", **{part: (lambda *_: None) for part in PARTS},
    }  # fmt: skip
    whole[missing] = None
    with pytest.raises(ArgumentError, match="it needs"):
        Primitive("incomplete", "host", **whole)
    assert all(op.name != "incomplete" for op in registered())


@cases("declared")
def test_every_declaration_says_what_the_tests_need(op: Operation) -> None:
    assert samples_of(op), "without samples nothing is tested"
    assert op.differentiable or op.why_no_gradient
    for sample in samples_of(op):
        assert len(sample.params) == len(op.params), f"{sample.params} for {op.params}"
        hash(sample.params)
