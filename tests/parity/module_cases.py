"""One program for both engines: what modules, hooks and containers do; writes its lines as JSON."""

# ruff: noqa: E501, E702, E731, N801 (dense on purpose: a transcript of small steps)

from __future__ import annotations

import copy
import json
import pickle
import sys
import warnings

import torch
import torch.nn as nn

warnings.simplefilter("ignore")
LINES = []


def show(*values):
    LINES.append(" ".join(str(value) for value in values))


def err(f):
    try:
        r = f()
        show("ok", type(r).__name__)
    except Exception as e:
        show([c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins"][0], str(e))


class M(nn.Module):
    def __init__(s):
        super().__init__()
        s.a = nn.Linear(2, 3)
        s.b = s.a
        s.w = nn.Parameter(torch.ones(2))
        s.register_buffer("buf", torch.zeros(2))
        s.register_buffer("tmp", torch.zeros(1), persistent=False)
        s.none = None
        s.register_parameter("np", None)
        s.bb = nn.Buffer(torch.ones(1))

    def forward(s, x, k=1):
        return s.a(x) * k


m = M()
show(
    [n for n, _ in m.named_parameters()],
    [n for n, _ in m.named_parameters(remove_duplicate=False)],
    [n for n, _ in m.named_buffers()],
    [n for n, _ in m.named_modules()],
    [n for n, _ in m.named_children()],
    list(m.state_dict()),
)
show(m)
err(lambda: setattr(m, "w", torch.ones(1)))
err(lambda: setattr(m, "a", torch.ones(1)))
err(lambda: setattr(m, "buf", 3))
err(lambda: m.xyz)
err(lambda: m.register_buffer("a.b", torch.ones(1)))
err(lambda: m.register_buffer("forward", torch.ones(1)))
err(lambda: m.register_parameter("q", torch.ones(1)))
err(lambda: m.register_parameter("", None))
err(lambda: m.add_module("z", 3))
err(lambda: m.register_buffer(3, None))
err(lambda: m.register_parameter("q2", nn.Parameter(torch.ones(1)) * 2))


class Bad(nn.Module):
    def __init__(s):
        s.w = nn.Parameter(torch.ones(1))


class Bad2(nn.Module):
    def __init__(s):
        s.w = nn.Linear(1, 1)


err(Bad)
err(Bad2)
err(lambda: nn.Module(3))
err(lambda: nn.Module(x=3))
err(lambda: nn.Module()(1))
err(lambda: m.get_parameter("a.weight"))
err(lambda: m.get_parameter("a.q"))
err(lambda: m.get_submodule("a.weight"))
err(lambda: m.get_buffer("buf"))
err(lambda: m.get_buffer("w"))
del m.none
err(lambda: m.none)
del m.w
err(lambda: m.w)
m.buf = None
show(m.buf, list(m.state_dict()))
# hooks
m = M()
log = []
h = m.register_forward_pre_hook(lambda mod, a: log.append(("pre", len(a))))
h2 = m.register_forward_hook(lambda mod, a, o: log.append("post") or o * 2)
h3 = m.register_forward_hook(
    lambda mod, a, k, o: log.append(("kw", list(k))), with_kwargs=True, prepend=True
)
x = torch.ones(1, 2, requires_grad=True)
m.register_full_backward_hook(
    lambda mod, gi, go: (
        log.append(
            (
                "full",
                [None if g is None else tuple(g.shape) for g in gi],
                [tuple(g.shape) for g in go],
            )
        )
        or tuple(None if g is None else g * 10 for g in gi)
    )
)
m.register_full_backward_pre_hook(lambda mod, go: log.append("bpre"))
y = m(x, k=2)
y.sum().backward()
show(log, (x.grad / (m.a.weight.sum(0) * 40)).round().tolist())
h.remove()
h2.remove()
h3.remove()
log.clear()
m(x)
show(log, y.grad_fn is not None)
log.clear()
m(torch.ones(1, 2)).sum().backward()
show(log)
lin = nn.Linear(2, 2)
lin.register_backward_hook(
    lambda mod, gi, go: log.append(("old", [None if g is None else tuple(g.shape) for g in go]))
)
lin(x).sum().backward()
show(log[-1])
err(lambda: lin.register_full_backward_hook(lambda *a: None))
c = nn.Linear(2, 2)
c.register_forward_hook(lambda m, a, o: log.append("always"), always_call=True)
err(lambda: c(torch.ones(3)))
show(log[-1])
g = nn.modules.module.register_module_forward_hook(lambda m, a, o: log.append(type(m).__name__))
log.clear()
nn.Sequential(nn.ReLU())(x)
g.remove()
show(log)
# deepcopy, pickle
m = M()
m2 = copy.deepcopy(m)
show(
    m2.a is m2.b,
    torch.equal(m2.a.weight, m.a.weight),
    m2.a.weight is not m.a.weight,
    type(m2.a.weight).__name__,
)
l = nn.Linear(2, 2)
l2 = pickle.loads(pickle.dumps(l))
show(torch.equal(l.weight, l2.weight), l2)
# to/half/double
m = nn.Linear(2, 2)
p = m.weight
m.double()
show(
    m.weight is p,
    m.weight.dtype,
    m.to(torch.float32).weight.dtype,
    m.half().bias.dtype,
    m.bfloat16().bias.dtype,
    m.float().bias.dtype,
)
err(lambda: m.to(torch.int32))
err(lambda: m.cuda())
err(lambda: m.to("cuda"))
show(m.to("cpu") is m, m.type(torch.float64).weight.dtype)
m.float()
m.requires_grad_(False)
show(m.weight.requires_grad)
m.requires_grad_()
m(torch.ones(1, 2)).sum().backward()
m.zero_grad(set_to_none=False)
show(m.weight.grad)
m.zero_grad()
show(m.weight.grad)
err(lambda: m.train("x"))
show(m.eval().training)
# load
sd = m.state_dict()
err(lambda: m.load_state_dict({"weight": torch.ones(3, 2), "y": 1}))
show(m.load_state_dict({"weight": torch.ones(2, 2)}, strict=False))
err(lambda: m.load_state_dict(3))
err(lambda: m.load_state_dict({"weight": 3, "bias": torch.ones(2)}))
q = torch.full((2, 2), 7.0)
show(
    m.load_state_dict({"weight": q, "bias": torch.ones(2)}, assign=True),
    m.weight.data_ptr() == q.data_ptr(),
    type(m.weight).__name__,
)
m.register_state_dict_pre_hook(lambda mod, pre, kv: log.append(("sdpre", pre, kv)))
m.register_state_dict_post_hook(lambda mod, sd, pre, meta: (sd.pop(pre + "bias"), None)[1])
show(list(m.state_dict()), log[-1])
m.register_load_state_dict_pre_hook(
    lambda mod, sd, pre, *a: sd.update({pre + "bias": torch.zeros(2)})
)
m.register_load_state_dict_post_hook(lambda mod, keys: log.append(keys))
m.load_state_dict(m.state_dict())
show(m.bias, log[-1])


class E(nn.Module):
    def get_extra_state(s):
        return {"v": 1}

    def set_extra_state(s, v):
        log.append(v)


e = nn.Sequential(E())
show(e.state_dict())
e.load_state_dict(e.state_dict())
show(log[-1])
err(lambda: e.load_state_dict({}))
# containers
s = nn.Sequential(nn.ReLU(), nn.Linear(1, 1), nn.Tanh())
show(s[1:], s[-1], len(s))
s.insert(1, nn.GELU())
s.append(nn.ELU())
del s[0]
show(s)
err(lambda: s[9])
show(s.pop(0))
show(s + nn.Sequential(nn.ReLU()))
show(len(s * 2))
s[0] = nn.Mish()
show(s)
ml = nn.ModuleList([nn.ReLU()])
ml.extend([nn.Tanh()])
ml.insert(0, nn.ELU())
ml += [nn.GELU()]
show(ml, ml[-1], [type(z).__name__ for z in ml[1:]])
err(lambda: ml[7])
err(lambda: ml.append(3))
err(lambda: ml.extend(3))
err(lambda: ml(1))
md = nn.ModuleDict([("a", nn.ReLU()), ["b", nn.Tanh()]])
show(md, "a" in md, list(md.items())[0][0])
md.pop("a")
err(lambda: md["zz"])
err(lambda: nn.ModuleDict(3))
err(lambda: md.update([[1]]))
pl = nn.ParameterList([torch.ones(2)])
pl.append(nn.Parameter(torch.ones(1)))
show(pl, len(pl), [tuple(p.shape) for p in pl], len(pl[:1]))
err(lambda: pl(1))
err(lambda: pl.extend(torch.ones(1)))
pd = nn.ParameterDict({"x": torch.ones(1)})
pd["y"] = nn.Parameter(torch.ones(2))
show(pd, sorted(pd.keys()), "x" in pd, len(pd | {"z": torch.ones(1)}), pd.get("q"))
err(lambda: pd[3])
pd.pop("x")
show(list(pd))
err(lambda: nn.Embedding(3, 2, padding_idx=7))
err(lambda: nn.Dropout(2))
err(lambda: nn.Parameter(torch.ones(2, dtype=torch.int64)))

with open(sys.argv[1], "w") as file:
    json.dump(LINES, file)
