"""torch.testing: comparisons of tensors in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diptych.core.tensor import Tensor as CoreTensor
from diptych.torch import dtypes
from diptych.torch.creation import as_tensor

# dtype name -> (rtol, atol) that PyTorch allows
TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7), "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None,
    atol: float | None = None, equal_nan: bool = False, check_device: bool = True,
    check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False,
    msg: Any = None,
) -> None:  # fmt: skip
    """Raise AssertionError unless tensors, numbers or collections of them agree closely."""
    if (rtol is None) != (atol is None):
        raise ValueError(
            "rtol and atol must both be specified or both be unspecified, but got "
            f"rtol={rtol} and atol={atol} instead."
        )
    options = (rtol, atol, equal_nan, check_dtype, check_stride)
    try:
        _compare(actual, expected, "", options)
    except AssertionError as error:
        if msg is None:
            raise
        raise AssertionError(msg(str(error)) if callable(msg) else msg) from None


def _compare(actual: Any, expected: Any, where: str, options: Any) -> None:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if set(actual) != set(expected):
            raise AssertionError(
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {sorted(set(expected) - set(actual))}\n"
                f"Additional keys in the actual mapping: {sorted(set(actual) - set(expected))}"
            )
        for key in expected:
            _compare(actual[key], expected[key], f"{where}[{key!r}]", options)
    elif (
        isinstance(actual, Sequence) and isinstance(expected, Sequence)
        and not isinstance(actual, str)
    ):  # fmt: skip
        if len(actual) != len(expected):
            raise AssertionError(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            )
        for index, (a, b) in enumerate(zip(actual, expected, strict=True)):
            _compare(a, b, f"{where}[{index}]", options)
    elif actual is None or expected is None:
        if actual is not expected:
            raise AssertionError(f"None mismatch: {actual} is not {expected}")
    else:
        _compare_values(actual, expected, where, options)


def _compare_values(actual: Any, expected: Any, where: str, options: Any) -> None:
    rtol, atol, equal_nan, check_dtype, check_stride = options
    a, b = as_tensor(actual), as_tensor(expected)
    scalars = not isinstance(actual, (CoreTensor, np.ndarray)) and not isinstance(
        expected, (CoreTensor, np.ndarray)
    )
    item = f"\n\nThe failure occurred for item {where}" if where else ""
    if a.shape != b.shape:
        raise AssertionError(
            f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}.{item}"
        )
    if check_dtype and not scalars and a.dtype is not b.dtype:
        raise AssertionError(
            f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}.{item}"
        )
    if check_stride and a.stride() != b.stride():
        raise AssertionError(
            f"The values for attribute 'stride()' do not match: {a.stride()} != {b.stride()}.{item}"
        )
    if rtol is None:
        limits = [TOLERANCES.get(dtypes.of(x.layout.dtype)._name, (0.0, 0.0)) for x in (a, b)]
        if scalars:
            limits = [(1e-7, 1e-7) if x.layout.dtype.is_inexact else (0.0, 0.0) for x in (a, b)]
        rtol, atol = max(x[0] for x in limits), max(x[1] for x in limits)
    first, second = (np.asarray(x.values()) for x in (a, b))
    wide = np.complex128 if "c" in first.dtype.kind + second.dtype.kind else np.float64
    close = _close(first, second, wide, rtol, atol, equal_nan)
    if close.all():
        return
    raise AssertionError(_report(first, second, wide, close, rtol, atol, scalars) + item)


def _close(a: Any, b: Any, wide: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    with np.errstate(all="ignore"):
        gap = np.abs(a.astype(wide) - b.astype(wide))
        close = (a == b) | (np.isfinite(gap) & (gap <= atol + rtol * np.abs(b.astype(wide))))
        if equal_nan:
            close |= (a != a) & (b != b)
    return np.asarray(close)


def _report(a: Any, b: Any, wide: Any, close: Any, rtol: float, atol: float, scalars: bool) -> str:
    with np.errstate(all="ignore"):
        gap = np.asarray(np.abs(a.astype(wide) - b.astype(wide)))
        relative = np.asarray(gap / np.abs(b.astype(wide)))
    if scalars or not close.ndim:
        return (
            f"Scalars are not close!\n\nExpected {b.item()} but got {a.item()}.\n"
            f"Absolute difference: {gap.item()} (up to {atol} allowed)\n"
            f"Relative difference: {relative.item()} (up to {rtol} allowed)"
        )
    wrong = int((~close).sum())
    gap[close], relative[close] = 0, 0
    places = [tuple(int(k) for k in np.unravel_index(int(np.argmax(d)), d.shape))
              for d in (gap, relative)]  # fmt: skip
    exact = rtol == 0 and atol == 0
    lines = [
        f"Tensor-likes are not {'equal' if exact else 'close'}!",
        "",
        f"Mismatched elements: {wrong} / {close.size} ({100 * wrong / close.size:.1f}%)",
        f"Greatest absolute difference: {gap[places[0]]} at index {places[0]}"
        + ("" if exact else f" (up to {atol} allowed)"),
        f"Greatest relative difference: {relative[places[1]]} at index {places[1]}"
        + ("" if exact else f" (up to {rtol} allowed)"),
    ]
    return "\n".join(lines)


def assert_allclose(actual: Any, expected: Any, rtol: Any = None, atol: Any = None,
                    equal_nan: bool = True, msg: str = "") -> None:  # fmt: skip
    """The deprecated form of assert_close: tensors of any dtypes."""
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False)


def make_tensor(*shape: Any, **given: Any) -> Any:
    """Not there yet."""
    raise NotImplementedError("torch.testing.make_tensor is not implemented in diptych")
