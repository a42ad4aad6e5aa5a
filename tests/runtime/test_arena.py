"""The memory plan: what lives together never overlaps, what is dead is reused, even in place."""

from __future__ import annotations

import numpy as np

from diptych.compiler.steps import HostStep, KernelStep, Lowered, Place, Storage
from diptych.compiler.unit import CodeUnit
from diptych.core.dtypes import float32, float64
from diptych.core.layout import row_major
from diptych.runtime.arena import plan_arena, room

UNIT = CodeUnit("kernel", (), lambda: "")


def place(storage: int, *shape: int, dtype: object = float32) -> Place:
    return Place(storage, 0, dtype, shape, row_major(shape))  # type: ignore[arg-type]


def chain(pointwise: bool, *shapes: tuple[int, ...]) -> Lowered:
    """Temporaries each made of the one before."""
    lowered = Lowered([Storage("temporary", 4 * int(np.prod(s))) for s in shapes])
    places = [place(k, *shape) for k, shape in enumerate(shapes)]
    for before, after in zip([places[0], *places], places, strict=False):
        operands = (after,) if before is after else (before, after)
        lowered.steps.append(KernelStep(UNIT, (), operands, pointwise))
    return lowered


def test_a_dead_room_is_used_again() -> None:
    offsets, size = plan_arena(chain(False, (100,), (100,), (100,), (100,)))
    assert size == 2 * 448 and offsets[0] == offsets[2] and offsets[1] == offsets[3]


def test_pointwise_results_take_the_place_of_dying_operands() -> None:
    offsets, size = plan_arena(chain(True, (100,), (100,), (100,)))
    assert size == 448 and set(offsets.values()) == {0}


def test_what_is_read_elsewhere_is_not_overwritten() -> None:
    lowered = chain(True, (100,), (100,), (100,))
    lowered.steps.append(KernelStep(UNIT, (), (place(0, 100), place(2, 100)), True))
    offsets, _ = plan_arena(lowered)
    assert offsets[0] not in (offsets[1], offsets[2])


def test_other_elements_or_sizes_do_not_share_a_place() -> None:
    for second in (place(1, 10, 10, dtype=float64), Place(1, 0, float32, (10, 10), (1, 10))):
        lowered = Lowered([Storage("temporary", 800), Storage("temporary", 800)])
        lowered.steps = [
            KernelStep(UNIT, (), (place(0, 10, 10),), True),
            KernelStep(UNIT, (), (place(0, 10, 10), second), True),
        ]
        offsets, _ = plan_arena(lowered)
        assert offsets[0] != offsets[1]
    twice = Lowered([Storage("temporary", 400), Storage("temporary", 400)])
    turned = Place(0, 0, float32, (10, 10), (1, 10))
    twice.steps = [
        KernelStep(UNIT, (), (place(0, 10, 10),), True),
        KernelStep(UNIT, (), (place(0, 10, 10), turned, place(1, 10, 10)), True),
    ]
    offsets, _ = plan_arena(twice)
    assert offsets[0] != offsets[1]


def test_drawn_programs_never_overlap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        count = int(rng.integers(1, 60))
        sizes = rng.integers(1, 500, count)
        kinds = rng.choice(["temporary", "temporary", "temporary", "output"], count)
        storages = [Storage(str(k), 4 * int(n)) for k, n in zip(kinds, sizes, strict=True)]
        lowered = Lowered(storages)
        for number in range(count):
            reads = {int(rng.integers(max(0, number - 6), number)) for _ in range(3) if number}
            places = tuple(place(k, int(sizes[k])) for k in [*sorted(reads), number])
            if rng.random() < 0.2:
                lowered.steps.append(HostStep(None, places[:-1], places[-1:]))  # type: ignore[arg-type]
            else:
                lowered.steps.append(KernelStep(UNIT, (), places))
        offsets, size = plan_arena(lowered)
        lives: dict[int, list[int]] = {}
        for number, step in enumerate(lowered.steps):
            operands = step.operands
            for one in operands if isinstance(step, KernelStep) else (*operands, *step.results):
                lives.setdefault(one.storage, []).append(number)
        assert set(offsets) == {k for k in lives if storages[k].kind == "temporary"}
        for a in offsets:
            assert offsets[a] % 64 == 0 and offsets[a] + room(storages[a]) <= size
            for b in offsets:
                together = lives[a][0] <= lives[b][-1] and lives[b][0] <= lives[a][-1]
                if a != b and together:
                    low, high = sorted((a, b), key=lambda k: offsets[k])
                    assert offsets[low] + room(storages[low]) <= offsets[high]
