"""Rows of training_torch.py in JAX: whole steps compiled, each call waited for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

LAYOUT = ("NCHW", "OIHW", "NCHW")


def conv(x, weight, padding="VALID", stride=1):
    return lax.conv_general_dilated(x, weight, (stride, stride), padding, dimension_numbers=LAYOUT)


def drawn(key, *shape):
    return jax.random.normal(key, shape) * 0.05


def convolution(backward):
    flops = 2 * 8 * 56 * 56 * 64 * 64 * 9

    def setup():
        keys = jax.random.split(jax.random.key(0), 3)
        weight, x = drawn(keys[0], 64, 64, 3, 3), drawn(keys[1], 8, 64, 56, 56)
        upstream = drawn(keys[2], 8, 64, 56, 56)

        @jax.jit
        def forward(x, weight):
            return conv(x, weight, "SAME")

        @jax.jit
        def both(x, weight):
            y, pull = jax.vjp(lambda x, w: conv(x, w, "SAME"), x, weight)
            return y, pull(upstream)

        run = both if backward else forward
        return lambda: jax.block_until_ready(run(x, weight))

    return {"setup": setup, "flops": 3 * flops if backward else flops}


def adam(parameters, gradients, means, squares, count):
    """One step with PyTorch's defaults."""
    means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
    squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
    rate, scale = 1e-3 / (1 - 0.9**count), 1 - 0.999**count
    parameters = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v / scale) + 1e-8), parameters, means, squares
    )
    return parameters, means, squares


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def training(parameters_of, forward, inputs, labels):
    """Adam's step of a network, compiled whole; dropout's masks are drawn inside it."""

    def setup():
        key = jax.random.key(0)
        parameters = parameters_of(key)
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        x, wanted = inputs(key), labels(key)

        @jax.jit
        def whole(state, x, wanted):
            parameters, means, squares, count, key = state
            key, mask_key = jax.random.split(key)
            loss = lambda p: cross_entropy(forward(p, x, mask_key), wanted)  # noqa: E731
            gradients = jax.grad(loss)(parameters)
            return (*adam(parameters, gradients, means, squares, count + 1), count + 1, key)

        state = (parameters, zeros, zeros, jnp.float32(0), key)

        def step():
            nonlocal state
            state = jax.block_until_ready(whole(state, x, wanted))

        return step

    return {"setup": setup}


# ---- the MNIST CNN


def mnist_parameters(key):
    keys = jax.random.split(key, 4)
    return [
        (drawn(keys[0], 32, 1, 3, 3), jnp.zeros((32, 1, 1))),
        (drawn(keys[1], 64, 32, 3, 3), jnp.zeros((64, 1, 1))),
        (drawn(keys[2], 64 * 12 * 12, 128), jnp.zeros(128)),
        (drawn(keys[3], 128, 10), jnp.zeros(10)),
    ]


def dropped(key, x, p):
    return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


def mnist_forward(parameters, x, key):
    first, second, third, last = parameters
    x = jax.nn.relu(conv(x, first[0]) + first[1])
    x = jax.nn.relu(conv(x, second[0]) + second[1])
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    keys = jax.random.split(key)
    x = dropped(keys[0], x, 0.25).reshape(x.shape[0], -1)
    x = dropped(keys[1], jax.nn.relu(x @ third[0] + third[1]), 0.5)
    return x @ last[0] + last[1]


# ---- LSTM


def lstm_parameters(key):
    keys = jax.random.split(key, 3)
    return (drawn(keys[0], 64, 1024), drawn(keys[1], 256, 1024), jnp.zeros(1024)), (
        drawn(keys[2], 256, 10), jnp.zeros(10),
    )  # fmt: skip


def lstm_forward(parameters, x, _):
    (w_input, w_hidden, bias), (w_head, b_head) = parameters
    given = x.transpose(1, 0, 2) @ w_input + bias

    def cell(state, now):
        hidden, memory = state
        enter, keep, new, leave = jnp.split(now + hidden @ w_hidden, 4, axis=1)
        memory = jax.nn.sigmoid(keep) * memory + jax.nn.sigmoid(enter) * jnp.tanh(new)
        return (jax.nn.sigmoid(leave) * jnp.tanh(memory), memory), None

    start = jnp.zeros((x.shape[0], 256))
    (hidden, _), _ = lax.scan(cell, (start, start), given)
    return hidden @ w_head + b_head


# ---- GPT


def gpt_parameters(key, width=256, layers=4):
    keys = iter(jax.random.split(key, 4 * layers + 3))

    def linear(inputs, outputs):
        return drawn(next(keys), inputs, outputs), jnp.zeros(outputs)

    blocks = [
        {
            "attention": linear(width, 3 * width), "projection": linear(width, width),
            "up": linear(width, 4 * width), "down": linear(4 * width, width),
            "norms": [(jnp.ones(width), jnp.zeros(width)) for _ in range(2)],
        }
        for _ in range(layers)
    ]  # fmt: skip
    letters, places = drawn(next(keys), 256, width), drawn(next(keys), 128, width)
    return (
        letters,
        places,
        blocks,
        (jnp.ones(width), jnp.zeros(width)),
        drawn(next(keys), width, 256),
    )


def norm(x, affine):
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = jnp.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-5)
    return centred / spread * affine[0] + affine[1]


def block(parameters, x, heads=8):
    batch, length, width = x.shape

    def linear(name, y):
        return y @ parameters[name][0] + parameters[name][1]

    joined = linear("attention", norm(x, parameters["norms"][0]))
    query, key, value = joined.reshape(batch, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    scores = query @ key.swapaxes(-1, -2) / (width // heads) ** 0.5
    scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
    seen = (jax.nn.softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(batch, length, width)
    x = x + linear("projection", seen)
    up = jax.nn.gelu(linear("up", norm(x, parameters["norms"][1])), approximate=False)
    return x + linear("down", up)


def gpt_forward(parameters, text, _):
    letters, places, blocks, last, head = parameters
    x = letters[text] + places[: text.shape[1]]
    for one in blocks:
        x = block(one, x)
    return (norm(x, last) @ head).reshape(-1, head.shape[1])


def normal(*shape):
    return lambda key: jax.random.normal(key, shape)


def classes(count, *shape):
    return lambda key: jax.random.randint(key, shape, 0, count)


CASES = {
    "conv 3x3 64-64 56x56 batch 8 forward": convolution(False),
    "conv 3x3 64-64 56x56 batch 8 forward and backward": convolution(True),
    "MNIST CNN batch 64 step": training(
        mnist_parameters, mnist_forward, normal(64, 1, 28, 28), classes(10, 64)
    ),
    "LSTM 64-256 64 steps batch 32 step": training(
        lstm_parameters, lstm_forward, normal(32, 64, 64), classes(10, 32)
    ),
    "GPT 4 layers width 256 128 tokens batch 8 step": training(
        gpt_parameters, gpt_forward, classes(256, 8, 128), classes(256, 8 * 128)
    ),
}
