"""Which functions autocast runs in lower precision, in float32, or in the widest of both (CPU).

While a block is entered, these functions carry other code, which casts first; after it they have
their own back. So it matters not by which name or variable a function is reached, and autocast
costs nothing when it is off.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import threading
import warnings
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

from diptych.torch.amp.state import cast, get_autocast_dtype, state
from diptych.torch.dtypes import NAMED, core_of
from diptych.torch.tensor import Tensor

LOWER = (
    "matmul mm bmm addmm addbmm baddbmm chain_matmul einsum tensordot linear bilinear conv1d "
    "conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution prelu "
    "scaled_dot_product_attention multi_head_attention_forward nn.functional.multihead.attend "
    "linear_cross_entropy grouped_mm cov corrcoef linalg.matmul linalg.multi_dot linalg.vecdot"
).split()
FLOAT32 = (
    "prod trace cdist quantile nanquantile polar view_as_complex stft avg_pool3d "
    "adaptive_avg_pool3d adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d "
    "grid_sample grid_sampler mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy "
    "binary_cross_entropy_with_logits kl_div poisson_nll_loss cosine_embedding_loss "
    "hinge_embedding_loss margin_ranking_loss triplet_margin_loss multi_margin_loss "
    "multilabel_margin_loss soft_margin_loss multilabel_soft_margin_loss ctc_loss cross_entropy "
    "nll_loss linalg.cond linalg.matrix_rank linalg.solve linalg.cholesky linalg.cholesky_ex "
    "linalg.svdvals linalg.eigvals linalg.eigvalsh linalg.inv linalg.inv_ex "
    "linalg.householder_product linalg.tensorinv linalg.tensorsolve linalg.qr linalg.eigh "
    "linalg.eig linalg.svd linalg.lstsq linalg.ldl_factor geqrf cholesky cholesky_inverse "
    "cholesky_solve inverse lu_solve orgqr ormqr pinverse triangular_solve svd qr fft.fft fft.ifft "
    "fft.fft2 fft.ifft2 fft.fftn fft.ifftn fft.rfft fft.irfft fft.rfft2 fft.irfft2 fft.rfftn "
    "fft.irfftn fft.hfft fft.ihfft"
).split()
PADDED = ("pad",)  # in float32 only where it repeats what is there
# As they are, though they are made of products that would be cast.
UNCHANGED = ("mv", "dot", "vdot", "inner", "addmv")
WIDEST = ("stack", "cat", "concat", "concatenate", "index_copy")


def _arguments(args: Any, kwargs: dict[str, Any], change: Callable[[Any], Any]) -> Any:
    def each(value: Any) -> Any:
        if isinstance(value, Tensor):
            return change(value)
        if type(value) in (list, tuple):
            return type(value)([each(item) for item in value])
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            held = {f.name: each(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return dataclasses.replace(value, **held)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*[each(item) for item in value])
        return value

    return [each(value) for value in args], {k: each(v) for k, v in kwargs.items()}


def _to_lower(x: Any) -> Any:
    lower = get_autocast_dtype("cpu")
    dtype = x.layout.dtype
    if not dtype.is_float or dtype.name == "float64" or dtype is core_of(lower):
        return x
    return cast(x, lower)


def _to_float32(x: Any) -> Any:
    return cast(x, NAMED["float32"]) if x.layout.dtype.name in ("bfloat16", "float16") else x


def _to_widest(args: Any, kwargs: dict[str, Any]) -> Any:
    names: set[str] = set()
    _arguments(args, kwargs, lambda x: names.add(x.layout.dtype.name))
    return _arguments(args, kwargs, _to_float32) if "float32" in names else (args, kwargs)


def dispatcher(plain: Any, policy: str) -> Any:
    """What a function does while a block is entered: cast, in threads that are in one, and run."""

    def run(args: Any, kwargs: dict[str, Any]) -> Any:
        if not state.enabled.get("cpu") or kwargs.get("out") is not None:
            return plain(*args, **kwargs)
        if policy == "lower":
            args, kwargs = _arguments(args, kwargs, _to_lower)
        elif policy == "widest":
            args, kwargs = _to_widest(args, kwargs)
        elif policy == "float32" or (policy == "pad" and _repeats(*args, **kwargs)):
            args, kwargs = _arguments(args, kwargs, _to_float32)
        state.enabled["cpu"] = False  # what the function itself calls gets what it was given
        try:
            return plain(*args, **kwargs)
        finally:
            state.enabled["cpu"] = True

    return run


def _repeats(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> bool:
    return mode in ("reflect", "replicate")


def _linear(args: Any, kwargs: dict[str, Any]) -> Any:
    """nn.Linear's forward, which calls the engine, through the function that casts."""
    (self, input), functional = args, sys.modules["diptych.torch.nn.functional"]
    return functional.linear(input, self.weight, self.bias)


_MARK = 7_310_731  # stands in the compiled text for the function to call


def _compiled() -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a number is not callable: it is exchanged too
        module = compile(
            f"def run(*args, **kwargs): return {_MARK}(args, kwargs)", __file__, "exec"
        )
    return next(code for code in module.co_consts if isinstance(code, CodeType))


_calling = _compiled()


def code_for(function: FunctionType, run: Any) -> CodeType:
    """Code that a function can carry in place of its own: it calls ``run(args, kwargs)``."""
    code = _calling.replace(
        co_consts=tuple([run if value == _MARK else value for value in _calling.co_consts]),
        co_freevars=function.__code__.co_freevars,
        co_name=function.__code__.co_name,
    )
    return code


class Exchange:
    """Functions and the two codes of each; how many blocks are entered."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entered = 0
        self.rows: list[tuple[FunctionType, CodeType, CodeType]] = []

    def enter(self) -> None:
        """Let the functions cast, from the first block on."""
        with self.lock:
            if not self.rows:
                self.find()
            self.entered += 1
            if self.entered == 1:
                for function, _, casting in self.rows:
                    function.__code__ = casting

    def exit(self) -> None:
        """Give the functions their own code back, after the last block."""
        with self.lock:
            self.entered -= 1
            if not self.entered:
                for function, own, _ in self.rows:
                    function.__code__ = own

    def find(self) -> None:
        """Look the functions up by their names."""
        torch: Any = sys.modules["diptych.torch"]
        for policy, names in (
            ("lower", LOWER), ("float32", FLOAT32), ("pad", PADDED), ("widest", WIDEST),
            ("unchanged", UNCHANGED),
        ):  # fmt: skip
            for name in names:
                room, _, last = name.rpartition(".")
                homes = [torch, torch.nn.functional, Tensor]
                if room:
                    homes = [functools.reduce(getattr, room.split("."), torch)]
                for home in homes:
                    self.add(getattr(home, last, None), policy)
        for name in ("__matmul__", "__rmatmul__"):
            self.add(getattr(Tensor, name, None), "lower")
        # Their weights stay as they are: what comes from a layer before them is widened again.
        for kind in (torch.nn.RNNBase, torch.nn.RNNCell, torch.nn.LSTMCell, torch.nn.GRUCell):
            self.add(kind.forward, "float32")
        linear = torch.nn.Linear.forward
        self.rows.append((linear, linear.__code__, code_for(linear, _linear)))

    def add(self, function: Any, policy: str) -> None:
        """Enter one function (what wraps another is left alone: the other is entered)."""
        function = getattr(function, "plain", function)
        if not isinstance(function, FunctionType) or function.__name__ == "absent":
            return
        if any(row[0] is function for row in self.rows):
            return
        own = function.__code__
        plain = FunctionType(
            own, function.__globals__, function.__name__, function.__defaults__,
            function.__closure__,
        )  # fmt: skip
        plain.__kwdefaults__ = function.__kwdefaults__
        self.rows.append((function, own, code_for(function, dispatcher(plain, policy))))


exchange = Exchange()


def set_autocast_enabled(*args: Any) -> None:
    """``set_autocast_enabled(device_type, enabled)``; without a device type, of CUDA."""
    kind, enabled = args if len(args) == 2 else ("cuda", *args)
    before = state.enabled.get(kind, False)
    if kind == "cpu" and bool(enabled) != before:
        if enabled:
            exchange.enter()
        else:
            exchange.exit()
    state.enabled[kind] = bool(enabled)


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """The old name of ``set_autocast_enabled("cpu", enabled)``."""
    set_autocast_enabled("cpu", enabled)
