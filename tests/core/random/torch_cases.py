"""Calls of PyTorch's random functions, as data; run under PyTorch it prints what they gave.

``python torch_cases.py SEED COUNT`` needs PyTorch alone; ``answers`` gives ours for the same calls.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from typing import Any

import numpy as np

FLOATS = ("float32", "float64", "float16", "bfloat16")
WHOLE = ("uint8", "int8", "int16", "int32", "int64")
SIZES = (0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 100, 255, 256, 1000, 4097)
KINDS = (
    "uniform", "normal", "randn_strided", "exponential", "geometric", "log_normal", "cauchy",
    "randint", "random_full", "random_from", "randperm", "bernoulli", "bernoulli_each",
    "multinomial", "complex_normal", "seed",
)  # fmt: skip


def cases(seed: int, count: int) -> list[dict[str, Any]]:
    """Calls of every kind, in an order in which what one consumes decides the next one's result."""
    draw = random.Random(seed)
    made = []
    for index in range(count):
        dtype = draw.choice(FLOATS)
        case: dict[str, Any] = {
            "kind": KINDS[index % len(KINDS)] if index < len(KINDS) else draw.choice(KINDS),
            "n": draw.choice(SIZES),
            "dtype": dtype,
            "a": draw.choice([0.0, 0.3, -2.0, draw.uniform(-3, 3)]),
            "b": draw.choice([1.0, 0.5, draw.uniform(0.01, 3)]),
            "p": draw.choice([0.0, 1.0, 0.5, 0.1, draw.random()]),
            "seed": draw.choice([draw.randrange(-(2**63), 2**64), draw.randrange(1000)]),
            "k": draw.choice([1, 2, 5]),
            "replacement": draw.random() < 0.5,
            "low": draw.choice([0, -5, 3]),
            "span": draw.choice([1, 2, 10, 100]),
        }
        if case["kind"] in ("randint", "random_full", "random_from", "bernoulli", "geometric"):
            case["dtype"] = draw.choice((*FLOATS, *WHOLE))
        if case["kind"] == "randint" and case["dtype"] in ("int64", "float64"):
            case["span"] = draw.choice([2, 1000, (1 << 28) - 1, 1 << 28, 1 << 40])
        if case["dtype"] == "uint8":
            case["low"] = abs(case["low"])
        if case["kind"] == "geometric":
            case["p"] = draw.uniform(0.05, 0.95)
        made.append(case)
    return made


def weights(n: int) -> Any:
    """Weights in [0.01, 1] that both sides can write down (float32)."""
    return ((np.arange(n) * 37 % 101 + 1) / 101).astype(np.float32)


def digest(values: Any) -> list[Any]:
    """What is kept of a result: dtype, shape, first numbers, hash of the bits."""
    values = np.ascontiguousarray(values)
    first = [repr(v.item()) for v in values.ravel()[:3]]
    bits = hashlib.sha256(values.tobytes()).hexdigest()[:16]
    return [values.dtype.name, list(values.shape), first, bits]


def run_torch(made: list[dict[str, Any]]) -> list[list[Any]]:
    import torch

    def call(c: dict[str, Any]) -> Any:
        kind, n, a, b, p = c["kind"], c["n"], c["a"], c["b"], c["p"]
        dtype = getattr(torch, c["dtype"])
        empty = torch.empty(n, dtype=dtype)
        if kind == "seed":
            torch.manual_seed(c["seed"])
            return torch.tensor(torch.initial_seed() & (2**63 - 1))
        if kind == "uniform":
            return empty.uniform_(a, a + b)
        if kind == "normal":
            return empty.normal_(a, b)
        if kind == "randn_strided":
            return torch.empty(2 * n, dtype=dtype)[::2].normal_(a, b)
        if kind == "complex_normal":
            return torch.randn(n, dtype=torch.complex128 if c["k"] > 1 else torch.complex64)
        if kind == "exponential":
            return empty.exponential_(b)
        if kind == "geometric":
            return empty.geometric_(p)
        if kind == "log_normal":
            return empty.log_normal_(a, b)
        if kind == "cauchy":
            return empty.cauchy_(a, b)
        if kind == "randint":
            return torch.randint(c["low"], c["low"] + c["span"], (n,), dtype=dtype)
        if kind == "random_full":
            return empty.random_()
        if kind == "random_from":
            return empty.random_(max(c["low"], 0), None)
        if kind == "randperm":
            return torch.randperm(n)
        if kind == "bernoulli":
            return empty.bernoulli_(p)
        if kind == "bernoulli_each":
            return torch.bernoulli(torch.from_numpy(weights(n)).to(dtype))
        rows = torch.from_numpy(weights(60).reshape(3, 20)).to(dtype)
        return torch.multinomial(rows, c["k"], c["replacement"])

    torch.manual_seed(0)
    found = []
    for case in made:
        result = call(case)
        plain = result.view(torch.uint16) if result.dtype == torch.bfloat16 else result
        found.append(digest(plain.numpy()))
    found.append(digest(torch.get_rng_state().numpy()))
    return found


def answers(made: list[dict[str, Any]], scheme: str) -> list[list[Any]]:
    """Our results for the same calls."""
    from diptych.core import dtypes
    from diptych.core.random import torch_stream as stream
    from diptych.core.random.mt19937 import Generator
    from diptych.core.random.rounding import narrow

    generator = Generator(0)

    def call(c: dict[str, Any]) -> Any:
        kind, n, a, b, p = c["kind"], (c["n"],), c["a"], c["b"], c["p"]
        dtype = dtypes.dtype(c["dtype"])
        if kind == "seed":
            generator.manual_seed(c["seed"])
            return np.array(generator.initial_seed() & (2**63 - 1))
        if kind == "uniform":
            return stream.uniform(generator, n, a, a + b, dtype)
        if kind == "normal":
            return stream.normal(generator, n, a, b, dtype)
        if kind == "randn_strided":
            return stream.normal(generator, n, a, b, dtype, contiguous=c["n"] < 2)
        if kind == "complex_normal":
            wide = dtypes.complex128 if c["k"] > 1 else dtypes.complex64
            return stream.randn(generator, n, wide)
        if kind == "exponential":
            return stream.exponential(generator, n, b, dtype)
        if kind == "geometric":
            return stream.geometric(generator, n, p, dtype)
        if kind == "log_normal":
            return stream.log_normal(generator, n, a, b, dtype)
        if kind == "cauchy":
            return stream.cauchy(generator, n, a, b, dtype)
        if kind == "randint":
            return stream.randint(generator, n, c["low"], c["low"] + c["span"], dtype)
        if kind == "random_full":
            return stream.random_full(generator, n, dtype)
        if kind == "random_from":
            return stream.random_from(generator, n, max(c["low"], 0), dtype)
        if kind == "randperm":
            return stream.randperm(generator, c["n"])
        if kind == "bernoulli":
            return stream.bernoulli(generator, n, p, dtype, scheme=scheme)
        if kind == "bernoulli_each":
            return stream.bernoulli_each(generator, narrow(weights(c["n"]), dtype), dtype)
        rows = narrow(weights(60).reshape(3, 20), dtype)
        return stream.multinomial(generator, rows, c["k"], c["replacement"], of=dtype)

    found = [digest(call(case)) for case in made]
    found.append(digest(generator.get_state()))
    return found


if __name__ == "__main__":
    print(json.dumps(run_torch(cases(int(sys.argv[1]), int(sys.argv[2])))))
