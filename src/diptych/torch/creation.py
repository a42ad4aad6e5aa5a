"""Making tensors: from Python values and arrays, constants, ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.core import tape
from diptych.core.dtypes import BY_NUMPY, DType
from diptych.core.layout import Layout, check_shape
from diptych.core.layout import layout as layout_of
from diptych.core.samples import SampleBuffer
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import alias, copy_array, from_array
from diptych.core.tensor import empty as empty_core
from diptych.ops import select
from diptych.torch import dtypes, outputs, promotion
from diptych.torch.device import CPU, check_device, check_layout
from diptych.torch.dtypes import Default, core_of
from diptych.torch.size import Size, shape_of_arguments
from diptych.torch.tensor import Tensor, axis_of, face

Array = np.ndarray[Any, Any]


# ---- from values


def array_of(data: Any) -> tuple[Array, DType | None]:
    """Nested sequences, numbers, arrays or tensors as an array, and the dtype they ask for.

    The dtype is None where it follows from the array's own.
    """
    if isinstance(data, CoreTensor):
        return data.array(), data.layout.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        return array, _dtype_of_array(array)
    if isinstance(data, (bool, int, float, complex)):
        return _checked(np.array(data), data), promotion.number_dtype(data)
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    if hasattr(data, "__array__") and not isinstance(data, (list, tuple)):
        array = np.asarray(data)
        return array, _dtype_of_array(array)
    if not isinstance(data, Sequence) and not hasattr(data, "__getitem__"):
        if hasattr(data, "__index__"):
            return np.array(data.__index__()), engine.int64
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    leaf = _first_leaf(data)
    if isinstance(leaf, CoreTensor):
        found = {x.layout.dtype if isinstance(x, CoreTensor) else None for x in _leaves(data)}
        array = _nested(_plain(data))
        if len(found) == 1:
            return array, found.pop()
        return array, promotion.number_dtype(array.ravel()[0].item())
    array = _nested(data)
    if array.size == 0:
        return array, (Default.core if not isinstance(leaf, np.ndarray) else None)
    if isinstance(leaf, (np.ndarray, np.generic)):
        return array, None
    kind = array.dtype.kind
    if kind == "f":
        return array, Default.core
    if kind == "c":
        return array, dtypes.default_complex()
    return array, engine.bool_ if kind == "b" else engine.uint64 if kind == "u" else engine.int64


def _dtype_of_array(array: Array) -> DType:
    if array.dtype.kind in "OSUVmM":
        raise TypeError(
            f"can't convert np.ndarray of type {_type_name(array)}. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, "
            "uint32, uint16, uint8, and bool."
        )
    return engine.from_numpy(array.dtype)


def _type_name(array: Array) -> str:
    return f"numpy.{array.dtype.type.__name__}"


def _first_leaf(data: Any) -> Any:
    while isinstance(data, (list, tuple)) or (
        isinstance(data, Sequence) and not isinstance(data, str)
    ):
        if len(data) == 0:
            return None
        data = data[0]
    return data


def _plain(data: Any) -> Any:
    """Tensors of one element inside nested lists as numbers."""
    if isinstance(data, CoreTensor):
        if data.layout.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return data.values().item()
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data


def _leaves(data: Any) -> list[Any]:
    if isinstance(data, (list, tuple)):
        return [leaf for item in data for leaf in _leaves(item)]
    return [data]


def _nested(data: Any) -> Array:
    """A nested sequence as an array; PyTorch's errors for ragged ones and for what is no number."""
    try:
        array = np.array(data)
    except ValueError:
        _explain_ragged(data, 0)
        raise
    except OverflowError as error:
        raise ValueError("Overflow when unpacking long long") from error
    if array.dtype.kind not in "biufc":
        _explain_objects(data, array)
    return array


def _checked(array: Array, data: Any) -> Array:
    if array.dtype.kind == "O":
        raise ValueError("Overflow when unpacking long long")
    return array


def _explain_ragged(data: Any, depth: int) -> None:
    if isinstance(data, (list, tuple)) and data:
        first = data[0]
        length = len(first) if hasattr(first, "__len__") else None
        for item in data:
            if length is None:
                if hasattr(item, "__len__"):
                    raise TypeError(f"must be real number, not {type(item).__name__}")
            elif not hasattr(item, "__len__"):
                raise TypeError(f"not a sequence: {type(item).__name__}")
            elif len(item) != length:
                raise ValueError(
                    f"expected sequence of length {length} at dim {depth + 1} (got {len(item)})"
                )
        for item in data:
            _explain_ragged(item, depth + 1)


def _explain_objects(data: Any, array: Array) -> None:
    for item in array.ravel().tolist():
        if isinstance(item, str):
            raise ValueError("too many dimensions 'str'")
        if isinstance(item, int):
            raise ValueError("Overflow when unpacking long long")
        if item is None or not isinstance(item, (bool, float, complex)):
            raise RuntimeError(f"Could not infer dtype of {type(item).__name__}")
    raise TypeError(f"new(): invalid data type '{array.dtype}'")


def as_dtype(array: Array, dtype: DType, cls: Any = Tensor, bits: bool = False) -> Any:
    """A fresh tensor with the array's values in ``dtype``; ``bits``: it holds bfloat16's bits."""
    if bits:
        if dtype is engine.bfloat16:
            return copy_array(array, cls, dtype)
        array = engine.bfloat16_to_float32(array)
    if array.dtype.kind == "c" and not dtype.is_complex and dtype.kind != "b":
        array = array.real
    if dtype is engine.bfloat16 and array.dtype != np.float32:
        array = np.asarray(array, np.float32)
    with np.errstate(all="ignore"):
        if array.dtype.kind == "f" and dtype.is_integer:
            array = array.astype(np.int64 if dtype.kind == "i" else np.int64)
        return copy_array(array, cls, dtype)


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A new tensor that copies ``data``: a number, nested sequences, an array or a tensor."""
    if device is not None:
        check_device(device)
    if dtype is None:
        if (made := _of_plain(data)) is not None:
            return finished(made, True) if requires_grad else made
        array, found = array_of(data)
        wanted = found or engine.from_numpy(array.dtype)
        if wanted is engine.uint64 and not isinstance(data, (CoreTensor, np.ndarray, np.generic)):
            raise ValueError("Overflow when unpacking long long")
    else:
        wanted = core_of(dtype, "tensor")
        array, found = _wanted(data, wanted)
    bits = found is engine.bfloat16 and array.dtype == np.uint16
    return finished(as_dtype(array, wanted, Tensor, bits), requires_grad)


def _of_plain(data: Any) -> Any:
    """A float, an int or a flat list of either alone, the short way; None for anything else."""
    kind = data.__class__
    if kind is float and Default.core is engine.float32:
        return filled_as(_NUMBER, data)
    if kind is list and 0 < len(data) <= _PLAIN_MOST:
        kinds = set(map(type, data))
        kind = kinds.pop() if len(kinds) == 1 else None
    if kind is float:
        core = Default.core
    elif kind is int:
        core = engine.int64
    else:
        return None
    if not core.exact:
        return None
    if kind is float and core is not engine.float64:
        # What float32 cannot hold goes the long way.
        if core is not engine.float32 or not -_MOST32 <= min(data) <= max(data) <= _MOST32:
            return None
        array = np.array(data, np.float32)
    else:
        try:
            array = np.array(data, core.numpy)
        except OverflowError:
            return None  # the long way says why
    return from_array(array, Tensor)


_PLAIN_MOST = 256
_NUMBER = layout_of(engine.float32, ())


def _wanted(data: Any, wanted: DType) -> tuple[Array, DType | None]:
    """:func:`array_of` where a dtype is given: what does not fit it is refused."""
    own = isinstance(data, (CoreTensor, np.ndarray, np.generic))
    whole = "object cannot be interpreted as an integer"
    try:
        array, found = array_of(data)
    except (RuntimeError, NotImplementedError) as error:
        kind = str(error).rpartition(" ")[2]
        if wanted.is_inexact:
            raise TypeError(f"must be real number, not {kind}") from error
        raise TypeError(f"'{kind}' {whole}") from error
    if own:
        return array, found
    if array.dtype.kind == "c" and not wanted.is_complex and wanted.kind != "b":
        if wanted.is_float:
            raise TypeError("must be real number, not complex")
        raise TypeError(f"'complex' {whole}")
    if wanted.is_integer and array.dtype.kind == "u":
        raise ValueError("Overflow when unpacking long long")
    if wanted.is_integer and array.size and array.dtype.kind in "fi":
        for extreme in (array.min(), array.max()):
            fitting(extreme.item(), wanted, wanted.name)
    return array, found


def finished(made: Any, requires_grad: bool) -> Any:
    """A fresh leaf, wanting a gradient when asked."""
    if requires_grad:
        if not made.layout.dtype.is_inexact:
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        tape.require_gradient(made)
    return made


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, without a copy where it is a tensor or an array of the right dtype."""
    check_device(device)
    if isinstance(data, CoreTensor):
        x = face(data, "as_tensor")
        return x if dtype is None else select.cast(x, core_of(dtype))  # type: ignore[return-value]
    if isinstance(data, np.ndarray) and data.dtype.kind in "biufc" and data.dtype.isnative:
        x = from_array(data, Tensor)
        return x if dtype is None else select.cast(x, core_of(dtype))  # type: ignore[return-value]
    return tensor(data, dtype=dtype)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``obj`` as a tensor, sharing memory where that is possible and not forbidden."""
    if hasattr(obj, "untyped") and hasattr(obj, "_buffer"):  # a storage: its bytes, so read
        core = Default.core if dtype is None else core_of(dtype, "asarray")
        flat = np.frombuffer(obj.untyped()._buffer.memory, core.numpy)
        obj = from_array(flat, Tensor, core)
    shared = tensor(obj, dtype=dtype) if copy else as_tensor(obj, dtype, device)
    if copy is False and not isinstance(obj, (CoreTensor, np.ndarray)):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    return finished(shared, requires_grad) if requires_grad else shared


def from_numpy(array: Any) -> Tensor:
    """A tensor on the array's own memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    known = BY_NUMPY.get(array.dtype)
    if known is not None and array.flags.c_contiguous:
        return from_array(array, Tensor, known)
    _dtype_of_array(array)
    if min(array.strides, default=0) < 0:
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    return from_array(array, Tensor)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A tensor on an object's memory (its buffer protocol)."""
    core = core_of(dtype, "frombuffer")
    array = np.frombuffer(buffer, core.numpy, count, offset)
    return finished(from_array(array, Tensor, core), requires_grad)


def scalar_tensor(
    s: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A 0-d tensor of a number, in the default dtype unless told."""
    made = full((), s, dtype=dtype or dtypes.get_default_dtype(), device=device)
    return finished(made, requires_grad)


# ---- constants


# What PyTorch's messages call the C type of an element.
_C_TYPES = {"float32": "float", "float64": "double", "bool": "bool", "float16": "at::Half"}


def fitting(value: Any, dtype: DType, words: str = "") -> Any:
    """A number that ``dtype`` holds (a float cut to a whole one); RuntimeError when it does not.

    Unsigned types take the negatives of what they hold, and wrap them.
    """
    if isinstance(value, complex) and not dtype.is_complex:
        if value.imag != 0:
            name = _C_TYPES.get(dtype.name, f"{dtype.name}_t")
            raise RuntimeError(
                f"value cannot be converted to type {words or name} without overflow"
            )
        value = value.real
    if not dtype.is_integer:
        return value
    top = (1 << (8 * dtype.itemsize - (dtype.kind == "i"))) - 1
    finite = not isinstance(value, float) or math.isfinite(value)
    if not finite or not -top - (dtype.kind == "i") <= (value := int(value)) <= top:
        name = words or f"{dtype.name}_t"
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")
    return value


def filled(shape: tuple[int, ...], value: Any, dtype: DType, cls: Any = Tensor) -> Any:
    """A fresh tensor with one value everywhere."""
    return filled_as(layout_of(dtype, shape), value, cls)


_MOST32 = float(np.finfo(np.float32).max)
_HOLDING_SMALL = frozenset(d for d in engine.ALL if d.kind != "b" and d.exact)
_SMALL = 1 << 12  # bytes; the class of a larger block may be longer than what is asked for


def filled_as(place: Layout, value: Any, cls: Any = Tensor) -> Any:
    """A fresh tensor of this row-major layout with one value everywhere."""
    made = empty_core(place, cls)
    if value.__class__ is int and value == 0 and place.nbytes <= _SMALL:
        made.buffer.memory.fill(0)  # zeros of every dtype are zero bytes
        return made
    array = made.array()
    dtype = place.dtype
    kind = value.__class__
    if (kind is float and dtype is engine.float32 and -_MOST32 <= value <= _MOST32) or (
        kind is int and dtype in _HOLDING_SMALL and 0 <= value < 128
    ):
        array.fill(value)  # nothing to check, to cut or to warn of
        return made
    value = fitting(value, dtype)
    if not dtype.exact:
        value = engine.float32_to_bfloat16(np.float32(value))
    elif dtype.is_integer and value < 0 and dtype.kind == "u":
        value += 1 << 8 * dtype.itemsize
    with np.errstate(all="ignore"):
        array[...] = value
    return made


def _shape(size: tuple[Any, ...], function: str) -> tuple[int, ...]:
    shape = shape_of_arguments(size, function)
    for extent in shape:
        if extent < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {extent}: {list(shape)}"
            )
    return check_shape(shape, function)


_LAYOUTS: dict[Any, Layout] = {}
_LAYOUTS_LIMIT = 1024


def plain_layout(core: DType, size: tuple[Any, ...]) -> Layout | None:
    """The layout that plain ints ask for, or a tuple of them; None for what needs a closer look."""
    if len(size) == 1 and (size[0].__class__ is tuple or size[0].__class__ is Size):
        size = size[0]
    for extent in size:
        if extent.__class__ is not int:
            return None
    found = _LAYOUTS.get((core, size))
    if found is None:
        if len(_LAYOUTS) >= _LAYOUTS_LIMIT:
            _LAYOUTS.clear()
        found = _LAYOUTS[core, size] = layout_of(core, _shape(tuple(size), "empty"))
    return found


def _constant(name: str, value: Any) -> Any:
    def function(
        *size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
        pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None,
        **given: Any,
    ) -> Any:  # fmt: skip
        if given:
            if "size" not in given or len(given) > 1 or size:
                unknown = next(key for key in given)
                raise TypeError(f"{name}() got an unexpected keyword argument '{unknown}'")
            size = (given["size"],)
        elif not size:
            raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
        if out is None and layout is None and (device is None or device is CPU):
            core = Default.core if dtype is None else core_of(dtype, name)
            place = plain_layout(core, size)
            if place is not None:
                made = empty_core(place, Tensor) if value is None else filled_as(place, value)
                return finished(made, True) if requires_grad else made
        if device is not None:
            check_device(device)
        check_layout(layout)
        core = Default.core if dtype is None else core_of(dtype, name)
        if dtype is None and out is not None:
            core = out.layout.dtype
        shape = _shape(size, name)
        made = (
            empty_core(layout_of(core, shape), Tensor)
            if value is None
            else filled(shape, value, core)
        )
        if out is not None:
            return outputs.write(out, made, name)
        return finished(made, True) if requires_grad else made

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"A tensor of a shape, holding {'anything' if value is None else value}."
    return function


zeros = _constant("zeros", 0)
ones = _constant("ones", 1)
empty = _constant("empty", None)


def full(
    size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """A tensor of a shape with one value everywhere; the dtype follows the value unless given."""
    check_device(device)
    if out is None and not requires_grad and layout is None:
        kind = fill_value.__class__
        if kind is float or kind is int or kind is bool:
            core = promotion.number_dtype(fill_value) if dtype is None else core_of(dtype, "full")
            place = plain_layout(core, (size,))
            if place is not None:
                return filled_as(place, fill_value)
    if isinstance(fill_value, CoreTensor):
        found, fill_value = fill_value.layout.dtype, fill_value.item()
    elif isinstance(fill_value, np.generic):
        fill_value = fill_value.item()
        found = promotion.number_dtype(fill_value)
    else:
        found = promotion.number_dtype(fill_value)
    core = core_of(dtype, "full") if dtype is not None else found
    made = filled(_shape((size,), "full"), fill_value, core)
    if out is not None:
        return outputs.write(out, made, "full")
    return finished(made, requires_grad)


def like(input: Any, function: str, dtype: Any, device: Any, layout: Any) -> DType:
    """The dtype of a ``*_like`` call, its other arguments checked."""
    check_device(device)
    check_layout(layout)
    return input.layout.dtype if dtype is None else core_of(dtype, function)


def _constant_like(name: str, value: Any) -> Any:
    def function(
        input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False,
    ) -> Any:  # fmt: skip
        x = face(input, name)
        core = like(x, name, dtype, device, layout)
        place = x.layout
        if not place.contiguous or core is not place.dtype:
            place = layout_of(core, place.shape)
        made = empty_core(place, Tensor) if value is None else filled_as(place, value)
        if x.buffer.__class__ is SampleBuffer:
            made = x.buffer.level.spread(made)  # room for values that differ between samples
        return finished(made, True) if requires_grad else made

    function.__name__ = function.__qualname__ = name
    return function


zeros_like = _constant_like("zeros_like", 0)
ones_like = _constant_like("ones_like", 1)
empty_like = _constant_like("empty_like", None)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Any:  # fmt: skip
    """A tensor of another's shape and dtype with one value everywhere."""
    x = face(input, "full_like")
    core = like(x, "full_like", dtype, device, layout)
    if isinstance(fill_value, CoreTensor):
        fill_value = fill_value.item()
    return finished(filled(x.layout.shape, fill_value, core), requires_grad)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """A tensor of unknown content with the given strides."""
    check_device(device)
    core = Default.core if dtype is None else core_of(dtype)
    shape, strides = _shape((size,), "empty_strided"), tuple(int(step) for step in stride)
    if len(shape) != len(strides):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {list(strides)}, {list(shape)}"
        )
    if any(step < 0 for step in strides):
        raise RuntimeError(f"as_strided: Negative strides are not supported, got {list(strides)}")
    place = layout_of(core, shape, strides)
    flat = empty_core(layout_of(core, (place.span,)), Tensor)
    flat.layout = place
    return finished(flat, requires_grad)


# ---- ranges


def arange(
    *bounds: Any, start: Any = None, end: Any = None, step: Any = None, out: Any = None,
    dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """start, start + step, ... below end."""
    if device is not None:
        check_device(device)
    if len(bounds) == 1 and bounds[0].__class__ is int and 0 < bounds[0]:
        if start is None and end is None and step is None and dtype is None and out is None:
            made = from_array(np.arange(bounds[0]), Tensor, engine.int64)
            return finished(made, True) if requires_grad else made
    values = [x.item() if isinstance(x, (CoreTensor, np.generic)) else x for x in bounds]
    if len(values) > 3 or (not values and end is None):
        raise TypeError(f"arange() takes 1 to 3 positional arguments but {len(values)} were given")
    if end is not None:
        values = [*values, end] if values else [0 if start is None else start, end]
    if len(values) == 1:
        values = [0, *values]
    if len(values) == 2:
        values.append(1 if step is None else step)
    values = [x.item() if isinstance(x, (CoreTensor, np.generic)) else x for x in values]
    for value in values:
        if not isinstance(value, (int, float)):
            raise TypeError(f"arange(): arguments must be Number, not {type(value).__name__}")
    first, last, by = values
    if dtype is not None:
        core = core_of(dtype, "arange")
    else:
        whole = all(isinstance(value, int) for value in values)
        core = engine.int64 if whole else Default.core
    made = as_dtype(_range(first, last, by, core), core)
    return finished(outputs.finish(made, out, "arange"), requires_grad)


def _range(first: Any, last: Any, by: Any, core: DType) -> Array:
    if by == 0:
        raise RuntimeError("step must be nonzero")
    if any(math.isinf(v) or math.isnan(v) for v in (first, last)):
        raise RuntimeError(f"unsupported range: {float(first):g} -> {float(last):g}")
    if (by > 0 and last < first) or (by < 0 and last > first):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(value, int) for value in (first, last, by))
    if whole:
        count = -((first - last) // by)
        if core.is_integer:
            return np.arange(count, dtype=np.int64) * by + first
    else:
        count = math.ceil((last - first) / by)
        if core.is_integer:  # each bound is cut to a whole number first
            return np.arange(count, dtype=np.int64) * int(by) + int(first)
    return np.arange(count) * float(by) + float(first)


def range_(start: Any = 0, end: Any = None, step: Any = 1, **rest: Any) -> Any:
    """start, start + step, ... up to and with end (PyTorch's deprecated ``range``)."""
    if end is None:
        start, end = 0, start
    count = math.floor((end - start) / step) + 1
    values = np.arange(count) * float(step) + float(start)
    dtype = rest.get("dtype")
    return as_dtype(values, Default.core if dtype is None else core_of(dtype))


def _steps(steps: Any, function: str) -> int:
    if steps is None:
        raise TypeError(f"{function}() missing 1 required positional arguments: 'steps'")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    return int(steps)


def _between(start: Any, end: Any, steps: int, core: DType) -> Array:
    """PyTorch's linspace: from the nearer end, in the compute dtype."""
    compute = np.float32 if core is engine.float32 else np.float64
    if core.is_complex:
        return np.linspace(start, end, steps)
    if core.is_integer:
        compute = np.float64
    if steps == 1:
        return np.array([start], compute)
    first, last = compute(start), compute(end)
    by = compute((last - first) / compute(max(steps - 1, 1)))
    index = np.arange(steps)
    # The product is added in one rounding, as PyTorch's vectorised kernel does.
    wide = np.float64(by)
    low = np.float64(first) + wide * index
    high = np.float64(last) - wide * (steps - 1 - index)
    return np.where(index < steps // 2, low, high).astype(compute)


def linspace(
    start: Any, end: Any, steps: Any = None, *, out: Any = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """``steps`` values from start to end, both included."""
    check_device(device)
    count = _steps(steps, "linspace")
    start, end = (x.item() if isinstance(x, CoreTensor) else x for x in (start, end))
    core = Default.core if dtype is None else core_of(dtype, "linspace")
    made = as_dtype(_between(start, end, count, core), core)
    return finished(outputs.finish(made, out, "linspace"), requires_grad)


def logspace(
    start: Any, end: Any, steps: Any = None, base: float = 10.0, *, out: Any = None,
    dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """base ** (``steps`` values from start to end)."""
    check_device(device)
    count = _steps(steps, "logspace")
    core = Default.core if dtype is None else core_of(dtype, "logspace")
    exponents = _between(start, end, count, core if core.is_inexact else engine.float64)
    with np.errstate(all="ignore"):
        made = as_dtype(np.power(exponents.dtype.type(base), exponents), core)
    return finished(outputs.finish(made, out, "logspace"), requires_grad)


def eye(
    n: Any, m: Any = None, *, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Ones on the diagonal, zeros elsewhere."""
    check_device(device)
    columns = n if m is None else m
    for letter, value in (("n", n), ("m", columns)):
        if value < 0:
            raise RuntimeError(f"{letter} must be greater or equal to 0, got {value}")
    core = Default.core if dtype is None else core_of(dtype, "eye")
    made = filled((int(n), int(columns)), 0, core)
    array = made.array()
    count = min(array.shape)
    array[np.arange(count), np.arange(count)] = 1 if core.exact else 0x3F80
    return finished(outputs.finish(made, out, "eye"), requires_grad)


# ---- Tensor's own constructor and the new_* methods


def legacy_new(cls: Any, *args: Any, device: Any = None, dtype: Any = None) -> Any:
    """``torch.Tensor(2, 3)``, ``torch.Tensor([1, 2])``: sizes, or data, in the default dtype."""
    check_device(device)
    core = Default.core if dtype is None else core_of(dtype)
    if not args:
        return empty_core(layout_of(core, (0,)), cls)
    first = args[0]
    if len(args) == 1 and not isinstance(first, int):
        if isinstance(first, CoreTensor):
            return alias(first, cls)
        if isinstance(first, tuple) and hasattr(first, "numel"):
            return empty_core(layout_of(core, _shape((first,), "new")), cls)
        if isinstance(first, (str, float)) or first is None:
            raise TypeError(f"new(): data must be a sequence (got {type(first).__name__})")
        array, found = array_of(first)
        return as_dtype(array, core, cls, found is engine.bfloat16)
    return empty_core(layout_of(core, _shape(args, "new")), cls)


def new_tensor(
    self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A new tensor of ``data`` in this one's dtype."""
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def _new_constant(name: str, function: Any) -> Any:
    def method(
        self: Any, *size: Any, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, pin_memory: bool = False,
        **given: Any,
    ) -> Any:  # fmt: skip
        made = function(
            *size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad, **given
        )
        return self.buffer.level.spread(made) if self.buffer.__class__ is SampleBuffer else made

    method.__name__ = method.__qualname__ = name
    return method


def new_full(
    self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """A new tensor of a shape and value in this one's dtype."""
    return full(
        size, fill_value, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad
    )


def new_empty_strided(self: Any, size: Any, stride: Any, *, dtype: Any = None, **rest: Any) -> Any:
    """A new tensor of the given strides in this one's dtype."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, **rest)


def complex_(real: Any, imag: Any, *, out: Any = None) -> Any:
    """The complex tensor with these parts."""
    a, b = face(real, "complex", "real"), face(imag, "complex", "imag", 2)
    return outputs.finish(select.complex_(a, b), out, "complex")


def polar(abs: Any, angle: Any, *, out: Any = None) -> Any:
    """The complex tensor of these sizes and angles."""
    size, turn = face(abs, "polar", "abs"), face(angle, "polar", "angle", 2)
    return outputs.finish(select.complex_(size * turn.cos(), size * turn.sin()), out, "polar")  # type: ignore[attr-defined]


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, **rest: Any) -> Any:
    """The indices of a matrix's lower triangle, a row for rows and one for columns."""
    return as_dtype(np.stack(np.tril_indices(row, offset, col)), core_of(dtype or int))


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, **rest: Any) -> Any:
    """The indices of a matrix's upper triangle, a row for rows and one for columns."""
    return as_dtype(np.stack(np.triu_indices(row, offset, col)), core_of(dtype or int))


FUNCTIONS = {
    function.__name__: function
    for function in (
        tensor, as_tensor, asarray, from_numpy, frombuffer, scalar_tensor, zeros, ones, empty, full,
        zeros_like, ones_like, empty_like, full_like, empty_strided, arange, linspace, logspace,
        eye, polar, tril_indices, triu_indices,
    )
}  # fmt: skip
FUNCTIONS.update(range=range_, complex=complex_)
for _function in FUNCTIONS.values():
    _function.__module__ = "torch"
METHODS = {
    "new_tensor": new_tensor, "new_full": new_full, "new_empty_strided": new_empty_strided,
    "new_zeros": _new_constant("new_zeros", zeros), "new_ones": _new_constant("new_ones", ones),
    "new_empty": _new_constant("new_empty", empty),
}  # fmt: skip
__all__ = ["axis_of"]
