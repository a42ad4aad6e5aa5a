"""Writes tools/torch_names.json: the public names of the real PyTorch, module by module.

/path/to/an/oracle/python tools/torch_names.py
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import torch

FILE = Path(__file__).resolve().parent / "torch_names.json"
PLACES = (
    "torch", "torch.Tensor", "torch.nn", "torch.nn.functional", "torch.optim",
    "torch.optim.lr_scheduler", "torch.linalg", "torch.fft", "torch.special",
    "torch.distributions", "torch.utils.data",
)  # fmt: skip


def belongs(value: Any) -> bool:
    """Whether a value found in PyTorch's namespace is PyTorch's (and no helper of its modules)."""
    if inspect.ismodule(value):
        return value.__name__.startswith("torch.")
    for owner in (value, type(value)):
        if str(getattr(owner, "__module__", "")).startswith("torch"):
            return True
    return type(value).__name__ in ("builtin_function_or_method", "method_descriptor", "float")


def names_of(place: str) -> list[str]:
    """The public names at a place: those it lists, or those that are PyTorch's own."""
    if place == "torch.Tensor":
        return [name for name in dir(torch.Tensor) if not name.startswith("_")]
    module = importlib.import_module(place)
    listed = set(getattr(module, "__all__", ()))
    found = {name for name in dir(module) if belongs(getattr(module, name, None))} | listed
    if place != "torch" and listed:
        found = listed
    if place == "torch.nn":
        found = {name for name in found if isinstance(getattr(module, name), type)}
    if place == "torch.nn.functional":  # without what it borrows from elsewhere
        found = {
            name for name in found
            if not isinstance(getattr(module, name), type)
            and not re.search("torch_function|^boolean_dispatch|^assert_|^Broadcasting", name)
            and not inspect.ismodule(getattr(module, name))
        }  # fmt: skip
    return sorted(name for name in found if not name.startswith("_"))


def main() -> None:
    parts = [f'"version": {json.dumps(torch.__version__.partition("+")[0])}']
    for place in PLACES:
        words = textwrap.fill(" ".join(names_of(place)), 96).splitlines()
        parts.append(f"{json.dumps(place)}: {json.dumps(words, indent=1)}")
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
