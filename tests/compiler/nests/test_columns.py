"""Column nests: reductions over a leading axis, prologues, epilogues, cut rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from diptych.compiler.target import Target
from diptych.core import dtypes
from diptych.core.dtypes import DType, float32, int64
from diptych.loops import layout as layouts
from diptych.loops.expression import Cast, Constant, Expression, Load, RowValue, apply
from diptych.loops.interpreter import computed, narrow
from diptych.loops.nest import ColumnNest, Operand, Reduce, Store
from diptych.runtime import pool
from tests.compiler.nests.harness import LEVELS, both, draw, native, wide

pytestmark = pytest.mark.native


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(layouts, "DIRECT_WORK", 64)
    monkeypatch.setattr(layouts, "LEAST_TASK", 512)
    monkeypatch.setattr(layouts, "MOST_TASK", 512)
    yield


def reduction(
    dtype: DType, op: str, shape: tuple[int, int], step: int = 1
) -> tuple[ColumnNest, layouts.Layout]:
    """Reduce columns of ``shape`` whose neighbours lie ``step`` apart."""
    strides = [(shape[1] * step, step), (0, 1)]
    layout = layouts.columns(shape, strides, [0], ordered=True)
    assert layout is not None
    loaded: Expression = Load(0, dtype)
    if op in ("any", "all"):
        loaded = apply("gt", loaded, Constant(0, dtype))
    reduce = Reduce(op, loaded)
    nest = ColumnNest(
        (Operand(dtype, layout.accesses[0]),),
        (Operand(reduce.dtype, layout.accesses[1]),),
        (reduce,),
        (Store(0, RowValue(0, reduce.dtype)),),
    )
    return nest, layout


def check(
    dtype: DType, op: str, shape: tuple[int, int], step: int = 1, target: Target | None = None
) -> None:
    nest, layout = reduction(dtype, op, shape, step)
    values = draw(dtype, shape[0] * shape[1] * step + 1, shape[0])
    if dtype.is_float and op in ("sum", "prod"):
        numbers = np.asarray(wide(values, dtype))
        numbers = np.where(np.isfinite(numbers), numbers, 1)
        numbers = 1 + numbers / 100 if op == "prod" else numbers
        values = narrow(numbers.astype(computed(dtype)), dtype)
    out_dtype = nest.outputs[0].dtype
    out = np.zeros(max(1, shape[1]), out_dtype.numpy)
    ((mine, plain),) = both(nest, layout, [values, out], target=target)
    got, wanted = wide(mine, out_dtype), wide(plain, out_dtype)
    if op in ("sum", "prod") and dtype.is_float:
        rtol = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 2e-5, "float64": 1e-13}[dtype.name]
        np.testing.assert_allclose(got, wanted, rtol, atol=rtol * 10, err_msg=op)
    else:
        np.testing.assert_array_equal(got, wanted, err_msg=op)


DTYPES = [dtypes.uint8, dtypes.int16, dtypes.int32, dtypes.int64, dtypes.float16, dtypes.bfloat16,
          dtypes.float32, dtypes.float64]  # fmt: skip


@pytest.mark.parametrize("op", ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reductions(dtype: DType, op: str) -> None:
    for shape in ((0, 5), (1, 1), (7, 3), (40, 17), (300, 150), (600, 33)):
        check(dtype, op, shape)
    check(dtype, op, (9, 20), step=2)


@pytest.mark.parametrize("target", LEVELS[1:], ids=lambda t: t.cpu)
@pytest.mark.parametrize("dtype", [dtypes.int8, dtypes.bfloat16, float32, dtypes.float64], ids=str)
def test_other_levels(dtype: DType, target: Target) -> None:
    for op in ("sum", "max", "argmin"):
        check(dtype, op, (50, 75), target=target)


@pytest.mark.parametrize("op", ["sum", "max", "argmax", "any", "prod"])
@pytest.mark.parametrize("shape", [(500, 10), (700, 300), (64, 3000), (2000, 1)])
def test_in_tasks_and_pieces(small_tasks: None, op: str, shape: tuple[int, int]) -> None:
    for dtype in (float32, dtypes.int8):
        nest, layout = reduction(dtype, op, shape)
        assert layouts.descriptor(nest, layout)[0] > 1
        check(dtype, op, shape)


def test_pieces_are_used(small_tasks: None) -> None:
    nest, layout = reduction(float32, "sum", (700, 10))
    assert layouts.descriptor(nest, layout)[4] > 1


def test_kept_outer_axis() -> None:
    """Sum over the middle axis of three, the outer one not merging with the inner."""
    shape = (3, 40, 21)
    layout = layouts.columns(shape, [(840, 21, 1), (21, 0, 1)], [1])
    assert layout is not None
    kinds = [Operand(float32, a) for a in layout.accesses]
    total, store = Reduce("sum", Load(0, float32)), Store(0, RowValue(0, float32))
    nest = ColumnNest((kinds[0],), (kinds[1],), (total,), (store,))
    x = np.random.default_rng(0).random(shape, np.float32)
    ((mine, plain),) = both(nest, layout, [x.ravel(), np.zeros(63, np.float32)])
    np.testing.assert_allclose(mine, plain, 1e-5)
    np.testing.assert_allclose(mine.reshape(3, 21), x.sum(1), 1e-5)


@pytest.mark.parametrize("pieces", [False, True])
def test_layer_norm_weight_gradients(pieces: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sums at once over rows with per-row means, an epilogue that reads the columns' weight."""
    if pieces:
        monkeypatch.setattr(layouts, "DIRECT_WORK", 64)
        monkeypatch.setattr(layouts, "LEAST_TASK", 512)
        monkeypatch.setattr(layouts, "MOST_TASK", 512)
    shape = (200, 70)
    steps = [(70, 1), (70, 1), (1, 0), (1, 0), (0, 1), (0, 1), (0, 1)]
    layout = layouts.columns(shape, steps, [0], outputs=2)
    assert layout is not None
    grad, x, mean, inverse, weight = (Load(k, float32) for k in range(5))
    normal = apply("mul", apply("sub", x, mean), inverse)
    reduces = (Reduce("sum", apply("mul", grad, normal)), Reduce("sum", grad))
    decayed = apply("add", RowValue(0, float32), apply("mul", weight, Constant(0.5, float32)))
    stores = (Store(0, decayed), Store(1, RowValue(1, float32)))
    kinds = tuple(Operand(float32, a) for a in layout.accesses)
    nest = ColumnNest(kinds[:5], kinds[5:], reduces, stores)
    draw_ = np.random.default_rng(0)
    arrays = [draw_.normal(0, 1, s).astype(np.float32) for s in (shape, shape, 200, 200, 70)]
    memories = [a.ravel() for a in arrays] + [np.zeros(70, np.float32) for _ in range(2)]
    (first, plain), (second, _) = both(nest, layout, memories)
    np.testing.assert_allclose(first, plain, 1e-4, atol=1e-4)
    g, v, m, r, k = (a.astype(np.float64) for a in arrays)
    wanted = (g * (v - m[:, None]) * r[:, None]).sum(0) + k / 2
    np.testing.assert_allclose(first, wanted, 1e-4, atol=1e-4)
    np.testing.assert_allclose(second, g.sum(0), 1e-4, atol=1e-4)


def test_sum_of_integers_in_int64() -> None:
    layout = layouts.columns((1000, 9), [(9, 1), (0, 1)], [0])
    assert layout is not None
    kinds = [Operand(d, a) for d, a in zip((dtypes.int8, int64), layout.accesses, strict=True)]
    total = Reduce("sum", Cast(Load(0, dtypes.int8), int64))
    nest = ColumnNest((kinds[0],), (kinds[1],), (total,), (Store(0, RowValue(0, int64)),))
    x = np.full(9000, -100, np.int8)
    ((mine, _),) = both(nest, layout, [x, np.zeros(9, np.int64)])
    np.testing.assert_array_equal(mine, -100_000)


def test_bit_equal_for_any_number_of_threads() -> None:
    values = np.random.default_rng(0).normal(0, 1, 2_000_000).astype(np.float32)
    before, found = pool.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            pool.set_num_threads(threads)
            for shape in ((200_000, 10), (1000, 2000), (20_000, 100)):
                nest, layout = reduction(float32, "sum", shape)
                out = np.zeros(shape[1], np.float32)
                native(nest, layout, [values, out])
                found.append(out.tobytes())
    finally:
        pool.set_num_threads(before)
    assert found[:3] == found[3:6] == found[6:]
