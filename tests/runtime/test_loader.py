"""The object loader: relocations, symbols, protection, and no crash on damaged objects."""

from __future__ import annotations

import ctypes
import random
import struct

import pytest

from diptych.compiler.llvm import backend
from diptych.compiler.target import Target, host
from diptych.runtime import elf, llvm_loader, loader, relocate
from diptych.runtime.elf import LoaderError

pytestmark = pytest.mark.native
ours = pytest.mark.skipif(not loader.MACHINE, reason="no loader of ours for this system")

# Constants, writable data, zeros, a data word holding an address, an indirect global, libm, ours.
TEXT = """
@table = private constant [4 x double] [double 1.0, double 2.0, double 3.0, double 4.0]
@counter = internal global i64 40
@zeros = internal global [1000 x i64] zeroinitializer
@pointer = global ptr @counter
@ours = external global i64
declare double @exp2(double)
declare i64 @given(i64)
define double @power(i64 %i) {
  %at = getelementptr double, ptr @table, i64 %i
  %x = load double, ptr %at
  %y = call double @exp2(double %x)
  ret double %y
}
define i64 @count() {
  %at = load ptr, ptr @pointer
  %a = load i64, ptr %at
  %b = add i64 %a, 1
  store i64 %b, ptr %at
  %z = getelementptr i64, ptr @zeros, i64 999
  %c = load i64, ptr %z
  %d = add i64 %b, %c
  ret i64 %d
}
define i64 @outside(i64 %x) {
  %a = load i64, ptr @ours
  %b = add i64 %a, %x
  %c = call i64 @given(i64 %b)
  ret i64 %c
}
"""


@pytest.fixture(scope="module")
def content() -> bytes:
    return backend.compile_object(TEXT, host())


class Externals:
    """An external word and function, kept alive."""

    def __init__(self) -> None:
        self.word = ctypes.c_int64(1000)
        self.function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: x * 2)
        address = ctypes.cast(self.function, ctypes.c_void_p).value
        self.table = {"ours": ctypes.addressof(self.word), "given": address or 0}


def check(found: dict[str, int]) -> None:
    power = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)(found["power"])
    assert [power(i) for i in range(4)] == [2.0, 4.0, 8.0, 16.0]
    count = ctypes.CFUNCTYPE(ctypes.c_int64)(found["count"])
    assert [count(), count()] == [41, 42]
    outside = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(found["outside"])
    assert outside(7) == 2014


@ours
def test_an_object_runs(content: bytes) -> None:
    externals = Externals()
    found = loader.load_object(content, externals.table)
    assert {"power", "count", "outside", "pointer"} == set(found)
    check(found)


@ours
def test_two_loads_share_nothing(content: bytes) -> None:
    externals = Externals()
    for _ in range(2):
        check(loader.load_object(content, externals.table))


def test_the_fallback_loads_the_same_object(content: bytes) -> None:
    externals = Externals()
    check(llvm_loader.load_object(content, externals.table, ["power", "count", "outside"]))


@ours
def test_code_is_not_writable_and_data_not_executable(content: bytes) -> None:
    found = loader.load_object(content, Externals().table)
    protections = {}
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, flags = line.split()[:2]
            low, high = (int(part, 16) for part in span.split("-"))
            for name in ("power", "pointer"):
                if low <= found[name] < high:
                    protections[name] = flags[:3]
    assert protections == {"power": "r-x", "pointer": "rw-"}


@ours
def test_an_unresolved_symbol_is_named() -> None:
    text = (
        "declare void @no_such_symbol()\ndefine void @f() { call void @no_such_symbol() ret void }"
    )
    with pytest.raises(LoaderError, match="no_such_symbol"):
        loader.load_object(backend.compile_object(text, host()), {})


@ours
def test_an_object_of_another_machine_is_refused() -> None:
    triple = "riscv64-unknown-linux-gnu"
    content = backend.compile_object(
        "define void @f() { ret void }", Target(triple, "", frozenset(), 16)
    )
    with pytest.raises(LoaderError, match="machine 243"):
        loader.load_object(content, {})


@ours
def test_every_truncation_is_refused(content: bytes) -> None:
    externals = Externals().table
    for length in [*range(0, len(content), 41), len(content) - 1]:
        with pytest.raises(LoaderError):
            loader.load_object(content[:length], externals)


def test_damaged_objects_never_crash(content: bytes) -> None:
    """Parsing and relocating bytes changed at random raises LoaderError or succeeds."""
    drawn = random.Random(7)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(content)
        for _ in range(drawn.randint(1, 4)):
            value = drawn.choice([0, 1, 0x7F, 0x80, 0xFF, drawn.randrange(256)])
            damaged[drawn.randrange(len(damaged))] = value
        refused += not _relocates(bytes(damaged))
    assert refused > 100


def test_damaged_headers_never_crash(content: bytes) -> None:
    """Every aligned word of headers, symbols and relocations replaced by extreme values."""
    start = struct.unpack_from("<Q", content, 40)[0]
    for at in [*range(0, 64, 2), *range(start, len(content) - 8, 4)]:
        for value in (0, 1, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, len(content)):
            damaged = bytearray(content)
            struct.pack_into("<Q", damaged, at, value)
            _relocates(bytes(damaged))


def _relocates(damaged: bytes) -> bool:
    """All of a load but the copy into memory, whose size is the image's."""
    try:
        loader.link_image(damaged, {"ours": 1 << 40, "given": 1 << 41}, lambda size: 1 << 32)
    except LoaderError:
        return False
    return True


AARCH64 = """
@table = internal constant [1700 x i64] [i64 1CONSTANTS]
@word = external global i64
declare i64 @far(i64)
define i64 @f(i64 %i) {
  %at = getelementptr i64, ptr @table, i64 %i
  %x = load i64, ptr %at
  %y = load i64, ptr @word
  %z = add i64 %x, %y
  %r = call i64 @far(i64 %z)
  ret i64 %r
}
""".replace("CONSTANTS", ", i64 2" * 1699)  # so that the address table lies some pages on


def test_aarch64_fields_reach_their_targets() -> None:
    """Relocate for aarch64 and decode the instructions again: no such machine is needed."""
    target = Target("aarch64-unknown-linux-gnu", "generic", frozenset({"neon"}), 16)
    content = backend.compile_object(AARCH64, target)
    externals = {"word": 0x123456789000, "far": 0x7FFFFFFF0000}
    base = 0x40_0000_0000
    image = loader.link_image(content, externals, lambda size: base, elf.AARCH64)
    words = struct.unpack_from(f"<{len(image.content) // 4}I", image.content)
    start = (image.symbols["f"] - base) // 4
    code = words[start : start + 24]
    pages: dict[int, int] = {}
    reached = []
    for index, word in enumerate(code):
        place = base + 4 * (start + index)
        if word & 0x9F000000 == 0x90000000:  # adrp
            high = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
            high -= (high >> 20) << 21
            pages[word & 31] = ((place >> 12) + high) << 12
        elif word & 0xFFC00000 == 0x91000000 and word >> 5 & 31 in pages:  # add x, x, #low
            reached.append(pages.pop(word >> 5 & 31) + (word >> 10 & 0xFFF))
        elif word & 0xFFC00000 == 0xF9400000 and word >> 5 & 31 in pages:  # ldr x, [x, #low]
            reached.append(pages.pop(word >> 5 & 31) + (word >> 10 & 0xFFF) * 8)
        elif word & 0x7C000000 == 0x14000000:  # b, bl
            near = word & 0x03FFFFFF
            reached.append(place + 4 * (near - (near >> 25 << 26)))
        if word == 0xD65F03C0:
            break
    data = {struct.unpack_from("<q", image.content, at - base)[0] for at in reached[:-1]}
    assert data == {1, externals["word"]}
    stub = reached[-1] - base
    assert words[stub // 4 + 1] == 0xD61F0200  # br x16
    distance = words[stub // 4] >> 5 & 0x7FFFF
    cell = stub + 4 * (distance - (distance >> 18 << 19))
    assert struct.unpack_from("<Q", image.content, cell)[0] == externals["far"]
    assert relocate.CELL >= 16


@ours
def test_far_fields_that_cannot_hold_are_refused() -> None:
    """A 32-bit absolute address of a symbol beyond 4 GB."""
    text = 'module asm ".text; .globl f; f: movl $far_word, %eax; ret"'
    if not host().triple.startswith("x86_64"):
        pytest.skip("x86-64 assembly")
    content = backend.compile_object(text, host())
    with pytest.raises(LoaderError, match="cannot hold"):
        loader.load_object(content, {"far_word": 1 << 40})
    near = loader.load_object(content, {"far_word": 0x1234})
    assert ctypes.CFUNCTYPE(ctypes.c_int)(near["f"])() == 0x1234
