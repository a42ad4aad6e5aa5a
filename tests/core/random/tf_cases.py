"""Calls of TensorFlow's random functions, as data; run under TensorFlow it prints what they gave.

``python tf_cases.py SEED COUNT`` needs TensorFlow alone; ``answers`` gives ours for the same calls.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from typing import Any

import numpy as np

FLOATS = ("float32", "float64", "float16", "bfloat16")
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 100, 1000, 4097, 20001)
KINDS = (
    "normal", "uniform", "truncated_normal", "integers", "shuffle", "stateless_normal",
    "stateless_uniform", "stateless_truncated_normal", "stateless_integers", "stateless_full",
    "generator", "seed",
)  # fmt: skip
_OPERATIONS = {
    "normal": "RandomStandardNormal", "uniform": "RandomUniform",
    "truncated_normal": "TruncatedNormal",
}  # fmt: skip


def cases(seed: int, count: int) -> list[dict[str, Any]]:
    """Calls of every kind, with seeds of their own and without, after global seeds of all signs."""
    draw = random.Random(seed)
    made = []
    for index in range(count):
        made.append(
            {
                "kind": KINDS[index % len(KINDS)] if index < len(KINDS) else draw.choice(KINDS),
                "n": draw.choice(SIZES),
                "dtype": draw.choice(FLOATS),
                "whole": draw.choice(("int32", "int64")),
                "a": draw.choice([0.0, 0.3, -2.0]),
                "b": draw.choice([1.0, 0.5, 1.7]),
                "low": draw.choice([0, -5, 100]),
                "span": draw.choice([1, 2, 10, 1000, 2**30]),
                "op_seed": draw.choice([None, None, 0, 7, 2**33]),
                "pair": [draw.randrange(-(2**31), 2**31), draw.randrange(-100, 100)],
                "seed": draw.choice([0, 1, 42, 2**31 - 1, 2**31 + 5, 123456789012]),
                "method": draw.choice(("normal", "uniform", "truncated_normal")),
            }
        )
    return made


def digest(values: Any) -> list[Any]:
    """What is kept of a result: dtype, shape, first numbers, hash of the bits."""
    values = np.ascontiguousarray(values)
    if values.dtype.name == "bfloat16":
        values = values.view(np.uint16)
    first = [repr(v.item()) for v in values.ravel()[:3]]
    bits = hashlib.sha256(values.tobytes()).hexdigest()[:16]
    return [values.dtype.name, list(values.shape), first, bits]


def run_tensorflow(made: list[dict[str, Any]]) -> list[list[Any]]:
    import tensorflow as tf

    def call(c: dict[str, Any]) -> Any:
        kind, n, a, b, own = c["kind"], [c["n"]], c["a"], c["b"], c["op_seed"]
        dtype, whole = getattr(tf, c["dtype"]), getattr(tf, c["whole"])
        high = c["low"] + c["span"]
        if kind == "seed":
            tf.random.set_seed(c["seed"])
            return np.zeros(1)
        if kind == "normal":
            return tf.random.normal(n, a, b, dtype, seed=own).numpy()
        if kind == "uniform":
            return tf.random.uniform(n, a, a + b, dtype, seed=own).numpy()
        if kind == "truncated_normal":
            return tf.random.truncated_normal(n, a, b, dtype, seed=own).numpy()
        if kind == "integers":
            return tf.random.uniform(n, c["low"], high, whole, seed=own).numpy()
        if kind == "shuffle":
            return tf.random.shuffle(np.arange(c["n"]), seed=own).numpy()
        if kind == "stateless_normal":
            return tf.random.stateless_normal(n, c["pair"], a, b, dtype).numpy()
        if kind == "stateless_uniform":
            return tf.random.stateless_uniform(n, c["pair"], a, a + b, dtype).numpy()
        if kind == "stateless_truncated_normal":
            return tf.random.stateless_truncated_normal(n, c["pair"], a, b, dtype).numpy()
        if kind == "stateless_integers":
            return tf.random.stateless_uniform(n, c["pair"], c["low"], high, whole).numpy()
        if kind == "stateless_full":
            return tf.random.stateless_uniform(n, c["pair"], None, None, whole).numpy()
        generator = tf.random.Generator.from_seed(c["seed"], alg="philox")
        generator.normal([5])
        last = a + b if c["method"] == "uniform" else b
        return getattr(generator, c["method"])(n, a, last, dtype).numpy()

    tf.random.set_seed(0)
    return [digest(call(case)) for case in made]


def answers(made: list[dict[str, Any]]) -> list[list[Any]]:
    """Our results for the same calls."""
    from diptych.core import dtypes
    from diptych.core.random import tf_stream as stream
    from diptych.core.random.tf_seeds import PhiloxGenerator, SeedState, stateless_stream

    seeds = SeedState()
    seeds.set_seed(0)
    transforms = {
        "normal": stream.normal,
        "uniform": stream.uniform,
        "truncated_normal": stream.truncated_normal,
    }

    def call(c: dict[str, Any]) -> Any:
        kind, n, a, b, own = c["kind"], (c["n"],), c["a"], c["b"], c["op_seed"]
        dtype, whole = dtypes.dtype(c["dtype"]), dtypes.dtype(c["whole"])
        high = c["low"] + c["span"]
        pair = stateless_stream((c["pair"][0], c["pair"][1]))
        if kind == "seed":
            seeds.set_seed(c["seed"])
            return np.zeros(1)
        if kind in transforms:
            place = seeds.stream(_OPERATIONS[kind], dtype.name, own).reserve(c["n"])
            last = a + b if kind == "uniform" else b
            return transforms[kind](*place, n, a, last, dtype)
        if kind == "integers":
            place = seeds.stream("RandomUniformInt", whole.name, own).reserve(c["n"])
            return stream.uniform_integers(*place, n, c["low"], high, whole)
        if kind == "shuffle":
            rows = seeds.stream("RandomShuffle", "int64", own)
            return stream.shuffle_order(*rows.reserve_draws(max(c["n"] - 1, 0)), c["n"])
        if kind == "stateless_integers":
            return stream.uniform_integers(*pair, n, c["low"], high, whole)
        if kind == "stateless_full":
            return stream.full_integers(*pair, n, whole)
        if kind == "generator":
            generator = PhiloxGenerator.from_seed(c["seed"])
            generator.reserve(5)
            last = a + b if c["method"] == "uniform" else b
            return transforms[c["method"]](*generator.reserve(c["n"]), n, a, last, dtype)
        method = kind.removeprefix("stateless_")
        return transforms[method](*pair, n, a, a + b if method == "uniform" else b, dtype)

    return [digest(call(case)) for case in made]


if __name__ == "__main__":
    print(json.dumps(run_tensorflow(cases(int(sys.argv[1]), int(sys.argv[2])))))
