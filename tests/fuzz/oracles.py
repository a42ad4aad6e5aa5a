"""Calls of PyTorch's face with an obvious NumPy counterpart, on the same drawn operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import diptych.torch as torch
from diptych.core import dtypes
from diptych.core.dtypes import DType
from tests.fuzz.call import Call, Disagreement, describe
from tests.fuzz.draw import Drawer

EXACT = tuple(d for d in dtypes.ALL if d.exact and not d.is_complex)
FLOATS = (dtypes.float32, dtypes.float32, dtypes.float64)
NUMBERS = (*FLOATS, dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.int8)


Pair = tuple[str, Callable[[], Any], Callable[[], Any], list[Any]]


def draw(d: Drawer) -> Call:
    """A call that fails when the two answers differ."""
    text, ours, theirs, operands = d.choice(ORACLES)(d)

    def run() -> Any:
        expected: Any = None
        refused: Exception | None = None
        with np.errstate(all="ignore"):
            try:
                expected = theirs()
            except Exception as error:  # noqa: BLE001 (whatever NumPy refuses, we must too)
                refused = error
        try:
            result = ours()
        except NotImplementedError:
            return None
        except Exception as error:
            if refused is None:
                raise Disagreement(f"we raise {type(error).__name__}: {error}") from error
            raise
        if refused is not None:
            raise Disagreement(f"NumPy raises {type(refused).__name__}: {refused}")
        compare(result, expected)
        return result

    return Call("oracle " + text, run, operands)


def compare(ours: Any, theirs: Any) -> None:
    """Disagreement unless both are close, relative to the largest value that went into each."""
    a, b = np.asarray(ours.values() if hasattr(ours, "values") else ours), np.asarray(theirs)
    if a.shape != b.shape:
        raise Disagreement(f"shape {a.shape}; NumPy has {b.shape}")
    if not a.size:
        return
    if a.dtype.kind not in "fc":
        if not np.array_equal(a, b.astype(a.dtype)):
            raise Disagreement(f"{a.ravel()[:8]}; NumPy has {b.ravel()[:8]}")
        return
    with np.errstate(all="ignore"):
        b = b.astype(a.dtype)
        scale = np.abs(b[np.isfinite(b)]).max(initial=1e-30)
        off = np.abs(a - b) / (np.abs(b) + scale * 1e-2)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        limit = 2e-4 if a.dtype == np.float32 else 2e-2 if a.dtype == np.float16 else 1e-9
        bad = ~same & ~(off <= limit)
    if bad.any():
        at = tuple(int(k[0]) for k in np.nonzero(bad))
        raise Disagreement(f"{a[at]!r} at {at}; NumPy has {b[at]!r}; shape {a.shape}")


def _pair(d: Drawer, options: tuple[DType, ...], shape: Any = None) -> tuple[Any, np.ndarray]:
    dtype = d.choice(options)
    while True:
        x, array = d.pair(d.shape() if shape is None else shape, dtype)
        if (
            not array.size
            or array.dtype.kind != "f"
            or np.abs(array[np.isfinite(array)]).max(initial=0) < 1e6
        ):
            return x, array


def _axis(d: Drawer) -> Any:
    return max(d.axis(), -9)  # NumPy takes the least int32 to mean "flatten it first"


def _unary(d: Drawer) -> Pair:
    name = d.choice(sorted(UNARY))
    x, array = _pair(d, FLOATS)
    return (
        f"{name}({describe((x,))})",
        lambda: getattr(torch, name)(x),
        lambda: UNARY[name](array),
        [x],
    )


UNARY: dict[str, Any] = {
    "exp": np.exp, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "sqrt": np.sqrt, "abs": np.abs,
    "neg": np.negative, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "log": np.log,
    "log1p": np.log1p, "expm1": np.expm1, "isnan": np.isnan, "isfinite": np.isfinite,
    "square": np.square, "sign": lambda a: np.where(np.isnan(a), 0, np.sign(a)), "atan": np.arctan,
    "relu": lambda a: np.where(np.isnan(a), a, np.maximum(a, 0)), "signbit": np.signbit,
    "round": np.round, "reciprocal": lambda a: 1 / a,
}  # fmt: skip


def _binary(d: Drawer) -> Pair:
    name = d.choice(sorted(BINARY))
    dtype = d.choice(FLOATS if name in ("div", "atan2", "hypot") else NUMBERS)
    x, a = _pair(d, (dtype,))
    y, b = _pair(d, (dtype,))
    text = f"{name}({describe((x, y))})"
    return text, lambda: getattr(torch, name)(x, y), lambda: BINARY[name](a, b), [x, y]


BINARY: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "maximum": np.maximum,
    "minimum": np.minimum, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "atan2": np.arctan2, "hypot": np.hypot,
    "logical_and": np.logical_and, "logical_xor": np.logical_xor,
}  # fmt: skip


def _reduce(d: Drawer) -> Pair:
    name = d.choice(sorted(REDUCTIONS))
    x, array = _pair(d, FLOATS if name in ("mean", "prod", "var", "logsumexp") else NUMBERS)
    dim, keep = _axis(d), d.chance(0.5)
    many = d.chance(0.3) and name in ("sum", "mean", "amax", "amin")
    dims = tuple(d.axis() for _ in range(2)) if many else dim
    text = f"{name}({describe((x,))}, {dims}, {keep})"

    def theirs() -> Any:
        if not array.ndim:  # a 0-d tensor takes dim 0 and -1
            if any(k not in (0, -1) for k in (dims if many else (dim,))):
                raise IndexError(dims)
            if many and len({k % 1 for k in dims}) < len(dims):
                raise ValueError("twice")
            reduced = REDUCTIONS[name](array.reshape(1), 0, False)
            return reduced
        return REDUCTIONS[name](array, dims, keep)

    return text, lambda: getattr(torch, name)(x, dims, keepdim=keep), theirs, [x]


def _logsumexp(a: Any, k: Any, keep: bool) -> Any:
    if a.shape[k] == 0:
        return np.full(np.sum(a, k, keepdims=keep).shape, -np.inf, a.dtype)
    top = np.max(a, k, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    made = np.log(np.sum(np.exp(a - top), k, keepdims=True)) + top
    return made if keep else np.squeeze(made, k)


REDUCTIONS: dict[str, Any] = {
    "sum": lambda a, k, keep: np.sum(a, k, keepdims=keep, dtype=_sum_dtype(a)),
    "prod": lambda a, k, keep: np.prod(a, k, keepdims=keep),
    "amax": lambda a, k, keep: np.max(a, k, keepdims=keep),
    "amin": lambda a, k, keep: np.min(a, k, keepdims=keep),
    "mean": lambda a, k, keep: np.mean(a, k, keepdims=keep),
    "var": lambda a, k, keep: np.var(a, k, keepdims=keep, ddof=1),
    "argmax": lambda a, k, keep: np.argmax(a, k, keepdims=keep),
    "argmin": lambda a, k, keep: np.argmin(a, k, keepdims=keep),
    "any": lambda a, k, keep: np.any(a, k, keepdims=keep),
    "all": lambda a, k, keep: np.all(a, k, keepdims=keep),
    "logsumexp": _logsumexp,
}


def _sum_dtype(a: Any) -> Any:
    return a.dtype if a.dtype.kind == "f" else np.int64


def _cumulate(d: Drawer) -> Pair:
    x, array = _pair(d, FLOATS, shape=d.shape() or (3,))
    dim = _axis(d)
    return (
        f"cumsum({describe((x,))}, {dim})",
        lambda: torch.cumsum(x, dim),
        lambda: np.cumsum(array, dim, array.dtype),
        [x],
    )


def _matmul(d: Drawer) -> Pair:
    dtype = d.choice((*FLOATS, dtypes.int64, dtypes.int32))
    m, k, n = (d.choice((0, 1, 1, 2, 3, 5, 17, 33)) for _ in range(3))
    batch = d.choice(((), (), (2,), (3, 1), (0,)))
    shapes = d.choice((
        ((m, k), (k, n)), ((*batch, m, k), (k, n)), ((*batch, m, k), (*batch, k, n)), ((k,), (k,)),
        ((k,), (*batch, k, n)), ((*batch, m, k), (k,)), ((m, k), (k + 1, n)),
    ))  # fmt: skip
    (x, a), (y, b) = (_pair(d, (dtype,), shape=s) for s in shapes)
    big = max(
        (float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in (a, b) if v.size), default=0.0
    )
    if big > 1e4 and dtype.is_float:
        a, b = np.zeros((0, 0)), np.zeros((0, 0))
        x, y = torch.zeros(0, 0, dtype=torch.float64), torch.zeros(0, 0, dtype=torch.float64)
    return (
        f"matmul({describe((x, y))})",
        lambda: torch.matmul(x, y),
        lambda: np.matmul(a, b),
        [x, y],
    )


def _movement(d: Drawer) -> Pair:
    x, a = _pair(d, EXACT)
    kind = d.rng.randrange(9)
    i, j = d.axis(), d.axis()
    size = tuple(d.extents())
    dims = tuple(max(min(d.axis(), 9), -9) for _ in range(a.ndim))  # NumPy lets large ones wrap
    n = d.choice((-9, -1, 0, 1, 2, 5))
    table: list[tuple[str, Any, Any]] = [
        (f"transpose {i} {j}", lambda: x.transpose(i, j), lambda: np.swapaxes(a, i, j)),
        (f"permute {dims}", lambda: x.permute(dims), lambda: np.transpose(a, dims)),
        (f"reshape {size}", lambda: x.reshape(size), lambda: _reshape(a, size)),
        (f"flip {i}", lambda: x.flip(i), lambda: np.flip(a, i)),
        (f"roll {n} {i}", lambda: x.roll(n, i), lambda: _roll(a, n, i)),
        (f"broadcast_to {size}", lambda: x.broadcast_to(size), lambda: _broadcast(a, size)),
        (f"unsqueeze {i}", lambda: x.unsqueeze(i), lambda: np.expand_dims(a, i)),
        (f"movedim {i} {j}", lambda: x.movedim(i, j), lambda: np.moveaxis(a, i, j)),
        (f"stack {i}", lambda: torch.stack([x, x], i), lambda: np.stack([a, a], i)),
    ]
    name, ours, theirs = table[kind]
    if not a.ndim and kind in (0, 3, 4, 7):  # NumPy has no axis there, PyTorch has one
        return f"clone({describe((x,))})", lambda: x.clone(), lambda: a, [x]
    return f"{name} of {describe((x,))}", ours, theirs, [x]


def _reshape(a: Any, size: Any) -> Any:
    if any(n < -1 for n in size) or math.prod(size) > 1 << 62:
        raise ValueError(size)
    return a.reshape(size)


def _roll(a: Any, n: int, axis: int) -> Any:
    return np.roll(a, n, axis)


def _broadcast(a: Any, size: Any) -> Any:
    if math.prod(max(n, 1) for n in size) > 6000:
        raise ValueError("left out: see the boundary's tests")
    padded = (1,) * (len(size) - a.ndim) + a.shape
    kept = tuple(
        p if n == -1 and k >= len(size) - a.ndim else n
        for k, (n, p) in enumerate(zip(size, padded, strict=False))
    )
    return np.broadcast_to(a, kept)


def _index(d: Drawer) -> Pair:
    x, a = _pair(d, EXACT)
    key = []
    for _ in range(d.rng.randrange(len(a.shape) + 2)):
        kind = d.rng.randrange(7)
        if kind < 2:
            key.append(d.choice((-3, -2, -1, 0, 0, 1, 2, 2**31, -(2**62))))
        elif kind < 4:
            bounds = [None if d.chance(0.5) else d.integer() for _ in range(2)]
            key.append(slice(*bounds, d.choice((None, 1, 2, 2**31))))
        elif kind == 4:
            key.append(None)
        elif kind == 5 and Ellipsis not in [k for k in key if k is Ellipsis]:
            key.append(Ellipsis)
        else:
            key.append(d.numpy.integers(-2, 2, d.choice((1, 3))))
    if any(isinstance(k, np.ndarray) for k in key):  # beside arrays NumPy takes numbers for arrays
        key = [slice(0, 2) if isinstance(k, int) else k for k in key]
    ours_key = tuple(
        torch.tensor(k.tolist(), dtype=torch.int64) if isinstance(k, np.ndarray) else k for k in key
    )
    text = f"{describe((x,))}[{describe(key)}]"
    if d.chance(0.35) and a.flags.writeable:
        return _assign(d, x, a, ours_key, tuple(key), text)
    return text, lambda: x[ours_key], lambda: a[tuple(key)], [x]


def _assign(d: Drawer, x: Any, a: Any, ours_key: Any, key: Any, text: str) -> Pair:
    """x[key] = value on a copy (which shares no places), so that order does not matter."""
    x, copied = x.clone(), a.copy()
    value = d.choice((0, 1, 3))

    def ours() -> Any:
        x[ours_key] = value
        return x

    def theirs() -> Any:
        copied[key] = value
        return copied

    return f"{text} = {value}", ours, theirs, [x]


def _gather(d: Drawer) -> Pair:
    x, a = _pair(d, EXACT, shape=d.base_shape or (4,))
    axis = d.rng.randrange(a.ndim)
    kind = d.rng.randrange(3)
    low = d.choice((0, 0, 0, -1))
    extent = max(a.shape[axis], 1) + d.choice((0, 0, 0, 1))
    if kind == 0:
        index = d.numpy.integers(low, extent, d.rng.randrange(5))
        name = "index_select"
    else:
        index = d.numpy.integers(low, extent, a.shape)
        name = "gather" if kind == 1 else "scatter"
    given = torch.tensor(index.tolist(), dtype=torch.int64).reshape(index.shape)
    bad = bool(index.size and (index.min() < 0 or index.max() >= a.shape[axis]))
    text = f"{name}({describe((x,))}, {axis}, {index.tolist()!r:.200})"

    def theirs() -> Any:
        if bad:
            raise IndexError("out of range")
        if kind == 0:
            return np.take(a, index, axis)
        if kind == 1:
            return np.take_along_axis(a, index, axis)
        made = np.zeros_like(a)
        np.put_along_axis(made, index, 1, axis)
        return made

    def ours() -> Any:
        if kind == 2:
            return torch.zeros_like(x).scatter_(axis, given, 1)
        return getattr(torch, name)(x, axis, given)

    return text, ours, theirs, [x]


def _select(d: Drawer) -> Pair:
    c, k = _pair(d, (dtypes.bool_,))
    dtype = d.choice(EXACT)
    (x, a), (y, b) = _pair(d, (dtype,)), _pair(d, (dtype,))
    return (
        f"where({describe((c, x, y))})",
        lambda: torch.where(c, x, y),
        lambda: np.where(k, a, b),
        [x],
    )


def _join(d: Drawer) -> Pair:
    dtype = d.choice(EXACT)
    pairs = [_pair(d, (dtype,), shape=d.shape() or (1,)) for _ in range(d.choice((1, 2, 3)))]
    pairs = [p for p in pairs if p[1].shape != (0,)] or [_pair(d, (dtype,), shape=(2,))]
    axis = _axis(d)
    given = [p[0] for p in pairs]
    text = f"cat([{describe(given)}], {axis})"
    return (
        text,
        lambda: torch.cat(given, axis),
        lambda: np.concatenate([p[1] for p in pairs], axis),
        given,
    )


def _sort(d: Drawer) -> Pair:
    x, a = _pair(d, (*FLOATS, dtypes.int64, dtypes.uint8), shape=d.shape() or (2,))
    axis = _axis(d)
    return (
        f"sort({describe((x,))}, {axis})",
        lambda: torch.sort(x, axis)[0],
        lambda: np.sort(a, axis),
        [x],
    )


def _in_place(d: Drawer) -> Pair:
    """x.op_(y) where x is a view of memory that y may share, in an order that must not show."""
    dtype = d.choice(NUMBERS)
    row = d.contents((64,), dtype)
    if row.dtype.kind == "f":
        row = np.nan_to_num(row, nan=1.0, posinf=2.0, neginf=-2.0).clip(-9, 9).astype(row.dtype)
    mine = torch.from_numpy(row.copy())
    n, step, shift = d.choice((1, 5, 16, 20)), d.choice((1, 2, 3)), d.choice((0, 1, 2, 3))
    name = d.choice(("add_", "sub_", "mul_", "copy_"))
    cut, other = slice(0, n * step, step), slice(shift, shift + n)

    def ours() -> Any:
        getattr(mine[cut], name)(mine[other])
        return mine

    def theirs() -> Any:
        old = row.copy()
        right = old[other]
        made = {"add_": np.add, "sub_": np.subtract, "mul_": np.multiply}.get(name)
        row[cut] = right if made is None else made(old[cut], right)
        return row

    return f"x[{cut}].{name}(x[{other}]) of {dtype}", ours, theirs, [mine]


ORACLES: tuple[Callable[[Drawer], Pair], ...] = (
    _unary, _unary, _binary, _binary, _binary, _reduce, _reduce, _reduce, _cumulate, _matmul,
    _matmul,
    _movement, _movement, _index, _index, _gather, _gather, _select, _join, _sort, _in_place,
)  # fmt: skip
