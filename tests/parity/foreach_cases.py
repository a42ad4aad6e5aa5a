"""One program for both engines: torch._foreach_*; writes JSON of what each call gives.

python foreach_cases.py OUT.json            (PyTorch)
diptych run foreach_cases.py OUT.json       (diptych)
"""

# ruff: noqa: B023, E501 (a table of calls, one a line)

from __future__ import annotations

import json
import sys

import torch

OUT: dict[str, str] = {}


def show(v):
    if isinstance(v, (list, tuple)):
        return type(v).__name__ + "[" + ", ".join(show(x) for x in v) + "]"
    if isinstance(v, torch.Tensor):
        return f"{str(v.dtype).split('.')[-1]}{[round(float(x), 4) for x in v.flatten().tolist()]}"
    return repr(v)


def t(n, f):
    try:
        OUT[n] = show(f())
    except Exception as error:
        OUT[n] = type(error).__name__


def fresh():
    return [torch.tensor([0.25, 0.5]), torch.tensor([[0.75], [0.1]]), torch.tensor(0.9)]


b = [torch.tensor([2.0, 3.0]), torch.tensor([[1.0], [4.0]]), torch.tensor(5.0)]
for n in "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc".split():
    t(n, lambda: getattr(torch, "_foreach_" + n)(fresh()))
    t(n + "_", lambda: getattr(torch, "_foreach_" + n + "_")(fresh()))
for n in "add sub mul div maximum minimum clamp_max clamp_min pow".split():
    for tail in ("", "_"):
        f = getattr(torch, "_foreach_" + n + tail)
        for an, a in dict(
            list=b,
            num=0.5,
            int=2,
            nums=[0.1, 2, 3.0],
            short=[1.0],
            shortl=b[:1],
            tensor=torch.tensor(0.5),
            none=None,
        ).items():
            if an == "tensor" and n in ("maximum", "minimum", "clamp_max", "clamp_min", "pow"):
                continue
            t(f"{n}{tail} {an}", lambda: f(fresh(), a))
        if n in ("add", "sub"):
            t(n + tail + " alpha", lambda: f(fresh(), b, alpha=2))
            t(n + tail + " alpha num", lambda: f(fresh(), 2, alpha=2))
        t(n + tail + " empty", lambda: f([], 1))
        t(n + tail + " T", lambda: f(b[0], 1))
        t(n + tail + " bad", lambda: f([1, 2], 1))
t("rpow", lambda: torch._foreach_pow(2.0, b))
t("ints", lambda: torch._foreach_mul([torch.tensor([1, 2])], 1.5))
t("ints_", lambda: torch._foreach_mul_([torch.tensor([1, 2])], 1.5))
for n in ("addcdiv", "addcmul"):
    for tail in ("", "_"):
        f = getattr(torch, "_foreach_" + n + tail)
        t(n + tail, lambda: f(fresh(), b, b))
        t(n + tail + "v", lambda: f(fresh(), b, b, value=0.5))
        t(n + tail + "p", lambda: f(fresh(), b, b, 0.5))
        t(n + tail + "l", lambda: f(fresh(), b, b, [1.0, 2.0, 3.0]))
        t(n + tail + "t", lambda: f(fresh(), b, b, torch.tensor([1.0, 2.0, 3.0])))
        t(n + tail + "bad", lambda: f(fresh(), b, b[:1]))
        t(n + tail + "badl", lambda: f(fresh(), b, b, [1.0]))
        t(n + tail + "scalars", lambda: f(fresh(), b, b, scalars=[1.0, 2.0, 3.0]))
for tail in ("", "_"):
    f = getattr(torch, "_foreach_lerp" + tail)
    t("lerp" + tail, lambda: f(fresh(), b, 0.25))
    t("lerpl" + tail, lambda: f(fresh(), b, b))
    t("lerpn" + tail, lambda: f(fresh(), b, [0.1, 0.2, 0.3]))
    t("lerpk" + tail, lambda: f(fresh(), b, weight=0.3))
for o in (0, 1, 2, 3, float("inf")):
    t(f"norm{o}", lambda: torch._foreach_norm(fresh(), o))
t("normd", lambda: torch._foreach_norm(fresh(), 2, dtype=torch.float64))
t("powsum", lambda: torch._foreach_powsum(fresh(), 2))
t("powsum3", lambda: torch._foreach_powsum([torch.tensor([-1.0, 2.0])], 3, dtype=torch.float64))
t("max", lambda: torch._foreach_max(fresh()))
t("clone", lambda: torch._foreach_clone(fresh()))


def cp():
    x = fresh()
    r = torch._foreach_copy_(x, b)
    return [r is x, x]


t("copy", cp)


def zz():
    x = fresh()
    r = torch._foreach_zero_(x)
    return [r is x, x]


t("zero", zz)


def al():
    x = fresh()
    r = torch._foreach_add_(x, 1)
    return [r is x, r[0] is x[0]]


t("alias", al)


def tu():
    x = tuple(fresh())
    r = torch._foreach_add_(x, 1)
    return [r is x, type(r).__name__]


t("tuple", tu)
t("mm", lambda: torch._foreach_mm([torch.ones(2, 2)], [torch.ones(2, 3)]))


def gr():
    x = [y.requires_grad_() for y in fresh()]
    sum(y.sum() for y in torch._foreach_mul(x, b)).backward()
    return [y.grad for y in x]


t("grad", gr)

with open(sys.argv[1], "w") as out:
    json.dump(OUT, out)
