"""What is the same along most of a nest's space is stored once: in batch norms over images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from diptych import engine
from diptych.compiler.lower import lower
from diptych.compiler.steps import KernelStep
from diptych.core.dtypes import float32
from diptych.core.layout import Layout, layout
from diptych.core.tensor import Tensor, copy_array
from diptych.graph.trace import trace
from diptych.ops.arithmetic import add, div, mul, sub
from diptych.ops.movement import broadcast_to
from diptych.ops.reduction import sum_
from diptych.ops.transcendental import rsqrt
from tests.compiler.contraction.harness import TARGETS

ROWS, COLUMNS = 2048, 24


def nests(function: Callable[..., Any], *places: Layout) -> list[str]:
    steps = lower(trace(function, places), TARGETS["avx512"]).steps
    return [dict(s.unit.key)["nest"] for s in steps if isinstance(s, KernelStep)]


def normalized(x: Tensor, weight: Tensor) -> Tensor:
    """Columns shifted by their means, and scaled by what a division and a root make."""
    count = x.layout.shape[0]
    mean = div(sum_(x, (0,)), float(count))
    scale = mul(rsqrt(add(div(sum_(mul(x, x), (0,)), float(count)), 1e-5)), weight)
    return mul(sub(x, mean), scale)


def image(rows: int) -> tuple[Layout, Layout]:
    return layout(float32, (rows, COLUMNS)), layout(float32, (COLUMNS,))


def test_coefficients_of_columns_are_made_once() -> None:
    *_, last = nests(normalized, *image(ROWS))
    assert "div" not in last and "sqrt" not in last, last


def test_few_elements_are_worth_no_other_kernel() -> None:
    assert len(nests(normalized, *image(64))) < len(nests(normalized, *image(ROWS)))


def test_a_number_for_all_stays_in_the_kernel() -> None:
    places = layout(float32, (ROWS, COLUMNS)), layout(float32, ())
    (only,) = nests(lambda x, s: mul(x, div(rsqrt(s), 3.0)), *places)
    assert "sqrt" in only


def test_operands_of_half_the_extents_are_not_stored() -> None:
    def spread(x: Tensor, w: Tensor) -> Tensor:
        return mul(x, broadcast_to(div(rsqrt(w), 3.0), x.layout.shape))

    places = layout(float32, (4, 64, 256)), layout(float32, (1, 64, 256))
    assert "div" in nests(spread, *places)[-1]


@pytest.mark.native
@pytest.mark.parametrize("columns", [1, 5, 24, 130])
def test_values_are_the_interpreters(columns: int) -> None:
    random = np.random.default_rng(columns)
    x = random.normal(size=(1 << 15, columns)).astype(np.float32)
    weight = random.normal(size=columns).astype(np.float32)
    operands = [copy_array(y, Tensor) for y in (x, weight)]
    graph = trace(normalized, [y.layout for y in operands])
    (got,) = engine.NativeBackend().compile(graph).run(operands)
    (wanted,) = engine.ReferenceExecutable(graph).run(operands)
    np.testing.assert_allclose(got.values(), wanted.values(), 1e-4, 1e-5)
