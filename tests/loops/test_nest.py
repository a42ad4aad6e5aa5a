"""Nests: what they refuse, and their text."""

from __future__ import annotations

import pytest

from diptych.core.dtypes import bool_, float32, float64, int64
from diptych.loops.expression import InnerIndex, Load, LoadAt, RowValue, apply
from diptych.loops.nest import Access, ColumnNest, Operand, Reduce, RowNest, Stage, Store, per_row

X = Load(0, float32)
LINE = Operand(float32, Access.CONTIGUOUS)
POINT = Operand(float32, Access.BROADCAST)
TOTAL = Reduce("sum", X)


def test_text_tells_nests_apart() -> None:
    body = (Stage(stores=(Store(0, apply("neg", X)),)),)
    plain = RowNest((LINE,), (LINE,), body)
    assert plain.text() == RowNest((LINE,), (LINE,), body).text()
    strided = RowNest((Operand(float32, Access.STRIDED),), (LINE,), body)
    double = Stage(stores=(Store(0, apply("neg", apply("neg", X))),))
    texts = {plain.text(), strided.text(), RowNest((LINE,), (LINE,), (double,)).text(),
             RowNest((LINE, LINE), (LINE,), body).text()}  # fmt: skip
    assert len(texts) == 4
    assert plain.pointwise
    assert plain == RowNest((LINE,), (LINE,), body)
    assert hash(plain) == hash(RowNest((LINE,), (LINE,), body))


def test_row_values_are_numbered_through_the_stages() -> None:
    first = Stage(reduces=(TOTAL,), rows=(apply("neg", RowValue(0, float32)),))
    last = Stage(stores=(Store(0, apply("add", X, RowValue(1, float32))),))
    assert not RowNest((LINE,), (LINE,), (first, last)).pointwise
    with pytest.raises(ValueError, match="row value"):
        RowNest((LINE,), (LINE,), (last, first))
    early = Stage(reduces=(TOTAL,), stores=(Store(0, RowValue(0, float32)),))
    with pytest.raises(ValueError, match="row value"):
        RowNest((LINE,), (LINE,), (early,))  # an element store cannot see its own stage's result
    RowNest((LINE,), (POINT,), (early,))  # a row store can


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="operand 3 of 2"):
        RowNest((LINE,), (LINE,), (Stage(stores=(Store(0, Load(3, float32)),)),))
    with pytest.raises(TypeError, match="has dtype float32"):
        RowNest((LINE,), (LINE,), (Stage(stores=(Store(0, Load(0, float64)),)),))
    with pytest.raises(TypeError, match="insert a Cast"):
        RowNest((LINE,), (Operand(float64, Access.CONTIGUOUS),), (Stage(stores=(Store(0, X),)),))
    with pytest.raises(ValueError, match="one element per row"):
        RowNest((LINE,), (POINT,), (Stage(reduces=(TOTAL,), stores=(Store(0, X),)),))
    with pytest.raises(ValueError, match="not one value per row"):
        RowNest((LINE,), (LINE,), (Stage(rows=(X,)),))
    with pytest.raises(ValueError, match="outputs"):
        RowNest((LINE,), (LINE,), (Stage(stores=(Store(1, X),)),))
    with pytest.raises(ValueError, match="not a reduction"):
        Reduce("median", X)
    with pytest.raises(TypeError, match="any"):
        Reduce("any", X)
    with pytest.raises(TypeError, match="any"):
        Reduce("sum", Load(0, bool_))
    with pytest.raises(ValueError, match="no room"):
        ColumnNest((LINE,), (POINT,), (TOTAL,), (Store(0, RowValue(0, float32)),))
    with pytest.raises(NotImplementedError, match="LoadAt"):
        gather = LoadAt(0, InnerIndex(), float32)
        ColumnNest((LINE,), (LINE,), (TOTAL,), (Store(0, gather),))


def test_per_row() -> None:
    mean = Load(1, float32)
    nest = RowNest((LINE, POINT), (LINE,), (Stage(stores=(Store(0, apply("sub", X, mean)),)),))
    shifted = apply("sub", X, apply("neg", mean))
    assert per_row(nest, [shifted]) == {mean, apply("neg", mean)}
    assert InnerIndex() not in per_row(nest, [InnerIndex()])
    assert Reduce("argmax", X).dtype is int64
