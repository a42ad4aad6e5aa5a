"""Tensors crossing between PyTorch's face and TensorFlow's: one memory, one tape."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import diptych.tensorflow as tf
import diptych.torch as torch
from diptych.core.tensor import Tensor as CoreTensor

BATCH, INPUTS, HIDDEN, CLASSES = 6, 5, 4, 3


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Mixed:
    """A model whose first layer is a torch module and whose head is made of tf.Variables."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.first = torch.nn.Linear(INPUTS, HIDDEN)
        w1 = draw.normal(size=(HIDDEN, INPUTS)).astype(np.float32)
        b1 = draw.normal(size=HIDDEN).astype(np.float32)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor(w1))
            self.first.bias.copy_(torch.tensor(b1))
        self.w2 = tf.Variable(draw.normal(size=(HIDDEN, CLASSES)).astype(np.float32))
        self.b2 = tf.Variable(np.zeros(CLASSES, np.float32))

    def loss(self, x: CoreTensor, labels: np.ndarray) -> CoreTensor:
        hidden = tf.nn.relu(self.first(x))  # a torch tensor goes into a tf function
        logits = tf.matmul(hidden, self.w2) + self.b2
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_mean(losses)

    def values(self) -> list[np.ndarray]:
        """w1, b1, w2, b2 as arrays of their own, in float64."""
        held = [self.first.weight.detach().numpy(), self.first.bias.detach().numpy()]
        held += [self.w2.numpy(), self.b2.numpy()]
        return [np.array(array, np.float64) for array in held]


def by_hand(
    values: list[np.ndarray], x: np.ndarray, labels: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """The loss and its gradients, written out."""
    w1, b1, w2, b2 = values
    before = x @ w1.T + b1
    hidden = np.maximum(before, 0)
    p = softmax(hidden @ w2 + b2)
    loss = -np.log(p[np.arange(len(x)), labels]).mean()
    d_logits = p.copy()
    d_logits[np.arange(len(x)), labels] -= 1
    d_logits /= len(x)
    d_hidden = d_logits @ w2.T
    d_before = d_hidden * (before > 0)
    return loss, [d_before.T @ x, d_before.sum(0), hidden.T @ d_logits, d_logits.sum(0)]


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(7)
    x = draw.normal(size=(BATCH, INPUTS)).astype(np.float32)
    return x, draw.integers(0, CLASSES, BATCH)


def test_tape_gives_gradients_of_both_faces(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, labels = data
    model = Mixed(1)
    expected_loss, expected = by_hand(model.values(), x.astype(np.float64), labels)
    with tf.GradientTape() as tape:
        loss = model.loss(torch.tensor(x), labels)
    sources = [model.first.weight, model.first.bias, model.w2, model.b2]
    found = tape.gradient(loss, sources)
    assert float(loss) == pytest.approx(expected_loss, rel=1e-5)
    for got, wanted in zip(found, expected, strict=True):
        assert isinstance(got, tf.Tensor)
        np.testing.assert_allclose(got.numpy(), wanted, rtol=2e-5, atol=1e-6)
    assert model.first.weight.grad is None, "a tape does not accumulate"


def test_torch_backward_through_a_tf_loss(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, labels = data
    model = Mixed(2)
    _, expected = by_hand(model.values(), x.astype(np.float64), labels)
    loss = model.loss(torch.tensor(x), labels)  # no tape is open: torch's parameters record
    torch.autograd.backward(loss)
    assert type(model.first.weight.grad) is torch.Tensor
    np.testing.assert_allclose(model.first.weight.grad.numpy(), expected[0], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(model.first.bias.grad.numpy(), expected[1], rtol=2e-5, atol=1e-6)


def test_tf_loss_of_a_torch_loss(data: tuple[np.ndarray, np.ndarray]) -> None:
    """The other order: a tf layer first, a torch loss behind it."""
    x, labels = data
    w = tf.Variable(np.random.default_rng(3).normal(size=(INPUTS, CLASSES)).astype(np.float32))
    with tf.GradientTape() as tape:
        logits = tf.matmul(x, w)
        loss = torch.nn.functional.cross_entropy(_as_torch(logits), torch.tensor(labels))
    assert type(loss) is torch.Tensor
    gradient = tape.gradient(loss, w)
    p = softmax(x.astype(np.float64) @ w.numpy())
    p[np.arange(BATCH), labels] -= 1
    np.testing.assert_allclose(gradient.numpy(), x.T @ p / BATCH, rtol=2e-5, atol=1e-6)


def _as_torch(value: CoreTensor) -> CoreTensor:
    """A tensor of another face as PyTorch's, by a torch function that changes nothing."""
    return torch.reshape(value, tuple(value.layout.shape))


def test_training_lowers_the_loss(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, labels = data
    model = Mixed(4)
    optimizer = torch.optim.SGD(model.first.parameters(), lr=0.5)
    inputs = torch.tensor(x)
    history = []
    for _ in range(60):
        expected_loss, expected = by_hand(model.values(), x.astype(np.float64), labels)
        with tf.GradientTape() as tape:
            loss = model.loss(inputs, labels)
        found = tape.gradient(loss, [model.first.weight, model.first.bias, model.w2, model.b2])
        for got, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-4, atol=2e-6)
        for parameter, gradient in zip(model.first.parameters(), found[:2], strict=True):
            parameter.grad = _as_torch(gradient)
        optimizer.step()
        model.w2.assign_sub(0.5 * found[2])
        model.b2.assign_sub(0.5 * found[3])
        assert float(loss) == pytest.approx(expected_loss, rel=1e-4)
        history.append(float(loss))
    assert history[-1] < 0.3 * history[0]


def test_memory_is_shared() -> None:
    x = torch.ones(2, 3)
    y = tf.convert_to_tensor(x)
    assert isinstance(y, tf.Tensor)
    assert not isinstance(y, torch.Tensor)
    assert y.address == x.address
    assert y.buffer is x.buffer
    x[0, 0] = 5.0
    assert y.numpy()[0, 0] == 5.0
    z = _as_torch(y)
    assert z.address == x.address


def test_a_variable_goes_into_a_torch_function() -> None:
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = torch.mul(v, torch.tensor([3.0, 4.0]))
        assert type(y) is torch.Tensor
        z = torch.sum(torch.mul(torch.tensor([1.0, 1.0]), torch.mul(y, v)))
    np.testing.assert_allclose(tape.gradient(z, v).numpy(), [6.0, 16.0])


def test_a_changed_variable_saved_by_torch_is_noticed() -> None:
    v = tf.Variable([1.0, 2.0])
    w = torch.tensor([1.0, 1.0], requires_grad=True)
    y = torch.sum(torch.mul(w, v))  # torch saves the variable itself, not a read of it
    v.assign([7.0, 7.0])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_variable_read_before_a_change_keeps_its_value() -> None:
    v = tf.Variable([1.0, 2.0])
    w = torch.tensor([1.0, 1.0], requires_grad=True)
    y = tf.reduce_sum(tf.multiply(w, v))
    v.assign([7.0, 7.0])
    torch.autograd.backward(y)
    np.testing.assert_allclose(w.grad.numpy(), [1.0, 2.0])


def test_results_belong_to_the_face_of_the_function() -> None:
    a, b = torch.tensor([1.0]), tf.constant([2.0])
    assert type(tf.add(a, b)).__name__ == "EagerTensor"
    assert type(torch.add(b, a)) is torch.Tensor
    assert float(tf.add(b, a)[0]) == float(torch.add(a, b)) == 3.0


def test_strict_promotion_holds_for_tensors_of_the_other_face() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected to be a float tensor"):
        tf.add(tf.constant([1.0]), torch.tensor([1]))
    assert torch.add(tf.constant([1.0]), torch.tensor([1])).dtype is torch.float32


def test_nothing_is_recorded_outside_a_tape() -> None:
    v = tf.Variable([1.0])
    with tf.GradientTape() as tape:
        y = v * 2.0
    outside = y * 3.0
    assert outside.node is None and _as_torch(outside).node is None
    assert tape.gradient(y, v).numpy() == [2.0]


def test_what_leads_to_a_torch_parameter_is_recorded_outside_tapes() -> None:
    w = torch.tensor([2.0], requires_grad=True)
    with tf.GradientTape():
        y = tf.multiply(w, w)
    z = tf.multiply(y, 3.0)  # the tape is closed, but w still wants its gradient
    torch.autograd.backward(tf.reduce_sum(z))
    assert w.grad.tolist() == [12.0]


def test_higher_order_across_faces() -> None:
    w = torch.tensor([2.0], requires_grad=True)
    v = tf.Variable([3.0])
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = tf.reduce_sum(torch.mul(torch.mul(w, w), torch.mul(torch.mul(w, v), v)))
        first = inner.gradient(y, w)  # 3 w^2 v^2
    np.testing.assert_allclose(first.numpy(), [108.0])
    found = outer.gradient(first, [w, v])  # 6 w v^2 and 6 w^2 v
    np.testing.assert_allclose(found[0].numpy(), [108.0])
    np.testing.assert_allclose(found[1].numpy(), [72.0])


def test_a_running_total_does_not_keep_the_steps() -> None:
    v = tf.Variable([1.0])
    total = tf.constant([0.0])
    steps = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = v * v
        tape.gradient(loss, v)
        steps.append(weakref.ref(loss.history))
        total += loss
    del loss, tape
    gc.collect()
    assert total.history is None
    assert [step() for step in steps] == [None] * 3
