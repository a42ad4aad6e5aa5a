"""Trains a small GPT on a text, character by character, and lets it write: plain PyTorch.

    diptych run examples/gpt.py                   on diptych
    python examples/gpt.py                        on PyTorch

The text is the language reference that ships with Python (``pydoc_data.topics``, what ``help()``
reads); ``--text FILE`` takes another. The last tenth is held back.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from digits import plot, progress
from torch import nn


class Block(nn.Module):
    """Causal self-attention and a feed-forward network, each after a layer norm, each added on."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.before_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        joined = self.attention(self.before_attention(x))
        query, key, value = joined.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        seen = seen.transpose(1, 2).reshape(batch, length, width)
        x = x + F.dropout(self.projection(seen), self.dropout, self.training)
        return x + self.feed(self.before_feed(x))


class GPT(nn.Module):
    def __init__(self, letters: int, options: argparse.Namespace) -> None:
        super().__init__()
        width = options.width
        self.context = options.context
        self.letters = nn.Embedding(letters, width)
        self.positions = nn.Embedding(options.context, width)
        self.dropout = nn.Dropout(options.dropout)
        self.blocks = nn.Sequential(
            *(Block(width, options.heads, options.dropout) for _ in range(options.layers))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, letters, bias=False)
        self.apply(self.initialise)

    @staticmethod
    def initialise(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        places = torch.arange(text.shape[1], device=text.device)
        x = self.dropout(self.letters(text) + self.positions(places))
        return self.head(self.norm(self.blocks(x)))

    @torch.no_grad()
    def write(self, text: torch.Tensor, count: int) -> torch.Tensor:
        """``count`` more letters, each drawn from what the model expects next."""
        for _ in range(count):
            expected = self(text[:, -self.context :])[:, -1]
            drawn = torch.multinomial(F.softmax(expected, dim=-1), num_samples=1)
            text = torch.cat([text, drawn], dim=1)
        return text


def language_reference() -> str:
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def batch_of(text: torch.Tensor, options: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    """Random stretches of the text, and the same shifted by a letter."""
    starts = torch.randint(len(text) - options.context, (options.batch,))
    given = torch.stack([text[i : i + options.context] for i in starts])
    wanted = torch.stack([text[i + 1 : i + 1 + options.context] for i in starts])
    return given, wanted


def loss_of(model: nn.Module, given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(model(given).flatten(0, 1), wanted.flatten())


def train(model: nn.Module, text: torch.Tensor, options: argparse.Namespace) -> list[float]:
    """AdamW with a warmed-up cosine schedule and clipped gradients; the loss of every step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.1)
    warm = min(50, options.total // 5 or 1)

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / max(1, options.total - warm))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    bar = progress(options.steps)
    losses: list[float] = []
    model.train()
    for _ in range(options.steps):
        loss = loss_of(model, *batch_of(text, options))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if bar is not None:
            bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
            bar.update()
    if bar is not None:
        bar.close()
    return losses


def held_back_loss(model: nn.Module, text: torch.Tensor, options: argparse.Namespace) -> float:
    model.eval()
    with torch.no_grad():
        batches = [batch_of(text, options) for _ in range(20)]
        return sum(loss_of(model, *batch).item() for batch in batches) / len(batches)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--text", type=Path, metavar="FILE")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--total", type=int, help="the schedule's length; default: the steps")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--letters", type=int, default=300, help="how long a sample it writes")
    parser.add_argument("--wanted", type=float, help="the held-back loss to reach; default 2.0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--losses", metavar="FILE", help="write the losses there, as JSON, and stop"
    )
    parser.add_argument("--plot", metavar="FILE", default="gpt.png")
    options = parser.parse_args()
    options.total = options.total or options.steps
    if options.wanted is None:
        options.wanted = math.inf if options.text else 2.0
    return options


def main() -> None:
    options = arguments()
    torch.manual_seed(options.seed)
    text = options.text.read_text() if options.text else language_reference()
    alphabet = sorted(set(text))
    number = {letter: i for i, letter in enumerate(alphabet)}
    numbers = torch.tensor([number[letter] for letter in text])
    cut = len(numbers) * 9 // 10
    model = GPT(len(alphabet), options)
    start = time.perf_counter()
    losses = train(model, numbers[:cut], options)
    seconds = time.perf_counter() - start
    print(f"{len(losses)} steps in {seconds:.2f} s, last loss {losses[-1]:.4f}")
    if options.losses:
        Path(options.losses).write_text(json.dumps(losses))
        return
    reached = held_back_loss(model, numbers[cut:], options)
    print(f"loss on the text held back: {reached:.3f} ({math.log(len(alphabet)):.3f} if guessing)")
    written = model.write(numbers[cut : cut + 16].unsqueeze(0), options.letters)[0]
    print("".join(alphabet[i] for i in written.tolist()))
    if options.plot:
        plot(losses, f"a loss of {reached:.2f} on the text held back", options.plot)
        print(f"loss curve: {options.plot}")
    if reached >= options.wanted:
        sys.exit(f"expected a loss under {options.wanted}")


if __name__ == "__main__":
    main()
