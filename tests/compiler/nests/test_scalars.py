"""Every scalar operation and cast in every dtype, native against interpreted, on every level."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.compiler.nests.emit import supported
from diptych.compiler.nests.evaluation import unsupported_operations
from diptych.compiler.target import Target, host
from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.loops import layout as layouts
from diptych.loops.expression import OPS, Apply, Cast, Expression, InnerIndex, Load, Select, apply
from diptych.loops.nest import Operand, RowNest, Stage, Store
from tests.compiler.nests.harness import LEVELS, Array, both, draw, wide

pytestmark = pytest.mark.native
REAL = [d for d in dtypes.ALL if not d.is_complex]
SIZE = 16 * 12 + 7  # unrolled steps and a tail
# Emitted from polynomials or through another order of operations: within a few last places.
EXACT_FLOAT = set(
    "add sub mul div floordiv truncdiv rem fmod neg abs sign square reciprocal sqrt floor ceil "
    "round trunc minimum maximum fmin fmax copysign rsqrt fma".split()
)


def elementwise(inputs: list[Array], kinds: list[DType], roots: list[Expression]) -> tuple[
    RowNest, layouts.Layout, list[Array]
]:  # fmt: skip
    """A nest with one output per root, and its memories."""
    outputs = [np.zeros(SIZE, root.dtype.numpy) for root in roots]
    memories = inputs + outputs
    layout = layouts.pointwise((SIZE,), [(1,)] * len(memories), len(outputs))
    access = layout.accesses[0]
    nest = RowNest(
        tuple(Operand(k, access) for k in kinds),
        tuple(Operand(root.dtype, access) for root in roots),
        (Stage(stores=tuple(Store(k, root) for k, root in enumerate(roots))),),
    )
    return nest, layout, memories


def tolerance(op: str, dtype: DType) -> float:
    if op in EXACT_FLOAT:
        return 0
    return {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 6e-7, "float64": 2e-15}[dtype.name]


@pytest.mark.parametrize("target", LEVELS, ids=lambda t: t.cpu)
@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_operations(dtype: DType, target: Target) -> None:
    args = [Load(k, dtype) for k in range(3)]
    roots = [
        Apply(op, args[:count]) for op, (count, kinds) in sorted(OPS.items()) if dtype.kind in kinds
    ]
    nest, layout, memories = elementwise(
        [draw(dtype, SIZE, seed) for seed in range(3)], [dtype] * 3, roots
    )
    # Pairs of specials: each with each.
    memories[1][: 11 * 11] = np.repeat(memories[1][:11], 11)
    memories[0][: 11 * 11] = np.tile(memories[0][:11], 11)
    assert supported(nest, target)
    for root, (mine, plain) in zip(roots, both(nest, layout, memories, target=target), strict=True):
        got, wanted = wide(mine, root.dtype), wide(plain, root.dtype)
        if root.dtype.is_float:
            rtol = tolerance(root.op, dtype)
            if root.op == "pow" and dtype is dtypes.float32:
                rtol = 2e-6
            np.testing.assert_allclose(got, wanted, rtol, atol=1e-44, err_msg=root.op)
            zeros = (wanted == 0) & (got == 0)
            if root.op not in ("sign", "fma", "rem", "minimum", "maximum", "fmin", "fmax"):
                np.testing.assert_array_equal(
                    np.signbit(got[zeros]), np.signbit(wanted[zeros]), err_msg=root.op
                )
        else:
            np.testing.assert_array_equal(got, wanted, err_msg=root.op)


def in_range(values: Array, source: DType, to: DType) -> Array:
    """Replace floats that ``to`` cannot hold: their conversion is unspecified."""
    if not (source.is_float and to.is_integer):
        return values
    info = np.iinfo(to.numpy)
    numbers = wide(values, source)
    fits = np.isfinite(numbers) & (np.abs(numbers) < 100) & (numbers >= info.min)
    return np.where(fits, values, np.zeros_like(values)).astype(values.dtype)


@pytest.mark.parametrize("target", LEVELS, ids=lambda t: t.cpu)
@pytest.mark.parametrize("source", REAL, ids=str)
def test_casts(source: DType, target: Target) -> None:
    for group in ([d for d in REAL if d.is_integer], [d for d in REAL if not d.is_integer]):
        values = draw(source, SIZE, 5)
        for to in group:
            values = in_range(values, source, to)
        roots: list[Expression] = [Cast(Load(0, source), to) for to in group]
        nest, layout, memories = elementwise([values], [source], roots)
        for to, (mine, plain) in zip(
            group, both(nest, layout, memories, target=target), strict=True
        ):
            np.testing.assert_array_equal(wide(mine, to), wide(plain, to), err_msg=str(to))


@pytest.mark.parametrize("target", LEVELS, ids=lambda t: t.cpu)
@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=str)
def test_small_floats_round_trip(dtype: DType, target: Target) -> None:
    """All 65536 bit patterns survive a load and a store, and float32 rounds to nearest even."""
    global SIZE
    old, SIZE = SIZE, 1 << 16  # elementwise() makes outputs of that size
    try:
        bits = np.arange(SIZE, dtype=np.uint16).view(dtype.numpy)
        nest, layout, memories = elementwise([bits], [dtype], [apply("neg", Load(0, dtype))])
        ((mine, plain),) = both(nest, layout, memories, target=target)
        np.testing.assert_array_equal(wide(mine, dtype), wide(plain, dtype))
        random = np.random.default_rng(1).integers(0, 1 << 32, SIZE, dtype=np.uint32)
        floats = random.view(np.float32)
        ties = (np.arange(SIZE, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
        with np.errstate(all="ignore"):
            small = ties * np.float32(2.0**-20)
        for values in (floats, ties, small):
            roots: list[Expression] = [Cast(Load(0, dtypes.float32), dtype)]
            nest, layout, memories = elementwise([values], [dtypes.float32], roots)
            ((mine, plain),) = both(nest, layout, memories, target=target)
            np.testing.assert_array_equal(wide(mine, dtype), wide(plain, dtype))
    finally:
        SIZE = old


def test_select_and_index() -> None:
    condition = apply("lt", Load(0, dtypes.float32), Load(1, dtypes.float32))
    roots = [Select(condition, Load(0, dtypes.float32), Load(1, dtypes.float32)), InnerIndex()]
    values = [draw(dtypes.float32, SIZE, k) for k in range(2)]
    nest, layout, memories = elementwise(values, [dtypes.float32] * 2, roots)
    for mine, plain in both(nest, layout, memories):
        np.testing.assert_array_equal(mine, plain)


def test_whole_vocabulary_is_there() -> None:
    assert unsupported_operations() == []
    real = Load(0, dtypes.complex64)
    layout = layouts.pointwise((3,), [(1,), (1,)])
    kind = Operand(dtypes.complex64, layout.accesses[0])
    assert not supported(RowNest((kind,), (kind,), (Stage(stores=(Store(0, real),)),)), host())
