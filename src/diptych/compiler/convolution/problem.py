"""What a convolution kernel computes, the same for all three operations and every rank.

    C[row, lane] = sum over k of X[pixel + tap] * B[k, lane]

X is a (padded) image with two kinds of positions: *pixels* (image and place of the window) and
*taps* (channel and place within the window); a pixel's and a tap's offsets add. For a convolution
rows are pixels, k runs over taps, B is the weight and lanes are features. For the gradient of the
weight rows are taps, k runs over pixels and B is the result's cotangent. The gradient of the input
is a convolution of the cotangent, one for each residue of a place modulo the stride.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from diptych.core.dtypes import DType
from diptych.core.layout import Shape

Three = tuple[int, int, int]
Four = tuple[int, int, int, int]


@dataclass(frozen=True)
class Operand:
    """Where an operand lies: strides in elements over groups, lanes and four levels."""

    offset: int
    group: int
    lane: int
    levels: Four


@dataclass(frozen=True)
class Problem:
    """One kernel's work. Spatial triples have leading ones where there are fewer axes.

    ``over_taps`` says that k runs over pixels (the gradient of a weight). The levels of ``x`` are
    (image, three axes), its lane stride is over channels. The levels of ``b`` are those of k and
    those of ``c`` are those of the rows: (channel, taps) or (image, places).
    """

    dtype: DType
    over_taps: bool
    images: int
    groups: int
    channels: int
    sizes: Three
    places: Three
    taps: Three
    step: Three
    dilation: Three
    before: Three
    lanes: int
    x: Operand
    b: Operand
    c: Operand
    bias: bool = False

    @property
    def pixels(self) -> int:
        return self.images * math.prod(self.places)

    @property
    def window(self) -> int:
        """Taps of one channel."""
        return math.prod(self.taps)


def three(values: Shape, fill: int) -> Three:
    """One to three numbers with ``fill`` before them."""
    made = (fill,) * (3 - len(values)) + tuple(values)
    return made[0], made[1], made[2]


def four(first: int, rest: Shape) -> Four:
    return (first, *three(rest, 0))


def befores(padding: tuple[tuple[int, int], ...]) -> Shape:
    return tuple(before for before, _ in padding)


def forward(
    dtype: DType, x: tuple[Shape, Shape], weight: tuple[Shape, Shape], y: tuple[Shape, Shape],
    params: tuple[Shape, tuple[tuple[int, int], ...], Shape, int], bias: bool,
) -> Problem:  # fmt: skip
    """y = convolution(x, weight); operands are (shape, strides)."""
    stride, padding, dilation, groups = params
    (xs, xt), (ws, wt), (ys, yt) = x, weight, y
    lanes = ws[0] // groups
    return Problem(
        dtype, False, xs[0], groups, ws[1], three(xs[2:], 1), three(ys[2:], 1), three(ws[2:], 1),
        three(stride, 1), three(dilation, 1), three(befores(padding), 0), lanes,
        Operand(0, ws[1] * xt[1], xt[1], four(xt[0], xt[2:])),
        Operand(0, lanes * wt[0], wt[0], four(wt[1], wt[2:])),
        Operand(0, lanes * yt[1], yt[1], four(yt[0], yt[2:])),
        bias,
    )  # fmt: skip


def of_weight(
    dtype: DType, x: tuple[Shape, Shape], y: tuple[Shape, Shape], weight: tuple[Shape, Shape],
    params: tuple[Shape, tuple[tuple[int, int], ...], Shape, int],
) -> Problem:  # fmt: skip
    """The gradient of ``weight`` from x and the cotangent y."""
    stride, padding, dilation, groups = params
    (xs, xt), (ys, yt), (ws, wt) = x, y, weight
    lanes = ws[0] // groups
    return Problem(
        dtype, True, xs[0], groups, ws[1], three(xs[2:], 1), three(ys[2:], 1), three(ws[2:], 1),
        three(stride, 1), three(dilation, 1), three(befores(padding), 0), lanes,
        Operand(0, ws[1] * xt[1], xt[1], four(xt[0], xt[2:])),
        Operand(0, lanes * yt[1], yt[1], four(yt[0], yt[2:])),
        Operand(0, lanes * wt[0], wt[0], four(wt[1], wt[2:])),
    )  # fmt: skip


@dataclass(frozen=True)
class _Phase:
    """One axis of the places of x with one residue: which taps meet them, and where in y."""

    start: int  # the first place
    count: int
    taps: int
    dilation: int
    before: int
    first_tap: int  # the weight's tap that comes first, and the step to the next
    tap_step: int


def _phases(size: int, taps: int, step: int, dilation: int, before: int) -> list[_Phase]:
    made = []
    common = math.gcd(step, dilation)
    for residue in range(min(step, size)):
        count = -(-(size - residue) // step)
        met = [k for k in range(taps) if (residue + before - k * dilation) % step == 0]
        if not met:
            made.append(_Phase(residue, count, 0, 1, 0, 0, 0))
            continue
        # Later taps meet earlier places of y: walk them backwards, so that offsets ascend.
        lowest = (residue + before - met[-1] * dilation) // step
        made.append(
            _Phase(residue, count, len(met), dilation // common, -lowest, met[-1],
                   -(step // common))
        )  # fmt: skip
    return made


def of_input(
    dtype: DType, y: tuple[Shape, Shape], weight: tuple[Shape, Shape], x: tuple[Shape, Shape],
    params: tuple[Shape, tuple[tuple[int, int], ...], Shape, int], bias: bool,
) -> list[Problem]:  # fmt: skip
    """The gradient of x from the cotangent y: a convolution for each residue of the places."""
    stride, padding, dilation, groups = params
    (ys, yt), (ws, wt), (xs, xt) = y, weight, x
    features = ws[0] // groups
    axes = [
        _phases(*numbers)
        for numbers in zip(xs[2:], ws[2:], stride, dilation, befores(padding), strict=True)
    ]
    made = []
    for phase in itertools.product(*axes):
        tap = sum(p.first_tap * s for p, s in zip(phase, wt[2:], strict=True))
        start = sum(p.start * s for p, s in zip(phase, xt[2:], strict=True))
        tap_strides = tuple(p.tap_step * s for p, s in zip(phase, wt[2:], strict=True))
        place_strides = tuple(k * s for k, s in zip(stride, xt[2:], strict=True))
        made.append(
            Problem(
                dtype, False, ys[0], groups, features, three(ys[2:], 1),
                three(tuple(p.count for p in phase), 1), three(tuple(p.taps for p in phase), 1),
                (1, 1, 1), three(tuple(p.dilation for p in phase), 1),
                three(tuple(p.before for p in phase), 0), ws[1],
                Operand(0, features * yt[1], yt[1], four(yt[0], yt[2:])),
                Operand(tap, features * wt[0], wt[1], four(wt[0], tap_strides)),
                Operand(start, ws[1] * xt[1], xt[1], four(xt[0], place_strides)),
                bias,
            )
        )  # fmt: skip
    return made
