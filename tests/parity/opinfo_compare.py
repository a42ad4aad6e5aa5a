"""Runs one OpInfo entry on real PyTorch and on the face: forward, then gradients."""

from __future__ import annotations

import random
import signal
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch as real

import diptych.torch as ours
from tests.parity import opinfo_translate as translate

SAMPLES = 16  # of each entry, evenly spaced over those it has
SECONDS = 90  # for one entry
# Entries whose values are whatever the memory held.
UNINITIALISED = {
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided",
    "resize_", "resize_as_",
}  # fmt: skip
DTYPES = (real.float32, real.complex64, real.int64, real.bool, real.float64)
# Results that are right up to signs or phases, which libraries choose each in its own way:
# compared by what is the same for all choices.
INVARIANT = {"linalg.eig", "linalg.eigh", "linalg.svd", "svd", "svd_lowrank", "pca_lowrank"}


class Verdict(NamedTuple):
    """What became of an entry: "agrees", "differs" or "missing", and why."""

    verdict: str
    reason: str = ""
    passed: int = 0
    samples: int = 0
    gradients: int = 0


class Differs(Exception):
    """A result that is not PyTorch's."""


def internal(entry: Any) -> str:
    """Why an entry says nothing about the public functions of a CPU; "" when it does."""
    kind = type(entry.op).__name__
    if "jiterator" in entry.name:
        return "CUDA's jiterator"
    if kind in ("OpOverload", "OpOverloadPacket"):
        return "an operator of torch.ops.aten without a public function"
    if entry.name.startswith("torch.") or (
        entry.name.startswith("_") and not entry.name.startswith("__")
    ):
        return "an internal name"
    if not any(dtype in entry.dtypes for dtype in DTYPES):
        return "has no dtype on this device"
    return ""


def chosen(entry: Any) -> tuple[Any, list[Any]]:
    """The dtype (float32 where the entry has it) and the samples that are run."""
    dtype = next((d for d in DTYPES if d in entry.dtypes), None)
    if dtype is None:
        return None, []
    wants = entry.supports_autograd and (dtype.is_floating_point or dtype.is_complex)
    real.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    samples = list(entry.sample_inputs("cpu", dtype, requires_grad=wants))
    count = len(samples)
    places = sorted({round(k * (count - 1) / max(SAMPLES - 1, 1)) for k in range(SAMPLES)})
    return dtype, [samples[k] for k in places if k < count]


def close(want: Any, got: Any, relative: float) -> str:
    """How two arrays differ beyond rounding; "" when they do not."""
    if want.dtype.kind not in "fc":
        return "" if np.array_equal(want, got) else "values"
    if want.size == 0:
        return ""
    with np.errstate(all="ignore"):
        finite = np.abs(want[np.isfinite(want)])
        scale = max(1.0, float(finite.max(initial=0.0)))
        if np.allclose(got, want, rtol=relative, atol=0.1 * relative * scale, equal_nan=True):
            return ""
        if not np.array_equal(np.isfinite(want), np.isfinite(got)):
            return "NaN or infinity in other places"
        return f"values, by up to {float(np.nanmax(np.abs(want - got))):.2g}"


def tolerance(dtype: str) -> float:
    if dtype in ("torch.float16", "torch.bfloat16"):
        return 2e-2
    return 1e-4


def compare(want: Any, got: Any, name: str, what: str = "result") -> None:
    """Raise Differs unless ``got`` is ``want``: structure, dtype, shape, values."""
    if isinstance(want, real.Tensor):
        if not isinstance(got, ours.Tensor):
            raise Differs(f"{what}: a {type(got).__name__}, not a tensor")
        if str(want.dtype) != str(got.dtype):
            raise Differs(f"{what}: dtype {got.dtype}, not {want.dtype}")
        if tuple(want.shape) != tuple(got.shape):
            raise Differs(f"{what}: shape {tuple(got.shape)}, not {tuple(want.shape)}")
        if name in UNINITIALISED:
            return
        how = close(translate.array_of(want), translate.array_of(got), tolerance(str(want.dtype)))
        if how:
            raise Differs(f"{what}: {how}")
    elif isinstance(want, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(want) != len(got):
            raise Differs(f"{what}: {type(got).__name__} in place of {len(want)} results")
        for k, (a, b) in enumerate(zip(want, got, strict=True)):
            compare(a, b, name, f"{what} {k}")
    elif isinstance(want, (real.dtype, real.device)):
        if str(want) != str(got):
            raise Differs(f"{what}: {got}, not {want}")
    elif isinstance(want, float) and want != want:
        if got == got:
            raise Differs(f"{what}: {got}, not nan")
    elif isinstance(want, float) and isinstance(got, float):
        if not np.isclose(want, got, rtol=1e-4):
            raise Differs(f"{what}: {got}, not {want}")
    elif want != got:
        raise Differs(f"{what}: {str(got)[:40]}, not {str(want)[:40]}")


def invariants(result: Any, name: str) -> Any:
    """What all right answers of a decomposition share (the same code for both sides)."""
    if name in ("linalg.eigh", "linalg.eig"):
        values, vectors = result
        if name == "linalg.eigh":
            return values, (vectors * values.unsqueeze(-2)) @ vectors.mH
        return (vectors * values.unsqueeze(-2)) @ vectors.inverse()
    left, values, right = result
    k = values.shape[-1]
    right = right.mH if name == "linalg.svd" else right
    inner = (left[..., :k] * values.unsqueeze(-2)) @ right[..., :k].mH
    return values, inner, abs(left).shape, abs(right).shape


def weighted(outputs: list[Any], seed: int) -> tuple[Any, list[Any]]:
    """Random cotangents for the differentiable outputs, as PyTorch's tensors."""
    kept = [x for x in outputs if x.requires_grad]
    generator = np.random.default_rng(seed)
    made = []
    for x in kept:
        values = generator.uniform(0.5, 1.5, tuple(x.shape))
        if x.is_complex():
            values = values + 1j * generator.uniform(-1, 1, tuple(x.shape))
        made.append(real.from_numpy(np.asarray(values)).to(x.dtype))
    return kept, made


def pulled(outputs: list[Any], cotangents: list[Any], wanted: list[Any], engine: Any) -> list[Any]:
    return list(engine.autograd.grad(outputs, wanted, cotangents, allow_unused=True))


def run_sample(entry: Any, sample: Any, function: Any) -> int:
    """Compare one sample's forward and gradients; how many gradients were compared."""
    theirs = (sample.input, sample.args, sample.kwargs)
    given = translate.translated(theirs)
    real.manual_seed(5)
    want = entry.op(sample.input, *sample.args, **sample.kwargs)
    ours.manual_seed(5)
    got = function(given[0], *given[1], **given[2])
    name = entry.name
    if name in INVARIANT:
        compare(invariants(want, name), invariants(got, name), name)
    else:
        compare(want, got, name)
    wanted = [x for x in translate.leaves(theirs) if x.requires_grad]
    mine = [x for x in translate.leaves(given) if x.requires_grad]
    if not entry.supports_autograd or not wanted:
        return 0
    want = sample.output_process_fn_grad(want)
    got = translate.translated(sample.output_process_fn_grad)(got)
    outputs, cotangents = weighted(translate.leaves(want), 11)
    results = [x for x in translate.leaves(got) if x.requires_grad]
    if len(results) != len(outputs):
        raise Differs(f"gradient: {len(results)} results have one, not {len(outputs)}")
    if not outputs:
        return 0
    expected = pulled(outputs, cotangents, wanted, real)
    actual = pulled(results, translate.translated(cotangents), mine, ours)
    for k, (a, b) in enumerate(zip(expected, actual, strict=True)):
        compare_gradients(a, b, f"gradient {k}")
    return len(expected)


def compare_gradients(want: Any, got: Any, what: str) -> None:
    """Like compare; None and zeros mean the same."""
    if want is None and got is None:
        return
    if want is None or got is None:
        present = translate.array_of(got if want is None else want)
        if np.any(present):
            raise Differs(f"{what}: {'is one' if want is None else 'is none'}")
        return
    if str(want.dtype) != str(got.dtype) or tuple(want.shape) != tuple(got.shape):
        raise Differs(f"{what}: {got.dtype} {tuple(got.shape)}, not {want.dtype}")
    how = close(translate.array_of(want), translate.array_of(got), 1e-3)
    if how:
        raise Differs(f"{what}: {how}")


def _late(*_: Any) -> None:
    raise TimeoutError(f"took more than {SECONDS} s")


def judge(entry: Any) -> Verdict:
    """Run an entry's samples on both sides."""
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _judge(entry)
    except TimeoutError as error:
        return Verdict("differs", str(error))
    finally:
        signal.alarm(0)


def _judge(entry: Any) -> Verdict:
    why = internal(entry)
    dtype, samples = chosen(entry)
    if dtype is None:
        return Verdict("missing", why)
    try:
        function = translate.function(entry.name, entry.op)
    except (AttributeError, NotImplementedError) as error:
        return Verdict("missing", why or first_line(error), 0, len(samples))
    passed = gradients = absent = 0
    reason = ""
    for k, sample in enumerate(samples):
        try:
            gradients += run_sample(entry, sample, function)
            passed += 1
        except TimeoutError:
            raise
        except Exception as error:  # whatever happens is the finding
            missing = isinstance(error, NotImplementedError)
            absent += missing
            kind = "" if isinstance(error, Differs) else f"{type(error).__name__}: "
            reason = reason or f"sample {k}: {kind}{first_line(error)}"
    if passed == len(samples):
        return Verdict("agrees", "", passed, len(samples), gradients)
    verdict = "missing" if absent == len(samples) else "differs"
    return Verdict(verdict, reason, passed, len(samples), gradients)


def first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return text[:150]
