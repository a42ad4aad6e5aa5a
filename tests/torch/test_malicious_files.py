"""Files made to do harm: each is refused with an error that says so, in bounded memory."""

from __future__ import annotations

import builtins
import collections
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import diptych.torch as torch
from diptych.formats.archives import ArchiveWriter
from diptych.torch import legacy_files

REFUSED = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError)


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def whole(value: int) -> bytes:
    return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)


def storage(count: int = 4, key: str = "0", kind: str = "FloatStorage") -> bytes:
    """A persistent id of a storage."""
    named = name("torch", kind) + text(key) + text("cpu") + whole(count)
    return b"(" + text("storage") + named + b"tQ"


def tensor(size: bytes, stride: bytes, offset: int = 0, held: bytes | None = None) -> bytes:
    """A call of the function that rebuilds a tensor."""
    held = storage() if held is None else held
    rest = b"\x89" + name("collections", "OrderedDict") + b")R"
    arguments = held + whole(offset) + size + stride + rest
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def row(*values: int) -> bytes:
    return b"(" + b"".join(map(whole, values)) + b"t"


def archive(pickled: bytes, **entries: bytes) -> bytes:
    """A file in the zip format with this pickle and a storage of four floats."""
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    writer.put("a/data.pkl", pickled)
    for entry, data in {"data/0": struct.pack("<4f", 1, 2, 3, 4), "version": b"3\n"}.items():
        writer.put(f"a/{entry}", entries.get(entry, data))
    writer.finish()
    return file.getvalue()


def protocol(body: bytes, version: int = 4) -> bytes:
    return b"\x80" + bytes([version]) + body + b"."


GOOD = tensor(row(2, 2), row(2, 1))
EVIL_NAMES = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("builtins", "eval"),
    ("builtins", "exec"), ("__builtin__", "eval"), ("builtins", "getattr"), ("builtins", "open"),
    ("builtins", "__import__"), ("builtins", "compile"), ("builtins", "type"),
    ("builtins", "object"), ("subprocess", "Popen"), ("runpy", "run_path"), ("sys", "modules"),
    ("operator", "attrgetter"), ("functools", "partial"), ("importlib", "import_module"),
    ("torch", "load"), ("torch.serialization", "load"), ("torch.storage", "_load_from_bytes"),
    ("torch.jit", "load"), ("torch.hub", "load"), ("torch.utils.cpp_extension", "load"),
    ("numpy", "load"), ("numpy.testing._private.utils", "runstring"), ("ctypes", "CDLL"),
    ("collections", "OrderedDict.__init__"), ("torch", "Tensor.__class__"), ("pickle", "loads"),
    ("diptych.torch", "load"), ("", ""), ("torch._utils", "__builtins__"), ("torch", "nn"),
    ("code", "interact"), ("pty", "spawn"), ("webbrowser", "open"), ("shutil", "rmtree"),
]  # fmt: skip


def calls(mark: Path) -> dict[str, bytes]:
    """Pickles that would make ``mark``, were they believed."""
    command = text(f"touch {mark}")
    found = {}
    for module, attribute in EVIL_NAMES:
        named = name(module, attribute)
        found[f"REDUCE {module}.{attribute}"] = named + command + b"\x85R"
        found[f"STACK_GLOBAL {module}.{attribute}"] = (
            text(module) + text(attribute) + b"\x93" + command + b"\x85R"
        )
        found[f"INST {module}.{attribute}"] = (
            b"(" + command + b"i" + f"{module}\n{attribute}\n".encode()
        )
        found[f"OBJ {module}.{attribute}"] = b"(" + named + command + b"o"
        found[f"NEWOBJ {module}.{attribute}"] = named + command + b"\x85\x81"
        found[f"NEWOBJ_EX {module}.{attribute}"] = named + command + b"\x85}\x92"
        found[f"value {module}.{attribute}"] = named
    return found


ODDITIES = {
    "REDUCE of a string": text("os.system") + text("x") + b"\x85R",
    "REDUCE of a tensor": GOOD + b")R",
    "REDUCE of a class": name("torch", "Tensor") + b")R",
    "REDUCE without a tuple": name("collections", "OrderedDict") + b"]R",
    "REDUCE of a dtype": name("torch", "float32") + b")R",
    "REDUCE of a storage": name("torch", "FloatStorage") + whole(1 << 60) + b"\x85R",
    "NEWOBJ of a tensor's class": name("torch", "Tensor") + b")\x81",
    "BUILD of a class": name("collections", "OrderedDict") + b"}" + text("x") + b"Ksb",
    "BUILD of a function": name("torch._utils", "_rebuild_tensor_v2") + b"}" + text("x") + b"K\1sb",
    "BUILD of a dtype": name("torch", "float32") + b"}" + text("itemsize") + b"K\1sb",
    "BUILD of a tensor": GOOD + b"}" + text("address") + b"K\1sb",
    "BUILD of a list": b"]}b",
    "BUILD of a dict": b"}}b",
    "BUILD of None": b"N}b",
    "BUILD with other than a dict": name("collections", "OrderedDict") + b")RK\1b",
    "a parameter's memory as its state": (
        name("torch._utils", "_rebuild_parameter_with_state") + b"(" + GOOD + b"\x89N}"
        + text("buffer") + text("x") + b"stR"
    ),
    "a subclass's memory as its state": (
        name("torch._tensor", "_rebuild_from_type_v2") + b"("
        + name("torch._utils", "_rebuild_tensor_v2") + name("torch", "Tensor")
        + b"(" + storage() + whole(0) + row(4) + row(1) + b"\x89Nt"
        + b"}" + text("address") + whole(0) + b"stR"
    ),
    "a tensor of a class that is none": (
        name("torch._tensor", "_rebuild_from_type_v2") + b"("
        + name("torch._utils", "_rebuild_tensor_v2") + name("collections", "OrderedDict")
        + b"(" + storage() + whole(0) + row(4) + row(1) + b"\x89Nt}tR"
    ),
    "defaultdict of a function": (
        name("collections", "defaultdict") + name("torch._utils", "_rebuild_tensor_v2") + b"\x85R"
    ),
    "EXT1": b"\x82\x01", "EXT2": b"\x83\x01\x00", "EXT4": b"\x84\x01\x00\x00\x00",
    "NEXT_BUFFER": b"\x97", "READONLY_BUFFER": b"]\x98", "an unknown opcode": b"\xff",
    "a protocol to come": b"\x80\x63N", "an empty pickle": b"", "a mark alone": b"(",
    "two objects": b"NN", "POP of nothing": b"0", "TUPLE without a mark": b"Nt",
    "APPEND to a tuple": b")Na", "APPENDS to a tensor": GOOD + b"(Ne",
    "SETITEM of a list": b"]NNs", "SETITEMS of an odd number": b"}(NNNu",
    "ADDITEMS to a list": b"](N\x90", "a list as a key": b"}]Ns",
    "GET of nothing": b"h\x05", "a memo number that is none": b"Np-\n",
    "a name without an end": b"c" + b"o" * 100_000, "a name of two parts": b"cos\nsys",
    "a persistent id of a string": text("x") + b"Q", "a persistent id of a line": b"P0\n",
    "a persistent id within one": b"(" + text("storage") + storage() + text("0") + text("cpu")
    + whole(4) + b"tQ",
    "a storage as its own name": b"(" + text("storage") + name("torch", "FloatStorage")
    + storage() + text("cpu") + whole(4) + b"tQ",
    "a module by persistent id": b"(" + text("module") + name("os", "system") + b"NNtQ",
    "a storage of a function": b"(" + text("storage") + name("_codecs", "encode") + text("0")
    + text("cpu") + whole(4) + b"tQ",
    "a storage outside the archive": storage(4, "../../../etc/passwd"),
    "a string that is too long": b"X\xff\xff\xff\xff" + b"x" * 10,
    "bytes that are too long": b"\x8e" + struct.pack("<Q", 1 << 62),
    "a bytearray that is too long": b"\x96" + struct.pack("<Q", 1 << 62),
    "a frame that is too long": b"\x95" + struct.pack("<Q", 1 << 62),
    "an integer that is too long": b"\x8b\xff\xff\xff\x7f",
    "an integer of many digits": b"I" + b"9" * 4200 + b"9" * 4200 + b"\n",
    "text that is no text": b"X\x02\x00\x00\x00\xff\xfe", "a string without quotes": b"Sabc\n",
    "a float that is none": b"Fabc\n",
}  # fmt: skip

BOMBS = {
    "bytearray of a count": name("builtins", "bytearray") + whole(1 << 40) + b"\x85R",
    "list of a range": name("builtins", "list") + name("builtins", "range") + whole(1 << 40)
    + b"\x85R\x85R",
    "set of a range": name("builtins", "set") + name("builtins", "range") + whole(1 << 40)
    + b"\x85R\x85R",
    "size of a range": name("torch", "Size") + name("builtins", "range") + whole(1 << 40)
    + b"\x85R\x85R",
    "copies of one list": b"](" + b"N" * 50_000 + b"e\x940(" + (
        name("builtins", "list") + b"\x940h\x00" + b"0" + name("builtins", "list") + b"h\x00\x85R"
    ) * 2000 + b"t",
    "copies of one text": text("x" * 100_000) + b"\x940(" + (
        name("_codecs", "encode") + b"h\x00" + text("latin1") + b"\x86R"
    ) * 2000 + b"t",
    "a key of keys": b")" + b"2\x86" * 64 + b"}q\x000h\x00" + b"1",
    "a tuple that doubles as a key": b"}" + b")" + b"2\x86" * 60 + b"Ns",
    "a tuple that doubles in a set": b"\x8f(" + b")" + b"2\x86" * 60 + b"\x90",
    "a key that nests deeply": b"}" + b")" + b"\x85" * 200_000 + b"Ns",
    "a NumPy array of a great shape": (
        name("numpy.core.multiarray", "_reconstruct") + name("numpy", "ndarray") + row(0)
        + b"C\x01b\x87R(K\x01" + row(1 << 40) + name("numpy", "dtype")
        + text("f8") + b"\x85R\x89C\x08" + bytes(8) + b"tb"
    ),
    "a NumPy array of objects": name("numpy", "dtype") + text("O8") + b"\x85R",
    "a NumPy dtype of great width": name("numpy", "dtype") + text("S99999999999999999") + b"\x85R",
}  # fmt: skip

SHAPES = {
    "size beyond": tensor(row(5), row(1)), "stride beyond": tensor(row(2, 2), row(3, 1)),
    "offset beyond": tensor(row(2), row(1), 3), "huge size": tensor(row(1 << 61), row(1)),
    "huge size, no stride": tensor(row(1 << 61), row(0)),
    "huge stride": tensor(row(2), row(1 << 61)), "huge offset": tensor(row(1), row(1), 1 << 62),
    "an offset that wraps": tensor(row(1), row(1), (1 << 64) - 4),
    "a product that wraps": tensor(row(1 << 32, 1 << 32), row(0, 0)),
    "a span that wraps": tensor(row(1 << 31, 1 << 31), row(1 << 33, 1 << 33)),
    "negative size": tensor(row(-1), row(1)), "negative stride": tensor(row(2), row(-1), 1),
    "negative offset": tensor(row(1), row(1), -1), "no stride": tensor(row(2), row()),
    "more strides": tensor(row(2), row(1, 1)),
    "many dimensions": tensor(row(*[1] * 65), row(*[1] * 65)),
    "a size of text": tensor(b"(" + text("2") + b"t", row(1)), "a list as size": tensor(b"]", b"]"),
    "a size of booleans": tensor(b"\x88\x85", row(1)),
    "no storage": tensor(row(1), row(1), 0, b"N"),
    "an empty one beyond": tensor(row(0), row(1), 1 << 40),
    "a storage too large": tensor(row(4), row(1), 0, storage(1 << 50)),
    "a storage too small": tensor(row(1), row(1), 0, storage(3)),
    "a negative storage": tensor(row(1), row(1), 0, storage(-1)),
    "a storage of two kinds": b"(" + GOOD
    + tensor(row(1), row(1), 0, storage(4, "0", "IntStorage")) + b"t",
    "a storage that is not there": tensor(row(1), row(1), 0, storage(4, "1")),
    "a whole number that wants a gradient": name("torch._utils", "_rebuild_tensor_v2") + b"("
    + storage(4, "0", "IntStorage") + whole(0) + row(4) + row(1) + b"\x88NtR",
}  # fmt: skip


def refused(data: bytes, **options: Any) -> Exception:
    """The error that a file raises; it must say something, and nothing of the file may run."""
    with pytest.raises(REFUSED) as caught:
        torch.load(io.BytesIO(data), **options)
    assert str(caught.value)
    return caught.value


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ran of the things that must not."""
    ran: list[str] = []

    def trap(label: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: ran.append(label)

    monkeypatch.setattr(os, "system", trap("os.system"))
    monkeypatch.setattr(subprocess, "Popen", trap("Popen"))
    monkeypatch.setattr(builtins, "eval", trap("eval"))
    return ran


@pytest.mark.parametrize("weights_only", [True, False])
def test_no_spelling_of_a_call_runs(tmp_path: Path, guarded: list[str], weights_only: bool) -> None:
    mark = tmp_path / "ran"
    for label, body in calls(mark).items():
        if label == "value builtins.object" and not weights_only:
            continue  # a class without anything in it: harmless, and protocol 0 needs it
        for version in (2, 4):
            try:
                refused(archive(protocol(body, version)), weights_only=weights_only)
                refused(legacy(protocol(body, version)), weights_only=weights_only)
            except BaseException as error:
                raise AssertionError(label) from error
    assert not mark.exists() and not guarded


@pytest.mark.parametrize("weights_only", [True, False])
def test_oddities_shapes_and_bombs_are_refused(guarded: list[str], weights_only: bool) -> None:
    for label, body in {**ODDITIES, **SHAPES, **BOMBS}.items():
        try:
            refused(archive(protocol(body)), weights_only=weights_only)
        except BaseException as error:
            raise AssertionError(label) from error
    assert not guarded
    assert torch.load(io.BytesIO(archive(protocol(GOOD)))).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    # A list of the standard unpickler's memo would have 2**32 places for this.
    assert torch.load(io.BytesIO(archive(protocol(b"Nr\xff\xff\xff\xff")))) is None


class Reduced:
    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return self.parts


class Trap:
    touched: list[Any] = []

    def __setstate__(self, state: Any) -> None:
        self.touched.append(state)

    def __setattr__(self, key: str, value: Any) -> None:
        self.touched.append(key)


def test_a_programs_classes_are_not_touched_unless_let_in(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    run, touch = f"open({str(mark)!r}, 'w')", f"touch {mark}"
    for obj in (
        Reduced(os.system, (touch,)), Reduced(eval, (run,)), Reduced(exec, (run,)),
        Reduced(getattr, (os, "system")),
        Reduced(collections.OrderedDict, ([("a", Reduced(eval, (run,)))],), {"b": 1}),
        Reduced(Trap, (), {"a": 1}), Trap(), {"deep": [(Reduced(os.getcwd, ()),)]},
    ):  # fmt: skip
        for version in range(6):
            try:
                data = pickle.dumps(obj, version)
            except (TypeError, pickle.PicklingError):
                continue
            for weights_only in (True, False):
                refused(archive(data), weights_only=weights_only)
    assert not Trap.touched and not mark.exists()


# ---- archives


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for entry, data in entries:
            out.writestr(entry, data)
    return file.getvalue()


def directory_of(data: bytes) -> list[int]:
    """Where the records of the directory begin."""
    found, at = [], data.find(b"PK\x01\x02")
    while at >= 0:
        found.append(at)
        at = data.find(b"PK\x01\x02", at + 4)
    return found


def altered(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def test_archives_that_lie_are_refused() -> None:
    pickled, four = protocol(GOOD), struct.pack("<4f", 1, 2, 3, 4)
    plain = (("a/data.pkl", pickled), ("a/data/0", four))
    good = zipped(*plain)
    assert torch.load(io.BytesIO(good)).sum().item() == 10
    first, second = directory_of(good)
    bad = {
        "compressed": zipped(*plain, method=zipfile.ZIP_DEFLATED),
        "a zip bomb": zipped(("a/data.pkl", bytes(50 << 20)), method=zipfile.ZIP_DEFLATED),
        "overlapping": altered(good, second + 42, struct.pack("<I", 0)),
        "one entry in another": altered(good, second + 42, struct.pack("<I", 30)),
        "an entry beyond the end": altered(good, second + 42, struct.pack("<I", 1 << 31)),
        "a size beyond the end": altered(good, second + 20, struct.pack("<II", 1 << 30, 1 << 30)),
        "sizes that differ": altered(good, second + 20, struct.pack("<II", 16, 1 << 30)),
        "another name in the header": altered(good, good.find(b"a/data/0"), b"a/data/1"),
        "encrypted": altered(good, second + 8, b"\x01"),
        "a wrong checksum": altered(good, good.find(four), struct.pack("<f", 9)),
        "names that climb": zipped(*plain, ("a/../../x", b"")),
        "an absolute name": zipped(*plain, ("/x", b"")),
        "a drive's name": zipped(*plain, ("C:\\x", b"")),
        "a name of backslashes": zipped(*plain, ("a\\x", b"")),
        "an entry beside": zipped(*plain, ("b/x", b"")),
        "no pickle": zipped(plain[1]),
        "a version to come": zipped(*plain, ("a/version", b"11")),
        "a version of text": zipped(*plain, ("a/version", b"x" * 100)),
        "another byte order": zipped(*plain, ("a/byteorder", b"middle")),
        "TorchScript": zipped(*plain, ("a/constants.pkl", b"")),
        "a directory beyond": altered(good, good.rfind(b"PK\x05\x06") + 16, b"\xff\xff\xff\x7f"),
        "a header alone": b"PK\x03\x04",
    }  # fmt: skip
    with pytest.warns(UserWarning, match="Duplicate name"):
        bad["a name twice"] = zipped(*plain, plain[1])
    for label, data in bad.items():
        try:
            refused(data)
        except BaseException as error:
            raise AssertionError(label) from error
    # An entry inside the bytes of another, with a header of its own that is right.
    nested = zipped(("a/x", good[: directory_of(good)[0]]), *plain)
    inner = nested.find(b"PK\x03\x04", 4)
    last = directory_of(nested)[1]
    assert inner < 64 and "overlaps another" in str(
        refused(altered(nested, last + 42, struct.pack("<I", inner)))
    )
    for length in range(0, len(good), 7):
        refused(good[:length])


# ---- the formats from before


def legacy(pickled: bytes, *rest: bytes, magic: Any = legacy_files.MAGIC) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = b"".join(pickle.dumps(part, 2) for part in (magic, 1001, system))
    return head + pickled + (b"".join(rest) or pickle.dumps([], 2))


def old(size: bytes, stride: bytes, count: int = 4, view: bytes = b"N") -> bytes:
    held = name("torch", "FloatStorage") + text("7") + text("cpu") + whole(count) + view
    return protocol(tensor(size, stride, 0, b"(" + text("storage") + held + b"tQ"), 2)


def tarred(**members: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as out:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return file.getvalue()


def test_old_formats_that_lie_are_refused() -> None:
    four = struct.pack("<q4f", 4, 1, 2, 3, 4)
    keys = pickle.dumps(["7"], 2)
    good = legacy(old(row(2, 2), row(2, 1)), keys, four)
    assert torch.load(io.BytesIO(good)).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    one = pickle.dumps(1, 2)
    named = protocol(b"(" + text("1") + text("cpu") + name("torch", "FloatStorage") + b"t", 2)
    views = pickle.dumps([], 2)
    bad = {
        "another magic": legacy(old(row(1), row(1)), keys, four, magic=1),
        "a magic that is called": legacy(b"", magic=None).replace(b"N", name("os", "system"), 1),
        "a great storage": legacy(old(row(1), row(1), 1 << 60), keys, four),
        "a count beyond": legacy(old(row(1), row(1)), keys, struct.pack("<q", 1 << 60)),
        "a negative count": legacy(old(row(1), row(1)), keys, struct.pack("<q", -1)),
        "another count": legacy(old(row(1), row(1)), keys, struct.pack("<q3f", 3, 1, 2, 3)),
        "too few bytes": legacy(old(row(1), row(1)), keys, four[:-1]),
        "no keys": legacy(old(row(1), row(1)), pickle.dumps([], 2)),
        "keys twice": legacy(old(row(1), row(1)), pickle.dumps(["7", "7"], 2), four, four),
        "other keys": legacy(old(row(1), row(1)), pickle.dumps(["8"], 2), four),
        "keys that are none": legacy(old(row(1), row(1)), pickle.dumps(3, 2), four),
        "a view beyond": legacy(old(row(1), row(1), 4, row(1, 3, 2)), keys, four),
        "a negative view": legacy(old(row(1), row(1), 4, row(1, -1, 2)), keys, four),
        "a shape beyond": legacy(old(row(5), row(1)), keys, four),
        "tar: nothing": tarred(),
        "tar: no pickle": tarred(storages=pickle.dumps(0, 2) + views, tensors=pickle.dumps(0, 2)),
        "tar: many storages": tarred(storages=pickle.dumps(1 << 60, 2)),
        "tar: a great storage": tarred(storages=one + named + struct.pack("<q", 1 << 60)),
        "tar: a negative storage": tarred(storages=one + named + struct.pack("<q", -4)),
        "tar: many dimensions": tarred(
            storages=one + named + struct.pack("<q2f", 2, 1, 2) + views,
            tensors=one + pickle.dumps((1, 1, 0), 2) + struct.pack("<iiq", 1 << 30, 0, 0),
        ),
        "tar: a shape beyond": tarred(
            storages=one + named + struct.pack("<q2f", 2, 1, 2) + views,
            tensors=one + pickle.dumps((1, 1, 0), 2) + struct.pack("<ii3q", 1, 0, 3, 1, 0),
        ),
        "tar: a call": tarred(
            storages=pickle.dumps(0, 2) + views, tensors=pickle.dumps(0, 2),
            pickle=protocol(name("os", "system") + text("x") + b"\x85R", 2),
        ),
    }  # fmt: skip
    for label, data in bad.items():
        try:
            found = refused(data)
        except BaseException as error:
            raise AssertionError(label) from error
        if "a great storage" in label:  # refused before its memory is asked for
            assert "which the file has not" in str(found), label
    for length in range(0, len(good), 5):
        refused(good[:length])


# ---- bounds

BOUNDED = """
import io, pickle, resource, sys
sys.path.insert(0, sys.argv[1])
import diptych.torch as torch
from tests.torch.test_malicious_files import BOMBS, REFUSED, SHAPES, archive, protocol, zipped
files = [archive(protocol(body)) for body in {**BOMBS, **SHAPES}.values()]
import zipfile
files.append(zipped(("a/data.pkl", bytes(300 << 20)), method=zipfile.ZIP_DEFLATED))
try: torch.load(io.BytesIO(files[0]))
except REFUSED: pass
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (192 << 20), used + (192 << 20)))
for data in files:
    for weights_only in (True, False):
        try:
            torch.load(io.BytesIO(data), weights_only=weights_only)
        except REFUSED as error:
            assert "MemoryError" not in str(error), error
        else:
            raise AssertionError
print("bounded")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bombs_stay_within_a_bound_of_memory() -> None:
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, root], capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "PYTHONPATH": os.path.join(root, "src")},
    )  # fmt: skip
    assert done.stdout == "bounded\n", done.stderr[-2000:]


def mutated(good: bytes, draw: random.Random) -> bytes:
    bad = bytearray(good)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(bad))
        kind = draw.random()
        if kind < 0.6:
            bad[at] = draw.randrange(256)
        elif kind < 0.8:
            bad[at : at + draw.randint(1, 8)] = b""
        else:
            bad[at:at] = bytes(draw.randrange(256) for _ in range(draw.randint(1, 8)))
        if not bad:
            return b""
    return bytes(bad)


def samples() -> list[bytes]:
    """Good files of every format, and the pickle of one without the archive's checksums."""
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    obj = {"net": net.state_dict(), "plain": [1, "a", None, {2}, 1.5], "size": torch.Size([2])}
    found = []
    for new in (True, False):
        file = io.BytesIO()
        torch.save(obj, file, _use_new_zipfile_serialization=new)
        found.append(file.getvalue())
    return found


def fuzzed(count: int, seed: int) -> None:
    draw = random.Random(seed)
    goods = samples()
    with zipfile.ZipFile(io.BytesIO(goods[0])) as first:
        entries = {entry.partition("/")[2]: first.read(entry) for entry in first.namelist()}
    for number in range(count):
        if number % 3:
            data = mutated(goods[number % 3 - 1], draw)
        else:
            file = io.BytesIO()
            writer = ArchiveWriter(file)
            for entry, content in entries.items():
                changed = mutated(content, draw) if entry == "data.pkl" else content
                writer.put(f"a/{entry}", changed)
            writer.finish()
            data = file.getvalue()
        for weights_only in (True, False):
            try:
                torch.load(io.BytesIO(data), weights_only=weights_only)
            except REFUSED:
                pass


def test_changed_bytes_raise_or_load() -> None:
    fuzzed(400, 1)


@pytest.mark.slow
def test_many_changed_bytes_raise_or_load() -> None:
    fuzzed(30_000, 2)
