"""Attention's kernels against NumPy: drawn shapes, strides, masks, targets, bounds, threads."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from diptych.compiler.lower import lower
from diptych.compiler.steps import KernelStep
from diptych.compiler.target import Target
from diptych.core import call, dtypes
from diptych.core.layout import layout
from diptych.graph.trace import trace
from diptych.ops import attention
from diptych.runtime import pool
from tests.compiler.contraction.harness import TARGETS
from tests.compiler.contraction.harness import call as native
from tests.compiler.contraction.test_bounds import Guarded

Array = np.ndarray[Any, Any]


def place(array: Array) -> Any:
    dtype = {4: dtypes.float32, 8: dtypes.float64}[array.itemsize]
    return layout(dtype, array.shape, tuple(s // array.itemsize for s in array.strides))


def run(op: Any, arrays: list[Array], params: tuple[Any, ...], target: Target) -> list[Array]:
    """The operation's kernel on arrays that are used where they lie."""
    graph = trace(lambda *x: call.apply(op, *x, params=params), [place(a) for a in arrays])
    lowered = lower(graph, target)
    (step,) = lowered.steps
    assert isinstance(step, KernelStep)
    memory = [
        arrays[s.index] if s.kind == "input" else np.full(s.nbytes + 64, 255, np.uint8)
        for s in lowered.storages
    ]
    addresses = [memory[p.storage].ctypes.data + p.byte_offset for p in step.operands]
    native(step.unit, step.desc, addresses, target)
    results = []
    for p in lowered.outputs:
        base = memory[p.storage]
        assert (base[lowered.storages[p.storage].nbytes :] == 255).all(), "written past the end"
        strides = tuple(s * p.dtype.itemsize for s in p.strides)
        results.append(np.ndarray(p.shape, p.dtype.numpy, base, p.byte_offset, strides))
    return results


def problem(generator: np.random.Generator, dtype: Any, views: bool) -> tuple[list[Array], Any]:
    """Q, K, V, perhaps a mask; and parameters."""
    pick = generator.integers
    b, groups, shared = pick(1, 3), pick(1, 3), pick(1, 3)
    t, s = int(pick(1, 150)), int(pick(1, 200))
    depth, width = int(pick(1, 40)), int(pick(1, 40))
    heads = groups * shared
    if views:
        t, width, groups, heads = s, depth, heads, heads
        joint = generator.normal(size=(b, t, 3, heads, depth)).astype(dtype)
        q, k, v = (joint[:, :, i].swapaxes(1, 2) for i in range(3))
    else:
        q = generator.normal(size=(b, heads, t, depth)).astype(dtype)
        k = generator.normal(size=(b, groups, s, depth)).astype(dtype)
        v = generator.normal(size=(b, groups, width, s)).astype(dtype).swapaxes(2, 3)
    arrays = [q, k, v]
    kind = pick(0, 4)
    if kind == 1:
        mask = generator.normal(size=(b, 1, 1, s)).astype(dtype)
        arrays.append(np.broadcast_to(mask, (b, heads, t, s)))
    elif kind > 1:
        mask = generator.normal(size=(heads, t, s)).astype(dtype)
        mask[mask > 1] = -np.inf
        mask[:, :: max(1, int(pick(1, 9)))] = -np.inf if kind == 3 else 0
        arrays.append(np.broadcast_to(mask, (b, heads, t, s)))
    causal = [None, 0, s - t, -2, 3][pick(0, 5)]
    return arrays, (0.3, causal)


def agree(got: list[Array], want: tuple[Array, ...], dtype: Any) -> None:
    tolerance = 2e-5 if dtype is np.float32 else 1e-12
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * 20)


@pytest.mark.parametrize("name", list(TARGETS))
@pytest.mark.parametrize("seed", range(6))
def test_kernels_agree_with_the_reference(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    dtype = np.float64 if seed == 5 else np.float32
    arrays, params = problem(generator, dtype, views=seed % 3 == 2)
    q, k, v, *masks = arrays
    out, level = run(attention.ATTENTION, arrays, params, TARGETS[name])
    want = attention.ATTENTION.reference(*arrays, *params)
    agree([out, level], want, dtype)
    assert not np.isnan(out).any()
    ct = generator.normal(size=out.shape).astype(dtype)
    given = [q, k, v, *want, ct, *masks]
    pulled = run(attention.ATTENTION_GRADIENT, given, params, TARGETS[name])
    agree(pulled, attention.ATTENTION_GRADIENT.reference(*given, *params), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 180))
def test_more_shapes(seed: int) -> None:
    generator = np.random.default_rng(seed)
    arrays, params = problem(generator, np.float32, views=seed % 4 == 0)
    q, k, v, *masks = arrays
    got = run(attention.ATTENTION, arrays, params, TARGETS["avx512"])
    want = attention.ATTENTION.reference(*arrays, *params)
    agree(got, want, np.float32)
    given = [q, k, v, *want, generator.normal(size=got[0].shape).astype(np.float32), *masks]
    pulled = run(attention.ATTENTION_GRADIENT, given, params, TARGETS["avx512"])
    agree(pulled, attention.ATTENTION_GRADIENT.reference(*given, *params), np.float32)


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_outside_the_operands_is_touched(at_end: bool) -> None:
    pages = Guarded()
    generator = np.random.default_rng(0)
    try:
        for t, s, d in [(1, 1, 1), (17, 9, 5), (33, 130, 16), (40, 31, 33)]:
            shapes = [(1, 2, t, d), (1, 1, s, d), (1, 1, s, d), (1, 2, t, s)]
            arrays = [generator.normal(size=x).astype(np.float32) for x in shapes]
            held = [pages.place(a, at_end) for a in arrays]
            params = (0.5, s - t)
            run(attention.ATTENTION, held, params, TARGETS["avx512"])
            want = attention.ATTENTION.reference(*arrays, *params)
            rest = [pages.place(x, at_end) for x in (*want, want[0])]
            given = [*held[:3], *rest, held[3]]
            run(attention.ATTENTION_GRADIENT, given, params, TARGETS["avx512"])
    finally:
        pages.release()


def test_the_number_of_threads_changes_no_bit() -> None:
    generator = np.random.default_rng(1)
    before = pool.get_num_threads()
    try:
        for heads, t in [(1, 300), (9, 64)]:
            q, k, v, ct = (
                generator.normal(size=(1, heads, t, 24)).astype(np.float32) for _ in range(4)
            )
            out, level = attention.ATTENTION.reference(q, k, v, 0.2, 0)
            seen = []
            for threads in (1, 2, 5):
                pool.set_num_threads(threads)
                seen.append([
                    x.tobytes()
                    for x in (
                        *run(attention.ATTENTION, [q, k, v], (0.2, 0), TARGETS["avx512"]),
                        *run(attention.ATTENTION_GRADIENT, [q, k, v, out, level, ct], (0.2, 0),
                             TARGETS["avx512"]),
                    )
                ])  # fmt: skip
            assert seen[0] == seen[1] == seen[2]
    finally:
        pool.set_num_threads(before)


def test_broken_numbers_spread_and_infinite_scores_do_not_crash() -> None:
    generator = np.random.default_rng(2)
    q, k, v = (generator.normal(size=(1, 1, 20, 8)).astype(np.float32) for _ in range(3))
    q[0, 0, 3, 1] = np.nan
    k[0, 0, 5] = 1e30
    out, _ = run(attention.ATTENTION, [q, k, v], (1.0, None), TARGETS["avx512"])
    assert np.isnan(out[0, 0, 3]).all()
    assert np.isfinite(np.delete(out[0, 0], 3, axis=0)).all()
