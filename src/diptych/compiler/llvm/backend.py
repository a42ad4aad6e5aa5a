"""LLVM's code generator: IR text to a relocatable object or to assembly, for any target.

llvmlite is imported here, at the first compilation, and nowhere else in the package save in the
fallback loader of ``runtime``. Our IR is already vectorised, so no mid-level pass runs unless the
text asks for one by holding an ``alwaysinline`` function.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diptych.compiler.target import Target, host
from diptych.errors import DiptychError

CODEGEN_LEVEL = 2

_initialized: set[str] = set()
_initializing = threading.Lock()


class LLVMMissingError(DiptychError, ImportError):
    """llvmlite cannot be imported, so nothing new can be compiled."""

    def __init__(self, wanted: str, reason: str) -> None:
        self.wanted = wanted
        self.reason = reason
        super().__init__(
            f"{wanted}: llvmlite, which holds the code generator, cannot be imported ({reason}); "
            "install it with `pip install llvmlite`, or set DIPTYCH_EVALUATOR=reference to run "
            "on NumPy alone"
        )


class CodegenError(DiptychError, RuntimeError):
    """LLVM refused a module: a defect of the emitter that wrote it."""

    def __init__(self, stage: str, message: str, text: str) -> None:
        self.stage = stage
        self.message = message
        self.text = text
        excerpt = _line_of(message, text)
        super().__init__(f"LLVM could not {stage} the module: {message.strip()}{excerpt}")


def _line_of(message: str, text: str) -> str:
    """The line of IR that LLVM's message points at, and the one before, as ``\\n  in: ...``."""
    found = re.search(r"<string>:(\d+):|^(\d+):\d+", message, re.MULTILINE)
    if not found:
        return ""
    lines = text.splitlines()
    number = int(found.group(1) or found.group(2))
    if not 0 < number <= len(lines):
        return ""
    # A phi is found wanting only at the instruction after it.
    shown = [line.strip() for line in lines[max(number - 2, 0) : number]]
    return "\n  in: " + "\n      ".join(shown)


@functools.cache
def version() -> str:
    """Version of the code generator as a cache key part, or "" where llvmlite is not installed.

    Read from llvmlite's ``_version.py`` without importing it (the import maps a library of 170 MB
    and costs 0.1 s; ``importlib.metadata`` would cost 20 ms).
    """
    loaded = sys.modules.get("llvmlite")
    if loaded is not None:
        return f"llvmlite {loaded.__version__}"
    try:
        spec = importlib.util.find_spec("llvmlite")
    except (ImportError, ValueError):
        spec = None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        try:
            written = Path(folder, "_version.py").read_text(encoding="utf-8")
        except OSError:
            continue
        found = re.search(r"""["']?version["']?\s*[=:]\s*["']([^"']+)["']""", written)
        if found:
            return f"llvmlite {found.group(1)}"
    return ""


def binding(wanted: str = "compile") -> Any:
    """The ``llvmlite.binding`` module, imported at the first call."""
    try:
        return importlib.import_module("llvmlite.binding")
    except (ImportError, OSError) as error:
        raise LLVMMissingError(wanted, str(error)) from None


def _initialize(llvm: Any, triple: str) -> None:
    """Register the code generators: this machine's only, or all of them for another's."""
    kind = "native" if triple == host().triple else "all"
    with _initializing:
        if kind in _initialized:
            return
        if kind == "native":
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            llvm.initialize_native_asmparser()  # for inline assembly
        else:
            llvm.initialize_all_targets()
            llvm.initialize_all_asmprinters()
        _initialized.add(kind)


def _machine(llvm: Any, target: Target) -> Any:
    """A target machine: position-independent, small code model (the loader makes stubs)."""
    _initialize(llvm, target.triple)
    try:
        description = llvm.Target.from_triple(target.triple)
        return description.create_target_machine(
            cpu=target.cpu,
            features=target.feature_string,
            opt=CODEGEN_LEVEL,
            reloc="pic",
            codemodel="default",
        )
    except RuntimeError as error:
        raise CodegenError("target", str(error), "") from None


@contextmanager
def _module(llvm: Any, text: str, target: Target, machine: Any) -> Iterator[Any]:
    """``text`` parsed and verified, in a context of its own.

    Both are closed here, in this order: left to the garbage collector, a context may go before
    its module, which crashes.
    """
    context = llvm.create_context()
    module = None
    try:
        stage = "parse"
        try:
            module = llvm.parse_assembly(text, context=context)
            module.triple = target.triple
            module.data_layout = str(machine.target_data)
            stage = "verify"
            module.verify()
        except RuntimeError as error:
            raise CodegenError(stage, str(error), text) from None
        if "alwaysinline" in text:
            _inline(llvm, module, machine)
        yield module
    finally:
        if module is not None:
            module.close()
        context.close()


def _inline(llvm: Any, module: Any, machine: Any) -> None:
    """Inline the functions marked ``alwaysinline`` and drop them."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    options = llvm.create_pipeline_tuning_options(0)
    builder = llvm.create_pass_builder(machine, options)
    passes.run(module, builder)
    for held in (passes, builder, options):
        held.close()


def compile_object(text: str, target: Target) -> bytes:
    """A relocatable object (ELF on Linux) for the module ``text``."""
    llvm = binding("compile_object")
    machine = _machine(llvm, target)
    with _module(llvm, text, target, machine) as module:
        try:
            return bytes(machine.emit_object(module))
        except RuntimeError as error:
            raise CodegenError("emit", str(error), text) from None


def assembly(text: str, target: Target) -> str:
    """The assembly of the module ``text``, to read."""
    llvm = binding("assembly")
    machine = _machine(llvm, target)
    machine.set_asm_verbosity(False)
    with _module(llvm, text, target, machine) as module:
        try:
            return str(machine.emit_assembly(module))
        except RuntimeError as error:
            raise CodegenError("emit", str(error), text) from None
