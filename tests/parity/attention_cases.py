"""One program for both engines: attention, its layers and transformers; results as JSON."""

# ruff: noqa: B023, E731 (a transcript of small steps; each is called where it is written)

from __future__ import annotations

import copy
import itertools
import json
import sys
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right, causal_upper_left

warnings.simplefilter("ignore")
RESULTS = {}
INF = float("inf")


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


def weighted(y):
    """A sum that tells all elements apart."""
    w = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return (y * w).sum()


def drawn(*shapes, dtype=torch.float32):
    torch.manual_seed(sum(len(s) for s in shapes) + sum(shapes[0]))
    return [torch.randn(*s).to(dtype).requires_grad_() for s in shapes]


def attended(shapes, mask=None, dtype=torch.float32, **options):
    """The output and the gradients."""
    q, k, v = drawn(*shapes, dtype=dtype)
    leaves = [q, k, v]
    if mask is not None and mask.requires_grad:
        leaves.append(mask)
    torch.manual_seed(11)
    y = F.scaled_dot_product_attention(q, k, v, mask, **options)
    return [y, *torch.autograd.grad(weighted(y), leaves)]


# ---- the function

SHAPES = {
    "plain": [(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)],
    "square": [(1, 2, 20, 8), (1, 2, 20, 8), (1, 2, 20, 8)],
    "long": [(1, 1, 70, 16), (1, 1, 150, 16), (1, 1, 150, 16)],
    "three": [(3, 5, 4), (3, 6, 4), (3, 6, 4)],
    "two": [(5, 4), (6, 4), (6, 3)],
    "five": [(2, 1, 2, 5, 4), (2, 1, 2, 6, 4), (2, 1, 2, 6, 4)],
    "broadcast": [(2, 3, 5, 4), (2, 1, 7, 4), (2, 1, 7, 4)],
    "one": [(1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1)],
    "no queries": [(2, 1, 0, 4), (2, 1, 3, 4), (2, 1, 3, 4)],
}
for name, shapes in SHAPES.items():
    for causal, dtype in itertools.product((False, True), (torch.float32, torch.float64)):
        case(
            f"sdpa {name} {causal} {dtype}", lambda: attended(shapes, dtype=dtype, is_causal=causal)
        )
    case(f"sdpa {name} scale", lambda: attended(shapes, scale=0.3))
    case(f"sdpa {name} dropout", lambda: attended(shapes, dropout_p=0.4))
    t, s = shapes[0][-2], shapes[1][-2]
    torch.manual_seed(5)
    bias = torch.randn(t, s)
    seen = bias > -0.5
    case(f"sdpa {name} bool", lambda: attended(shapes, seen))
    case(f"sdpa {name} float", lambda: attended(shapes, bias))
    case(f"sdpa {name} float inf", lambda: attended(shapes, bias.masked_fill(~seen, -INF)))
    if t:
        case(f"sdpa {name} mask gradient", lambda: attended(
            shapes, bias.clone().requires_grad_()))  # fmt: skip
    if s > 1 and t > 1:
        hidden = seen.clone()
        hidden[1] = False
        case(f"sdpa {name} a row hidden", lambda: attended(shapes, hidden))
    case(f"sdpa {name} upper", lambda: attended(shapes, causal_upper_left(t, s)))
    if len(shapes[0]) == 4:
        case(f"sdpa {name} lower", lambda: attended(shapes, causal_lower_right(t, s)))
        keys = (torch.arange(s) < max(s - 2, 1)).expand(shapes[0][0], 1, 1, s)
        case(f"sdpa {name} keys", lambda: attended(shapes, keys))
        whole = torch.randn(*shapes[0][:2], t, s)
        case(f"sdpa {name} whole", lambda: attended(shapes, whole))
        case(f"sdpa {name} heads", lambda: attended(shapes, whole[:1, :, :1]))
    with sdpa_kernel(SDPBackend.MATH):
        case(f"sdpa {name} math", lambda: attended(shapes, is_causal=True))

GROUPED = [(2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, 4)]
case("gqa", lambda: attended(GROUPED, enable_gqa=True))
case("gqa causal", lambda: attended(GROUPED, enable_gqa=True, is_causal=True))
case("gqa dropout", lambda: attended(GROUPED, enable_gqa=True, dropout_p=0.3))
case("gqa refused", lambda: attended(GROUPED))
case("half", lambda: F.scaled_dot_product_attention(
    *[x.detach().bfloat16() for x in drawn(*SHAPES["plain"])]).float().mul(8).round())  # fmt: skip


def twice():
    q, k, v = drawn(*SHAPES["plain"], dtype=torch.float64)
    y = F.scaled_dot_product_attention(q, k, v)
    first = torch.autograd.grad(weighted(y * y), (q, k, v), create_graph=True)
    return torch.autograd.grad(sum(weighted(g) for g in first), (q, k, v))


case("twice", twice)


def views():
    torch.manual_seed(3)
    x = torch.randn(2, 9, 3 * 12, requires_grad=True)
    q, k, v = (y.view(2, 9, 3, 4).transpose(1, 2) for y in x.split(12, dim=2))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    y = y.transpose(1, 2).reshape(2, 9, 12)
    return [y, list(y.stride()), *torch.autograd.grad(weighted(y), x)]


case("views of a projection", views)
x = torch.randn(2, 3, 5, 4)
S = F.scaled_dot_product_attention
case("bad vector", lambda: S(x[0, 0, 0], x, x))
case("bad dtype", lambda: S(x, x.double(), x))
case("bad mask", lambda: S(x, x, x, torch.zeros(5, 5).long()))
case("bad p", lambda: S(x, x, x, dropout_p=1.5))
case("integers", lambda: S(x.long(), x.long(), x.long()))


def with_backend(backend, **options):
    with sdpa_kernel(backend):
        return S(x, x, x, **options)


case("flash with dropout", lambda: with_backend(SDPBackend.FLASH_ATTENTION, dropout_p=0.5))
case("no backend", lambda: with_backend(SDPBackend.EFFICIENT_ATTENTION))
case("no list", lambda: with_backend(3))

# ---- MultiheadAttention


def parameters(module):
    return [[n, p, p.grad] if p.grad is not None else [n, p] for n, p in module.named_parameters()]


def multihead(batch_first=False, unbatched=False, cross="same", train=False, p=0.0, mask=None,
              padding=None, **options):  # fmt: skip
    torch.manual_seed(1)
    call = {k: options.pop(k) for k in ("need_weights", "average_attn_weights") if k in options}
    m = nn.MultiheadAttention(8, 2, dropout=p, batch_first=batch_first, **options)
    m.train(train)
    kd, vd = options.get("kdim") or 8, options.get("vdim") or 8

    def made(length, width):
        if unbatched:
            return torch.randn(length, width)
        return torch.randn(*((3, length, width) if batch_first else (length, 3, width)))

    q = made(5, 8).requires_grad_()
    if cross == "same":
        k = v = q
    else:
        k = made(6, kd)
        v = k if cross == "memory" else made(6, vd)
    torch.manual_seed(2)
    y, w = m(q, k, v, attn_mask=mask, key_padding_mask=padding, **call)
    (weighted(y) + (weighted(w) if w is not None else 0)).backward()
    return [y, w, q.grad, parameters(m)]


for batch_first, cross, weights in itertools.product(
    (False, True), ("same", "memory", "three"), (True, False)
):
    s = 5 if cross == "same" else 6
    pad = torch.zeros(3, s, dtype=torch.bool)
    pad[0, 3:] = True
    pad[2, 1:] = True
    mask = torch.randn(5, s).masked_fill(torch.randn(5, s) > 1, -INF)
    common = {"batch_first": batch_first, "cross": cross, "need_weights": weights}
    key = f"{batch_first} {cross} {weights}"
    case(f"mha {key}", lambda: multihead(**common))
    case(f"mha {key} padding", lambda: multihead(padding=pad, **common))
    case(f"mha {key} mask", lambda: multihead(mask=mask, **common))
    case(f"mha {key} both", lambda: multihead(mask=mask > 0.9, padding=pad, **common))
    case(f"mha {key} heads", lambda: multihead(mask=torch.zeros(6, 5, s), **common))
    case(f"mha {key} kv", lambda: multihead(add_bias_kv=True, add_zero_attn=True, padding=pad,
                                            mask=mask, **common))  # fmt: skip
    case(f"mha {key} zero", lambda: multihead(add_zero_attn=True, **common))
    case(f"mha {key} dropout", lambda: multihead(train=True, p=0.3, **common))
    case(f"mha {key} no bias", lambda: multihead(bias=False, **common))
case("mha unbatched", lambda: multihead(unbatched=True))
case("mha unbatched padding", lambda: multihead(
    unbatched=True, padding=torch.tensor([False, False, True, False, True])))  # fmt: skip
case("mha unbatched mask", lambda: multihead(unbatched=True, mask=torch.zeros(2, 5, 5)))
case("mha unbatched first", lambda: multihead(unbatched=True, batch_first=True))
permuted = torch.ones(4, 3, 8).transpose(0, 1)
torch.manual_seed(1)
case("dropout in memory's order", lambda: F.dropout(permuted, 0.5))
case("dropout of channels", lambda: F.dropout(torch.ones(3, 8, 4, 2).permute(0, 3, 1, 2), 0.5))
case("dropout of a part", lambda: F.dropout(torch.ones(4, 16)[:, ::2], 0.5))
case("mha dims", lambda: multihead(cross="three", kdim=4, vdim=6))
case("mha dims kv", lambda: multihead(cross="three", kdim=4, vdim=6, add_bias_kv=True))
case("mha heads' weights", lambda: multihead(average_attn_weights=False))
case("mha text", lambda: str(nn.MultiheadAttention(8, 2, kdim=3)))
case("mha names", lambda: list(nn.MultiheadAttention(8, 2, kdim=3, add_bias_kv=True).state_dict()))
case("mha bad heads", lambda: nn.MultiheadAttention(8, 3))
case("mha bad sizes", lambda: nn.MultiheadAttention(0, 3))
layer = nn.MultiheadAttention(8, 2)
y = torch.randn(5, 2, 8)
case("bad hint", lambda: layer(y, y, y, is_causal=True))
case("bad 2d mask", lambda: layer(y, y, y, attn_mask=torch.zeros(4, 4)))
case("bad 3d mask", lambda: layer(y, y, y, attn_mask=torch.zeros(3, 5, 5)))
case("bad 1d mask", lambda: layer(y, y, y, attn_mask=torch.zeros(5)))
case("bad mask dtype", lambda: layer(y, y, y, attn_mask=torch.zeros(5, 5).long()))
case("bad padding", lambda: layer(y, y, y, key_padding_mask=torch.zeros(2, 4)))
case("bad padding 3d", lambda: layer(y, y, y, key_padding_mask=torch.zeros(2, 5, 1)))
case("bad key", lambda: layer(y, y[0], y))
case("bad value", lambda: layer(y, y, y[:3]))
case("bad features", lambda: layer(y[..., :7], y, y))
case("bad query", lambda: layer(y[0, 0], y, y))
case("bad unbatched", lambda: layer(y[0], y, y))
case("bad unbatched mask", lambda: layer(y[0], y[0], y[0], attn_mask=torch.zeros(1, 4, 4)))


def function_form():
    torch.manual_seed(4)
    q, k, v = torch.randn(3, 2, 8), torch.randn(4, 2, 8), torch.randn(4, 2, 8)
    w = [torch.randn(8, 8) for _ in range(4)]
    fixed = torch.randn(4, 6, 4)
    first = F.multi_head_attention_forward(
        q, k, v, 8, 2, None, torch.randn(24), None, None, False, 0.0, w[3], None,
        use_separate_proj_weight=True, q_proj_weight=w[0], k_proj_weight=w[1], v_proj_weight=w[2],
    )  # fmt: skip
    second = F.multi_head_attention_forward(
        q, k, v, 8, 2, torch.randn(24, 8), None, None, None, True, 0.0, w[3], torch.randn(8),
        static_k=fixed, static_v=fixed,
    )  # fmt: skip
    return [*first, *second]


case("function", function_form)

# ---- transformers


def encoder(train=False, layers=2, mask=None, padding=None, grad=True, causal=None, **options):
    torch.manual_seed(6)
    layer = nn.TransformerEncoderLayer(8, 2, 16, **options)
    norm = nn.LayerNorm(8) if options.get("norm_first") else None
    stack = nn.TransformerEncoder(layer, layers, norm)
    stack.train(train)
    x = torch.randn(3, 5, 8) if options.get("batch_first") else torch.randn(5, 3, 8)
    torch.manual_seed(7)
    if not grad:
        with torch.no_grad():
            return stack(x, mask=mask, src_key_padding_mask=padding, is_causal=causal)
    x.requires_grad_()
    y = stack(x, mask=mask, src_key_padding_mask=padding, is_causal=causal)
    weighted(y).backward()
    return [y, x.grad, parameters(stack)]


square = nn.Transformer.generate_square_subsequent_mask(5)
pad = torch.zeros(3, 5, dtype=torch.bool)
pad[0, 3:] = True
pad[2, 1:] = True
gap = torch.zeros(3, 5, dtype=torch.bool)
gap[1, 2] = True
for batch_first, norm_first, activation in itertools.product(
    (False, True), (False, True), ("relu", "gelu")
):
    common = {"batch_first": batch_first, "norm_first": norm_first, "activation": activation}
    key = f"encoder {batch_first} {norm_first} {activation}"
    case(key, lambda: encoder(**common))
    case(f"{key} train", lambda: encoder(train=True, **common))
    case(f"{key} train, no dropout", lambda: encoder(train=True, dropout=0.0, **common))
    case(f"{key} causal", lambda: encoder(mask=square, **common))
    case(f"{key} hint", lambda: encoder(mask=square, causal=True, **common))
    case(f"{key} padding", lambda: encoder(padding=pad, **common))
    case(f"{key} padding inference", lambda: encoder(padding=pad, grad=False, **common))
    case(f"{key} gap inference", lambda: encoder(padding=gap, grad=False, **common))
    case(f"{key} both", lambda: encoder(padding=pad, mask=square, **common))
case("encoder no bias", lambda: encoder(bias=False, train=True))
case("encoder callable", lambda: encoder(activation=torch.tanh))
case("encoder eps", lambda: encoder(layer_norm_eps=0.1))
case("encoder activation", lambda: nn.TransformerEncoderLayer(8, 2, activation="silly"))
case("encoder text", lambda: str(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)))
case("subsequent", lambda: square)


def warned(**options):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        nn.TransformerEncoder(nn.TransformerEncoderLayer(**options), 1)
    return [str(w.message) for w in found]


case("warned length first", lambda: warned(d_model=8, nhead=2))
case("warned norm first", lambda: warned(d_model=8, nhead=2, batch_first=True, norm_first=True))
case("warned odd", lambda: warned(d_model=9, nhead=3, batch_first=True))
case("not warned", lambda: warned(d_model=8, nhead=2, batch_first=True))


def transformer(train=False, masks=False, **options):
    torch.manual_seed(8)
    m = nn.Transformer(8, 2, 2, 2, 16, **options)
    m.train(train)
    first = options.get("batch_first")
    src = torch.randn(3, 6, 8) if first else torch.randn(6, 3, 8)
    tgt = torch.randn(3, 5, 8) if first else torch.randn(5, 3, 8)
    src.requires_grad_()
    extra = {}
    if masks:
        padding = torch.zeros(3, 6, dtype=torch.bool)
        padding[1, 4:] = True
        extra = {
            "tgt_mask": square, "src_key_padding_mask": padding,
            "memory_key_padding_mask": padding, "memory_mask": torch.zeros(5, 6),
        }  # fmt: skip
    torch.manual_seed(9)
    y = m(src, tgt, **extra)
    weighted(y).backward()
    return [y, src.grad, parameters(m)]


for train, masks in itertools.product((False, True), (False, True)):
    case(f"transformer {train} {masks}", lambda: transformer(train, masks))
    case(f"transformer first {train} {masks}", lambda: transformer(
        train, masks, batch_first=True, norm_first=True))  # fmt: skip
small = nn.Transformer(8, 2, 1, 1, 16)
case("transformer text", lambda: str(small))
case("transformer names", lambda: list(small.state_dict()))
case("bad batch", lambda: small(torch.randn(5, 2, 8), torch.randn(5, 3, 8)))
case("bad width", lambda: small(torch.randn(5, 2, 8), torch.randn(5, 2, 7)))
case("unbatched", lambda: list(small(torch.randn(5, 8), torch.randn(4, 8)).shape))


def trained():
    torch.manual_seed(10)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x, goal = torch.randn(4, 7, 16), torch.randn(4, 7, 16)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, mask=nn.Transformer.generate_square_subsequent_mask(7)), goal)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    other = copy.deepcopy(model).eval()
    return [losses, other(x)]


case("training", trained)
with open(sys.argv[1], "w") as file:
    json.dump(RESULTS, file)
