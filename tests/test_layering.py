"""The rooms import downward only, nothing imports a real framework, and LLVM stays in its room."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
ARCHITECTURE = SOURCE.parent / "docs" / "architecture.md"

# Rooms of one rank know nothing of each other, but for the pairs of MAY.
RANKS: list[list[str]] = [
    ["errors", "config", "source"],
    ["core"],
    ["graph"],
    ["loops"],
    ["ops"],
    ["compiler"],
    ["runtime"],
    ["engine"],
    ["staging"],
    ["transforms"],
    ["optim", "data", "distributed", "quantization", "formats"],
    ["torch", "tensorflow", "keras"],
    ["companions", "serving", "cli", "extend"],
]
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}
# config and source raise our errors; the command line starts the servers; keras may use a face.
MAY = {("config", "errors"), ("source", "errors"), ("source", "config"), ("cli", "serving")}
MAY |= {("keras", "torch"), ("keras", "tensorflow")}
FACES = {"torch", "tensorflow", "keras"}
# Nobody imports these: we stand in their place. (The real Keras 3 runs on our backend.)
FRAMEWORKS = {"torch", "tensorflow", "jax", "torchvision"}
# Heavy optional packages, the only ones that a function may import: the first use pays.
LATE = {"llvmlite", "scipy", "matplotlib", "mpi4py", "PIL", "tqdm", "google"}
LLVM_FILES = re.compile(r"diptych/compiler/llvm/.*\.py|diptych/runtime/(\w+_)?loader\.py")


class Import(NamedTuple):
    file: str
    line: int
    module: str
    late: bool  # inside a function

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.module}"


def files() -> list[Path]:
    return sorted((SOURCE / "diptych").rglob("*.py"))


def room_of(parts: tuple[str, ...]) -> str:
    """The room of diptych/<room>/... or diptych/<room>.py; "" for the package's own root."""
    if len(parts) < 2 or parts[1] in ("__init__.py", "__main__.py"):
        return ""
    return parts[1].removesuffix(".py")


def imports(path: Path, text: str) -> Iterator[Import]:
    """Every import of a file by its absolute name; those for the type checker alone left out."""
    package = path.relative_to(SOURCE).parts[:-1]
    name = path.relative_to(SOURCE).as_posix()
    tree = ast.parse(text, str(path))
    for node, late in walk(tree, late=False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, node.lineno, alias.name, late)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:  # `from diptych import ops` names a room too
                full = f"{module}.{alias.name}" if module.count(".") == 0 else module
                yield Import(name, node.lineno, full, late)


def walk(node: ast.AST, late: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            children: list[ast.stmt] = child.orelse
            for other in children:
                yield other, late
                yield from walk(other, late)
            continue
        yield child, late
        inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from walk(child, late or inner)


ALL = [found for path in files() for found in imports(path, path.read_text(encoding="utf-8"))]


def violates(source_room: str, target_room: str) -> bool:
    if "" in (source_room, target_room) or source_room == target_room:
        return False
    if (source_room, target_room) in MAY:
        return False
    if source_room not in RANK or target_room not in RANK:
        return True  # a room that the order does not know
    return RANK[target_room] >= RANK[source_room]


def test_rooms_import_downward_only() -> None:
    wrong = []
    for found in ALL:
        parts = found.module.split(".")
        if parts[0] != "diptych" or len(parts) < 2:
            continue
        source, target = room_of(tuple(Path(found.file).parts)), parts[1]
        if target in RANK and violates(source, target):
            wrong.append(f"{found} ({source} must not import {target})")
    assert not wrong, "\n".join(wrong)


def test_every_room_has_a_rank() -> None:
    rooms = {room_of(path.relative_to(SOURCE).parts) for path in files()} - {""}
    assert rooms <= set(RANK), f"rooms without a place in the order: {rooms - set(RANK)}"


def test_order_is_the_one_that_the_architecture_page_gives() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    block = text.split("imports only from rooms above it:", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip() for line in block.splitlines() if line.startswith("    ")]
    assert len(lines) == len(RANKS)
    for line, rooms in zip(lines, RANKS, strict=True):
        head = re.split(r"  +", line)[0]
        assert set(re.findall(r"\w+", head)) == set(rooms), line


def test_package_root_imports_no_room() -> None:
    """``import diptych`` costs next to nothing; only ``__main__`` reaches the command line."""
    root = [f for f in ALL if f.file == "diptych/__init__.py" and f.module.startswith("diptych.")]
    assert not root, "\n".join(map(str, root))


def test_nobody_imports_a_real_framework() -> None:
    wrong = [found for found in ALL if found.module.split(".")[0] in FRAMEWORKS]
    assert not wrong, "\n".join(map(str, wrong))


def test_llvm_stays_in_its_room() -> None:
    wrong = [
        found
        for found in ALL
        if found.module.split(".")[0] == "llvmlite" and not LLVM_FILES.fullmatch(found.file)
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_functions_import_only_heavy_optional_packages() -> None:
    wrong = [found for found in ALL if found.late and found.module.split(".")[0] not in LATE]
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("diptych/core/x.py", "from diptych.ops import y", ("diptych.ops", False)),
        ("diptych/core/x.py", "from diptych import ops", ("diptych.ops", False)),
        ("diptych/core/x.py", "from ..ops.unary import y", ("diptych.ops.unary", False)),
        ("diptych/core/a/x.py", "from ... import ops", ("diptych.ops", False)),
        ("diptych/core/x.py", "def f():\n  if 1:\n    import json", ("json", True)),
        (
            "diptych/core/x.py",
            "if TYPE_CHECKING:\n  import torch\nelse:\n  import os",
            ("os", False),
        ),
        ("diptych/core/x.py", "class A:\n  import json", ("json", False)),
    ],
)
def test_reader_of_imports(file: str, text: str, expected: tuple[str, bool]) -> None:
    found = list(imports(SOURCE / file, text))
    assert [(f.module, f.late) for f in found] == [expected]


def test_order_is_enforced() -> None:
    assert violates("core", "ops") and violates("torch", "tensorflow")
    assert violates("tensorflow", "torch") and violates("ops", "compiler")
    assert not violates("engine", "runtime") and not violates("companions", "torch")
    assert not violates("keras", "torch") and violates("torch", "keras")
