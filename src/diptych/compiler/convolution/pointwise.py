"""Convolutions of one tap, without strides or padding: products of matrices, one for each image.

The contraction kernel reads both operands where they lie and chooses its own cuts. It is the
quicker one where planes are large, where there is but one image, and where features are few. The
gradient of a weight sums over the images too: it is a product where they and the places are one
axis (a single image, or channels last).
"""

from __future__ import annotations

from diptych.compiler.contraction.epilogue import Access, Bias, Operand
from diptych.compiler.contraction.plan import LARGEST, Strided
from diptych.compiler.contraction.plan import plan as plan_product
from diptych.compiler.contraction.spec import Contraction
from diptych.compiler.convolution.problem import Operand as Levels
from diptych.compiler.convolution.problem import Problem
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit

_PLACES = 256  # of an image, from which its product alone is large enough
_GROUP = 256  # numbers in a group's weight; products of smaller ones cost more to start than to do
_WEIGHTS = 1 << 14  # numbers in a weight from which its gradient is


def _pixels(problem: Problem, operand: Levels) -> tuple[int, bool] | None:
    """(elements from place to place, whether images follow in the same steps), or None."""
    stride: int | None = None
    run = 1
    for extent, level in zip(problem.places[::-1], operand.levels[:0:-1], strict=True):
        if extent != 1:
            if stride is None:
                stride = level
            elif level != stride * run:
                return None
            run *= extent
    if stride is None:  # one place: the images are a matrix of their own
        return operand.levels[0], True
    return stride, problem.images == 1 or operand.levels[0] == stride * run


def plan(problem: Problem, target: Target) -> tuple[CodeUnit, tuple[int, ...]] | None:
    """The kernel and its descriptor, or None where it is no product or another kernel is quicker.

    Pointers: X, B, the bias if there is one, C.
    """
    if not _one_tap(problem) or problem.sizes != problem.places:
        return None
    if problem.groups > 1 and problem.channels * problem.lanes < _GROUP:
        return None
    y = problem.b if problem.over_taps else problem.c
    here, there = _pixels(problem, problem.x), _pixels(problem, y)
    if here is None or there is None:
        return None
    (x_step, x_merged), (y_step, y_merged) = here, there
    merged = x_merged and y_merged
    places = problem.places[0] * problem.places[1] * problem.places[2]
    images = 1 if merged else problem.images
    pixels = places * (problem.images if merged else 1)
    channels, lanes = problem.channels, problem.lanes
    if max(pixels, channels, lanes) >= LARGEST:
        return None
    if problem.over_taps:
        if images > 1 or channels * lanes < _WEIGHTS:
            return None
        groups = Strided(problem.x.lane, x_step, (problem.x.group,))
        made, numbers = plan_product(
            _contraction(problem), channels, lanes, pixels, groups,
            Strided(y_step, y.lane, (y.group,)),
            Strided(problem.c.levels[0], problem.c.lane, (problem.c.group,)), (),
            (problem.groups,), target=target,
        )  # fmt: skip
        return made, tuple(numbers)
    if images > 1 and pixels < _PLACES and lanes > 4:
        return None
    made, numbers = plan_product(
        _contraction(problem), pixels, lanes, channels,
        Strided(x_step, problem.x.lane, (problem.x.levels[0], problem.x.group)),
        Strided(problem.b.levels[0], problem.b.lane, (0, problem.b.group)),
        Strided(y_step, y.lane, (y.levels[0], y.group)),
        [Strided(0, 1, (0, lanes))] if problem.bias else [],
        (images, problem.groups), target=target,
    )  # fmt: skip
    return made, tuple(numbers)


def _one_tap(problem: Problem) -> bool:
    """One tap at each place, on the place itself."""
    return (
        len(problem.phases) == 1
        and problem.phases[0].window == 1
        and problem.phases[0].b_offset == 0
        and problem.step == (1, 1, 1)
        and problem.before == (0, 0, 0)
        and problem.out_step == (1, 1, 1)
    )


def _contraction(problem: Problem) -> Contraction:
    dtype = problem.dtype
    stages = (Bias(Operand(Access.COLUMN, dtype)),) if problem.bias else ()
    return Contraction(dtype, dtype, dtype, stages)
