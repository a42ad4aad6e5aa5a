"""multi_head_attention_forward: projections, heads, attention, and the projection back."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.tensor import Tensor
from diptych.ops.arithmetic import add, mul
from diptych.ops.contraction import linear, matmul
from diptych.ops.indexing import zeros
from diptych.ops.movement import (
    broadcast_to,
    concatenate,
    expand_axis,
    pad,
    reshape,
    squeeze_axes,
    swap_axes,
    transpose,
)
from diptych.ops.normalization import softmax
from diptych.ops.reduction import mean
from diptych.ops.sections import sections
from diptych.ops.select import constant, where
from diptych.torch.nn.functional.attention import scaled_dot_product_attention
from diptych.torch.nn.functional.regularization import dropout
from diptych.torch.size import Size
from diptych.torch.tensor import face

_BATCH_FIRST, _LENGTH_FIRST = (0, 2, 1, 3), (1, 2, 0, 3)  # to (batch, heads, length, depth)


class Projections(NamedTuple):
    """The weights of a layer: one for Q, K and V together (``joint``), or one each."""

    joint: Any
    separate: tuple[Any, ...]
    bias: Any
    out_weight: Any
    out_bias: Any
    bias_k: Any = None
    bias_v: Any = None
    add_zero: bool = False


def canonical_mask(
    mask: Any, name: str, other: DType | None, other_name: str, target: DType, check: bool = True
) -> Any:
    """A mask as numbers to add: a bool mask hides where it is True."""
    if mask is None:
        return None
    mask = face(mask, name)
    dtype = mask.layout.dtype
    if dtype is not dtypes.bool_ and not dtype.is_float:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if check and other is not None and dtype is not other:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both "
            "instead.",
            stacklevel=3,
        )
    if dtype.is_float:
        return mask
    return where(mask, constant(float("-inf"), target), constant(0.0, target), target)


def check_shapes(
    query: Any, key: Any, value: Any, padding: Any, mask: Any, heads: int
) -> bool:  # fmt: skip
    """Whether the operands are batched; AssertionError where their shapes do not go together."""
    ndim = query.layout.ndim
    if ndim not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {ndim}-D query tensor"
        )
    batched = ndim == 3
    word = "batched (3-D)" if batched else "unbatched (2-D)"
    if key.layout.ndim != ndim or value.layout.ndim != ndim:
        raise AssertionError(
            f"For {word} `query`, expected `key` and `value` to be {ndim}-D but found "
            f"{key.layout.ndim}-D and {value.layout.ndim}-D tensors respectively"
        )
    if padding is not None and padding.layout.ndim != ndim - 1:
        raise AssertionError(
            f"For {word} `query`, expected `key_padding_mask` to be `None` or {ndim - 1}-D but "
            f"found {padding.layout.ndim}-D tensor instead"
        )
    if mask is not None and mask.layout.ndim not in (2, 3):
        raise AssertionError(
            f"For {word} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
            f"{mask.layout.ndim}-D tensor instead"
        )
    if not batched and mask is not None and mask.layout.ndim == 3:
        expected = (heads, query.layout.shape[0], key.layout.shape[0])
        if mask.layout.shape != expected:
            raise AssertionError(
                f"Expected `attn_mask` shape to be {expected} but got {Size(mask.layout.shape)}"
            )
    return bool(batched)


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Attention of several heads over (length, batch, features): the output, and the weights."""
    if use_separate_proj_weight:
        for name, weight in (("q", q_proj_weight), ("k", k_proj_weight), ("v", v_proj_weight)):
            if weight is None:
                raise AssertionError(
                    f"use_separate_proj_weight is True but {name}_proj_weight is None"
                )
    elif in_proj_weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    weights = Projections(
        None if use_separate_proj_weight else in_proj_weight,
        (q_proj_weight, k_proj_weight, v_proj_weight),
        in_proj_bias, out_proj_weight, out_proj_bias, bias_k, bias_v, add_zero_attn,
    )  # fmt: skip
    return attend(
        query, key, value, embed_dim_to_check, num_heads, weights,
        dropout_p if training else 0.0, key_padding_mask, attn_mask, need_weights,
        average_attn_weights, is_causal, False, static_k, static_v,
    )  # fmt: skip


def attend(
    query: Any, key: Any, value: Any, features: int, heads: int, weights: Projections, p: float,
    padding: Any, mask: Any, need_weights: bool, average: bool, is_causal: bool,
    batch_first: bool, static_k: Any = None, static_v: Any = None, length_outside: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """What the function and the layer share; with ``batch_first`` batches come before lengths.

    ``length_outside`` lays the result out as PyTorch does, whose dropout draws in memory's order.
    """
    query, key, value = _faces(query, key, value)
    padding = None if padding is None else face(padding, "key_padding_mask")
    mask = None if mask is None else face(mask, "attn_mask")
    batched = check_shapes(query, key, value, padding, mask, heads)
    axis = 0 if batch_first else 1
    if not batched:
        same, alike = key is query, value is key
        query = expand_axis(query, axis)
        key = query if same else expand_axis(key, axis)
        value = key if alike else expand_axis(value, axis)
        padding = None if padding is None else expand_axis(padding, 0)
    mask, padding, is_causal = _masks(query, mask, padding, need_weights, is_causal)
    depth = _check_features(query, key, value, features, heads, weights.joint is None)
    parts = _projected(query, key, value, weights, heads)
    order = _BATCH_FIRST if batch_first else _LENGTH_FIRST
    q, k, v = (transpose(reshape(x, (*x.layout.shape[:2], heads, depth)), order) for x in parts)
    k, v = _fixed(k, static_k, heads, "static_k"), _fixed(v, static_v, heads, "static_v")
    mask = _mask_of_heads(mask, q, k)
    k, v, mask, padding = _lengthened(k, v, mask, padding, weights)
    mask = _merged(mask, padding, q, k)
    if need_weights:
        out, share = _with_weights(q, k, v, mask, p)
    else:
        out = scaled_dot_product_attention(q, k, v, mask, p, is_causal)
        share = None
    within = batch_first and not length_outside
    back = transpose(out, (0, 2, 1, 3) if within else (2, 0, 1, 3))
    joined = reshape(back, (*back.layout.shape[:2], features))
    out = linear(joined, weights.out_weight, weights.out_bias)
    if batch_first and not within:
        out = transpose(out, (1, 0, 2))
    if share is not None and average:
        share = mean(share, (1,))
    if not batched:
        out = squeeze_axes(out, (axis,))
        share = None if share is None else squeeze_axes(share, (0,))
    return out, share


def _faces(query: Any, key: Any, value: Any) -> tuple[Tensor, Tensor, Tensor]:
    name = "multi_head_attention_forward"
    return face(query, name, "query"), face(key, name, "key", 2), face(value, name, "value", 3)


def _masks(
    query: Tensor, mask: Any, padding: Any, need_weights: bool, is_causal: bool
) -> tuple[Any, Any, bool]:
    """Both masks as numbers, and whether the causal hint stands in for one of them."""
    dtype = query.layout.dtype
    padding = canonical_mask(
        padding, "key_padding_mask", None if mask is None else mask.layout.dtype, "attn_mask", dtype
    )
    if is_causal and mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and padding is None and not need_weights:
        return None, None, True
    return canonical_mask(mask, "attn_mask", None, "", dtype, False), padding, False


def _check_features(
    query: Tensor, key: Tensor, value: Tensor, features: int, heads: int, separate: bool
) -> int:
    """The depth of a head."""
    have = query.layout.shape[-1]
    if have != features:
        raise AssertionError(f"was expecting embedding dimension of {features}, but got {have}")
    depth = features // heads
    if depth * heads != features:
        raise AssertionError(f"embed_dim {features} not divisible by num_heads {heads}")
    a, b = key.layout.shape, value.layout.shape
    if separate and a[:2] != b[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {Size(a[:2])} do not match value's {Size(b[:2])}"
        )
    if not separate and a != b:
        raise AssertionError(f"key shape {Size(a)} does not match value shape {Size(b)}")
    return depth


def _projected(query: Tensor, key: Tensor, value: Tensor, weights: Projections, heads: int) -> Any:
    """Q, K and V as (., ., features): one product for as many of them as share their input."""
    features = query.layout.shape[-1]
    joint, bias = weights.joint, weights.bias
    if key is value and query is key and joint is not None:
        return sections(linear(query, joint, bias), 2, (features, features, features))
    if key is value and joint is not None:
        first, rest = sections(joint, 0, [features, 2 * features])
        one, two = (None, None) if bias is None else sections(bias, 0, [features, 2 * features])
        pair = sections(linear(key, rest, two), 2, [features] * 2)
        return [linear(query, first, one), *pair]
    biases = [None] * 3 if bias is None else sections(bias, 0, [features] * 3)
    each = weights.separate if joint is None else sections(joint, 0, [features] * 3)
    triple = zip((query, key, value), each, biases, strict=True)
    return [linear(x, weight, b) for x, weight, b in triple]


def _fixed(x: Tensor, given: Any, heads: int, name: str) -> Tensor:
    """Keys or values that the caller gives as (batch * heads, length, depth)."""
    if given is None:
        return x
    b, _, _, depth = x.layout.shape
    place = face(given, name).layout
    first = place.shape[0] if place.ndim else 0
    if place.ndim != 3 or place.shape[0] != b * heads:
        raise AssertionError(f"expecting {name}.size(0) of {b * heads}, but got {first}")
    if place.shape[2] != depth:
        raise AssertionError(f"expecting {name}.size(2) of {depth}, but got {place.shape[2]}")
    made: Tensor = reshape(given, (b, heads, place.shape[1], depth))
    return made


def _mask_of_heads(mask: Any, q: Tensor, k: Tensor) -> Any:
    """(L, S), or (batch * heads, L, S) as (batch, heads, L, S)."""
    if mask is None:
        return None
    b, heads, length = q.layout.shape[:3]
    source = k.layout.shape[2]
    shape = mask.layout.shape
    if len(shape) == 2:
        if shape != (length, source):
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {Size(shape)}, but should be {(length, source)}."
            )
        return mask
    if shape != (b * heads, length, source):
        raise RuntimeError(
            f"The shape of the 3D attn_mask is {Size(shape)}, but should be "
            f"{(b * heads, length, source)}."
        )
    return reshape(mask, (b, heads, length, source))


def _lengthened(
    k: Tensor, v: Tensor, mask: Any, padding: Any, weights: Projections
) -> tuple[Tensor, Tensor, Any, Any]:
    """The learned key and value, and the zero ones, behind the others; masks leave them visible."""
    b, heads, _, depth = k.layout.shape
    ends: list[tuple[Tensor, Tensor]] = []
    if weights.bias_k is not None and weights.bias_v is not None:
        shape = (1, heads, 1, depth)
        pair = [reshape(x, shape) for x in (weights.bias_k, weights.bias_v)]
        ends.append((pair[0], pair[1]))
    if weights.add_zero:
        nothing = zeros((1, 1, 1, 1), k.layout.dtype)
        ends.append((nothing, nothing))
    for first, second in ends:
        k = concatenate((k, broadcast_to(first, (b, heads, 1, depth))), 2)
        v = concatenate((v, broadcast_to(second, (b, heads, 1, depth))), 2)
        if mask is not None:
            mask = pad(mask, ((0, 0),) * (mask.layout.ndim - 1) + ((0, 1),))
        if padding is not None:
            padding = pad(padding, ((0, 0), (0, 1)))
    return k, v, mask, padding


def _merged(mask: Any, padding: Any, q: Tensor, k: Tensor) -> Any:
    """One mask of both."""
    if padding is None:
        return mask
    b, source = q.layout.shape[0], k.layout.shape[2]
    shape = padding.layout.shape
    for axis, want in enumerate((b, source)):
        if shape[axis] != want:
            raise AssertionError(
                f"Expected key_padded_mask.shape[{axis}] to be {want}, but got {shape[axis]}"
            )
    wide = reshape(padding, (b, 1, 1, source))
    return wide if mask is None else add(mask, wide)


def _with_weights(q: Tensor, k: Tensor, v: Tensor, mask: Any, p: float) -> tuple[Any, Any]:
    """The output and the weights, which are then needed in full."""
    scaled = mul(q, math.sqrt(1.0 / q.layout.shape[-1]))
    scores = matmul(scaled, swap_axes(k, -1, -2))
    if mask is not None:
        scores = add(scores, mask)
    share = softmax(scores, 3)
    if p > 0.0:
        share = dropout(share, p)
    return matmul(share, v), share
