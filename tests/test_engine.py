"""The eager evaluator: plans, compiled gradients, in-place targets, threads, checks, fallback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import diptych.engine as engine
from diptych.core import call, dtypes, inplace, tape
from diptych.core.tensor import Tensor, copy_array, from_array
from diptych.errors import ShapeError
from diptych.ops import (
    activation,
    arithmetic,
    contraction,
    loss,
    movement,
    normalization,
    reduction,
    select,
)
from diptych.runtime import pool
from diptych.runtime.checking import CheckError

F32 = dtypes.float32


def tensor(*shape: int, seed: int = 0, grad: bool = False) -> Tensor:
    generator = np.random.default_rng(seed)
    made = copy_array(generator.uniform(-1.0, 1.0, shape).astype(np.float32), Tensor)
    if grad:
        tape.require_gradient(made)
    return made


def gradients(output: Tensor, *leaves: Tensor) -> list[Any]:
    root = (output.node, output.output, tape.arithmetic.ones_like(output))
    found = tape.backward([root], [(leaf.node, 0) for leaf in leaves])
    return [None if g is None else g.array().copy() for g in found]


def test_a_plan_is_made_once_for_a_layout() -> None:
    arithmetic.ADD.plans.clear()
    for _ in range(3):
        arithmetic.add(tensor(3, 4), tensor(4))
    assert len(arithmetic.ADD.plans) == 1
    arithmetic.add(tensor(5, 4), tensor(4))
    assert len(arithmetic.ADD.plans) == 2


def test_results_take_the_class_of_the_first_operand() -> None:
    class Face(Tensor):
        pass

    Face.result_type = Face
    x = copy_array(np.ones(3, np.float32), Face)
    assert type(arithmetic.add(x, tensor(3))) is Face
    assert type(movement.reshape(x, (3, 1))) is Face
    assert type(normalization.softmax(x, 0)) is Face
    assert (
        type(contraction.linear(copy_array(np.ones((2, 3), np.float32), Face), tensor(4, 3)))
        is Face
    )


def test_views_share_memory_and_know_their_base() -> None:
    x = tensor(4, 6)
    view = movement.transpose(x, (1, 0))
    assert view.buffer is x.buffer and view.base is x
    assert movement.slice_(view, ((0, 6, 2), (0, 4, 1))).base is x


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_gradients_of_a_network_by_hand(evaluator: str, backends: Any) -> None:
    with backends(evaluator):
        x = tensor(5, 4)
        w, b = tensor(3, 4, seed=1, grad=True), tensor(3, seed=2, grad=True)
        y = arithmetic.relu(contraction.linear(x, w, b))
        by_w, by_b = gradients(reduction.sum_(arithmetic.square(y)), w, b)
        slope = 2 * np.maximum(x.array() @ w.array().T + b.array(), 0)
        np.testing.assert_allclose(by_w, slope.T @ x.array(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(by_b, slope.sum(0), rtol=1e-5, atol=1e-6)


@pytest.fixture
def backends() -> Iterator[Callable[[str], Any]]:
    made = {"native": engine.NativeBackend, "reference": engine.ReferenceBackend}

    def chosen(name: str) -> Any:
        for op in (arithmetic.RELU, arithmetic.SQUARE, contraction.LINEAR, reduction.SUM):
            op.plans.clear()
            op.backward_plans.clear()
        return call.installed(engine.EagerEvaluator(made[name]()))

    yield chosen
    chosen("native")


def test_second_derivatives_of_a_composite_with_residuals() -> None:
    """layer_norm's rule reads residuals without gradients; the second order must not miss them."""
    x = copy_array(np.random.default_rng(0).normal(size=(2, 5)), Tensor)
    tape.require_gradient(x)
    weight = copy_array(np.linspace(0.5, 1.5, 5), Tensor)

    def first(value: Tensor, create: bool) -> Tensor:
        y = normalization.layer_norm(value, weight, None, 1, 1e-5)
        total = reduction.sum_(arithmetic.mul(y, arithmetic.square(y)))
        root = (total.node, 0, tape.arithmetic.ones_like(total))
        return tape.backward([root], [(value.node, 0)], create_graph=create)[0]

    slope = first(x, True)
    mixed = arithmetic.mul(slope, copy_array(np.arange(10.0).reshape(2, 5), Tensor))
    (second,) = gradients(reduction.sum_(mixed), x)
    step, expected = 1e-5, np.zeros((2, 5))
    for index in np.ndindex(2, 5):
        values = []
        for sign in (1, -1):
            moved = x.array().copy()
            moved[index] += sign * step
            leaf = copy_array(moved, Tensor)
            tape.require_gradient(leaf)
            values.append((first(leaf, False).array() * np.arange(10.0).reshape(2, 5)).sum())
        expected[index] = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(second, expected, rtol=1e-4, atol=1e-5)


def test_overlapping_operands_are_read_before_they_are_written() -> None:
    x = copy_array(np.arange(6.0), Tensor)
    head = movement.slice_(x, ((0, 5, 1),))
    tail = movement.slice_(x, ((1, 6, 1),))
    inplace.update(tail, select.ASSIGN, (tail, head), (dtypes.float64,))
    assert x.array().tolist() == [0, 0, 1, 2, 3, 4]


def test_a_plan_for_writing_serves_other_overlaps() -> None:
    """The same layouts first without, then with a shared buffer."""
    separate = copy_array(np.arange(6.0), Tensor)
    source = movement.slice_(copy_array(np.arange(6.0) + 10, Tensor), ((0, 5, 1),))
    target = movement.slice_(separate, ((1, 6, 1),))
    inplace.update(target, select.ASSIGN, (target, source), (dtypes.float64,))
    assert separate.array().tolist() == [0, 10, 11, 12, 13, 14]
    test_overlapping_operands_are_read_before_they_are_written()


def test_constants_cannot_be_written_to() -> None:
    two = select.constant(2.0, F32)
    with pytest.raises(RuntimeError, match="read-only"):
        inplace.update(two, arithmetic.ADD, (two, two), (F32,))


def test_identity_gradients_do_not_share_memory_between_leaves() -> None:
    a, b = tensor(3, grad=True), tensor(3, seed=1, grad=True)
    y = arithmetic.add(a, b)
    tape.backward([(y.node, 0, tape.arithmetic.ones_like(y))])
    a.grad.array()[:] = 7
    assert b.grad.array().tolist() == [1, 1, 1]


THREADED: dict[str, Callable[[], Tensor]] = {
    "sum of everything": lambda: reduction.sum_(tensor(1000, 1001)),
    "sum of rows": lambda: reduction.sum_(tensor(300, 4001), (1,)),
    "sum of columns": lambda: reduction.sum_(tensor(4001, 300), (0,)),
    "softmax": lambda: normalization.softmax(tensor(500, 1001), 1),
    "layer norm": lambda: normalization.layer_norm(tensor(500, 1001), None, None, 1, 1e-5),
    "gelu": lambda: activation.gelu(tensor(700, 1001)),
    "product": lambda: contraction.dot(tensor(301, 703), tensor(703, 205, seed=1)),
    "long product": lambda: contraction.dot(tensor(16, 9001), tensor(9001, 17, seed=1)),
    "squared error": lambda: loss.squared_error(tensor(900, 1001), tensor(900, 1001, seed=1)),
}


@pytest.mark.native
@pytest.mark.parametrize("name", THREADED)
def test_results_are_bit_equal_for_any_number_of_threads(name: str) -> None:
    before = pool.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3, 5):
            pool.set_num_threads(count)
            results.append(THREADED[name]().array().tobytes())
    finally:
        pool.set_num_threads(before)
    assert len(set(results)) == 1


def run_python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints for ``code``."""

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": "src", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SOFTMAX = """
import numpy as np, diptych.engine, sys
from diptych.core.tensor import Tensor, copy_array
from diptych.ops.normalization import softmax
x = softmax(copy_array(np.arange(6, dtype=np.float32).reshape(2, 3), Tensor), 1)
print(np.round(x.array(), 6).tolist(), "llvmlite" in sys.modules)
"""


def test_without_llvm_the_reference_gives_the_same() -> None:
    native = run_python(SOFTMAX)
    reference = run_python(SOFTMAX, DIPTYCH_EVALUATOR="reference")
    assert reference.endswith("False")
    assert native.rsplit(" ", 1)[0] == reference.rsplit(" ", 1)[0]


@pytest.mark.native
def test_a_second_process_compiles_nothing(tmp_path: Any) -> None:
    first = run_python(SOFTMAX, DIPTYCH_CACHE_DIR=str(tmp_path))
    second = run_python(SOFTMAX, DIPTYCH_CACHE_DIR=str(tmp_path))
    assert first.endswith("True") and second.endswith("False")


def test_a_view_that_would_reach_outside_its_tensor_is_refused() -> None:
    """Whatever its arguments say: a view's bounds are looked at once, when its plan is made."""
    x = from_array(np.arange(6.0, dtype=np.float32)[:4], Tensor)
    with pytest.raises(ShapeError, match="would reach outside"):
        movement.as_strided(x, (2, 2), (4, 1), 0)
    nothing = movement.flip(copy_array(np.zeros((0, 0, 4)), Tensor), (2,))
    assert nothing.array().shape == (0, 0, 4) and nothing.offset == 0
    assert movement.as_strided(x, (2, 2), (1, 2), 0).array().tolist() == [[0, 2], [1, 3]]


@pytest.mark.native
def test_checking_names_the_operation_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic.RELU, "lower", lambda x: x)
    arithmetic.RELU.plans.clear()
    with call.installed(engine.EagerEvaluator(engine.CheckingBackend())):
        with pytest.raises(CheckError, match="'relu' on"):
            arithmetic.relu(from_array(np.array([-1.0, 2.0], np.float32), Tensor))
    arithmetic.RELU.plans.clear()


def test_plans_of_all_operations_are_bounded(monkeypatch):
    evaluator = engine.EagerEvaluator(engine.ReferenceBackend())
    monkeypatch.setattr(engine, "_ALL_PLANS_LIMIT", 6)
    with call.installed(evaluator):
        for op in (arithmetic.NEG, arithmetic.ABS):
            op.plans.clear()
        for size in range(1, 11):
            x = copy_array(np.ones(size, np.float32), Tensor)
            call.current.apply1(arithmetic.NEG, x, (dtypes.float32,))
            call.current.apply1(arithmetic.ABS, x, (dtypes.float32,))
            assert len(arithmetic.NEG.plans) + len(arithmetic.ABS.plans) <= 7
    for op in (arithmetic.NEG, arithmetic.ABS):
        op.plans.clear()


@pytest.mark.parametrize("shapes", [((4, 5), (4, 5)), ((4, 5), (5,)), ((3, 1), (1, 7)), ((), (2,)),
                                    ((0, 3), (3,)), ((6,), (6,))], ids=str)  # fmt: skip
def test_the_short_way_to_an_elementwise_kernel_is_the_lowering(shapes):
    generator = np.random.default_rng(0)
    given = [copy_array(generator.normal(size=s).astype(np.float32), Tensor) for s in shapes]
    op, params = arithmetic.SUB, (dtypes.float32,)
    graph = engine.traced_call(op, [x.layout for x in given], params)
    (wanted,) = engine.NativeBackend().compile(graph).run(given)
    op.plans.clear()
    found = call.current.apply2(op, *given, params)
    assert found.layout is wanted.layout
    assert np.array_equal(found.array(), wanted.array())
    wide = copy_array(np.zeros(wanted.layout.shape), Tensor)
    call.current.into(wide, op, given, params)
    assert np.array_equal(wide.array(), wanted.array().astype(np.float64))
