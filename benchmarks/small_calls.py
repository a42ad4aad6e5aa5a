"""Eager calls on small tensors, where the way to the kernel is all the time: us each, both engines.

    python benchmarks/small_calls.py --torch /path/to/a/python/with/torch [pattern ...]

Each engine runs in a process of its own, on one thread, several times in turn; a case's figure is
the best of many short loops, which another program's load hardly changes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time

LOOPS = 25
SECONDS = 0.002  # of one loop


def cases(torch):
    """Names and functions of no arguments."""
    functional = torch.nn.functional
    torch.manual_seed(0)
    x, y, image = torch.randn(32, 16), torch.randn(32, 16), torch.randn(4, 3, 8, 8)
    row, batch = torch.randn(16), torch.randn(64, 3, 8, 8)
    whole = torch.randint(0, 9, (32, 16))
    index, mask, vector = torch.randint(0, 32, (8,)), x > 0, torch.randn(100)
    big, million = torch.randn(1000, 1000), torch.randn(1_000_000)
    parts = [torch.randn(3, 8, 8) for _ in range(64)]
    scalar, array = torch.tensor(1.5), torch.randn(8, 8).numpy()
    leaf = torch.randn(32, 16, requires_grad=True)
    layer = torch.nn.Linear(16, 16)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    numbers = [1.0, 2.0, 3.0]
    target = torch.zeros(32, 16)
    spot, labels = torch.zeros(32, 16), torch.randint(0, 16, (32,))
    bigmask, classes = big > 0, torch.randint(0, 100, (1_000_000,))

    def put():
        spot[3] = 1.0

    def put_row():
        spot[5] = row

    return {
        "x + y": lambda: x + y,
        "x + 1": lambda: x + 1,
        "2.0 * x": lambda: 2.0 * x,
        "x * row": lambda: x * row,
        "-x": lambda: -x,
        "leaf + x (recorded)": lambda: leaf + x,
        "x > 0": lambda: x > 0,
        "x == y": lambda: x == y,
        "x.add_(y)": lambda: target.add_(y),
        "x += 1": lambda: target.__iadd__(1),
        "x.mul_(0.9)": lambda: target.mul_(0.9),
        "x.add_(y, alpha=0.1)": lambda: target.add_(y, alpha=0.1),
        "x.zero_()": lambda: target.zero_(),
        "x.copy_(y)": lambda: target.copy_(y),
        "x.clone()": lambda: x.clone(),
        "x.detach()": lambda: leaf.detach(),
        "torch.relu(x)": lambda: torch.relu(x),
        "x.exp()": lambda: x.exp(),
        "torch.where(m, x, y)": lambda: torch.where(mask, x, y),
        "x.clamp(0, 1)": lambda: x.clamp(0, 1),
        "x @ y.T": lambda: x @ y.T,
        "layer(x)": lambda: layer(x),
        "F.softmax(x, 1)": lambda: functional.softmax(x, 1),
        "F.cross_entropy": lambda: functional.cross_entropy(x, labels),
        "x.sum()": lambda: x.sum(),
        "x.sum(1)": lambda: x.sum(1),
        "x.mean()": lambda: x.mean(),
        "x.mean(1)": lambda: x.mean(1),
        "x.max()": lambda: x.max(),
        "x.max(1)": lambda: x.max(1),
        "x.max(0)": lambda: x.max(0),
        "x.argmax(1)": lambda: x.argmax(1),
        "x.any()": lambda: mask.any(),
        "scalar.item()": lambda: scalar.item(),
        "float(scalar)": lambda: float(scalar),
        "bool(scalar)": lambda: bool(scalar),
        "x.sum().item()": lambda: x.sum().item(),
        "rand(1).item()": lambda: torch.rand(1).item(),
        "torch.tensor(1.0)": lambda: torch.tensor(1.0),
        "torch.tensor([1, 2, 3])": lambda: torch.tensor(numbers),
        "torch.from_numpy": lambda: torch.from_numpy(array),
        "x.numpy()": lambda: x.numpy(),
        "x.tolist()": lambda: row.tolist(),
        "torch.zeros(3)": lambda: torch.zeros(3),
        "torch.ones(32, 16)": lambda: torch.ones(32, 16),
        "torch.empty(3)": lambda: torch.empty(3),
        "torch.full((3,), 2.0)": lambda: torch.full((3,), 2.0),
        "torch.zeros_like(x)": lambda: torch.zeros_like(x),
        "torch.arange(10)": lambda: torch.arange(10),
        "torch.rand(16)": lambda: torch.rand(16),
        "torch.randn(16)": lambda: torch.randn(16),
        "torch.randint(0, 9, (16,))": lambda: torch.randint(0, 9, (16,)),
        "F.dropout(x, 0.5)": lambda: functional.dropout(x, 0.5),
        "x.shape": lambda: x.shape,
        "x.size(0)": lambda: x.size(0),
        "x.dtype": lambda: x.dtype,
        "x.view(512)": lambda: x.view(512),
        "x.view(-1, 8)": lambda: x.view(-1, 8),
        "x.reshape(16, 32)": lambda: x.reshape(16, 32),
        "x.flatten()": lambda: x.flatten(),
        "x.permute(1, 0)": lambda: x.permute(1, 0),
        "x.transpose(0, 1)": lambda: x.transpose(0, 1),
        "x.t()": lambda: x.t(),
        "x.T": lambda: x.T,
        "x.unsqueeze(0)": lambda: x.unsqueeze(0),
        "x.squeeze()": lambda: x.squeeze(),
        "x.expand(4, 32, 16)": lambda: x.expand(4, 32, 16),
        "x.contiguous()": lambda: x.contiguous(),
        "x[3]": lambda: x[3],
        "batch[5]": lambda: batch[5],
        "x[1:3]": lambda: x[1:3],
        "x[:, 2]": lambda: x[:, 2],
        "x[:, 1:3]": lambda: x[:, 1:3],
        "x[..., None]": lambda: x[..., None],
        "x[3, 4]": lambda: x[3, 4],
        "x[index]": lambda: x[index],
        "x[mask]": lambda: x[mask],
        "x[3] = 1.0": put,
        "x[5] = row": put_row,
        "x.unbind()": lambda: x.unbind(),
        "x.chunk(2)": lambda: x.chunk(2),
        "x.split(8)": lambda: x.split(8),
        "for row in x": lambda: list(x),
        "x.flip(0)": lambda: x.flip(0),
        "F.pad(image, ...)": lambda: functional.pad(image, (1, 1, 1, 1)),
        "torch.cat([x, y])": lambda: torch.cat([x, y]),
        "torch.stack([x, y])": lambda: torch.stack([x, y]),
        "torch.stack of 64": lambda: torch.stack(parts),
        "x.to(float64)": lambda: x.to(torch.float64),
        "x.to(float32)": lambda: x.to(torch.float32),
        "x.to('cpu')": lambda: x.to("cpu"),
        "whole.float()": lambda: whole.float(),
        "x.long()": lambda: x.long(),
        "x.gather(1, i)": lambda: x.gather(1, whole),
        "x.norm()": lambda: x.norm(),
        "x.std()": lambda: x.std(),
        "optimizer.zero_grad()": lambda: optimizer.zero_grad(),
        "loss.backward() of mean": lambda: (leaf * x).mean().backward(),
        "vector.sort()": lambda: vector.sort(),
        "vector.argsort()": lambda: vector.argsort(),
        "vector.topk(5)": lambda: vector.topk(5),
        "x.topk(3)": lambda: x.topk(3),
        "vector.cumsum(0)": lambda: vector.cumsum(0),
        "x.cumsum(1)": lambda: x.cumsum(1),
        "x.median(1)": lambda: x.median(1),
        "mask.nonzero()": lambda: mask.nonzero(),
        "bincount": lambda: torch.bincount(index),
        "one_hot": lambda: functional.one_hot(index, 32),
        "big: randn(1000, 1000)": lambda: torch.randn(1000, 1000),
        "big: rand(1000, 1000)": lambda: torch.rand(1000, 1000),
        "big: dropout": lambda: functional.dropout(big, 0.5),
        "big: max(1)": lambda: big.max(1),
        "big: max(0)": lambda: big.max(0),
        "big: cumsum(1)": lambda: big.cumsum(1),
        "big: cumsum(0)": lambda: big.cumsum(0),
        "big: cummax(1)": lambda: big.cummax(1),
        "big: sort(1)": lambda: big.sort(1),
        "big: sort(0)": lambda: big.sort(0),
        "big: argsort(1)": lambda: big.argsort(1),
        "big: sort of a vector": lambda: million.sort(),
        "big: topk(5)": lambda: big.topk(5),
        "big: topk(200)": lambda: big.topk(200),
        "big: median(1)": lambda: big.median(1),
        "big: kthvalue(100)": lambda: big.kthvalue(100),
        "big: nonzero": lambda: bigmask.nonzero(),
        "big: x[mask]": lambda: big[bigmask],
        "big: bincount": lambda: torch.bincount(classes),
    }


def best(function) -> float:
    """Microseconds of one call."""
    function(), function()
    begun = time.perf_counter()
    function()
    once = max(time.perf_counter() - begun, 1e-7)
    count = max(1, min(2000, int(SECONDS / once)))
    loops = LOOPS if once < 0.01 else 5
    found = float("inf")
    steps = range(count)
    for _ in range(loops):
        begun = time.perf_counter()
        for _ in steps:
            function()
        found = min(found, (time.perf_counter() - begun) / count)
    return found * 1e6


def worker(module: str, patterns: list[str]) -> None:
    """Times the cases on one engine, and prints them as JSON."""
    torch = importlib.import_module(module)
    importlib.import_module(f"{module}.nn")
    torch.set_num_threads(1)
    figures = {}
    for name, function in cases(torch).items():
        if not patterns or any(pattern in name for pattern in patterns):
            figures[name] = best(function)
    print(json.dumps(figures))


def measured(python: str, module: str, patterns: list[str], rounds: int) -> dict[str, float]:
    """The best of several processes."""
    env = dict(os.environ)
    if module == "torch":
        env.pop("PYTHONPATH", None)
    found: dict[str, float] = {}
    for _ in range(rounds):
        command = [python, __file__, "--worker", module, *patterns]
        out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
        for name, value in json.loads(out.stdout.splitlines()[-1]).items():
            found[name] = min(value, found.get(name, value))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", help="a Python with PyTorch installed")
    parser.add_argument("--worker", help="(internal) the module to time in this process")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--keep", help="a JSON file: PyTorch's figures are kept there, and reused")
    parser.add_argument("patterns", nargs="*", help="parts of the names of the cases to run")
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.patterns)
        return
    ours = measured(sys.executable, "diptych.torch", given.patterns, given.rounds)
    theirs: dict[str, float] = {}
    if given.keep and os.path.exists(given.keep):
        with open(given.keep) as file:
            theirs = json.load(file)
    elif given.torch:
        theirs = measured(given.torch, "torch", given.patterns, given.rounds)
        if given.keep:
            with open(given.keep, "w") as file:
                json.dump(theirs, file)
    print(f"{'':32}{'ours':>10}{'PyTorch':>10}{'ratio':>8}")
    for name, value in ours.items():
        other = theirs.get(name)
        rest = f"{other:10.2f}{value / other:8.2f}" if other else ""
        print(f"{name:32}{value:10.2f}{rest}")
    if theirs:
        ratios = [value / theirs[name] for name, value in ours.items() if name in theirs]
        within = sum(ratio <= 1.2 for ratio in ratios)
        print(f"within 1.2x: {within} of {len(ratios)}")


if __name__ == "__main__":
    main()
