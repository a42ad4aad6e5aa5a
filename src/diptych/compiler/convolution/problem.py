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
class Phase:
    """A set of taps: how many along each axis, where they start in the box and in B."""

    taps: Three
    shift: Three = (0, 0, 0)
    b_offset: int = 0

    @property
    def window(self) -> int:
        return math.prod(self.taps)


@dataclass(frozen=True)
class Operand:
    """Strides of an operand in elements: over groups, lanes and four levels."""

    group: int
    lane: int
    levels: Four


@dataclass(frozen=True)
class Problem:
    """One kernel's work. Spatial triples have leading ones where there are fewer axes.

    ``over_taps`` says that k runs over pixels (the gradient of a weight). The levels of ``x`` are
    (image, three axes), its lane stride is over channels. The levels of ``b`` are those of k and
    those of ``c`` are those of the rows: (channel, taps) or (image, places).

    The gradient of an input has a phase for each residue of its places modulo the stride: the
    phases share the pixels, and their results interleave. ``c`` then steps from place to place.
    """

    dtype: DType
    over_taps: bool
    images: int
    groups: int
    channels: int
    sizes: Three
    places: Three
    step: Three
    dilation: Three
    before: Three
    lanes: int
    x: Operand
    b: Operand
    c: Operand
    phases: tuple[Phase, ...]
    bias: bool = False
    residues: Three = (1, 1, 1)
    out_step: Three = (1, 1, 1)
    out_sizes: Three = (1, 1, 1)

    @property
    def pixels(self) -> int:
        return self.images * math.prod(self.places)

    @property
    def window(self) -> int:
        """Taps of one channel in the phase that has the most."""
        return max(phase.window for phase in self.phases)

    @property
    def depth(self) -> int:
        """Steps along k of all phases."""
        return self.channels * sum(phase.window for phase in self.phases)

    @property
    def reach(self) -> Three:
        """How far taps lie from the first place a pixel may meet."""
        far = [
            max(p.shift[axis] + max(p.taps[axis] - 1, 0) * self.dilation[axis] for p in self.phases)
            for axis in range(3)
        ]
        return far[0], far[1], far[2]


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
        dtype, False, xs[0], groups, ws[1], three(xs[2:], 1), three(ys[2:], 1),
        three(stride, 1), three(dilation, 1), three(befores(padding), 0), lanes,
        Operand(ws[1] * xt[1], xt[1], four(xt[0], xt[2:])),
        Operand(lanes * wt[0], wt[0], four(wt[1], wt[2:])),
        Operand(lanes * yt[1], yt[1], four(yt[0], yt[2:])),
        (Phase(three(ws[2:], 1)),), bias,
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
        dtype, True, xs[0], groups, ws[1], three(xs[2:], 1), three(ys[2:], 1),
        three(stride, 1), three(dilation, 1), three(befores(padding), 0), lanes,
        Operand(ws[1] * xt[1], xt[1], four(xt[0], xt[2:])),
        Operand(lanes * yt[1], yt[1], four(yt[0], yt[2:])),
        Operand(lanes * wt[0], wt[0], four(wt[1], wt[2:])),
        (Phase(three(ws[2:], 1)),),
    )  # fmt: skip


@dataclass(frozen=True)
class _Residue:
    """Places of x along one axis with one residue: which taps meet them, and where in y."""

    taps: int
    before: int
    first_tap: int  # the weight's tap that comes first


def _residues(size: int, taps: int, step: int, dilation: int, before: int) -> list[_Residue]:
    made = []
    for residue in range(min(step, size)):
        met = [k for k in range(taps) if (residue + before - k * dilation) % step == 0]
        if met:
            # Later taps meet earlier places of y: walk them backwards, so that offsets ascend.
            lowest = (residue + before - met[-1] * dilation) // step
            made.append(_Residue(len(met), -lowest, met[-1]))
        else:
            made.append(_Residue(0, 0, 0))
    return made


def of_input(
    dtype: DType, y: tuple[Shape, Shape], weight: tuple[Shape, Shape], x: tuple[Shape, Shape],
    params: tuple[Shape, tuple[tuple[int, int], ...], Shape, int], bias: bool,
) -> Problem:  # fmt: skip
    """The gradient of x from the cotangent y: a phase for each residue of the places."""
    stride, padding, dilation, groups = params
    (ys, yt), (ws, wt), (xs, xt) = y, weight, x
    features = ws[0] // groups
    axes = [
        _residues(*numbers)
        for numbers in zip(xs[2:], ws[2:], stride, dilation, befores(padding), strict=True)
    ]
    common = [math.gcd(s, d) for s, d in zip(stride, dilation, strict=True)]
    tap_strides = tuple(-(s // g) * t for s, g, t in zip(stride, common, wt[2:], strict=True))
    before = [max([r.before for r in axis if r.taps], default=0) for axis in axes]
    phases = []
    for chosen in itertools.product(*axes):
        shift = [b - r.before if r.taps else 0 for b, r in zip(before, chosen, strict=True)]
        start = sum(r.first_tap * t for r, t in zip(chosen, wt[2:], strict=True))
        taps = tuple(r.taps for r in chosen)
        phases.append(Phase(three(taps, 1), three(tuple(shift), 0), start))
    return Problem(
        dtype, False, ys[0], groups, features, three(ys[2:], 1),
        three(tuple(-(-n // s) for n, s in zip(xs[2:], stride, strict=True)), 1), (1, 1, 1),
        three(tuple(d // g for d, g in zip(dilation, common, strict=True)), 1),
        three(tuple(before), 0), ws[1],
        Operand(features * yt[1], yt[1], four(yt[0], yt[2:])),
        Operand(features * wt[0], wt[1], four(wt[0], tap_strides)),
        Operand(ws[1] * xt[1], xt[1], four(xt[0], xt[2:])),
        tuple(phases), bias, three(tuple(len(axis) for axis in axes), 1), three(stride, 1),
        three(xs[2:], 1),
    )  # fmt: skip


def of_input_spread(
    dtype: DType, y: tuple[Shape, Shape], weight: tuple[Shape, Shape], x: tuple[Shape, Shape],
    params: tuple[Shape, tuple[tuple[int, int], ...], Shape, int], bias: bool,
) -> tuple[Problem, Three]:  # fmt: skip
    """The gradient of x as one convolution of the cotangent with its elements a stride apart.

    The second result is how far apart they lie.
    """
    stride, padding, dilation, groups = params
    (ys, yt), (ws, wt), (xs, xt) = y, weight, x
    features, taps = ws[0] // groups, ws[2:]
    before = tuple(
        d * (k - 1) - b for d, k, b in zip(dilation, taps, befores(padding), strict=True)
    )
    last = sum((k - 1) * t for k, t in zip(taps, wt[2:], strict=True))
    made = Problem(
        dtype, False, ys[0], groups, features, three(ys[2:], 1), three(xs[2:], 1), (1, 1, 1),
        three(dilation, 1), three(before, 0), ws[1],
        Operand(features * yt[1], yt[1], four(yt[0], yt[2:])),
        Operand(features * wt[0], wt[1], four(wt[0], tuple(-t for t in wt[2:]))),
        Operand(ws[1] * xt[1], xt[1], four(xt[0], xt[2:])),
        (Phase(three(taps, 1), b_offset=last),), bias,
    )  # fmt: skip
    return made, three(stride, 1)
