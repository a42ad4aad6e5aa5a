"""Loading kernels: memory, then disk, then LLVM; damaged entries; no LLVM; many threads."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from diptych import config
from diptych.compiler.llvm import backend
from diptych.compiler.unit import CodeUnit
from diptych.runtime import kernels, keys, objects

pytestmark = pytest.mark.native


def unit(value: int, name: str = "constant") -> CodeUnit:
    """A kernel that stores ``value`` where its first operand points."""

    def text() -> str:
        return f"""define void @{name}(ptr %desc, ptr %ptrs) nounwind {{
          %p = load ptr, ptr %ptrs
          store i64 {value}, ptr %p
          ret void }}"""

    return CodeUnit(name, (("value", str(value)),), text)


def run(address: int) -> int:
    result = ctypes.c_int64(0)
    pointers = (ctypes.c_void_p * 1)(ctypes.addressof(result))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)(0, ctypes.addressof(pointers))
    return result.value


def path_of(wanted: CodeUnit) -> Path:
    key = keys.of(wanted, objects.target(), objects.code_generator())
    return next(Path(objects.store().directory).glob(f"*{key.digest}*"))


def forget(wanted: CodeUnit) -> None:
    """As in a new process."""
    kernels._addresses.pop((wanted.name, wanted.key), None)


def test_compiled_once_then_from_memory_then_from_disk() -> None:
    before = kernels.statistics()
    assert run(kernels.load(unit(11))) == 11
    assert kernels.load(unit(11)) == kernels.load(unit(11))
    forget(unit(11))
    silent = CodeUnit("constant", unit(11).key, lambda: pytest.fail("the text was asked for"))
    assert run(kernels.load(silent)) == 11
    after = kernels.statistics()
    change = {name: after[name] - before[name] for name in ("compiled", "loaded", "hits")}
    assert change["hits"] == 2
    assert change["compiled"] + change["loaded"] - (before["kernels"] == 0) == 2


def test_two_kernels_of_one_name_differ_by_key() -> None:
    assert [run(kernels.load(unit(value))) for value in (21, 22)] == [21, 22]


@pytest.mark.parametrize("damage", ["byte", "checked"])
def test_a_damaged_entry_is_rebuilt(damage: str) -> None:
    wanted = unit(31 if damage == "byte" else 32)
    kernels.load(wanted)
    forget(wanted)
    if damage == "byte":
        path = path_of(wanted)
        content = bytearray(path.read_bytes())
        content[-20] ^= 0xFF
        path.write_bytes(content)
    else:  # a right checksum over an object that does not load
        key = keys.of(wanted, objects.target(), objects.code_generator())
        objects.store().put(key, b"\x7fELF not an object")
    assert run(kernels.load(wanted)) == int(wanted.key[0][1])
    forget(wanted)
    silent = CodeUnit(wanted.name, wanted.key, lambda: pytest.fail("not rebuilt on disk"))
    assert run(kernels.load(silent)) == int(wanted.key[0][1])


def test_without_llvm_the_cached_loads_and_the_rest_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernels.load(unit(41))
    forget(unit(41))
    monkeypatch.setattr(backend, "version", lambda: "")
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    objects.code_generator.cache_clear()
    try:
        assert run(kernels.load(unit(41))) == 41
        with pytest.raises(backend.LLVMMissingError, match="llvmlite"):
            kernels.load(unit(42))
    finally:
        objects.code_generator.cache_clear()


def test_a_second_process_compiles_nothing_and_does_not_import_llvm(cache_directory: str) -> None:
    code = """
import sys
sys.path.insert(0, "tests/runtime")
from diptych.compiler.unit import CodeUnit
from diptych.runtime import kernels, native
native.install()
text = "define void @twice(ptr %d, ptr %p) { ret void }"
kernels.load(CodeUnit("twice", (("n", "1"),), lambda: text))
print(int(kernels.statistics()["compiled"]), "llvmlite" in sys.modules)
"""
    environment = {"PYTHONPATH": ":".join(sys.path), "DIPTYCH_CACHE_DIR": cache_directory}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        ).stdout.split()
        for _ in range(2)
    ]
    assert outputs[0][1] == "True"
    assert outputs[1] == ["0", "False"]


def test_threads_that_want_the_same_kernel_get_one() -> None:
    asked = []

    def text() -> str:
        asked.append(1)
        return unit(51).text()

    wanted = CodeUnit("constant", unit(51).key, text)
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(kernels.load(wanted))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 8 and len(asked) == 1


def test_a_defective_text_is_reported_and_can_be_loaded_later() -> None:
    bad = CodeUnit("constant", (("value", "61"),), lambda: "define nothing")
    with pytest.raises(backend.CodegenError):
        kernels.load(bad)
    assert run(kernels.load(unit(61))) == 61


def test_debug_says_why_a_kernel_was_compiled(capsys: pytest.CaptureFixture[str]) -> None:
    kernels.load(unit(71, "explained"))
    with config.DEBUG.override(1):
        kernels.load(unit(72, "explained"))
    assert "compiling explained: value was 71, is 72" in capsys.readouterr().err


def test_dump_writes_the_text(tmp_path: Path) -> None:
    with config.DUMP.override(str(tmp_path)):
        kernels.load(unit(81, "dumped"))
    assert "store i64 81" in (tmp_path / "dumped.ll").read_text()
    assert "dumped:" in (tmp_path / "dumped.s").read_text()
    assert os.listdir(tmp_path)
