"""What a kernel is compiled for: triple, CPU level, features, vector width."""

from __future__ import annotations

import functools
import os
import platform
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A machine to generate code for.

    ``vector_bytes`` is the width of the explicit vectors (64, 32 or 16); ``features`` are LLVM
    feature names without sign, such as ``avx512bf16``.
    """

    triple: str
    cpu: str
    features: frozenset[str]
    vector_bytes: int

    def has(self, feature: str) -> bool:
        return feature in self.features

    @property
    def feature_string(self) -> str:
        """The features as LLVM's target machine takes them: ``+a,+b``."""
        return ",".join(f"+{name}" for name in sorted(self.features))

    def lanes(self, itemsize: int) -> int:
        """Elements of ``itemsize`` bytes in one vector."""
        return self.vector_bytes // itemsize


# Linux's /proc/cpuinfo names, and LLVM's, of the features that our kernels use.
_LINUX_FLAGS = {
    "avx": "avx", "avx2": "avx2", "fma": "fma", "f16c": "f16c", "bmi1": "bmi", "bmi2": "bmi2",
    "avx512f": "avx512f", "avx512bw": "avx512bw", "avx512dq": "avx512dq", "avx512vl": "avx512vl",
    "avx512cd": "avx512cd", "avx512_bf16": "avx512bf16", "avx512_vnni": "avx512vnni",
    "avx_vnni": "avxvnni", "avx512_fp16": "avx512fp16", "sse4_1": "sse4.1", "sse4_2": "sse4.2",
    "popcnt": "popcnt", "lzcnt": "lzcnt", "abm": "lzcnt",
}  # fmt: skip
_LEVEL4 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}
_LEVEL3 = {"avx2", "fma", "f16c", "bmi", "bmi2"}


def _linux_features() -> set[str]:
    """Features of the first processor in /proc/cpuinfo; empty where it cannot be read."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    names = line.split(":", 1)[1].split()
                    return {_LINUX_FLAGS[name] for name in names if name in _LINUX_FLAGS}
    except OSError:
        pass
    return set()


def x86_64(features: frozenset[str], triple: str) -> Target:
    """The x86-64 target with these features: level 4, 3 or the baseline."""
    if _LEVEL4 | _LEVEL3 <= features:
        return Target(triple, "x86-64-v4", features, 64)
    narrow = frozenset(name for name in features if not name.startswith("avx512"))
    if narrow >= _LEVEL3:
        return Target(triple, "x86-64-v3", narrow, 32)
    return Target(triple, "x86-64", frozenset(), 16)


@functools.cache
def host(level: str = "") -> Target:
    """The machine we run on. ``level`` is "", or "avx512", "avx2", "generic" to ask for less."""
    system = {"linux": "unknown-linux-gnu", "darwin": "apple-darwin", "win32": "pc-windows-msvc"}
    suffix = system.get(sys.platform, "unknown-unknown")
    machine = platform.machine().lower() or os.uname().machine
    if machine in ("x86_64", "amd64"):
        features = _linux_features() if sys.platform == "linux" else set()
        if level == "generic":
            features = set()
        elif level == "avx2":
            features = {name for name in features if not name.startswith("avx512")}
        return x86_64(frozenset(features), f"x86_64-{suffix}")
    if machine in ("aarch64", "arm64"):
        return Target(f"aarch64-{suffix}", "generic", frozenset({"neon"}), 16)
    return Target(f"{machine}-{suffix}", "generic", frozenset(), 16)
