"""The vectorised shuffle against swapping one by one."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.core.random.permutation import forward_shuffle


@pytest.mark.parametrize("count", [0, 1, 2, 5, 191, 192, 193, 400, 3000])
@pytest.mark.parametrize("kind", ["drawn", "itself", "last", "next", "few"])
def test_against_the_loop(count: int, kind: str) -> None:
    drawn = np.random.default_rng(count)
    place = np.arange(count)
    targets = {
        "drawn": drawn.integers(place, max(count, 1)),
        "itself": place,
        "last": np.full(count, count - 1),
        "next": np.minimum(place + 1, count - 1),
        "few": np.maximum(place, drawn.integers(0, 10, count) * count // 10),
    }[kind].astype(np.uint32)
    values = list(range(count))
    for i, target in enumerate(targets.tolist()):
        values[i], values[target] = values[target], values[i]
    result = forward_shuffle(targets)
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, values)
