"""Times convolutions and their gradients, layer by layer, beside real PyTorch in turn.

    PYTHONPATH=src python benchmarks/convolution.py [group ...] [--torch PYTHON] [--unlock FILE.so]
        [--seconds S] [--only TEXT]

Groups: plain, cifar, resnet, single, mnist, depthwise, sequence. Prints milliseconds for forward,
gradient of the input and of the weight, and our share of the FMA peak measured in the same run.
``--torch`` names a Python that has PyTorch; ``--unlock`` a library to preload into a second worker
(the vendor check of its BLAS). Best of many runs, the engines in turn: the machine may be shared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

# (group, batch, channels, size, features, kernel, stride, padding, groups)
Layer = tuple[str, int, int, tuple[int, ...], int, int, int, int, int]


def two(group: str, n: int, c: int, size: int, o: int, k: int, s: int = 1, g: int = 1) -> Layer:
    return (group, n, c, (size, size), o, k, s, (k - 1) // 2, g)


def resnet(group: str, n: int) -> list[Layer]:
    """The kinds of layers of ResNet-50 at 112 x 112."""
    return [
        two(group, n, 3, 112, 64, 7, 2), two(group, n, 64, 28, 64, 1), two(group, n, 64, 28, 64, 3),
        two(group, n, 64, 28, 256, 1), two(group, n, 256, 28, 128, 1),
        two(group, n, 128, 28, 128, 3, 2), two(group, n, 256, 28, 512, 1, 2),
        two(group, n, 128, 14, 512, 1), two(group, n, 128, 14, 128, 3),
        two(group, n, 256, 14, 256, 3, 2), two(group, n, 256, 7, 1024, 1),
        two(group, n, 1024, 7, 256, 1), two(group, n, 256, 7, 256, 3),
        two(group, n, 512, 7, 512, 3, 2), two(group, n, 512, 4, 2048, 1),
        two(group, n, 512, 4, 512, 3),
    ]  # fmt: skip


LAYERS: list[Layer] = [
    two("plain", 8, 64, 56, 64, 3),
    two("cifar", 32, 3, 32, 32, 3), two("cifar", 32, 32, 32, 32, 3),
    two("cifar", 32, 32, 32, 64, 3, 2), two("cifar", 32, 64, 16, 64, 3),
    two("cifar", 32, 32, 32, 64, 1, 2), two("cifar", 32, 64, 16, 128, 3, 2),
    two("cifar", 32, 128, 8, 128, 3),
    *resnet("resnet", 8), *resnet("single", 1),
    ("mnist", 64, 1, (28, 28), 32, 3, 1, 0, 1), ("mnist", 64, 32, (26, 26), 64, 3, 1, 0, 1),
    two("depthwise", 8, 96, 56, 96, 3, 1, 96), two("depthwise", 8, 144, 56, 144, 3, 2, 144),
    two("depthwise", 8, 192, 28, 192, 3, 1, 192), two("depthwise", 8, 576, 14, 576, 3, 1, 576),
    two("depthwise", 8, 960, 7, 960, 3, 1, 960),
    ("sequence", 16, 64, (1024,), 64, 3, 1, 1, 1), ("sequence", 16, 256, (128,), 256, 5, 1, 2, 1),
    ("sequence", 4, 1, (16000,), 64, 80, 4, 38, 1),
]  # fmt: skip


def flops(layer: Layer) -> float:
    _, n, c, size, o, k, s, p, g = layer
    pixels = 1
    for extent in size:
        pixels *= (extent + 2 * p - k) // s + 1
    return 2.0 * n * pixels * o * (c // g) * k ** len(size)


def best(run: Callable[[], object], seconds: float) -> float:
    """The shortest of the runs that fit into ``seconds``, in milliseconds."""
    run()
    found, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        found = min(found, time.perf_counter() - start)
    return 1e3 * found


def ours() -> Callable[[Layer, float], list[float]]:
    """Times one layer with diptych."""
    import numpy as np

    import diptych.torch
    from diptych.core.tensor import Tensor, copy_array
    from diptych.ops import convolution as ops

    assert diptych.torch is not None

    def measure(layer: Layer, seconds: float) -> list[float]:
        _, n, c, size, o, k, s, p, g = layer
        rng = np.random.default_rng(0)
        axes = len(size)
        x = copy_array(rng.standard_normal((n, c, *size)).astype("f"), Tensor)
        w = copy_array(rng.standard_normal((o, c // g, *[k] * axes)).astype("f"), Tensor)
        window = ((s,) * axes, ((p, p),) * axes, (1,) * axes, g)
        y = ops.convolution(x, w, None, *window)
        return [
            best(lambda: ops.convolution(x, w, None, *window), seconds),
            best(lambda: ops.convolution_input(y, w, None, *window, size), seconds),
            best(lambda: ops.convolution_weight(x, y, *window, (k,) * axes), seconds),
        ]

    return measure


def theirs() -> Callable[[Layer, float], list[float]]:
    """Times one layer with PyTorch."""
    import torch

    backward = torch.ops.aten.convolution_backward

    def measure(layer: Layer, seconds: float) -> list[float]:
        _, n, c, size, o, k, s, p, g = layer
        axes = len(size)
        x, w = torch.randn(n, c, *size), torch.randn(o, c // g, *[k] * axes)
        window = ([s] * axes, [p] * axes, [1] * axes, False, [0] * axes, g)
        y = torch.convolution(x, w, None, *window)
        both = [(True, False, False), (False, True, False)]
        return [
            best(lambda: torch.convolution(x, w, None, *window), seconds),
            *[best(lambda m=m: backward(y, x, w, None, *window, m), seconds) for m in both],
        ]

    return measure


def serve(kind: str) -> None:
    """Answer one JSON line of timings for each JSON line of (layer, seconds)."""
    measure = ours() if kind == "ours" else theirs()
    for line in sys.stdin:
        layer, seconds = json.loads(line)
        layer[3] = tuple(layer[3])
        print(json.dumps(measure(tuple(layer), seconds)), flush=True)


class Worker:
    """An engine in a process of its own."""

    def __init__(self, python: str, kind: str, preload: str = "") -> None:
        environment = dict(os.environ)
        if kind != "ours":
            environment.pop("PYTHONPATH", None)
        if preload:
            environment["LD_PRELOAD"] = preload
        self.process = subprocess.Popen(
            [python, __file__, "--serve", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment, text=True,
        )  # fmt: skip

    def __call__(self, layer: Layer, seconds: float) -> list[float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps((layer, seconds)) + "\n")
        self.process.stdin.flush()
        found: list[float] = json.loads(self.process.stdout.readline())
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*")
    parser.add_argument("--torch", default="")
    parser.add_argument("--unlock", default="")
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--peak", type=float, default=512.0, help="GFLOP/s of all threads")
    parser.add_argument("--serve", default="")
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    workers = {"ours": Worker(sys.executable, "ours")}
    if given.torch:
        workers["torch"] = Worker(given.torch, "torch")
        if given.unlock:
            workers["unlocked"] = Worker(given.torch, "torch", given.unlock)
    print(f"{'layer':44}" + "".join(f"{name + ' f/x/w ms':>26}" for name in workers)
          + "   our share of peak, ours/best of theirs")  # fmt: skip
    for layer in LAYERS:
        group, n, c, size, o, k, s, _, g = layer
        name = f"{group} {n}x{c}x{'x'.join(map(str, size))} -> {o} k{k} s{s}" + f" g{g}" * (g > 1)
        if (given.groups and group not in given.groups) or given.only not in name:
            continue
        found = {who: [float("inf")] * 3 for who in workers}
        for _ in range(given.rounds):
            for who, worker in workers.items():
                times = worker(layer, given.seconds / given.rounds)
                found[who] = [min(a, b) for a, b in zip(found[who], times, strict=True)]
        line = f"{name:44}"
        for times in found.values():
            line += "  " + " ".join(f"{t:7.3f}" for t in times)
        shares = [flops(layer) / t / 1e6 / given.peak for t in found["ours"]]
        line += "   " + " ".join(f"{100 * share:4.0f}%" for share in shares)
        others = [times for who, times in found.items() if who != "ours"]
        if others:
            ratios = [found["ours"][i] / min(t[i] for t in others) for i in range(3)]
            line += "  " + " ".join(f"{ratio:5.2f}" for ratio in ratios)
        print(line, flush=True)


if __name__ == "__main__":
    main()
