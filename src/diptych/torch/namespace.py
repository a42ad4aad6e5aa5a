"""Functions of the namespace about tensors and the program: equality, queries, threads, softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych import config
from diptych.core import dtypes as engine
from diptych.core.layout import broadcast_shapes
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import copy_array
from diptych.ops import arithmetic, decompositions, movement, normalization, reduction, select
from diptych.runtime import pool
from diptych.torch import dtypes, outputs, promotion
from diptych.torch.creation import legacy_new
from diptych.torch.device import CPU, check_device, device
from diptych.torch.dtypes import core_of, scalar_name
from diptych.torch.gradient_nodes import label
from diptych.torch.tensor import Tensor, axis_of, face

# ---- equality


def equal(input: Any, other: Any) -> bool:
    """Whether shapes and all elements agree."""
    a, b = face(input, "equal"), face(other, "equal", "other", 2)
    if a.layout.shape != b.layout.shape:
        return False
    if a.layout.dtype is not b.layout.dtype:
        raise RuntimeError(
            f"Expected object of data type {scalar_name(a.layout.dtype)} but got data type "
            f"{scalar_name(b.layout.dtype)} for argument #2 'other' in call to equal"
        )
    return bool(np.array_equal(a.values(), b.values()))


def isclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Whether elements agree within atol + rtol * |other|."""
    a, b = face(input, "isclose"), face(other, "isclose", "other", 2)
    if a.layout.dtype is not b.layout.dtype:
        raise RuntimeError(
            f"{_lower(a)} did not match {_lower(b)}: isclose needs tensors of one dtype"
        )
    with np.errstate(all="ignore"):
        first, second = a.values(), b.values()
        if first.dtype.kind not in "fc":
            close = np.abs(first.astype(np.float64) - second) <= atol + rtol * np.abs(
                second.astype(np.float64)
            )
            close |= first == second
        else:
            gap = np.abs(first - second)
            close = (first == second) | (
                np.isfinite(gap) & (gap <= atol + abs(rtol) * np.abs(second))
            )
        if equal_nan:
            close |= (first != first) & (second != second)
    return copy_array(np.asarray(close), Tensor)


def _lower(x: CoreTensor) -> str:
    return scalar_name(x.layout.dtype)


def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements agree within atol + rtol * |other|."""
    return bool(isclose(input, other, rtol, atol, equal_nan).array().all())


# ---- queries


def numel(input: Any) -> int:
    """The number of elements."""
    return face(input, "numel").numel()


def typename(obj: Any) -> str:
    """The name of an object's type; of a tensor, its tensor type."""
    if isinstance(obj, Tensor):
        return obj.type()  # type: ignore[attr-defined]
    module = getattr(type(obj), "__module__", "")
    name = getattr(obj, "__qualname__", None) or type(obj).__qualname__
    if hasattr(obj, "__qualname__"):
        module = getattr(obj, "__module__", "") or ""
    return name if module in ("", "builtins", "__builtin__") else f"{module}.{name}"


def is_floating_point(input: Any) -> bool:
    """Whether the dtype is a (real) floating one."""
    return face(input, "is_floating_point").is_floating_point()


def is_complex(input: Any) -> bool:
    """Whether the dtype is complex."""
    return face(input, "is_complex").is_complex()


def is_signed(input: Any) -> bool:
    """Whether the dtype has negative values."""
    return face(input, "is_signed").is_signed()


def is_nonzero(input: Any) -> bool:
    """The truth of a single element."""
    return bool(face(input, "is_nonzero"))


def is_storage(obj: Any) -> bool:
    """Whether an object is a storage."""
    return hasattr(obj, "_typed_storage") or type(obj).__name__.endswith("Storage")


def is_conj(input: Any) -> bool:
    """False: conjugation is carried out at once."""
    face(input, "is_conj")
    return False


def is_same_size(input: Any, other: Any) -> bool:
    """Whether the shapes agree."""
    return face(input, "is_same_size").is_same_size(other)


# ---- softmax


def _rows(name: str, function: Any, label_name: str) -> Any:
    def run(input: Any, dim: int, dtype: Any = None, *, out: Any = None) -> Any:
        x = face(input, name)
        if dtype is not None:
            x = select.cast(x, core_of(dtype))  # type: ignore[assignment]
        axis = axis_of(dim, x.layout.ndim)
        core = x.layout.dtype
        if not core.is_float:
            kernel = f"{name}_lastdim_kernel_impl"
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(core)}'")
        if not x.layout.ndim:
            row = function(movement.reshape(x, (1,)), 0)
            return outputs.finish(movement.reshape(row, ()), out, name)
        return outputs.finish(label(function(x, axis), label_name), out, name)

    run.__name__ = run.__qualname__ = name
    return run


softmax = _rows("softmax", normalization.softmax, "SoftmaxBackward0")
log_softmax = _rows("log_softmax", normalization.log_softmax, "LogSoftmaxBackward0")


# ---- the program


class Threads:
    """What ``set_num_threads`` was told."""

    count: int | None = None
    between: int | None = None


def get_num_threads() -> int:
    """The number of threads that operations use."""
    if Threads.count is None:
        told = config.NUM_THREADS.get()
        Threads.count = int(told) if told else pool.usable_cpus()
    return Threads.count


def set_num_threads(num: int) -> None:
    """Use this many threads from now on."""
    if isinstance(num, bool) or not isinstance(num, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(num).__name__}")
    if num <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    if config.EVALUATOR.get() != "reference":
        pool.set_num_threads(min(num, pool.MAX_THREADS))
    Threads.count = num


def get_num_interop_threads() -> int:
    """The number of threads between operations (one program runs one operation at a time)."""
    return Threads.between or get_num_threads()


def set_num_interop_threads(num: int) -> None:
    """Accepted for programs that set it."""
    Threads.between = num


class Determinism:
    """Results here never depend on threads, so the switch is only remembered."""

    on = False
    warn = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Every algorithm here is deterministic; the switch is remembered."""
    Determinism.on, Determinism.warn = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What ``use_deterministic_algorithms`` was told."""
    return Determinism.on


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What ``use_deterministic_algorithms`` was told."""
    return Determinism.on and Determinism.warn


class Precision:
    """What ``set_float32_matmul_precision`` was told; products are exact float32 in every case."""

    word = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """A hint that allows less precision; ours stays exact."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(
            f"invalid float32 matmul precision: {precision!r}; use 'highest', 'high' or 'medium'"
        )
    Precision.word = precision


def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` was told."""
    return Precision.word


def set_default_device(device: Any) -> None:
    """The device of factories that are given none: the CPU is the one there is."""
    check_device(device)


def get_default_device() -> device:
    """The CPU."""
    return CPU


def set_default_tensor_type(t: Any) -> None:
    """The old way to set the default dtype: ``torch.DoubleTensor`` or its name."""
    if isinstance(t, str):
        name = t.rpartition(".")[2].removesuffix("Tensor")
        core = next((c for c in engine.ALL if scalar_name(c) == name), None)
        if core is None:
            raise TypeError(f"invalid type object: {t}")
    else:
        core = t.tensor_dtype
    dtypes.set_default_dtype(dtypes.of(core))


def set_flush_denormal(mode: bool) -> bool:
    """False: denormal numbers are kept."""
    return False


def compiled_with_cxx11_abi() -> bool:
    """True, as every PyTorch build now."""
    return True


def is_warn_always_enabled() -> bool:
    """Whether warnings that come once come always."""
    return False


def set_warn_always(b: bool) -> None:
    """Accepted for programs that set it."""


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along an axis."""
    a, b = face(x1, "cosine_similarity", "x1"), face(x2, "cosine_similarity", "x2", 2)
    dtype = promotion.of_layouts(a.layout, b.layout)
    if not dtype.is_float:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {scalar_name(dtype)}"
        )
    shape = broadcast_shapes((a.layout.shape, b.layout.shape), "cosine_similarity")
    axis = axis_of(dim, len(shape))
    axes = (axis,) if shape else ()
    units = []
    for x in (a, b):
        x = movement.broadcast_to(select.cast(x, dtype), shape)  # type: ignore[assignment]
        size = arithmetic.maximum(decompositions.vector_norm(x, 2, axes), eps)
        size = movement.reshape(size, reduction.ones_shape(shape, axes))
        units.append(arithmetic.div(x, size))
    return reduction.sum_(arithmetic.mul(*units), axes)


def tensor_type(name: str, core: Any) -> Any:
    """An old tensor type: called, it makes tensors; ``isinstance`` asks for its dtype."""

    class Meta(type):
        def __instancecheck__(cls, obj: Any) -> bool:
            return isinstance(obj, Tensor) and obj.layout.dtype is core

        def __call__(cls, *args: Any) -> Any:
            return legacy_new(Tensor, *args, dtype=dtypes.of(core))

        def __repr__(cls) -> str:
            return f"<class 'torch.{name}'>"

    return Meta(name, (), {"tensor_dtype": core, "dtype": dtypes.of(core), "__module__": "torch"})


FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (
        equal, isclose, allclose, numel, typename, is_floating_point, is_complex, is_signed,
        is_nonzero, is_storage, is_conj, is_same_size, softmax, log_softmax, get_num_threads,
        set_num_threads, get_num_interop_threads, set_num_interop_threads,
        use_deterministic_algorithms, are_deterministic_algorithms_enabled,
        is_deterministic_algorithms_warn_only_enabled, set_float32_matmul_precision,
        get_float32_matmul_precision, set_default_device, get_default_device,
        set_default_tensor_type, set_flush_denormal, compiled_with_cxx11_abi,
        is_warn_always_enabled, set_warn_always, cosine_similarity,
    )
}  # fmt: skip
METHODS: dict[str, Any] = {
    name: FUNCTIONS[name]
    for name in ("equal", "isclose", "allclose", "softmax", "log_softmax", "is_nonzero", "is_conj")
}
FUNCTIONS.update({
    f"{word}Tensor": tensor_type(f"{word}Tensor", core)
    for core, word in (
        (engine.float32, "Float"), (engine.float64, "Double"), (engine.float16, "Half"),
        (engine.bfloat16, "BFloat16"), (engine.int64, "Long"), (engine.int32, "Int"),
        (engine.int16, "Short"), (engine.int8, "Char"), (engine.uint8, "Byte"),
        (engine.bool_, "Bool"),
    )
})  # fmt: skip
