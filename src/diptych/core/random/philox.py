"""The counter-based stream Philox 4x32-10 (Salmon et al., 2011), many counters at a time."""

from __future__ import annotations

import numpy as np

from diptych.core.random.rounding import Array

_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MULTIPLIER_0, _MULTIPLIER_2 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85
_CHUNK = 4096  # counters worked on at once: the temporaries stay in the cache


def philox_bits(key: int, counter: int, count: int) -> Array:
    """``count`` raw 32-bit draws (uint32) from a 64-bit key and a 128-bit counter.

    The counter names a block of four draws; the blocks follow in the order of the counter.
    """
    if count < 0:
        raise ValueError(f"philox_bits: count {count} is negative; it must be 0 or more")
    blocks = -(-count // 4)
    return philox_blocks(key, counter, blocks).reshape(-1)[:count]


def philox_blocks(key: int, counter: int, blocks: int) -> Array:
    """Blocks ``counter`` to ``counter + blocks`` of four draws each (uint32, blocks by 4)."""
    out = np.empty((blocks, 4), np.uint32)
    for start in range(0, blocks, _CHUNK):
        size = min(_CHUNK, blocks - start)
        first = (counter + start) % (1 << 128)
        words = [np.empty(size, np.uint64) for _ in range(4)]
        words[0][...] = np.arange(size, dtype=np.uint64)
        words[0] += np.uint64(first & 0xFFFFFFFF)
        # A carry out of the lowest word within this chunk; further carries follow from it.
        wraps = (first & 0xFFFFFFFF) + size > 1 << 32
        for position in (1, 2, 3):
            words[position].fill(first >> 32 * position & 0xFFFFFFFF)
        if wraps:
            at = (1 << 32) - (first & 0xFFFFFFFF)
            words[0] &= _MASK
            after = first + at
            for position in (1, 2, 3):
                words[position][at:] = after >> 32 * position & 0xFFFFFFFF
        _rounds(words, key)
        for position in range(4):
            out[start : start + size, position] = words[position]
    return out


def philox_scattered(key: int, counters: list[Array]) -> Array:
    """The blocks of four draws at counters given as four words each (uint64 arrays below 2**32)."""
    words = [np.array(word, np.uint64) for word in counters]
    _rounds(words, key)
    return np.stack(words, axis=-1).astype(np.uint32)


def _rounds(words: list[Array], key: int) -> None:
    """Ten rounds in place, each word below 2**32 in a uint64."""
    key_0, key_1 = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    zero, one, two, three = words
    spare = np.empty_like(zero)
    for _ in range(10):
        np.multiply(two, _MULTIPLIER_2, out=spare)
        np.multiply(zero, _MULTIPLIER_0, out=two)
        # spare holds the product whose halves become words 0 and 1, two that of words 2 and 3.
        np.right_shift(spare, _SHIFT, out=zero)
        zero ^= one
        zero ^= np.uint64(key_0)
        np.bitwise_and(spare, _MASK, out=one)
        np.right_shift(two, _SHIFT, out=spare)
        spare ^= three
        spare ^= np.uint64(key_1)
        np.bitwise_and(two, _MASK, out=three)
        two, spare = spare, two
        key_0 = (key_0 + _WEYL_0) & 0xFFFFFFFF
        key_1 = (key_1 + _WEYL_1) & 0xFFFFFFFF
    words[:] = zero, one, two, three
