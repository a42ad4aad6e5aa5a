"""Shuffles whose swaps follow one another, worked out for all elements at once."""

from __future__ import annotations

import numpy as np

from diptych.core.random.rounding import Array

_SMALL = 192  # under this a Python loop is quicker than a dozen NumPy calls


def forward_shuffle(targets: Array) -> Array:
    """The result of swapping i with targets[i] (at least i), i = 0, 1, ..., on 0 .. n - 1 (int64).

    The swaps depend on each other, but only through chains. Swap i takes what lies at targets[i]
    and leaves there what lay at i; nothing later touches place i. So what swap i takes is what the
    last earlier swap with the same target left there, or, if there is none, the target itself; and
    what lies at place i when its turn comes is what the last swap k < i that aimed at i left: what
    lay at k in *its* turn. Following these links by doubling takes about log log n steps.
    """
    count = targets.size
    if count <= _SMALL:
        return _one_by_one(targets.tolist())
    # One block for all temporaries: fresh pages would cost more than the work.
    index, place, time, previous, origin = np.empty((5, count), np.int64)
    index[...] = np.arange(count)
    # One sort groups the swaps by target, each group in order of time.
    np.left_shift(targets, 32, out=place, dtype=np.int64)
    place |= index
    place.sort()
    np.bitwise_and(place, 0xFFFFFFFF, out=time)
    place >>= 32
    # Of each swap: the earlier one with its target, its left neighbour here, or itself for none.
    earlier = origin
    same = place[1:] == place[:-1]
    np.subtract(time[1:], time[:-1], out=earlier[1:])
    earlier[0] = 0
    earlier[1:] *= same
    np.subtract(time, earlier, out=earlier)
    previous[time] = earlier
    # Of each place: the last swap aimed at it before its turn, or itself for none. Groups are in
    # order of time, so the last one written stays; a swap with itself (a few) does not count.
    origin[...] = index
    origin[place] = time
    own = np.flatnonzero(targets == index)
    origin[own] = previous[own]
    further = time
    while True:
        np.take(origin, origin, out=further, mode="clip")
        if np.array_equal(further, origin):
            break
        origin, further = further, origin
    # origin[i] is now what lies at place i in its turn.
    return np.where(previous == index, targets, origin.take(previous))


def _one_by_one(targets: list[int]) -> Array:
    values = list(range(len(targets)))
    for i, target in enumerate(targets):
        values[i], values[target] = values[target], values[i]
    return np.array(values, np.int64)
