"""Batching rules: many samples at once are what each sample gives alone."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from diptych.core import call, dtypes
from diptych.core.operation import Operation
from diptych.core.tensor import Tensor, copy_array
from diptych.ops.batching import RULES
from diptych.transforms import mapping

SIZE = 3


def varied(array: Any, place: int) -> Any:
    """Another value of the same kind for each sample; indices stay within their bounds."""
    array = np.asarray(array)
    return np.roll(array, place) if array.dtype.kind in "iub" else array * (1 + place) - place


@pytest.mark.parametrize("op", RULES, ids=lambda op: op.name)
def test_rule_is_a_loop_over_samples(op: Operation) -> None:
    tried = 0
    for sample in itertools.islice(op.samples(), 4):
        arrays = [np.asarray(a) for a in sample.operands]
        if any(a.dtype not in dtypes.BY_NUMPY for a in arrays):
            continue
        which = list(itertools.product((None, 0, 1), repeat=len(arrays)))[1:]
        for axes in which[:: max(1, len(which) // 9)]:
            if any(
                axis is not None and axis > a.ndim for axis, a in zip(axes, arrays, strict=True)
            ):
                continue
            check(op, arrays, axes, sample.params)
            tried += 1
    assert tried


def check(op: Operation, arrays: list[Any], axes: tuple[Any, ...], params: Any) -> None:
    if all(axis is None for axis in axes):
        return
    each = [
        [varied(a, place) if axis is not None else a for a, axis in zip(arrays, axes, strict=True)]
        for place in range(SIZE)
    ]
    whole = [
        a if axis is None else np.stack([row[k] for row in each], axis)
        for k, (a, axis) in enumerate(zip(arrays, axes, strict=True))
    ]
    with mapping(SIZE, "error") as level:
        operands = [
            copy_array(w, Tensor)
            if axis is None
            else level.sample(copy_array(w, Tensor), axis, Tensor)
            for w, axis in zip(whole, axes, strict=True)
        ]
        value, axis = level.value(call.apply(op, *operands, params=params))
    assert axis is not None, "an operand was mapped, so the result is"
    made = np.moveaxis(value.array(), axis, 0)
    for place in range(SIZE):
        alone = call.apply(op, *[copy_array(a, Tensor) for a in each[place]], params=params)
        np.testing.assert_allclose(made[place], alone.array(), rtol=2e-4, atol=2e-4)
