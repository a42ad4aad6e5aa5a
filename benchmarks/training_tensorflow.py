"""Rows of training_torch.py in TensorFlow, its own way: channels last, steps in tf.function."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras


def convolution(backward):
    flops = 2 * 8 * 56 * 56 * 64 * 64 * 9

    def setup():
        weight = tf.Variable(tf.random.normal((3, 3, 64, 64)))
        x = tf.random.normal((8, 56, 56, 64))
        upstream = tf.random.normal((8, 56, 56, 64))

        @tf.function
        def forward():
            return tf.nn.conv2d(x, weight, 1, "SAME")

        @tf.function
        def both():
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.nn.conv2d(x, weight, 1, "SAME")
            return tape.gradient(y, [x, weight], upstream)

        return both if backward else forward

    return {"setup": setup, "flops": 3 * flops if backward else flops}


def training(build, inputs, labels):
    def setup():
        model, x, wanted = build(), inputs(), labels()
        optimizer = keras.optimizers.Adam()
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

        @tf.function
        def step():
            with tf.GradientTape() as tape:
                loss = loss_of(wanted, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        return step

    return {"setup": setup}


def mnist_cnn():
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )


def lstm():
    return keras.Sequential([keras.layers.LSTM(256), keras.layers.Dense(10)])


def normal(*shape):
    return lambda: tf.random.normal(shape)


def classes(count, *shape):
    return lambda: tf.random.uniform(shape, 0, count, dtype=tf.int64)


CASES = {
    "conv 3x3 64-64 56x56 batch 8 forward": convolution(False),
    "conv 3x3 64-64 56x56 batch 8 forward and backward": convolution(True),
    "MNIST CNN batch 64 step": training(mnist_cnn, normal(64, 28, 28, 1), classes(10, 64)),
    "LSTM 64-256 64 steps batch 32 step": training(lstm, normal(32, 64, 64), classes(10, 32)),
}
