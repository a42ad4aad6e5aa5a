"""Sample tensors: they are never computed with outside their level, and levels keep apart."""

from __future__ import annotations

import numpy as np
import pytest

from diptych import ops  # noqa: F401
from diptych.core import tape
from diptych.core.samples import behind, is_sample
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import ArgumentError
from diptych.ops.arithmetic import add, mul
from diptych.ops.reduction import sum_
from diptych.transforms import mapping


def numbers(*shape: int) -> Tensor:
    return copy_array(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), Tensor)


def test_a_sample_looks_like_one() -> None:
    x = numbers(3, 4)
    with mapping(3, "error") as level:
        one = level.sample(x, 0, Tensor)
        assert one.layout.shape == (4,)
        assert is_sample(one)
        assert behind(one) is x
        total, axis = level.value(sum_(mul(one, one), (0,)))
    assert axis == 0
    np.testing.assert_allclose(total.array(), (x.array() ** 2).sum(1))


def test_what_escapes_reaches_no_kernel() -> None:
    with mapping(3, "error") as level:
        one = level.sample(numbers(3, 4), 0, Tensor)
    for use in (lambda: add(one, one), lambda: sum_(one, (0,)), lambda: one.array(), one.values):
        with pytest.raises((ArgumentError, TypeError)):
            use()


def test_outside_tape_sees_whole_values() -> None:
    x = numbers(3, 4)
    tape.require_gradient(x)
    with mapping(3, "error") as level:
        one = level.sample(x, 0, Tensor)
        made, _ = level.value(sum_(mul(one, one), (0,)))
    assert one.node is None
    assert made.node is not None
    tape.backward([(made.node, made.output, copy_array(np.ones(3, np.float32), Tensor))])
    np.testing.assert_allclose(x.grad.array(), 2 * x.array())


def test_levels_nest() -> None:
    a, b = numbers(2, 3), numbers(2, 3)
    with mapping(2, "error") as first:
        row, other = first.sample(a, 0, Tensor), first.sample(b, 0, Tensor)
        with mapping(3, "error") as second:
            made, axis = second.value(
                mul(second.sample(row, 0, Tensor), second.sample(other, 0, Tensor))
            )
        assert axis == 0
        whole, axis = first.value(made)
    assert axis == 0
    np.testing.assert_allclose(whole.array(), a.array() ** 2)
