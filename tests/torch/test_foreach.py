"""torch._foreach_*: one operation on every tensor of a list."""

from __future__ import annotations

from typing import Any

import pytest

import diptych.torch as torch
from diptych.torch import absent


def given() -> list[Any]:
    return [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]


def values(many: Any) -> list[Any]:
    return [x.tolist() for x in many]


def test_every_name_is_there() -> None:
    assert len(absent.FOREACH) == 91
    for name in absent.FOREACH:
        function = getattr(torch, name)
        assert function.__name__ == name and function.__doc__


def test_results_are_a_tuple_and_in_place_the_list_itself() -> None:
    many = given()
    first = many[0]
    assert isinstance(torch._foreach_neg(many), tuple)
    assert torch._foreach_add_(many, 1) is many and many[0] is first
    assert values(many) == [[2.0, 3.0], [[4.0]]]


def test_numbers_lists_of_numbers_and_of_tensors() -> None:
    assert values(torch._foreach_mul(given(), [2, 10])) == [[2.0, 4.0], [[30.0]]]
    assert values(torch._foreach_add(given(), given(), alpha=2)) == [[3.0, 6.0], [[9.0]]]
    assert values(torch._foreach_maximum(given(), 2)) == [[2.0, 2.0], [[3.0]]]
    made = torch._foreach_addcdiv(given(), given(), given(), torch.tensor([1.0, 2.0]))
    assert values(made) == [[2.0, 3.0], [[5.0]]]
    assert values(torch._foreach_pow(2.0, given())) == [[2.0, 4.0], [[8.0]]]


def test_nothing_changes_where_a_list_is_too_short() -> None:
    many = given()
    with pytest.raises(RuntimeError, match="same number of tensors, got 2 and 1"):
        torch._foreach_add_(many, given()[:1])
    with pytest.raises(RuntimeError, match="same number of elements"):
        torch._foreach_mul_(many, [2.0])
    assert values(many) == values(given())
    with pytest.raises(RuntimeError, match="at least one tensor"):
        torch._foreach_add([], 1)
    with pytest.raises(TypeError, match="found element of type int at pos 0"):
        torch._foreach_sqrt([1])
