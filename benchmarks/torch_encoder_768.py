"""Encoders in PyTorch: inference at the width of BERT, training, and attention by itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def encoder(width, heads, layers, dropout=0.0):
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=dropout, activation="gelu", batch_first=True
    )
    return nn.TransformerEncoder(layer, layers)


def flops(tokens, length, width, layers):
    return 2 * tokens * layers * (12 * width * width + 2 * length * width)


def inference(width, heads, layers, batch, length):
    def setup():
        torch.manual_seed(0)
        model, x = encoder(width, heads, layers).eval(), torch.randn(batch, length, width)

        def run():
            with torch.no_grad():
                return model(x)

        return run

    return {"setup": setup, "flops": flops(batch * length, length, width, layers)}


def training(width, heads, layers, batch, length, dropout):
    def setup():
        torch.manual_seed(0)
        model = encoder(width, heads, layers, dropout)
        optimizer = torch.optim.AdamW(model.parameters())
        x, goal = torch.randn(batch, length, width), torch.randn(batch, length, width)

        def step():
            optimizer.zero_grad()
            F.mse_loss(model(x), goal).backward()
            optimizer.step()

        return step

    return {"setup": setup, "flops": 3 * flops(batch * length, length, width, layers)}


def attention(batch, heads, length, depth, causal, backward):
    """Q, K and V are views of one projection, as models have them."""

    def setup():
        torch.manual_seed(0)
        x = torch.randn(batch, length, 3, heads, depth)
        parts = [part.transpose(1, 2).detach() for part in x.unbind(2)]
        if not backward:
            return lambda: F.scaled_dot_product_attention(*parts, is_causal=causal)
        leaves = [part.requires_grad_() for part in parts]
        pulled = torch.randn(batch, length, heads, depth).transpose(1, 2)

        def run():
            y = F.scaled_dot_product_attention(*leaves, is_causal=causal)
            return torch.autograd.grad(y, leaves, pulled)

        return run

    work = 4 * batch * heads * length * length * depth // (2 if causal else 1)
    return {"setup": setup, "flops": int(work * (3.5 if backward else 1))}


CASES = {
    "encoder 4x768 1x128 tokens": inference(768, 12, 4, 1, 128),
    "encoder 4x768 1x16 tokens": inference(768, 12, 4, 1, 16),
    "encoder step 4x256 8x128 tokens": training(256, 8, 4, 8, 128, 0.0),
    "encoder step 4x256 8x128 tokens dropout": training(256, 8, 4, 8, 128, 0.1),
    "encoder step 2x32 4x16 tokens": training(32, 4, 2, 4, 16, 0.0),
    "attention 8x8x128x32 causal": attention(8, 8, 128, 32, True, False),
    "attention 8x8x128x32 causal gradient": attention(8, 8, 128, 32, True, True),
    "attention 2x8x1024x64 causal gradient": attention(2, 8, 1024, 64, True, True),
    "attention 1x1x4096x64 gradient": attention(1, 1, 4096, 64, False, True),
    "attention 1x12x16x64": attention(1, 12, 16, 64, False, False),
}
