"""Variables: values that change, read as tensors that do not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from diptych.core.tape import Leaf
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class
from diptych.ops import movement
from diptych.ops.select import copy
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import gathering
from diptych.tensorflow.conversion import constant, tensor_as
from diptych.tensorflow.dtype import BY_INDEX, DType, engine_dtype
from diptych.tensorflow.errors import dims, invalid
from diptych.tensorflow.gathering import region_of
from diptych.tensorflow.recording import FaceValue, open_tapes
from diptych.tensorflow.tensor import DEVICE, EagerTensor, Reference
from diptych.tensorflow.tensor_shape import TensorShape, as_shape, shape_of

_INPLACE = (
    "`variable {op}= value` with `tf.Variable`s is not supported. Use "
    "`variable.assign{name}(value)` to modify the variable, or `out = variable {op} value` if you "
    "need to get a new output Tensor."
)


class NameScopes(threading.local):
    """The open name scopes of a thread, as a prefix that ends in a slash."""

    prefix = ""


scopes = NameScopes()


class Variable(FaceValue):
    """A value that training changes.

    An assignment gives the variable new memory, so tensors read from it before keep their value.
    """

    __module__ = "tensorflow"
    __array_priority__ = 100

    trainable: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(ResourceVariable if cls is Variable else cls)

    def __init__(
        self, initial_value: Any = None, trainable: bool | None = None, validate_shape: bool = True,
        caching_device: Any = None, name: str | None = None, variable_def: Any = None,
        dtype: Any = None, import_scope: Any = None, constraint: Any = None,
        synchronization: Any = None, aggregation: Any = None, shape: Any = None,
        experimental_enable_variable_lifting: bool = True,
    ) -> None:  # fmt: skip
        if initial_value is None:
            raise ValueError(
                "The `initial_value` arg to `tf.Variable` must be specified except when you are "
                "not providing a `variable_def`. You provided neither."
            )
        if callable(initial_value) and not isinstance(initial_value, CoreTensor):
            initial_value = initial_value()
        if dtype is not None:
            initial = tensor_as(initial_value, engine_dtype(dtype))
        else:
            initial = constant(initial_value)
        self._hold(copy(_detached(initial)))
        self._declared = None if shape is None else as_shape(shape)
        if self._declared is not None and not self._declared.is_compatible_with(
            initial.layout.shape
        ):
            raise ValueError(
                f"In this `tf.Variable` creation, the initial value's shape ({initial.shape}) is "
                f"not compatible with the explicitly supplied `shape` argument ({self._declared})."
            )
        self.trainable = True if trainable is None else bool(trainable)
        self.constraint = constraint
        self.synchronization = synchronization
        self.aggregation = aggregation
        self._name = f"{scopes.prefix}{name or 'Variable'}:0"
        self._leaf: Leaf | None = None

    # ---- the value, and its place on the tape

    def _hold(self, value: CoreTensor) -> None:
        """Take over a value's memory; a later version, so that a saved read can tell."""
        before = self.__dict__.get("buffer")
        if before is not None:
            value.buffer.version = before.version + 1
        self.layout = value.layout
        self.buffer = value.buffer
        self.address = value.address

    @property
    def leaf(self) -> Leaf:
        """The variable's end of the tape."""
        if self._leaf is None:
            self._leaf = Leaf(self)
            self.__dict__["history"] = self._leaf
        return self._leaf

    # What the engine asks of an operand: reading it is what watches a variable.
    @property
    def node(self) -> Any:
        tapes = open_tapes.tapes
        if not tapes:
            return None
        watched = False
        for tape in tapes:
            watched = tape.saw(self) or watched
        return self.leaf if watched else None

    @node.setter
    def node(self, node: Any) -> None:
        raise AttributeError("a variable is the end of the tape: it has no history to be given")

    def value(self) -> Any:
        """The value now."""
        return cast_class(self, EagerTensor)

    def read_value(self) -> Any:
        """The value now."""
        return cast_class(self, EagerTensor)

    def numpy(self) -> Any:
        """The value as a NumPy array."""
        return _detached(self).numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return _detached(self).__array__(dtype, copy)

    # ---- what it is

    @property
    def dtype(self) -> DType:
        return BY_INDEX[self.layout.dtype.index]

    @property
    def shape(self) -> TensorShape:
        return shape_of(self.layout) if self._declared is None else self._declared

    def get_shape(self) -> TensorShape:
        """The shape."""
        return self.shape

    @property
    def name(self) -> str:
        return self._name

    @property
    def _shared_name(self) -> str:
        return self._name[:-2]

    @property
    def device(self) -> str:
        return DEVICE

    @property
    def handle(self) -> Any:
        raise NotImplementedError(
            "tf.Variable.handle: there are no resources behind variables here"
        )

    def ref(self) -> Reference:
        """A hashable stand-in for this variable."""
        return Reference(self)

    def experimental_ref(self) -> Reference:
        """A hashable stand-in for this variable."""
        return Reference(self)

    def __hash__(self) -> int:
        raise TypeError(
            f"Variable is unhashable. Instead, use variable.ref() as the key. (Variable: {self!r})"
        )

    def item(self) -> Any:  # the core's, which TensorFlow does not have
        raise AttributeError("'ResourceVariable' object has no attribute 'item'")

    def __bool__(self) -> bool:
        return bool(_detached(self))

    def __int__(self) -> int:
        return int(_detached(self))

    def __float__(self) -> float:
        return float(_detached(self))

    def __complex__(self) -> complex:
        return complex(_detached(self))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.read_value())

    def __getitem__(self, key: Any) -> Any:
        part = cast_class(gathering.getitem(self.read_value(), key), VariableSlice)
        part.variable, part.key = self, key
        return part

    def __repr__(self) -> str:
        text = repr(_detached(self))
        text = text[text.index("numpy=") : -1]
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype.name}, {text}>"

    def __deepcopy__(self, memo: Any) -> Any:
        other = type(self)(
            _detached(self), trainable=self.trainable, name=self._shared_name,
            constraint=self.constraint, shape=self._declared,
        )  # fmt: skip
        memo[id(self)] = other
        return other

    def __reduce__(self) -> Any:
        return (_restored, (self.numpy(), self.dtype.name, self.trainable, self._shared_name))

    # ---- changing it

    def assign(
        self, value: Any, use_locking: bool = False, name: Any = None, read_value: bool = True
    ) -> Any:
        """Give it a value of its dtype and shape."""
        new = _detached(tensor_as(value, self.layout.dtype))
        if not self.shape.is_compatible_with(new.layout.shape):
            raise ValueError(
                f"Cannot assign value to variable ' {self.name}': Shape mismatch.The variable "
                f"shape {self.shape}, and the assigned value shape {new.shape} are incompatible."
            )
        self._hold(copy(new))
        return self if read_value else None

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: Any = None, read_value: bool = True
    ) -> Any:
        """Add to it."""
        return self._moved(table.add, "AssignAddVariableOp", delta, read_value)

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: Any = None, read_value: bool = True
    ) -> Any:
        """Take away from it."""
        return self._moved(table.subtract, "AssignSubVariableOp", delta, read_value)

    def _moved(self, operation: Any, op: str, delta: Any, read_value: bool) -> Any:
        change = _detached(tensor_as(delta, self.layout.dtype))
        if change.layout.shape != self.layout.shape:
            raise invalid(
                op,
                f"Cannot update variable with shape {dims(self.layout.shape)} using a Tensor with "
                f"shape {dims(change.layout.shape)}, shapes must be equal.",
            )
        self._hold(operation(_detached(self), change))
        return self if read_value else None

    def scatter_nd_update(self, indices: Any, updates: Any, name: Any = None) -> Any:
        """Replace the named elements or slices."""
        return self.assign(gathering.tensor_scatter_nd_update(_detached(self), indices, updates))

    def scatter_nd_add(self, indices: Any, updates: Any, name: Any = None) -> Any:
        """Add to the named elements or slices."""
        return self.assign(gathering.tensor_scatter_nd_add(_detached(self), indices, updates))

    def scatter_nd_sub(self, indices: Any, updates: Any, name: Any = None) -> Any:
        """Take away from the named elements or slices."""
        return self.assign(gathering.tensor_scatter_nd_sub(_detached(self), indices, updates))

    def __iadd__(self, other: Any) -> Any:
        raise RuntimeError(_INPLACE.format(op="+", name="_add"))

    def __isub__(self, other: Any) -> Any:
        raise RuntimeError(_INPLACE.format(op="-", name="_sub"))

    def __imul__(self, other: Any) -> Any:
        raise RuntimeError(
            "`variable *= value` with `tf.Variable`s is not supported. Use "
            "`var.assign(var * value)` to modify the variable or `out = var * value` if you need "
            "to get a new output Tensor."
        )

    def __itruediv__(self, other: Any) -> Any:
        raise RuntimeError(
            "`variable /= value` with `tf.Variable`s is not supported. Use "
            "`var.assign(var / value)` to modify the variable or `out = var / value` if you need "
            "to get a new output Tensor."
        )


class ResourceVariable(Variable):
    """What ``tf.Variable(...)`` makes."""

    __module__ = "tensorflow.python.ops.resource_variable_ops"


Variable.result_type = EagerTensor
ResourceVariable.result_type = EagerTensor


class VariableSlice(EagerTensor):
    """A part of a variable, which can be assigned to."""

    __module__ = "tensorflow.python.framework.ops"

    variable: Variable
    key: Any

    def assign(self, value: Any, name: Any = None) -> Any:
        """Replace this part of the variable; the value is broadcast to it."""
        variable = self.variable
        whole = _detached(variable)
        region = region_of(whole.layout.shape, self.key)
        new = _detached(tensor_as(value, whole.layout.dtype))
        counts = tuple(len(range(*limit)) for limit in region.limits)
        filled = movement.reshape(movement.broadcast_to(new, region.shape), counts)
        backward = tuple(axis for axis, limit in enumerate(region.limits) if limit[2] < 0)
        limits = []
        for start, stop, step in region.limits:
            if step < 0:
                count = len(range(start, stop, step))
                low = start + (count - 1) * step if count else 0
                limits.append((low, start + 1 if count else 0, -step))
            else:
                limits.append((start, max(start, stop), step))
        if backward:
            filled = movement.flip(filled, backward)
        variable._hold(copy(movement.put_slice(whole, filled, tuple(limits))))
        return variable


VariableSlice.result_type = EagerTensor


def _detached(value: CoreTensor) -> Any:
    """The value as a tensor off the tape, without the variable being seen to be read."""
    tensor = EagerTensor.__new__(EagerTensor)
    tensor.layout, tensor.buffer, tensor.address = value.layout, value.buffer, value.address
    return tensor


def _restored(array: Any, dtype: str, trainable: bool, name: str) -> Variable:
    """A variable from what pickle kept of it."""
    return Variable(array, dtype=dtype, trainable=trainable, name=name)
