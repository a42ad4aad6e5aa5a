"""The fallback loader, for systems whose objects ours does not read: LLVM's own (Mach-O, COFF)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from diptych.compiler.llvm import backend
from diptych.runtime.elf import LoaderError
from diptych.runtime.forks import LOCK

_numbers = itertools.count()
_jit: Any = None
_kept: list[Any] = []  # the libraries live as long as the process, as their code's addresses do


def load_object(
    content: bytes, externals: Mapping[str, int], exports: Sequence[str]
) -> dict[str, int]:
    """Load an object with LLVM's linker; the addresses of its functions ``exports``."""
    global _jit
    llvm = backend.binding("load_object")
    with LOCK:
        if _jit is None:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
            _jit = llvm.create_lljit_compiler(machine)
        builder = llvm.JITLibraryBuilder().add_object_img(content).add_current_process()
        for name, address in externals.items():
            if name not in exports:
                builder.import_symbol(name, address)
        for name in exports:
            builder.export_symbol(name)
        try:
            library = builder.link(_jit, f"diptych-{next(_numbers)}")
            addresses = {name: int(library[name]) for name in exports}
        except (RuntimeError, OSError) as error:
            raise LoaderError(f"loader: LLVM cannot load the object ({error})") from None
        _kept.append(library)
    return addresses
