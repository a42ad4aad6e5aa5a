"""In-place changes: memory, versions, views and what the tape makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diptych import engine as engine
from diptych.core import inplace, tape
from diptych.core.dtypes import bool_
from diptych.core.operation import lookup
from diptych.core.tensor import Tensor, copy_array, from_array
from diptych.errors import ArgumentError, GradientError, ShapeError
from diptych.ops.arithmetic import ADD, MUL, add, mul
from diptych.ops.movement import broadcast_to, flip, narrow, reshape, transpose
from diptych.ops.select import ASSIGN


def tensor(values: Any) -> Tensor:
    return copy_array(np.asarray(values, np.float64), Tensor)


def leaf(values: Any) -> Tensor:
    made = tensor(values)
    tape.require_gradient(made)
    return made


def put(target: Tensor, op: Any, *others: Tensor) -> None:
    inplace.update(target, op, (target, *others), (target.layout.dtype,))


def gradient(result: Tensor, at: Tensor, cotangent: Any) -> Any:
    roots = [(result.node, result.output, tensor(cotangent))]
    found = tape.backward(roots, [(at.node, at.output)], accumulate=False)[0]
    return None if found is None else found.array().tolist()


# ---- memory


def test_views_see_the_change_and_versions_count_it() -> None:
    x = tensor(np.zeros((2, 3)))
    row, column = narrow(x, 0, 1, 1), narrow(transpose(x, (1, 0)), 0, 2, 1)
    put(row, ASSIGN, tensor([1.0, 2.0, 3.0]))
    assert x.array().tolist() == [[0, 0, 0], [1, 2, 3]]
    assert column.array().tolist() == [[0, 3]]
    assert x.buffer.version == row.buffer.version == 1


def test_reversed_and_gapped_targets() -> None:
    x = tensor(np.arange(6.0))
    put(flip(x, (0,)), ASSIGN, tensor([5, 4, 3, 2, 1, 0.0]))
    assert x.array().tolist() == [0, 1, 2, 3, 4, 5]
    put(flip(x, (0,)), ADD, tensor([10.0] + [0.0] * 5))
    assert x.array().tolist() == [0, 1, 2, 3, 4, 15]


def test_an_operand_that_overlaps_the_target_is_read_first() -> None:
    x = tensor(np.arange(5.0))
    inplace.update(narrow(x, 0, 1, 4), ASSIGN, (narrow(x, 0, 1, 4), narrow(x, 0, 0, 4)),
                   (x.layout.dtype,))  # fmt: skip
    assert x.array().tolist() == [0, 0, 1, 2, 3]
    put(x, ADD, flip(x, (0,)))
    assert x.array().tolist() == [3, 2, 2, 2, 3]


def test_the_result_takes_the_targets_dtype() -> None:
    x = copy_array(np.zeros(2, np.int32), Tensor)
    put(x, ASSIGN, tensor([1.9, -2.9]))
    assert x.array().tolist() == [1, -2]


def test_a_truth_becomes_a_complex_number() -> None:
    """No kernel makes complex values: the host converts them."""
    x = copy_array(np.array([1j, 0.0, 2.0]), Tensor)
    inplace.update(x, lookup("logical_not"), (x,), (bool_,))
    assert x.array().tolist() == [0, 1, 0]


def test_a_result_larger_than_the_target_is_refused() -> None:
    memory = np.zeros(6)
    with pytest.raises(ShapeError, match=r"output with shape \[1, 2\] .* shape \[3, 2\]"):
        put(from_array(memory[:2].reshape(1, 2), Tensor), ADD, tensor(np.ones((3, 2))))
    assert not memory.any()


def test_memory_that_must_not_be_written() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    with pytest.raises(ArgumentError, match="read-only"):
        put(from_array(array, Tensor), ASSIGN, tensor(1.0))
    with pytest.raises(ArgumentError, match="single memory location"):
        put(broadcast_to(tensor([1.0]), (3,)), ASSIGN, tensor([1.0, 2.0, 3.0]))


# ---- the tape


def test_leaves_and_their_views_are_refused() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(GradientError, match="a leaf Variable that requires grad"):
        put(x, ADD, tensor(1.0))
    with pytest.raises(GradientError, match="a view of a leaf Variable"):
        put(narrow(x, 0, 0, 1), ADD, tensor(1.0))
    with tape.recording(False):
        put(x, ADD, tensor(1.0))
    assert x.array().tolist() == [2.0, 3.0]


def test_a_changed_value_has_the_new_history() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = add(x, tensor(0.0))
    put(y, ADD, w)
    result = mul(y, tensor([1.0, 10.0]))
    assert gradient(result, x, [1, 1]) == [1.0, 10.0]


def test_a_constant_joins_the_tape_when_a_recorded_value_is_written() -> None:
    x, buffer = leaf([1.0, 2.0]), tensor(np.zeros((2, 2)))
    put(narrow(buffer, 0, 1, 1), ASSIGN, x)
    result = mul(buffer, tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert gradient(result, x, np.ones((2, 2))) == [3.0, 4.0]


def test_writing_through_a_view_changes_the_bases_history() -> None:
    x = leaf([1.0, 2.0, 3.0])
    y = add(x, tensor(0.0))
    part = narrow(y, 0, 1, 1)
    put(part, MUL, tensor([10.0]))
    assert y.array().tolist() == [1, 20, 3]
    assert gradient(y, x, [1, 1, 1]) == [1.0, 10.0, 1.0]


def test_overwritten_elements_pass_no_gradient() -> None:
    x, new = leaf([1.0, 2.0, 3.0]), leaf([7.0])
    y = add(x, tensor(0.0))
    put(narrow(y, 0, 0, 1), ASSIGN, new)
    result = mul(y, tensor([2.0, 3.0, 4.0]))
    roots = [(result.node, 0, tensor([1, 1, 1]))]
    found = tape.backward(roots, [(x.node, 0), (new.node, 0)], accumulate=False)
    assert found[0].array().tolist() == [0, 3, 4] and found[1].array().tolist() == [2]


def test_writing_to_the_base_changes_its_views_history() -> None:
    x, w = leaf([1.0, 2.0]), tensor([3.0, 4.0])
    y = add(x, tensor(0.0))
    view = reshape(y, (2, 1))
    put(y, MUL, w)
    assert view.array().tolist() == [[3], [8]]
    assert gradient(view, x, [[1], [1]]) == [3.0, 4.0]


def test_two_views_of_one_base() -> None:
    x = leaf([1.0, 2.0, 3.0])
    y = add(x, tensor(0.0))
    first, last = narrow(y, 0, 0, 2), narrow(y, 0, 1, 2)
    put(first, MUL, tensor([10.0, 10.0]))
    assert last.array().tolist() == [20, 3]
    assert gradient(last, x, [1, 1]) == [0.0, 10.0, 1.0]


def test_a_view_of_a_view() -> None:
    x = leaf(np.arange(6.0))
    y = add(x, tensor(0.0))
    inner = narrow(transpose(reshape(y, (2, 3)), (1, 0)), 0, 1, 1)
    put(inner, MUL, tensor([[10.0, 100.0]]))
    assert y.array().tolist() == [0, 10, 2, 3, 400, 5]
    assert gradient(y, x, np.ones(6)) == [1, 10, 1, 1, 100, 1]


def test_an_op_that_saves_its_output_survives_its_own_change() -> None:
    x = leaf([0.5])
    y = add(x, tensor(0.0))
    inplace.update(y, lookup("exp"), (y,), (y.layout.dtype,))
    assert np.allclose(gradient(y, x, [1.0]), np.exp(0.5))
