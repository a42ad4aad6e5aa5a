"""Kernels of recurrences: every form against NumPy, on each target, between pages that trap."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from diptych import engine
from diptych.compiler.recurrence.lowering import choose, descriptor, structure, unit
from diptych.core import dtypes
from diptych.core.operation import Sample
from diptych.core.tensor import Tensor, copy_array
from diptych.ops import recurrence
from diptych.runtime import pool
from tests.compiler.contraction.harness import TARGETS
from tests.compiler.contraction.harness import call as call_kernel
from tests.compiler.contraction.test_bounds import Guarded

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(sys.platform != "linux", reason="guard pages need mprotect"),
]
EQUAL, PACKED = (3,) * 7, (5, 3, 3, 2, 1, 1)
# (steps, reverse, hidden, the optional operand)
SHAPES = [
    ((1, 1), False, 17, False), (EQUAL, True, 16, True), (PACKED, False, 5, True),
    ((20,) * 6, False, 9, False), ((17, 16, 9, 9, 8, 1), True, 19, True), ((0, 0), False, 3, False),
    ((2, 0), True, 3, False),
]  # fmt: skip


@pytest.fixture
def guarded():
    made = Guarded()
    yield made
    made.release()


def check(guarded, sample: Sample, backward: bool, target_name: str, at_end: bool) -> None:
    """Run the kernel of one sample with every operand and result against a trapping page."""
    target = TARGETS[target_name]
    kind, steps, reverse = sample.params[:3]
    arrays = [np.asarray(operand) for operand in sample.operands]
    weights = arrays[0 if backward else 1]
    reference = recurrence.GRADIENT if backward else recurrence.RECURRENCE
    wanted = reference.reference(*arrays, *sample.params)
    base = {"lstm": 6}.get(kind, 5) if backward else {"lstm": 4}.get(kind, 3)
    dtype = dtypes.from_numpy(weights.dtype)
    spec = structure(
        kind, dtype, steps, weights.shape[1], target, backward=backward,
        keep=not backward and sample.params[3], extra=len(arrays) > base, incoming=backward,
    )  # fmt: skip
    desc = descriptor(spec, steps, reverse, *weights.shape, weights.shape[0])
    given = [guarded.place(a, at_end) for a in arrays]
    results = [guarded.place(np.full_like(w, np.nan), at_end) for w in wanted]
    assert len(given) + len(results) == len(spec.pointers)
    code = unit(spec, target)
    call_kernel(code, desc, [a.ctypes.data for a in (*given, *results)], target)
    for name, got, want in zip(spec.pointers[len(given) :], results, wanted, strict=True):
        scale = max(1.0, np.abs(want).max(initial=0.0))
        tolerance = 3e-5 if weights.dtype == np.float32 else 1e-12
        assert np.allclose(got, want, rtol=0, atol=tolerance * scale), name


def wide(kind: str) -> int:
    """Hidden units from which the steps of one or two sequences are cut into tasks."""
    return int((100_000 / recurrence.GATES[kind]) ** 0.5) + 6


def samples(kind: str, dtype, shapes) -> list[Sample]:
    generator = np.random.default_rng(5)
    made = []
    across = [((1, 1, 1), True, wide(kind), False), ((2, 2), False, wide(kind), kind == "gru")]
    for number, (steps, reverse, hidden, extra) in enumerate([*shapes, *across]):
        extra = extra and not kind.startswith("rnn")
        operands = recurrence._case(generator, kind, steps, hidden, extra, dtype)
        made.append(Sample(tuple(operands), (kind, steps, reverse, number % 3 != 1)))
    return made


def backward_of(sample: Sample) -> Sample:
    kind, steps, reverse, _ = sample.params
    x, w, h, *rest = (np.asarray(operand) for operand in sample.operands)
    rows, hidden = len(x), w.shape[0] // recurrence.GATES[kind]
    generator = np.random.default_rng(6)

    def drawn(*shape: int):
        return generator.uniform(0.1, 0.9, shape).astype(x.dtype)

    gated = kind in ("lstm", "gru")
    operands = [w, drawn(rows, 4 * hidden if gated else hidden), drawn(rows, hidden)]
    operands += [drawn(rows, w.shape[1]), h, *(rest if kind == "lstm" else [])]
    return Sample(tuple(operands), (kind, steps, reverse))


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("kind", list(recurrence.GATES))
def test_kernels_stay_in_their_arrays_and_agree_with_numpy(kind, backward, at_end, guarded) -> None:
    for sample in samples(kind, dtypes.float32, SHAPES):
        check(guarded, backward_of(sample) if backward else sample, backward, "avx512", at_end)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["avx2", "generic"])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("kind", list(recurrence.GATES))
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64])
def test_other_targets(dtype, kind, backward, target, guarded) -> None:
    for at_end in (False, True):
        for sample in samples(kind, dtype, SHAPES):
            check(guarded, backward_of(sample) if backward else sample, backward, target, at_end)


@pytest.mark.parametrize("kind", list(recurrence.GATES))
def test_any_number_of_threads_gives_the_same_bits(kind) -> None:
    before = pool.get_num_threads()
    evaluator = engine.EagerEvaluator(engine.NativeBackend())
    for steps, hidden in (
        ((40,) * 8, 65), ((45, 30, 30, 9, 2, 1), 65), ((12,) * 20, 65), ((2,) * 3, wide(kind)),
    ):  # fmt: skip
        generator = np.random.default_rng(7)
        drawn = recurrence._case(generator, kind, steps, hidden, False, dtypes.float32)
        given = [copy_array(a, Tensor) for a in drawn]
        seen = []
        try:
            for threads in (1, 2, 3, 5):
                pool.set_num_threads(threads)
                made = evaluator.apply(recurrence.RECURRENCE, given, (kind, steps, False, True))
                kept = [x.values().copy() for x in made]
                y, h, *rest = made
                if kind == "lstm":
                    operands = [given[1], rest[1], rest[3], y, h, rest[0]]
                else:
                    operands = [given[1], rest[0], rest[1], y, h]
                made = evaluator.apply(recurrence.GRADIENT, operands, (kind, steps, False))
                seen.append(kept + [x.values().copy() for x in made])
        finally:
            pool.set_num_threads(before)
        for other in seen[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(seen[0], other, strict=True))


@pytest.mark.parametrize("kind", list(recurrence.GATES))
def test_rows_a_page_apart_are_spaced(kind) -> None:
    """Results whose rows would fall into few sets of a cache have gaps between them."""
    hidden = 1024 // (4 * recurrence.GATES[kind]) if kind != "gru" else 256
    operands = recurrence._case(
        np.random.default_rng(8), kind, (5, 5, 2), hidden, False, dtypes.float32
    )
    sample = backward_of(Sample(tuple(operands), (kind, (5, 5, 2), False, True)))
    wanted = recurrence.GRADIENT.reference(*sample.operands, *sample.params)
    evaluator = engine.EagerEvaluator(engine.NativeBackend())
    given = [copy_array(np.asarray(a), Tensor) for a in sample.operands]
    made = evaluator.apply(recurrence.GRADIENT, given, sample.params)
    width = recurrence.GATES[kind] * hidden
    assert made[0].layout.strides == (width + 64, 1)
    for got, want in zip(made, wanted, strict=True):
        scale = max(1.0, np.abs(want).max())
        assert np.allclose(got.values(), want, rtol=0, atol=3e-5 * scale)


def test_one_sequence_is_cut_across_its_hidden_units() -> None:
    target = TARGETS["avx512"]

    def across(steps, state: int, extra: bool = False) -> bool:
        return structure(
            "lstm", dtypes.float32, steps, state, target, backward=False, keep=True, extra=extra,
            incoming=False,
        ).across  # fmt: skip

    assert across((1,) * 9, 256)
    assert across((2, 2), 256)
    assert not across((2, 1), 256)  # lengths differ
    assert not across((3, 3), 256)
    assert not across((1,) * 9, 64)  # not worth waiting for each other
    assert not across((1,) * 9, 256, extra=True)


def test_the_form_follows_from_shapes() -> None:
    target = TARGETS["avx512"]

    def form(batch: int, steps: int, backward: bool = False) -> tuple[str, bool]:
        tile, packed = choose(dtypes.float32, batch, steps, backward, 256, target)
        return tile.name, packed

    assert form(1, 100) == ("dot", False)
    assert form(32, 1) == ("dot", False)
    assert form(8, 100) == ("4x4", True)
    assert form(32, 100) == ("8x3", True)
    assert form(1, 100, True) == ("1x4", False)
    assert form(32, 1, True) == ("8x3", False)
