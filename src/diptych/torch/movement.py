"""Views and rearrangements: reshape, transpose, slices, splits, joins, with PyTorch's aliasing."""

from __future__ import annotations

from typing import Any

from diptych.core import call, tape
from diptych.core.layout import layout, reshape_strides
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import alias, wrap
from diptych.ops import movement, select
from diptych.ops.sections import sections
from diptych.torch import dtypes
from diptych.torch.dtypes import core_of
from diptych.torch.gradient_nodes import label
from diptych.torch.memory_formats import arranged
from diptych.torch.size import shape_of_arguments
from diptych.torch.tensor import axis_of, face

Shape = tuple[int, ...]


def infer_extent(shape: Shape, size: int) -> Shape:
    """``shape`` with its -1 worked out; RuntimeError in PyTorch's words when that cannot be."""
    missing = -1
    known = 1
    for axis, extent in enumerate(shape):
        if extent == -1:
            if missing >= 0:
                raise RuntimeError("only one dimension can be inferred")
            missing = axis
        elif extent < 0:
            raise RuntimeError(f"invalid shape dimension {extent}")
        else:
            known *= extent
    if missing < 0:
        if known != size:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")
        return shape
    if known == 0:
        if size:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
            "dimension size -1 can be any value and is ambiguous"
        )
    if size % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")
    return (*shape[:missing], size // known, *shape[missing + 1 :])


def same_value(x: Any) -> Any:
    """Another tensor object on the same memory and tape: what PyTorch returns for a view of all."""
    return call.current.apply1(movement.RESHAPE, x, (x.layout.shape,))


def reshape(input: Any, *shape: Any) -> Any:
    """The elements under another shape: a view where strides allow, else a copy."""
    x = face(input, "reshape")
    wanted = infer_extent(shape_of_arguments(shape, "reshape"), x.layout.size)
    return call.current.apply1(movement.RESHAPE, x, (wanted,))


def _reshape_function(input: Any, shape: Any) -> Any:
    return reshape(input, shape)


def view(self: Any, *shape: Any, dtype: Any = None) -> Any:
    """The same memory under another shape, or read as another dtype."""
    if dtype is not None or (len(shape) == 1 and shape[0].__class__ is dtypes.dtype):
        return view_dtype(self, core_of(dtype or shape[0]))
    wanted = infer_extent(shape_of_arguments(shape, "view"), self.layout.size)
    place = self.layout
    if not place.contiguous and reshape_strides(place.shape, place.strides, wanted) is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return call.current.apply1(movement.RESHAPE, self, (wanted,))


def view_dtype(x: Any, core: Any) -> Any:
    """The same bytes read as another dtype; off the tape."""
    place = x.layout
    old, new = place.dtype.itemsize, core.itemsize
    shape, strides = place.shape, place.strides
    if old != new:
        if not shape:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {dtypes.of(place.dtype)} as {dtypes.of(core)} "
                "(different element sizes)"
            )
        if strides[-1] != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {dtypes.of(place.dtype)} as {dtypes.of(core)} "
                f"(different element sizes), but got {strides[-1]}"
            )
        if old > new:
            ratio = old // new
            shape = (*shape[:-1], shape[-1] * ratio)
            strides = (*[step * ratio for step in strides[:-1]], 1)
        else:
            ratio = new // old
            if shape[-1] % ratio or any(step % ratio for step in strides[:-1]):
                raise RuntimeError(
                    f"self.size(-1) must be divisible by {ratio} to view {dtypes.of(place.dtype)} "
                    f"as {dtypes.of(core)} (different element sizes), but got {shape[-1]}"
                )
            if (x.address - x.buffer.address) % new:
                raise RuntimeError(
                    f"self.storage_offset() must be divisible by {ratio} to view "
                    f"{dtypes.of(place.dtype)} as {dtypes.of(core)}, but got {x.offset}"
                )
            shape = (*shape[:-1], shape[-1] // ratio)
            strides = (*[step // ratio for step in strides[:-1]], 1)
    out = wrap(x.result_type, layout(core, shape, strides), x.buffer, x.address)
    out.base = x if x.base is None else x.base
    return out


def view_as(self: Any, other: CoreTensor) -> Any:
    """A view in another tensor's shape."""
    other = face(other, "view_as", "other", 2)
    return view(self, other.layout.shape)


def reshape_as(self: Any, other: CoreTensor) -> Any:
    """The elements in another tensor's shape."""
    return reshape(self, other.layout.shape)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Some neighbouring axes joined to one."""
    x = face(input, "flatten")
    shape = x.layout.shape
    if not shape:
        return call.current.apply1(movement.RESHAPE, x, ((1,),))
    first, last = axis_of(start_dim, len(shape)), axis_of(end_dim, len(shape))
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if first == last:
        return x
    joined = 1
    for extent in shape[first : last + 1]:
        joined *= extent
    return call.current.apply1(movement.RESHAPE, x, ((*shape[:first], joined, *shape[last + 1 :]),))


def ravel(input: Any) -> Any:
    """All elements along one axis."""
    x = face(input, "ravel")
    return call.current.apply1(movement.RESHAPE, x, ((x.layout.size,),))


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """One axis cut into several."""
    x = face(input, "unflatten")
    shape = x.layout.shape
    axis = axis_of(dim, len(shape))
    parts = shape_of_arguments((sizes,), "unflatten")
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = infer_extent(parts, shape[axis])
    except RuntimeError as error:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {axis} "
            f"({shape[axis]}) in the input tensor"
        ) from error
    return view(x, (*shape[:axis], *parts, *shape[axis + 1 :]))


# ---- axes


def permute(input: Any, *dims: Any) -> Any:
    """A view with the axes in another order."""
    x = face(input, "permute")
    order = shape_of_arguments(dims, "permute")
    ndim = x.layout.ndim
    if len(order) != ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {ndim} is not equal "
            f"to len(dims) = {len(order)}"
        )
    axes = tuple([axis_of(dim, ndim) for dim in order])
    if len(set(axes)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return call.current.apply1(movement.TRANSPOSE, x, (axes,))


def _permute_function(input: Any, dims: Any) -> Any:
    return permute(input, dims)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """A view with two axes exchanged."""
    x = face(input, "transpose")
    ndim = x.layout.ndim
    first, second = axis_of(dim0, ndim), axis_of(dim1, ndim)
    axes = list(range(ndim))
    if ndim:
        axes[first], axes[second] = second, first
    result = call.current.apply1(movement.TRANSPOSE, x, (tuple(axes),))
    return label(result, "TransposeBackward0")


def t(input: Any) -> Any:
    """The transpose of a matrix (a vector as it is)."""
    x = face(input, "t")
    ndim = x.layout.ndim
    if ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {ndim}D")
    if ndim < 2:
        return same_value(x)
    return label(call.current.apply1(movement.TRANSPOSE, x, ((1, 0),)), "TBackward0")


def reversed_axes(self: Any) -> Any:
    """``.T``: the axes in reverse order."""
    axes = tuple(range(self.layout.ndim))[::-1]
    return call.current.apply1(movement.TRANSPOSE, self, (axes,))


def adjoint(input: Any) -> Any:
    """The last two axes exchanged, and the conjugate."""
    x = face(input, "adjoint")
    return matrix_transpose(x).conj()


def matrix_transpose(self: Any) -> Any:
    """``.mT``: the last two axes exchanged."""
    if self.layout.ndim < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got "
            f"{self.layout.ndim}-D tensor."
        )
    return transpose(self, -2, -1)


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """A view with some axes moved to other places."""
    x = face(input, "movedim")
    ndim = x.layout.ndim
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source ("
            f"{sources} dims) should contain the same number of dims as destination "
            f"({targets} dims)"
        )
    sources = [axis_of(dim, ndim) for dim in sources]
    targets = [axis_of(dim, ndim) for dim in targets]
    for name, dims in (("source", sources), ("destination", targets)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    order = [axis for axis in range(ndim) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return call.current.apply1(movement.TRANSPOSE, x, (tuple(order),))


def squeeze(input: Any, dim: Any = None) -> Any:
    """A view without axes of extent 1 (all, or those named)."""
    x = face(input, "squeeze")
    shape = x.layout.shape
    if dim is None:
        kept = tuple([extent for extent in shape if extent != 1])
    else:
        dims = dim if isinstance(dim, (tuple, list)) else (dim,)
        axes = {axis_of(d, len(shape)) for d in dims}
        kept = tuple([n for axis, n in enumerate(shape) if axis not in axes or n != 1])
    name = "SqueezeBackward0" if dim is None else "SqueezeBackward1"
    return label(call.current.apply1(movement.RESHAPE, x, (kept,)), name)


def unsqueeze(input: Any, dim: int) -> Any:
    """A view with a new axis of extent 1."""
    x = face(input, "unsqueeze")
    shape = x.layout.shape
    axis = axis_of(dim, len(shape) + 1)
    result = call.current.apply1(movement.RESHAPE, x, ((*shape[:axis], 1, *shape[axis:]),))
    return label(result, "UnsqueezeBackward0")


def expand(self: Any, *size: Any, implicit: bool = False) -> Any:
    """A view repeated along axes of extent 1 and new leading ones; -1 keeps an extent."""
    sizes = shape_of_arguments(size, "expand")
    shape = self.layout.shape
    pad = len(sizes) - len(shape)
    if pad < 0:
        raise RuntimeError(
            f"expand({tensor_words(self)}, size={list(sizes)}): the number of sizes provided "
            f"({len(sizes)}) must be greater or equal to the number of dimensions in the tensor "
            f"({len(shape)})"
        )
    wanted = []
    for axis, extent in enumerate(sizes):
        old = shape[axis - pad] if axis >= pad else None
        if extent == -1:
            if old is None:
                raise RuntimeError(
                    f"The expanded size of the tensor ({extent}) isn't allowed in a leading, "
                    f"non-existing dimension {axis}"
                )
            extent = old
        elif old is not None and old != 1 and old != extent:
            raise RuntimeError(
                f"The expanded size of the tensor ({extent}) must match the existing size ({old}) "
                f"at non-singleton dimension {axis}.  Target sizes: {list(sizes)}.  Tensor sizes: "
                f"{list(shape)}"
            )
        wanted.append(extent)
    return call.current.apply1(movement.BROADCAST, self, (tuple(wanted),))


def tensor_words(x: CoreTensor) -> str:
    """``torch.FloatTensor{[2, 3]}``: a tensor in PyTorch's messages."""
    return f"torch.{dtypes.scalar_name(x.layout.dtype)}Tensor{{{list(x.layout.shape)}}}"


def expand_as(self: Any, other: CoreTensor) -> Any:
    """Expanded to another tensor's shape."""
    other = face(other, "expand_as", "other")
    return expand(self, other.layout.shape)


def broadcast_to(input: Any, size: Any) -> Any:
    """A view of a broadcast shape."""
    return expand(face(input, "broadcast_to"), size)


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A view of a diagonal as the last axis."""
    x = face(input, "diagonal")
    first, second = axis_of(dim1, x.layout.ndim), axis_of(dim2, x.layout.ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return call.current.apply1(movement.DIAGONAL, x, (offset, first, second))


def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """Any view of the tensor's memory, which must lie within it."""
    x = face(input, "as_strided")
    shape, strides = tuple(int(n) for n in size), tuple(int(n) for n in stride)
    if len(shape) != len(strides):
        raise RuntimeError("mismatch in length of strides and shape")
    offset = x.offset if storage_offset is None else int(storage_offset)
    if any(step < 0 for step in strides):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(strides)}"
        )
    if any(extent < 0 for extent in shape):
        raise RuntimeError(f"as_strided: negative size in {list(shape)}")
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    itemsize = x.layout.dtype.itemsize
    place = layout(x.layout.dtype, shape, strides)
    needed = (offset + place.span) * itemsize
    if place.size and needed > x.buffer.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {itemsize} requiring a storage size of {needed} are out of bounds for "
            f"storage of size {x.buffer.nbytes}"
        )
    if x.node is not None and tape.mode.enabled:
        if not x.layout.contiguous or x.offset:
            raise NotImplementedError(
                "as_strided of a tensor that is not contiguous, or a view with an offset, while a "
                "gradient is wanted, is not implemented in diptych"
            )
        if offset + place.span > x.layout.size:
            raise NotImplementedError(
                "as_strided beyond a view while a gradient is wanted is not implemented in diptych"
            )
        return call.current.apply1(movement.AS_STRIDED, x, (shape, strides, offset))
    address = x.buffer.address + offset * itemsize
    out = wrap(x.result_type, place, x.buffer, address)
    out.base = x if x.base is None else x.base
    return out


def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """A view of all windows of one axis, the windows' elements as a last axis."""
    place = self.layout
    axis = axis_of(dimension, place.ndim)
    extent = place.shape[axis] if place.ndim else 1
    if size < 0 or size > extent:
        raise RuntimeError(
            f"maximum size for tensor at dimension {axis} is {extent} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not place.ndim:
        return as_strided(self, (size,), (1,))
    count = (extent - size) // step + 1
    shape = (*place.shape[:axis], count, *place.shape[axis + 1 :], size)
    stride = place.strides[axis]
    strides = (*place.strides[:axis], stride * step, *place.strides[axis + 1 :], stride)
    recorded = self.node is not None and tape.mode.enabled
    if (recorded or not self.address) and place.size:  # a traced value has no address
        if not place.contiguous:
            return unfold(contiguous(self), dimension, size, step)
        return call.current.apply1(movement.AS_STRIDED, self, (shape, strides, 0))
    return as_strided(self, shape, strides)


# ---- pieces


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """A view of ``length`` entries of an axis from ``start``."""
    x = face(input, "narrow")
    shape = x.layout.shape
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = axis_of(dim, len(shape))
    start = int(start)
    extent = shape[axis]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -extent <= start <= extent:
        raise IndexError(
            f"start out of range (expected to be in range of [{-extent}, {extent}], but got "
            f"{start})"
        )
    if start < 0:
        start += extent
    if start + length > extent:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({extent})."
        )
    return movement.narrow(x, axis, start, length)


def select_(input: Any, dim: int, index: Any) -> Any:
    """A view of one entry of an axis, which disappears."""
    x = face(input, "select")
    shape = x.layout.shape
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = axis_of(dim, len(shape))
    index = int(index)
    extent = shape[axis]
    if not -extent <= index < extent:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at dimension "
            f"{axis}"
        )
    position = index + extent if index < 0 else index
    entry = movement.squeeze_axes(movement.narrow(x, axis, position, 1), (axis,))
    return label(entry, "SelectBackward0")


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces of an axis."""
    x = face(tensor, "split", "tensor")
    shape = x.layout.shape
    if not shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    axis = axis_of(dim, len(shape))
    extent = shape[axis]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0:
            raise RuntimeError(
                f"split expects split_size be non-negative, but got split_size={size}"
            )
        if size == 0 and extent:
            raise RuntimeError(
                "split_size can only be 0 if dimension size is 0, but got dimension size of "
                f"{extent}"
            )
        count = max((extent + size - 1) // size, 1) if size else 1
        sizes = [min(size, extent - k * size) for k in range(count)]
    else:
        sizes = [int(size) for size in split_size_or_sections]
        if sum(sizes) != extent or any(size < 0 for size in sizes):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {extent} (input tensor's "
                f"size at dimension {axis}), but got split_sizes={sizes}"
            )
    return tuple(sections(x, axis, sizes))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most ``chunks`` pieces of an axis, equal but for the last."""
    x = face(input, "chunk")
    if not x.layout.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    extent = x.layout.shape[axis_of(dim, x.layout.ndim)]
    size = -(-extent // chunks)
    if not extent:
        _check_sections(chunks)
        return split(x, [0] * chunks, dim)
    return split(x, size, dim)


def _check_sections(count: int) -> None:
    """RuntimeError for more pieces than memory could hold: most of them would be empty."""
    if count > 1 << 24:
        raise RuntimeError(f"cannot cut a tensor into {count} sections; at most 2**24")


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of an axis: a number of nearly equal ones, or cut at given places."""
    x = face(input, "tensor_split")
    if not x.layout.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got 0")
    axis = axis_of(dim, x.layout.ndim)
    extent = x.layout.shape[axis]
    if isinstance(indices_or_sections, CoreTensor):
        indices_or_sections = indices_or_sections.array().tolist()
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {count}")
        _check_sections(count)
        size, longer = divmod(extent, count)  # the first pieces have one element more
        cuts = [k * size + min(k, longer) for k in range(1, count)]
    else:
        cuts = [int(cut) for cut in indices_or_sections]
    bounds = [0, *cuts, extent]
    pieces = []
    for first, last in zip(bounds, bounds[1:], strict=False):
        first, last, _ = slice(first, last).indices(extent)
        pieces.append(movement.narrow(x, axis, first, max(last - first, 0)))
    return tuple(pieces)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of every entry of an axis."""
    x = face(input, "unbind")
    if not x.layout.ndim:
        raise RuntimeError("Dimension specified as 0 but tensor has no dimensions")
    place = x.layout
    axis = axis_of(dim, place.ndim)
    if x.node is None and x.address:  # off the tape: all entries have one layout
        shape, strides = place.shape, place.strides
        entry = layout(
            place.dtype,
            (*shape[:axis], *shape[axis + 1 :]),
            (*strides[:axis], *strides[axis + 1 :]),
        )
        base = x if x.base is None else x.base
        cls, buffer, step = x.result_type, x.buffer, strides[axis] * place.dtype.itemsize
        address = x.address
        entries = []
        for k in range(shape[axis]):
            out = wrap(cls, entry, buffer, address + k * step)
            out.base = base
            entries.append(out)
        return tuple(entries)
    return tuple(sections(x, axis, [1] * place.shape[axis], drop=True))


def _axis_split(name: str, axis: int, least: int) -> Any:
    def function(input: Any, indices_or_sections: Any) -> Any:
        x = face(input, name)
        ndim = x.layout.ndim
        if ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor "
                f"with {ndim} dimensions!"
            )
        place = 0 if name == "hsplit" and ndim == 1 else axis
        if isinstance(indices_or_sections, int) and indices_or_sections <= 0:
            raise RuntimeError(
                f"number of sections must be larger than 0, got {indices_or_sections}"
            )
        if isinstance(indices_or_sections, int) and x.layout.shape[place] % indices_or_sections:
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {place}, but the size of the "
                f"dimension {x.layout.shape[place]} is not divisible by the split_size "
                f"{indices_or_sections}!"
            )
        return tensor_split(x, indices_or_sections, place)

    function.__name__ = function.__qualname__ = name
    return function


# ---- copies


def contiguous(self: Any, memory_format: Any = None) -> Any:
    """The tensor itself when its elements lie in row-major order, else a copy that does."""
    if memory_format is not None:
        return arranged(self, memory_format)
    return self if self.layout.contiguous else select.copy(self)


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy in memory of its own, on the tape."""
    made = select.copy(face(input, "clone"))
    if memory_format is not None:
        made = arranged(made, memory_format)
    return label(made, "CloneBackward0")


def detach(input: Any) -> Any:
    """The same memory, off the tape."""
    x = face(input, "detach")
    out = alias(x, x.result_type)
    out.base = x if x.base is None else x.base
    return out


def flip(input: Any, *dims: Any) -> Any:
    """A copy with some axes reversed."""
    x = face(input, "flip")
    axes = tuple(sorted(axis_of(dim, x.layout.ndim) for dim in shape_of_arguments(dims, "flip")))
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"dim {axes[0]} appears multiple times in the list of dims")
    if not x.layout.ndim:
        return clone(x)
    return label(select.copy(movement.flip(x, axes)), "FlipBackward0")


def _flip_function(input: Any, dims: Any) -> Any:
    return flip(input, dims)


def fliplr(input: Any) -> Any:
    """The second axis reversed."""
    if face(input, "fliplr").layout.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """The first axis reversed."""
    if face(input, "flipud").layout.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """A quarter turn, k times, in the plane of two axes."""
    x = face(input, "rot90")
    first, second = dims
    k %= 4
    if k == 1:
        return transpose(flip(x, second), first, second).clone()
    if k == 2:
        return flip(x, (first, second))
    if k == 3:
        return flip(transpose(x, first, second), second)
    return clone(x)


def repeat(self: Any, *sizes: Any) -> Any:
    """A copy with the whole tensor repeated along every axis."""
    times = shape_of_arguments(sizes, "repeat")
    shape = self.layout.shape
    pad = len(times) - len(shape)
    if pad < 0:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    if any(count < 0 for count in times):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(times)}")
    old = (*([1] * pad), *shape)
    apart = [n for extent in old for n in (1, extent)]
    grown = [n for count, extent in zip(times, old, strict=True) for n in (count, extent)]
    x = call.current.apply1(movement.RESHAPE, self, (tuple(apart),))
    x = call.current.apply1(movement.BROADCAST, x, (tuple(grown),))
    x = select.copy(x)
    joined = tuple([count * extent for count, extent in zip(times, old, strict=True)])
    return label(call.current.apply1(movement.RESHAPE, x, (joined,)), "RepeatBackward0")


def tile(input: Any, *dims: Any) -> Any:
    """Like ``repeat``, missing counts being 1."""
    x = face(input, "tile")
    times = shape_of_arguments(dims, "tile")
    return repeat(x, (*([1] * (x.layout.ndim - len(times))), *times))


_BOTH = (
    view_as, reshape_as, flatten, ravel, unflatten, transpose, t, adjoint, movedim, squeeze,
    unsqueeze, broadcast_to, diagonal, as_strided, narrow, split, chunk, tensor_split, unbind,
    clone, detach, fliplr, flipud, rot90, tile,
)  # fmt: skip
_SPLITS = (_axis_split("hsplit", 1, 1), _axis_split("vsplit", 0, 2), _axis_split("dsplit", 2, 3))
METHODS: dict[str, Any] = {
    f.__name__: f
    for f in (*_BOTH, *_SPLITS, reshape, view, permute, expand, expand_as, unfold, contiguous, flip,
              repeat)
}  # fmt: skip
del METHODS["detach"]  # the class has its own, which the function calls
METHODS.update(
    select=select_, swapaxes=transpose, swapdims=transpose, moveaxis=movedim,
    split_with_sizes=split, T=property(reversed_axes), mT=property(matrix_transpose),
    H=property(adjoint), mH=property(adjoint),
)  # fmt: skip
FUNCTIONS: dict[str, Any] = {f.__name__: f for f in (*_BOTH, *_SPLITS)}
for _name in ("view_as", "reshape_as"):
    del FUNCTIONS[_name]
FUNCTIONS.update(
    reshape=_reshape_function, permute=_permute_function, flip=_flip_function, select=select_,
    swapaxes=transpose, swapdims=transpose, moveaxis=movedim, split_with_sizes=split,
)  # fmt: skip
