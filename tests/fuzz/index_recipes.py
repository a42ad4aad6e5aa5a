"""Good calls that read and write at indices, order values, and count them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diptych.torch as torch
from diptych.core import dtypes
from tests.fuzz.bending import Recipe
from tests.fuzz.draw import Drawer

KINDS = (dtypes.float32,) * 4 + (
    dtypes.float64, dtypes.int64, dtypes.int32, dtypes.uint8, dtypes.bool_, dtypes.bfloat16,
    dtypes.complex64,
)  # fmt: skip
EXTENTS = (1, 1, 2, 3, 5, 8, 17, 33)


def shape_of(d: Drawer, least: int = 1) -> tuple[int, ...]:
    return tuple(d.choice(EXTENTS) for _ in range(d.choice((1, 1, 2, 2, 3)[least - 1 :])))


def along(d: Drawer, in_place: bool = False) -> Recipe:
    """index_select, index_add, index_copy, index_fill, index_reduce."""
    shape = shape_of(d)
    axis = d.rng.randrange(len(shape))
    name = d.choice(("index_select", "index_add", "index_copy", "index_fill", "index_reduce"))
    dtype = d.choice(KINDS)
    if name == "index_reduce":
        dtype = dtypes.float32
    count = d.choice((0, 1, 2, 5))
    if name == "index_copy":
        count = min(count, shape[axis])
    x = d.tensor(shape=shape, dtype=dtype)
    index = d.indices((count,), 0, shape[axis], d.choice((dtypes.int64, dtypes.int32)))
    if name == "index_copy":
        index = torch.tensor(d.rng.sample(range(shape[axis]), count), dtype=torch.int64)
    if name in ("index_fill", "index_reduce", "index_copy"):
        index = index.to(torch.int64)
    args: list[Any] = [x, axis, index]
    options: dict[str, Any] = {}
    if name == "index_fill":
        args.append(d.choice((0, 1, torch.tensor(1))))
    elif name != "index_select":
        taken = (*shape[:axis], count, *shape[axis + 1 :])
        args.append(d.tensor(shape=taken, dtype=dtype))
    if name == "index_reduce":
        args.append(d.choice(("prod", "mean", "amax", "amin")))
        options["include_self"] = d.chance(0.5)
    return Recipe(f"torch.{name}", getattr(torch, name), args, options)


def at(d: Drawer) -> Recipe:
    """gather, scatter, scatter_add, scatter_reduce, take_along_dim."""
    shape = shape_of(d)
    axis = d.rng.randrange(len(shape))
    dtype = d.choice(KINDS)
    name = d.choice(("gather", "gather", "scatter", "scatter_add", "scatter_reduce"))
    extents = tuple(
        d.choice((0, 1, 4, 9)) if k == axis else max(n - d.choice((0, 0, 1)), 0)
        for k, n in enumerate(shape)
    )
    x = d.tensor(shape=shape, dtype=dtype)
    if name == "scatter":  # each place once: who writes last is nobody's business
        order = [d.rng.sample(range(shape[axis]), shape[axis]) for _ in range(1)][0]
        cut = min(extents[axis], shape[axis])
        extents = tuple(cut if k == axis else n for k, n in enumerate(extents))
        row = torch.tensor(order[:cut], dtype=torch.int64)
        lined = row.reshape([-1 if k == axis else 1 for k in range(len(shape))])
        index = lined.expand(extents)
    else:
        index = d.indices(extents, 0, shape[axis])
    args: list[Any] = [x, axis, index]
    options: dict[str, Any] = {}
    if name == "scatter" and d.chance(0.3):
        args.append(1)
    elif name != "gather":
        args.append(d.tensor(shape=tuple(n + d.choice((0, 0, 2)) for n in extents), dtype=dtype))
    if name == "scatter_reduce":
        args.append(d.choice(("sum", "prod", "mean", "amax", "amin")))
        options["include_self"] = d.chance(0.5)
    return Recipe(f"torch.{name}", getattr(torch, name), args, options)


def places(d: Drawer) -> Recipe:
    """take, put, index_put, masked_fill, masked_select, masked_scatter, where."""
    shape = shape_of(d)
    x = d.tensor(shape=shape, dtype=d.choice(KINDS))
    size = x.layout.size
    kind = d.rng.randrange(5)
    if kind == 0:
        index = d.indices((d.choice((0, 1, 3)), 2), -size, size)
        return Recipe("torch.take", torch.take, [x, index])
    if kind == 1:
        count = min(d.choice((0, 1, 4)), size)
        index = torch.tensor(d.rng.sample(range(size), count), dtype=torch.int64)
        source = d.tensor(shape=(count,), dtype=x.layout.dtype)
        return Recipe("torch.put", torch.put, [x, index, source, d.chance(0.5)])
    if kind == 2:
        count = d.choice((0, 1, 3))
        index = tuple(d.indices((count,), -n, n) for n in shape[: d.choice((1, 2))])
        tail = shape[len(index) :]
        values = d.tensor(shape=d.choice(((count, *tail), (), tail)), dtype=x.layout.dtype)
        return Recipe("torch.index_put", torch.index_put, [x, index, values, True])
    mask = d.tensor(shape=d.choice((shape, shape[1:], (1,))), dtype=dtypes.bool_)
    if kind == 3:
        return Recipe("torch.masked_fill", torch.masked_fill, [x, mask, d.choice((0, 1))])
    return Recipe("torch.masked_select", torch.masked_select, [x, mask])


def bracketed(d: Drawer) -> Recipe:
    """x[key], with a key that fits."""
    shape = shape_of(d)
    x = d.tensor(shape=shape, dtype=d.choice(KINDS))
    key: list[Any] = []
    many = d.choice(((), (1,), (3,), (2, 2)))
    for n in shape[: d.choice((1, 2, 3))]:
        kind = d.rng.randrange(6)
        if kind == 0:
            key.append(d.rng.randrange(-n, n))
        elif kind == 1:
            key.append(slice(d.choice((None, 0, 1)), d.choice((None, n, -1)), d.choice((1, 2))))
        elif kind == 2:
            key.append(d.tensor(shape=(n,), dtype=dtypes.bool_) if len(shape) == 1 else slice(None))
        elif kind == 3:
            key += [None, slice(None)]
        else:
            key.append(d.indices(many, -n, n))

    def read(x: Any, *key: Any) -> Any:
        return x[key]

    return Recipe("getitem", read, [x, *key])


def ordered(d: Drawer) -> Recipe:
    shape = shape_of(d)
    axis = d.rng.randrange(len(shape))
    x = d.tensor(shape=shape, dtype=d.choice(KINDS[:7]))
    name = d.choice(("sort", "topk", "kthvalue", "cummax", "cummin", "median", "mode", "unique"))
    args: list[Any] = [x, axis]
    if name in ("topk", "kthvalue"):
        args = [x, d.rng.randrange(1, shape[axis] + 1), axis]
    elif name == "unique":
        args = [x]
    return Recipe(f"torch.{name}", getattr(torch, name), args)


def counted(d: Drawer) -> Recipe:
    x = d.indices((d.choice((0, 1, 5, 33)),), 0, 9)
    kind = d.rng.randrange(4)
    if kind == 0:
        return Recipe("torch.bincount", torch.bincount, [x, None, d.choice((0, 12))])
    if kind == 1:
        args = [x.to(torch.float32), d.choice((1, 4)), 0, 9]
        return Recipe("torch.histc", torch.histc, args)
    edges = torch.sort(d.tensor(shape=(d.choice((0, 1, 7)),), dtype=dtypes.float32).detach())[0]
    values = d.tensor(dtype=dtypes.float32)
    if kind == 2:
        return Recipe("torch.bucketize", torch.bucketize, [values, edges])
    return Recipe("torch.searchsorted", torch.searchsorted, [edges, values])


def flowing(d: Drawer) -> Recipe:
    """Cumulative operations, matrix products, and reductions over odd layouts."""
    shape = (*shape_of(d), d.choice(EXTENTS))
    x = d.tensor(shape=shape, dtype=d.choice((dtypes.float32, dtypes.float64, dtypes.int64)))
    axis = d.rng.randrange(len(shape))
    name = d.choice(("cumsum", "cumprod", "logcumsumexp", "sum", "amax", "std", "norm", "diff"))
    if name in ("logcumsumexp", "std", "norm") and not x.layout.dtype.is_float:
        name = "sum"
    if name == "norm":
        return Recipe("torch.norm", torch.norm, [x, d.choice((1, 2, 3, float("inf"))), axis])
    if name == "diff":
        return Recipe("torch.diff", torch.diff, [x, 1, axis])
    return Recipe(f"torch.{name}", getattr(torch, name), [x, axis])


RECIPES: tuple[Callable[[Drawer], Recipe], ...] = (
    along, along, at, at, places, bracketed, ordered, counted, flowing,
)  # fmt: skip
