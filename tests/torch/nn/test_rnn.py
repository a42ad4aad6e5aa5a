"""Recurrent layers: their definition in NumPy, packed sequences, gradients, errors, members."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import diptych.torch as torch
from diptych.torch import nn
from diptych.torch.autograd import gradcheck, gradgradcheck
from diptych.torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

KINDS = (nn.RNN, nn.GRU, nn.LSTM)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_step(kind, gates, hidden_gates, h, c):
    """New h and c of one step, from both halves of the gates."""
    if kind is nn.LSTM:
        i, f, g, o = np.split(gates + hidden_gates, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if kind is nn.GRU:
        (r, z, n), (hr, hz, hn) = np.split(gates, 3, -1), np.split(hidden_gates, 3, -1)
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        n = np.tanh(n + r * hn)
        return (1 - z) * n + z * h, c
    return np.tanh(gates + hidden_gates), c


def numpy_layers(layer, x):
    """y and the last h and c of a layer over (time, batch, features), from zeros."""
    weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    finals_h, finals_c = [], []
    for number in range(layer.num_layers):
        made = []
        for suffix in ("", "_reverse")[: 1 + layer.bidirectional]:

            def get(name, end=f"_l{number}{suffix}"):
                return weights.get(name + end, np.zeros(1))

            state = weights[f"weight_hh_l{number}{suffix}"].shape[1]
            h, c = np.zeros((x.shape[1], state)), np.zeros((x.shape[1], layer.hidden_size))
            y = np.zeros((*x.shape[:2], state))
            for t in range(len(x))[:: -1 if suffix else 1]:
                gates = x[t] @ get("weight_ih").T + get("bias_ih")
                h, c = numpy_step(type(layer), gates, h @ get("weight_hh").T + get("bias_hh"), h, c)
                if layer.proj_size:
                    h = h @ get("weight_hr").T
                y[t] = h
            made.append(y)
            finals_h.append(h)
            finals_c.append(c)
        x = np.concatenate(made, -1)
    return x, np.stack(finals_h), np.stack(finals_c)


def both(result):
    y, last = result
    return (y, *last) if isinstance(last, tuple) else (y, last)


def drawn(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).uniform(-1, 1, shape))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layers_follow_their_definition(kind, dtype) -> None:
    torch.manual_seed(1)
    for layers, twoway, bias, steps, batch in [
        (1, False, True, 9, 4), (2, True, True, 3, 20), (1, True, False, 1, 1),
    ]:  # fmt: skip
        options = {"proj_size": 3} if kind is nn.LSTM and batch == 20 else {}
        layer = kind(3, 7, layers, bias=bias, bidirectional=twoway, dtype=dtype, **options)
        x = drawn(steps, batch, 3).to(dtype)
        wanted = numpy_layers(layer, x.numpy())
        for got, want in zip(both(layer(x)), wanted, strict=False):
            assert got.dtype is dtype
            assert np.allclose(
                got.detach().numpy(), want, atol=2e-6 if dtype is torch.float32 else 1e-13
            )


@pytest.mark.parametrize("kind", KINDS)
def test_batch_first_and_unbatched_are_views_of_the_same(kind) -> None:
    layer = kind(3, 5)
    other = kind(3, 5, batch_first=True)
    other.load_state_dict(layer.state_dict())
    x = drawn(6, 2, 3).float()
    y, *last = both(layer(x))
    turned, *last_turned = both(other(x.transpose(0, 1)))
    assert torch.equal(y, turned.transpose(0, 1))
    assert turned.stride() == (5, 10, 1)
    assert all(torch.equal(a, b) for a, b in zip(last, last_turned, strict=True))
    one, *one_last = both(layer(x[:, 0]))
    assert torch.allclose(one, y[:, 0], atol=1e-6)
    assert one_last[0].shape == (1, 5)
    assert torch.allclose(one_last[-1], last[-1][:, 0], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_runs_of_each(kind) -> None:
    torch.manual_seed(2)
    layer = kind(3, 4, 2, bidirectional=True, dtype=torch.float64)
    pieces = [drawn(n, 3, seed=n) for n in (2, 5, 1, 5)]
    y, *last = both(layer(pack_sequence(pieces, enforce_sorted=False)))
    padded, lengths = pad_packed_sequence(y)
    assert lengths.tolist() == [2, 5, 1, 5]
    for number, piece in enumerate(pieces):
        alone, *alone_last = both(layer(piece))
        assert torch.allclose(padded[: len(piece), number], alone)
        for a, b in zip(last, alone_last, strict=True):
            assert torch.allclose(a[:, number], b)


def test_gradients_of_packed_sequences_are_those_of_each() -> None:
    torch.manual_seed(3)
    layer = nn.LSTM(2, 3, dtype=torch.float64)
    x = drawn(3, 4, 2).requires_grad_()
    lengths = [4, 2, 2]
    padded, _ = pad_packed_sequence(layer(pack_padded_sequence(x, lengths, True))[0], True)
    weights = drawn(*padded.shape, seed=5)
    (padded * weights).sum().backward()
    got = [x.grad.clone(), *[p.grad.clone() for p in layer.parameters()]]
    x.grad = None
    layer.zero_grad()
    for number, length in enumerate(lengths):
        (layer(x[number, :length])[0] * weights[number, :length]).sum().backward()
    for a, b in zip(got, [x.grad, *[p.grad for p in layer.parameters()]], strict=True):
        assert torch.allclose(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_and_theirs(kind) -> None:
    torch.manual_seed(4)
    options = {"proj_size": 1} if kind is nn.LSTM else {}
    layer = kind(2, 3, bidirectional=True, dtype=torch.float64, **options)
    parameters = list(layer.parameters())

    def run(x, *weights):  # the layer reads its parameters, which are the weights
        return both(layer(x))

    x = drawn(3, 2, 2).requires_grad_()
    assert gradcheck(run, (x, *parameters))
    assert gradgradcheck(lambda x: both(layer(x))[0], (x,))


def test_results_that_nobody_differentiates_keep_nothing() -> None:
    layer = nn.LSTM(3, 4)
    x = drawn(5, 2, 3).float()
    trained = layer(x)[0]
    with torch.no_grad():
        free = layer(x)[0]
    assert trained.requires_grad
    assert not free.requires_grad
    assert torch.equal(trained, free)


@pytest.mark.parametrize("kind", KINDS)
def test_results_may_change_in_place_before_the_gradient(kind) -> None:
    torch.manual_seed(5)
    layer = kind(3, 4)
    x = drawn(5, 2, 3).float()
    gradients = []
    for change in (False, True):
        layer.zero_grad()
        y, *last = both(layer(x))
        loss = (y * 2).sum() + sum(value.sum() for value in last)
        if change:
            with torch.no_grad():
                y.zero_()
                for value in last:
                    value.zero_()
        loss.backward()
        gradients.append([p.grad.clone() for p in layer.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_dropout_between_layers_draws_from_the_generator() -> None:
    layer = nn.GRU(3, 6, 2, dropout=0.5)
    x = drawn(4, 2, 3).float()
    torch.manual_seed(7)
    first = layer(x)[0]
    torch.manual_seed(7)
    assert torch.equal(first, layer(x)[0])
    assert not torch.equal(first, layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_a_cell_is_one_step(kind) -> None:
    torch.manual_seed(8)
    layer = {"RNNCell": nn.RNN, "GRUCell": nn.GRU, "LSTMCell": nn.LSTM}[kind.__name__](3, 4)
    cell = kind(3, 4)
    cell.load_state_dict({name[: -len("_l0")]: p for name, p in layer.state_dict().items()})
    x = drawn(5, 2, 3).float()
    state = None
    for t in range(5):
        state = cell(x[t], state)
    wanted = both(layer(x))[1:]
    for got, want in zip(state if isinstance(state, tuple) else (state,), wanted, strict=True):
        assert torch.allclose(got, want[0], atol=1e-6)
    assert (cell(x[0, 0])[0] if kind is nn.LSTMCell else cell(x[0, 0])).shape == (4,)


def test_halves_compute_in_float32() -> None:
    torch.manual_seed(9)
    for dtype in (torch.bfloat16, torch.float16):
        layer = nn.LSTM(3, 4, dtype=dtype)
        x = drawn(4, 2, 3).to(dtype)
        y, h, c = both(layer(x))
        wanted = both(copy.deepcopy(layer).float()(x.float()))
        for got, want in zip((y, h, c), wanted, strict=True):
            assert got.dtype is dtype
            assert torch.equal(got, want.to(dtype))
        y.sum().backward()
        assert layer.weight_hh_l0.grad.dtype is dtype


def test_members_and_copies() -> None:
    layer = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2, batch_first=True)
    assert repr(layer) == (
        "LSTM(3, 4, proj_size=2, num_layers=2, batch_first=True, bidirectional=True)"
    )
    names = list(layer.state_dict())
    assert names[:5] == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0",
    ]  # fmt: skip
    assert names[5] == "weight_ih_l0_reverse"
    assert len(names) == 20
    assert [len(ws) for ws in layer.all_weights] == [5] * 4
    assert layer.weight_ih_l1.shape == (16, 4)
    layer.flatten_parameters()
    x = drawn(2, 3, 3).float()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x)[0], layer(x)[0])
    layer.double()
    assert layer(x.double())[0].dtype is torch.float64
    assert repr(nn.RNNCell(3, 4, False, "relu")) == "RNNCell(3, 4, bias=False, nonlinearity=relu)"


def test_first_weights_are_pytorchs() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(2, 1)
    # torch 2.13: torch.manual_seed(0); nn.LSTM(2, 1).weight_ih_l0
    wanted = [[-0.0075, 0.5364], [-0.8230, -0.7359], [-0.3852, 0.2682], [-0.0198, 0.7929]]
    assert np.allclose(layer.weight_ih_l0.detach().numpy(), wanted, atol=5e-5)


BAD = [
    (lambda m, z: m(z(0, 2, 3)), RuntimeError, "sequence length to be larger than 0"),
    (lambda m, z: m(z(5, 2, 4)), RuntimeError, "Expected 3, got 4"),
    (lambda m, z: m(z(3)), ValueError, "2D or 3D, got 1D"),
    (lambda m, z: m(z(5, 2, 3).double()), ValueError, "does not match weight dtype"),
    (lambda m, z: m(pack_sequence([z(2, 4)])), RuntimeError, "Expected 3, got 4"),
]


@pytest.mark.parametrize(("call", "error", "match"), BAD)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_refused(kind, call, error, match) -> None:
    with pytest.raises(error, match=match):
        call(kind(3, 4), torch.zeros)


def test_bad_states_weights_and_batch_sizes_are_refused() -> None:
    z = torch.zeros
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 2, 4\), got \[1, 3, 4\]"):
        nn.GRU(3, 4)(z(5, 2, 3), z(1, 3, 4))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size"):
        nn.LSTM(3, 4)(z(5, 2, 3), (z(1, 2, 4), z(1, 2, 5)))
    weights = [z(4, 3), z(4, 4)]
    for sizes in ([3, 3], [2, 3], [6, -1], []):
        with pytest.raises(RuntimeError):
            torch.rnn_tanh(
                z(5, 3), torch.tensor(sizes, dtype=torch.int64), z(1, 3, 4), weights, False, 1,
                0.0, True, False,
            )  # fmt: skip
    with pytest.raises(RuntimeError, match="expected 2 parameter tensors"):
        torch.rnn_tanh(z(5, 2, 3), z(1, 2, 4), weights * 2, False, 1, 0.0, True, False, False)
    with pytest.raises(RuntimeError):
        torch.rnn_tanh(
            z(5, 2, 3), z(1, 2, 4), [z(4, 3), z(3, 4)], False, 1, 0.0, True, False, False
        )
    with pytest.raises(RuntimeError, match="hidden0 batch size 3"):
        nn.GRUCell(3, 4)(z(2, 3), z(3, 4))
    with pytest.raises(AttributeError, match="'tuple' object has no attribute 'dim'"):
        nn.GRU(3, 4)(z(5, 2, 3), (z(1, 2, 4), z(1, 2, 4)))
    for bad in (None, 3, [z(1, 2, 4), 5]):
        with pytest.raises(TypeError, match="argument 'hx'"):
            torch.lstm(z(5, 2, 3), bad, weights, False, 1, 0.0, True, False, False)
    with pytest.raises(ValueError, match="smaller than hidden_size"):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.warns(UserWarning, match="dropout option"):
        nn.LSTM(3, 4, dropout=0.5)


def test_no_sequences_give_no_rows() -> None:
    for kind in KINDS:
        layer = kind(3, 4)
        x = torch.zeros(2, 0, 3, requires_grad=True)
        y, *last = both(layer(x))
        assert y.shape == (2, 0, 4)
        assert last[0].shape == (1, 0, 4)
        y.sum().backward()
        assert x.grad.shape == (2, 0, 3)
        assert not layer.weight_hh_l0.grad.any()
