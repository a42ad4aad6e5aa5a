"""The spine's cases, written for TensorFlow: steps compiled whole, the rest as it goes."""

from __future__ import annotations

from itertools import pairwise

import tensorflow as tf


def gemm(size, dtype):
    def setup():
        a, b = (tf.cast(tf.random.normal((size, size)), dtype) for _ in range(2))
        return lambda: tf.matmul(a, b)

    return {"setup": setup, "flops": 2 * size**3}


def training_step(widths, batch):
    """Written with Variables and compiled whole by tf.function, TensorFlow's own fast way."""

    def setup():
        layers = [
            (tf.Variable(tf.random.normal((i, o)) / i**0.5), tf.Variable(tf.zeros(o)))
            for i, o in pairwise(widths)
        ]
        variables = [variable for layer in layers for variable in layer]
        means = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
        squares = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
        count = tf.Variable(0.0)
        x = tf.random.normal((batch, widths[0]))
        labels = tf.random.uniform((batch,), 0, widths[-1], dtype=tf.int64)

        @tf.function
        def step():
            with tf.GradientTape() as tape:
                hidden = x
                for weight, bias in layers[:-1]:
                    hidden = tf.nn.relu(tf.matmul(hidden, weight) + bias)
                logits = tf.matmul(hidden, layers[-1][0]) + layers[-1][1]
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, variables)
            count.assign_add(1.0)
            rate, scale = 1e-3 / (1 - 0.9**count), 1 - 0.999**count
            for variable, mean, square, gradient in zip(
                variables, means, squares, gradients, strict=True
            ):
                mean.assign(0.9 * mean + 0.1 * gradient)
                square.assign(0.999 * square + 0.001 * gradient * gradient)
                variable.assign_sub(rate * mean / (tf.sqrt(square / scale) + 1e-8))
            return loss

        return step

    products = sum(i * o for i, o in pairwise(widths))
    return {"setup": setup, "flops": 2 * batch * (3 * products - widths[0] * widths[1])}


def rows(function):
    def setup():
        x = tf.random.normal((4096, 1024))
        return lambda: function(x)

    return {"setup": setup, "bytes": 2 * 4 * 4096 * 1024}


def layer_norm(x):
    mean, variance = tf.nn.moments(x, axes=[1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-5)


CASES = {
    **{f"gemm float32 {size}": gemm(size, tf.float32) for size in (1024, 2048, 4096)},
    "gemm bfloat16 2048": gemm(2048, tf.bfloat16),
    "step 784-512-512-10 batch 64": training_step((784, 512, 512, 10), 64),
    "step 784-128-10 batch 100": training_step((784, 128, 10), 100),
    "step 784-128-10 batch 1000": training_step((784, 128, 10), 1000),
    "step 16-32-2 batch 32": training_step((16, 32, 2), 32),
    "softmax 4096x1024": rows(lambda x: tf.nn.softmax(x, axis=1)),
    "layer_norm 4096x1024": rows(tf.function(layer_norm)),
    "gelu 4096x1024": rows(tf.nn.gelu),
}
