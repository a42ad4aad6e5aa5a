"""The generator's seeds, raw draws and state bytes, as PyTorch's."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from diptych.core.random.mt19937 import STATE_BYTES, Generator, mt19937_bits


def test_draws_are_the_reference_twisters() -> None:
    # The first draws after init_genrand(5489), from Matsumoto and Nishimura's reference code.
    generator = Generator(5489)
    assert [generator.random() for _ in range(3)] == [3499211612, 581869302, 3890346734]
    assert int(Generator(5489).bits(10_000)[-1]) == 4123659995


def test_single_draws_and_blocks_are_one_stream() -> None:
    one, many = Generator(1), Generator(1)
    drawn = [one.random() for _ in range(1500)]
    parts = [many.bits(count) for count in (0, 5, 63, 64, 700, 668)]
    np.testing.assert_array_equal(np.concatenate(parts), drawn)
    assert one.random64() == many.bits64(1)[0]
    np.testing.assert_array_equal(mt19937_bits(one, 70), many.bits(70))


def test_seeds_wrap_as_pytorchs() -> None:
    assert Generator(-1).initial_seed() == 2**64 - 1
    assert Generator(-5).initial_seed() == 2**64 - 5
    assert Generator(2**32 + 3).initial_seed() == 2**32 + 3
    assert Generator(2**32 + 3).random() == Generator(3).random()
    assert Generator().initial_seed() == 67280421310721
    for seed in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match="-2\\*\\*63"):
            Generator(seed)


def test_seed_from_entropy_is_kept() -> None:
    generator = Generator(1)
    seed = generator.seed()
    assert 0 <= seed < 2**53 and generator.initial_seed() == seed
    assert generator.random() == Generator(seed).random()


def test_state_bytes_are_those_recorded_from_pytorch() -> None:
    # torch.manual_seed(42); get_rng_state(); then randn(3), whose fourth normal is kept.
    fresh = Generator(42).get_state()
    assert fresh.shape == (STATE_BYTES,) and fresh.dtype == np.uint8
    assert hashlib.sha256(fresh.tobytes()).hexdigest()[:16] == FRESH
    from diptych.core.random.torch_stream import randn

    generator = Generator(42)
    randn(generator, (3,))
    assert hashlib.sha256(generator.get_state().tobytes()).hexdigest()[:16] == AFTER_RANDN


FRESH = "5feb54a46230d321"
AFTER_RANDN = "465eb69e777fa921"


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625, 1248])
def test_state_goes_both_ways(drawn: int) -> None:
    generator = Generator(7)
    generator.bits(drawn)
    generator.next_double_normal = 0.25
    generator.next_float_normal = -1.5
    state = generator.get_state()
    other = Generator(1).set_state(state)
    np.testing.assert_array_equal(other.get_state(), state)
    assert (other.next_double_normal, other.next_float_normal) == (0.25, -1.5)
    assert other.initial_seed() == 7
    twin = generator.clone()
    expected = generator.bits(2000)
    np.testing.assert_array_equal(other.bits(2000), expected)
    np.testing.assert_array_equal(twin.bits(2000), expected)


def test_a_bad_state_is_refused_and_changes_nothing() -> None:
    generator = Generator(7)
    before = generator.get_state()
    broken = before.copy()
    broken[8:12] = 255  # left becomes -1
    for state in (np.zeros(5, np.uint8), before.astype(np.int32), broken, np.zeros(5056, np.uint8)):
        with pytest.raises(ValueError, match="set_state"):
            generator.set_state(state)
    np.testing.assert_array_equal(generator.get_state(), before)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        mt19937_bits(Generator(1), -1)
