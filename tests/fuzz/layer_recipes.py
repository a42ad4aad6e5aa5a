"""Good calls over vectors and sequences: norms, losses, attention, recurrence, embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diptych.torch as torch
import diptych.torch.nn.functional as functional
from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.torch import nn
from tests.fuzz.bending import Recipe
from tests.fuzz.draw import Drawer

F32 = dtypes.float32
FLOATS = (F32,) * 6 + (dtypes.float64, dtypes.bfloat16)
REDUCTIONS = ("mean", "sum", "none")


def some(d: Drawer, shape: tuple[int, ...], dtype: DType = F32, probability: float = 0.6) -> Any:
    """A tensor, or None."""
    return d.tensor(shape=shape, dtype=dtype) if d.chance(probability) else None


def lead(d: Drawer) -> tuple[int, ...]:
    return tuple(d.choice((0, 1, 2, 2, 3, 5)) for _ in range(d.choice((0, 1, 1, 2))))


# ---- norms


def over_rows(d: Drawer) -> Recipe:
    dtype = d.choice(FLOATS)
    shape = tuple(d.choice((1, 2, 3, 8, 17, 33)) for _ in range(d.choice((1, 1, 2))))
    x = d.tensor(shape=(*lead(d), *shape), dtype=dtype)
    weight = some(d, shape, dtype)
    if d.chance(0.4):
        args = [x, shape, weight, d.choice((None, 1e-5, 0.1))]
        return Recipe("F.rms_norm", functional.rms_norm, args)
    args = [x, shape, weight, some(d, shape, dtype), 1e-5]
    return Recipe("F.layer_norm", functional.layer_norm, args)


def over_channels(d: Drawer) -> Recipe:
    dtype = d.choice(FLOATS[:7])
    c = d.choice((1, 2, 4, 8))
    sides = tuple(d.choice((0, 1, 2, 5, 9, 16)) for _ in range(d.choice((0, 1, 2, 2, 3))))
    x = d.tensor(shape=(d.choice((0, 1, 2, 3)), c, *sides), dtype=dtype)
    weight, bias = some(d, (c,), dtype), some(d, (c,), dtype)
    kind = d.rng.randrange(4)
    if kind == 0:
        args = [x, d.choice([g for g in (1, 2, 4) if c % g == 0]), weight, bias]
        return Recipe("F.group_norm", functional.group_norm, args)
    if kind == 1:
        args = [x, d.choice((1, 2, 3, 5))]
        return Recipe("F.local_response_norm", functional.local_response_norm, args)
    mean, var = (torch.zeros(c, dtype=x.dtype), torch.ones(c, dtype=x.dtype))
    if d.chance(0.3):
        mean, var = None, None
    training = mean is None or d.chance(0.6)
    name = "batch_norm" if kind == 2 else "instance_norm"
    args = [x, mean, var, weight, bias, training, d.choice((0.1, 0.5, 1.0)), 1e-5]
    return Recipe(f"F.{name}", getattr(functional, name), args)


def norm_module(d: Drawer) -> Recipe:
    rank = d.choice((1, 2, 3))
    c = d.choice((1, 2, 4))
    x = d.tensor(shape=(2, c, *(d.choice((1, 2, 5)) for _ in range(rank))), dtype=F32)
    name = d.choice((f"BatchNorm{rank}d", f"InstanceNorm{rank}d", "GroupNorm", "LayerNorm"))
    cls = getattr(nn, name)
    args: list[Any] = [c]
    options: dict[str, Any] = {}
    if name == "LayerNorm":
        args = [x.layout.shape[-1]]
    elif name == "GroupNorm":
        args = [1, c]
    else:
        options = {
            "affine": d.chance(0.5), "track_running_stats": d.chance(0.5),
            "momentum": d.choice((0.1, 0.9)),
        }  # fmt: skip
    training = d.chance(0.5)

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        return cls(*args, **kwargs).train(training)(x)

    return Recipe(f"nn.{name}", call, [x, *args], options)


# ---- losses


def classified(d: Drawer) -> Recipe:
    n, c = d.choice((0, 1, 2, 5, 17)), d.choice((1, 2, 3, 10, 33))
    sides = d.choice(((), (), (3,), (2, 4), (0,)))
    dtype = d.choice(FLOATS)
    x = d.tensor(shape=(c,) if d.chance(0.1) else (n, c, *sides), dtype=dtype)
    places = () if x.layout.ndim == 1 else (n, *sides)
    target = d.indices(places, 0, c)
    if d.chance(0.2):
        target = d.tensor(shape=x.layout.shape, dtype=dtype)
    options: dict[str, Any] = {
        "reduction": d.choice(REDUCTIONS),
        "weight": some(d, (c,), dtype, 0.4),
    }
    if d.chance(0.3):
        options["ignore_index"] = d.choice((-100, 0, 1))
    if target.layout.dtype.is_float or d.chance(0.5):
        options["label_smoothing"] = d.choice((0.0, 0.1, 1.0))
        if target.layout.dtype.is_float:
            options.pop("ignore_index", None)
        return Recipe("F.cross_entropy", functional.cross_entropy, [x, target], options)
    return Recipe("F.nll_loss", functional.nll_loss, [x, target], options)


def compared(d: Drawer) -> Recipe:
    dtype = d.choice(FLOATS)
    shape = (*lead(d), d.choice((1, 3, 8)))
    x, y = d.tensor(shape=shape, dtype=dtype), d.tensor(shape=shape, dtype=dtype)
    options: dict[str, Any] = {"reduction": d.choice(REDUCTIONS)}
    name = d.choice((
        "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss",
        "soft_margin_loss", "hinge_embedding_loss", "binary_cross_entropy",
        "binary_cross_entropy_with_logits", "gaussian_nll_loss", "margin_ranking_loss",
        "triplet_margin_loss", "multilabel_soft_margin_loss",
    ))  # fmt: skip
    if name == "binary_cross_entropy":
        x, y = (x.detach() * 0).requires_grad_() + 0.25, y.detach() * 0 + 1
    extra: list[Any] = []
    if name in ("gaussian_nll_loss", "margin_ranking_loss", "triplet_margin_loss"):
        third = d.tensor(shape=shape, dtype=dtype)
        extra = [third.detach().abs() if name == "gaussian_nll_loss" else third]
    if name == "kl_div":
        options["log_target"] = d.chance(0.5)
    if name.startswith("binary") and d.chance(0.4):
        options["weight"] = d.tensor(shape=shape, dtype=dtype)
    return Recipe(f"F.{name}", getattr(functional, name), [x, y, *extra], options)


def over_classes(d: Drawer) -> Recipe:
    n, c = d.choice((1, 2, 5)), d.choice((1, 3, 8))
    x = d.tensor(shape=(n, c), dtype=F32)
    options: dict[str, Any] = {"reduction": d.choice(REDUCTIONS)}
    kind = d.rng.randrange(4)
    if kind == 0:
        target = d.indices((n,), 0, c)
        options |= {"p": d.choice((1, 2)), "weight": some(d, (c,), F32, 0.3)}
        return Recipe("F.multi_margin_loss", functional.multi_margin_loss, [x, target], options)
    if kind == 1:
        target = d.indices((n, c), -1, c)
        name = "multilabel_margin_loss"
        return Recipe(f"F.{name}", functional.multilabel_margin_loss, [x, target], options)
    if kind == 2:
        y, sign = d.tensor(shape=(n, c), dtype=F32), torch.ones(n)
        name = "cosine_embedding_loss"
        return Recipe(f"F.{name}", functional.cosine_embedding_loss, [x, y, sign], options)
    weight = d.tensor(shape=(d.choice((1, 4)), c), dtype=F32)
    target = d.indices((n,), 0, weight.layout.shape[0])
    name = "linear_cross_entropy"
    return Recipe(f"F.{name}", functional.linear_cross_entropy, [x, weight, target], options)


def ctc(d: Drawer) -> Recipe:
    steps, n, c = d.choice((1, 3, 7)), d.choice((0, 1, 3)), d.choice((1, 2, 5))
    longest = d.choice((0, 1, 3))
    logits = d.tensor(shape=(steps, n, c), dtype=d.choice((F32, dtypes.float64)))
    blank = d.rng.randrange(c)
    lengths = [d.rng.randrange(longest + 1) for _ in range(n)]
    joined = d.chance(0.3)
    target = d.indices((sum(lengths),) if joined else (n, longest), 0, c)
    of_input: Any = [d.rng.randrange(steps + 1) for _ in range(n)]
    of_target: Any = lengths
    if d.chance(0.5):
        of_input, of_target = (torch.tensor(v, dtype=torch.int64) for v in (of_input, of_target))
    log = d.chance(0.8)

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        return functional.ctc_loss(x.log_softmax(-1) if log else x, *args, **kwargs)

    options = {"reduction": d.choice(REDUCTIONS), "zero_infinity": d.chance(0.5)}
    return Recipe("F.ctc_loss", call, [logits, target, of_input, of_target, blank], options)


# ---- attention


def attention(d: Drawer) -> Recipe:
    dtype = d.choice(FLOATS)
    batch = d.choice(((), (1,), (2,), (2, 3), (0, 2), (1, 4)))
    rows, columns = (d.choice((1, 2, 3, 5, 16, 33, 70)) for _ in range(2))
    width, value = d.choice((1, 3, 8, 16, 64)), d.choice((1, 4, 8, 16, 64))
    if d.chance(0.05):
        columns = 0
    heads = batch
    grouped = len(batch) == 2 and d.chance(0.2)
    if grouped:
        heads = (batch[0], batch[1] // d.choice([g for g in (1, batch[1]) if g]))
    q = d.tensor(shape=(*batch, rows, width), dtype=dtype)
    k = d.tensor(shape=(*heads, columns, width), dtype=dtype)
    v = d.tensor(shape=(*heads, columns, value), dtype=dtype)
    options: dict[str, Any] = {}
    kind = d.rng.randrange(4)
    if kind == 0:
        options["is_causal"] = True
    elif kind == 1:
        shape = d.choice(((rows, columns), (*batch, rows, columns), (1, columns)))
        options["attn_mask"] = d.tensor(shape=shape, dtype=d.choice((dtype, dtypes.bool_)))
    if d.chance(0.2):
        options["scale"] = d.choice((0.5, 1.0, 2.0))
    if d.chance(0.1):
        options["dropout_p"] = d.choice((0.0, 0.5))
    if grouped:
        options["enable_gqa"] = True
    name = "scaled_dot_product_attention"
    return Recipe(f"F.{name}", functional.scaled_dot_product_attention, [q, k, v], options)


def attention_module(d: Drawer) -> Recipe:
    heads = d.choice((1, 2, 4))
    width = heads * d.choice((1, 2, 4))
    steps, others, n = d.choice((1, 3, 5)), d.choice((1, 3, 4)), d.choice((1, 2))
    first = d.chance(0.5)

    def sequence(length: int) -> Any:
        return d.tensor(shape=(n, length, width) if first else (length, n, width), dtype=F32)

    q, k = sequence(steps), sequence(others)
    kind = d.rng.randrange(3)
    training = d.chance(0.5)
    if kind == 0:
        args = [q, q if steps == others else k, k, width, heads]
        options: dict[str, Any] = {
            "batch_first": first, "bias": d.chance(0.5), "add_bias_kv": d.chance(0.2),
            "add_zero_attn": d.chance(0.2), "dropout": d.choice((0.0, 0.1)),
        }  # fmt: skip
        args[1] = k
        call_options = {"need_weights": d.chance(0.5)}
        if d.chance(0.4):
            call_options["key_padding_mask"] = d.tensor(shape=(n, others), dtype=dtypes.bool_)
        if d.chance(0.4):
            call_options["attn_mask"] = d.tensor(
                shape=(steps, others), dtype=d.choice((F32, dtypes.bool_))
            )

        def attend(q: Any, k: Any, v: Any, width: Any, heads: Any, *rest: Any, **given: Any) -> Any:
            made = {key: given.pop(key) for key in list(given) if key in options}
            module = nn.MultiheadAttention(width, heads, *rest, **made).train(training)
            return module(q, k, v, **given)

        return Recipe("nn.MultiheadAttention", attend, args, {**options, **call_options})
    name = "TransformerEncoderLayer" if kind == 1 else "TransformerDecoderLayer"
    inputs = [q] if kind == 1 else [q, k]
    options = {
        "dim_feedforward": d.choice((1, 8)), "batch_first": first, "norm_first": d.chance(0.5),
        "activation": d.choice(("relu", "gelu")),
    }  # fmt: skip
    count = len(inputs)

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(nn, name)(*args[count:], **kwargs).train(training)(*args[:count])

    return Recipe(f"nn.{name}", call, [*inputs, width, heads], options)


# ---- recurrence


def recurrent(d: Drawer) -> Recipe:
    """torch.lstm and its kin, over dense input."""
    name = d.choice(("lstm", "gru", "rnn_tanh", "rnn_relu"))
    gates = {"lstm": 4, "gru": 3}.get(name, 1)
    dtype = d.choice((F32, F32, F32, dtypes.float64))
    steps, n = d.choice((1, 2, 3, 7)), d.choice((1, 1, 2, 3, 5))
    inner, hidden = d.choice((1, 2, 3, 8, 17)), d.choice((1, 2, 3, 8, 16, 17))
    layers, both, biased = d.choice((1, 1, 2, 3)), d.chance(0.4), d.chance(0.7)
    first = d.chance(0.4)
    ways = 2 if both else 1
    x = d.tensor(shape=(n, steps, inner) if first else (steps, n, inner), dtype=dtype)
    states = [
        d.tensor(shape=(layers * ways, n, hidden), dtype=dtype)
        for _ in range(2 if name == "lstm" else 1)
    ]
    weights = []
    for layer in range(layers):
        for _ in range(ways):
            width = inner if layer == 0 else hidden * ways
            shapes: list[tuple[int, ...]] = [(gates * hidden, width), (gates * hidden, hidden)]
            shapes += [(gates * hidden,)] * 2 if biased else []
            weights += [d.tensor(shape=s, dtype=dtype) for s in shapes]
    hx = tuple(states) if name == "lstm" else states[0]
    args = [x, hx, weights, biased, layers, d.choice((0.0, 0.0, 0.5)), d.chance(0.5), both, first]
    return Recipe(f"torch.{name}", getattr(torch, name), args)


def recurrent_cell(d: Drawer) -> Recipe:
    name = d.choice(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"))
    gates = {"lstm_cell": 4, "gru_cell": 3}.get(name, 1)
    n, inner, hidden = (d.choice((1, 2, 5, 8)) for _ in range(3))
    x, h, c = (d.tensor(shape=(n, k), dtype=F32) for k in (inner, hidden, hidden))
    w, u = (d.tensor(shape=(gates * hidden, k), dtype=F32) for k in (inner, hidden))
    biases = [d.tensor(shape=(gates * hidden,), dtype=F32) for _ in range(2)]
    state = (h, c) if name == "lstm_cell" else h
    return Recipe(f"torch.{name}", getattr(torch, name), [x, state, w, u, *biases])


def recurrent_module(d: Drawer) -> Recipe:
    """nn.LSTM and its kin, dense or packed."""
    cls = d.choice((nn.LSTM, nn.GRU, nn.RNN))
    steps, n = d.choice((1, 2, 5)), d.choice((1, 2, 4))
    inner, hidden = d.choice((1, 3, 8)), d.choice((1, 3, 8))
    options: dict[str, Any] = {
        "num_layers": d.choice((1, 2)), "bidirectional": d.chance(0.4),
        "batch_first": d.chance(0.4), "bias": d.chance(0.8), "dropout": d.choice((0.0, 0.0, 0.3)),
    }  # fmt: skip
    if cls is nn.LSTM and d.chance(0.3):
        options["proj_size"] = d.choice((1, 2)) if hidden > 2 else 0
    first = options["batch_first"]
    x = d.tensor(shape=(n, steps, inner) if first else (steps, n, inner), dtype=F32)
    packed = d.chance(0.5)
    lengths: Any = [d.rng.randrange(1, steps + 1) for _ in range(n)]
    ordered = d.chance(0.3)
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    training = d.chance(0.5)
    rnn = nn.utils.rnn

    def call(x: Any, lengths: Any, ordered: Any, *args: Any, **kwargs: Any) -> Any:
        layers = kwargs.get("num_layers")
        if isinstance(layers, int):
            kwargs["num_layers"] = min(layers, 9)  # each is made, however many are wanted
        module = cls(*args, **kwargs).train(training)
        if not packed:
            return module(x)
        given = rnn.pack_padded_sequence(x, lengths, first, ordered)
        out, state = module(given)
        dense, _ = rnn.pad_packed_sequence(out, first)
        return dense, state

    args = [x, lengths, ordered, inner, hidden]
    return Recipe(f"nn.{cls.__name__}", call, args, options)


# ---- embeddings and other layers


def embedded(d: Drawer) -> Recipe:
    rows, width = d.choice((1, 2, 5, 33)), d.choice((1, 3, 8, 17))
    dtype = d.choice(FLOATS)
    weight = d.tensor(shape=(rows, width), dtype=dtype)
    index_dtype = d.choice((dtypes.int64, dtypes.int64, dtypes.int32))
    options: dict[str, Any] = {}
    if d.chance(0.3):
        options["padding_idx"] = d.rng.randrange(rows)
    if d.chance(0.2):
        options["scale_grad_by_freq"] = True
    if d.chance(0.15):
        options["max_norm"] = d.choice((1.0, 0.5))
        weight = weight.detach().clone().requires_grad_()
    if d.chance(0.4):
        places = d.indices(lead(d), 0, rows, index_dtype)
        return Recipe("F.embedding", functional.embedding, [places, weight], options)
    options["mode"] = d.choice(("mean", "sum", "max"))
    if options["mode"] == "max":
        options.pop("scale_grad_by_freq", None)
    if d.chance(0.4):
        places = d.indices((d.choice((0, 1, 3)), d.choice((0, 1, 4))), 0, rows, index_dtype)
        return Recipe("F.embedding_bag", functional.embedding_bag, [places, weight], options)
    count = d.choice((0, 1, 3, 9))
    places = d.indices((count,), 0, rows, index_dtype)
    cuts = [0, *sorted(d.rng.randrange(count + 1) for _ in range(d.choice((0, 1, 3))))]
    if d.chance(0.3):
        options["include_last_offset"] = True
        cuts.append(count)
    options["offsets"] = torch.tensor(cuts, dtype=torch.dtypes.of(index_dtype))
    if options["mode"] == "sum" and d.chance(0.4):
        options["per_sample_weights"] = d.tensor(shape=(count,), dtype=dtype)
    return Recipe("F.embedding_bag", functional.embedding_bag, [places, weight], options)


def dense(d: Drawer) -> Recipe:
    dtype = d.choice(FLOATS)
    inner, outer = d.choice((0, 1, 3, 16, 33)), d.choice((0, 1, 2, 8, 17))
    at = lead(d)
    x = d.tensor(shape=(*at, inner), dtype=dtype)
    bias = some(d, (outer,), dtype)
    if d.chance(0.7):
        weight = d.tensor(shape=(outer, inner), dtype=dtype)
        return Recipe("F.linear", functional.linear, [x, weight, bias])
    other = d.tensor(shape=(*at, 2), dtype=dtype)
    weight = d.tensor(shape=(outer, inner, 2), dtype=dtype)
    return Recipe("F.bilinear", functional.bilinear, [x, other, weight, bias])


def activated(d: Drawer) -> Recipe:
    x = d.tensor(shape=(*lead(d), d.choice((2, 4, 16))), dtype=d.choice(FLOATS))
    name = d.choice((
        "relu", "gelu", "silu", "mish", "elu", "celu", "selu", "softplus", "hardswish", "glu",
        "hardsigmoid", "softsign", "tanhshrink", "logsigmoid", "leaky_relu", "rrelu", "dropout",
        "alpha_dropout", "softmax", "log_softmax", "gumbel_softmax", "normalize", "hardtanh",
    ))  # fmt: skip
    options: dict[str, Any] = {}
    if name in ("softmax", "log_softmax", "gumbel_softmax", "normalize"):
        options["dim"] = d.choice((-1, 0))
    if name in ("dropout", "alpha_dropout"):
        options |= {"p": d.choice((0.0, 0.5, 1.0)), "training": True}
    return Recipe(f"F.{name}", getattr(functional, name), [x], options)


def distances(d: Drawer) -> Recipe:
    n, m, width = (d.choice((0, 1, 3, 9)) for _ in range(3))
    p = d.choice((0.0, 1.0, 2.0, 2.0, 3.0, float("inf")))
    x = d.tensor(shape=(n, width), dtype=d.choice((F32, dtypes.float64)))
    if d.chance(0.4):
        return Recipe("F.pdist", functional.pdist, [x, p])
    y = d.tensor(shape=(m, width), dtype=x.layout.dtype)
    return Recipe("torch.cdist", torch.cdist, [x, y, p])


RECIPES: tuple[Callable[[Drawer], Recipe], ...] = (
    over_rows, over_rows, over_channels, over_channels, norm_module, classified, classified,
    compared, compared, over_classes, ctc, attention, attention, attention, attention_module,
    recurrent, recurrent, recurrent_cell, recurrent_module, recurrent_module, embedded, embedded,
    dense, activated, distances,
)  # fmt: skip
