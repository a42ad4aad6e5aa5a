"""Recurrent layers (RNN, LSTM, GRU) and their single-step cells."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from diptych.core.dtypes import DType
from diptych.ops.indexing import index_select
from diptych.ops.movement import expand_axis, squeeze_axes, swap_axes
from diptych.torch import dtypes
from diptych.torch.creation import empty
from diptych.torch.nn import init
from diptych.torch.nn.functional import recurrent
from diptych.torch.nn.modules.module import Module
from diptych.torch.nn.parameter import Parameter
from diptych.torch.nn.utils.rnn import PackedSequence
from diptych.torch.tensor import face

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _check_sizes(input_size: Any, hidden_size: Any) -> None:
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(value, int):
            raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")


def _check_dropout(dropout: Any, num_layers: int) -> None:
    number = isinstance(dropout, numbers.Number) and not isinstance(dropout, bool)
    if not number or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element "
            "being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
            f"expects num_layers greater than 1, but got dropout={dropout} and "
            f"num_layers={num_layers}",
            stacklevel=4,
        )


class RNNBase(Module):
    """What the recurrent layers share: their weights, and the checks of what comes in."""

    __constants__ = ["mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first",
                     "dropout", "bidirectional", "proj_size"]  # fmt: skip
    __jit_unused_properties__ = ["all_weights"]
    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.dropout = float(dropout)
        _check_dropout(dropout, num_layers)
        for name, value in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(value, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
        _check_sizes(input_size, hidden_size)
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._make_weights(device, dtype)
        self.reset_parameters()

    def _make_weights(self, device: Any, dtype: Any) -> None:
        width, state = _GATES[self.mode] * self.hidden_size, self.proj_size or self.hidden_size
        directions = 2 if self.bidirectional else 1
        for layer in range(self.num_layers):
            features = state * directions if layer else self.input_size
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (width, features), "weight_hh": (width, state),
                "bias_ih": (width,), "bias_hh": (width,),
                "weight_hr": (self.proj_size, self.hidden_size),
            }  # fmt: skip
            for suffix in ("", "_reverse")[:directions]:
                for kind in self._kinds():
                    weight = Parameter(empty(shapes[kind], device=device, dtype=dtype))
                    setattr(self, f"{kind}_l{layer}{suffix}", weight)

    def _kinds(self) -> list[str]:
        """What weights one direction of a layer has, in PyTorch's order."""
        kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        return kinds + (["weight_hr"] if self.proj_size else [])

    @property
    def _all_weights(self) -> list[list[str]]:
        suffixes = ("", "_reverse") if self.bidirectional else ("",)
        return [
            [f"{kind}_l{layer}{suffix}" for kind in self._kinds()]
            for layer in range(self.num_layers)
            for suffix in suffixes
        ]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each direction of each layer."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Nothing to do: weights are packed for each call."""

    def reset_parameters(self) -> None:
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def __getstate__(self) -> dict[str, Any]:
        # A whole module in a file has these for PyTorch, which keeps them as attributes.
        return {**self.__dict__, **{name: getattr(self, name) for name in _KEPT}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # What PyTorch pickles beside the parameters, ours follow from the sizes.
        ours = {name: value for name, value in state.items() if name not in _DERIVED}
        ours.setdefault("proj_size", 0)
        super().__setstate__(ours)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        for name, default in (("num_layers", 1), ("bias", True), ("batch_first", False),
                              ("dropout", 0), ("bidirectional", False)):  # fmt: skip
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        return text

    # ---- checks

    def check_input(self, input: Any, batch_sizes: Any) -> None:
        weight = self.weight_ih_l0
        if input.layout.dtype is not weight.layout.dtype:
            given, wanted = dtypes.of(input.layout.dtype), dtypes.of(weight.layout.dtype)
            raise ValueError(
                f"RNN input dtype ({given}) does not match weight dtype ({wanted}). Convert input: "
                f"input.to({wanted}), or convert model: model.to({given})"
            )
        expected = 3 if batch_sizes is None else 2
        if input.layout.ndim != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.layout.ndim}")
        if self.input_size != input.layout.shape[-1]:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input.layout.shape[-1]}"
            )

    def _batch(self, input: Any, batch_sizes: Any) -> int:
        if batch_sizes is not None:
            return int(batch_sizes[0])
        return int(input.layout.shape[0 if self.batch_first else 1])

    def _expected(self, input: Any, batch_sizes: Any, width: int) -> tuple[int, int, int]:
        directions = 2 if self.bidirectional else 1
        return self.num_layers * directions, self._batch(input, batch_sizes), width

    def get_expected_hidden_size(self, input: Any, batch_sizes: Any) -> tuple[int, int, int]:
        """The shape of h_0."""
        return self._expected(input, batch_sizes, self.proj_size or self.hidden_size)

    def check_hidden_size(
        self,
        hx: Any,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        if hx.layout.shape != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.layout.shape)))

    def check_forward_args(self, input: Any, hidden: Any, batch_sizes: Any) -> None:
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Any) -> Any:
        """States in another order of sequences."""
        return hx if permutation is None else index_select(hx, permutation, 1)

    # ---- forward

    def _states(self, input: Any, hx: Any, batch_sizes: Any, dtype: DType) -> Any:
        """h_0 (an LSTM: a pair), zeros where there is none."""
        if hx is not None:
            return hx
        return recurrent.zero_state(self.get_expected_hidden_size(input, batch_sizes), dtype)

    def _lift(self, hx: Any, batched: bool) -> Any:
        """A state with its batch axis."""
        ndim = hx.dim()
        if ndim != (3 if batched else 2):
            form = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {form} input, hx should also be {form[-3:]} but got {ndim}-D tensor"
            )
        return hx if batched else expand_axis(hx, 1)

    def _run(self, x: Any, steps: Any, states: Any) -> list[Any]:
        return recurrent.run_layers(
            self.mode.lower(), x, steps, states if type(states) is tuple else (states,),
            self._flat_weights, self.bias, self.num_layers, self.dropout, self.training,
            self.bidirectional, self.proj_size > 0,
        )  # fmt: skip

    def _finals(self, values: list[Any]) -> Any:
        """The last states as ``forward`` gives them."""
        return values[0]

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        x: Any = face(input, type(self).__name__)
        ndim = x.layout.ndim
        if ndim not in (2, 3):
            word = "D tensor instead" if self.mode.startswith("RNN") else "D instead"
            raise ValueError(f"{_KIND[self.mode]}: Expected input to be 2D or 3D, got {ndim}{word}")
        batched = ndim == 3
        if not batched:
            x = expand_axis(x, 0 if self.batch_first else 1)
        if hx is not None:
            hx = self._lift(hx, batched)
        states = self._states(x, hx, None, x.layout.dtype)
        self.check_forward_args(x, states, None)
        rows = swap_axes(x, 0, 1) if self.batch_first else x
        y, *last = self._run(rows, recurrent.padded_steps(rows), states)
        if self.batch_first:
            y = swap_axes(y, 0, 1)
        if not batched:
            y = squeeze_axes(y, (0 if self.batch_first else 1,))
            last = [squeeze_axes(value, (1,)) for value in last]
        return y, self._finals(last)

    def _forward_packed(self, input: Any, hx: Any) -> Any:
        x, batch_sizes, order, back = input
        x = face(x, type(self).__name__)
        if hx is not None:
            hx = self.permute_hidden(hx, order)
        states = self._states(x, hx, batch_sizes, x.layout.dtype)
        self.check_forward_args(x, states, batch_sizes)
        steps = recurrent.packed_steps(batch_sizes, x.layout.shape[0])
        y, *last = self._run(x, steps, states)
        finals = self._finals(last)
        return PackedSequence(y, batch_sizes, order, back), self.permute_hidden(finals, back)


_KEPT = ("_flat_weights_names", "_all_weights", "_flat_weights")
_DERIVED = frozenset({*_KEPT, "_flat_weight_refs"})
_KIND = {"LSTM": "LSTM", "GRU": "GRU", "RNN_TANH": "RNN", "RNN_RELU": "RNN"}
_NO_PROJECTION = "proj_size argument is only supported for LSTM, not RNN or GRU"


class RNN(RNNBase):
    """Elman's network: h = tanh(W_ih x + b_ih + W_hh h + b_hh), or with a rectifier."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError(_NO_PROJECTION)
        given = list(args)
        nonlinearity = given.pop(3) if len(given) > 3 else kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{nonlinearity.upper()}", *given, **kwargs)
        self.nonlinearity = nonlinearity


class GRU(RNNBase):
    """Gated recurrent units."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError(_NO_PROJECTION)
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """Long short-term memory; with ``proj_size`` its h is projected at each step."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Any, batch_sizes: Any) -> tuple[int, int, int]:
        """The shape of c_0."""
        return self._expected(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input: Any, hidden: Any, batch_sizes: Any) -> None:
        self.check_input(input, batch_sizes)
        wanted = (
            self.get_expected_hidden_size(input, batch_sizes),
            self.get_expected_cell_size(input, batch_sizes),
        )
        for number, shape in enumerate(wanted):
            self.check_hidden_size(
                hidden[number], shape, f"Expected hidden[{number}] size {{}}, got {{}}"
            )

    def permute_hidden(self, hx: Any, permutation: Any) -> Any:
        if permutation is None:
            return hx
        return tuple(index_select(state, permutation, 1) for state in (hx[0], hx[1]))

    def _states(self, input: Any, hx: Any, batch_sizes: Any, dtype: DType) -> Any:
        if hx is not None:
            return hx[0], hx[1]
        shapes = (
            self.get_expected_hidden_size(input, batch_sizes),
            self.get_expected_cell_size(input, batch_sizes),
        )
        return tuple(recurrent.zero_state(shape, dtype) for shape in shapes)

    def _lift(self, hx: Any, batched: bool) -> Any:
        h, c = hx[0], hx[1]
        wanted = 3 if batched else 2
        if h.dim() != wanted or c.dim() != wanted:
            form = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {form} input, hx and cx should also be {form[-3:]} but got "
                f"({h.dim()}-D, {c.dim()}-D) tensors"
            )
        return (h, c) if batched else (expand_axis(h, 1), expand_axis(c, 1))

    def _finals(self, values: list[Any]) -> Any:
        return tuple(values)


# ---- cells


class RNNCellBase(Module):
    """What the cells share: their four parameters."""

    __constants__ = ["input_size", "hidden_size", "bias"]
    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Any
    weight_hh: Any

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        width = num_chunks * hidden_size
        for name, shape in (("weight_ih", (width, input_size)), ("weight_hh", (width, hidden_size)),
                            ("bias_ih", (width,)), ("bias_hh", (width,))):  # fmt: skip
            made = None
            if bias or not name.startswith("bias"):
                made = Parameter(empty(shape, device=device, dtype=dtype))
            self.register_parameter(name, made)
        self.reset_parameters()

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"

    def reset_parameters(self) -> None:
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _input(self, input: Any) -> tuple[Any, bool]:
        """The input with its batch axis, and whether it had one."""
        x: Any = face(input, type(self).__name__)
        ndim = x.layout.ndim
        if ndim not in (1, 2):
            raise ValueError(
                f"{self._cell_name}: Expected input to be 1D or 2D, got {ndim}D instead"
            )
        return (x, True) if ndim == 2 else (expand_axis(x, 0), False)

    def _state(self, x: Any, state: Any, batched: bool, name: str) -> Any:
        if state is None:
            return recurrent.zero_state((x.layout.shape[0], self.hidden_size), x.layout.dtype)
        ndim = state.dim()
        if ndim not in (1, 2):
            raise ValueError(
                f"{self._cell_name}: Expected {name} to be 1D or 2D, got {ndim}D instead"
            )
        return state if batched else expand_axis(state, 0)

    _cell_name = "RNNCell"

    def _step(self, function: Any, input: Any, hx: Any) -> Any:
        """One step of a cell with one state."""
        x, batched = self._input(input)
        h = self._state(x, hx, batched, "hidden")
        new = function(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return new if batched else squeeze_axes(new, (0,))


class RNNCell(RNNCellBase):
    """One step of :class:`RNN`."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]
    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        function = {"tanh": recurrent.rnn_tanh_cell, "relu": recurrent.rnn_relu_cell}.get(
            self.nonlinearity
        )
        if function is None:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(function, input, hx)


class LSTMCell(RNNCellBase):
    """One step of :class:`LSTM`."""

    _cell_name = "LSTMCell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        x, batched = self._input(input)
        states = (None, None) if hx is None else tuple(hx)
        states = tuple(
            self._state(x, state, batched, f"hx[{number}]") for number, state in enumerate(states)
        )
        made = recurrent.lstm_cell(
            x, states, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        )
        return made if batched else tuple(squeeze_axes(value, (0,)) for value in made)


class GRUCell(RNNCellBase):
    """One step of :class:`GRU`."""

    _cell_name = "GRUCell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self._step(recurrent.gru_cell, input, hx)


__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]
