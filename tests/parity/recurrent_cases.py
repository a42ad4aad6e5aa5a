"""One program for both engines: recurrent layers, cells and packed sequences; results as JSON."""

# ruff: noqa: B023, E731 (a transcript of small steps; each is called where it is written)

from __future__ import annotations

import copy
import io
import itertools
import json
import pickle
import sys
import warnings

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

warnings.simplefilter("ignore")
RESULTS = {}


def values(x):
    if isinstance(x, (tuple, list)):
        return [values(value) for value in x]
    if isinstance(x, torch.Tensor):
        return [list(x.shape), [float(v) for v in x.detach().double().reshape(-1)]]
    return x if isinstance(x, (int, float, str, type(None))) else str(x)


def case(name, function):
    assert name not in RESULTS, name
    try:
        RESULTS[name] = values(function())
    except Exception as error:
        names = [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]
        RESULTS[name] = {"error": names, "text": str(error)}


def weighted(*outputs):
    """A sum that tells all elements apart."""
    total = 0
    for number, y in enumerate(outputs):
        w = torch.linspace(-1, 1 + number, y.numel(), dtype=y.dtype).reshape(y.shape)
        total = total + (y * w).sum()
    return total


def flat(result):
    y, last = result
    return [y, *(last if isinstance(last, tuple) else [last])]


def trained(layer, x, hx, seed=0):
    """Outputs and all gradients of one step."""
    leaves = [x.requires_grad_()]
    if hx is not None:
        leaves += [h.requires_grad_() for h in (hx if isinstance(hx, tuple) else (hx,))]
    torch.manual_seed(seed)
    outputs = flat(layer(x, hx))
    weighted(*outputs).backward()
    return outputs + [v.grad for v in leaves] + [p.grad for p in layer.parameters()]


def state(kind, layers, batch, hidden, proj, dtype):
    h = torch.randn(layers, batch, proj or hidden, dtype=dtype)
    return (h, torch.randn(layers, batch, hidden, dtype=dtype)) if kind is nn.LSTM else h


KINDS = (nn.LSTM, nn.GRU, nn.RNN)
number = 0
for kind, layers, bias, first, both in itertools.product(
    KINDS, (1, 2), (True, False), (False, True), (False, True)
):
    for dtype in (torch.float32, torch.float64):
        number += 1
        torch.manual_seed(number)
        extra = {"nonlinearity": "relu"} if kind is nn.RNN and number % 3 == 0 else {}
        if kind is nn.LSTM and number % 3 == 1:
            extra["proj_size"] = 3
        layer = kind(
            4, 5, layers, bias=bias, batch_first=first, bidirectional=both, dtype=dtype,
            dropout=0.4 if layers == 2 and number % 2 else 0.0, **extra,
        )  # fmt: skip
        x = torch.randn(3, 2, 4, dtype=dtype)
        batch = 3 if first else 2
        hx = None
        if number % 4:
            count = layers * (2 if both else 1)
            hx = state(kind, count, batch, 5, extra.get("proj_size", 0), dtype)
        name = f"{kind.__name__} {layers} {bias} {first} {both} {dtype}"
        case(name, lambda: trained(layer, x, hx, number))
        case(f"{name} repr", lambda: [repr(layer), list(layer.state_dict())])
        case(f"{name} eval", lambda: flat(layer.eval()(x.detach())))

# Sizes around vectors, tiles and tasks.
for kind in KINDS:
    for steps, batch, features, hidden in (
        (7, 1, 3, 17), (9, 3, 16, 16), (2, 5, 1, 33), (8, 20, 7, 40), (6, 70, 5, 8), (1, 9, 6, 24),
        (13, 2, 2, 1), (4, 3, 5, 64), (3, 2, 4, 256),
    ):  # fmt: skip
        torch.manual_seed(steps)
        layer, x = kind(features, hidden), torch.randn(steps, batch, features)
        hx = state(kind, 1, batch, hidden, 0, torch.float32)
        case(f"{kind.__name__} sizes {steps} {batch} {hidden}", lambda: trained(layer, x, hx))

# Packed sequences.
for kind, both, enforce in itertools.product(KINDS, (False, True), (False, True)):
    torch.manual_seed(3)
    lengths = [6, 4, 4, 1] if enforce else [2, 6, 1, 5]
    layer = kind(3, 4, 2, bidirectional=both, batch_first=True)
    x = torch.randn(4, 6, 3, requires_grad=True)
    hx = state(kind, 4 if both else 2, 4, 4, 0, torch.float32) if enforce == both else None

    def packed(layer=layer, x=x, hx=hx, lengths=lengths, enforce=enforce):
        given = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=enforce)
        y, last = layer(given, hx)
        padded, sizes = pad_packed_sequence(y, batch_first=True)
        last = last if isinstance(last, tuple) else (last,)
        weighted(padded, *last).backward()
        return [padded, sizes, *last, x.grad, *[p.grad for p in layer.parameters()], y.batch_sizes]

    case(f"packed {kind.__name__} {both} {enforce}", packed)
torch.manual_seed(4)
lstm = nn.LSTM(3, 4)
pieces = [torch.randn(n, 3) for n in (5, 5, 2)]
case("packed list", lambda: flat(lstm(pack_sequence(pieces)))[0].data)
again = nn.GRU(4, 2)
case("packed again", lambda: trained(again, lstm(pack_sequence(pieces))[0].data[:, None], None))

# Unbatched input.
for kind, first in itertools.product(KINDS, (False, True)):
    torch.manual_seed(5)
    layer = kind(3, 4, batch_first=first)
    hx = state(kind, 1, 1, 4, 0, torch.float32)
    hx = tuple(h[:, 0] for h in hx) if isinstance(hx, tuple) else hx[:, 0]
    case(f"unbatched {kind.__name__} {first}", lambda: trained(layer, torch.randn(5, 3), hx))
    case(f"unbatched {kind.__name__} {first} none", lambda: flat(layer(torch.randn(5, 3))))

# Only some of the outputs, or of the operands, in the gradient.
for kind in KINDS:
    torch.manual_seed(6)
    layer, x = kind(3, 4, 2), torch.randn(4, 2, 3)

    def last_only(layer=layer, x=x):
        y, last = layer(x)
        (last[0] if isinstance(last, tuple) else last).sum().backward()
        return [p.grad for p in layer.parameters()]

    def one_output(layer=layer, x=x):
        layer.zero_grad()
        y, last = layer(x)
        (last[1] if isinstance(last, tuple) else y[1]).sum().backward()
        return [p.grad for p in layer.parameters()]

    def frozen(layer=layer, x=x):
        layer.zero_grad()
        layer.weight_hh_l0.requires_grad_(False)
        layer.bias_ih_l1.requires_grad_(False)
        weighted(layer(x)[0]).backward()
        return [p.grad for p in layer.parameters()]

    case(f"last only {kind.__name__}", last_only)
    case(f"one output {kind.__name__}", one_output)
    case(f"frozen {kind.__name__}", frozen)

# Gradients of gradients.
for kind, both in itertools.product(KINDS, (False, True)):
    torch.manual_seed(7)
    layer = kind(3, 4, bidirectional=both, dtype=torch.float64)
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)

    def twice(layer=layer, x=x):
        (first,) = torch.autograd.grad(weighted(*flat(layer(x))), x, create_graph=True)
        weighted(first).backward()
        return [first, x.grad, *[p.grad for p in layer.parameters()]]

    case(f"twice {kind.__name__} {both}", twice)

# Cells.
for kind, bias in itertools.product((nn.RNNCell, nn.GRUCell, nn.LSTMCell), (True, False)):
    torch.manual_seed(8)
    name = f"{kind.__name__} {bias}"
    cell = kind(3, 5, bias, **({"nonlinearity": "relu"} if kind is nn.RNNCell and bias else {}))
    case(f"{name} repr", lambda: [repr(cell), list(cell.state_dict()), list(cell.parameters())])
    wrap = (lambda f: (f(), f())) if kind is nn.LSTMCell else (lambda f: f())
    hx = wrap(lambda: torch.randn(2, 5, requires_grad=True))

    def looped(cell=cell, hx=hx):
        x, h, seen = torch.randn(4, 2, 3), hx, []
        for t in range(4):
            h = cell(x[t], h)
            seen.append(h[0] if isinstance(h, tuple) else h)
        weighted(torch.stack(seen)).backward()
        firsts = hx if isinstance(hx, tuple) else (hx,)
        return [*seen, *[f.grad for f in firsts], *[p.grad for p in cell.parameters()]]

    case(f"{name} looped", looped)
    case(f"{name} none", lambda: cell(torch.randn(2, 3)))
    case(f"{name} unbatched", lambda: cell(torch.randn(3), wrap(lambda: torch.randn(5))))
    z = torch.zeros
    case(f"{name} empty", lambda: cell(z(0, 3)))
    case(f"{name} 3d", lambda: cell(z(1, 2, 3)))
    case(f"{name} wide", lambda: cell(z(2, 4)))
    case(f"{name} batch", lambda: cell(z(2, 3), wrap(lambda: z(3, 5))))
    case(f"{name} hidden", lambda: cell(z(2, 3), wrap(lambda: z(2, 4))))
    case(f"{name} deep", lambda: cell(z(2, 3), wrap(lambda: z(1, 2, 5))))
    case(f"{name} double", lambda: cell(z(2, 3).double()))
case("RNNCell word", lambda: nn.RNNCell(3, 4, nonlinearity="x")(z(2, 3)))

# Errors, edges.
for kind in KINDS:
    layer, name = kind(3, 4), kind.__name__
    wrap = (lambda v: (v, v)) if kind is nn.LSTM else (lambda v: v)
    case(f"{name} T0", lambda: layer(z(0, 2, 3)))
    case(f"{name} B0", lambda: flat(layer(z(2, 0, 3))))
    case(f"{name} wide", lambda: layer(z(5, 2, 4)))
    case(f"{name} 4d", lambda: layer(z(5, 2, 4, 1)))
    case(f"{name} 1d", lambda: layer(z(3)))
    case(f"{name} double", lambda: layer(z(5, 2, 3).double()))
    case(f"{name} int", lambda: layer(z(5, 2, 3).long()))
    case(f"{name} hx", lambda: layer(z(5, 2, 3), wrap(z(1, 3, 4))))
    case(f"{name} hx flat", lambda: layer(z(5, 2, 3), wrap(z(2, 4))))
    case(f"{name} hx deep", lambda: layer(z(5, 3), wrap(z(1, 2, 4))))
    case(f"{name} strides", lambda: [kind(3, 4, batch_first=True)(z(2, 5, 3))[0].stride()])
    case(f"{name} weights", lambda: [[w.shape for w in ws] for ws in kind(3, 4, 2).all_weights])
    case(f"{name} proj", lambda: [repr(kind(3, 4, proj_size=2))])
    for wrong in ({"num_layers": 0}, {"hidden_size": 0}, {"dropout": 2}, {"dropout": "a"},
                  {"dropout": True}, {"bias": 1}, {"batch_first": 0}, {"input_size": 0},
                  {"input_size": 1.5}):  # fmt: skip
        case(f"{name} {wrong}", lambda: kind(**{"input_size": 3, "hidden_size": 4, **wrong}))
    copied = copy.deepcopy(layer)
    x = torch.linspace(-1, 1, 12).reshape(2, 2, 3)
    case(f"{name} copies", lambda: (flat(copied(x))[0] - flat(layer(x))[0]).abs().sum())
    restored = pickle.loads(pickle.dumps(layer))
    case(f"{name} pickle", lambda: (flat(restored(x))[0] - flat(layer(x))[0]).abs().sum())
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    case(f"{name} load", lambda: str(copied.load_state_dict(torch.load(file))))
case("LSTM cx", lambda: lstm(z(5, 2, 3), (z(1, 2, 4), z(1, 2, 5))))
case("LSTM proj 4", lambda: nn.LSTM(3, 4, proj_size=4))
case("LSTM proj -1", lambda: nn.LSTM(3, 4, proj_size=-1))
case("RNN word", lambda: nn.RNN(3, 4, nonlinearity="x"))
case("RNN position", lambda: repr(nn.RNN(3, 4, 1, "relu", False)))

# The functions.
torch.manual_seed(9)
weights = [torch.randn(s) for s in ((16, 3), (16, 4), (16,), (16,))]
h = torch.randn(1, 2, 4)
x = torch.randn(5, 2, 3)
case("lstm", lambda: torch.lstm(x, (h, h), weights, True, 1, 0.0, True, False, False))
case("lstm no bias", lambda: torch.lstm(x, (h, h), weights[:2], False, 1, 0.0, True, False, False))
case("lstm first", lambda: torch.lstm(
    x.transpose(0, 1), (h, h), weights, True, 1, 0.0, True, False, batch_first=True))  # fmt: skip
case("lstm one state", lambda: torch.lstm(x, (h,), weights, True, 1, 0.0, True, False, False))
case("lstm packed", lambda: torch.lstm(
    x[:, 0], torch.tensor([2, 2, 1]), (h, h), weights, True, 1, 0.0, True, False))  # fmt: skip
case("gru", lambda: torch.gru(
    x, h, [w[:12] for w in weights], True, 1, 0.0, True, False, False))  # fmt: skip
case("gru states", lambda: torch.gru(
    x, h, [w[:12] for w in weights] * 2, True, 2, 0.0, True, False, False))  # fmt: skip
case("rnn_tanh", lambda: torch.rnn_tanh(
    x, h, [w[:4] for w in weights], True, 1, 0.0, True, False, False))  # fmt: skip
case("rnn_relu", lambda: torch.rnn_relu(
    x, h, [w[:4] for w in weights], True, 1, 0.0, True, False, False))  # fmt: skip
case("lstm_cell", lambda: torch.lstm_cell(x[0], (h[0], h[0]), *weights))
case("lstm_cell two", lambda: torch.lstm_cell(x[0], (h[0], h[0]), *weights[:2]))
case("lstm_cell three", lambda: torch.lstm_cell(x[0], (h[0], h[0]), *weights[:3]))
case("lstm_cell rows", lambda: torch.lstm_cell(x[0], (h[0], h[0]), weights[0], weights[1][:8]))
case("gru_cell", lambda: torch.gru_cell(x[0], h[0], *[w[:12] for w in weights]))
case("rnn_tanh_cell", lambda: torch.rnn_tanh_cell(x[0], h[0], *[w[:4] for w in weights]))
case("rnn_relu_cell", lambda: torch.rnn_relu_cell(x[0], h[0], *[w[:4] for w in weights]))

# Ten steps of training.
torch.manual_seed(10)
model = nn.ModuleList([nn.Embedding(20, 8), nn.LSTM(8, 16, 2, dropout=0.3), nn.Linear(16, 20)])
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
losses = []
for _ in range(10):
    words = torch.randint(0, 20, (6, 4))
    y, _ = model[1](model[0](words[:-1]))
    loss = nn.functional.cross_entropy(model[2](y).reshape(-1, 20), words[1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    losses.append(loss.item())
case("training", lambda: losses)

with open(sys.argv[1], "w") as out:
    json.dump(RESULTS, out)
