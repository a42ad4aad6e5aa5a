"""The Vision Transformer (arXiv 2010.11929)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.models.registry import published, register, row
from diptych.companions.torchvision.ops.blocks import MLP, Conv2dNormActivation
from diptych.torch import nn

Layer = Callable[..., nn.Module]
_NORM = partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(NamedTuple):
    """One convolution of a stem that stands in for the patches (arXiv 2106.14881)."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Layer = nn.BatchNorm2d
    activation_layer: Layer = nn.ReLU


class MLPBlock(MLP):
    """The feed-forward network of a block."""

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(
            in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=1e-6)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        if local_metadata.get("version") in (None, 1):  # the layers had names before
            for old, new in (("linear_1", "0"), ("linear_2", "3")):
                for kind in ("weight", "bias"):
                    found = state_dict.pop(f"{prefix}{old}.{kind}", None)
                    if found is not None:
                        state_dict[f"{prefix}{new}.{kind}"] = found
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class EncoderBlock(nn.Module):
    """Self-attention and a feed-forward network, each after a norm, each added on."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = _NORM,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Any) -> Any:
        if input.dim() != 3:
            raise RuntimeError(
                f"Expected (batch_size, seq_length, hidden_dim) got {tuple(input.shape)}"
            )
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Places added to the patches, then the blocks, then a norm."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = _NORM,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        sizes = (num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{i}", EncoderBlock(*sizes)) for i in range(num_layers))
        )
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Any) -> Any:
        if input.dim() != 3:
            raise RuntimeError(
                f"Expected (batch_size, seq_length, hidden_dim) got {tuple(input.shape)}"
            )
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Patches of an image as tokens, a class token before them, an encoder, a head."""

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Layer = _NORM,
        conv_stem_configs: list[ConvStemConfig] | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise RuntimeError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj = self._stem(conv_stem_configs)
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout,
            attention_dropout, norm_layer,
        )  # fmt: skip
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._initialise()

    def _stem(self, configs: list[ConvStemConfig] | None) -> nn.Module:
        if configs is None:
            return nn.Conv2d(3, self.hidden_dim, self.patch_size, self.patch_size)
        stem = nn.Sequential()
        width = 3
        for position, config in enumerate(configs):
            layer = Conv2dNormActivation(
                width, config.out_channels, config.kernel_size, config.stride,
                norm_layer=config.norm_layer, activation_layer=config.activation_layer,
            )  # fmt: skip
            stem.add_module(f"conv_bn_relu_{position}", layer)
            width = config.out_channels
        stem.add_module("conv_last", nn.Conv2d(width, self.hidden_dim, 1))
        return stem

    def _initialise(self) -> None:
        stem = self.conv_proj
        if isinstance(stem, nn.Conv2d):
            fan_in = stem.in_channels * stem.kernel_size[0] * stem.kernel_size[1]
            nn.init.trunc_normal_(stem.weight, std=math.sqrt(1 / fan_in))
            if stem.bias is not None:
                nn.init.zeros_(stem.bias)
        elif isinstance(getattr(stem, "conv_last", None), nn.Conv2d):
            last: Any = stem.conv_last
            nn.init.normal_(last.weight, mean=0.0, std=math.sqrt(2.0 / last.out_channels))
            if last.bias is not None:
                nn.init.zeros_(last.bias)
        if isinstance(getattr(self.heads, "pre_logits", None), nn.Linear):
            middle: Any = self.heads.pre_logits
            nn.init.trunc_normal_(middle.weight, std=math.sqrt(1 / middle.in_features))
            nn.init.zeros_(middle.bias)
        head: Any = self.heads.head
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)

    def _process_input(self, x: Any) -> Any:
        """The patches as tokens, [batch, patches, width]."""
        batch, _, height, width = x.shape
        if (height, width) != (self.image_size, self.image_size):
            side, given = self.image_size, (height, width)
            which = "height" if height != side else "width"
            raise RuntimeError(
                f"Wrong image {which}! Expected {side} but got {given[which == 'width']}!"
            )
        return self.conv_proj(x).reshape(batch, self.hidden_dim, -1).permute(0, 2, 1)

    def forward(self, x: Any) -> Any:
        x = self._process_input(x)
        token: Any = self.class_token
        x = torch.cat([token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.heads(self.encoder(x)[:, 0])


def _make(patch: int, layers: int, heads: int, width: int, inner: int, **options: Any) -> Any:
    size = options.pop("image_size", 224)
    return VisionTransformer(size, patch, layers, heads, width, inner, **options)


def _large(file: str, crop: int, resize: int) -> Any:
    return row(file, crop, resize, bicubic=True)


ViT_B_16_Weights = published(
    "ViT_B_16_Weights",
    __name__,
    default="IMAGENET1K_V1",
    IMAGENET1K_V1=row("vit_b_16-c867db91.pth"),
    IMAGENET1K_SWAG_E2E_V1=_large("vit_b_16_swag-9ac1b537.pth", 384, 384),
    IMAGENET1K_SWAG_LINEAR_V1=_large("vit_b_16_lc_swag-4e70ced5.pth", 224, 224),
)
ViT_B_32_Weights = published(
    "ViT_B_32_Weights", __name__, IMAGENET1K_V1=row("vit_b_32-d86f8d99.pth")
)
ViT_L_16_Weights = published(
    "ViT_L_16_Weights",
    __name__,
    default="IMAGENET1K_V1",
    IMAGENET1K_V1=row("vit_l_16-852ce7e3.pth", 224, 242),
    IMAGENET1K_SWAG_E2E_V1=_large("vit_l_16_swag-4f3808c9.pth", 512, 512),
    IMAGENET1K_SWAG_LINEAR_V1=_large("vit_l_16_lc_swag-4d563306.pth", 224, 224),
)
ViT_L_32_Weights = published(
    "ViT_L_32_Weights", __name__, IMAGENET1K_V1=row("vit_l_32-c7638314.pth")
)
ViT_H_14_Weights = published(
    "ViT_H_14_Weights",
    __name__,
    default="IMAGENET1K_SWAG_E2E_V1",
    IMAGENET1K_SWAG_E2E_V1=_large("vit_h_14_swag-80465313.pth", 518, 518),
    IMAGENET1K_SWAG_LINEAR_V1=_large("vit_h_14_lc_swag-c1eb923e.pth", 224, 224),
)

vit_b_16 = register("vit_b_16", ViT_B_16_Weights, partial(_make, 16, 12, 12, 768, 3072), __name__)
vit_b_32 = register("vit_b_32", ViT_B_32_Weights, partial(_make, 32, 12, 12, 768, 3072), __name__)
vit_l_16 = register("vit_l_16", ViT_L_16_Weights, partial(_make, 16, 24, 16, 1024, 4096), __name__)
vit_l_32 = register("vit_l_32", ViT_L_32_Weights, partial(_make, 32, 24, 16, 1024, 4096), __name__)
vit_h_14 = register("vit_h_14", ViT_H_14_Weights, partial(_make, 14, 32, 16, 1280, 5120), __name__)
