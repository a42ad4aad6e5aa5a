"""What a tape records, keeps and lets go of."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import threading
import weakref

import numpy as np
import pytest

import diptych.tensorflow as tf
from diptych.tensorflow.recording import open_tapes


def test_nothing_is_recorded_without_a_tape() -> None:
    v = tf.Variable([1.0, 2.0])
    assert (v * 2.0).history is None
    x = tf.constant([1.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        inside = x * 2.0
    assert inside.history is not None
    assert (x * 2.0).history is None
    assert (inside * 2.0).history is None


def test_an_error_inside_the_block_closes_the_tape() -> None:
    with pytest.raises(ZeroDivisionError), tf.GradientTape():
        raise ZeroDivisionError
    assert open_tapes.tapes == ()


def test_a_used_up_tape_frees_what_was_saved() -> None:
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        middle = v * 2.0
        loss = tf.reduce_sum(middle * middle)
    saved = weakref.ref(middle.buffer)
    del middle
    gc.collect()
    assert saved() is not None, "the gradient still needs it"
    tape.gradient(loss, v)
    gc.collect()
    assert saved() is None, "the loss alone must not keep the step's values alive"


def test_two_tapes_share_what_was_recorded() -> None:
    v = tf.Variable(3.0)
    with tf.GradientTape() as first, tf.GradientTape() as second:
        y = v * v * v
    assert float(first.gradient(y, v)) == 27.0
    assert float(second.gradient(y, v)) == 27.0


def test_tapes_that_overlap_in_part() -> None:
    v = tf.Variable(2.0)
    outer = tf.GradientTape()
    with outer:
        a = v * v
        with tf.GradientTape() as inner:
            b = v * a
        assert float(inner.gradient(b, v)) == 4.0  # a is a constant to the inner tape
    assert float(outer.gradient(b, v)) == 12.0


def test_each_thread_has_its_own_tapes() -> None:
    v = tf.Variable(2.0)
    seen: list[object] = []
    with tf.GradientTape():
        thread = threading.Thread(target=lambda: seen.append((v * v).history))
        thread.start()
        thread.join()
    assert seen == [None]


def test_an_intermediate_of_an_earlier_tape_is_no_source() -> None:
    v = tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as first:
        y = v * v
    with tf.GradientTape() as second:
        z = y * v
    assert second.gradient(z, [y, v])[0] is None
    assert float(first.gradient(y, v)) == 4.0


def test_watching_an_intermediate() -> None:
    v = tf.Variable(2.0)
    y = v * v
    with tf.GradientTape() as tape:
        tape.watch(y)
        z = y * y
    assert float(tape.gradient(z, y)) == 8.0


def test_integer_targets_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    v = tf.Variable(2.0)
    with caplog.at_level(logging.WARNING, "tensorflow"), tf.GradientTape() as tape:
        y = tf.cast(v, tf.int32)
    with caplog.at_level(logging.WARNING, "tensorflow"):
        assert tape.gradient(y, v) is None
    assert "must be floating" in caplog.text


def test_third_order_and_jacobian() -> None:
    x = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            y = tf.reduce_sum(x**3)
        g = inner.gradient(y, x)
    hessian = outer.jacobian(g, x)
    np.testing.assert_allclose(hessian.numpy(), np.diag([6.0, 12.0]), rtol=1e-6)


def test_batch_jacobian() -> None:
    x = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        y = x * x
    expected = [np.diag([2.0, 4.0]), np.diag([6.0, 8.0])]
    np.testing.assert_allclose(tape.batch_jacobian(y, x).numpy(), expected)


def test_custom_gradient_with_variables() -> None:
    w = tf.Variable(3.0)

    @tf.custom_gradient
    def scaled(x):
        def grad(dy, variables=None):
            assert [v is w for v in variables] == [True]
            return dy * 10.0, [dy * 100.0]

        return x * w, grad

    x = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = scaled(x)
    dx, dw = tape.gradient(y, [x, w])
    assert (float(y), float(dx), float(dw)) == (6.0, 10.0, 100.0)


def test_custom_gradient_must_take_variables() -> None:
    w = tf.Variable(3.0)

    @tf.custom_gradient
    def scaled(x):
        return x * w, lambda dy: dy

    with pytest.raises(TypeError, match="'variables' keyword"), tf.GradientTape():
        scaled(tf.constant(1.0))


def test_gradient_of_a_custom_gradient() -> None:
    @tf.custom_gradient
    def cube(x):
        return x * x * x, lambda dy: dy * 3.0 * x * x

    x = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = cube(x)
        g = inner.gradient(y, x)
    assert float(g) == 12.0
    assert float(outer.gradient(g, x)) == 12.0


def test_assigning_gives_new_memory_and_keeps_reads() -> None:
    v = tf.Variable([1.0, 2.0])
    read = v.value()
    assert read.address == v.address, "a read shares the memory"
    v.assign_add([1.0, 1.0])
    assert read.numpy().tolist() == [1.0, 2.0]
    assert v.numpy().tolist() == [2.0, 3.0]
    source = np.array([5.0, 5.0], np.float32)
    v.assign(source)
    source[0] = 0.0
    assert v.numpy().tolist() == [5.0, 5.0]


def test_arrays_handed_out_do_not_share_memory() -> None:
    x = tf.constant([1.0, 2.0])
    for array in (x.numpy(), np.asarray(x), np.array(x)):
        array[0] = 9.0
    assert x.numpy().tolist() == [1.0, 2.0]
    given = np.ones(2, np.float32)
    y = tf.constant(given)
    given[0] = 9.0
    assert y.numpy().tolist() == [1.0, 1.0]


def test_copies_and_pickles() -> None:
    v = tf.Variable([1.0, 2.0], name="w", trainable=False)
    for other in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert isinstance(other, tf.Variable)
        assert other.name == "w:0"
        assert not other.trainable
        other.assign([0.0, 0.0])
    x = tf.constant([1, 2])
    again = pickle.loads(pickle.dumps(x))
    assert repr(again) == repr(x)
    assert v.numpy().tolist() == [1.0, 2.0]


def test_names_in_scopes() -> None:
    with tf.name_scope("a"), tf.name_scope("b"):
        assert tf.Variable(1.0, name="w").name == "a/b/w:0"
    assert tf.Variable(1.0).name == "Variable:0"


def test_tf_print(capsys: pytest.CaptureFixture[str]) -> None:
    tf.print("x:", tf.constant([1.0, 0.25]), tf.range(10), {"a": tf.constant(3)}, sep=" | ")
    assert capsys.readouterr().err == "x: | [1 0.25] | [0 1 2 ... 7 8 9] | {'a': 3}\n"
