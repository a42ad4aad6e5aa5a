"""Python values, NumPy arrays and other faces' tensors as tensors of this face."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.core.layout import check_shape, layout
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class, copy_array, empty
from diptych.errors import DiptychError
from diptych.ops.movement import broadcast_to, concatenate, reshape
from diptych.ops.select import constant as engine_constant
from diptych.tensorflow import errors
from diptych.tensorflow.dtype import BY_INDEX, engine_dtype, kernel_name
from diptych.tensorflow.tensor import EagerTensor, Tensor
from diptych.tensorflow.tensor_shape import TensorShape

_SCALARS: dict[type, engine.DType] = {
    bool: engine.bool_, int: engine.int32, float: engine.float32, complex: engine.complex128,
}  # fmt: skip
_INT32 = range(-(1 << 31), 1 << 31)
_INT64 = range(-(1 << 63), 1 << 63)
# Which Python numbers may become which dtype: TensorFlow loses no fraction without being asked.
_ACCEPTS = {bool: "buifc", int: "uifc", float: "fc", complex: "c"}


def tensor_of(value: Any) -> Any:
    """``value`` as a tensor, its dtype its own: the way of operands."""
    if type(value) is EagerTensor:
        return value
    if isinstance(value, CoreTensor):
        return cast_class(value, EagerTensor)
    return from_python(value, None)


def tensor_as(value: Any, dtype: engine.DType) -> Any:
    """``value`` as a tensor of ``dtype``; TypeError or ValueError when it is not one."""
    if isinstance(value, CoreTensor):
        if value.layout.dtype is not dtype:
            raise ValueError(
                f"Tensor conversion requested dtype {BY_INDEX[dtype.index].name} for Tensor with "
                f"dtype {BY_INDEX[value.layout.dtype.index].name}: {tensor_of(value)!r}"
            )
        return value if type(value) is EagerTensor else cast_class(value, EagerTensor)
    return from_python(value, dtype)


def tensor_like(value: Any, dtype: engine.DType) -> Any:
    """``value`` as a tensor, of ``dtype`` if it can be: the way of an operand beside a tensor."""
    if type(value) is EagerTensor:
        return value
    if isinstance(value, CoreTensor):
        return cast_class(value, EagerTensor)
    try:
        return from_python(value, dtype)
    except TypeError:
        return from_python(value, None)


def from_python(value: Any, dtype: engine.DType | None) -> Any:
    """A new tensor of a number, a (nested) sequence, an array, or what can become one."""
    kind = type(value)
    own = _SCALARS.get(kind)
    if own is not None:
        return _scalar(value, kind, own, dtype)
    if isinstance(value, (np.ndarray, np.generic)):
        return from_numpy(value, dtype)
    if isinstance(value, (list, tuple, range, TensorShape)):
        return _sequence(value, dtype)
    return _other(value, dtype)


def _scalar(value: Any, kind: type, own: engine.DType, dtype: engine.DType | None) -> Any:
    """A 0-d tensor of a Python number."""
    if dtype is None:
        dtype = own
        if kind is int and value not in _INT32:
            if value not in _INT64:
                raise ValueError(
                    "Can't convert Python sequence with out-of-range integer to Tensor."
                )
            dtype = engine.int64
    elif dtype.kind not in _ACCEPTS[kind]:
        raise _cannot_convert(value, dtype)
    return cast_class(engine_constant(value, dtype), EagerTensor)


def _cannot_convert(value: Any, dtype: engine.DType) -> TypeError:
    return TypeError(f"Cannot convert {value!r} to EagerTensor of dtype {kernel_name(dtype)}")


def from_numpy(array: Any, dtype: engine.DType | None) -> Any:
    """A tensor with the elements of a NumPy array or scalar, converted as NumPy does."""
    array = np.asarray(array)
    if array.dtype.kind in "OSUV":
        if array.dtype.kind == "O" and array.ndim:
            return from_python(array.tolist(), dtype)
        raise NotImplementedError(
            f"tensors of NumPy's {array.dtype} (strings, objects) are not there yet in "
            "diptych.tensorflow"
        )
    if dtype is None:
        dtype = engine.from_numpy(array.dtype)
    if dtype.kind != "c" and array.dtype.kind == "c":
        array = array.real
    if dtype.exact:
        with np.errstate(all="ignore"):
            array = array.astype(dtype.numpy, copy=False)
    else:
        array = array.astype(np.float32, copy=False)
    return copy_array(array, EagerTensor, dtype)


def _sequence(value: Any, dtype: engine.DType | None) -> Any:
    """A tensor of a nested sequence: of numbers, or packed of tensors."""
    if isinstance(value, TensorShape):
        value = value.as_list()
    kinds: set[type] = set()
    if not _leaf_types(value, kinds):
        return _packed(value, dtype)
    if str in kinds or bytes in kinds:
        if dtype is not None:
            raise _cannot_convert(value, dtype)
        raise NotImplementedError("tensors of strings are not there yet in diptych.tensorflow")
    plain = {kind for kind in kinds if kind in _SCALARS}
    if len(kinds) > 1 and (bool in kinds or type(None) in kinds or not kinds <= _NUMBERS):
        raise ValueError("Can't convert Python sequence with mixed types to Tensor.")
    if not kinds <= _NUMBERS:
        return _other(next(iter(_leaves(value))), dtype)
    if dtype is not None and any(dtype.kind not in _ACCEPTS[kind] for kind in plain):
        raise _cannot_convert(value, dtype)
    try:
        array = np.array(value)
    except ValueError:
        raise ValueError("Can't convert non-rectangular Python sequence to Tensor.") from None
    except OverflowError:
        raise ValueError(
            "Can't convert Python sequence with out-of-range integer to Tensor."
        ) from None
    if array.dtype.kind == "O":
        raise ValueError("Can't convert Python sequence with out-of-range integer to Tensor.")
    if dtype is None:
        dtype = _own_dtype(array, kinds)
    return from_numpy(array, dtype)


_NUMBERS = frozenset(
    [bool, int, float, complex, np.bool_, np.float16, np.float32, np.float64, np.complex64,
     np.complex128, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32,
     np.uint64]
)  # fmt: skip


def _leaf_types(value: Any, kinds: set[type]) -> bool:
    """Collect the types of a nested sequence's leaves; False when a tensor is among them."""
    found = set(map(type, value))
    for kind in found:
        if issubclass(kind, CoreTensor):
            return False
        if issubclass(kind, (list, tuple, range)):
            if not all(_leaf_types(item, kinds) for item in value if type(item) is kind):
                return False
        elif issubclass(kind, np.ndarray):
            kinds.update(item.dtype.type for item in value if type(item) is kind)
        else:
            kinds.add(kind)
    return True


def _leaves(value: Any) -> Any:
    for item in value:
        if isinstance(item, (list, tuple)):
            yield from _leaves(item)
        else:
            yield item


def _own_dtype(array: Any, kinds: set[type]) -> engine.DType:
    """The dtype TensorFlow gives a sequence: 32 bits, unless NumPy's numbers or the range ask."""
    kind = array.dtype.kind
    if kind == "f" and np.float64 not in kinds:
        if kinds & {np.float16} and not kinds & {float, np.float32}:
            return engine.float16
        return engine.float32
    if kind in "iu":
        if not array.size or (array.min() >= _INT32[0] and array.max() <= _INT32[-1]):
            return engine.int32
        return engine.int64
    return engine.from_numpy(array.dtype)


def _packed(value: Any, dtype: engine.DType | None) -> Any:
    """A sequence that holds tensors, stacked: it stays on the tape."""
    if dtype is None:
        first = next(item for item in _leaves(value) if isinstance(item, CoreTensor))
        dtype = first.layout.dtype
    parts = [
        _packed(item, dtype)
        if isinstance(item, (list, tuple)) and not _leaf_types(item, set())
        else tensor_like(item, dtype)
        for item in value
    ]
    for part in parts:
        if part.layout.dtype is not dtype:
            raise TypeError(
                "Cannot convert a list containing a tensor of dtype "
                f"{BY_INDEX[part.layout.dtype.index]} to {BY_INDEX[dtype.index]} "
                f"(Tensor is: {part!r})"
            )
    return stacked(parts, 0)


def stacked(parts: list[Any], axis: int) -> Any:
    """Tensors of one shape joined along a new axis (counted from the front)."""
    shape = parts[0].layout.shape
    for position, part in enumerate(parts):
        if part.layout.shape != shape:
            raise errors.invalid(
                "Pack",
                "Shapes of all inputs must match: values[0].shape = "
                f"{errors.dims(shape)} != values[{position}].shape = "
                f"{errors.dims(part.layout.shape)}",
            )
    grown = (*shape[:axis], 1, *shape[axis:])
    return concatenate([reshape(part, grown) for part in parts], axis)


def _other(value: Any, dtype: engine.DType | None) -> Any:
    """Values of other types: strings, array-likes, or none that a tensor can be made of."""
    if isinstance(value, (str, bytes)):
        if dtype is not None:
            raise _cannot_convert(value, dtype)
        raise NotImplementedError("tensors of strings are not there yet in diptych.tensorflow")
    # An object's own conversions, as TensorFlow's registry has them.
    if hasattr(value, "__tf_tensor__"):
        return tensor_of(value.__tf_tensor__(None if dtype is None else BY_INDEX[dtype.index]))
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return from_numpy(np.asarray(value), dtype)
    raise ValueError(
        f"Attempt to convert a value ({value!r}) with an unsupported type ({type(value)!r}) to a "
        "Tensor."
    )


# ---- what users call


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Any:
    """A tensor of a Python value or an array; ``shape`` reshapes it, or repeats a scalar."""
    wanted = None if dtype is None else engine_dtype(dtype)
    if isinstance(value, CoreTensor):
        tensor = tensor_of(value)
        if wanted is not None and tensor.layout.dtype is not wanted:
            raise TypeError(
                f"Expected tensor {tensor.numpy()} with dtype {BY_INDEX[wanted.index]!r}, but got "
                f"dtype {tensor.dtype!r}."
            )
    else:
        tensor = from_python(value, wanted)
    if shape is None:
        return tensor
    extents = shape_argument(shape)
    place = tensor.layout
    size = math.prod(extents)
    if place.shape == extents:
        return tensor
    if place.size == size:
        return reshape(tensor, extents)
    if place.size == 1:
        return broadcast_to(reshape(tensor, ()), extents)
    raise TypeError(
        f"Eager execution of tf.constant with unsupported shape. Tensor {tensor.numpy()} "
        f"(converted from {value}) has {place.size} elements, but got `shape` "
        f"{extents} with {size} elements)."
    )


def convert_to_tensor(
    value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None
) -> Any:
    """``value`` as a tensor; of ``dtype`` or an error, of ``dtype_hint`` if it can be."""
    if dtype is not None:
        return tensor_as(value, engine_dtype(dtype))
    if dtype_hint is not None:
        return tensor_like(value, engine_dtype(dtype_hint))
    return tensor_of(value)


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a tensor or a variable."""
    return isinstance(value, CoreTensor)


def shape_argument(shape: Any, op: str = "Fill") -> tuple[int, ...]:
    """A shape given as ints, a TensorShape, a tensor, or a list of them."""
    if isinstance(shape, TensorShape):
        if not shape.is_fully_defined():
            raise ValueError(f"Cannot convert a partially known TensorShape {shape} to a Tensor.")
        extents = shape_extents(shape)
    elif isinstance(shape, (list, tuple)):
        extents = tuple([integer(extent, shape) for extent in shape])
    elif isinstance(shape, (CoreTensor, np.ndarray)):
        values = tensor_of(shape).values()
        if values.dtype.kind not in "iu":
            raise TypeError(f"Cannot convert {shape!r} to EagerTensor of dtype int32")
        extents = tuple(values.reshape(-1).tolist())
    else:
        extents = (integer(shape, shape),)
    for extent in extents:
        if extent < 0:
            raise errors.invalid(op, f"Dimension {extent} must be >= 0")
    try:
        return check_shape(extents, op)
    except DiptychError as error:
        raise errors.ResourceExhaustedError(None, None, str(error)) from error


def shape_extents(shape: TensorShape) -> tuple[int, ...]:
    """The extents of a shape known in full."""
    return tuple([extent for extent in shape if extent is not None])


def integer(value: Any, whole: Any = None) -> int:
    """A whole number given as an int, NumPy's, or a 0-d tensor; TypeError for anything else."""
    if type(value) is int:
        return value
    try:
        return int(value.__index__())
    except (AttributeError, TypeError):
        raise _cannot_convert(value if whole is None else whole, engine.int32) from None


def integers(value: Any) -> list[int]:
    """A list of whole numbers, from any of the forms TensorFlow takes; one stands for a list."""
    if isinstance(value, (list, tuple)):
        return [integer(item, value) for item in value]
    if isinstance(value, (CoreTensor, np.ndarray)):
        values = tensor_of(value).values()
        if values.dtype.kind not in "iu":
            raise TypeError(f"Cannot convert {value!r} to EagerTensor of dtype int32")
        return [int(item) for item in values.reshape(-1)]
    if isinstance(value, (TensorShape, range)):
        return [integer(item) for item in value]
    return [integer(value)]


def filled(shape: tuple[int, ...], value: Any, dtype: engine.DType) -> Any:
    """A new tensor of one number."""
    tensor = empty(layout(dtype, shape), EagerTensor)
    number = np.asarray(value)
    if not dtype.exact:
        number = engine.float32_to_bfloat16(number.astype(np.float32))
    tensor.array()[...] = number
    return tensor


def python_scalar(value: Any) -> Any:
    """A number given as Python's, NumPy's or a 0-d tensor, as Python's."""
    return value.values().item() if isinstance(value, CoreTensor) else value


def is_symbolic_tensor(tensor: Any) -> bool:
    """False: there are no tensors without a value outside graphs."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"expected a tensor, got {tensor!r}")
    return False
