"""One update of many tensors: in place, as one program, for any evaluator and layout."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.core.tensor import Tensor, copy_array, from_array
from diptych.errors import ArgumentError, ShapeError
from diptych.optim import rules
from diptych.optim.update import step


def tensor(*values: float) -> Tensor:
    return copy_array(np.array(values, np.float32), Tensor)


def test_all_parameters_move_and_their_versions_count() -> None:
    params, grads = [tensor(1, 2), tensor(3)], [tensor(1, 1), tensor(2)]
    step(rules.SGD, (False, False, False, False), params, grads, [], (-0.5, 0, 0, 1))
    assert [p.array().tolist() for p in params] == [[0.5, 1.5], [2.0]]
    assert [p.buffer.version for p in params] == [1, 1]


def test_numbers_are_read_at_run_time() -> None:
    param, grad = tensor(0), tensor(1)
    flags = (False, False, False, False)
    step(rules.SGD, flags, [param], [grad], [], (-1.0, 0, 0, 1))
    plans = len(rules.SGD.plans)
    step(rules.SGD, flags, [param], [grad], [], (-10.0, 0, 0, 1))
    assert param.item() == -11.0
    assert len(rules.SGD.plans) == plans


def test_slots_are_updated_beside_the_parameter() -> None:
    param, grad, held = tensor(1), tensor(2), tensor(10)
    flags = (False, False, False, False)
    step(rules.SGD_MOMENTUM, flags, [param], [grad], [[held]], (-1.0, 0, 0.5, 1))
    assert held.item() == 7.0 and param.item() == -6.0


def test_strided_parameters_and_gradients() -> None:
    memory = np.zeros((3, 2), np.float32)
    param = from_array(memory.T, Tensor)
    grad = from_array(np.arange(6, dtype=np.float32).reshape(2, 3), Tensor)
    step(rules.SGD, (True, False, False, False), [param], [grad], [], (-1.0, 0, 0, 1))
    assert memory.T.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_memory_that_must_not_be_written_is_refused() -> None:
    frozen = np.ones(2, np.float32)
    frozen.flags.writeable = False
    param = from_array(frozen, Tensor)
    with pytest.raises(ArgumentError, match="read-only"):
        step(rules.SGD, (False,) * 4, [param], [tensor(1, 1)], [], (-1.0, 0, 0, 1))
    spread = from_array(np.broadcast_to(np.zeros(1, np.float32), (3,)), Tensor)
    spread.buffer.writable = True
    with pytest.raises(ArgumentError, match="single memory location"):
        step(rules.SGD, (False,) * 4, [spread], [tensor(1, 1, 1)], [], (-1.0, 0, 0, 1))


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"gradient of shape \[2\] was given for .* \[1\]"):
        step(rules.SGD, (False,) * 4, [tensor(1)], [tensor(1, 1)], [], (-1.0, 0, 0, 1))
