"""Recurrences: one direction of a recurrent layer over all its time steps, and its gradient.

A batch of sequences lies as PyTorch's packed sequences do: rows grouped by time step, the step's
``steps[t]`` longest sequences in it, so sequence b is row b of every step it takes part in. Equal
lengths are the case where all counts are equal.

An input's share of the gates, ``x W_ih^T + b``, is one matrix product over all rows and comes as
an operand; what is here is what has to go step by step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from diptych.core import tape
from diptych.core.dtypes import DType, float32, float64
from diptych.core.layout import Layout, layout
from diptych.core.operation import (
    BadCall,
    Composite,
    NoBatching,
    NotDifferentiable,
    Params,
    Sample,
    Tolerance,
)
from diptych.core.tensor import Tensor
from diptych.errors import ShapeError, UnsupportedDTypeError
from diptych.ops.arithmetic import add, mul, relu, sub
from diptych.ops.contraction import dot
from diptych.ops.families import draw, primitive
from diptych.ops.movement import concatenate, narrow, transpose
from diptych.ops.special import sigmoid as numpy_sigmoid
from diptych.ops.transcendental import sigmoid, tanh

Array = np.ndarray[Any, Any]
Steps = tuple[int, ...]

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
# Operands without the optional last one: the projection of an LSTM, the hidden bias of a GRU.
_OPERANDS = {"lstm": 4, "gru": 3, "rnn_tanh": 3, "rnn_relu": 3}
RECURRENT = Tolerance({"float32": 5e-5, "float64": 1e-9})
_PARAMS = ("kind", "steps", "reverse", "keep")
_UNBATCHED = "a recurrence has a batch axis of its own"


def walk(steps: Steps, reverse: bool) -> Iterator[tuple[int, int]]:
    """(first row, rows) of every time step in the order in which a direction takes them."""
    starts = [0, *itertools.accumulate(steps)]
    pairs = list(zip(starts, steps, strict=False))
    return reversed(pairs) if reverse else iter(pairs)


# ---- shapes


def _refuse(got: Any, expected: str) -> ShapeError:
    return ShapeError(op="recurrence", argument="operands", got=got, expected=expected)


def _recurrence_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    """h_n, c_n and y; with ``keep`` also what the gradient reads."""
    kind, steps, _, keep = params
    gates, base = GATES[kind], _OPERANDS[kind]
    x, w, h = layouts[:3]
    for place in layouts:
        if place.dtype not in (float32, float64) or place.dtype is not x.dtype:
            raise UnsupportedDTypeError(
                f'"recurrence" not implemented for \'{place.dtype}\'; operands are all float32 or '
                "all float64", op="recurrence", got=place.dtype,
            )  # fmt: skip
    rows, batch = sum(steps), steps[0] if steps else 0
    if not steps or any(a < b for a, b in itertools.pairwise(steps)) or steps[-1] < 0:
        raise _refuse(steps, "steps hold counts of sequences that never grow, at least one")
    width = w.shape[0] if w.ndim == 2 else 0
    state = w.shape[1] if w.ndim == 2 else 0
    hidden = width // gates
    if x.shape != (rows, width) or width != hidden * gates or h.shape != (batch, state):
        raise _refuse(
            (x.shape, w.shape, h.shape),
            f"({rows}, {gates} * hidden), ({gates} * hidden, state), ({batch}, state)",
        )
    extra = layouts[base:]
    if kind == "lstm":
        wanted = [(batch, hidden)] + [(state, hidden)] * len(extra)
        if [p.shape for p in layouts[3:]] != wanted or (not extra and state != hidden):
            raise _refuse([p.shape for p in layouts[3:]], f"cells and projection {wanted}")
    elif state != hidden or [p.shape for p in extra] not in ([], [(width,)]):
        raise _refuse([p.shape for p in (w, *extra)], f"({width}, {hidden}) and ({width},)")

    def of(*shape: int) -> Layout:
        return layout(x.dtype, shape)

    made = [of(rows, state), of(batch, state)]
    if kind == "lstm":
        made.append(of(batch, hidden))
    if keep:
        made += [of(rows, (4 if kind in ("lstm", "gru") else 1) * hidden), of(rows, state)]
        if kind == "lstm":
            made.append(of(rows, hidden))
            made += [of(rows, hidden)] * len(extra)
    return tuple(made)


# ---- references


def _split(a: Array, parts: int) -> list[Array]:
    return np.split(a, parts, axis=1)


def _recurrence(*given: Any) -> tuple[Array, ...]:
    """The outputs in the order of the shape rule: y, h_n, c_n | gates, h and c before, hidden."""
    *arrays, kind, steps, reverse, keep = given
    x, w, h = arrays[0], arrays[1], arrays[2].copy()
    c: Any = arrays[3].copy() if kind == "lstm" else None
    extra = arrays[_OPERANDS[kind] :]
    hidden, rows = w.shape[0] // GATES[kind], len(x)
    y, before = np.empty((2, rows, w.shape[1]), x.dtype)
    c_before, raw_h = np.empty((2, rows, hidden), x.dtype)
    gates = np.empty((rows, 4 * hidden), x.dtype)
    for start, count in walk(steps, reverse):
        at, live = slice(start, start + count), slice(0, count)
        before[at] = h[live]
        raw = h[live] @ w.T
        if kind == "lstm":
            i, f, g, o = _split(raw + x[at], 4)
            i, f, g, o = numpy_sigmoid(i), numpy_sigmoid(f), np.tanh(g), numpy_sigmoid(o)
            c_before[at] = c[live]
            c[live] = f * c[live] + i * g
            new = raw_h[at] = o * np.tanh(c[live])
            gates[at] = np.concatenate([i, f, g, o], 1)
            new = new @ extra[0].T if extra else new
        elif kind == "gru":
            raw = raw + extra[0] if extra else raw
            (xr, xz, xn), (hr, hz, hn) = _split(x[at], 3), _split(raw, 3)
            r, z = numpy_sigmoid(xr + hr), numpy_sigmoid(xz + hz)
            n = np.tanh(xn + r * hn)
            new = n + z * (h[live] - n)
            gates[at] = np.concatenate([r, z, n, hn], 1)
        else:
            new = np.tanh(raw + x[at]) if kind == "rnn_tanh" else np.maximum(raw + x[at], 0)
        y[at] = h[live] = new
    made = [y, h] if c is None else [y, h, c]
    if keep:
        gates = gates if kind in ("lstm", "gru") else y.copy()
        made += [gates, before] + ([c_before] if kind == "lstm" else [])
        made += [raw_h] if kind == "lstm" and extra else []
    return tuple(made)


def _gradient(*given: Any) -> tuple[Array, ...]:
    """Cotangents of the gates' inputs and of the first states; see ``_gradient_infer``."""
    *arrays, kind, steps, reverse = given
    w, kept, before, dy, dh = (*arrays[:4], arrays[4].copy())
    rows = len(dy)
    dg, dgh = np.empty((2, rows, w.shape[0]), dy.dtype)
    total = np.empty_like(dy)
    dc: Any = arrays[5].copy() if kind == "lstm" else None
    projection = arrays[6] if len(arrays) > 6 else None
    for start, count in reversed(list(walk(steps, reverse))):
        at, live = slice(start, start + count), slice(0, count)
        up = total[at] = dh[live] + dy[at]
        if kind == "lstm":
            up = up @ projection if projection is not None else up
            i, f, g, o = _split(kept[at], 4)
            t = np.tanh(f * before[at] + i * g)
            down = dc[live] + up * o * (1 - t * t)
            parts = [down * g * i * (1 - i), down * before[at] * f * (1 - f),
                     down * i * (1 - g * g), up * t * o * (1 - o)]  # fmt: skip
            dc[live] = down * f
            dg[at] = np.concatenate(parts, 1)
            dh[live] = dg[at] @ w
        elif kind == "gru":
            r, z, n, hn = _split(kept[at], 4)
            dn = up * (1 - z) * (1 - n * n)
            dr, dz = dn * hn * r * (1 - r), up * (before[at] - n) * z * (1 - z)
            dg[at] = np.concatenate([dr, dz, dn], 1)
            dgh[at] = np.concatenate([dr, dz, dn * r], 1)
            dh[live] = dgh[at] @ w + up * z
        else:
            y = kept[at]
            dg[at] = up * (1 - y * y) if kind == "rnn_tanh" else up * (y > 0)
            dh[live] = dg[at] @ w
    if dc is not None:
        return (dg, dh, dc) if projection is None else (dg, dh, dc, total)
    return (dg, dh, dgh) if kind == "gru" else (dg, dh)


# ---- the same in ordinary operations: where gradients of gradients come from, and single steps


def _lstm_step(x: Tensor, h: Tensor, c: Tensor, w: Tensor, extra: Any) -> Any:
    """(h, {output: rows}) after one step."""
    width = c.layout.shape[1]
    raw = add(dot(h, transpose(w, (1, 0))), x)
    i, f, g, o = (narrow(raw, 1, k * width, width) for k in range(4))
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    new_c = add(mul(f, c), mul(i, g))
    hidden = mul(o, tanh(new_c))
    new = dot(hidden, transpose(extra[0], (1, 0))) if extra else hidden
    return new, new_c, {"gates": (i, f, g, o), "before": h, "cells": c, "hidden": hidden}


def _gru_step(x: Tensor, h: Tensor, w: Tensor, extra: Any) -> Any:
    width = h.layout.shape[1]
    raw = dot(h, transpose(w, (1, 0)))
    raw = add(raw, extra[0]) if extra else raw
    (xr, xz, xn), (hr, hz, hn) = (
        [narrow(a, 1, k * width, width) for k in range(3)] for a in (x, raw)
    )
    r, z = sigmoid(add(xr, hr)), sigmoid(add(xz, hz))
    n = tanh(add(xn, mul(r, hn)))
    return add(n, mul(z, sub(h, n))), None, {"gates": (r, z, n, hn), "before": h}


def _rnn_step(kind: str, x: Tensor, h: Tensor, w: Tensor) -> Any:
    raw = add(dot(h, transpose(w, (1, 0))), x)
    new = tanh(raw) if kind == "rnn_tanh" else relu(raw)
    return new, None, {"gates": new, "before": h}


def step(kind: str, x: Tensor, h: Tensor, c: Any, w: Tensor, extra: Any) -> Any:
    """One time step: the new h, the new c (None but for an LSTM), and what it kept."""
    if kind == "lstm":
        return _lstm_step(x, h, c, w, extra)
    return _gru_step(x, h, w, extra) if kind == "gru" else _rnn_step(kind, x, h, w)


def _kept_names(kind: str, projected: bool) -> list[str]:
    own = ["cells", *(["hidden"] if projected else [])] if kind == "lstm" else []
    return ["gates", "before", *own]


def unrolled(*given: Any) -> tuple[Tensor, ...]:
    """A recurrence written out step by step."""
    *operands, kind, steps, reverse, keep = given
    x, w, h = operands[:3]
    c = operands[3] if kind == "lstm" else None
    extra = operands[_OPERANDS[kind] :]
    names = _kept_names(kind, bool(extra)) if keep else []
    found: dict[str, list[Any]] = {name: [] for name in ["y", *names]}
    places: list[int] = []
    for start, count in walk(steps, reverse):
        places.append(start)
        live_h = _first(h, count)
        live_c = None if c is None else _first(c, count)
        new, new_c, kept = step(kind, narrow(x, 0, start, count), live_h, live_c, w, extra)
        found["y"].append(new)
        for name in names:
            value = kept[name]
            found[name].append(concatenate(value, 1) if isinstance(value, tuple) else value)
        h, c = _replaced(h, new, count), None if c is None else _replaced(c, new_c, count)
    order = sorted(range(len(places)), key=lambda index: places[index])
    joined = [
        concatenate([pieces[index] for index in order], 0) if len(order) > 1 else pieces[0]
        for pieces in found.values()
    ]
    return (joined[0], h, *([] if c is None else [c]), *joined[1:])


def _first(a: Tensor, count: int) -> Tensor:
    return a if a.layout.shape[0] == count else narrow(a, 0, 0, count)


def _replaced(a: Tensor, rows: Tensor, count: int) -> Tensor:
    """``a`` with its first rows replaced."""
    batch = a.layout.shape[0]
    return rows if count == batch else concatenate([rows, narrow(a, 0, count, batch - count)], 0)


# ---- declarations


def _case(
    generator: np.random.Generator, kind: str, steps: Steps, hidden: int, extra: bool, dtype: DType
) -> list[Array]:
    """Operands of one call."""
    state = max(1, hidden // 2) if kind == "lstm" and extra else hidden
    width, rows, batch = GATES[kind] * hidden, sum(steps), steps[0]
    shapes: list[tuple[int, ...]] = [(rows, width), (width, state), (batch, state)]
    shapes += [(batch, hidden)] if kind == "lstm" else []
    if extra:
        shapes.append((state, hidden) if kind == "lstm" else (width,))
    # The relu one is drawn where no kink is near.
    low = 0.1 if kind == "rnn_relu" else -1.0
    return [draw(generator, shape, dtype, (low, 1.0)) for shape in shapes]


_FORMS: tuple[tuple[Steps, bool, int, bool], ...] = (
    ((3, 3), False, 2, False), ((3, 2, 2, 1), True, 3, True), ((2, 1), False, 5, True),
    ((1, 1, 1), True, 4, False), ((9, 9, 5), False, 19, False), ((37, 20), True, 33, True),
)  # fmt: skip
_CASES: tuple[tuple[str, Steps, bool, int, bool], ...] = tuple(
    (kind, steps, reverse, hidden, extra)
    for kind in GATES
    for steps, reverse, hidden, extra in _FORMS
    if not (extra and kind.startswith("rnn"))
)  # fmt: skip


def recurrence_samples() -> Iterable[Sample]:
    """Every kind, both directions, equal and packed lengths, small and past a vector's width."""
    generator = np.random.default_rng(11)
    for number, (kind, steps, reverse, hidden, extra) in enumerate(_CASES):
        for dtype in (float32, float64) if number % 3 == 0 else (float32,):
            operands = _case(generator, kind, steps, hidden, extra, dtype)
            yield Sample(tuple(operands), (kind, steps, reverse, number % 4 != 3))


def _bad_calls() -> list[BadCall]:
    def ones(*shapes: tuple[int, ...], dtype: Any = np.float32) -> tuple[Array, ...]:
        return tuple(np.ones(shape, dtype) for shape in shapes)

    params = ("rnn_tanh", (2, 2), False, False)
    return [
        BadCall(ones((4, 3), (3, 3), (1, 3)), ShapeError, "recurrence: operands", params),
        BadCall(ones((4, 3), (3, 3), (2, 3)), ShapeError, "never grow",
                ("rnn_tanh", (1, 3), False, False)),
        BadCall(ones((4, 3), (3, 3), (2, 3), dtype=np.int64), UnsupportedDTypeError,
                "not implemented", params),
    ]  # fmt: skip


# Only shapes and the samples are its own: its gradient is that of the operations it is made of.
UNROLLED = Composite(
    "recurrence_unrolled", forward=unrolled, outputs=7, params=_PARAMS, tolerance=RECURRENT,
    samples=lambda: [s for s in recurrence_samples() if s.operands[1].shape[0] < 24],
    errors=lambda: [
        BadCall((np.ones((4, 3), np.float32), np.ones((3, 2), np.float32),
                 np.ones((2, 3), np.float32)), ShapeError, "cannot be multiplied",
                ("rnn_tanh", (2, 2), False, False)),
    ],
    batch=NoBatching(_UNBATCHED),
)  # fmt: skip

RECURRENCE = primitive(
    "recurrence", "recurrence", params=_PARAMS, infer=_recurrence_infer, reference=_recurrence,
    vjp=lambda ctx, *cts: tape.open_rule(UNROLLED, ctx, cts), saves="*",
    samples=recurrence_samples, errors=_bad_calls, lower="kernel", tolerance=RECURRENT,
    batch=NoBatching(_UNBATCHED),
)  # fmt: skip


def _gradient_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    """Operands (w_hh, kept, before, dy, dh_n [, dc_n [, w_hr]]), where ``kept`` are the gates (an
    RNN's: each h) and ``before`` the cells before each step (an LSTM's) or h before each step.

    Results (dgates, dh_0 [, dc_0 [, dh in all]]); a GRU's third is what reaches ``h W_hh^T + b``.
    """
    kind = params[0]
    w, _, _, dy, dh = layouts[:5]
    rows, dtype = sum(params[1]), w.dtype
    if dy.shape != (rows, w.shape[1]) or dh.shape != (params[1][0], w.shape[1]):
        raise ShapeError(
            op="recurrence_gradient", argument="operands", got=[p.shape for p in layouts],
            expected=f"cotangents of {rows} rows and {params[1][0]} sequences",
        )  # fmt: skip
    gates = layout(dtype, (rows, w.shape[0]))
    made = [gates, layout(dtype, dh.shape)]
    if kind == "lstm":
        made.append(layout(dtype, layouts[5].shape))
        made += [layout(dtype, dy.shape)] * (len(layouts) - 6)
    return (*made, gates) if kind == "gru" else tuple(made)


def _gradient_samples() -> Iterable[Sample]:
    generator = np.random.default_rng(12)
    for sample in recurrence_samples():
        kind, steps, reverse, _ = sample.params
        x, w, h, *rest = sample.operands
        rows, hidden = len(x), w.shape[0] // GATES[kind]

        def unit(*shape: int, like: Array = x) -> Array:
            return generator.uniform(0.1, 0.9, shape).astype(like.dtype)

        kept = unit(rows, 4 * hidden if kind in ("lstm", "gru") else hidden)
        operands = [w, kept, unit(rows, hidden), unit(rows, w.shape[1]), h]
        yield Sample((*operands, *(rest if kind == "lstm" else ())), (kind, steps, reverse))


GRADIENT = primitive(
    "recurrence_gradient", "recurrence", params=_PARAMS[:3], infer=_gradient_infer,
    reference=_gradient, samples=_gradient_samples, lower="kernel", tolerance=RECURRENT,
    vjp=NotDifferentiable(
        "layers use it inside compiled gradients alone; what is differentiated again is unrolled"
    ),
    errors=lambda: [
        BadCall(tuple(np.ones(s, np.float32) for s in [(3, 3), (4, 3), (4, 3), (4, 3), (1, 3)]),
                ShapeError, "4 rows and 2 sequences", ("rnn_tanh", (2, 2), False)),
    ],
    batch=NoBatching(_UNBATCHED),
)  # fmt: skip
