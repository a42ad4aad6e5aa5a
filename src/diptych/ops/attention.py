"""Scaled dot-product attention: softmax(Q K^T scale + mask) V, without the matrix of scores.

The composite brings operands to (batch, heads, length, depth) and calls a primitive whose kernel
keeps scores in tiles; its gradient makes them again from the logarithms of their sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import DType, bool_, float32, float64
from diptych.core.layout import Layout, broadcast_shapes, layout
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
from diptych.errors import DTypeError, ShapeError
from diptych.ops.arithmetic import add, mul, sub
from diptych.ops.comparison import eq, ge
from diptych.ops.contraction import dot
from diptych.ops.creation import iota
from diptych.ops.families import draw, primitive
from diptych.ops.movement import broadcast_to, reshape, sum_to, swap_axes
from diptych.ops.normalization import softmax
from diptych.ops.reduction import max_, spread, sum_
from diptych.ops.select import cast, constant, where

Array = np.ndarray[Any, Any]
TOLERANCE = Tolerance({"float32": 5e-5})
_WIDE = (float32, float64)


# ---- the primitive: operands (B, H, T, D), keys and values with H or a divisor of it


def _infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    q, k, v, *masks = layouts
    _check_dtypes(layouts)
    if any(place.ndim != 4 for place in layouts):
        raise ShapeError(
            op="attention", argument="operands", got=[place.shape for place in layouts],
            expected="four dimensions each: batch, heads, length, depth",
        )  # fmt: skip
    heads = k.shape[1]
    fits = (
        q.shape[3] == k.shape[3]
        and k.shape[:3] == v.shape[:3]
        and q.shape[0] == k.shape[0]
        and (q.shape[1] == heads or (heads > 0 and q.shape[1] % heads == 0))
    )
    if not fits or any(m.shape != (*q.shape[:3], k.shape[2]) for m in masks):
        raise ShapeError(
            op="attention", argument="operands", got=[place.shape for place in layouts],
            expected="Q (B, H, T, D), K (B, G, S, D), V (B, G, S, E), mask (B, H, T, S), "
            "H a multiple of G",
        )  # fmt: skip
    return layout(q.dtype, (*q.shape[:3], v.shape[3])), layout(q.dtype, q.shape[:3])


def _check_dtypes(layouts: tuple[Layout, ...]) -> None:
    dtype = layouts[0].dtype
    if dtype not in _WIDE or any(place.dtype is not dtype for place in layouts):
        raise DTypeError(
            op="attention", argument="operands", got=[place.dtype for place in layouts],
            expected="float32 or float64, the same for all",
        )  # fmt: skip


def _shared(x: Array, heads: int) -> Array:
    """Keys or values repeated for the query heads that share them."""
    return x if x.shape[1] == heads else np.repeat(x, heads // x.shape[1], axis=1)


def _weights(q: Array, k: Array, masks: tuple[Array, ...], scale: float, causal: Any) -> Any:
    """Weights before division, their sums, and the logarithms of the sums."""
    scores = np.matmul(q, np.swapaxes(_shared(k, q.shape[1]), 2, 3)) * q.dtype.type(scale)
    for mask in masks:
        scores = scores + mask
    if causal is not None:
        t, s = scores.shape[2:]
        seen = np.arange(t)[:, None] + causal >= np.arange(s)
        scores = np.where(seen, scores, q.dtype.type(-np.inf))
    # A NaN does not count as the largest: it spreads by its weight alone.
    top = np.fmax.reduce(scores, axis=3, keepdims=True, initial=-np.inf)
    safe = np.where(np.isneginf(top), 0, top).astype(q.dtype)
    weights = np.exp(scores - safe)
    sums = weights.sum(axis=3, keepdims=True)
    with np.errstate(divide="ignore"):
        return weights, sums, (safe + np.log(sums))[..., 0]


def _attention(q: Array, k: Array, v: Array, *rest: Any) -> Any:
    *masks, scale, causal = rest
    with np.errstate(invalid="ignore", over="ignore"):
        weights, sums, level = _weights(q, k, tuple(masks), scale, causal)
        share = np.divide(weights, np.where(sums == 0, 1, sums))
        return np.matmul(share, _shared(v, q.shape[1])), level


def _open_weights(q: Tensor, k: Tensor, masks: tuple[Tensor, ...], params: Params) -> Tensor:
    """The weights as a tensor, by operations that can be differentiated again and again."""
    scale, causal = params
    scores = mul(dot(q, swap_axes(k, -1, -2)), scale)
    for mask in masks:
        scores = add(scores, mask)
    shape = scores.layout.shape
    axis = len(shape) - 1
    if causal is not None:
        seen = ge(add(iota(shape, axis - 1), causal), iota(shape, axis))
        scores = where(seen, scores, float("-inf"))
    if not scores.layout.size:
        return softmax(scores, axis)  # no row has a largest score
    dead = spread(eq(max_(scores, (axis,)), float("-inf")), shape, (axis,))
    return where(dead, 0.0, softmax(where(dead, 0.0, scores), axis))


def _attention_vjp(ctx: Any, ct: Any, level: Any) -> Any:
    """By open operations: only differentiating a gradient, or a mask's, comes here."""
    q, k, v, *masks = ctx.x
    b, heads, t, _ = q.layout.shape
    groups = k.layout.shape[1]
    shared = heads // max(groups, 1)

    def split(x: Tensor) -> Tensor:  # (B, G, H / G, ...)
        return reshape(x, (b, groups, shared, *x.layout.shape[2:]))

    def joined(x: Tensor) -> Tensor:
        return reshape(x, (b, heads, *x.layout.shape[3:]))

    keys, values = (reshape(x, (b, groups, 1, *x.layout.shape[2:])) for x in (k, v))
    queries, pulled = split(q), split(ct)
    weights = _open_weights(queries, keys, tuple(split(m) for m in masks), ctx.params)
    slopes = dot(pulled, swap_axes(values, 3, 4))
    mean = sum_(mul(slopes, weights), (4,))
    if level is not None:
        mean = sub(mean, split(level))
    slopes = mul(weights, sub(slopes, spread(mean, slopes.layout.shape, (4,))))
    scale = ctx.params[0]
    dq = joined(mul(dot(slopes, keys), scale))
    dk = mul(sum_(dot(swap_axes(slopes, 3, 4), queries), (2,)), scale)
    dv = sum_(dot(swap_axes(weights, 3, 4), pulled), (2,))
    return (dq, dk, dv, *([joined(slopes)] * len(masks)))


def _attention_samples() -> Iterable[Sample]:
    for dtype in _WIDE:
        generator = np.random.default_rng(7)
        for q, k, causal in [
            ((2, 2, 5, 4), (2, 2, 7, 4), None), ((1, 4, 33, 17), (1, 2, 33, 17), 0),
            ((2, 1, 3, 2), (2, 1, 5, 2), 2), ((1, 2, 70, 8), (1, 1, 150, 8), 80),
            ((1, 1, 4, 3), (1, 1, 2, 3), -2), ((1, 2, 0, 3), (1, 2, 4, 3), None),
        ]:  # fmt: skip
            operands = [draw(generator, s, dtype, (-1.0, 1.0)) for s in (q, k, k)]
            yield Sample(tuple(operands), (0.5, causal))
            mask = draw(generator, (*q[:3], k[2]), dtype, (-2.0, 1.0))
            mask[mask < -1] = -np.inf
            mask[..., -1:, :] = -np.inf
            yield Sample((*operands, mask), (0.5, causal))


def _attention_errors() -> Iterable[BadCall]:
    one = np.ones((1, 1, 2, 3), np.float32)
    yield BadCall((one, one[:, :, :, :2], one), ShapeError, "multiple of G", (1.0, None))
    yield BadCall((one[0], one, one), ShapeError, "four dimensions", (1.0, None))
    yield BadCall((one, one, one.astype(np.float64)), DTypeError, "the same", (1.0, None))


ATTENTION = primitive(
    "attention", "attention", params=("scale", "causal"), infer=_infer, reference=_attention,
    vjp=_attention_vjp, saves="*", samples=_attention_samples, errors=_attention_errors,
    lower="attention", tolerance=TOLERANCE,
)  # fmt: skip


# ---- its gradient: operands Q, K, V, output, logarithms of sums, cotangent, mask


def _gradient_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    q, k, v, out, level, ct, *masks = layouts
    made, levels = _infer((q, k, v, *masks), params)
    if out.shape != made.shape or ct.shape != made.shape or level.shape != levels.shape:
        raise ShapeError(
            op="attention_gradient",
            argument="cotangent",
            got=ct.shape,
            expected=f"shape {made.shape}",
        )
    _check_dtypes(layouts)
    return tuple(layout(x.dtype, x.shape) for x in (q, k, v))


def _gradient(q: Array, k: Array, v: Array, out: Array, level: Array, ct: Array, *rest: Any) -> Any:
    *masks, scale, causal = rest
    heads = q.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):
        weights, sums, _ = _weights(q, k, tuple(masks), scale, causal)
        weights = np.divide(weights, np.where(sums == 0, 1, sums))
        slopes = np.matmul(ct, np.swapaxes(_shared(v, heads), 2, 3))
        slopes = weights * (slopes - (ct * out).sum(axis=3, keepdims=True))

        def gathered(x: Array, like: Array) -> Array:
            b, groups = like.shape[:2]
            return x.reshape(b, groups, -1, *x.shape[2:]).sum(axis=2) if groups else x

        factor = q.dtype.type(scale)
        return (
            np.matmul(slopes, _shared(k, heads)) * factor,
            gathered(np.matmul(np.swapaxes(slopes, 2, 3), q), k) * factor,
            gathered(np.matmul(np.swapaxes(weights, 2, 3), ct), v),
        )


def _gradient_samples() -> Iterable[Sample]:
    for sample in _attention_samples():
        q, k, v, *masks = sample.operands
        out, level = _attention(q, k, v, *masks, *sample.params)
        ct = draw(np.random.default_rng(3), out.shape, float32, (-1.0, 1.0)).astype(q.dtype)
        yield Sample((q, k, v, out, level, ct, *masks), sample.params)


ATTENTION_GRADIENT = primitive(
    "attention_gradient", "attention", params=("scale", "causal"), infer=_gradient_infer,
    reference=_gradient, samples=_gradient_samples, lower="attention", tolerance=TOLERANCE,
    vjp=NotDifferentiable("a recorded gradient runs by open operations instead"),
    errors=lambda: [
        BadCall(
            (*[np.ones((1, 1, 2, 3), np.float32)] * 4, np.ones((1, 1, 2), np.float32),
             np.ones((1, 1, 3, 3), np.float32)), ShapeError, "cotangent", (1.0, None),
        ),
    ],
)  # fmt: skip


# ---- any batch dimensions, masks that broadcast, other dtypes


def _leads(q: Layout, k: Layout, v: Layout) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The batch dimensions of queries, and of keys and values: heads last, fewer if shared."""
    lead = q.shape[:-2]
    if not lead:
        lead = broadcast_shapes((k.shape[:-2], v.shape[:-2]), "attention")
        return lead, lead
    heads, groups = lead[-1], (k.shape[-3:-2] or (1,))[0]
    values = (v.shape[-3:-2] or (1,))[0]
    divides = groups == values and 0 < groups < heads and heads % groups == 0
    outer = broadcast_shapes((lead[:-1], k.shape[:-3], v.shape[:-3]), "attention")
    if divides:
        return (*outer, heads), (*outer, groups)
    full = broadcast_shapes((lead, k.shape[:-2], v.shape[:-2]), "attention")
    return full, full


def _four(x: Tensor, lead: tuple[int, ...]) -> Tensor:
    """(batch, heads, rows, columns), after broadcasting to ``lead``."""
    tail = x.layout.shape[-2:]
    if x.layout.shape[:-2] != lead:
        x = broadcast_to(x, (*lead, *tail))
    if len(lead) == 2:
        return x
    if len(lead) == 1:
        return reshape(x, (*lead, 1, *tail))
    if not lead:
        return reshape(x, (1, 1, *tail))
    rest = x.layout.size // max(lead[-1] * tail[0] * tail[1], 1)
    return reshape(x, (rest, lead[-1], *tail))


def _mask_of(q: Tensor, k: Tensor, masks: list[Tensor], lead: Any, dtype: DType) -> list[Tensor]:
    """The mask as numbers to add, at the shape of the scores."""
    if not masks:
        return []
    mask = masks[0]
    if mask.layout.dtype is bool_:
        mask = where(mask, constant(0.0, dtype), constant(float("-inf"), dtype), dtype)
    elif mask.layout.dtype is not dtype:
        mask = cast(mask, dtype)
    tail = (q.layout.shape[-2], k.layout.shape[-2])
    return [_four(broadcast_to(mask, (*lead, *tail)), lead)]


def _prepared(
    q: Tensor, k: Tensor, v: Tensor, masks: list[Tensor]
) -> tuple[list[Tensor], tuple[int, ...]]:
    """The primitive's operands, and the batch dimensions of the result."""
    lead, groups = _leads(q.layout, k.layout, v.layout)
    dtype = q.layout.dtype
    wide = dtype if dtype in _WIDE else float32
    mask = _mask_of(q, k, masks, lead, wide)
    operands = [_four(q, lead), _four(k, groups), _four(v, groups)]
    return [x if x.layout.dtype is wide else cast(x, wide) for x in operands] + mask, lead


def _forward(q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> Any:
    *masks, scale, causal = rest
    operands, lead = _prepared(q, k, v, masks)
    out, level = call.apply(ATTENTION, *operands, params=(scale, causal))
    if out.layout.dtype is not q.layout.dtype:
        out = cast(out, q.layout.dtype)
    shape = (*lead, q.layout.shape[-2], v.layout.shape[-1])
    return out if len(lead) == 2 else reshape(out, shape), level


def _vjp(ctx: Any, ct: Any) -> Any:
    q, k, v, *masks = ctx.x
    out, level = ctx.y
    operands, lead = _prepared(q, k, v, masks)
    wide = operands[0].layout.dtype
    out, ct = (
        x if x.layout.dtype is wide else cast(x, wide) for x in (_four(out, lead), _four(ct, lead))
    )
    if len(ctx.needs) > 3 and ctx.needs[3]:
        pulled = _attention_vjp(_Open(operands, ctx.params), ct, None)
    else:
        three, mask = operands[:3], operands[3:]
        pulled = call.apply(ATTENTION_GRADIENT, *three, out, level, ct, *mask, params=ctx.params)
    results: list[Tensor | None] = []
    lead, groups = _leads(q.layout, k.layout, v.layout)
    for x, value, need in zip(ctx.x, pulled, ctx.needs, strict=False):
        if not need:
            results.append(None)
            continue
        own = groups if x is k or x is v else lead
        value = reshape(value, (*own, *value.layout.shape[-2:]))
        value = sum_to(value, x.layout.shape)
        results.append(
            value if value.layout.dtype is x.layout.dtype else cast(value, x.layout.dtype)
        )
    return tuple(results) + (None,) * (len(ctx.x) - len(results))


class _Open:
    """What the open rule reads of a context."""

    def __init__(self, x: list[Tensor], params: Params) -> None:
        self.x = x
        self.params = params


def _samples() -> Iterable[Sample]:
    generator = np.random.default_rng(1)

    def made(*shapes: tuple[int, ...]) -> list[Array]:
        return [draw(generator, shape, float32, (-1.0, 1.0)) for shape in shapes]

    yield Sample(tuple(made((3, 4), (5, 4), (5, 2))), (0.5, None))
    yield Sample(tuple(made((2, 3, 4), (2, 5, 4), (2, 5, 2))), (0.5, 0))
    yield Sample(tuple(made((2, 1, 2, 3, 4), (2, 1, 5, 4), (5, 4))), (0.5, None))
    yield Sample(tuple(made((1, 4, 6, 4), (1, 2, 6, 4), (1, 2, 6, 4))), (0.5, 0))
    yield Sample(tuple(made((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), (3, 5))), (0.5, None))
    seen = generator.integers(0, 2, (2, 1, 1, 5)).astype(bool)
    yield Sample((*made((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4)), seen), (0.5, None))


SCALED_DOT_PRODUCT_ATTENTION = Composite(
    "scaled_dot_product_attention", forward=_forward, vjp=_vjp, saves="*o", residuals=1,
    params=("scale", "causal"), samples=_samples, tolerance=TOLERANCE,
    errors=lambda: [
        BadCall(
            (np.ones((2, 3), np.float32), np.ones((2, 4), np.float32), np.ones((2, 4), np.float32)),
            ShapeError, "attention", (1.0, None),
        )
    ],
    batch=NoBatching("it is batched through the operation it is made of"),
)  # fmt: skip


def _weights_vjp(ctx: Any, ct: Any) -> Any:
    q, k, *masks = ctx.x
    share, scale = ctx.y[0], ctx.params[0]
    shape = share.layout.shape
    axis = len(shape) - 1
    along = sum_(mul(ct, share), (axis,))
    slopes = mul(share, sub(ct, spread(along, shape, (axis,))))
    pulled: list[Any] = [None] * len(ctx.x)
    if ctx.needs[0]:
        pulled[0] = sum_to(mul(dot(slopes, k), scale), ctx.layout(0).shape)
    if ctx.needs[1]:
        back = mul(dot(swap_axes(slopes, -1, -2), q), scale)
        pulled[1] = sum_to(back, ctx.layout(1).shape)
    for index, _ in enumerate(masks, 2):
        if ctx.needs[index]:
            pulled[index] = sum_to(slopes, ctx.layout(index).shape)
    return tuple(pulled)


def _weights_samples() -> Iterable[Sample]:
    for sample in _attention_samples():
        q, k, _, *masks = sample.operands
        if q.shape[1] == k.shape[1] and q.dtype == np.float32:
            yield Sample((q, k, *masks), sample.params)


ATTENTION_WEIGHTS = Composite(
    "attention_weights", forward=lambda q, k, *rest: _open_weights(q, k, rest[:-2], rest[-2:]),
    vjp=_weights_vjp, saves="01o", params=("scale", "causal"), samples=_weights_samples,
    tolerance=TOLERANCE,
    errors=lambda: [
        BadCall(
            (np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)), ShapeError, "multiplied",
            (1.0, None),
        )
    ],
    batch=NoBatching("it is batched through the operations it is made of"),
)  # fmt: skip


def weights(q: Tensor, k: Tensor, mask: Tensor | None, scale: float, causal: int | None) -> Tensor:
    """softmax(q k^T scale + mask) in full; rows that see nothing are zeros."""
    operands: tuple[Tensor, ...] = (q, k)
    if mask is not None:
        dtype = q.layout.dtype
        if mask.layout.dtype is bool_:
            mask = where(mask, constant(0.0, dtype), constant(float("-inf"), dtype), dtype)
        operands = (q, k, mask if mask.layout.dtype is dtype else cast(mask, dtype))
    made: Tensor = call.current.apply(ATTENTION_WEIGHTS, operands, (scale, causal))
    return made


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: int | None = None
) -> Tensor:
    """softmax(q k^T scale + mask) v over the last two axes; the others broadcast.

    ``mask`` is added (bool: False hides). With ``causal``, query i sees keys up to i + causal.
    Keys and values may have fewer heads (axis -3) than queries, if they divide them. A query that
    sees nothing gives zeros. Raises ShapeError and DTypeError.
    """
    operands = (q, k, v) if mask is None else (q, k, v, mask)
    out: Tensor = call.current.apply(SCALED_DOT_PRODUCT_ATTENTION, operands, (scale, causal))
    return out
