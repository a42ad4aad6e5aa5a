"""Tests of the naive kernel: integers, and floats as the oracle of the tiled kernel."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.compiler.contraction.epilogue import Access, Bias, Operand, Relu
from diptych.compiler.contraction.plan import Problem, naive_descriptor, naive_unit
from diptych.compiler.contraction.spec import Contraction
from diptych.core import dtypes
from tests.compiler.contraction.harness import TARGETS, call, laid_out, run, strided

TARGET = TARGETS["generic"]


@pytest.mark.parametrize("dtype", dtypes.INTEGERS, ids=str)
def test_integers_wrap_as_numpy_does(dtype):
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype.numpy)
    a = rng.integers(info.min, info.max, (2, 7, 9), dtype.numpy, endpoint=True)
    b = rng.integers(info.min, info.max, (2, 9, 5), dtype.numpy, endpoint=True)
    c = run(Contraction(dtype, dtype, dtype), laid_out(a, "c"), b, np.zeros((2, 7, 5), dtype.numpy))
    np.testing.assert_array_equal(c, a @ b)


def test_narrow_integers_widen_before_they_multiply():
    rng = np.random.default_rng(1)
    a = rng.integers(0, 255, (4, 40), np.uint8, endpoint=True)
    b = rng.integers(-128, 127, (40, 6), np.int8, endpoint=True)
    contraction = Contraction(dtypes.uint8, dtypes.int8, dtypes.int32)
    c = run(contraction, a, b, np.zeros((4, 6), np.int32))
    np.testing.assert_array_equal(c, a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
def test_it_agrees_with_the_tiles(dtype):
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal(shape).astype(dtype.numpy) for shape in ((13, 30), (30, 21)))
    bias = np.broadcast_to(rng.standard_normal(21).astype(dtype.numpy), (13, 21))
    start = rng.standard_normal((13, 21)).astype(dtype.numpy)
    stages = (Bias(Operand(Access.COLUMN, dtype)), Relu())
    contraction = Contraction(dtype, dtype, dtype, stages, accumulate=True)
    tiled, plain = start.copy(), start.copy()
    run(contraction, a, b, tiled, [bias])
    problem = Problem(13, 21, 30, strided(a), strided(b), strided(plain), (strided(bias),))
    addresses = [x.ctypes.data for x in (a, b, bias, plain)]
    call(naive_unit(contraction, TARGET), naive_descriptor(problem), addresses, TARGET)
    np.testing.assert_allclose(tiled, plain, rtol=1e-5, atol=1e-5)
