"""Lowered and fused graphs against the NumPy interpreter, and what is fused into what."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import diptych.engine as engine
from diptych.compiler.lower import lower, lower_update
from diptych.compiler.steps import HostStep, KernelStep
from diptych.core import dtypes
from diptych.core.layout import layout
from diptych.core.tensor import Tensor, copy_array, from_array
from diptych.errors import GraphError
from diptych.graph.graph import Graph
from diptych.graph.interpreter import interpret
from diptych.graph.trace import trace
from diptych.ops import (
    activation,
    arithmetic,
    comparison,
    contraction,
    loss,
    movement,
    normalization,
    reduction,
    select,
    transcendental,
)
from diptych.runtime import native, objects
from diptych.runtime.program import Program

pytestmark = pytest.mark.native
F32 = dtypes.float32


@pytest.fixture(autouse=True, scope="module")
def _builtins() -> None:
    engine.ensure()
    native.install()


def arrays_of(*shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [generator.uniform(-2.0, 2.0, shape).astype(np.float32) for shape in shapes]


def traced(function: Callable[..., Any], arrays: list[Any]) -> Graph:
    return trace(function, [layout(dtypes.from_numpy(a.dtype), a.shape) for a in arrays])


def steps_of(function: Callable[..., Any], *shapes: tuple[int, ...]) -> list[Any]:
    return lower(traced(function, arrays_of(*shapes)), objects.target()).steps


def agree(graph: Graph, arrays: list[Any], tolerance: float = 2e-4) -> None:
    """The compiled outputs equal the interpreter's, shape by shape and value by value."""
    program = Program(lower(graph, objects.target()))
    ours = program.run([copy_array(a, Tensor) for a in arrays])
    for tensor, expected in zip(ours, interpret(graph, arrays), strict=True):
        assert tensor.layout.shape == expected.shape
        np.testing.assert_allclose(
            tensor.values(), expected, rtol=tolerance, atol=tolerance, equal_nan=True
        )


CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...], int]] = {
    "chain": (
        lambda a, b: transcendental.exp(arithmetic.mul(arithmetic.add(a, b), 0.5)),
        ((5, 7), (7,)), 1,
    ),
    "softmax": (lambda x: normalization.softmax(x, 1), ((9, 33),), 1),
    "log softmax": (lambda x: normalization.log_softmax(x, 1), ((9, 33),), 1),
    "gelu": (activation.gelu, ((100,),), 1),
    "linear": (contraction.linear, ((5, 7), (3, 7), (3,)), 1),
    "linear and relu": (
        lambda x, w, b: arithmetic.relu(contraction.linear(x, w, b)), ((5, 7), (3, 7), (3,)), 1,
    ),
    "layer norm": (
        lambda x, w, b: normalization.LAYER_NORM.forward(x, w, b, 1, 1e-5),
        ((9, 33), (33,), (33,)), 1,
    ),
    "squared error": (lambda a, b: loss.squared_error(a, b), ((9, 33), (9, 33)), 1),
    "bias gradient": (lambda g: reduction.sum_(g, (0,)), ((9, 33),), 1),
    "variance": (lambda x: reduction.variance(x, (1,)), ((9, 33),), 1),
    "views cost nothing": (
        lambda x: arithmetic.neg(movement.transpose(movement.flip(x, (1,)), (1, 0))), ((4, 6),), 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_kernel_does_it(name: str) -> None:
    function, shapes, kernels = CASES[name]
    steps = steps_of(function, *shapes)
    assert all(isinstance(step, KernelStep) for step in steps)
    assert len(steps) == kernels
    agree(traced(function, arrays_of(*shapes)), arrays_of(*shapes))


def test_cross_entropy_is_two_kernels() -> None:
    """Rows first (levels and losses), then the mean of the rows."""
    x = arrays_of((6, 10))[0]
    target = np.array([1, 0, 9, -100, 4, 4])
    places = [layout(F32, (6, 10)), layout(dtypes.int64, (6,))]
    graph = trace(lambda a, t: loss.CROSS_ENTROPY.forward(a, t, -100, "mean"), places)
    steps = lower(graph, objects.target()).steps
    assert len(steps) == 2 and all(isinstance(step, KernelStep) for step in steps)
    agree(graph, [x, target])


def test_an_output_that_is_an_operand_is_not_copied() -> None:
    graph = traced(lambda a, b: (a, arithmetic.add(a, b)), arrays_of((3,), (3,)))
    operands = [copy_array(a, Tensor) for a in arrays_of((3,), (3,))]
    same, _ = Program(lower(graph, objects.target())).run(operands)
    assert same.address == operands[0].address


def test_constants_are_not_handed_out() -> None:
    """A constant output is fresh memory each time: the caller may write to it."""
    graph = traced(
        lambda a: movement.broadcast_to(select.constant(2.0, F32), a.layout.shape), arrays_of((3,))
    )
    program = Program(lower(graph, objects.target()))
    first, second = (program.run([copy_array(arrays_of((3,))[0], Tensor)])[0] for _ in range(2))
    assert first.address != second.address
    assert first.array().tolist() == [2.0, 2.0, 2.0]


def test_operations_without_a_kernel_run_on_the_host() -> None:
    graph = traced(lambda a: transcendental.lgamma(arithmetic.add(a, 5.0)), arrays_of((4,)))
    steps = lower(graph, objects.target()).steps
    assert [type(step) for step in steps] == [KernelStep, HostStep]
    agree(graph, arrays_of((4,)))


def test_reductions_over_axes_that_do_not_merge() -> None:
    agree(traced(lambda x: reduction.sum_(x, (0, 2)), arrays_of((3, 4, 5))), arrays_of((3, 4, 5)))
    agree(traced(lambda x: reduction.max_(x, (0, 2)), arrays_of((3, 4, 5))), arrays_of((3, 4, 5)))


def test_updates_are_one_kernel_over_their_own_operands() -> None:
    def rule(p: Any, g: Any, m: Any, rate: Any) -> Any:
        m = arithmetic.add(arithmetic.mul(m, 0.9), g)
        return arithmetic.sub(p, arithmetic.mul(m, rate, F32), F32), m

    update = engine.Update(rule, [(layout(F32, (5, 3)),) * 3, (layout(F32, (2,)),) * 3], (0, 2), 1)
    arrays = arrays_of((5, 3), (5, 3), (5, 3), (2,), (2,), (2,))
    tensors = [copy_array(a, Tensor) for a in arrays]
    update(tensors, [0.5])
    for start in (0, 3):
        p, g, m = arrays[start : start + 3]
        np.testing.assert_allclose(tensors[start + 2].array(), m * np.float32(0.9) + g, rtol=1e-6)
        np.testing.assert_allclose(
            tensors[start].array(), p - 0.5 * (m * 0.9 + g), rtol=1e-5, atol=1e-6
        )
        assert [t.buffer.version for t in tensors[start : start + 3]] == [1, 0, 1]


def test_updates_refuse_what_is_not_elementwise() -> None:
    graph = trace(lambda p: (arithmetic.add(p, reduction.sum_(p)),), [layout(F32, (4,))])
    with pytest.raises(GraphError, match="not elementwise"):
        lower_update(graph, objects.target(), (0,))


# ---- drawn graphs

UNARY: list[Callable[[Any], Any]] = [
    arithmetic.neg, arithmetic.relu, arithmetic.square, transcendental.tanh, transcendental.sigmoid,
    transcendental.exp, arithmetic.abs_,
    lambda x: arithmetic.mul(x, 0.5), lambda x: arithmetic.add(x, 1.0),
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    arithmetic.add, arithmetic.mul, arithmetic.sub, arithmetic.maximum,
    lambda a, b: select.where(comparison.gt(a, b), a, b),
]  # fmt: skip


def draw_value(draw: Any, values: list[Any]) -> Any:
    """One more value from those there are: elementwise, moved, reduced, multiplied."""
    x = draw(st.sampled_from(values))
    shape = x.layout.shape
    kind = draw(st.integers(0, 9))
    if kind <= 2:
        return arithmetic.mul(draw(st.sampled_from(UNARY))(transcendental.tanh(x)), 0.7)
    if kind <= 4:
        partners = [y for y in values if _broadcasts(shape, y.layout.shape)]
        return draw(st.sampled_from(BINARY))(x, draw(st.sampled_from(partners)))
    if kind == 5 and shape:
        axes = tuple(a for a in range(len(shape)) if draw(st.booleans()))
        return reduction.mean(x, axes) if all(shape[a] for a in axes) else reduction.sum_(x, axes)
    if kind == 6:
        return movement.transpose(x, tuple(draw(st.permutations(range(len(shape))))))
    if kind == 7 and shape:
        axis = draw(st.integers(0, len(shape) - 1))
        limits = [(0, n, 1) for n in shape]
        limits[axis] = (shape[axis] - 1, -1, -1) if draw(st.booleans()) else (0, shape[axis], 2)
        return movement.slice_(x, tuple(limits))
    if kind == 8 and len(shape) == 2:
        return contraction.dot(x, movement.transpose(x, (1, 0)))
    if kind == 9 and shape and all(shape):
        return normalization.softmax(x, draw(st.integers(0, len(shape) - 1)))
    return movement.reshape(x, (x.layout.size,))


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_drawn_graphs(data: Any) -> None:
    shapes = data.draw(
        st.lists(st.lists(st.integers(0, 5), max_size=3).map(tuple), min_size=1, max_size=3)
    )
    arrays = arrays_of(*shapes, seed=data.draw(st.integers(0, 1000)))

    def function(*operands: Any) -> Any:
        values = list(operands)
        for _ in range(data.draw(st.integers(1, 8))):
            values.append(draw_value(data.draw, values))
        return tuple(data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=3)))

    graph = traced(function, arrays)
    graph.verify()
    agree(graph, arrays)


def test_strided_operands() -> None:
    """Layouts are part of the plan: transposed and reversed operands read the same values."""
    base = arrays_of((6, 8))[0]
    for view in (base.T, base[::-1, ::2], base[:, 3:4]):
        tensor = from_array(view, Tensor)
        place = tensor.layout
        graph = trace(lambda x: (reduction.sum_(x, (0,)), transcendental.exp(x)), [place])
        total, exponential = Program(lower(graph, objects.target())).run([tensor])
        np.testing.assert_allclose(total.array(), view.sum(0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(exponential.array(), np.exp(view), rtol=1e-5)


def test_threads_that_step_at_once_read_their_own_numbers() -> None:

    def rule(p: Any, rate: Any) -> Any:
        return (arithmetic.sub(p, rate, F32),)

    update = engine.Update(rule, [(layout(F32, (1 << 18,)),)], (0,), 1)
    tensors = [copy_array(np.zeros(1 << 18, np.float32), Tensor) for _ in range(4)]

    def steps(index: int) -> None:
        for _ in range(50):
            update([tensors[index]], [float(index)])

    threads = [threading.Thread(target=steps, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, tensor in enumerate(tensors):
        assert set(tensor.array().tolist()) == {-50.0 * index}


def test_parts_of_other_dtypes_are_joined() -> None:
    small = copy_array(np.array([1, 2], np.uint8), Tensor)
    large = copy_array(np.array([3 + 4j]), Tensor)
    assert movement.concatenate([large, small], 0).array().tolist() == [3 + 4j, 1, 2]
