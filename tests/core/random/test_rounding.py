"""Fused multiply-add against exact rational arithmetic, and the C library's functions in bulk."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from diptych.core import dtypes
from diptych.core.random import libm
from diptych.core.random.rounding import fma32, fma64, narrow


@pytest.mark.parametrize("seed", range(6))
def test_fma64_rounds_once(seed: int) -> None:
    draw = random.Random(seed)
    b = draw.uniform(-2, 2) * 10 ** draw.randint(-3, 3)
    c = draw.uniform(-2, 2) * 10 ** draw.randint(-3, 3)
    a = np.random.default_rng(seed).standard_normal(400)
    a[0], a[1] = -c / b, 0.0  # cancellation leaves only the product's error
    exact = [float(Fraction(x) * Fraction(b) + Fraction(c)) for x in a.tolist()]
    np.testing.assert_array_equal(fma64(a, b, c), exact)
    assert (a * b + c != exact).any()


def test_fma64_keeps_what_is_not_finite() -> None:
    got = fma64(np.array([np.inf, -np.inf, np.nan]), 0.3, 0.7)
    np.testing.assert_array_equal(got, [np.inf, -np.inf, np.nan])


def test_fma32_rounds_once() -> None:
    a = np.random.default_rng(0).standard_normal(400).astype(np.float32)
    b, c = np.float32(1.7), np.float32(0.3)
    exact = [float(Fraction(x) * Fraction(float(b)) + Fraction(float(c))) for x in a.tolist()]
    np.testing.assert_array_equal(fma32(a, b, c), np.array(exact).astype(np.float32))
    assert (a * b + c != fma32(a, b, c)).any()


def test_narrow_goes_to_half_through_single() -> None:
    # Just above halfway between two halves, by less than a float32 can tell: a tie there, to even.
    value = np.array([1.0 + 2.0**-11 + 2.0**-40])
    assert narrow(value, dtypes.float16)[0] == 1.0
    assert np.isinf(narrow(np.array([1e6]), dtypes.float16)[0])


def test_float64_functions_are_the_c_librarys() -> None:
    angle = np.random.default_rng(1).random(5000) * 2 * math.pi
    cosine, sine = libm.cos_sin(angle)
    np.testing.assert_array_equal(cosine, libm.by_libm(math.cos, angle))
    np.testing.assert_array_equal(sine, libm.by_libm(math.sin, angle))


def test_float32_functions_are_within_an_ulp_of_exact() -> None:
    # Bit equality with glibc is what the TensorFlow numbers recorded in this folder test.
    x = np.append(np.random.default_rng(2).random(5000), [1.0, 0.7, 1e-7, 2.0**-23])
    x = x.astype(np.float32)
    got, want = libm.log_float32(x), np.log(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_max_ulp(got, want, 1)
    angle = (x * np.float32(6.28)).astype(np.float32)
    for found, exact in zip(libm.cos_sin_float32(angle), (np.cos, np.sin), strict=True):
        want = exact(angle.astype(np.float64)).astype(np.float32)
        np.testing.assert_array_max_ulp(found, want, 1)
