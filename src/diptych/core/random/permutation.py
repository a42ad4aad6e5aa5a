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
    index = np.arange(count, dtype=np.int64)
    # One sort groups the swaps by target, each group in order of time.
    ordered = np.sort(targets.astype(np.int64) << 32 | index)
    target, time = ordered >> 32, ordered & 0xFFFFFFFF
    follows = np.empty(count, bool)  # the group's earlier swap is the neighbour on the left
    follows[0] = False
    np.equal(target[1:], target[:-1], out=follows[1:])
    previous = np.full(count, -1, np.int64)  # of each swap: the earlier one with its target
    at = np.flatnonzero(follows)
    previous[time[at]] = time[at - 1]
    # The last swap aimed at place p before p's own turn; p's own swap may be in its group, last.
    origin = index.copy()
    last = np.append(target[1:] != target[:-1], True)
    place, when = target[last], time[last]
    own = when == place
    when[own] = previous[place[own]]
    linked = when >= 0
    origin[place[linked]] = when[linked]
    while True:
        further = origin[origin]
        if np.array_equal(further, origin):
            break
        origin = further
    # origin[i] is now what lies at place i in its turn.
    return np.where(previous >= 0, origin[previous], targets)


def _one_by_one(targets: list[int]) -> Array:
    values = list(range(len(targets)))
    for i, target in enumerate(targets):
        values[i], values[target] = values[target], values[i]
    return np.array(values, np.int64)
