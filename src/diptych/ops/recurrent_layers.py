"""One direction of a recurrent layer: the product with the input, then the recurrence.

Operands: x (its last axis the features, its rows in the order of ``steps``), W_ih, W_hh, h_0, for
an LSTM c_0, with ``biased`` b_ih and b_hh, and perhaps an LSTM's projection W_hr. Results: y, h_n,
for an LSTM c_n. A layer that will be differentiated keeps its gates; the other does not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from diptych.core import call, tape
from diptych.core.dtypes import float32
from diptych.core.operation import BadCall, Composite, NoBatching, Sample
from diptych.core.tensor import Tensor
from diptych.errors import ShapeError
from diptych.ops.arithmetic import add
from diptych.ops.contraction import dot, linear
from diptych.ops.families import draw
from diptych.ops.movement import reshape, transpose
from diptych.ops.recurrence import GATES, GRADIENT, RECURRENCE, RECURRENT, Steps
from diptych.ops.reduction import sum_


class Parts:
    """The operands of a layer by name."""

    def __init__(self, kind: str, operands: Sequence[Any], biased: bool) -> None:
        self.x, self.w_ih, self.w_hh, self.h, *rest = operands
        self.states = [self.h, *(rest[:1] if kind == "lstm" else [])]
        after = rest[1:] if kind == "lstm" else rest
        self.biases = after[:2] if biased else []
        self.projection = after[2:] if biased else after


def _flat(x: Tensor, rows: int) -> Tensor:
    shape = (rows, x.layout.shape[-1])
    return x if x.layout.shape == shape else reshape(x, shape)


def _forward(kind: str, keep: bool, given: Sequence[Any]) -> tuple[Tensor, ...]:
    *operands, biased, steps, reverse = given
    parts = Parts(kind, operands, biased)
    extra = list(parts.projection)
    bias = None
    if biased:
        bias = parts.biases[0]
        if kind == "gru":  # the reset gate multiplies the other bias
            extra = [parts.biases[1]]
        else:
            bias = add(*parts.biases)
    x = parts.x
    gates = linear(_flat(x, sum(steps)), parts.w_ih, bias)
    y, *others = call.current.apply(
        RECURRENCE, (gates, parts.w_hh, *parts.states, *extra), (kind, steps, reverse, keep)
    )
    return reshape(y, (*x.layout.shape[:-1], y.layout.shape[-1])), *others


def _vjp(kind: str, ctx: Any, cotangents: Sequence[Tensor]) -> list[Any]:
    """Cotangents of all operands; whoever compiles it drops those that nobody needs."""
    biased, steps, reverse = ctx.params
    rows = sum(steps)
    parts = Parts(kind, ctx.x, biased)
    gates, h_before, *kept = ctx.y[len(cotangents) :]
    operands = [parts.w_hh, gates, kept.pop(0) if kind == "lstm" else h_before]
    operands += [_flat(cotangents[0], rows), *cotangents[1:], *parts.projection]
    from_x, *pulled = call.current.apply(GRADIENT, operands, (kind, steps, reverse))
    from_h = pulled[1] if kind == "gru" else from_x
    made = [
        reshape(dot(from_x, parts.w_ih), parts.x.layout.shape),
        dot(transpose(from_x, (1, 0)), _flat(parts.x, rows)),
        dot(transpose(from_h, (1, 0)), h_before),
        *pulled[: len(parts.states)],
    ]
    if biased:
        total = sum_(from_x, (0,))
        made += [total, sum_(from_h, (0,)) if kind == "gru" else total]
    if parts.projection:
        made.append(dot(transpose(pulled[2], (1, 0)), kept[0]))
    return made


# ---- declarations

_SHAPES: tuple[tuple[Steps, bool, bool, bool], ...] = (
    # steps, reverse, biased, projected
    ((2, 2, 2), False, True, False),
    ((2, 1), True, False, False),
    ((3, 3, 1), False, True, True),
)


def _samples(kind: str) -> Iterable[Sample]:
    generator = np.random.default_rng(13)
    for steps, reverse, biased, projected in _SHAPES:
        if projected and kind != "lstm":
            continue
        hidden, features, batch = 3, 2, steps[0]
        state, width = 2 if projected else hidden, GATES[kind] * hidden
        equal = steps[0] == steps[-1]
        lead = (len(steps), batch) if equal else (sum(steps),)
        shapes: list[tuple[int, ...]] = [(*lead, features), (width, features), (width, state)]
        shapes += [(batch, state), *([(batch, hidden)] if kind == "lstm" else [])]
        shapes += [(width,)] * (2 if biased else 0) + [(state, hidden)] * projected
        low = 0.1 if kind == "rnn_relu" else -1.0
        arrays = [draw(generator, shape, float32, (low, 1.0)) for shape in shapes]
        yield Sample(tuple(arrays), (biased, steps, reverse))


def _bad(kind: str) -> list[BadCall]:
    width = GATES[kind]
    shapes: list[tuple[int, ...]] = [(2, 3), (width, 4), (width, 1), (2, 1)]
    shapes += [(2, 1)] if kind == "lstm" else []
    arrays = tuple(np.ones(shape, np.float32) for shape in shapes)
    return [BadCall(arrays, ShapeError, "cannot be multiplied", (False, (2,), False))]


def _layer(kind: str, keep: bool) -> Composite:
    """The layer of one kind: with ``keep`` it has a gradient of its own, and what that reads."""
    vjp: Callable[..., Any] | None = None
    if keep:

        def vjp(ctx: Any, *cotangents: Tensor) -> list[Any]:
            return _vjp(kind, ctx, cotangents)

    outputs = 3 if kind == "lstm" else 2  # what comes after them is kept, not they themselves
    return Composite(
        f"{kind}_layer" if keep else f"{kind}_layer_inference",
        forward=lambda *given: _forward(kind, keep, given),
        vjp=vjp, saves="*" + "r" * outputs if keep else "", outputs=outputs,
        residuals=3 if keep else 0, params=("biased", "steps", "reverse"),
        samples=lambda: _samples(kind), errors=lambda: _bad(kind), tolerance=RECURRENT,
        batch=NoBatching("a recurrence has a batch axis of its own"),
    )  # fmt: skip


LAYERS = {kind: _layer(kind, True) for kind in GATES}
INFERENCE = {kind: _layer(kind, False) for kind in GATES}


@functools.lru_cache(maxsize=1024)
def equal_steps(count: int, batch: int) -> Steps:
    """The steps of ``batch`` sequences of ``count`` time steps each; one object for each pair."""
    return (batch,) * count


def recurrent_layer(
    kind: str, operands: Sequence[Tensor], biased: bool, steps: Steps, reverse: bool = False
) -> Any:
    """(y, h_n) of one direction of a layer, for an LSTM (y, h_n, c_n).

    ``kind`` is "lstm", "gru", "rnn_tanh" or "rnn_relu"; ``steps`` counts the sequences in each time
    step, and never grows.
    """
    if tape.mode.enabled:
        for operand in operands:
            if operand.node is not None:
                return call.current.apply(LAYERS[kind], operands, (biased, steps, reverse))
    return call.current.apply(INFERENCE[kind], operands, (biased, steps, reverse))
