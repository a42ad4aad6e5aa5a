"""Recurrent layers and cells as functions: torch.lstm, torch.gru, torch.lstm_cell and so on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diptych.core.dtypes import DType, bfloat16, float16, float32
from diptych.core.tensor import copy_array
from diptych.ops.movement import concatenate, expand_axis, narrow, reshape, swap_axes
from diptych.ops.recurrence import GATES, Steps
from diptych.ops.recurrent_layers import equal_steps, recurrent_layer
from diptych.ops.select import cast
from diptych.torch.dtypes import scalar_name
from diptych.torch.nn.functional.regularization import dropout as drop
from diptych.torch.tensor import Tensor, face

_HALVES = (float16, bfloat16)


@functools.lru_cache(maxsize=64)
def zero_state(shape: tuple[int, ...], dtype: DType) -> Any:
    """Zeros to start from. They are shared: nothing may hand them out or write to them."""
    zeros = copy_array(np.zeros(shape, np.float32), Tensor, dtype)
    zeros.buffer.writable = False
    return zeros


def packed_steps(batch_sizes: Any, rows: int) -> Steps:
    """A packed sequence's counts of each step, checked against its number of rows."""
    sizes = batch_sizes
    if isinstance(sizes, Tensor):
        if not sizes.layout.dtype.is_integer:
            raise RuntimeError(
                f"expected scalar type Long but found {scalar_name(sizes.layout.dtype)}"
            )
        sizes = sizes.array().reshape(-1).tolist()
    steps = tuple(int(size) for size in sizes)
    if not steps:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    if (
        sum(steps) != rows
        or steps[-1] < 0
        or any(a < b for a, b in zip(steps, steps[1:], strict=False))
    ):
        raise RuntimeError(
            f"batch_sizes {list(steps)} do not fit {rows} rows of packed data: they must sum to "
            "them and never grow"
        )
    return steps


# ---- layers upon layers


def run_layers(
    kind: str, x: Any, steps: Steps, states: Sequence[Any], weights: Sequence[Any], biased: bool,
    num_layers: int, dropout: float, training: bool, bidirectional: bool, projected: bool = False,
) -> list[Any]:  # fmt: skip
    """[y, h_n] or, for an LSTM, [y, h_n, c_n] of all layers; weights in PyTorch's order.

    ``x`` is (time, batch, features), or packed (rows, features); ``states`` have all layers and
    directions along their first axis.
    """
    half = x.layout.dtype if x.layout.dtype in _HALVES else None
    if half is not None:  # the state stays in float32 from step to step
        x = cast(x, float32)
        states, weights = ([cast(v, float32) for v in some] for some in (states, weights))
    directions = 2 if bidirectional else 1
    each = (4 if biased else 2) + projected
    finals: list[list[Any]] = [[] for _ in states]
    for layer in range(num_layers):
        if layer and dropout and training:
            x = drop(x, dropout, True)
        made = []
        for direction in range(directions):
            number = layer * directions + direction
            w_ih, w_hh, *rest = weights[number * each : (number + 1) * each]
            firsts = [_entry(state, number) for state in states]
            y, *last = recurrent_layer(
                kind, (x, w_ih, w_hh, *firsts, *rest), biased, steps, direction == 1
            )
            made.append(y)
            for place, value in zip(finals, last, strict=True):
                place.append(value)
        x = made[0] if directions == 1 else concatenate(made, made[0].layout.ndim - 1)
    results = [x, *[_stacked(values) for values in finals]]
    return results if half is None else [cast(value, half) for value in results]


def _entry(state: Any, number: int) -> Any:
    """One layer's and direction's state."""
    shape = state.layout.shape
    if shape[0] == 1:
        return reshape(state, shape[1:])
    return reshape(narrow(state, 0, number, 1), shape[1:])


def _stacked(values: Sequence[Any]) -> Any:
    if len(values) == 1:
        return expand_axis(values[0], 0)
    return concatenate([expand_axis(value, 0) for value in values], 0)


def _check(
    name: str, x: Any, states: Sequence[Any], weights: Sequence[Any], biased: bool,
    num_layers: int, bidirectional: bool, projected: bool,
) -> None:  # fmt: skip
    """What the functions check themselves; sizes are the engine's to check."""
    each = (4 if biased else 2) + projected
    needed = num_layers * (2 if bidirectional else 1)
    if len(weights) != needed * each:
        raise RuntimeError(
            f"{name}: expected {needed * each} parameter tensors ({each} for each of {num_layers} "
            f"layers and each direction), got {len(weights)}"
        )
    for state in states:
        if state.layout.ndim != 3 or state.layout.shape[0] < needed:
            raise RuntimeError(
                f"Expected more hidden states in stacked_rnn: {name} has {needed} layers and "
                f"directions, got {list(state.layout.shape)}"
            )
    for tensor in (*states, *weights):
        if tensor.layout.dtype is not x.layout.dtype:
            raise ValueError(
                f"{name}: Input and parameter tensors are not of the same dtype: got "
                f"{x.layout.dtype} and {tensor.layout.dtype}"
            )


def _tensors(values: Any, name: str, argument: str, position: int) -> list[Any]:
    """Arguments that are tensors; TypeError for the first that is none."""
    if not isinstance(values, (tuple, list)):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be tuple of Tensors, not "
            f"{type(values).__name__}"
        )
    return [v if isinstance(v, Tensor) else face(v, name, argument, position) for v in values]


def _function(name: str, kind: str) -> Callable[..., Any]:
    def run(input: Any, *args: Any, **kwargs: Any) -> Any:
        given = _named(name, args, kwargs)
        x: Any = face(input, name)
        hx = given["hx"]
        states = _tensors(hx if kind == "lstm" else (hx,), name, "hx", 2)
        if kind == "lstm" and len(states) != 2:
            raise RuntimeError("lstm expects two hidden states")
        weights, biased = _tensors(given["params"], name, "params", 3), bool(given["has_biases"])
        projected = kind == "lstm" and states[0].layout.shape[-1] != states[1].layout.shape[-1]
        count, both = int(given["num_layers"]), bool(given["bidirectional"])
        _check(name, x, states, weights, biased, count, both, projected)
        first = bool(given.get("batch_first", False))
        if "batch_sizes" in given:
            steps = packed_steps(given["batch_sizes"], x.layout.shape[0])
        else:
            x = swap_axes(x, 0, 1) if first else x
            steps = padded_steps(x)
        results = run_layers(
            kind, x, steps, states, weights, biased, count, float(given["dropout"]),
            bool(given["train"]), both, projected,
        )  # fmt: skip
        if first:
            results[0] = swap_axes(results[0], 0, 1)
        return tuple(results)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"All layers and directions of a {name} over padded or packed sequences."
    return run


_PADDED = ("hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional",
           "batch_first")  # fmt: skip
_PACKED = ("batch_sizes", *_PADDED[:-1])


def _named(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name: the form for packed data has batch_sizes and no batch_first."""
    # By position: has_biases, a bool, comes one later where batch_sizes are given.
    at = next((place for place, value in enumerate(args) if isinstance(value, bool)), 0)
    packed = "batch_sizes" in kwargs or at == 3
    names = _PACKED if packed else _PADDED
    given = dict(zip(names, args, strict=False)) | kwargs
    missing = [n for n in names if n not in given]
    if missing or len(args) > len(names) or set(given) - set(names):
        raise TypeError(f"{name}() takes (input, {', '.join(names)}); missing or wrong: {missing}")
    return given


def padded_steps(x: Any) -> Steps:
    """The steps of (time, batch, features)."""
    if x.layout.ndim != 3:
        raise RuntimeError(f"input must have 3 dimensions, got {x.layout.ndim}")
    if not x.layout.shape[0]:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    return equal_steps(*x.layout.shape[:2])


# ---- cells: one step


def _check_cell(kind: str, x: Any, states: Sequence[Any], w_ih: Any, w_hh: Any) -> None:
    shape, hidden = x.layout.shape, w_hh.layout.shape[-1]
    if shape[-1] != w_ih.layout.shape[-1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {shape[-1]} expected {w_ih.layout.shape[-1]}"
        )
    gates = GATES[kind] * hidden
    for name, weight in (("weight_ih", w_ih), ("weight_hh", w_hh)):
        if weight.layout.shape[0] != gates:
            raise RuntimeError(
                f"{name} first dim must be {GATES[kind]} * hidden_size = {gates}, but got "
                f"{weight.layout.shape[0]}"
            )
    for number, state in enumerate(states):
        if state.layout.shape[0] != shape[0]:
            raise RuntimeError(
                f"Input batch size {shape[0]} doesn't match hidden{number} batch size "
                f"{state.layout.shape[0]}"
            )
        if state.layout.shape[-1] != hidden:
            raise RuntimeError(
                f"hidden{number} has inconsistent hidden_size: got {state.layout.shape[-1]}, "
                f"expected {hidden}"
            )


def _refuse_mixed(given: DType, weight: DType, biased: bool) -> None:
    """The words of the product that would find it out."""
    a, b = scalar_name(given), scalar_name(weight)
    if biased:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {a} and {b}")
    raise RuntimeError(
        f"expected m1 and m2 to have the same dtype, but got: {a.lower()} != {b.lower()}"
    )


def _cell(name: str, kind: str) -> Callable[..., Any]:
    def run(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        x = face(input, name)
        states = _tensors(hx if kind == "lstm" else (hx,), name, "hx", 2)
        if kind == "lstm" and len(states) != 2:
            raise RuntimeError("lstm_cell expects two hidden states")
        w_ih, w_hh = _tensors((w_ih, w_hh), name, "w_ih or w_hh", 3)
        if b_ih is not None or b_hh is not None:
            _tensors([b for b in (b_ih, b_hh) if b is not None], name, "b_ih or b_hh", 5)
        _check_cell(kind, x, states, w_ih, w_hh)
        dtype = x.layout.dtype
        if w_ih.layout.dtype is not dtype:
            _refuse_mixed(dtype, w_ih.layout.dtype, b_ih is not None)
        biases = [b_ih, b_hh]
        if (b_ih is None) != (b_hh is None):  # one alone: the other adds nothing
            zeros = zero_state(w_ih.layout.shape[:1], dtype)
            biases = [zeros if bias is None else bias for bias in biases]
        biases = [bias for bias in biases if bias is not None]
        operands = [x, w_ih, w_hh, *states, *biases]
        if dtype in _HALVES:
            operands = [cast(value, float32) for value in operands]
        steps = equal_steps(1, x.layout.shape[0])
        _, *last = recurrent_layer(kind, operands, bool(biases), steps)
        if dtype in _HALVES:
            last = [cast(value, dtype) for value in last]
        return tuple(last) if kind == "lstm" else last[0]

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"One time step of {kind.replace('_', ' with ')}."
    return run


lstm, gru = _function("lstm", "lstm"), _function("gru", "gru")
rnn_tanh, rnn_relu = _function("rnn_tanh", "rnn_tanh"), _function("rnn_relu", "rnn_relu")
lstm_cell, gru_cell = _cell("lstm_cell", "lstm"), _cell("gru_cell", "gru")
rnn_tanh_cell, rnn_relu_cell = (
    _cell("rnn_tanh_cell", "rnn_tanh"), _cell("rnn_relu_cell", "rnn_relu"),
)  # fmt: skip
