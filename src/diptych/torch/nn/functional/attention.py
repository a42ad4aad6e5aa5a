"""Scaled dot-product attention, as PyTorch's function takes it."""

from __future__ import annotations

import math
from typing import Any

from diptych.core import call, dtypes
from diptych.ops import attention, movement
from diptych.ops.contraction import matmul
from diptych.torch.dtypes import scalar_name
from diptych.torch.nn.functional.regularization import dropout
from diptych.torch.tensor import Tensor, face


class Allowed:
    """The ways of computing that `torch.nn.attention.sdpa_kernel` left."""

    math = True
    flash = True


allowed = Allowed()
_OP = attention.SCALED_DOT_PRODUCT_ATTENTION


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query key^T scale + attn_mask) value; the mask's False (or -inf) hides a key."""
    q = query if isinstance(query, Tensor) else face(query, "scaled_dot_product_attention", "query")
    k = key if isinstance(key, Tensor) else face(key, "scaled_dot_product_attention", "key", 2)
    v = value if isinstance(value, Tensor) else face(value, "scaled_dot_product_attention",
                                                     "value", 3)  # fmt: skip
    a, b, c = q.layout, k.layout, v.layout
    causal = 0 if is_causal else None
    if attn_mask is not None:
        attn_mask, causal = _mask(attn_mask, q, causal)
    if not (a.ndim == b.ndim == c.ndim == 4 and a.dtype is b.dtype is c.dtype
            and a.shape[:2] == b.shape[:2] == c.shape[:2] and a.shape[3] == b.shape[3]
            and b.shape[2] == c.shape[2]) or not a.dtype.is_float:  # fmt: skip
        k, v = _checked(q, k, v, enable_gqa)
    if scale is None:
        scale = 1.0 / math.sqrt(a.shape[-1]) if a.shape[-1] else 1.0
    if dropout_p != 0.0 or not allowed.flash:
        return _math(q, k, v, attn_mask, dropout_p, causal, float(scale))
    operands = (q, k, v) if attn_mask is None else (q, k, v, attn_mask)
    return call.current.apply(_OP, operands, (float(scale), causal))


def _mask(mask: Any, q: Tensor, causal: int | None) -> tuple[Any, int | None]:
    """The mask to add, if any, and the offset of a causal one."""
    mask = face(mask, "scaled_dot_product_attention", "attn_mask", 4)
    offset = getattr(mask, "causal_offset", None)
    if offset is not None:
        return None, offset
    dtype = mask.layout.dtype
    if dtype is not dtypes.bool_ and dtype is not q.layout.dtype and dtype is not dtypes.float32:
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {_word(mask)} and  query.dtype: {_word(q)} instead."
        )
    return mask, causal


_WORDS = {"Long": "long int", "Half": "c10::Half", "BFloat16": "c10::BFloat16"}


def _word(x: Tensor) -> str:
    name = scalar_name(x.layout.dtype)
    return _WORDS.get(name, name.lower())


def _checked(q: Tensor, k: Tensor, v: Tensor, shared: bool) -> tuple[Tensor, Tensor]:
    """Keys and values whose heads are the query's, or (``shared``) divide them."""
    dims = [x.layout.ndim for x in (q, k, v)]
    if min(dims) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{dims[0]} key.dim: {dims[1]} and value.dim: {dims[2]} instead."
        )
    if not (q.layout.dtype is k.layout.dtype is v.layout.dtype):
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{_word(q)} key.dtype: {_word(k)} and value.dtype: {_word(v)} instead."
        )
    if not q.layout.dtype.is_float:
        raise RuntimeError(
            f"expected scalar type Float but found {scalar_name(q.layout.dtype)}: "
            "scaled_dot_product_attention takes floating-point tensors"
        )
    if q.layout.shape[-1] != k.layout.shape[-1]:
        raise RuntimeError(
            f"scaled_dot_product_attention: query and key must have one size of their last "
            f"dimension, got {list(q.layout.shape)} and {list(k.layout.shape)}"
        )
    if k.layout.shape[-2] != v.layout.shape[-2]:
        raise RuntimeError(
            "scaled_dot_product_attention: key and value must have one length, got "
            f"{list(k.layout.shape)} and {list(v.layout.shape)}"
        )
    if min(dims) < 3:
        return k, v
    heads = q.layout.shape[-3]
    made = []
    for x in (k, v):
        own = x.layout.shape[-3]
        if own not in (heads, 1) and heads != 1:
            if not shared:
                raise RuntimeError(
                    f"The size of tensor a ({heads}) must match the size of tensor b ({own}) at "
                    f"non-singleton dimension {x.layout.ndim - 3}"
                )
            if own == 0 or heads % own:
                raise RuntimeError(
                    "Number of heads in key and value must divide the number of heads in query, "
                    f"got {own} and {heads}"
                )
        made.append(x)
    if made[0].layout.shape[-3] != made[1].layout.shape[-3]:
        made = [_repeated(x, heads) for x in made]
    return made[0], made[1]


def _repeated(x: Tensor, heads: int) -> Any:
    """Every head as often as it takes to have ``heads``."""
    shape = x.layout.shape
    own = shape[-3]
    if own == heads or not own or heads % own:
        return x
    times = heads // own
    apart = movement.expand_axis(x, len(shape) - 2)
    wide = movement.broadcast_to(apart, (*shape[:-2], times, *shape[-2:]))
    return movement.reshape(wide, (*shape[:-3], heads, *shape[-2:]))


def _math(
    q: Tensor, k: Tensor, v: Tensor, mask: Any, p: float, causal: int | None, scale: float
) -> Any:
    """The scores in full: for dropout of the weights, and where it was asked for."""
    if not allowed.math:
        if not allowed.flash:
            raise RuntimeError(
                "No viable backend for scaled_dot_product_attention was found. This is likely due "
                "to turning off both the math kernel and the fused kernels."
            )
        raise RuntimeError("No available kernel.  Aborting execution.")
    if p < 0.0 or p > 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    heads = q.layout.shape[-3] if q.layout.ndim > 2 else 1
    if k.layout.ndim > 2 and k.layout.shape[-3] not in (1, heads):
        k, v = _repeated(k, heads), _repeated(v, heads)
    weights = attention.weights(q, k, mask, scale, causal)
    return matmul(dropout(weights, p, True), v)
