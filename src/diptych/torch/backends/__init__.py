"""torch.backends: which libraries serve operations (none of PyTorch's here), and their flags."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

fp32_precision = "none"


class Backend(ModuleType):
    """One backend: its flags are remembered and change nothing."""

    def __init__(self, name: str, available: bool = False, **flags: Any) -> None:
        super().__init__(f"diptych.torch.backends.{name}", f"torch.backends.{name}: its flags.")
        self._available = available
        self._flags = tuple(flags)
        self.__dict__.update(flags)
        self.__path__: list[str] = []

    def is_available(self) -> bool:
        """Whether programs may take it as there."""
        return self._available

    def is_built(self) -> bool:
        """False: diptych compiles its own kernels."""
        return False

    def version(self) -> None:
        """No version: it is not there."""
        return None

    def set_flags(self, **changes: Any) -> tuple[Any, ...]:
        """Change flags (those that are not None); the values before."""
        known = {name.lstrip("_"): value for name, value in changes.items()}
        before = tuple(self.__dict__.get(name) for name in known)
        for name, value in known.items():
            if name not in self.__dict__:
                raise TypeError(f"set_flags() got an unexpected keyword argument '{name}'")
            if value is not None:
                self.__dict__[name] = value
        return before

    @contextlib.contextmanager
    def flags(self, *args: Any, **changes: Any) -> Iterator[None]:
        """Other flags inside the block."""
        given = {**dict(zip(self._flags, args, strict=False)), **changes}
        held = {name: self.__dict__.get(name) for name in given}
        self.set_flags(**given)
        try:
            yield
        finally:
            self.__dict__.update(held)


class Flags:
    """Settings of a part of a backend, remembered."""

    def __init__(self, **flags: Any) -> None:
        self.__dict__.update(flags)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"Unknown attribute {name}")


class _Switches:
    """Which ways of computing attention are allowed; there is one, and it serves always."""

    def __init__(self) -> None:
        self.on = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}

    def functions(self) -> dict[str, Any]:
        """Each way's question and its switch."""
        table: dict[str, Any] = {}
        for way in self.on:
            table[f"{way}_sdp_enabled"] = functools.partial(self.on.__getitem__, way)
            table[f"enable_{way}_sdp"] = functools.partial(self.on.__setitem__, way)
        return table


class _Verbose:
    """A context that would make a library talk."""

    def __init__(self, enable: Any) -> None:
        self.enable = enable

    def __enter__(self) -> _Verbose:
        return self

    def __exit__(self, *exc: Any) -> Any:
        return False


@functools.cache
def cpu_flags() -> frozenset[str]:
    """The names of the processor's extensions, as the system tells them."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


class _Cpu(Backend):
    """The CPU's capabilities."""

    def get_cpu_capability(self) -> str:
        """The vector instructions that PyTorch would name for this processor."""
        flags = cpu_flags()
        if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
            return "AVX512"
        return "AVX2" if {"avx2", "fma"} <= flags else "DEFAULT"


class _Mps(Backend):
    """Apple's GPUs."""

    def is_macos13_or_newer(self, minor: int = 0) -> bool:
        """False: this is not one of Apple's GPUs."""
        return False

    def is_macos_or_newer(self, major: int = 0, minor: int = 0) -> bool:
        """False: this is not one of Apple's GPUs."""
        return False


class _Mha(Backend):
    """The fast path of transformer layers: remembered, one path serves always."""

    _fast = True

    def get_fastpath_enabled(self) -> bool:
        """What ``set_fastpath_enabled`` was told."""
        return self._fast

    def set_fastpath_enabled(self, value: bool) -> None:
        """Remembered."""
        self._fast = value


@contextlib.contextmanager
def _sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:  # fmt: skip
    """Accepted: there is one way of computing attention."""
    yield


cudnn = Backend("cudnn", enabled=True, benchmark=False, benchmark_limit=10, deterministic=False,
                allow_tf32=True, fp32_precision="none",
                conv=Flags(fp32_precision="none"), rnn=Flags(fp32_precision="none"),
                is_acceptable=lambda tensor: False)  # fmt: skip
mps = _Mps("mps")
# Programs ask these two whether a CPU is fast: it is, though not through these libraries.
mkl = Backend("mkl", True, VERBOSE_OFF=0, VERBOSE_ON=1, verbose=_Verbose)
mkldnn = Backend("mkldnn", True, enabled=True, deterministic=False, allow_tf32=True,
                 fp32_precision="none", matmul=Flags(fp32_precision="none"),
                 conv=Flags(fp32_precision="none"), rnn=Flags(fp32_precision="none"),
                 VERBOSE_OFF=0, VERBOSE_ON=1, VERBOSE_ON_CREATION=2, verbose=_Verbose)  # fmt: skip
openmp = Backend("openmp", True)
nnpack = Backend("nnpack", enabled=False)
cusparselt = Backend("cusparselt", get_max_alg_id=lambda: None)
miopen = Backend("miopen", immediate=False)
kleidiai = Backend("kleidiai")
mha = _Mha("mha")
quantized = Backend("quantized", engine="none", supported_engines=["none"])
opt_einsum = Backend("opt_einsum", enabled=False, strategy=None)
cuda = Backend(
    "cuda",
    matmul=Flags(allow_tf32=False, allow_fp16_reduced_precision_reduction=True,
                 allow_bf16_reduced_precision_reduction=True, allow_fp16_accumulation=False,
                 fp32_precision="none"),
    sdp_kernel=_sdp_kernel, is_flash_attention_available=lambda: False,
    allow_fp16_bf16_reduction_math_sdp=lambda enabled: None,
    fp16_bf16_reduction_math_sdp_allowed=lambda: True,
    **_Switches().functions(),
)  # fmt: skip
cpu = _Cpu("cpu")
for _backend in (cudnn, mps, mkl, mkldnn, openmp, nnpack, cusparselt, miopen, kleidiai, mha,
                 quantized, opt_einsum, cuda, cpu):  # fmt: skip
    sys.modules.setdefault(_backend.__name__, _backend)
