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
        self.skips = np.zeros((batch, width), bool)
        self.skips[:, 2:] = (self.labels[:, 2:] != blank) & (
            self.labels[:, 2:] != self.labels[:, :-2]
        )
        self.steps = steps
        self.last = 2 * lengths  # the blank after the last label
        self.rows = np.arange(batch)

    def forward(self) -> Array:
        """alpha[t, n, s]: log probability of all beginnings that stand at s at time t."""
        alpha = np.full_like(self.emitted, -np.inf)
        if not alpha.shape[0]:
            return alpha
        alpha[0, :, 0] = self.emitted[0, :, 0]
        has = self.last > 0
        alpha[0, has, 1:2] = self.emitted[0, has, 1:2]
        for t in range(1, alpha.shape[0]):
            before = alpha[t - 1]
            alpha[t] = self._joined(before, 1, self.skips) + self.emitted[t]
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
        beta = np.full_like(self.emitted, -np.inf)
        skips = np.zeros_like(self.skips)
        skips[:, :-2] = self.skips[:, 2:]
        for t in reversed(range(beta.shape[0])):
            if t + 1 < beta.shape[0]:
                beta[t] = self._joined(beta[t + 1], -1, skips) + self.emitted[t]
            ending = self.rows[self.steps == t + 1]
            beta[t, ending] = -np.inf
            for place in (self.last[ending], np.maximum(self.last[ending] - 1, 0)):
                beta[t, ending, place] = self.emitted[t, ending, place]
        return beta

    @staticmethod
    def _joined(values: Array, direction: int, skips: Array) -> Array:
        """log(exp(v[s]) + exp(v[s - d]) + exp(v[s - 2d]) where one may skip)."""
        one, two = np.full_like(values, -np.inf), np.full_like(values, -np.inf)
        if direction > 0:
            one[:, 1:], two[:, 2:] = values[:, :-1], values[:, :-2]
        else:
            one[:, :-1], two[:, :-2] = values[:, 1:], values[:, 2:]
        two = np.where(skips, two, -np.inf)
        top = np.maximum(np.maximum(values, one), two)
        level = np.where(np.isneginf(top), 0.0, top)
        with np.errstate(divide="ignore"):
            total = np.exp(values - level) + np.exp(one - level) + np.exp(two - level)
            return np.asarray(np.log(total) + level)


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
