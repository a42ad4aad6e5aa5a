"""The Tensor class: the core's tensor with TensorFlow's attributes; operators come from tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core.tensor import alias, from_array
from diptych.tensorflow.dtype import BY_INDEX, DType, as_dtype
from diptych.tensorflow.recording import FaceValue, hidden_node, open_tapes
from diptych.tensorflow.tensor_shape import TensorShape, shape_of

DEVICE = "/job:localhost/replica:0/task:0/device:CPU:0"
# NumPy's names that TensorFlow answers with a hint when NumPy behaviour is not switched on.
_NUMPY_NAMES = frozenset(
    "T astype ravel transpose reshape clip size tolist data".split()  # what TensorFlow lists
)


class Tensor(FaceValue):
    """TensorFlow's tensor: immutable, on the CPU, in eager execution."""

    __module__ = "tensorflow"
    __array_priority__ = 100  # NumPy leaves the operator to us

    history: Any = None

    # The engine records a call when an operand has a ``node``: see recording.py.
    @property
    def node(self) -> Any:
        history = self.history
        if history is None or open_tapes.tapes:
            return history
        return hidden_node(history)

    @node.setter
    def node(self, node: Any) -> None:
        self.history = node

    # ---- what it is

    @property
    def dtype(self) -> DType:
        return BY_INDEX[self.layout.dtype.index]

    @property
    def shape(self) -> TensorShape:
        return shape_of(self.layout)

    def get_shape(self) -> TensorShape:
        """The shape."""
        return shape_of(self.layout)

    @property
    def device(self) -> str:
        return DEVICE

    @property
    def backing_device(self) -> str:
        return DEVICE

    def __getattr__(self, name: str) -> Any:
        if name in _NUMPY_NAMES:
            raise AttributeError(
                f"EagerTensor object has no attribute '{name}'. \n"
                "        If you are looking for numpy-related methods, please run the following:\n"
                "        tf.experimental.numpy.experimental_enable_numpy_behavior()\n      "
            )
        if name == "name":
            raise AttributeError("Tensor.name is undefined when eager execution is enabled.")
        raise AttributeError(
            f"'tensorflow.python.framework.ops.EagerTensor' object has no attribute {name!r}"
        )

    __getitem__: Any  # attached with the operators

    # ---- to Python and NumPy

    def numpy(self) -> Any:
        """The elements as an array of its own, or as NumPy's scalar."""
        values = self.values()
        return values.copy() if values.ndim else values[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        values = self.values()
        if dtype is not None and values.dtype != dtype:
            return values.astype(dtype)
        # The tensor does not change, but an array handed out can: it never shares the memory.
        return values.copy()

    def item(self) -> Any:  # the core's, which TensorFlow does not have
        raise AttributeError(
            "'tensorflow.python.framework.ops.EagerTensor' object has no attribute 'item'"
        )

    def __bool__(self) -> bool:
        place = self.layout
        if place.size == 0:
            return False
        return bool(self.values())

    def __int__(self) -> int:
        return int(self._scalar())

    def __float__(self) -> float:
        return float(self._scalar())

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def _scalar(self) -> Any:
        if self.layout.ndim:
            raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
        return self.values().item()

    def __index__(self) -> int:
        return self.values()[()].__index__()

    def __len__(self) -> int:
        place = self.layout
        if not place.ndim:
            raise TypeError("Scalar tensor has no `len()`")
        return place.shape[0]

    def __iter__(self) -> Any:
        place = self.layout
        if not place.ndim:
            raise TypeError("Cannot iterate over a scalar tensor.")
        for position in range(place.shape[0]):
            yield self.__getitem__(position)

    def __hash__(self) -> int:
        raise TypeError("Tensor is unhashable. Instead, use tensor.ref() as the key.")

    def ref(self) -> Reference:
        """A hashable stand-in for this very object, for sets and keys."""
        return Reference(self)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return alias(self, type(self))

    def __reduce__(self) -> Any:
        return (_restored, (self.export().copy(), self.dtype.name))

    def cpu(self) -> Any:
        """This tensor: it is on the CPU."""
        return self

    def gpu(self, gpu_index: int = 0) -> Any:
        raise RuntimeError(
            f"/job:localhost/replica:0/task:0/device:GPU:{gpu_index} unknown device."
        )

    # ---- printing

    def __repr__(self) -> str:
        text = _text(self.numpy(), repr_=True)
        if "\n" in text:
            text = "\n" + text
        return f"<tf.Tensor: shape={self.shape}, dtype={self.dtype.name}, numpy={text}>"

    def __str__(self) -> str:
        text = _text(self.numpy(), repr_=False, bfloat=not self.layout.dtype.exact)
        if "\n" in text:
            text = "\n" + text
        return f"tf.Tensor({text}, shape={self.shape}, dtype={self.dtype.name})"

    def __format__(self, spec: str) -> str:
        return format(self.numpy(), spec)


class EagerTensor(Tensor):
    """A tensor with a value: what every call gives outside graphs."""

    __module__ = "tensorflow.python.framework.ops"


Tensor.result_type = EagerTensor
EagerTensor.result_type = EagerTensor


def _text(value: Any, *, repr_: bool, bfloat: bool = False) -> str:
    """NumPy's text of a value; a scalar without its type."""
    if bfloat and isinstance(value, np.ndarray):
        return np.array2string(value, formatter={"float_kind": lambda x: f"{x:g}"})
    if repr_ and isinstance(value, np.ndarray):
        return repr(value)
    return str(value)


def _restored(array: Any, name: str) -> EagerTensor:
    """A tensor of pickled elements."""
    return from_array(array, EagerTensor, as_dtype(name).engine)


class Reference:
    """Stands for a tensor or variable by identity, since those compare by value."""

    __slots__ = ("_wrapped",)

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def deref(self) -> Any:
        """The object itself."""
        return self._wrapped

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reference):
            return NotImplemented
        return self._wrapped is other._wrapped

    def __hash__(self) -> int:
        return id(self._wrapped)

    def __repr__(self) -> str:
        return f"<Reference wrapping {self._wrapped!r}>"
