"""``tf.debugging``: checks of values, and ``tf.print``."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from diptych.tensorflow import elementwise as table
from diptych.tensorflow.conversion import tensor_of
from diptych.tensorflow.errors import InvalidArgumentError, invalid
from diptych.tensorflow.missing import attributes
from diptych.tensorflow.tensor import Tensor
from diptych.tensorflow.variable import Variable

__all__ = [
    "Assert", "assert_all_finite", "assert_equal", "assert_greater", "assert_greater_equal",
    "assert_less", "assert_less_equal", "assert_near", "assert_negative", "assert_non_negative",
    "assert_non_positive", "assert_none_equal", "assert_positive", "assert_rank",
    "assert_rank_at_least", "assert_shapes", "assert_type", "check_numerics", "is_numeric_tensor",
]  # fmt: skip


def Assert(condition: Any, data: Any, summarize: Any = None, name: Any = None) -> None:
    """InvalidArgumentError unless the condition holds."""
    if not bool(tensor_of(condition).values().all()):
        shown = "\n".join(_first(item, summarize) for item in data)
        raise InvalidArgumentError(
            None, None, f"Expected '{condition}' to be true. Summarized data: {shown}"
        )


def _first(item: Any, count: Any) -> str:
    if isinstance(item, str):
        return repr(item.encode())
    return str(tensor_of(item).values().reshape(-1)[: count or 3].tolist())


def _comparison(entry: Any, sign: str, all_of: bool = True) -> Any:
    def check(x: Any, y: Any, message: Any = None, summarize: Any = None, name: Any = None) -> None:
        a, b = table.operands(x, y)
        if bool(entry(a, b).values().all()):
            return
        shown = 3 if summarize is None else summarize
        lead = f"{message}\n" if message else ""
        first = a.values().reshape(-1)[:shown]
        second = b.values().reshape(-1)[:shown]
        raise InvalidArgumentError(
            None,
            None,
            f"{lead}Condition x {sign} y did not hold.\n"
            f"First {first.size} elements of x:\n{first}\n"
            f"First {second.size} elements of y:\n{second}",
        )

    return check


assert_equal = _comparison(table.equal, "==")
assert_none_equal = _comparison(table.not_equal, "!=")
assert_less = _comparison(table.less, "<")
assert_less_equal = _comparison(table.less_equal, "<=")
assert_greater = _comparison(table.greater, ">")
assert_greater_equal = _comparison(table.greater_equal, ">=")


def assert_positive(x: Any, message: Any = None, summarize: Any = None, name: Any = None) -> None:
    """Every element is above zero."""
    assert_less(0, tensor_of(x), message, summarize)


def assert_negative(x: Any, message: Any = None, summarize: Any = None, name: Any = None) -> None:
    """Every element is below zero."""
    assert_less(tensor_of(x), 0, message, summarize)


def assert_non_negative(
    x: Any, message: Any = None, summarize: Any = None, name: Any = None
) -> None:
    """No element is below zero."""
    assert_less_equal(0, tensor_of(x), message, summarize)


def assert_non_positive(
    x: Any, message: Any = None, summarize: Any = None, name: Any = None
) -> None:
    """No element is above zero."""
    assert_less_equal(tensor_of(x), 0, message, summarize)


def assert_near(
    x: Any, y: Any, rtol: Any = None, atol: Any = None, message: Any = None, summarize: Any = None,
    name: Any = None,
) -> None:  # fmt: skip
    """The two are equal up to a tolerance."""
    a, b = table.operands(x, y)
    eps = 10.0 * float(np.finfo(a.values().dtype).eps)
    limit = (eps if atol is None else atol) + (eps if rtol is None else rtol) * np.abs(b.values())
    if not bool((np.abs(a.values() - b.values()) <= limit).all()):
        raise InvalidArgumentError(
            None,
            None,
            f"{message or ''}x and y not equal to tolerance rtol = {rtol or eps}, "
            f"atol = {atol or eps}\nx: {a.values()}\ny: {b.values()}",
        )


def assert_rank(x: Any, rank: Any, message: Any = None, name: Any = None) -> None:
    """The tensor has that many axes."""
    have, wanted = tensor_of(x).layout.ndim, int(rank)
    if have != wanted:
        raise ValueError(
            f"{message or ''}Tensor must have rank {wanted}.  Received rank {have}, shape "
            f"{tensor_of(x).shape}"
        )


def assert_rank_at_least(x: Any, rank: Any, message: Any = None, name: Any = None) -> None:
    """The tensor has at least that many axes."""
    have, wanted = tensor_of(x).layout.ndim, int(rank)
    if have < wanted:
        raise ValueError(
            f"{message or ''}Tensor must have rank at least {wanted}.  Received rank {have}, shape "
            f"{tensor_of(x).shape}"
        )


def assert_shapes(
    shapes: Any, data: Any = None, summarize: Any = None, message: Any = None, name: Any = None
) -> None:
    """Tensors have these shapes; a letter stands for one extent throughout."""
    known: dict[str, int] = {}
    pairs = shapes.items() if isinstance(shapes, dict) else shapes
    for x, wanted in pairs:
        have = tensor_of(x).layout.shape
        wanted = tuple(wanted) if isinstance(wanted, (tuple, list, str)) else (wanted,)
        if len(have) != len(wanted):
            raise ValueError(
                f"{message or ''}Tensor must have rank {len(wanted)}. Received rank {len(have)}, "
                f"shape {have}"
            )
        for axis, (extent, symbol) in enumerate(zip(have, wanted, strict=True)):
            if symbol in (None, "."):
                continue
            expected = symbol
            if isinstance(symbol, str) and not symbol.isdigit():
                expected = known.setdefault(symbol, extent)
            if int(expected) != extent:
                raise ValueError(
                    f"{message or ''}Specified by {symbol}, dimension {axis} must have size "
                    f"{expected}, got {extent}: shape {have}"
                )


def assert_type(tensor: Any, tf_type: Any, message: Any = None, name: Any = None) -> None:
    """The tensor has that dtype."""
    x = tensor_of(tensor)
    if x.dtype != tf_type:
        raise TypeError(f"{message or ''}tensor must be of type {tf_type!r}; got {x.dtype!r}")


def check_numerics(tensor: Any, message: Any, name: Any = None) -> Any:
    """The tensor, if none of its elements is NaN or infinite."""
    x = tensor_of(tensor)
    values = x.values()
    has_nan, has_inf = bool(np.isnan(values).any()), bool(np.isinf(values).any())
    if has_nan or has_inf:
        what = "NaN" if has_nan and not has_inf else "Inf" if not has_nan else "NaN and Inf"
        raise invalid("CheckNumerics", f"{message} : Tensor had {what} values")
    return x


def assert_all_finite(x: Any, message: Any, name: Any = None) -> Any:
    """The tensor, if none of its elements is NaN or infinite."""
    return check_numerics(x, message)


def is_numeric_tensor(tensor: Any) -> bool:
    """Whether a value is a tensor of numbers."""
    return isinstance(tensor, (Tensor, Variable)) and not tensor.dtype.is_bool


# ---- tf.print


def text_of(value: Any, summarize: int) -> str:
    """A value as ``tf.print`` writes it: shortest numbers, no commas, the middle left out."""
    if isinstance(value, (Tensor, Variable)):
        return _array_text(value.numpy(), summarize)
    if isinstance(value, np.ndarray):
        return _array_text(value, summarize)
    if isinstance(value, dict):
        inner = ", ".join(f"{k!r}: {text_of(v, summarize)}" for k, v in value.items())
        return "{" + inner + "}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(text_of(item, summarize) for item in value)
        if isinstance(value, tuple):
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        return f"[{inner}]"
    return str(value)


def _array_text(array: Any, summarize: int, indent: int = 1) -> str:
    array = np.asarray(array)
    if not array.ndim:
        return _number_text(array[()])
    count = array.shape[0]
    places: list[int | None] = list(range(count))
    if 0 <= 2 * summarize < count:
        places = [*range(summarize), None, *range(count - summarize, count)]
    parts = [
        "..." if place is None else _array_text(array[place], summarize, indent + 1)
        for place in places
    ]
    between = " " if array.ndim == 1 else "\n" * (array.ndim - 1) + " " * indent
    return "[" + between.join(parts) + "]"


def _number_text(number: Any) -> str:
    """The shortest decimal that reads back, in C++'s style."""
    if isinstance(number, (bool, np.bool_)):
        return "1" if number else "0"
    if isinstance(number, np.floating):
        if not np.isfinite(number):
            return str(number)
        short = np.format_float_positional(number, trim="-")
        size = abs(float(number))
        if size and (size >= 1e16 or size < 1e-4) or len(short) > 12 and size >= 1e7:
            return np.format_float_scientific(number, trim="-", exp_digits=2)
        return short
    if isinstance(number, np.complexfloating):
        return f"({_number_text(number.real)},{_number_text(number.imag)})"
    return str(number)


def print_(*inputs: Any, **kwargs: Any) -> None:
    """Write values to standard error, or to ``output_stream``."""
    stream = kwargs.pop("output_stream", sys.stderr)
    summarize = kwargs.pop("summarize", 3)
    sep, end = kwargs.pop("sep", " "), kwargs.pop("end", "\n")
    kwargs.pop("name", None)
    if kwargs:
        raise ValueError(f"Unrecognized keyword arguments for tf.print: {kwargs}")
    if summarize == -1:
        summarize = sys.maxsize
    text = sep.join(text_of(item, summarize) for item in inputs) + end
    if isinstance(stream, str):
        if not stream.startswith("file://"):
            raise ValueError(f"Unknown output stream, output location is not supported: {stream}")
        with open(stream[len("file://") :], "a", encoding="utf-8") as file:
            file.write(text)
        return
    if not hasattr(stream, "write"):
        raise ValueError(f"Unknown output stream {stream!r}: give a file object or 'file://...'")
    stream.write(text)


__getattr__ = attributes("debugging")
