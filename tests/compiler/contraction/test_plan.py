"""Tests of the planner: what it refuses, merges and chooses; results on drawn products."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.compiler.contraction.blocking import tiles_for
from diptych.compiler.contraction.descriptor import Slot
from diptych.compiler.contraction.plan import LARGEST, Strided, plan
from diptych.compiler.contraction.spec import Contraction
from diptych.core import dtypes
from diptych.runtime import pool
from tests.compiler.contraction.harness import TARGETS, exact, laid_out, run, store_as

SINGLE = Contraction(dtypes.float32, dtypes.float32, dtypes.float32)
FLOATS = [
    (dtypes.float32, dtypes.float32, dtypes.float32),
    (dtypes.float64, dtypes.float64, dtypes.float64),
    (dtypes.bfloat16, dtypes.bfloat16, dtypes.bfloat16),
    (dtypes.bfloat16, dtypes.bfloat16, dtypes.float32),
    (dtypes.float16, dtypes.float16, dtypes.float16),
    (dtypes.float32, dtypes.bfloat16, dtypes.float32),
]
TOLERANCE = {"float32": 1e-5, "float64": 1e-13, "float16": 4e-3, "bfloat16": 3e-2}
# Edges of every tile, a block boundary along k, no k at all, one row, one column, one element.
EXTENTS = [(1, 1, 1), (5, 7, 3), (9, 50, 33), (20, 300, 0), (17, 3, 700), (1, 70, 40), (70, 1, 41)]


def check(contraction, a, b, layouts, target):
    """One product against NumPy's in float64."""
    ref = exact(a, contraction.dtype_a) @ exact(b, contraction.dtype_b)
    c = laid_out(store_as(np.full(ref.shape, 7.0), contraction.dtype_out), layouts[2])
    run(contraction, laid_out(a, layouts[0]), laid_out(b, layouts[1]), c, target=target)
    error = np.abs(exact(c, contraction.dtype_out) - ref) / np.sqrt(a.shape[-1] + 1)
    assert error.max(initial=0) < TOLERANCE[contraction.dtype_out.name]


@pytest.mark.parametrize(
    ("names", "target"),
    [
        *((names, "avx512") for names in FLOATS),
        *((names, "avx2") for names in FLOATS[:3]),
        *((names, "generic") for names in FLOATS[:5:2]),
    ],
    ids=lambda x: x if isinstance(x, str) else "-".join(d.name for d in x),
)
def test_every_layout(names, target):
    rng = np.random.default_rng(0)
    for (m, n, k), layouts in itertools.product(
        EXTENTS, ["rrr", "rcr", "crr", "ccc", "srs", "csr"]
    ):
        a = store_as(rng.standard_normal((m, k)), names[0])
        b = store_as(rng.standard_normal((k, n)), names[1])
        check(Contraction(*names), a, b, layouts, TARGETS[target])


@given(
    st.integers(0, 70), st.integers(0, 110), st.integers(0, 60),
    st.tuples(*[st.sampled_from("rcs")] * 3), st.sampled_from(sorted(TARGETS)),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_drawn_extents(m, n, k, layouts, target):
    rng = np.random.default_rng(m * 10007 + n * 101 + k)
    a = rng.standard_normal((m, k)).astype(np.float32)
    b = rng.standard_normal((k, n)).astype(np.float32)
    check(SINGLE, a, b, layouts, TARGETS[target])


@pytest.mark.parametrize("names", FLOATS[:4], ids=lambda d: "-".join(x.name for x in d))
@pytest.mark.parametrize("layouts", ["rrr", "rcr", "crr", "ccc", "rrs"])
def test_blocks_rounds_and_partial_sums(names, layouts):
    """Many blocks along every axis, in parallel; bfloat16 output keeps its partial sums apart."""
    rng = np.random.default_rng(3)
    a = store_as(rng.standard_normal((300, 1500)), names[0])
    b = store_as(rng.standard_normal((1500, 260)), names[1])
    check(Contraction(*names), a, b, layouts, TARGETS["avx512"])


def test_bits_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(4)
    before = pool.get_num_threads()
    try:
        for m, n, k in [(200, 300, 1100), (64, 512, 784), (2, 5000, 900), (513, 130, 64)]:
            a = rng.standard_normal((m, k)).astype(np.float32)
            b = rng.standard_normal((n, k)).astype(np.float32).T
            results = []
            for threads in (1, 2, 3, 7):
                pool.set_num_threads(threads)
                results.append(run(SINGLE, a, b, np.empty((m, n), np.float32)).tobytes())
            assert len(set(results)) == 1
    finally:
        pool.set_num_threads(before)


def test_batches():
    rng = np.random.default_rng(5)
    a = rng.standard_normal((2, 3, 4, 5, 6, 9)).astype(np.float32)[:, :, ::2]
    b = rng.standard_normal((3, 1, 1, 9, 7)).astype(np.float32)
    wide_b = np.broadcast_to(b, (2, 3, 2, 5, 9, 7))
    c = np.empty((2, 3, 2, 5, 6, 7), np.float32)
    run(SINGLE, a, wide_b, c)
    np.testing.assert_allclose(c, a @ wide_b, rtol=1e-4, atol=1e-5)


def test_many_batch_items_in_rounds(monkeypatch):
    """Packed B of all items does not fit one round."""
    monkeypatch.setattr("diptych.compiler.contraction.blocking._ROUND_BYTES", 100_000)
    rng = np.random.default_rng(6)
    a = rng.standard_normal((40, 30, 64)).astype(np.float32)
    b = rng.standard_normal((40, 90, 64)).astype(np.float32).swapaxes(-1, -2)
    c = run(SINGLE, a, b, np.empty((40, 30, 90), np.float32))
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layouts", ["rrr", "rcr", "ccr", "rrs"])
@pytest.mark.parametrize("names", [FLOATS[0], FLOATS[2]], ids=["float32", "bfloat16"])
def test_long_sums_in_rounds(names, layouts, monkeypatch):
    """Not even one panel of all of k may be packed at once, where C can hold partial sums."""
    monkeypatch.setattr("diptych.compiler.contraction.blocking._ROUND_BYTES", 30_000)
    rng = np.random.default_rng(7)
    a = store_as(rng.standard_normal((200, 2100)), names[0])
    b = store_as(rng.standard_normal((2100, 70)), names[1])
    check(Contraction(*names), a, b, layouts, TARGETS["avx512"])


def test_scratch_is_bounded_for_long_sums():
    strides = Strided(1, 400), Strided(500, 1), Strided(500, 1)
    _, desc = plan(SINGLE, 400, 500, LARGEST - 1, *strides, target=TARGETS["avx512"])
    assert 0 < desc[Slot.SHARED_BYTES] <= 32 << 20
    assert desc[Slot.PRIVATE_BYTES] <= 4 << 20


def test_complex_is_refused_by_name():
    contraction = Contraction(dtypes.complex64, dtypes.complex64, dtypes.complex64)
    strides = Strided(1, 1), Strided(1, 1), Strided(1, 1)
    with pytest.raises(NotImplementedError, match="complex64"):
        plan(contraction, 1, 1, 1, *strides, target=TARGETS["generic"])


def test_a_broadcast_right_side_joins_the_rows():
    for order in ((0, 1), (1, 0)):
        batch, a, c = [[pair[i] for i in order] for pair in ((3, 5), (160, 32), (640, 128))]
        _, desc = plan(
            SINGLE, 8, 16, 4, Strided(4, 1, tuple(a)), Strided(16, 1, (0, 0)),
            Strided(16, 1, tuple(c)), (), batch, target=TARGETS["avx512"],
        )  # fmt: skip
        assert {desc[Slot.M], desc[Slot.N]} == {120, 16}
        assert desc[Slot.COUNT] == 1


def test_small_products_stay_on_this_thread_and_stack():
    _, desc = plan(
        SINGLE, 32, 32, 16, Strided(16, 1), Strided(1, 16), Strided(32, 1), target=TARGETS["avx512"]
    )
    assert desc[Slot.PARALLEL] == 0
    assert desc[Slot.STACK] == 1


def test_structure_alone_decides_the_code():
    shapes = [(64, 512, 784), (65, 500, 700), (1024, 1024, 1024)]
    units = [
        plan(
            SINGLE, m, n, k, Strided(k, 1), Strided(n, 1), Strided(n, 1), target=TARGETS["avx512"]
        )[0]
        for m, n, k in shapes
    ]
    assert len(set(units)) == 1


@pytest.mark.parametrize(
    ("extents", "message"), [((-1, 2, 3), "m is -1"), ((1, LARGEST, 3), "n is 2147483648")]
)
def test_extents_out_of_range_are_refused(extents, message):
    strides = Strided(1, 1), Strided(1, 1), Strided(1, 1)
    with pytest.raises(ValueError, match=message):
        plan(SINGLE, *extents, *strides, target=TARGETS["generic"])


def test_missing_batch_strides_are_refused():
    with pytest.raises(ValueError, match="b has 1 batch strides for 2"):
        plan(
            SINGLE, 1, 1, 1, Strided(1, 1, (1, 1)), Strided(1, 1, (1,)), Strided(1, 1, (1, 1)),
            (), (2, 2), target=TARGETS["generic"],
        )  # fmt: skip


def test_every_target_has_tiles_for_rows_few_rows_and_dots():
    for target in TARGETS.values():
        tiles = tiles_for(SINGLE, target)
        assert [tile.dot for tile in tiles] == [False, False, False, True]
        assert tiles[0].rows * tiles[0].vectors >= 8
