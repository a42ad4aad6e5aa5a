"""The Transformer: encoder and decoder layers, stacks of them, and both together."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.core import tape
from diptych.core.dtypes import bool_
from diptych.core.tensor import copy_array
from diptych.torch.creation import full
from diptych.torch.nn import functional as F
from diptych.torch.nn.functional.multihead import canonical_mask
from diptych.torch.nn.init import xavier_uniform_
from diptych.torch.nn.modules.activation import GELU, ReLU
from diptych.torch.nn.modules.attention import MultiheadAttention
from diptych.torch.nn.modules.container import ModuleList
from diptych.torch.nn.modules.dropout import Dropout
from diptych.torch.nn.modules.linear import Linear
from diptych.torch.nn.modules.module import Module
from diptych.torch.nn.modules.normalization import LayerNorm
from diptych.torch.tensor import Tensor, face

Activation = str | Callable[[Any], Any]


def _generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
    """-inf above the diagonal, 0 elsewhere: position i sees positions up to i."""
    return full((sz, sz), float("-inf"), dtype=dtype, device=device).triu(1)


def _detect_is_causal_mask(mask: Any, is_causal: bool | None, size: int | None) -> bool:
    """Whether a mask hides exactly what comes later, if the caller does not say."""
    if is_causal is not None or mask is None:
        return is_causal is True
    extent = size if size is not None else mask.shape[-2]
    if tuple(mask.shape) != (extent, extent):
        return False
    values = mask.detach().values()
    later = np.triu(np.ones((extent, extent), bool), 1)
    return bool(np.array_equal(values, np.where(later, -np.inf, 0)))


def _sequence_length(src: Any, batch_first: bool) -> int | None:
    """The length of a sequence; None for what has no length of its own."""
    size = tuple(src.shape)
    if len(size) == 2:
        return int(size[0])
    return int(size[1 if batch_first else 0]) if len(size) > 2 else None


def _get_activation_fn(activation: str) -> Callable[[Any], Any]:
    if activation == "relu":
        return F.relu
    if activation == "gelu":
        return F.gelu
    raise RuntimeError(f"activation should be relu/gelu, not {activation}")


def _clones(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


def _mask_dtype(mask: Any) -> Any:
    return None if mask is None else mask.layout.dtype


def _add(x: Any, dropout: Dropout, y: Any) -> Any:
    """``x + dropout(y)``."""
    return x + (dropout(y) if dropout.training and dropout.p else y)


class _Layer(Module):
    """What encoder and decoder layers share: the feed-forward block."""

    activation: Any
    dropout: Any
    linear1: Any
    linear2: Any

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "activation"):
            self.activation = F.relu

    def _feed_forward(self, x: Any) -> Any:
        hidden = self.activation(self.linear1(x))
        if self.dropout.training and self.dropout.p:
            hidden = self.dropout(hidden)
        return self.linear2(hidden)


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward block, each added to its input and normalized."""

    __constants__ = ["norm_first"]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **made
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        if isinstance(activation, str):
            activation = _get_activation_fn(activation)
        kinds: tuple[Any, ...] = ((F.relu, ReLU), (F.gelu, GELU))
        self.activation_relu_or_gelu = next(
            (i for i, (function, layer) in enumerate(kinds, 1)
             if activation is function or isinstance(activation, layer)), 0,
        )  # fmt: skip
        self.activation = activation

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        dtype = face(src, "TransformerEncoderLayer", "src").layout.dtype
        padding = canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", _mask_dtype(src_mask), "src_mask", dtype
        )
        mask = canonical_mask(src_mask, "src_mask", None, "", dtype, False)
        x = src
        if self.norm_first:
            x = _add(x, self.dropout1, self._attend(self.norm1(x), mask, padding, is_causal))
            return _add(x, self.dropout2, self._feed_forward(self.norm2(x)))
        x = self.norm1(_add(x, self.dropout1, self._attend(x, mask, padding, is_causal)))
        return self.norm2(_add(x, self.dropout2, self._feed_forward(x)))

    def _attend(self, x: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        return self.self_attn(
            x, x, x, attn_mask=mask, key_padding_mask=padding, need_weights=False,
            is_causal=is_causal,
        )[0]  # fmt: skip


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention over the encoder's memory, and a feed-forward block."""

    __constants__ = ["norm_first"]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        options = {"dropout": dropout, "batch_first": batch_first, "bias": bias, **made}
        self.self_attn = MultiheadAttention(d_model, nhead, **options)
        self.multihead_attn = MultiheadAttention(d_model, nhead, **options)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        if isinstance(activation, str):
            activation = _get_activation_fn(activation)
        self.activation = activation

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        x = tgt
        if self.norm_first:
            x = _add(x, self.dropout1, self._attend(self.norm1(x), *own))
            x = _add(x, self.dropout2, self._look(self.norm2(x), memory, *other))
            return _add(x, self.dropout3, self._feed_forward(self.norm3(x)))
        x = self.norm1(_add(x, self.dropout1, self._attend(x, *own)))
        x = self.norm2(_add(x, self.dropout2, self._look(x, memory, *other)))
        return self.norm3(_add(x, self.dropout3, self._feed_forward(x)))

    def _attend(self, x: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        return self.self_attn(
            x, x, x, attn_mask=mask, key_padding_mask=padding, is_causal=is_causal,
            need_weights=False,
        )[0]  # fmt: skip

    def _look(self, x: Any, memory: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        return self.multihead_attn(
            x, memory, memory, attn_mask=mask, key_padding_mask=padding, is_causal=is_causal,
            need_weights=False,
        )[0]  # fmt: skip


def _why_not_nested(layer: Any) -> str:
    """Why PyTorch would not leave padding out of an encoder's work; "" if it would."""
    if not isinstance(layer, TransformerEncoderLayer):
        return "encoder_layer was not TransformerEncoderLayer"
    attention = layer.self_attn
    for reason, holds in (
        ("encoder_layer.norm_first was True", layer.norm_first),
        ("encoder_layer.self_attn.batch_first was not True"
         "(use batch_first for better inference performance)", not attention.batch_first),
        ("encoder_layer.self_attn was passed bias=False", attention.in_proj_bias is None),
        ("encoder_layer.self_attn._qkv_same_embed_dim was not True",
         not attention._qkv_same_embed_dim),
        ("encoder_layer.activation_relu_or_gelu was not True", not layer.activation_relu_or_gelu),
        ("encoder_layer.norm1.eps was not equal to encoder_layer.norm2.eps",
         layer.norm1.eps != layer.norm2.eps),
        ("encoder_layer.self_attn.num_heads is odd", attention.num_heads % 2 == 1),
    ):  # fmt: skip
        if holds:
            return reason
    return ""


class TransformerEncoder(Module):
    """A stack of encoder layers."""

    __constants__ = ["norm"]

    def __init__(
        self,
        encoder_layer: Any,
        num_layers: int,
        norm: Any = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check
        reason = _why_not_nested(encoder_layer)
        if enable_nested_tensor and reason:
            warnings.warn(
                "enable_nested_tensor is True, but self.use_nested_tensor is False because "
                f"{reason}",
                stacklevel=2,
            )
            self.use_nested_tensor = False

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Any:
        dtype = src.layout.dtype
        padding = canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", _mask_dtype(mask), "mask", dtype
        )
        mask = canonical_mask(mask, "mask", None, "", dtype, False)
        blank = self._left_out(src, padding)
        batch_first = self.layers[0].self_attn.batch_first
        causal = _detect_is_causal_mask(mask, is_causal, _sequence_length(src, batch_first))
        output = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=causal, src_key_padding_mask=padding)
        if blank is not None:
            output = output.masked_fill(blank, 0.0)
        return output if self.norm is None else self.norm(output)

    def _left_out(self, src: Any, padding: Any) -> Any:
        """What PyTorch's nested tensors leave out and give back as zeros: padding at the end."""
        if padding is None or not self.use_nested_tensor or self.layers[0].training:
            return None
        if src.layout.ndim != 3 or (
            tape.mode.enabled
            and (src.requires_grad or any(p.requires_grad for p in self.parameters()))
        ):
            return None
        kept = padding.detach().values() == 0
        if self.mask_check and not (np.diff(kept.astype(np.int8), axis=1) <= 0).all():
            return None
        return copy_array(~kept[:, :, None], Tensor, bool_)


class TransformerDecoder(Module):
    """A stack of decoder layers."""

    __constants__ = ["norm"]

    def __init__(self, decoder_layer: Any, num_layers: int, norm: Any = None) -> None:
        super().__init__()
        self.layers = _clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        output = tgt
        length = _sequence_length(tgt, self.layers[0].self_attn.batch_first)
        causal = _detect_is_causal_mask(tgt_mask, tgt_is_causal, length)
        for layer in self.layers:
            output = layer(
                output, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal, memory_is_causal=memory_is_causal,
            )  # fmt: skip
        return output if self.norm is None else self.norm(output)


class Transformer(Module):
    """An encoder of the source and a decoder that looks at it.

    Source: Vaswani et al., Attention Is All You Need, arXiv 1706.03762.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
                 norm_first, bias)  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)

        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            layer = TransformerEncoderLayer(*sizes, **made)
            self.encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            below = TransformerDecoderLayer(*sizes, **made)
            self.decoder = TransformerDecoder(below, num_decoder_layers, norm())
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        batched = src.dim() == 3
        axis = 0 if self.batch_first else 1
        if batched and src.size(axis) != tgt.size(axis):
            raise RuntimeError("the batch number of src and tgt must be equal")
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        """-inf above the diagonal, 0 elsewhere: position i sees positions up to i."""
        return _generate_square_subsequent_mask(sz, device, dtype)

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.dim() > 1:
                xavier_uniform_(parameter)
