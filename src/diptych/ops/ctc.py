"""Connectionist temporal classification: the probability of a label sequence, without alignment.

Source: Graves, Fernandez, Gomez, Schmidhuber, Connectionist temporal classification, ICML 2006.
The recursions run over time for all examples and all label positions at once, in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS, int64
from diptych.core.layout import Layout, layout
from diptych.core.operation import BadCall, Params, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, ShapeError
from diptych.ops.families import primitive

Array = np.ndarray[Any, Any]
_LOWEST = -1e300


class Lattice:
    """What both recursions need: labels with blanks between them, and their log probabilities."""

    def __init__(
        self, log_probs: Array, targets: Array, steps: Array, lengths: Array, blank: int
    ) -> None:
        time, batch, _ = log_probs.shape
        width = 2 * targets.shape[1] + 1
        self.labels = np.full((batch, width), blank, np.int64)
        inside = np.arange(targets.shape[1]) < lengths[:, None]
        self.labels[:, 1::2] = np.where(inside, targets, blank)
        index = np.broadcast_to(self.labels, (time, batch, width))
        self.emitted = np.take_along_axis(log_probs.astype(np.float64), index, 2)
        # From a label one may skip the blank before it, unless the label before is the same.
        skips = np.zeros((batch, width), bool)
        skips[:, 2:] = (self.labels[:, 2:] != blank) & (self.labels[:, 2:] != self.labels[:, :-2])
        self.costs = np.where(skips, 0.0, -np.inf)
        self.room = np.empty((3, batch, width))
        self.steps = steps
        self.last = 2 * lengths  # the blank after the last label
        self.rows = np.arange(batch)

    def forward(self) -> Array:
        """alpha[t, n, s]: log probability of all beginnings that stand at s at time t."""
        time, batch, width = self.emitted.shape
        padded = np.full((time, batch, width + 2), -np.inf)  # two places before the first
        alpha = padded[:, :, 2:]
        if not time:
            return alpha
        alpha[0, :, 0] = self.emitted[0, :, 0]
        has = self.last > 0
        alpha[0, has, 1:2] = self.emitted[0, has, 1:2]
        with np.errstate(divide="ignore", invalid="ignore"):
            for t in range(1, time):
                before = padded[t - 1]
                total = self._joined(before[:, 2:], before[:, 1:-1], before[:, :-2], self.costs)
                np.add(total, self.emitted[t], out=alpha[t])
        return alpha

    def losses(self, alpha: Array) -> Array:
        """-log of the probability of every example's labels."""
        if not alpha.shape[0]:
            return np.where(self.last == 0, 0.0, np.inf)
        final = alpha[np.maximum(self.steps - 1, 0), self.rows]
        ends = final[self.rows, self.last]
        label = final[self.rows, np.maximum(self.last - 1, 0)]
        with np.errstate(all="ignore"):
            total = np.where(self.last > 0, np.logaddexp(ends, label), ends)
        return np.where(self.steps > 0, -total, np.where(self.last == 0, 0.0, np.inf))

    def backward(self) -> Array:
        """beta[t, n, s]: log probability of all endings from s at time t on."""
        time, batch, width = self.emitted.shape
        padded = np.full((time, batch, width + 2), -np.inf)  # two places behind the last
        beta = padded[:, :, :-2]
        costs = np.full_like(self.costs, -np.inf)
        costs[:, :-2] = self.costs[:, 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            for t in reversed(range(time)):
                if t + 1 < time:
                    after = padded[t + 1]
                    total = self._joined(after[:, :-2], after[:, 1:-1], after[:, 2:], costs)
                    np.add(total, self.emitted[t], out=beta[t])
                ending = self.rows[self.steps == t + 1]
                if not ending.size:
                    continue
                beta[t, ending] = -np.inf
                for place in (self.last[ending], np.maximum(self.last[ending] - 1, 0)):
                    beta[t, ending, place] = self.emitted[t, ending, place]
        return beta

    def _joined(self, here: Array, one: Array, two: Array, costs: Array) -> Array:
        """log(exp(here) + exp(one) + exp(two + costs)), none of which may overflow."""
        room = self.room
        room[0], room[1] = here, one
        np.add(two, costs, out=room[2])
        top = np.maximum.reduce(room)
        np.maximum(top, _LOWEST, out=top)  # where all are -inf, so is the sum
        np.subtract(room, top, out=room)
        np.exp(room, out=room)
        total: Array = np.add.reduce(room)
        np.log(total, out=total)
        return np.add(total, top, out=total)


def _ctc_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    x, targets, steps, lengths = layouts
    if x.dtype not in FLOATS:
        raise DTypeError(f"\"ctc\" not implemented for '{x.dtype}'", op="ctc")
    if any(place.dtype is not int64 for place in layouts[1:4]):
        raise DTypeError("ctc: targets and lengths are int64", op="ctc")
    batch = x.shape[1] if x.ndim == 3 else -1
    if targets.ndim != 2 or {targets.shape[0], *steps.shape, *lengths.shape} != {batch}:
        raise ShapeError(
            f"ctc: log probabilities are (time, batch, classes), targets (batch, labels), lengths "
            f"(batch,); got {[list(place.shape) for place in layouts]}",
            op="ctc",
        )
    return layout(x.dtype, (batch,))


def _ctc(x: Array, targets: Array, steps: Array, lengths: Array, blank: int) -> Array:
    lattice = Lattice(x, targets, steps, lengths, blank)
    return lattice.losses(lattice.forward()).astype(x.dtype)


def _slope(x: Array, targets: Array, steps: Array, lengths: Array, ct: Array, blank: int) -> Array:
    """-ct times the expected number of emissions of every class at every step."""
    time, batch, classes = x.shape
    lattice = Lattice(x, targets, steps, lengths, blank)
    alpha = lattice.forward()
    losses = lattice.losses(alpha)
    with np.errstate(all="ignore"):
        inside = np.exp(alpha + lattice.backward() - lattice.emitted + losses[:, None])
    inside = np.where(np.isneginf(lattice.emitted), 0.0, inside)
    place = (np.arange(time)[:, None] * batch + np.arange(batch))[:, :, None] * classes
    place = place + lattice.labels
    sums = np.bincount(place.reshape(-1), inside.reshape(-1), time * batch * classes)
    sums = sums.reshape(x.shape)
    live = np.arange(time)[:, None] < steps
    made = np.where(live[:, :, None], sums, 0.0)
    weight = ct[None, :, None].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(weight == 0.0, 0.0, -weight * made).astype(x.dtype)


def _small(time: int, batch: int, classes: int, labels: int) -> tuple[Array, ...]:
    generator = np.random.default_rng(time)
    raw = generator.normal(size=(time, batch, classes)).astype(np.float32)
    x = raw - np.log(np.exp(raw).sum(2, keepdims=True))
    targets = generator.integers(1, classes, (batch, labels))
    steps = np.full(batch, time)
    steps[-1] = max(1, time - 1)
    lengths = np.full(batch, labels)
    lengths[0] = max(0, labels - 1)
    return x.astype(np.float32), targets, steps, lengths


def _bad(extra: tuple[Any, ...] = ()) -> list[BadCall]:
    x, targets, steps, lengths = _small(4, 2, 3, 1)
    return [
        BadCall((x, targets[0], steps, lengths, *extra), ShapeError, "targets .batch, labels", (0,))
    ]


def _no_second_derivative(ctx: Any, ct: Any) -> Any:
    raise NotImplementedError("ctc_loss: its second derivative is not supported")


CTC_SLOPE = primitive(
    "ctc_slope", "ctc", params=("blank",), reference=_slope, tolerance=Tolerance({"float32": 1e-4}),
    infer=lambda layouts, params: layout(layouts[0].dtype, layouts[0].shape),
    vjp=_no_second_derivative,
    samples=lambda: [Sample((*_small(6, 3, 4, 2), np.ones(3, np.float32)), (0,))],
    errors=lambda: [],
)  # fmt: skip


def _ctc_vjp(ctx: Any, ct: Any) -> Any:
    return call.current.apply(CTC_SLOPE, (*ctx.x, ct), ctx.params), None, None, None


CTC = primitive(
    "ctc", "ctc", params=("blank",), infer=_ctc_infer, reference=_ctc, vjp=_ctc_vjp, saves="*",
    tolerance=Tolerance({"float32": 1e-4}), errors=_bad,
    samples=lambda: [
        Sample(_small(*sizes), (0,)) for sizes in [(6, 3, 4, 2), (9, 2, 5, 3), (3, 1, 3, 0)]
    ],
)  # fmt: skip


def ctc(x: Tensor, targets: Tensor, steps: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """-log of the probability of each example's labels under (time, batch, classes) log-probs.

    The caller has checked labels and lengths against the extents.
    """
    return call.current.apply(CTC, (x, targets, steps, lengths), (blank,))
