"""A small GPT in plain PyTorch: training steps and generation-sized forwards."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Causal self-attention and a feed-forward block, normalized first."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).split(width, dim=2)
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in parts
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(y.transpose(1, 2).contiguous().view(batch, length, width))
        return x + self.narrow(F.gelu(self.widen(self.norm2(x))))


class GPT(nn.Module):
    """Embeddings, blocks, and logits over the vocabulary."""

    def __init__(self, vocabulary, length, width, heads, layers):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def flops(vocabulary, length, width, layers, batch):
    """Of one forward: products with weights, and half of the attention's."""
    tokens = batch * length
    return 2 * tokens * (width * vocabulary + layers * (12 * width * width + length * width))


def training(vocabulary, length=128, width=256, heads=8, layers=4, batch=8):
    """Forward, cross entropy, backward and AdamW's step."""

    def setup():
        torch.manual_seed(0)
        model = GPT(vocabulary, length, width, heads, layers)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
        tokens = torch.randint(0, vocabulary, (batch, length))
        following = torch.randint(0, vocabulary, (batch, length))

        def step():
            optimizer.zero_grad()
            logits = model(tokens)
            F.cross_entropy(logits.view(-1, vocabulary), following.view(-1)).backward()
            optimizer.step()

        return step

    return {"setup": setup, "flops": 3 * flops(vocabulary, length, width, layers, batch)}


def forward(vocabulary, length, width=256, heads=8, layers=4, batch=1):
    """What generating one token costs without a cache."""

    def setup():
        torch.manual_seed(0)
        model = GPT(vocabulary, length, width, heads, layers).eval()
        tokens = torch.randint(0, vocabulary, (batch, length))

        def run():
            with torch.no_grad():
                return model(tokens)

        return run

    return {"setup": setup, "flops": flops(vocabulary, length, width, layers, batch)}


CASES = {
    "gpt step 4x256 128 tokens batch 8": training(65),
    "gpt step 4x256 128 tokens batch 8 vocabulary 1000": training(1000),
    "gpt step 2x64 32 tokens batch 4": training(65, 32, 64, 4, 2, 4),
    "gpt forward 4x256 128 tokens": forward(65, 128),
    "gpt forward 4x256 16 tokens": forward(65, 16),
}
