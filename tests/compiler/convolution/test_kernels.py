"""The convolution kernels against NumPy: ranks, windows, dtypes, layouts, targets, cuts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from diptych.compiler.convolution import pointwise
from diptych.compiler.convolution.blocking import cuts, tile_for
from diptych.compiler.convolution.problem import forward, of_input, of_weight
from diptych.core import dtypes
from diptych.runtime import pool
from tests.compiler.contraction.harness import TARGETS
from tests.compiler.contraction.test_bounds import Guarded
from tests.compiler.convolution.harness import (
    Case,
    arrays,
    close,
    draw,
    laid_out,
    operands_of,
    run,
    strides,
    takes_planes,
    wanted,
)

NAMES = ("forward", "input", "weight")
PLAIN = ((1, 1), (1, 1)), (1, 1)
PLAIN_STEPS = (1, 1), *PLAIN


def square(n, c, size, o, k, stride=1, groups=1):
    pad = k // 2
    return Case((n, c, size, size), (o, c // groups, k, k), (stride,) * 2, ((pad, pad),) * 2,
                (1, 1), groups)  # fmt: skip


def check(name, case, dtype=dtypes.float32, target="avx512", by="tiles", seed=0):
    given = arrays(case, dtype, seed)
    want = wanted(name, given, case, dtype)
    out = np.full(want.shape, 7, dtype.numpy)
    run(name, operands_of(name, given), out, case, dtype, TARGETS[target], by)
    assert close(out, want, dtype), (name, case, dtype, target, by)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_drawn_convolutions(name, target):
    rng = np.random.default_rng(NAMES.index(name))
    for seed in range(25):
        case = draw(rng)
        check(name, case, target=target, seed=seed)
        if takes_planes(name, case):
            check(name, case, target=target, by="planes", seed=seed)


@pytest.mark.parametrize(
    "dtype",
    [dtypes.float64, *(pytest.param(d, marks=pytest.mark.slow) for d in dtypes.FLOATS[:2])],
    ids=str,
)
@pytest.mark.parametrize("name", NAMES)
def test_other_dtypes(name, dtype):
    rng = np.random.default_rng(3)
    for seed in range(6):
        case = draw(rng)
        check(name, case, dtype, seed=seed)
        if takes_planes(name, case):
            check(name, case, dtype, by="planes", seed=seed)


# One channel and one feature a group, whose sums share rows of the box; then a few features.
PLANES = [
    Case((2, 5, 7, 7), (5, 1, 3, 3), *PLAIN_STEPS, 5),
    Case((1, 3, 19, 37), (3, 1, 3, 4), (1, 2), ((0, 2), (3, 1)), (1, 2), 3),
    Case((2, 2, 9, 16), (2, 1, 5, 1), (1, 1), ((2, 2), (0, 0)), (1, 1), 2),
    Case((1, 2, 17, 20), (2, 1, 7, 7), (1, 1), ((3, 3), (3, 3)), (1, 3), 2),
    Case((2, 4, 8, 8), (4, 1, 3, 3), (1, 1), ((3, 3), (-1, 2)), (2, 1), 4),
    *[Case((2, 3, 12, 18), (f, 3, 3, 3), *PLAIN_STEPS) for f in (2, 3, 4, 5, 7)],
    *[Case((2, f, 12, 18), (3, f, 3, 3), (1, 2), ((1, 1), (1, 1)), (1, 1)) for f in (2, 3, 6)],
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_by_planes(name, target):
    for case in PLANES:
        check(name, case, target=target, by="planes")
    check(name, PLANES[0], dtypes.float64, target, by="planes")


# Convolutions of one tap: (case, names that are products whatever the layout).
POINTWISE = [
    (Case((1, 5, 6, 7), (9, 5, 1, 1), *((1, 1), ((0, 0),) * 2, (1, 1))), NAMES[:2]),
    (Case((3, 7, 17, 16), (40, 7, 1, 1), *((1, 1), ((0, 0),) * 2, (1, 1))), NAMES[:2]),
    (Case((2, 32, 300), (66, 16, 1), (1,), ((0, 0),), (2,), 2), NAMES[:2]),
    (Case((4, 150, 1, 1), (120, 150, 1, 1), *((1, 1), ((0, 0),) * 2, (1, 1))), NAMES),
    (Case((1, 256, 3, 2, 5), (288, 128, 1, 1, 1), (1,) * 3, ((0, 0),) * 3, (1,) * 3, 2), NAMES),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("case", "names"), POINTWISE, ids=str)
def test_one_tap(case, names, target):
    for name in names:
        check(name, case, target=target, by="products")
        check(name, case, dtypes.float64, target, "products")


@pytest.mark.parametrize("name", NAMES)
def test_one_tap_any_strides(name):
    case = Case((2, 128, 9, 9), (130, 128, 1, 1), (1, 1), ((0, 0),) * 2, (1, 1))
    given = arrays(case, dtypes.float32)
    want = wanted(name, given, case, dtypes.float32)
    one, other, *bias = operands_of(name, given)
    for out in ("rows", "last"):
        result = laid_out(np.full(want.shape, 7, "f"), out)
        placed = [laid_out(one, "last"), laid_out(other, "last")]
        if name != "weight":
            if out == "rows":
                continue
            result = laid_out(result, "last")
        run(name, [*placed, *bias], result, case, by="products")
        assert close(result, want, dtypes.float32), out


def test_what_is_no_product():
    for case in (
        Case((1, 5, 6, 7), (9, 5, 1, 1), (2, 1), ((0, 0),) * 2, (1, 1)),
        Case((1, 5, 6, 7), (9, 5, 1, 1), (1, 1), ((0, 1), (0, 0)), (1, 1)),
        Case((1, 5, 6, 7), (9, 5, 1, 1), (1, 1), ((0, 0), (0, -1)), (1, 1)),
        Case((1, 5, 6, 7), (9, 5, 1, 2), (1, 1), ((0, 0),) * 2, (1, 1)),
    ):
        x, w, y = (strides(np.empty(shape, "f")) for shape in (case.x, case.weight, case.y))
        target = TARGETS["avx512"]
        assert pointwise.plan(forward(dtypes.float32, x, w, y, case.params, False), target) is None
        back = of_input(dtypes.float32, y, w, x, case.params, False)
        assert pointwise.plan(back, target) is None
        assert pointwise.plan(of_weight(dtypes.float32, x, y, w, case.params), target) is None


# The cuts that small shapes do not need: several panels of lanes, blocks along k, units, partial
# sums, chunks of channels and of panels.
CUT = [
    square(1, 130, 9, 100, 3), square(3, 40, 30, 70, 3), square(9, 24, 12, 20, 3, 2),
    square(2, 200, 5, 40, 3), square(1, 16, 60, 16, 1), square(2, 6, 40, 120, 5, 3, 2),
    Case((2, 20, 900), (60, 20, 3), (1,), ((1, 1),), (1,)),
    Case((1, 12, 9, 14, 14), (20, 12, 3, 3, 3), (2, 1, 2), ((1, 1),) * 3, (1, 1, 1)),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CUT, ids=str)
def test_large_enough_to_be_cut(name, case):
    check(name, case)


def test_the_cuts_are_met():
    seen = set()
    tile = tile_for(dtypes.float32, TARGETS["avx512"])
    for case, name in itertools.product(CUT, NAMES):
        x, w, y = (strides(np.empty(shape, "f")) for shape in (case.x, case.weight, case.y))
        problem = {
            "forward": lambda: forward(dtypes.float32, x, w, y, case.params, False),  # noqa: B023
            "input": lambda: of_input(dtypes.float32, y, w, x, case.params, False),  # noqa: B023
            "weight": lambda: of_weight(dtypes.float32, x, y, w, case.params),  # noqa: B023
        }[name]()
        made = cuts(problem, tile)
        seen |= {"parallel"} if made.parallel else set()
        seen |= {"split"} if made.split else set()
        seen |= {"bands"} if made.bands > 1 else set()
        seen |= {"images"} if made.unit_images > 1 else set()
        seen |= {"panels"} if made.panels > made.chunk_panels else set()
        seen |= {"blocks"} if made.block < problem.channels else set()
        seen |= {"channels"} if made.chunk_channels < problem.channels else set()
        seen |= {"shared"} if made.shared_b else set()
        seen |= {"phases"} if len(problem.phases) > 1 else set()
    assert seen == {
        "parallel", "split", "bands", "images", "panels", "blocks", "channels", "shared", "phases",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_strides(name):
    case = square(2, 5, 9, 20, 3, 2)
    for first, second, out in itertools.product(("rows", "last", "gaps"), repeat=3):
        given = arrays(case, dtypes.float32)
        want = wanted(name, given, case, dtypes.float32)
        one, other, *bias = operands_of(name, given)
        result = laid_out(np.full(want.shape, 7, "f"), out)
        run(name, [laid_out(one, first), laid_out(other, second), *bias], result, case)
        assert close(result, want, dtypes.float32), (first, second, out)


@pytest.mark.parametrize("name", NAMES)
def test_broadcast_and_reversed_operands(name):
    case = square(2, 6, 9, 20, 3, 2, 2)
    given = arrays(case, dtypes.float32)
    looks = [
        lambda a: np.broadcast_to(a[:1, :1, :1, :1], a.shape),
        lambda a: np.broadcast_to(a[..., :1], a.shape),
        lambda a: np.broadcast_to(a[:, :1], a.shape),
        lambda a: a[::-1, ::-1, ::-1, ::-1],
    ]
    for first, second in itertools.product(looks, repeat=2):
        x, w, y = (look(given[key]) for look, key in
                   zip((first, second, second), ("x", "w", "y"), strict=True))  # fmt: skip
        seen = {**given, "x": x, "w": w, "y": y}
        want = wanted(name, seen, case, dtypes.float32)
        out = np.full(want.shape, 7, "f")
        run(name, operands_of(name, seen), out, case)
        assert close(out, want, dtypes.float32)


@pytest.mark.parametrize("by", ["tiles", "planes"])
@pytest.mark.parametrize("name", NAMES)
def test_the_result_does_not_depend_on_threads(name, by):
    before = pool.get_num_threads()
    cases = [
        square(3, 40, 30, 70, 3),
        square(8, 3, 30, 6, 3),
        square(9, 24, 12, 20, 3, 2),
        square(4, 40, 20, 40, 3, 1, 40),
    ]
    try:
        for case in cases:
            given = arrays(case, dtypes.float32)
            shape = wanted(name, given, case, dtypes.float32).shape
            made = []
            for count in (1, 2, 3):
                pool.set_num_threads(count)
                out = np.empty(shape, "f")
                made.append(run(name, operands_of(name, given), out, case, by=by).tobytes())
            assert made[0] == made[1] == made[2], case
    finally:
        pool.set_num_threads(before)


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_operands_at_the_edge_of_memory(target, at_end):
    guarded = Guarded()
    rng = np.random.default_rng(5)
    cases = [draw(rng, 6) for _ in range(12)]
    cases += [*PLANES, Case((1, 3, 9, 9), (4, 3, 1, 1), (2, 2), ((0, 0),) * 2, (1, 1)),
              Case((2, 2, 8, 20), (2, 1, 3, 3), (1, 1), ((0, 0),) * 2, (1, 1), 2)]  # fmt: skip
    try:
        for case, name in itertools.product(cases, NAMES):
            given = arrays(case, dtypes.float32)
            want = wanted(name, given, case, dtypes.float32)
            operands = [guarded.place(x, at_end) for x in operands_of(name, given)]
            for by in ("tiles", "planes")[: 1 + takes_planes(name, case)]:
                out = guarded.place(np.full(want.shape, 7, "f"), at_end)
                run(name, operands, out, case, target=TARGETS[target], by=by)
                assert close(out, want, dtypes.float32), (name, case, by)
        for (case, names), name in itertools.product(POINTWISE, NAMES):
            if name in names:
                given = arrays(case, dtypes.float32)
                want = wanted(name, given, case, dtypes.float32)
                operands = [guarded.place(x, at_end) for x in operands_of(name, given)]
                out = guarded.place(np.full(want.shape, 7, "f"), at_end)
                run(name, operands, out, case, target=TARGETS[target], by="products")
                assert close(out, want, dtypes.float32), (name, case, "products")
    finally:
        guarded.release()


@pytest.mark.parametrize("by", ["tiles", "planes"])
@pytest.mark.parametrize("name", NAMES)
def test_infinities_stay_where_they_are(name, by):
    case = Case((2, 2, 6, 19), (2, 1, 3, 3), (1, 1), *PLAIN, 2)
    given = arrays(case, dtypes.float32)
    given["x"][0, 0, 0, 0] = np.nan  # which no pixel's last tap meets
    given["y"][0, 0, 0, 0] = 1 if name == "weight" else np.nan
    if name != "weight":
        given["x"][0, 0, 2, 3] = given["y"][0, 0, 2, 3] = np.inf
    with np.errstate(invalid="ignore"):
        want = wanted(name, given, case, dtypes.float32)
    out = np.full(want.shape, 7, "f")
    run(name, operands_of(name, given), out, case, by=by)
    assert np.array_equal(np.isnan(out), np.isnan(want))
    np.testing.assert_allclose(out, want, rtol=1e-4, atol=1e-5)


def test_neighbours_of_the_result_keep_their_values():
    case = square(2, 3, 7, 5, 3)
    given = arrays(case, dtypes.float32)
    for name, by in itertools.product(NAMES, ("tiles", "planes")):
        want = wanted(name, given, case, dtypes.float32)
        room = np.full(tuple(n + 2 for n in want.shape), 7, "f")
        inner = room[tuple(slice(1, n + 1) for n in want.shape)]
        run(name, operands_of(name, given), inner, case, by=by)
        assert close(inner, want, dtypes.float32), (name, by)
        inner[...] = 7
        assert (room == 7).all()
