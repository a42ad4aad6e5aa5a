"""Philox against the published test vectors, and its counter's carries."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.core.random.philox import philox_bits, philox_blocks, philox_scattered

# Random123's known answers for philox4x32, 10 rounds: counter, key, draws, each low word first.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def join(words: tuple[int, ...]) -> int:
    return sum(word << 32 * i for i, word in enumerate(words))


@pytest.mark.parametrize(("counter", "key", "draws"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, ...], draws: object) -> None:
    assert tuple(philox_blocks(join(key), join(counter), 1)[0].tolist()) == draws


@pytest.mark.parametrize("start", [0, 2**32 - 5000, 2**64 - 3, 2**96 - 1, 2**128 - 2])
def test_long_runs_carry_as_single_blocks(start: int) -> None:
    run = philox_blocks(99, start, 10_000)
    for index in (0, 1, 2, 3, 4095, 4096, 4999, 5000, 5001, 9999):
        np.testing.assert_array_equal(run[index], philox_blocks(99, start + index, 1)[0])


def test_scattered_blocks_are_those_of_a_run() -> None:
    index = np.array([5, 0, 77], np.uint64)
    zero = np.zeros(3, np.uint64)
    run = philox_blocks(12345678901, 0, 78)
    np.testing.assert_array_equal(
        philox_scattered(12345678901, [index, zero, zero, zero]), run[[5, 0, 77]]
    )


def test_bits_cut_the_last_block() -> None:
    np.testing.assert_array_equal(philox_bits(1, 0, 6), philox_blocks(1, 0, 2).reshape(-1)[:6])
    assert philox_bits(1, 0, 0).shape == (0,)
    with pytest.raises(ValueError, match="negative"):
        philox_bits(1, 0, -1)
