"""Cases of the spine that NumPy can run: matrix products, and row operations written out."""

from __future__ import annotations

import numpy as np

FLOAT32 = 4


def gemm(size):
    def setup():
        random = np.random.default_rng(0)
        a, b = (random.standard_normal((size, size), np.float32) for _ in range(2))
        return lambda: a @ b

    return {"setup": setup, "flops": 2 * size**3}


def softmax(x):
    shifted = np.exp(x - x.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def layer_norm(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5)


def rows(function):
    def setup():
        x = np.random.default_rng(0).standard_normal((4096, 1024), np.float32)
        return lambda: function(x)

    return {"setup": setup, "bytes": 2 * FLOAT32 * 4096 * 1024}


CASES = {
    **{f"gemm float32 {size}": gemm(size) for size in (1024, 2048, 4096)},
    "softmax 4096x1024": rows(softmax),
    "layer_norm 4096x1024": rows(layer_norm),
}
