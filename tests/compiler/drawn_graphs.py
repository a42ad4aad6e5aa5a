"""Graphs drawn from lists of small numbers: every family with kernels, odd layouts and sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.core import dtypes, tape
from diptych.core.dtypes import DType, bool_, float32, int64
from diptych.core.layout import Layout
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import DiptychError
from diptych.graph.graph import Graph
from diptych.graph.interpreter import evaluate
from diptych.graph.trace import trace
from diptych.ops import (
    activation,
    arithmetic,
    comparison,
    contraction,
    indexing,
    movement,
    normalization,
    reduction,
    scan,
    scatter,
    select,
    transcendental,
)
from diptych.ops.creation import iota
from diptych.ops.window import Window, extract_windows, window_max

Array = np.ndarray[Any, Any]
Code = tuple[int, int, int, int]  # which step, and three numbers that it takes as it likes

DTYPES = (
    dtypes.float32, dtypes.float32, dtypes.float64, dtypes.int32, dtypes.float16, dtypes.bfloat16,
    dtypes.uint8, dtypes.int64, dtypes.bool_,
)  # fmt: skip
EXTENTS = (3, 4, 1, 2, 5, 17, 0)
_MOST_ELEMENTS = 5000


@dataclass
class Value:
    """A traced value, and whether it is the same whatever the order of additions is."""

    tensor: Any
    exact: bool


class Drawing:
    """Runs the steps of a program on traced tensors; a step that does not fit is left out."""

    def __init__(self, inputs: Sequence[Tensor], smooth: bool) -> None:
        self.values = [Value(x, x.layout.dtype.itemsize >= 4) for x in inputs]
        self.smooth = smooth

    def run(self, codes: Sequence[Code]) -> None:
        steps = SMOOTH if self.smooth else (*SMOOTH, *ROUGH)
        for kind, a, b, c in codes:
            step = steps[kind % len(steps)]
            x = self.values[-1 - a % len(self.values)]
            y = self.values[-1 - b % len(self.values)]
            try:
                made = step(self, x, y, c)
            except (DiptychError, NotImplementedError):
                continue  # not on these shapes or dtypes
            if made is not None and made.tensor.layout.size <= _MOST_ELEMENTS:
                self.values.append(made)


def tidy(value: Value) -> bool:
    """Whether discrete operations on a value are safe: no rounding error can change them."""
    return value.exact or not value.tensor.layout.dtype.is_float


# ---- steps


def _float(x: Any) -> DType:
    dtype: DType = x.layout.dtype
    return dtype if dtype.is_float else float32


_UNARY: tuple[Callable[..., Any], ...] = (
    transcendental.tanh, transcendental.sigmoid, activation.gelu, activation.silu,
    lambda x: transcendental.exp(transcendental.tanh(x)),
    lambda x: arithmetic.square(transcendental.tanh(x)),
)  # fmt: skip
_BINARY = (arithmetic.add, arithmetic.mul, arithmetic.sub)
_ORDER = (arithmetic.maximum, arithmetic.minimum)
_COMPARE = (comparison.eq, comparison.lt, comparison.ge)


def _unary(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.dtype.is_float:
        return None
    return Value(_UNARY[c % len(_UNARY)](x.tensor), False)


def _scaled(d: Drawing, x: Value, y: Value, c: int) -> Value:
    number = (1.0, 0.0, -0.0, 0.5, -1.0)[c % 5]
    dtype = x.tensor.layout.dtype
    number = number if dtype.is_float else int(number)
    op = (arithmetic.mul, arithmetic.add, arithmetic.sub)[c // 5 % 3]
    if dtype is bool_:
        dtype = int64
    return Value(op(x.tensor, select.constant(number, dtype), dtype), False)


def _binary(d: Drawing, x: Value, y: Value, c: int) -> Value:
    a, b = x.tensor, y.tensor
    dtype = a.layout.dtype if a.layout.dtype is not bool_ else int64
    if c % 7 == 0 and dtype.is_float:
        return Value(arithmetic.div(a, arithmetic.add(arithmetic.square(b), 1.0), dtype), False)
    if dtype.is_float and not b.layout.dtype.is_float and not tidy(y):
        dtype = _float(b)
    return Value(_BINARY[c % 3](a, b, dtype), False)


def _transposed(d: Drawing, x: Value, y: Value, c: int) -> Value:
    ndim = x.tensor.layout.ndim
    axes = tuple(np.random.default_rng(c).permutation(ndim).tolist())
    return Value(movement.transpose(x.tensor, axes), x.exact)


def _reshaped(d: Drawing, x: Value, y: Value, c: int) -> Value:
    shape = x.tensor.layout.shape
    size = x.tensor.layout.size
    options: list[tuple[int, ...]] = [(size,), (*shape, 1), (1, *shape)]
    options += [(n, size // n) for n in (2, 3, 4) if size % n == 0]
    if len(shape) > 2:
        options.append((shape[0] * shape[1], *shape[2:]))
    return Value(movement.reshape(x.tensor, options[c % len(options)]), x.exact)


def _spread(d: Drawing, x: Value, y: Value, c: int) -> Value:
    shape = tuple(n if n != 1 else 1 + c % 4 for n in x.tensor.layout.shape)
    return Value(movement.broadcast_to(x.tensor, ((c % 3) + 1, *shape)), x.exact)


def _sliced(d: Drawing, x: Value, y: Value, c: int) -> Value:
    limits = []
    for axis, n in enumerate(x.tensor.layout.shape):
        kind = (c >> axis) % 4
        limits.append(
            (0, n, 1) if kind == 0 else (n // 3, n, 1) if kind == 1 else (0, n, 2) if kind == 2
            else (n - 1, -1, -1) if n else (0, 0, 1)
        )  # fmt: skip
    return Value(movement.slice_(x.tensor, tuple(limits)), x.exact)


def _padded(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.ndim:
        return None
    widths = tuple(((c >> axis) % 3, c % 2) for axis in range(x.tensor.layout.ndim))
    return Value(movement.pad(x.tensor, widths, 0), x.exact)


def _joined(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.ndim:
        return None
    axis = c % x.tensor.layout.ndim
    both = [x.tensor, select.cast(y.tensor, x.tensor.layout.dtype) if tidy(y) else x.tensor]
    return Value(movement.concatenate(both, axis), False)


def _put(d: Drawing, x: Value, y: Value, c: int) -> Value:
    limits = tuple((0, (n + 1) // 2, 1) for n in x.tensor.layout.shape)
    part = movement.slice_(x.tensor, limits)
    return Value(movement.put_slice(x.tensor, arithmetic.add(part, part), limits), False)


def _axes(x: Value, c: int) -> tuple[int, ...]:
    return tuple(a for a in range(x.tensor.layout.ndim) if (c >> a) % 2)


def _summed(d: Drawing, x: Value, y: Value, c: int) -> Value:
    dtype = x.tensor.layout.dtype
    made = reduction.sum_(x.tensor, _axes(x, c), int64 if dtype is bool_ else dtype)
    return Value(made, False)


def _centred(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.dtype.is_float or not x.tensor.layout.ndim:
        return None
    axis = c % x.tensor.layout.ndim
    mean = movement.expand_axis(reduction.mean(x.tensor, (axis,)), axis)
    return Value(arithmetic.sub(x.tensor, mean), False)


def _dotted(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.dtype.is_float:
        return None
    other = movement.swap_axes(x.tensor, -1, -2) if c % 2 else y.tensor
    made = contraction.matmul(x.tensor, other)
    if c % 3:
        made = arithmetic.relu(arithmetic.mul(made, 0.25)) if c % 4 else arithmetic.add(made, made)
    return Value(made, False)


def _softmax(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.dtype.is_float or not x.tensor.layout.ndim:
        return None
    name = normalization.softmax if c % 2 else normalization.log_softmax
    return Value(name(x.tensor, c // 2 % x.tensor.layout.ndim), False)


def _taken(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.ndim:
        return None
    axis = c % x.tensor.layout.ndim
    shape = x.tensor.layout.shape
    index = arithmetic.remainder(iota(shape, axis), max(shape[axis] // 2, 1))
    return Value(scatter.take_along(x.tensor, index, axis), x.exact)


def _scattered(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.ndim:
        return None
    axis = c % x.tensor.layout.ndim
    n = x.tensor.layout.shape[axis]
    index = arithmetic.remainder(iota((n,), 0), max(n // 2, 1))
    return Value(indexing.index_add(x.tensor, index, x.tensor, axis), False)


def _cumulated(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.ndim:
        return None
    return Value(scan.cumsum(x.tensor, c % x.tensor.layout.ndim), False)


def _windowed(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not x.tensor.layout.ndim:
        return None
    extent = x.tensor.layout.shape[-1]
    kernel, stride, padding = 1 + c % 3, 1 + c // 3 % 2, c // 6 % 2
    out = max((extent + 2 * padding - kernel) // stride + 1, 0)
    windows = (Window(extent, out, kernel, stride, padding, 1),)
    function = (window_max, extract_windows)[c // 12 % 2]
    return Value(function(x.tensor, windows, x.tensor.layout.ndim - 1), False)


def _extreme(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if c % 3 == 2:
        return Value(_ORDER[c % 2](x.tensor, y.tensor, _float(x.tensor)), False)
    function = (reduction.max_, reduction.min_)[c % 2]
    return Value(function(x.tensor, _axes(x, c // 2)), x.exact)


def _position(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not tidy(x) or not x.tensor.layout.ndim:
        return None
    function = (reduction.argmax, reduction.argmin)[c % 2]
    return Value(function(x.tensor, c // 2 % x.tensor.layout.ndim), True)


def _compared(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not (tidy(x) and tidy(y)):
        return None
    mask = _COMPARE[c % 3](x.tensor, y.tensor, _float(x.tensor))
    if c % 2:
        return Value(mask, True)
    return Value(select.where(mask, x.tensor, y.tensor, _float(x.tensor)), False)


def _cast(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    target = DTYPES[c % len(DTYPES)]
    if not target.is_float and not tidy(x):
        return None
    return Value(select.cast(x.tensor, target), False)


def _any(d: Drawing, x: Value, y: Value, c: int) -> Value | None:
    if not tidy(x):
        return None
    return Value((reduction.any_, reduction.all_)[c % 2](x.tensor, _axes(x, c // 2)), True)


SMOOTH = (
    _unary, _binary, _scaled, _transposed, _binary, _reshaped, _spread, _sliced, _summed, _centred,
    _padded, _joined, _put, _dotted, _softmax, _taken, _scattered, _binary, _unary,
    _windowed,
)  # fmt: skip
ROUGH = (_extreme, _position, _compared, _cast, _any, _cumulated)


# ---- inputs, whole graphs


def drawn_inputs(rng: np.random.Generator, numbers: Sequence[int], smooth: bool) -> list[Tensor]:
    """Tensors of related shapes in odd layouts; small whole numbers and halves where not smooth."""
    first, second, kind, how = numbers
    shape = tuple(EXTENTS[(n >> 2) % len(EXTENTS)] for n in (first, second, first + second))
    shape = shape[: 1 + how % 3]
    shapes = [shape, shape, shape[-1:], tuple(1 if k % 2 else n for k, n in enumerate(shape))]
    tensors = []
    for position, wanted in enumerate(shapes):
        dtype = DTYPES[(kind >> position) % (3 if smooth else len(DTYPES))]
        tensors.append(_strided(rng, wanted, dtype, (how >> position) % 5, smooth))
    return tensors


def _strided(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: DType, how: int, smooth: bool
) -> Tensor:
    def values(extents: tuple[int, ...]) -> Tensor:
        made = rng.uniform(-1, 1, extents) if smooth else rng.integers(-3, 4, extents) / 2.0
        if not dtype.is_float:
            made = np.abs(made * 2)
        held = np.asarray(made, np.float32) if dtype is dtypes.bfloat16 else made
        kind = np.float32 if dtype is dtypes.bfloat16 else dtype.numpy
        return copy_array(np.asarray(held).astype(kind), Tensor, dtype)

    if how == 1 and len(shape) > 1:
        return movement.transpose(values(shape[::-1]), tuple(range(len(shape)))[::-1])
    if how == 2 and shape and shape[0]:
        return movement.flip(values(shape), (0,))
    if how == 3 and shape and 0 not in shape:
        limits = tuple((0, n, 1) for n in shape[:-1])
        twice = values((*shape[:-1], 2 * shape[-1]))
        return movement.slice_(twice, (*limits, (0, 2 * shape[-1], 2)))
    if how == 4 and shape:
        return movement.broadcast_to(values((1, *shape[1:])), shape)
    return values(shape)


def drawn_graph(
    inputs: Sequence[Tensor], codes: Sequence[Code], outputs: int, smooth: bool
) -> Graph:
    """The graph of a program: its last values are the outputs, with one that lies further back."""

    def function(*tensors: Tensor) -> list[Any]:
        drawing = Drawing(tensors, smooth)
        drawing.run(codes)
        values = [value.tensor for value in drawing.values]
        return [*values[-1 - outputs % 3 :], values[len(values) // 2]]

    return trace(function, [x.layout for x in inputs])


def drawn_gradient(inputs: Sequence[Tensor], codes: Sequence[Code]) -> Graph:
    """A smooth program's value and its gradients for all inputs."""

    def function(*tensors: Tensor) -> list[Any]:
        leaves = [tape.copy_alias(x) for x in tensors]
        with tape.recording(True):
            for leaf in leaves:
                tape.require_gradient(leaf)
            drawing = Drawing(leaves, True)
            drawing.run(codes)
            last = [v.tensor for v in drawing.values[-2:] if v.tensor.layout.dtype.is_float]
            total = None
            for x in last:
                part = reduction.mean(transcendental.tanh(x), None, dtypes.float64)
                total = part if total is None else arithmetic.add(total, part)
        assert total is not None, "inputs are floats"
        one = select.constant(1.0, total.layout.dtype)
        assert total.node is not None, "it was recorded"
        targets = [(leaf.node, leaf.output) for leaf in leaves if leaf.node is not None]
        found = tape.backward([(total.node, total.output, one)], targets)
        return [total, *found]

    return trace(function, [x.layout for x in inputs])


def interpreted(graph: Graph, inputs: Sequence[Tensor]) -> tuple[list[Array], list[float]]:
    """The outputs by the reference, and for each the largest magnitude on the way to it."""
    values: dict[int, Array] = {}
    largest: dict[int, float] = {}

    def enter(value: int, array: Array, before: float) -> None:
        values[value] = array
        finite = np.abs(array[np.isfinite(array)]) if array.dtype.kind in "fc" else np.abs(
            array.astype(np.float64)
        )  # fmt: skip
        largest[value] = max(before, float(finite.max()) if finite.size else 0.0)

    for value, tensor in [*zip(graph.inputs, inputs, strict=True), *graph.constants.items()]:
        enter(value, tensor.values(), 0.0)
    for node in graph.nodes:
        places: list[Layout] = [graph.layouts[v] for v in node.results]
        with np.errstate(all="ignore"):
            made = evaluate(node.op, [values[v] for v in node.operands], node.params, places)
        before = max([largest[v] for v in node.operands], default=0.0)
        for value, array in zip(node.results, made, strict=True):
            enter(value, array, before)
    return [values[v] for v in graph.outputs], [largest[v] for v in graph.outputs]
