"""MCG31 against its recurrence, and the Bernoulli numbers recorded from MKL's VSL."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from diptych.core.random.mcg31 import MODULUS, MULTIPLIER, mcg31_below, mcg31_states

# viRngBernoulli(ICDF) on vslNewStream(VSL_BRNG_MCG31, seed), MKL 2026.2.
RECORDED = {
    (0, 0.3): "1001100001100010000001101100010100000000",
    (42, 0.5): "1110110011111100000000100111100010100000",
    (2147483647, 0.3): "1001100001100010000001101100010100000000",
    (3000000000, 0.8): "1111110101101011101001101111011111101011",
}


@pytest.mark.parametrize(("seed", "probability"), list(RECORDED))
def test_bernoulli_is_vsls(seed: int, probability: float) -> None:
    got = mcg31_below(seed, 40, probability)
    assert "".join("01"[bit] for bit in got.astype(int)) == RECORDED[seed, probability]


def test_a_long_run_is_vsls() -> None:
    got = mcg31_below(123456789, 10_000, 0.9)
    assert hashlib.sha256(got.tobytes()).hexdigest()[:16] == "d5294d9ddace2097"


def test_certain_and_impossible() -> None:
    assert mcg31_below(5, 9000, 1.0).all()
    assert not mcg31_below(5, 9000, 0.0).any()


@pytest.mark.parametrize("seed", [0, 1, 42, MODULUS, 2**32 - 1])
def test_blocks_follow_the_recurrence(seed: int) -> None:
    state = seed % MODULUS or 1
    expected = []
    for _ in range(9000):
        expected.append(state)
        state = state * MULTIPLIER % MODULUS
    np.testing.assert_array_equal(mcg31_states(seed, 9000), expected)
    for skip in (1, 4095, 4096, 5000):
        np.testing.assert_array_equal(mcg31_states(seed, 100, skip), expected[skip : skip + 100])


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="count -1"):
        mcg31_states(1, -1)
