"""The spine's cases, written for JAX: whole steps compiled, each call waited for."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp


def gemm(size, dtype):
    def setup():
        a, b = (jax.random.normal(jax.random.key(k), (size, size)).astype(dtype) for k in (0, 1))
        product = jax.jit(lambda a, b: a @ b)
        return lambda: product(a, b).block_until_ready()

    return {"setup": setup, "flops": 2 * size**3}


def forward(parameters, x):
    *hidden, last = parameters
    for weight, bias in hidden:
        x = jax.nn.relu(x @ weight + bias)
    return x @ last[0] + last[1]


def loss_of(parameters, x, labels):
    return -jnp.take_along_axis(
        jax.nn.log_softmax(forward(parameters, x)), labels[:, None], 1
    ).mean()


def adam(parameters, gradients, means, squares, count):
    """One step with PyTorch's defaults."""
    means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
    squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
    rate, scale = 1e-3 / (1 - 0.9**count), 1 - 0.999**count
    parameters = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v / scale) + 1e-8), parameters, means, squares
    )
    return parameters, means, squares


@jax.jit
def whole_step(state, x, labels):
    parameters, means, squares, count = state
    gradients = jax.grad(loss_of)(parameters, x, labels)
    return (*adam(parameters, gradients, means, squares, count + 1), count + 1)


def training_step(widths, batch):
    def setup():
        keys = iter(jax.random.split(jax.random.key(0), 2 * len(widths)))
        parameters = [
            (jax.random.normal(next(keys), (i, o)) / i**0.5, jnp.zeros(o))
            for i, o in pairwise(widths)
        ]
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        x = jax.random.normal(next(keys), (batch, widths[0]))
        labels = jax.random.randint(next(keys), (batch,), 0, widths[-1])
        state = (parameters, zeros, zeros, jnp.float32(0))

        def step():
            nonlocal state
            state = jax.block_until_ready(whole_step(state, x, labels))

        return step

    products = sum(i * o for i, o in pairwise(widths))
    return {"setup": setup, "flops": 2 * batch * (3 * products - widths[0] * widths[1])}


def rows(function):
    def setup():
        x = jax.random.normal(jax.random.key(0), (4096, 1024))
        compiled = jax.jit(function)
        return lambda: compiled(x).block_until_ready()

    return {"setup": setup, "bytes": 2 * 4 * 4096 * 1024}


def layer_norm(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / jnp.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5)


CASES = {
    **{f"gemm float32 {size}": gemm(size, jnp.float32) for size in (1024, 2048, 4096)},
    "gemm bfloat16 2048": gemm(2048, jnp.bfloat16),
    "step 784-512-512-10 batch 64": training_step((784, 512, 512, 10), 64),
    "step 784-128-10 batch 100": training_step((784, 128, 10), 100),
    "step 784-128-10 batch 1000": training_step((784, 128, 10), 1000),
    "step 16-32-2 batch 32": training_step((16, 32, 2), 32),
    "softmax 4096x1024": rows(lambda x: jax.nn.softmax(x, axis=1)),
    "layer_norm 4096x1024": rows(layer_norm),
    "gelu 4096x1024": rows(lambda x: jax.nn.gelu(x, approximate=False)),
}
