"""One program for both engines: parametrize, weight norms, pruning, packing, clipping; prints."""

# ruff: noqa: E401, E402, E501, E701, E702, E731, F403, F405, I001, N806 (a transcript of small steps)

from __future__ import annotations

import pickle
import torch, copy
from torch import nn
import torch.nn.utils.parametrize as P
from torch.nn.utils import (
    parametrizations as Z,
    prune,
    weight_norm,
    spectral_norm,
    remove_weight_norm,
    remove_spectral_norm,
)
import torch.nn.utils as U


def r(x):
    return (
        torch.round(x.detach().double() * 1e4).div(1e4).add(0.0).tolist()
        if isinstance(x, torch.Tensor)
        else x
    )


def err(f):
    try:
        x = f()
        print("ok", type(x).__name__)
    except Exception as e:
        print(
            [c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins"][0], "|", str(e)[:80]
        )


torch.manual_seed(3)


class Sym(nn.Module):
    def forward(s, X):
        return X.triu() + X.triu(1).T

    def right_inverse(s, A):
        return A.triu()


class Dbl(nn.Module):
    def forward(s, X):
        return 2 * X


class Two(nn.Module):
    def forward(s, a, b):
        return a + b

    def right_inverse(s, x):
        return x / 2, x / 2


class Shape(nn.Module):
    def forward(s, X):
        return X[:1]


m = nn.Linear(3, 3)
P.register_parametrization(m, "weight", Sym())
print(m)
print(list(m.state_dict()), r(m.weight))
P.register_parametrization(m, "weight", Dbl())
print(r(m.weight), list(dict(m.named_parameters())))
m(torch.ones(2, 3)).sum().backward()
print(r(m.parametrizations.weight.original.grad))
print(
    P.is_parametrized(m),
    P.is_parametrized(m, "bias"),
    type(m).__name__,
    P.type_before_parametrizations(m).__name__,
)
with P.cached():
    print(m.weight is m.weight)
print(m.weight is m.weight)
err(lambda: setattr(m, "weight", torch.ones(3, 3)))
m2 = copy.deepcopy(m)
print(type(m2).__name__, r(m2.weight) == r(m.weight))
P.remove_parametrizations(m, "weight")
print(m, r(m.weight), type(m).__name__, isinstance(m.weight, nn.Parameter))
m = nn.Linear(3, 3)
P.register_parametrization(m, "weight", Sym())
m.weight = torch.arange(9.0).reshape(3, 3)
print(r(m.weight))
P.remove_parametrizations(m, "weight", leave_parametrized=False)
print(r(m.weight))
m = nn.Linear(3, 3)
P.register_parametrization(m, "weight", Two())
print(list(m.state_dict()), r(m.weight))
m.weight = torch.ones(3, 3)
print(r(m.parametrizations.weight.original0))
err(lambda: P.remove_parametrizations(m, "weight", leave_parametrized=False))
P.remove_parametrizations(m, "weight")
print(r(m.weight), m.weight.requires_grad)
err(lambda: P.register_parametrization(m, "weight", Shape()))
err(lambda: P.register_parametrization(m, "nope", Dbl()))
err(lambda: P.remove_parametrizations(m, "bias"))
m = nn.Linear(3, 3)
P.register_parametrization(m, "weight", Dbl())
err(lambda: pickle.dumps(m))
m.load_state_dict(m.state_dict())
n = nn.Linear(3, 3)
P.transfer_parametrizations_and_params(m, n)
print(n, r(n.weight) == r(m.weight))
for dim in (0, 1, None, -1):
    for f in (Z.weight_norm, weight_norm):
        torch.manual_seed(0)
        m = f(nn.Linear(4, 3), dim=dim)
        print(m, {k: list(v.shape) for k, v in m.state_dict().items()})
        y = m(torch.ones(2, 4))
        y.sum().backward()
        print(r(y), [r(p.grad) for p in m.parameters()])
old = weight_norm(nn.Linear(4, 3))
new = Z.weight_norm(nn.Linear(4, 3))
new.load_state_dict(old.state_dict())
print(r(new.weight) == r(old.weight))
remove_weight_norm(old)
print(old, list(old.state_dict()))
err(lambda: remove_weight_norm(old))
P.remove_parametrizations(new, "weight")
print(list(new.state_dict()))
for f in (Z.spectral_norm, spectral_norm):
    torch.manual_seed(0)
    m = f(nn.Linear(4, 3))
    print(m, list(m.state_dict()))
    y = m(torch.ones(2, 4))
    y.sum().backward()
    print(r(y), [r(p.grad) for p in m.parameters()])
    m(torch.ones(2, 4))
    m.eval()
    print(r(m(torch.ones(1, 4))))
    sd = m.state_dict()
    m.load_state_dict(sd)
    print({k: r(v) for k, v in sd.items()})
remove_spectral_norm(m)
print(m, list(m.state_dict()))
err(lambda: remove_spectral_norm(m))
err(lambda: Z.spectral_norm(nn.Linear(2, 2), n_power_iterations=0))
err(lambda: Z.spectral_norm(nn.Linear(2, 2), "x"))
m = Z.spectral_norm(nn.Linear(2, 2), "bias")
print(m.bias.norm().item() > 0.99)
for shape in ((4, 4), (5, 3), (3, 5)):
    for om in ("matrix_exp", "cayley", "householder"):
        for tr in (True, False):
            torch.manual_seed(1)
            m = Z.orthogonal(nn.Linear(*shape), orthogonal_map=om, use_trivialization=tr)
            Q = m.weight
            Q = Q if shape[0] <= shape[1] else Q.T
            print(
                shape,
                om,
                tr,
                list(m.state_dict()),
                r((Q.T @ Q - torch.eye(Q.shape[1])).abs().max()),
                r(Q) if (om == "householder" and not tr) else "",
            )
            m(torch.ones(1, shape[0])).sum().backward()
            print(
                m.parametrizations.weight.original.grad.shape,
                r(m.parametrizations.weight.original.grad) if not tr else "",
            )
err(
    lambda: setattr(Z.orthogonal(nn.Linear(3, 3), use_trivialization=False), "weight", torch.eye(3))
)
m = Z.orthogonal(nn.Linear(3, 3))
m.weight = torch.eye(3)
print(r(m.weight))
err(lambda: Z.orthogonal(nn.Linear(3, 3), "bias"))
err(lambda: Z.orthogonal(nn.Linear(3, 3), orthogonal_map="x"))
# prune
for f, a in (
    (prune.l1_unstructured, dict(amount=0.4)),
    (prune.l1_unstructured, dict(amount=3)),
    (prune.random_unstructured, dict(amount=0.5)),
    (prune.ln_structured, dict(amount=0.5, n=2, dim=0)),
    (prune.ln_structured, dict(amount=1, n=1, dim=1)),
    (prune.random_structured, dict(amount=1, dim=1)),
    (prune.identity, {}),
    (prune.custom_from_mask, dict(mask=torch.eye(3, 4))),
):
    torch.manual_seed(5)
    m = nn.Linear(4, 3)
    f(m, "weight", **a)
    print(
        f.__name__,
        r(m.weight),
        list(m.state_dict()),
        [n for n, _ in m.named_parameters()],
        prune.is_pruned(m),
    )
    y = m(torch.ones(1, 4))
    y.sum().backward()
    print(r(y), r(m.weight_orig.grad))
    prune.l1_unstructured(m, "weight", amount=2)
    print(r(m.weight_mask))
    prune.ln_structured(m, "weight", amount=1, n=2, dim=0)
    print(r(m.weight_mask), [type(h).__name__ for h in m._forward_pre_hooks.values()])
    prune.remove(m, "weight")
    print(r(m.weight), list(m.state_dict()), prune.is_pruned(m), isinstance(m.weight, nn.Parameter))
a, b = nn.Linear(3, 3), nn.Linear(3, 2)
prune.global_unstructured(
    [(a, "weight"), (b, "weight"), (a, "bias")], pruning_method=prune.L1Unstructured, amount=0.3
)
print(r(a.weight_mask), r(b.weight_mask), r(a.bias_mask))
err(lambda: prune.l1_unstructured(a, "bias", amount=1.5))
err(lambda: prune.l1_unstructured(a, "bias", amount=-1))
err(lambda: prune.l1_unstructured(a, "bias", amount=100))
err(lambda: prune.remove(nn.Linear(1, 1), "weight"))
err(lambda: prune.ln_structured(nn.Linear(2, 2), "bias", 1, 2, 0))
err(lambda: prune.l1_unstructured(a, "bias", amount="x"))
print(r(prune.L1Unstructured(2).prune(torch.tensor([3.0, 1.0, -2.0, 4.0]))))
# stateless
m = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
d = {k: torch.ones_like(v) for k, v in m.state_dict().items()}
from torch.nn.utils.stateless import functional_call

print(
    r(functional_call(m, d, torch.randn(4, 2))),
    r(m[0].weight) != r(d["0.weight"]),
    d["1.num_batches_tracked"],
    m[1].num_batches_tracked,
    r(d["1.running_mean"]),
    r(m[1].running_mean),
)
err(lambda: functional_call(m, {"x": torch.ones(1)}, torch.randn(4, 2)))
err(lambda: functional_call(m, {"0.weight": torch.ones(2, 2)}, torch.randn(4, 2), strict=True))
# fusion
torch.manual_seed(0)
l, bn = nn.Linear(3, 2), nn.BatchNorm1d(2)
bn(torch.randn(5, 2))
l.eval()
bn.eval()
x = torch.randn(4, 3)
f = U.fuse_linear_bn_eval(l, bn)
print((f(x) - bn(l(x))).abs().max() < 1e-6, f)
err(lambda: U.fuse_linear_bn_eval(l.train(), bn))
torch.manual_seed(0)
k = U.skip_init(nn.Linear, 2, 3)
print(k, torch.rand(1))
err(lambda: U.skip_init(3))
err(lambda: U.skip_init(nn.ReLU))
# clip
torch.manual_seed(0)
ps = [
    torch.randn(3, 4, requires_grad=True),
    torch.randn(2, requires_grad=True),
    torch.randn(1, requires_grad=True),
]
for nt in (2, 1, float("inf"), 0.5, 0, float("-inf"), 3):
    for p in ps[:2]:
        p.grad = torch.arange(p.numel()).reshape(p.shape).float() - 1
    print(nt, r(U.clip_grad_norm_(ps, 1.0, nt)), [r(p.grad) for p in ps[:2]])
U.clip_grad_value_(ps, 0.1)
print([r(p.grad) for p in ps[:2]])
print(r(U.get_total_norm([p.grad for p in ps[:2]])))
ps[0].grad[0, 0] = float("nan")
err(lambda: U.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True))
print(U.clip_grad_norm_(ps, 1.0), U.clip_grad_norm_([], 1.0), U.clip_grad_norm_(ps[1], 1.0))
v = U.parameters_to_vector(ps)
print(v.shape)
U.vector_to_parameters(torch.arange(15.0), ps)
print([r(p) for p in ps])

# ---- packing
from torch.nn.utils.rnn import (
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

torch.manual_seed(0)
for bf in (False, True):
    for es, lens in ((True, [4, 3, 1]), (False, [2, 4, 1]), (True, [4, 4, 4])):
        x = torch.randn(*((3, 4) if bf else (4, 3)), 2, requires_grad=True)
        p = pack_padded_sequence(
            x, torch.tensor(lens) if es else lens, batch_first=bf, enforce_sorted=es
        )
        print(p.data.shape, p.batch_sizes, p.sorted_indices, p.unsorted_indices, r(p.data.sum()))
        y, l = pad_packed_sequence(p, batch_first=bf, padding_value=-1.0, total_length=6)
        print(y.shape, l, round((y * torch.arange(y.numel()).reshape(y.shape)).sum().item(), 2))
        (y * torch.arange(y.numel()).reshape(y.shape)).sum().backward()
        print(x.grad.tolist())
        print([u.shape for u in unpack_sequence(p)])
s = [torch.arange(3.0, requires_grad=True), torch.arange(1.0), torch.arange(2.0)]
for bf in (0, 1):
    for side in ("left", "right"):
        print(pad_sequence(s, bool(bf), 9.0, side).tolist())
print([u.tolist() for u in unpad_sequence(pad_sequence(s), torch.tensor([3, 1, 2]))])
print([None if f is None else f.tolist() for f in pack_sequence(s, enforce_sorted=False)])
print(pack_sequence([torch.ones(2, 2), torch.ones(1, 2)]).batch_sizes)
err(lambda: pack_sequence([torch.ones(1), torch.ones(2)]))
err(lambda: pad_sequence([]))
err(lambda: pad_sequence(3))
err(lambda: pack_padded_sequence(torch.ones(3, 2, 1), [3, 0]))
err(lambda: pack_padded_sequence(torch.ones(3, 2, 1), [3]))
err(lambda: pad_packed_sequence(p, total_length=1))
print(pad_sequence([torch.tensor([1, 2]), torch.tensor([3])]))
print(type(p).__name__, p.double().data.dtype, p.to(torch.float64).data.dtype, isinstance(p, tuple))
