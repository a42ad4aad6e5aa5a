"""Row nests: layouts, reductions, several stages, cut rows, tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.compiler.target import Target
from diptych.core import dtypes
from diptych.core.dtypes import DType, float32, int64
from diptych.loops import layout as layouts
from diptych.loops.expression import (
    Cast,
    Constant,
    Expression,
    InnerIndex,
    Load,
    LoadAt,
    OuterIndex,
    RowValue,
    apply,
)
from diptych.loops.interpreter import computed, narrow
from diptych.loops.nest import Access, Operand, Reduce, RowNest, Stage, Store
from diptych.runtime import pool
from tests.compiler.nests.harness import LEVELS, Array, both, draw, native, wide

pytestmark = pytest.mark.native


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut small work into many tasks and pieces."""
    monkeypatch.setattr(layouts, "DIRECT_WORK", 64)
    monkeypatch.setattr(layouts, "LEAST_TASK", 512)
    monkeypatch.setattr(layouts, "MOST_TASK", 512)
    monkeypatch.setattr(layouts, "SPLIT_CHUNK", 48)
    monkeypatch.setattr(layouts, "PIECE", 16)
    yield


# -- pointwise -------------------------------------------------------------------------------------


@st.composite
def spaces(draw_: Any) -> tuple[tuple[int, ...], list[tuple[list[int], int, int]]]:
    """A shape, and for two inputs and an output (strides, start, memory size)."""
    shape = tuple(draw_(st.lists(st.sampled_from([0, 1, 2, 3, 5, 17, 70]), max_size=4)))
    if np.prod(shape, dtype=int) > 20_000:
        shape = shape[:2]
    operands = []
    for number in range(3):
        order = draw_(st.permutations(range(len(shape))))
        step = draw_(st.sampled_from([1, 1, 1, 2, 3]))
        strides = [0] * len(shape)
        low, high = 0, 0
        for axis in order:
            extent = shape[axis]
            kind = draw_(st.sampled_from(["go", "go", "go", "back", "stay"]))
            if number == 2 and kind == "stay":
                kind = "go"
            if kind != "stay":
                strides[axis] = step if kind == "go" else -step
                reach = (max(extent, 1) - 1) * step
                low -= reach if kind == "back" else 0
                high += reach if kind == "go" else 0
                step *= max(extent, 1)
        operands.append((strides, -low, high - low + 1))
    return shape, operands


@settings(max_examples=120, deadline=None)
@given(spaces())
def test_pointwise_over_any_layout(
    space: tuple[tuple[int, ...], list[tuple[list[int], int, int]]],
) -> None:
    shape, operands = space
    layout = layouts.pointwise(shape, [strides for strides, _, _ in operands])
    kinds = tuple(Operand(float32, access) for access in layout.accesses)
    value = apply("sub", Load(0, float32), Load(1, float32))
    nest = RowNest(kinds[:2], kinds[2:], (Stage(stores=(Store(0, value),)),))
    memories = [np.random.default_rng(k).random(size, np.float32) for k, (_, _, size) in
                enumerate(operands)]  # fmt: skip
    starts = [start for _, start, _ in operands]
    ((mine, plain),) = both(nest, layout, memories, starts)
    np.testing.assert_array_equal(mine, plain)
    views = [
        np.lib.stride_tricks.as_strided(m[s:], shape, [4 * x for x in strides])
        for m, (strides, s, _) in zip([*memories[:2], mine], operands, strict=True)
    ]
    np.testing.assert_array_equal(views[2], views[0] - views[1])


def test_zero_dimensional() -> None:
    layout = layouts.pointwise((), [(), ()])
    kind = Operand(float32, layout.accesses[0])
    nest = RowNest((kind,), (kind,), (Stage(stores=(Store(0, apply("neg", Load(0, float32))),)),))
    ((mine, _),) = both(nest, layout, [np.array([3], np.float32), np.zeros(1, np.float32)])
    assert mine[0] == -3


@pytest.mark.parametrize("shape", [(1, 9000), (300, 40), (7, 5, 31)])
def test_pointwise_in_tasks(small_tasks: None, shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    values = np.arange(size, dtype=np.float32)
    rows = tuple(int(np.prod(shape[k + 1 :])) for k in range(len(shape)))
    apart = tuple(s * 2 for s in rows)  # the output is not contiguous: rows do not merge
    apart = (*apart[:-1], 1)
    layout = layouts.pointwise(shape, [rows, apart])
    kinds = tuple(Operand(float32, access) for access in layout.accesses)
    body = (Stage(stores=(Store(0, apply("square", Load(0, float32))),)),)
    nest = RowNest(kinds[:1], kinds[1:], body)
    assert layouts.descriptor(nest, layout)[0] > 1
    ((mine, plain),) = both(nest, layout, [values, np.zeros(2 * size, np.float32)])
    np.testing.assert_array_equal(mine, plain)


# -- reductions ------------------------------------------------------------------------------------

REDUCED = [dtypes.uint8, dtypes.int8, dtypes.int32, dtypes.int64, dtypes.uint64, dtypes.float16,
           dtypes.bfloat16, dtypes.float32, dtypes.float64]  # fmt: skip


def reduction(
    dtype: DType, op: str, shape: tuple[int, int], step: int = 1
) -> tuple[RowNest, layouts.Layout]:
    """Reduce rows of ``shape`` whose elements lie ``step`` apart."""
    layout = layouts.rows(shape, [(shape[1] * step, step), (1, 0)], [1], ordered=True)
    assert layout is not None
    loaded: Expression = Load(0, dtype)
    if op in ("any", "all"):
        loaded = apply("gt", loaded, Constant(0, dtype)) if dtype.kind != "b" else loaded
    reduce = Reduce(op, loaded)
    value: Expression = RowValue(0, reduce.dtype)
    nest = RowNest(
        (Operand(dtype, layout.accesses[0]),),
        (Operand(reduce.dtype, layout.accesses[1]),),
        (Stage(reduces=(reduce,), stores=(Store(0, value),)),),
    )
    return nest, layout


def tame(values: Array, dtype: DType, op: str) -> Array:
    """Finite values; near 1 for a product."""
    numbers = np.asarray(wide(values, dtype))
    numbers = np.where(np.isfinite(numbers), numbers, 1)
    if op == "prod":
        numbers = 1 + numbers / 100
    return narrow(numbers.astype(computed(dtype)), dtype)


def check(nest: RowNest, layout: layouts.Layout, values: Array, op: str, dtype: DType) -> None:
    out_dtype = nest.outputs[0].dtype
    out = np.zeros(max(1, int(np.prod(layout.extents))), out_dtype.numpy)
    for target in LEVELS[:: 2 if len(values) > 5000 else 1]:
        ((mine, plain),) = both(nest, layout, [values, out], target=target)
        got, wanted = wide(mine, out_dtype), wide(plain, out_dtype)
        if op in ("sum", "prod") and dtype.is_float:
            rtol = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 2e-5, "float64": 1e-13}[
                dtype.name
            ]
            np.testing.assert_allclose(got, wanted, rtol, atol=rtol * 10, err_msg=op)
        else:
            np.testing.assert_array_equal(got, wanted, err_msg=op)


@pytest.mark.parametrize("op", ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin"])
@pytest.mark.parametrize("dtype", REDUCED, ids=str)
def test_reductions(dtype: DType, op: str) -> None:
    for length in (0, 1, 3, 64, 65, 700):
        nest, layout = reduction(dtype, op, (5, length))
        values = draw(dtype, 5 * length + 1, length)
        if dtype.is_float:
            values = tame(values, dtype, op)
        check(nest, layout, values, op, dtype)
    nest, layout = reduction(dtype, op, (4, 33), step=3)
    values = np.ones(400, dtype.numpy) if dtype is not dtypes.bfloat16 else draw(dtype, 400)[50:50]
    if len(values):
        values[7 * 3] = 0
        check(nest, layout, values, op, dtype)


@pytest.mark.parametrize("op", ["max", "min", "argmax", "argmin", "sum"])
def test_nan_wins(op: str) -> None:
    values = np.random.default_rng(0).random((6, 200), np.float32)
    values[1, 150] = values[1, 190] = np.nan
    values[2, 0] = np.nan
    values[3, 199] = np.nan
    values[4] = -np.inf
    values[5] = np.inf
    nest, layout = reduction(float32, op, (6, 200))
    check(nest, layout, values.ravel(), op, float32)


def test_first_of_equals() -> None:
    values = np.zeros((3, 500), np.int8)
    values[0, [77, 300, 301]] = 5
    values[2] = -128
    nest, layout = reduction(dtypes.int8, "argmax", (3, 500))
    check(nest, layout, values.ravel(), "argmax", dtypes.int8)


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("op", ["sum", "max", "argmax", "argmin", "any"])
def test_reductions_in_tasks_and_pieces(small_tasks: None, op: str, rows: int) -> None:
    for length in (200, 1000, 5003):
        nest, layout = reduction(float32, op, (rows, length))
        desc = layouts.descriptor(nest, layout)
        assert desc[0] > 1 or desc[3] > 1
        values = draw(float32, rows * length, 9)
        values[~np.isfinite(values)] = 1
        values[length // 2] = np.nan if op != "sum" else 1
        check(nest, layout, values, op, float32)


# -- several stages --------------------------------------------------------------------------------


def softmax(layout: layouts.Layout, dtype: DType = float32) -> RowNest:
    x = Load(0, dtype)
    shifted = apply("exp", apply("sub", x, RowValue(0, dtype)))
    inverse = apply("reciprocal", RowValue(1, dtype))
    stages = (
        Stage(reduces=(Reduce("max", x),)),
        Stage((Reduce("sum", shifted),), (Store(0, shifted),), (inverse,)),
        Stage(stores=(Store(0, apply("mul", Load(1, dtype), RowValue(2, dtype))),)),
    )  # fmt: skip
    kinds = [Operand(dtype, access) for access in layout.accesses]
    return RowNest((kinds[0],), (kinds[1],), stages)


@pytest.mark.parametrize("target", LEVELS, ids=lambda t: t.cpu)
@pytest.mark.parametrize("shape", [(1, 1), (9, 10), (4, 1000), (0, 3), (3, 0)])
def test_softmax(shape: tuple[int, int], target: Target) -> None:
    layout = layouts.rows(shape, [(shape[1], 1), (shape[1], 1)], [1])
    assert layout is not None
    nest = softmax(layout)
    x = np.random.default_rng(1).normal(0, 5, shape).astype(np.float32)
    out = np.zeros(max(1, x.size), np.float32)
    ((mine, plain),) = both(nest, layout, [np.resize(x, out.shape), out], target=target)
    np.testing.assert_allclose(mine, plain, 2e-6)
    if x.size:
        e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
        np.testing.assert_allclose(mine.reshape(shape), e / e.sum(1, keepdims=True), 1e-5)


def test_softmax_in_pieces(small_tasks: None) -> None:
    layout = layouts.rows((2, 3000), [(3000, 1), (3000, 1)], [1])
    assert layout is not None
    nest = softmax(layout)
    assert layouts.descriptor(nest, layout)[3] > 1
    x = np.random.default_rng(1).normal(0, 5, 6000).astype(np.float32)
    ((mine, plain),) = both(nest, layout, [x, np.zeros_like(x)])
    np.testing.assert_allclose(mine, plain, 2e-6)


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.float64], ids=str)
def test_cross_entropy_rows(dtype: DType) -> None:
    """log-sum-exp less the label's score; a row input, a gather, two row outputs."""
    shape = (6, 37)
    x, high = Load(0, dtype), RowValue(0, dtype)
    total = Reduce("sum", apply("exp", apply("sub", x, high)))
    label = LoadAt(0, Cast(Load(1, dtypes.int32), int64), dtype)
    loss = apply("sub", apply("add", apply("log", RowValue(1, dtype)), high), label)
    stages = (
        Stage(reduces=(Reduce("max", x),)),
        Stage((total,), (Store(0, RowValue(2, dtype)), Store(1, OuterIndex())), (loss,)),
    )
    layout = layouts.rows(shape, [(37, 1), (1, 0), (1, 0), (1, 0)], [1], outputs=2)
    assert layout is not None
    assert layout.accesses[1:] == (Access.BROADCAST,) * 3
    kinds = zip((dtype, dtypes.int32, dtype, int64), layout.accesses, strict=True)
    operands = tuple(Operand(d, a) for d, a in kinds)
    nest = RowNest(operands[:2], operands[2:], stages)
    scores = np.random.default_rng(2).normal(0, 2, shape).astype(dtype.numpy)
    labels = np.array([0, 36, 5, 5, 20, 1], np.int32)
    memories = [scores.ravel(), labels, np.zeros(6, dtype.numpy), np.zeros(6, np.int64)]
    (mine, plain), (index, _) = both(nest, layout, memories)
    np.testing.assert_allclose(mine, plain, 2e-3 if dtype is dtypes.float16 else 1e-13)
    wanted = np.log(np.exp(scores.astype(float)).sum(1)) - scores[range(6), labels]
    np.testing.assert_allclose(mine, wanted, 5e-3 if dtype is dtypes.float16 else 1e-12)
    np.testing.assert_array_equal(index, np.arange(6))


def test_bad_gather_stays_inside() -> None:
    """A position out of range reads a clamped element, never foreign memory."""
    layout = layouts.rows((3, 4), [(4, 1), (1, 0), (1, 0)], [1])
    assert layout is not None
    kinds = [Operand(d, a) for d, a in zip((float32, int64, float32), layout.accesses, strict=True)]
    value = LoadAt(0, Load(1, int64), float32)
    nest = RowNest(tuple(kinds[:2]), tuple(kinds[2:]), (Stage(stores=(Store(0, value),)),))
    memories = [
        np.arange(12, dtype=np.float32),
        np.array([-5, 1 << 60, 2]),
        np.zeros(3, np.float32),
    ]
    ((mine, plain),) = both(nest, layout, memories)
    np.testing.assert_array_equal(mine, [0, 7, 10])
    np.testing.assert_array_equal(mine, plain)


def test_inner_index_and_scalar_rows() -> None:
    """A store that depends on the position and on a row input."""
    layout = layouts.rows((4, 50), [(1, 0), (50, 1)], [1])
    assert layout is not None
    kinds = [Operand(int64, access) for access in layout.accesses]
    value = apply("add", apply("mul", Load(0, int64), InnerIndex()), OuterIndex())
    nest = RowNest((kinds[0],), (kinds[1],), (Stage(stores=(Store(0, value),)),))
    ((mine, plain),) = both(nest, layout, [np.array([3, -1, 0, 7]), np.zeros(200, np.int64)])
    np.testing.assert_array_equal(mine, plain)
    assert mine[51] == 0


# -- promises --------------------------------------------------------------------------------------


def test_bit_equal_for_any_number_of_threads() -> None:
    values = np.random.default_rng(0).normal(0, 1, 300_000).astype(np.float32)
    before = pool.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            pool.set_num_threads(threads)
            for shape in ((1, 300_000), (3, 100_000), (3000, 100)):
                nest, layout = reduction(float32, "sum", shape)
                out = np.zeros(shape[0], np.float32)
                native(nest, layout, [values, out])
                found.append(out.tobytes())
    finally:
        pool.set_num_threads(before)
    assert found[:3] == found[3:6] == found[6:]


def test_long_sums_are_accurate() -> None:
    values = np.random.default_rng(0).random(3_000_000, np.float32)
    for shape in ((1, 3_000_000), (1, 60_000)):
        nest, layout = reduction(float32, "sum", shape)
        out = np.zeros(1, np.float32)
        native(nest, layout, [values, out])
        exact = values[: shape[1]].sum(dtype=np.float64)
        assert abs(out[0] - exact) / exact < 2e-7


@pytest.mark.parametrize("start", [0, 3])
def test_stores_past_the_caches(monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    """Large outputs, on a 64-byte boundary or not."""
    monkeypatch.setattr(layouts, "STREAM_BYTES", 1)
    size = 3000
    layout = layouts.pointwise((size,), [(1,), (1,), (1,)], outputs=2)
    kinds = [Operand(d, a) for d, a in zip((float32, float32, dtypes.bool_), layout.accesses,
                                           strict=True)]  # fmt: skip
    x = Load(0, float32)
    stores = (Store(0, apply("exp", x)), Store(1, apply("lt", x, Constant(0, float32))))
    nest = RowNest(tuple(kinds[:1]), tuple(kinds[1:]), (Stage(stores=stores),))
    assert layouts.descriptor(nest, layout)[6] == 1
    room = np.zeros(size + 64, np.float32)
    first = -room.ctypes.data // 4 % 16 + start
    flags = np.zeros(size + 128, bool)
    second = -flags.ctypes.data % 64 + start
    values = np.random.default_rng(0).normal(0, 1, size).astype(np.float32)
    native(nest, layout, [values, room, flags], [0, first, second])
    np.testing.assert_allclose(room[first : first + size], np.exp(values), 1e-6)
    np.testing.assert_array_equal(flags[second : second + size], values < 0)
    assert not room[:first].any() and not room[first + size :].any()
    assert not flags[:second].any() and not flags[second + size :].any()


@pytest.mark.parametrize("shape", [(40, 600), (64, 1024), (20, 300)])
def test_transposed_in_tiles(small_tasks: None, shape: tuple[int, int]) -> None:
    """An input that runs along the rows, worked on tile by tile."""
    rows, length = shape
    layout = layouts.pointwise(shape, [(1, rows), (length, 1)])
    kinds = tuple(Operand(float32, access) for access in layout.accesses)
    assert layout.accesses[0] is Access.STRIDED
    nest = RowNest(kinds[:1], kinds[1:], (Stage(stores=(Store(0, Load(0, float32)),)),))
    tasks, _, chunk, chunks, *_ = layouts.descriptor(nest, layout)
    assert tasks >= chunks == -(-length // chunk)
    assert chunks > 1
    values = np.arange(rows * length, dtype=np.float32)
    ((mine, plain),) = both(nest, layout, [values, np.zeros_like(values)])
    np.testing.assert_array_equal(mine, plain)
    np.testing.assert_array_equal(mine.reshape(shape), values.reshape(length, rows).T)
