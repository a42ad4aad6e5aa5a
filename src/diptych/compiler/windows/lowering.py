"""Window nodes to kernels: operands as spaces ``[P, D, H, W, C]``, tables, work cut into rows."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diptych.compiler.indexing.lowering import merged
from diptych.compiler.lazy import Apply, Lazy, Number, Stored
from diptych.compiler.steps import KernelStep, Place
from diptych.compiler.unit import CodeUnit, emitter
from diptych.compiler.windows.bands import Bands, permutes
from diptych.compiler.windows.frame import AXES, Word
from diptych.compiler.windows.maxima import Maxima
from diptych.core.dtypes import DType, bfloat16, float16, float32, float64, int32
from diptych.core.layout import Shape
from diptych.core.tensor import Tensor, copy_array
from diptych.graph.graph import Node
from diptych.ops.arithmetic import ADD
from diptych.ops.resampling import Band, Table, table
from diptych.ops.window import Window, padded_extent, spans

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering

_DTYPES = (float32, float64, float16, bfloat16)
_TASK_READS = 1 << 14  # elements that a task reads, about
_INT32_LIMIT = 1 << 31


def lower(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    """The results of a window node; None where NumPy runs it."""
    layouts = [lowering.graph.layouts[value] for value in (*node.operands, *node.results)]
    if any(place.size == 0 for place in layouts):
        return None
    maker = {"max": _max, "bands": _bands, "extract": _extract, "fold": _fold}.get(node.op.lower)
    return None if maker is None else maker(lowering, node)


class Space:
    """An operand as ``[P, D, H, W, C]``: extents, strides, the place to read it from."""

    def __init__(self, place: Place, first: int, count: int) -> None:
        shape, strides = place.shape, place.strides
        end = first + count
        outer, (outer_steps,) = merged(shape[:first], [strides[:first]])
        inner, (inner_steps,) = merged(shape[end:], [strides[end:]])
        lead = AXES - count
        self.place = place
        self.extents = (*[1] * lead, *shape[first:end])
        self.strides = (*[0] * lead, *strides[first:end])
        self.inner = inner[0] if inner else 1
        self.planes = outer[0] if outer else 1
        self.plane_stride = outer_steps[0] if outer else 0
        along = inner_steps[0] if inner else self.strides[-1]
        unit = along == 1 or (not inner and self.extents[-1] == 1)
        self.fits = len(outer) <= 1 and len(inner) <= 1 and unit


def space_of(lowering: Lowering, lazy: Lazy, first: int, count: int) -> Space:
    """The space of a value, copied to row-major where its strides do not fit."""
    stored = lowering.store(lazy)
    space = Space(stored.place, first, count)
    return space if space.fits else Space(lowering.copied(stored).place, first, count)


def description(
    space: Space, outs: Shape, tables: Sequence[tuple[Any, Any]], dilation: Shape, taps: int
) -> list[int]:
    """The descriptor; ``taps`` is how many elements a result reads, for the cut of the work."""
    lead = AXES - len(outs)
    outs = (*[1] * lead, *outs)
    alone = (np.zeros(1, np.int64), np.ones(1, np.int64))
    tables = [*[alone] * lead, *tables]
    rows = space.planes * outs[0] * outs[1]
    group = max(1, min(rows, _TASK_READS // max(1, outs[2] * space.inner * taps)))
    desc = [0] * Word.TABLES
    desc[Word.TASKS] = -(-rows // group)
    desc[Word.GROUP], desc[Word.ROWS] = group, rows
    desc[Word.OUT : Word.OUT + AXES] = outs
    desc[Word.EXTENT : Word.EXTENT + AXES] = space.extents
    desc[Word.STRIDE : Word.STRIDE + AXES] = space.strides
    desc[Word.PLANE], desc[Word.INNER] = space.plane_stride, space.inner
    desc[Word.DILATION : Word.DILATION + AXES] = [*[1] * lead, *dilation]
    for axis, (first, count) in enumerate(tables):
        desc[Word.TABLE + axis] = len(desc)
        desc += [*map(int, first), *map(int, count)]
    return desc


def add_kernel(
    lowering: Lowering, prefix: str, kind: Any, writer: str, desc: Sequence[int],
    operands: Sequence[Place],
) -> None:  # fmt: skip
    """A step that runs the kernel of ``kind``, which ``module.Class`` writes."""
    key, target = kind.key(), lowering.target
    name = prefix + "_" + hashlib.sha256(key.encode()).hexdigest()[:16]
    module, cls = writer.rsplit(".", 1)

    def text() -> str:
        return str(getattr(emitter(module), cls)(kind, target, name).text())

    unit = CodeUnit(name, (("kind", prefix), (prefix, key)), text)
    lowering.result.steps.append(KernelStep(unit, tuple(desc), tuple(operands)))


# ---- maxima


def _max(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    windows, first = node.params
    (lazy,) = lowering.operands(node)
    size = 1
    for window in windows:
        size *= window.extent
    if lazy.dtype not in _DTYPES or size >= _INT32_LIMIT:
        return None
    space = space_of(lowering, lazy, first, len(windows))
    places = [lowering.fresh(lazy.dtype, lowering.shape(node))]
    indices = len(node.results) == 2
    if indices:
        places.append(lowering.fresh(int32, places[0].shape))
    last = windows[-1]
    tables = [spans(window) for window in windows]
    taps = 1
    for _, count in tables:
        taps *= int(count.max(initial=1))
    outs = tuple(window.out for window in windows)
    dilation = tuple(window.dilation for window in windows)
    desc = description(space, outs, tables, dilation, taps)
    desc[Word.KERNEL : Word.KERNEL + 3] = last.kernel, last.stride, last.padding
    along, step = "table", 0
    if space.inner > 1:
        along = "channels"
    elif last.kernel:
        along, step = "row", last.stride if last.stride <= 2 else 0
    kind = Maxima(lazy.dtype, indices, along, step)
    add_kernel(lowering, "max_window", kind, "windows.maxima.MaximaWriter", desc,
               (space.place, *places))  # fmt: skip
    return tuple(map(Stored, places))


# ---- banded maps


def _bands(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    bands, first = node.params
    (lazy,) = lowering.operands(node)
    if lazy.dtype not in _DTYPES:
        return None
    wide = lazy.dtype is float64
    entries = [table(band, wide) for band in bands]
    weighted = any(entry.weights is not None for entry in entries)
    divide = "no"
    if entries[0].divisors is not None:
        divide = "before" if bands[0].adjoint else "after"
    space = space_of(lowering, lazy, first, len(bands))
    out = lowering.fresh(lazy.dtype, lowering.shape(node))
    outs = tuple(band.target for band in bands)
    longest = [max(1, int(entry.length.max(initial=0))) for entry in entries]
    taps = 1
    for length in longest[:-1]:
        taps *= length
    tables = [(entry.first, entry.length) for entry in entries]
    desc = description(space, outs, tables, (1,) * len(bands), taps * longest[-1])
    numbers = _numbers(desc, entries, longest, weighted, wide)
    constant = lowering.constant(numbers)
    assert isinstance(constant, Stored), "two numbers or more are stored"
    along, step = _reading(lowering, bands[-1], entries[-1], space, desc)
    kind = Bands(lazy.dtype, weighted, divide, along, step)
    item = 8 if wide else 4
    lanes = lowering.target.lanes(item)
    desc[Word.SCRATCH] = (-(-space.extents[-1] // lanes) + 2) * lanes * item
    add_kernel(lowering, "bands", kind, "windows.bands.BandsWriter", desc,
               (space.place, constant.place, out))  # fmt: skip
    return (Stored(out),)


def _numbers(
    desc: list[int], entries: Sequence[Table], longest: Sequence[int], weighted: bool, wide: bool
) -> Tensor:
    """Weights, tap after tap, and divisors of all axes as one constant; where they lie."""
    parts: list[Any] = [np.ones(2)]
    size = 2
    for k in range(AXES):
        index = k - (AXES - len(entries))
        entry = entries[index] if index >= 0 else None
        taps = longest[index] if entry is not None else 1
        desc[Word.TAPS + k] = taps
        if weighted and entry is not None:
            made = np.ones((len(entry.first), taps)) if entry.weights is None else entry.weights
            desc[Word.WEIGHTS + k] = size
            parts.append(made[:, :taps].T.ravel())
            size += parts[-1].size
        if entry is not None and entry.divisors is not None:
            desc[Word.DIVISORS + k] = size
            parts.append(entry.divisors)
            size += parts[-1].size
    return copy_array(np.concatenate(parts).astype(np.float64 if wide else np.float32), Tensor)


def _reading(
    lowering: Lowering, band: Band, entry: Table, space: Space, desc: list[int]
) -> tuple[str, int]:
    """How results along the last axis read the summed row."""
    if space.inner > 1:
        return "channels", 0
    if band.kind == "mean" and not band.adjoint and band.numbers[0] and band.numbers[1] <= 2:
        kernel, step, padding = band.numbers[:3]
        desc[Word.KERNEL : Word.KERNEL + 3] = kernel, step, padding
        return "spread", step
    lanes = lowering.target.lanes(8 if space.place.dtype is float64 else 4)
    if permutes(space.place.dtype, lowering.target):
        starts = entry.first[::lanes]
        ends = np.maximum.reduceat(
            entry.first + np.maximum(entry.length, 1), np.arange(0, len(entry.first), lanes)
        )
        if (ends - starts <= 2 * lanes).all() and (np.diff(entry.first) >= 0).all():
            return "permute", 0
    return "table", 0


# ---- windows taken out and added back, by way of a padded copy


def _padded(lowering: Lowering, dtype: DType, shape: Shape, windows: Any, first: int) -> Place:
    """Room for a tensor and for all that the windows read around it."""
    reach = tuple(padded_extent(window) for window in windows)
    return lowering.fresh(dtype, (*shape[:first], *reach, *shape[first + len(windows) :]))


def _inside(place: Place, windows: Sequence[Window], first: int) -> Place:
    """The tensor in its padded room."""
    offset, shape = place.offset, list(place.shape)
    for k, window in enumerate(windows):
        offset += window.padding * place.strides[first + k]
        shape[first + k] = window.extent
    return Place(place.storage, offset, place.dtype, tuple(shape), place.strides)


def _windowed(place: Place, windows: Sequence[Window], first: int) -> Place:
    """A padded room seen as windows: kernel axes in front of their numbers."""
    end = first + len(windows)
    along = place.strides[first:end]
    kernels = tuple(window.kernel for window in windows)
    outs = tuple(window.out for window in windows)
    steps = tuple(s * window.dilation for s, window in zip(along, windows, strict=True))
    jumps = tuple(s * window.stride for s, window in zip(along, windows, strict=True))
    shape = (*place.shape[:first], *kernels, *outs, *place.shape[end:])
    strides = (*place.strides[:first], *steps, *jumps, *place.strides[end:])
    return Place(place.storage, place.offset, place.dtype, shape, strides)


def _extract(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    windows, first = node.params
    (lazy,) = lowering.operands(node)
    if lazy.dtype.is_complex:
        return None
    # Always a copy: an output must neither share the input's memory nor overlap itself.
    if all(padded_extent(w) == w.extent and not w.padding for w in windows):
        seen = Stored(_windowed(lowering.store(lazy).place, windows, first))
        return (lowering.copied(seen),)
    room = _padded(lowering, lazy.dtype, lazy.shape, windows, first)
    lowering.write(Number(0, room.dtype, room.shape), room)
    lowering.write(lazy, _inside(room, windows, first))
    return (lowering.copied(Stored(_windowed(room, windows, first))),)


def _fold(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    windows, first = node.params
    (lazy,) = lowering.operands(node)
    if lazy.dtype not in (float32, float64):
        return None
    source = lowering.store(lazy)
    count = len(windows)
    room = _padded(lowering, lazy.dtype, lowering.shape(node), windows, first)
    lowering.write(Number(0, room.dtype, room.shape), room)
    seen = _windowed(room, windows, first)
    for tap in itertools.product(*[range(window.kernel) for window in windows]):
        here, part = (Stored(_tap(place, tap, first, count)) for place in (seen, source.place))
        total = Apply(ADD, (room.dtype,), (here, part), room.dtype, here.shape)
        lowering.alive.append(total)
        lowering.write(total, here.place)
    made = Stored(_inside(room, windows, first))
    return (made if made.place.layout.contiguous else lowering.copied(made),)


def _tap(place: Place, tap: Shape, first: int, count: int) -> Place:
    """One element of each window."""
    offset = place.offset
    for k, position in enumerate(tap):
        offset += position * place.strides[first + k]
    kept = (*range(first), *range(first + count, len(place.shape)))
    shape = tuple(place.shape[axis] for axis in kept)
    strides = tuple(place.strides[axis] for axis in kept)
    return Place(place.storage, offset, place.dtype, shape, strides)
