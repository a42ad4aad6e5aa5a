"""Tests of epilogues: bias of every access and layout, activations, accumulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diptych.compiler.contraction.epilogue import Access, Bias, Gelu, Operand, Relu, Scale
from diptych.compiler.contraction.spec import Contraction
from diptych.core import dtypes
from tests.compiler.contraction.harness import TARGETS, exact, laid_out, run, store_as

F32 = dtypes.float32
M, N, K = 21, 75, 130


def product(rng, m=M, n=N, k=K):
    return rng.standard_normal((m, k)).astype("f"), rng.standard_normal((k, n)).astype("f")


def operand(rng, access, m=M, n=N):
    """An operand of this access, broadcast to C's shape as NumPy would."""
    shape = {
        Access.SCALAR: (1, 1), Access.ROW: (m, 1), Access.COLUMN: (1, n), Access.FULL: (m, n),
    }[access]  # fmt: skip
    return np.broadcast_to(rng.standard_normal(shape).astype("f"), (m, n))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("layouts", ["rrr", "rcr", "ccc", "rrs"])
@pytest.mark.parametrize("access", Access)
def test_bias_and_relu(access, layouts, target):
    rng = np.random.default_rng(0)
    a, b = product(rng)
    bias = operand(rng, access)
    contraction = Contraction(F32, F32, F32, (Bias(Operand(access, F32)), Relu()))
    c = laid_out(np.full((M, N), np.nan, "f"), layouts[2])
    run(contraction, laid_out(a, layouts[0]), laid_out(b, layouts[1]), c, [bias], TARGETS[target])
    np.testing.assert_allclose(c, np.maximum(a @ b + bias, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("c_layout", ["r", "c"])
@pytest.mark.parametrize("layout", ["r", "c", "s"])
def test_a_residual_of_any_layout(layout, c_layout):
    rng = np.random.default_rng(1)
    a, b = product(rng)
    residual = laid_out(operand(rng, Access.FULL), layout)
    contraction = Contraction(F32, F32, F32, (Bias(Operand(Access.FULL, F32)),))
    c = run(contraction, a, b, laid_out(np.zeros((M, N), "f"), c_layout), [residual])
    np.testing.assert_allclose(c, a @ b + residual, rtol=1e-4, atol=1e-4)


def test_a_strided_bias_and_two_stages_with_operands():
    rng = np.random.default_rng(2)
    a, b = product(rng)
    wide = rng.standard_normal((1, 2 * N)).astype("f")
    bias = np.broadcast_to(wide[:, ::2], (M, N))
    scale = operand(rng, Access.SCALAR)
    stages = (Scale(Operand(Access.SCALAR, F32)), Bias(Operand(Access.COLUMN, F32)))
    c = run(Contraction(F32, F32, F32, stages), a, b, np.zeros((M, N), "f"), [scale, bias])
    np.testing.assert_allclose(c, (a @ b) * scale + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("m", [1, M])
def test_gelu(m, target):
    rng = np.random.default_rng(3)
    a, b = product(rng, m, N, 12)
    x = a @ b
    contraction = Contraction(F32, F32, F32, (Gelu(TARGETS[target]),))
    c = run(contraction, a, b, np.zeros((m, N), "f"), target=TARGETS[target])
    expected = x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    np.testing.assert_allclose(c, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("out", [dtypes.float32, dtypes.bfloat16])
@pytest.mark.parametrize("k", [0, 40, 1300])
@pytest.mark.parametrize("layouts", ["rr", "rc", "ss"])
def test_accumulation_starts_from_c_and_stages_come_last(layouts, k, out):
    rng = np.random.default_rng(4)
    a, b = product(rng, k=k)
    start = store_as(rng.standard_normal((M, N)), out)
    c = laid_out(start, layouts[0])
    bias = operand(rng, Access.COLUMN)
    contraction = Contraction(
        F32, F32, out, (Bias(Operand(Access.COLUMN, F32)), Relu()), accumulate=True
    )
    run(contraction, a, laid_out(b, layouts[1]), c, [bias])
    expected = np.maximum(exact(start, out) + a.astype("d") @ b.astype("d") + bias, 0)
    tolerance = 1e-4 if out is dtypes.float32 else 1e-2
    np.testing.assert_allclose(exact(c, out), expected, rtol=tolerance, atol=tolerance)


def test_an_operand_of_another_dtype_and_nan_through_relu():
    rng = np.random.default_rng(5)
    a, b = product(rng)
    a[3, 5] = np.nan
    bias = store_as(operand(rng, Access.COLUMN)[:1], dtypes.bfloat16)
    contraction = Contraction(
        F32, F32, F32, (Bias(Operand(Access.COLUMN, dtypes.bfloat16)), Relu())
    )
    c = run(contraction, a, b, np.zeros((M, N), "f"), [np.broadcast_to(bias, (M, N))])
    assert np.isnan(c[3]).all()
    assert not np.isnan(np.delete(c, 3, 0)).any()


def test_operands_with_batches_that_do_not_join_the_rows():
    """One row for each item, and a bias that differs by item: it may not be taken as constant."""
    rng = np.random.default_rng(6)
    a = rng.standard_normal((6, 1, K)).astype("f")
    b = np.broadcast_to(rng.standard_normal((K, N)).astype("f"), (6, K, N))
    bias = rng.standard_normal((6, 1, N)).astype("f")
    contraction = Contraction(F32, F32, F32, (Bias(Operand(Access.COLUMN, F32)),))
    c = run(contraction, a, b, np.zeros((6, 1, N), "f"), [bias])
    np.testing.assert_allclose(c, a @ b + bias, rtol=1e-4, atol=1e-4)
