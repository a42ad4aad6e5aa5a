"""The plain interpreter against NumPy alone."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.core import dtypes
from diptych.core.dtypes import bool_, float32, int8, int32, int64
from diptych.loops import interpreter
from diptych.loops import layout as layouts
from diptych.loops.expression import InnerIndex, Load, RowValue, apply
from diptych.loops.nest import ColumnNest, Operand, Reduce, RowNest, Stage, Store


def test_broadcast_add_backwards() -> None:
    layout = layouts.pointwise((3, 4), [(4, -1), (0, 1), (4, 1)])
    kinds = tuple(Operand(float32, a) for a in layout.accesses)
    value = apply("add", Load(0, float32), Load(1, float32))
    nest = RowNest(kinds[:2], kinds[2:], (Stage(stores=(Store(0, value),)),))
    x = np.arange(12, dtype=np.float32)
    y = np.array([10, 20, 30, 40], np.float32)
    out = np.zeros(12, np.float32)
    interpreter.run(nest, layout, [x, y, out], [3, 0, 0])
    np.testing.assert_array_equal(out.reshape(3, 4), x.reshape(3, 4)[:, ::-1] + y)


def test_stages_and_row_values() -> None:
    layout = layouts.rows((2, 5), [(5, 1), (5, 1), (1, 0)], [1], outputs=2)
    assert layout is not None
    x = Load(0, float32)
    mean = apply("div", RowValue(0, float32), RowValue(1, float32))
    one = apply("div", x, x)
    found = RowValue(2, float32)
    stages = (
        Stage(reduces=(Reduce("sum", x), Reduce("sum", one)), rows=(mean,)),
        Stage(stores=(Store(0, apply("sub", x, found)), Store(1, found))),
    )
    kinds = tuple(Operand(float32, a) for a in layout.accesses)
    nest = RowNest(kinds[:1], kinds[1:], stages)
    values = np.arange(1, 11, dtype=np.float32)
    centred, means = np.zeros(10, np.float32), np.zeros(2, np.float32)
    interpreter.run(nest, layout, [values, centred, means])
    np.testing.assert_array_equal(means, [3, 8])
    np.testing.assert_array_equal(centred, [-2, -1, 0, 1, 2] * 2)


def test_column_argmax() -> None:
    layout = layouts.columns((3, 2), [(2, 1), (0, 1)], [0], ordered=True)
    assert layout is not None
    kinds = [Operand(d, a) for d, a in zip((int8, int64), layout.accesses, strict=True)]
    reduce, store = Reduce("argmax", Load(0, int8)), Store(0, RowValue(0, int64))
    nest = ColumnNest((kinds[0],), (kinds[1],), (reduce,), (store,))
    out = np.zeros(2, np.int64)
    interpreter.run(nest, layout, [np.array([1, 9, 5, 9, 5, 2], np.int8), out])
    np.testing.assert_array_equal(out, [1, 0])


@pytest.mark.parametrize(
    ("op", "args", "wanted"),
    [
        ("truncdiv", ([7, -7, 7, 5], [2, 2, -2, 0]), [3, -3, -3, 0]),
        ("floordiv", ([7, -7, 7, 5], [2, 2, -2, 0]), [3, -4, -4, 0]),
        ("rem", ([7, -7, 7, 5], [3, 3, -3, 0]), [1, 2, -2, 0]),
        ("fmod", ([7, -7, 7, 5], [3, 3, -3, 0]), [1, -1, 1, 0]),
        ("truncdiv", ([-(2**31)], [-1]), [-(2**31)]),
        ("pow", ([2, -1, 1, 3, 2], [10, -3, -9, -1, 31]), [1024, -1, 1, 0, -(2**31)]),
        ("shift_left", ([1, 1, 1], [31, 32, -1]), [-(2**31), 0, 0]),
        ("shift_right", ([-8, -8, -8], [1, 40, -1]), [-4, -1, -1]),
        ("abs", ([-(2**31)],), [-(2**31)]),
        ("bitwise_not", ([0, 5],), [-1, -6]),
    ],
)
def test_integer_rules(op: str, args: tuple[list[int], ...], wanted: list[int]) -> None:
    got = interpreter.apply_op(op, [np.array(a, np.int32) for a in args])
    np.testing.assert_array_equal(got, wanted)
    assert got.dtype == np.int32


def test_small_floats_round_only_at_casts() -> None:
    one = np.array([1.0], np.float32)
    assert interpreter.cast(one + np.float32(2**-9), dtypes.bfloat16)[0] == 1
    assert interpreter.narrow(one, dtypes.bfloat16)[0] == 0x3F80


def test_reductions_of_nothing() -> None:
    layout = layouts.rows((1, 0), [(0, 1), (1, 0)], [1])
    assert layout is not None
    for op, wanted in (("sum", 0), ("prod", 1), ("max", -(2**31)), ("min", 2**31 - 1)):
        found = interpreter.reduce_values(Reduce(op, Load(0, int32)), np.zeros(0, np.int32))
        assert found == wanted
    assert interpreter.reduce_values(Reduce("all", Load(0, bool_)), np.zeros(0, bool))
    assert InnerIndex().dtype is int64
