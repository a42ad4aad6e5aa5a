"""Layouts: a tensor's dtype, shape and strides as one interned object."""

from __future__ import annotations

from typing import Any

from diptych.core.dtypes import DType
from diptych.errors import AxisError, ShapeError

Shape = tuple[int, ...]

MAX_NDIM = 64
MAX_ELEMENTS = 1 << 62


class Layout:
    """dtype, shape and strides (in elements) of a tensor; equal layouts are the same object.

    Plans are found by layout, so a lookup hashes an identity, not a shape. ``contiguous`` means
    row-major without gaps; ``span`` is the number of elements between the lowest and the highest
    address that the layout touches, ``lowest`` the (non-positive) offset of the lowest one.
    """

    __slots__ = (
        "contiguous", "dtype", "face_shape", "lowest", "nbytes", "ndim", "shape", "size", "span",
        "strides",
    )  # fmt: skip

    dtype: DType
    shape: Shape
    strides: Shape

    def __init__(self, dtype: DType, shape: Shape, strides: Shape) -> None:
        self.dtype = dtype
        self.shape = shape
        self.strides = strides
        self.ndim = len(shape)
        size = 1
        for extent in shape:
            if extent < 0:
                raise ShapeError(f"a tensor cannot have the negative extent {extent}: {shape}")
            size *= extent
        if size > MAX_ELEMENTS:
            raise ShapeError(f"a tensor of shape {shape} would have more than 2**62 elements")
        self.size = size
        self.nbytes = size * dtype.itemsize
        self.contiguous = is_contiguous(shape, strides)
        lowest = highest = 0
        if size:
            for extent, stride in zip(shape, strides, strict=True):
                reach = (extent - 1) * stride
                if reach < 0:
                    lowest += reach
                else:
                    highest += reach
        self.lowest = lowest
        self.span = highest - lowest + 1 if size else 0
        self.face_shape: Any = None

    def __repr__(self) -> str:
        strided = "" if self.contiguous else f", strides={self.strides}"
        return f"{self.dtype}{list(self.shape)}{strided}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (layout, (self.dtype, self.shape, self.strides))

    def with_dtype(self, dtype: DType) -> Layout:
        """The same shape and strides with another dtype."""
        return self if dtype is self.dtype else layout(dtype, self.shape, self.strides)


_interned: dict[tuple[int, Shape, Shape], Layout] = {}
_INTERNED_LIMIT = 1 << 16  # programs whose shapes never repeat must not grow this for ever


def layout(dtype: DType, shape: Shape, strides: Shape | None = None) -> Layout:
    """The layout of this dtype, shape and strides (row-major when not given)."""
    if strides is None:
        strides = row_major(shape)
    key = (dtype.index, shape, strides)
    found = _interned.get(key)
    if found is None:
        if len(_interned) >= _INTERNED_LIMIT:
            _interned.clear()  # old layouts live on in their tensors; their plans are made anew
        found = _interned[key] = Layout(dtype, shape, strides)
    return found


def row_major(shape: Shape) -> Shape:
    """Strides in elements of a contiguous tensor of ``shape``."""
    strides = [1] * len(shape)
    step = 1
    for axis in range(len(shape) - 1, -1, -1):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def is_contiguous(shape: Shape, strides: Shape) -> bool:
    """Whether elements lie in row-major order without gaps; axes of extent 1 do not matter."""
    if 0 in shape:
        return True
    step = 1
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1:
            if stride != step:
                return False
            step *= extent
    return True


def check_shape(shape: Any, op: str) -> Shape:
    """``shape`` as a tuple of ints; ShapeError when an extent is negative or the size absurd."""
    checked = tuple(int(extent) for extent in shape)
    if len(checked) > MAX_NDIM:
        raise ShapeError(
            op=op,
            argument="shape",
            got=f"of {len(checked)} dimensions",
            expected=f"at most {MAX_NDIM}",
        )
    size = 1
    for extent in checked:
        if extent < 0:
            raise ShapeError(
                f"Trying to create tensor with negative dimension {extent}: {list(checked)}",
                op=op, argument="shape", got=checked,
            )  # fmt: skip
        size *= max(extent, 1)
    if size > MAX_ELEMENTS:
        raise ShapeError(
            op=op, argument="shape", got=checked, expected=f"at most {MAX_ELEMENTS} elements"
        )
    return checked


def normalize_axis(axis: int, ndim: int, op: str) -> int:
    """``axis`` counted from the front; a 0-d tensor takes 0 and -1. AxisError out of range."""
    count = ndim or 1
    if not -count <= axis < count:
        raise AxisError(
            f"Dimension out of range (expected to be in range of [{-count}, {count - 1}], "
            f"but got {axis})",
            op=op, argument="axis", got=axis,
        )  # fmt: skip
    return axis + count if axis < 0 else axis


def normalize_axes(axes: Any, ndim: int, op: str) -> Shape:
    """Axes counted from the front, in ascending order; ArgumentError when one comes twice."""
    normal = sorted(normalize_axis(int(axis), ndim, op) for axis in axes)
    for before, after in zip(normal, normal[1:], strict=False):
        if before == after:
            raise ShapeError(
                f"dim {after} appears multiple times in the list of dims",
                op=op, argument="axes", got=tuple(axes),
            )  # fmt: skip
    return tuple(normal)


def broadcast_shapes(shapes: tuple[Shape, ...], op: str) -> Shape:
    """The common shape of operands under broadcasting; ShapeError names the first axis at fault."""
    ndim = max((len(shape) for shape in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        start = ndim - len(shape)
        for axis, extent in enumerate(shape, start):
            have = result[axis]
            if have == 1:
                result[axis] = extent
            elif extent != 1 and extent != have:
                raise ShapeError(
                    f"The size of tensor a ({have}) must match the size of tensor b ({extent}) "
                    f"at non-singleton dimension {axis}: {op} got shapes "
                    + " and ".join(str(list(shape)) for shape in shapes),
                    op=op, got=shapes,
                )  # fmt: skip
    return tuple(result)


def broadcast_strides(shape: Shape, strides: Shape, to: Shape) -> Shape:
    """Strides that read a tensor of ``shape`` as one of the broadcast shape ``to``."""
    pad = len(to) - len(shape)
    out = [0] * pad
    for extent, stride, wanted in zip(shape, strides, to[pad:], strict=True):
        out.append(0 if extent == 1 and wanted != 1 else stride)
    return tuple(out)


def reshape_strides(shape: Shape, strides: Shape, to: Shape) -> Shape | None:
    """Strides that read a tensor as ``to`` without copying; None when it must be copied."""
    size = 1
    for extent in shape:
        size *= extent
    if size == 0:
        return row_major(to)
    # Merge runs of old axes that are contiguous with one another, then cut them into new ones.
    old = [(extent, stride) for extent, stride in zip(shape, strides, strict=True) if extent != 1]
    out: list[int] = []
    position = 0
    run, run_stride = 1, 1  # what is left of the current run, and the stride of its last axis
    started = False
    for extent in to:
        if extent == 1:
            out.append(0)  # set below
            continue
        if not started or run == 1:
            if position == len(old):
                return None
            run, run_stride = old[position]
            position += 1
            while position < len(old) and run_stride == old[position][0] * old[position][1]:
                run *= old[position][0]
                run_stride = old[position][1]
                position += 1
            started = True
        if run % extent:
            return None
        run //= extent
        out.append(run * run_stride)
    # Axes of extent 1 get the stride a contiguous tensor would have there.
    step = 1
    for axis in range(len(to) - 1, -1, -1):
        if to[axis] == 1:
            out[axis] = step
        else:
            step = out[axis] * to[axis]
    return tuple(out)
