"""LLVM's back end: objects, assembly, the version read without importing, clear errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from diptych.compiler.llvm import backend
from diptych.compiler.target import Target, host

pytestmark = pytest.mark.native

TEXT = """
define internal i32 @three() alwaysinline { ret i32 3 }
define i32 @answer(i32 %a) { %b = call i32 @three() %c = add i32 %a, %b ret i32 %c }
"""


def test_objects_are_relocatable_elf() -> None:
    content = backend.compile_object(TEXT, Target("x86_64-unknown-linux-gnu", "x86-64",
                                                  frozenset(), 16))  # fmt: skip
    assert content[:4] == b"\x7fELF" and content[16] == 1


def test_objects_are_the_same_each_time() -> None:
    assert backend.compile_object(TEXT, host()) == backend.compile_object(TEXT, host())


def test_assembly_for_another_machine_and_inlining() -> None:
    written = backend.assembly(TEXT, Target("aarch64-unknown-linux-gnu", "generic",
                                            frozenset({"neon"}), 16))  # fmt: skip
    assert "w0, w0, #3" in written
    assert "three" not in written


def test_vectors_of_the_target_are_not_split() -> None:
    text = """define void @f(ptr %p) {
      %a = load <16 x float>, ptr %p
      %b = fadd <16 x float> %a, %a
      store <16 x float> %b, ptr %p
      ret void }"""
    features = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"})
    written = backend.assembly(text, Target("x86_64-unknown-linux-gnu", "x86-64-v4", features, 64))
    assert "zmm" in written


@pytest.mark.parametrize(
    ("text", "stage", "words"),
    [
        ("define i32 @f() { ret float 1.0 }", "parse", "ret float"),
        ("not a module", "parse", "not a module"),
        (
            "define void @f() { %a = add i32 %b, 1 %b = add i32 %a, 1 ret void }",
            "verify",
            "dominate",
        ),
    ],
)
def test_bad_modules_name_the_stage_and_the_line(text: str, stage: str, words: str) -> None:
    with pytest.raises(backend.CodegenError, match=words) as caught:
        backend.compile_object(text, host())
    assert caught.value.stage == stage
    assert caught.value.text == text


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(backend.CodegenError, match="target"):
        backend.compile_object(TEXT, Target("nothing-at-all", "", frozenset(), 16))


def test_the_version_is_read_without_importing_llvmlite() -> None:
    code = (
        "import sys; from diptych.compiler.llvm import backend; early = backend.version();"
        "assert 'llvmlite' not in sys.modules;"
        "import llvmlite; backend.version.cache_clear();"
        "assert early == backend.version() == 'llvmlite ' + llvmlite.__version__, early"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_a_missing_llvmlite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    with pytest.raises(backend.LLVMMissingError, match="pip install llvmlite") as caught:
        backend.compile_object(TEXT, host())
    assert isinstance(caught.value, ImportError)
