"""Layouts: how axes collapse, what is cut, what the descriptor says."""

from __future__ import annotations

import pytest

from diptych.core.dtypes import float32
from diptych.loops import layout as layouts
from diptych.loops.expression import Load, RowValue, apply
from diptych.loops.nest import Access, Operand, Reduce, RowNest, Stage, Store

C, B, S = Access.CONTIGUOUS, Access.BROADCAST, Access.STRIDED


def test_contiguous_operands_become_one_axis() -> None:
    found = layouts.pointwise((4, 5, 6), [(30, 6, 1), (30, 6, 1)])
    assert (found.extents, found.inner, found.accesses) == ((1,), 120, (C, C))


def test_bias_keeps_two_axes() -> None:
    found = layouts.pointwise((4, 5, 6), [(30, 6, 1), (0, 0, 1), (30, 6, 1)])
    assert (found.extents, found.inner) == ((20,), 6)
    assert found.strides == ((6, 1), (0, 1), (6, 1))
    scalar = layouts.pointwise((4, 6), [(6, 1), (0, 0), (6, 1)])
    assert (scalar.inner, scalar.accesses) == (24, (C, B, C))


def test_the_output_decides_the_order() -> None:
    found = layouts.pointwise((30, 40), [(40, 1), (1, 30)])
    assert (found.extents, found.inner, found.strides) == ((40,), 30, ((1, 40), (30, 1)))
    assert found.accesses == (S, C)
    same = layouts.pointwise((30, 40), [(1, 30), (1, 30)])
    assert (same.extents, same.inner) == ((1,), 1200)


def test_edges() -> None:
    assert layouts.pointwise((), [(), ()]).inner == 1
    assert layouts.pointwise((1, 1), [(7, 3), (0, 0)]).accesses == (C, C)
    empty = layouts.pointwise((3, 0), [(0, 1), (0, 1)])
    assert empty.inner * empty.extents[0] == 0
    flipped = layouts.pointwise((5,), [(-1,), (1,)])
    assert flipped.accesses == (S, C)


def test_rows_merge_or_say_that_they_do_not() -> None:
    full = layouts.rows((4, 5, 6), [(30, 6, 1), (0, 0, 0)], [0, 1, 2])
    assert full is not None
    assert (full.extents, full.inner, full.accesses) == ((1,), 120, (C, B))
    assert layouts.rows((4, 5, 6), [(30, 6, 1), (0, 1, 0)], [0, 2]) is None
    turned = layouts.rows((4, 5), [(1, 4), (0, 0)], [0, 1])  # order does not matter to a sum
    assert turned is not None
    assert turned.inner == 20
    assert layouts.rows((4, 5), [(1, 4), (0, 0)], [0, 1], ordered=True) is None
    lone = layouts.rows((4, 1), [(1, 1), (1, 0)], [1])
    assert lone is not None
    assert lone.accesses == (C, B)


def test_columns() -> None:
    found = layouts.columns((8, 4, 5), [(20, 5, 1), (0, 5, 1)], [0])
    assert found is not None
    assert (found.extents, found.inner, found.reduced) == ((1,), 20, 8)
    assert found.strides == ((0, 20, 1), (0, 0, 1))


def add(layout: layouts.Layout) -> RowNest:
    kinds = tuple(Operand(float32, access) for access in layout.accesses)
    value = apply("add", Load(0, float32), Load(1, float32))
    return RowNest(kinds[:2], kinds[2:], (Stage(stores=(Store(0, value),)),))


def test_small_work_is_one_task_and_large_work_is_cut_wholly() -> None:
    for shape in ((32, 16), (3000, 3000), (10, 1_000_000), (1_000_000, 10)):
        strides = [(shape[1] * 2, 1)] * 3  # rows apart: they do not merge
        layout = layouts.pointwise(shape, strides)
        tasks, per_task, chunk, chunks, inner, rows, *_ = layouts.descriptor(add(layout), layout)
        assert inner * rows == shape[0] * shape[1]
        assert chunk * chunks >= inner > chunk * (chunks - 1)
        assert (tasks == 1) == (shape == (32, 16))
        blocks = -(-rows // per_task)
        assert tasks in (1, blocks * chunks)


def test_few_long_rows_are_cut() -> None:
    layout = layouts.rows((2, 1_000_000), [(1_000_000, 1), (1, 0)], [1])
    assert layout is not None
    kinds = tuple(Operand(float32, access) for access in layout.accesses)
    total = Stage((Reduce("sum", Load(0, float32)),), (Store(0, RowValue(0, float32)),))
    nest = RowNest(kinds[:1], kinds[1:], (total,))
    tasks, _, chunk, chunks, *_ = layouts.descriptor(nest, layout)
    assert tasks == 1
    assert 1 < chunks <= layouts.MAX_SPLITS
    assert chunk * chunks >= 1_000_000


def test_no_row_is_walked_where_nothing_is_written() -> None:
    layout = layouts.pointwise((1 << 40, 0), [(0, 1), (5, 1), (1, 1)])
    _, per_task, _, _, inner, rows, *_ = layouts.descriptor(add(layout), layout)
    assert (per_task, inner, rows) == (0, 0, 0)


def test_a_layout_of_another_structure_is_refused() -> None:
    nest = add(layouts.pointwise((100,), [(1,)] * 3))
    with pytest.raises(ValueError, match="build the nest from the layout"):
        layouts.descriptor(nest, layouts.pointwise((100,), [(2,), (1,), (1,)]))
