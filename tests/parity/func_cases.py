"""torch.func, vmap and checkpoint: calls whose results must be PyTorch's, as functions of torch."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

Case = Callable[[Any], Any]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def draw(torch: Any, *shape: int, seed: int = 0) -> Any:
    """The same numbers for both: from a generator of the standard library's kind."""
    count = 1
    for extent in shape:
        count *= extent
    state = seed * 7919 + 12345
    values = []
    for _ in range(count):
        state = (1103515245 * state + 12345) % (1 << 31)
        values.append(state / (1 << 30) - 1.0)
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


def filled(torch: Any, model: Any, seed: int = 1) -> Any:
    """The model with parameters that both sides agree on."""
    with torch.no_grad():
        for place, p in enumerate(model.parameters()):
            p.copy_(draw(torch, *p.shape, seed=seed * 31 + place) * 0.5)
    return model


# ---- one function for each operation: vmap over both, the first, the second operand

UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda t, x: x.sum(),
    "sum_axis": lambda t, x: x.sum(1),
    "mean": lambda t, x: x.mean(0),
    "softmax": lambda t, x: x.softmax(-1),
    "log_softmax": lambda t, x: x.log_softmax(0),
    "logsumexp": lambda t, x: x.logsumexp(1),
    "var": lambda t, x: x.var(1),
    "std": lambda t, x: x.std(),
    "norm": lambda t, x: x.norm(),
    "max": lambda t, x: x.max(1)[0],
    "argmax": lambda t, x: x.argmax(1),
    "sort": lambda t, x: x.sort(1)[0],
    "topk": lambda t, x: x.topk(2, 1)[0],
    "cumsum": lambda t, x: x.cumsum(1),
    "prod": lambda t, x: x.prod(1),
    "amax": lambda t, x: x.amax((0, 1)),
    "transpose": lambda t, x: x.t(),
    "reshape": lambda t, x: x.reshape(-1),
    "view": lambda t, x: x.view(2, 6),
    "permute": lambda t, x: x.permute(1, 0),
    "unsqueeze": lambda t, x: x.unsqueeze(1),
    "flatten": lambda t, x: x.flatten(),
    "expand": lambda t, x: x.unsqueeze(0).expand(3, -1, -1),
    "repeat": lambda t, x: x.repeat(2, 1),
    "index_int": lambda t, x: x[1],
    "index_slice": lambda t, x: x[1:, ::2],
    "index_none": lambda t, x: x[None, :, None],
    "index_list": lambda t, x: x[[0, 2]],
    "index_pair": lambda t, x: x[[0, 2], [1, 3]],
    "index_last": lambda t, x: x[..., -1],
    "index_cols": lambda t, x: x[:, [0, 2, 1]],
    "flip": lambda t, x: x.flip(0),
    "roll": lambda t, x: x.roll(1, 0),
    "diag": lambda t, x: x.diagonal(),
    "tril": lambda t, x: x.tril(),
    "triu": lambda t, x: x.triu(1),
    "chunk": lambda t, x: x.chunk(2, 1)[1],
    "split": lambda t, x: x.split([1, 3], 1)[1],
    "unbind": lambda t, x: x.unbind(1)[2],
    "pad": lambda t, x: t.nn.functional.pad(x, (1, 2)),
    "clamp": lambda t, x: x.clamp(-0.5, 0.5),
    "relu": lambda t, x: x.relu(),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "silu": lambda t, x: t.nn.functional.silu(x),
    "softplus": lambda t, x: t.nn.functional.softplus(x),
    "elu": lambda t, x: t.nn.functional.elu(x),
    "glu": lambda t, x: t.nn.functional.glu(x, 1),
    "leaky": lambda t, x: t.nn.functional.leaky_relu(x),
    "sigmoid": lambda t, x: x.sigmoid(),
    "tanh": lambda t, x: x.tanh(),
    "exp": lambda t, x: x.exp(),
    "pow": lambda t, x: x**3,
    "layer_norm": lambda t, x: t.nn.functional.layer_norm(x, (4,)),
    "rms_norm": lambda t, x: t.nn.functional.rms_norm(x, (4,)),
    "normalize": lambda t, x: t.nn.functional.normalize(x, dim=1),
    "outer": lambda t, x: t.outer(x[0], x[1]),
    "trace": lambda t, x: x[:, :3].trace(),
    "where": lambda t, x: t.where(x > 0, x, x * 2),
    "cat": lambda t, x: t.cat([x, x * 2], 1),
    "stack": lambda t, x: t.stack([x, -x]),
    "einsum": lambda t, x: t.einsum("ij,kj->ik", x, x),
    "inv": lambda t, x: t.linalg.inv(x @ x.t() + 2 * t.eye(3)),
    "cholesky": lambda t, x: t.linalg.cholesky(x @ x.t() + 2 * t.eye(3)),
    "det": lambda t, x: t.linalg.det(x[:, :3]),
    "solve": lambda t, x: t.linalg.solve(x[:, :3] + 2 * t.eye(3), x[:, 3]),
    "conv1d": lambda t, x: t.nn.functional.conv1d(x[None], t.ones(2, 3, 2)),
    "max_pool": lambda t, x: t.nn.functional.max_pool1d(x[None], 2),
    "avg_pool": lambda t, x: t.nn.functional.avg_pool2d(x[None], 2),
    "adaptive": lambda t, x: t.nn.functional.adaptive_avg_pool2d(x[None], 1),
    "interpolate": lambda t, x: t.nn.functional.interpolate(x[None, None], scale_factor=2),
    "unfold": lambda t, x: x.unfold(1, 2, 1),
    "as_type": lambda t, x: x.double().sum(),
    "group_norm": lambda t, x: t.nn.functional.group_norm(x[None], 3),
    "new_zeros": lambda t, x: x.new_zeros(2) + x[0, 0],
    "ones_like": lambda t, x: t.ones_like(x) * x,
    "in_place": lambda t, x: (x * 1).add_(x).mul_(2),
    "put": lambda t, x: put(x),
    "masked_fill": lambda t, x: x.masked_fill(x > 0, 3.0),
    "narrow": lambda t, x: x.narrow(1, 1, 2),
    "lerp": lambda t, x: t.lerp(x, x * 2, 0.3),
    "addmm": lambda t, x: t.addmm(x[:, :3], x, x.t()),
    "select_scatter": lambda t, x: t.select_scatter(x, x[0] * 2, 0, 1),
    "movedim": lambda t, x: x.movedim(0, 1),
    "squeeze": lambda t, x: x[:1].squeeze(0),
    "pdist": lambda t, x: t.cdist(x, x + 1),
    "count": lambda t, x: (x > 0).sum(),
    "isnan": lambda t, x: t.isnan(x).any(),
    "cumprod": lambda t, x: x.cumprod(0),
    "scalar": lambda t, x: 2 - x[0, 0],
    "complex": lambda t, x: t.fft.rfft(x).abs(),
    "median": lambda t, x: x.median(1)[0],
    "kthvalue": lambda t, x: x.kthvalue(2, 1)[0],
}


def put(x: Any) -> Any:
    y = x.clone()
    y[0] = 5.0
    y[:, 1] += x[:, 0]
    return y


BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda t, a, b: a + b,
    "sub": lambda t, a, b: t.sub(a, b, alpha=2),
    "div": lambda t, a, b: a / (b + 3),
    "maximum": lambda t, a, b: t.maximum(a, b),
    "row": lambda t, a, b: a + b[0],
    "column": lambda t, a, b: a * b[:, :1],
    "matmul": lambda t, a, b: a @ b.t(),
    "mv": lambda t, a, b: a @ b[0],
    "dot": lambda t, a, b: a[0] @ b[0],
    "vm": lambda t, a, b: b[:, 0] @ a,
    "bmm": lambda t, a, b: t.bmm(a[None], b.t()[None]),
    "linear": lambda t, a, b: t.nn.functional.linear(a, b, b[:, 0]),
    "conv2d": lambda t, a, b: t.nn.functional.conv2d(a[None, None], b[None, None, :2, :2]),
    "conv2d_bias": lambda t, a, b: t.nn.functional.conv2d(
        a[None, None], b[None, None, :2, :2], b[0, :1]
    ),
    "conv_transpose": lambda t, a, b: t.nn.functional.conv_transpose2d(
        a[None, None], b[None, None, :2, :2], stride=2
    ),
    "conv_groups": lambda t, a, b: t.nn.functional.conv1d(
        a[None, :2], b[:2, None, :3], groups=2, padding=1
    ),
    "gather": lambda t, a, b: a.gather(1, (b * 2).abs().long()),
    "index_select": lambda t, a, b: a.index_select(1, (b[0] * 2).abs().long()),
    "index": lambda t, a, b: a[(b[:, 0] * 2).abs().long()],
    "index2": lambda t, a, b: a[(b[:, 0] * 2).abs().long(), (b[:, 1] * 3).abs().long()],
    "index_mid": lambda t, a, b: a[None][:, :, (b[0] * 2).abs().long()],
    "index_put": lambda t, a, b: t.index_put(
        a, ((b[:, 0] * 2).abs().long(),), b[0], accumulate=True
    ),
    "index_add": lambda t, a, b: a.index_add(0, (b[:, 0] * 2).abs().long(), b),
    "scatter_add": lambda t, a, b: a.scatter_add(1, (b * 2).abs().long(), b),
    "embedding": lambda t, a, b: t.nn.functional.embedding((b * 2).abs().long(), a),
    "cross_entropy": lambda t, a, b: t.nn.functional.cross_entropy(a, (b[:, 0] * 3).abs().long()),
    "mse": lambda t, a, b: t.nn.functional.mse_loss(a, b),
    "bce": lambda t, a, b: t.nn.functional.binary_cross_entropy_with_logits(a, b),
    "nll": lambda t, a, b: t.nn.functional.nll_loss(a.log_softmax(1), (b[:, 0] * 3).abs().long()),
    "cosine": lambda t, a, b: t.nn.functional.cosine_similarity(a, b),
    "attention": lambda t, a, b: t.nn.functional.scaled_dot_product_attention(
        a[None], b[None], b[None]
    ),
    "where": lambda t, a, b: t.where(a > b, a, b),
    "einsum": lambda t, a, b: t.einsum("ij,kj->ik", a, b),
    "cat": lambda t, a, b: t.cat([a, b], 0),
    "outer": lambda t, a, b: t.outer(a[0], b[0]),
    "cdist": lambda t, a, b: t.cdist(a, b),
    "layer_norm": lambda t, a, b: t.nn.functional.layer_norm(a, (4,), b[0], b[1]),
    "copy": lambda t, a, b: t.zeros_like(a + b).copy_(a + b),
    "searchsorted": lambda t, a, b: t.searchsorted(a.sort(1)[0].contiguous(), b.contiguous()),
    "prelu": lambda t, a, b: t.nn.functional.prelu(a, b[0, :1]),
    "kron": lambda t, a, b: t.kron(a, b),
    "addcmul": lambda t, a, b: t.addcmul(a, b, b),
    "pow": lambda t, a, b: (a.abs() + 0.1) ** b,
}


def _register() -> None:
    for name, f in UNARY.items():
        for axis in (0, 2):
            CASES[f"vmap_{name}_{axis}"] = lambda t, f=f, axis=axis: t.vmap(
                lambda x: f(t, x), in_dims=axis
            )(draw(t, 5, 3, 4).movedim(0, axis).contiguous())
        if name not in ("argmax", "count", "isnan"):
            CASES[f"grad_of_vmap_{name}"] = lambda t, f=f: t.func.grad(
                lambda X: t.vmap(lambda x: f(t, x))(X).pow(2).sum()
            )(draw(t, 5, 3, 4))
            CASES[f"vmap_of_grad_{name}"] = lambda t, f=f: t.vmap(
                t.func.grad(lambda x: f(t, x).pow(2).sum())
            )(draw(t, 5, 3, 4))
    for name, g in BINARY.items():
        for dims in ((0, 0), (0, None), (None, 0), (1, 0)):
            CASES[f"vmap2_{name}_{dims[0]}_{dims[1]}"] = lambda t, g=g, dims=dims: t.vmap(
                lambda a, b: g(t, a, b), in_dims=dims
            )(
                *[
                    draw(t, 3, 4, seed=s) if d is None else draw(t, 5, 3, 4, seed=s).movedim(0, d)
                    for s, d in enumerate(dims)
                ]
            )
        if name != "searchsorted":
            CASES[f"vmap2_of_grad_{name}"] = lambda t, g=g: t.vmap(
                t.func.grad(lambda a, b: g(t, a, b).pow(2).sum()), in_dims=(0, None)
            )(draw(t, 5, 3, 4), draw(t, 3, 4, seed=1))
            CASES[f"grad_of_vmap2_{name}"] = lambda t, g=g: t.func.grad(
                lambda A, b: t.vmap(lambda a: g(t, a, b))(A).pow(2).sum(), argnums=(0, 1)
            )(draw(t, 5, 3, 4), draw(t, 3, 4, seed=1))


_register()


# ---- derivatives


def quadratic(torch: Any) -> Any:
    w = draw(torch, 3, 3, seed=4)
    return lambda x: torch.tanh(w @ x)


@case
def nested_grads(t: Any) -> Any:
    g = t.func.grad
    return [
        g(g(g(lambda x: x**4)))(t.tensor(2.0)),
        g(lambda x: x * g(lambda y: x + y)(t.tensor(1.0)))(t.tensor(1.0)),
        g(lambda x: x * g(lambda y: x * y)(x))(t.tensor(3.0)),
        g(lambda x: g(lambda y: (x * y) ** 2)(x.detach()))(t.tensor(3.0)),
    ]


@case
def jacobians(t: Any) -> Any:
    f, x = quadratic(t), draw(t, 3)
    return [t.func.jacrev(f)(x), t.func.jacfwd(f)(x), t.func.jacrev(f, chunk_size=2)(x)]


@case
def jacobian_of_trees(t: Any) -> Any:
    def f(a: Any, b: Any) -> Any:
        return {"s": a["p"].sin() * b, "m": t.outer(a["p"], b)}

    args = ({"p": draw(t, 3)}, draw(t, 3, seed=1))
    return [t.func.jacrev(f, (0, 1))(*args), t.func.jacfwd(f, (0, 1))(*args)]


@case
def hessians(t: Any) -> Any:
    f, x = quadratic(t), draw(t, 3)
    h = lambda a: f(a).pow(2).sum()  # noqa: E731
    return [
        t.func.hessian(h)(x),
        t.func.jacrev(t.func.jacrev(h))(x),
        t.func.jacfwd(t.func.jacfwd(h))(x),
        t.func.jacrev(t.func.jacfwd(h))(x),
        t.vmap(t.func.hessian(h))(draw(t, 4, 3)),
    ]


@case
def hessian_of_two(t: Any) -> Any:
    return t.func.hessian(lambda a, b: (a.sin() * b**2).sum(), argnums=(0, 1))(
        draw(t, 3), draw(t, 3, seed=2)
    )


@case
def products(t: Any) -> Any:
    f, x, v = quadratic(t), draw(t, 3), draw(t, 3, seed=9)
    out, pull = t.func.vjp(f, x)
    value, push = t.func.linearize(f, x)
    hvp = t.func.jvp(t.func.grad(lambda a: f(a).pow(2).sum()), (x,), (v,))
    return [
        out,
        pull(v),
        t.func.jvp(f, (x,), (v,)),
        value,
        push(v),
        hvp,
        t.vmap(pull)(draw(t, 4, 3)),
        t.vmap(lambda u: t.func.jvp(f, (x,), (u,)))(draw(t, 4, 3)),
    ]


@case
def with_aux(t: Any) -> Any:
    f = lambda x: ((x**2).sum(), x * 3)  # noqa: E731
    x = draw(t, 4)
    return [
        t.func.grad(f, has_aux=True)(x),
        t.func.grad_and_value(f, has_aux=True)(x),
        t.func.vjp(f, x, has_aux=True)[2],
        t.func.jacrev(f, has_aux=True)(x),
        t.func.jacfwd(f, has_aux=True)(x),
        t.func.jvp(f, (x,), (x,), has_aux=True),
    ]


@case
def grad_of_trees(t: Any) -> Any:
    f = lambda p, x: sum((v * x).pow(2).sum() for v in p.values())  # noqa: E731
    return t.func.grad_and_value(f, (0, 1))(
        {"a": draw(t, 3), "b": draw(t, 3, seed=1)}, draw(t, 3, seed=2)
    )


@case
def outside_gradient(t: Any) -> Any:
    w = draw(t, 3).requires_grad_()
    x = draw(t, 3, seed=1).requires_grad_()
    y = t.func.grad(lambda a: (a * w).pow(2).sum())(x).sum()
    y.backward()
    return [y, w.grad, x.grad]


@case
def modes(t: Any) -> Any:
    x = draw(t, 3).requires_grad_()
    with t.no_grad():
        quiet = t.func.grad(lambda a: (a**3).sum())(x)
    inside = t.func.grad(lambda a: (a * (a**2).detach()).sum())(x.detach())
    return [
        quiet,
        quiet.requires_grad,
        inside,
        t.func.grad(lambda a: (a**3).sum())(x).requires_grad,
    ]


# ---- vmap's own arguments


@case
def dims(t: Any) -> Any:
    x = draw(t, 2, 3, 4)
    return [
        t.vmap(lambda a: a * 2, in_dims=1, out_dims=1)(x),
        t.vmap(lambda a: a * 2, -1, -1)(x),
        t.vmap(lambda a: (a, a.sum()), out_dims=(1, 0))(x),
        t.vmap(lambda d: d["a"] + d["b"], in_dims=({"a": 0, "b": None},))({"a": x, "b": x[0]}),
        t.vmap(lambda a: t.ones(2))(x),
        t.vmap(t.vmap(t.dot))(x, x),
        t.vmap(t.dot, (1, None), 0)(draw(t, 3, 2), draw(t, 3)),
        t.vmap(lambda a, k: a * k, (0, None))(x, 3),
        t.vmap(lambda a: a.sum(), chunk_size=2)(draw(t, 5, 3)),
        t.vmap(t.vmap(lambda a, b: a @ b, (0, None)), (None, 0))(draw(t, 4, 3), draw(t, 5, 3, 2)),
        t.vmap(lambda a: a.shape[0] * a)(x),
        t.vmap(lambda a: {"k": a, "l": [a + 1]})(x),
    ]


@case
def randomness(t: Any) -> Any:
    x = draw(t, 4, 3)
    out = []
    for mode in ("same", "different"):
        t.manual_seed(3)
        out.append(t.vmap(lambda a: a + t.rand(3), randomness=mode)(x))
        t.manual_seed(3)
        out.append(t.vmap(lambda a: a + t.randn(3), randomness=mode)(x))
        t.manual_seed(3)
        out.append(t.vmap(lambda a: t.nn.functional.dropout(a, 0.5), randomness=mode)(x))
    return out


# ---- modules


@case
def per_sample_gradients_of_a_cnn(t: Any) -> Any:
    nn = t.nn
    model = filled(
        t,
        nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 2, groups=2),
            nn.GroupNorm(2, 4),
            nn.Flatten(),
            nn.Linear(16, 5),
        ),
    )
    p = {k: v.detach() for k, v in model.named_parameters()}

    def loss(p: Any, x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(t.func.functional_call(model, p, (x[None],)), y[None])

    X, y = draw(t, 6, 1, 8, 8), t.tensor([0, 1, 2, 3, 4, 0])
    return t.vmap(t.func.grad_and_value(loss), in_dims=(None, 0, 0))(p, X, y)


@case
def per_sample_gradients_of_an_mlp(t: Any) -> Any:
    nn = t.nn
    model = filled(t, nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)))
    p = dict(model.named_parameters())
    f = lambda p, x: t.func.functional_call(model, p, (x,)).softmax(-1).pow(2).sum()  # noqa: E731
    return t.vmap(t.func.grad(f), in_dims=(None, 0))(p, draw(t, 6, 4))


@case
def ensemble(t: Any) -> Any:
    nn = t.nn
    models = [
        filled(t, nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)), k)
        for k in range(3)
    ]
    params, buffers = t.func.stack_module_state(models)
    X = draw(t, 5, 1, 4, 4)
    call = lambda p, b, x: t.func.functional_call(models[0], (p, b), (x,))  # noqa: E731
    out = t.vmap(call, in_dims=(0, 0, None))(params, buffers, X)
    out.pow(2).sum().backward()
    each = t.vmap(call)(params, buffers, draw(t, 3, 5, 1, 4, 4))
    return [out, each, {k: v.grad for k, v in params.items()}]


@case
def attention_module(t: Any) -> Any:
    layer = filled(t, t.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True))
    p = dict(layer.named_parameters())
    f = lambda p, x: t.func.functional_call(layer, p, (x[None],)).pow(2).sum()  # noqa: E731
    return t.vmap(t.func.grad(f), in_dims=(None, 0))(p, draw(t, 3, 4, 8))


@case
def neural_tangent_kernel(t: Any) -> Any:
    nn = t.nn
    model = filled(t, nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    p = {k: v.detach() for k, v in model.named_parameters()}
    f = lambda p, x: t.func.functional_call(model, p, (x[None],))[0]  # noqa: E731
    jac = t.vmap(t.func.jacrev(f), (None, 0))(p, draw(t, 4, 3))
    flat = [j.flatten(2) for j in jac.values()]
    return sum(t.einsum("Naf,Mbf->NMab", j, j) for j in flat)


@case
def hessian_of_a_model(t: Any) -> Any:
    nn = t.nn
    model = filled(t, nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
    p = {k: v.detach() for k, v in model.named_parameters()}
    return t.func.hessian(
        lambda p: t.func.functional_call(model, p, (draw(t, 5, 3),)).pow(2).mean()
    )(p)


@case
def maml(t: Any) -> Any:
    w = draw(t, 3)

    def task(w: Any, x: Any, y: Any) -> Any:
        loss = lambda w: ((x @ w).sin() - y).pow(2).mean()  # noqa: E731
        return loss(w - 0.1 * t.func.grad(loss)(w))

    X, Y = draw(t, 4, 5, 3), draw(t, 4, 5, seed=1)
    return t.func.grad(lambda w: t.vmap(task, (None, 0, 0))(w, X, Y).mean())(w)


# ---- checkpoint


@case
def checkpointed(t: Any) -> Any:
    from_utils = t.utils.checkpoint
    out = []
    for reentrant in (True, False):
        nn = t.nn
        model = filled(
            t, nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.GELU(), nn.Linear(8, 3))
        )
        x = draw(t, 6, 4).requires_grad_()
        t.manual_seed(5)
        from_utils.checkpoint(model, x, use_reentrant=reentrant).pow(2).sum().backward()
        out += [x.grad, [p.grad for p in model.parameters()]]
        x = draw(t, 6, 4).requires_grad_()
        from_utils.checkpoint_sequential(
            model.eval(), 2, x, use_reentrant=reentrant
        ).sum().backward()
        out.append(x.grad)
    return out


# ---- both engines run this file


def plain(value: Any) -> Any:
    """A result as what JSON can hold: shapes beside the numbers."""
    if hasattr(value, "detach"):
        value = value.detach()
        if value.is_complex():
            value = value.abs()
        return [list(value.shape), value.double().flatten().tolist()]
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    return value


def main() -> None:
    import torch
    import torch.utils.checkpoint

    warnings.simplefilter("ignore")
    results = {}
    for name, function in CASES.items():
        try:
            results[name] = plain(function(torch))
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__]
            results[name] = {"error": kinds, "text": str(error)}
    with open(sys.argv[1], "w") as out:
        json.dump(results, out)


if __name__ == "__main__":
    main()
