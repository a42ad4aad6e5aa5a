"""torch.backends: which libraries serve operations (none of PyTorch's here), and their flags."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class Backend(ModuleType):
    """One backend: not available; its flags are remembered and change nothing."""

    def __init__(self, name: str, **flags: Any) -> None:
        super().__init__(f"diptych.torch.backends.{name}", f"torch.backends.{name}: not available")
        self.__dict__.update(flags)
        self.__path__: list[str] = []

    def is_available(self) -> bool:
        """False: diptych compiles its own kernels."""
        return False

    def is_built(self) -> bool:
        """False: diptych compiles its own kernels."""
        return False

    def version(self) -> None:
        """No version: it is not there."""
        return None


class Flags:
    """Settings of a part of a backend, remembered."""

    def __init__(self, **flags: Any) -> None:
        self.__dict__.update(flags)


cudnn = Backend("cudnn", enabled=True, benchmark=False, deterministic=False, allow_tf32=True,
                benchmark_limit=10)  # fmt: skip
mps = Backend("mps")
mkl = Backend("mkl", VERBOSE_OFF=0, VERBOSE_ON=1)
mkldnn = Backend("mkldnn", enabled=True, allow_tf32=True)
openmp = Backend("openmp")
quantized = Backend("quantized", engine="none", supported_engines=["none"])
opt_einsum = Backend("opt_einsum", enabled=False, strategy=None)
cuda = Backend(
    "cuda",
    matmul=Flags(allow_tf32=False, allow_fp16_reduced_precision_reduction=True),
    flash_sdp_enabled=lambda: False, mem_efficient_sdp_enabled=lambda: False,
    math_sdp_enabled=lambda: True, enable_flash_sdp=lambda enabled: None,
    enable_mem_efficient_sdp=lambda enabled: None, enable_math_sdp=lambda enabled: None,
)  # fmt: skip


class _Cpu(Backend):
    """The CPU's capabilities."""

    def get_cpu_capability(self) -> str:
        """The vector instructions PyTorch would name; diptych chooses at run time."""
        return "DEFAULT"


cpu = _Cpu("cpu")
for _backend in (cudnn, mps, mkl, mkldnn, openmp, quantized, opt_einsum, cuda, cpu):
    sys.modules.setdefault(_backend.__name__, _backend)
