"""Writes docs/status-torch.md: which public names of PyTorch are there, in part, or missing.

PYTHONPATH=src python tools/torch_status.py

Names: torch_names.json (written by torch_names.py from the real PyTorch). Status: this tree's
package, and what OpInfo found of each function (tests/parity/opinfo.json).
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
NAMES = Path(__file__).resolve().parent / "torch_names.json"
OPINFO = ROOT / "tests" / "parity" / "opinfo.json"
PAGE = ROOT / "docs" / "status-torch.md"
EXPRESSIONS = ROOT / "tests" / "parity"

# Why a name is missing, where the package does not say: the first pattern that fits.
REASONS: tuple[tuple[str, str], ...] = (
    (r"sparse|csr|csc|bsr|bsc|_coo|coalesce|smm|spmm|indices$|dense_dim|padded_tensor",
     "there are no sparse or nested tensors"),
    (r"quant|fake_|fbgemm|int_repr|^q_|qint|quint|qscheme|observer|affine_q|^bits",
     "there are no quantized tensors"),
    (r"cuda|cudnn|miopen|mkldnn|xpu|mps|mtia|hip|ipu|maia|vulkan|nnpack|xnnpack|mkl|onednn",
     "it is about another device or library"),
    (r"^sym_|^Sym|^export|^fx|dynamo|^compile|inductor|vmap|^func$|^cond$|while_loop|_jit|^jit"
     r"|Script|Graph|guard|^package|^monitor|multiprocessing|^distributed|^futures|^library"
     r"|^ops$|^classes$|^return_types$|^parse_|Type$|Engine|Future|Value|Node$|Block$|Method$"
     r"|Object$|Module$|Program|Unit|^Fatal|^Lite|Mobile|Dispatch|Stream$|Event$|Await|^fork$|^wait$"
     r"|^(AVG|SUM|AliasDb|Argument|Benchmark|Buffer|Call|Capsule|Code|Complete|DeepCopy|Deserial)"
     r"|^(Disable|Error|Execution|FileCheck|Function|Gradient|IODesc|JIT|Logg|Lock|ModuleDict|Noop)"
     r"|^(Operator|ParameterDict|PyTorchFile|SerializationS|Tag|Throughput|Tracing|Use)|^import_ir",
     "it belongs to PyTorch's own compiler or runtime"),
    (r"^(float8|float4|uint(1|2|3|4|5|6|7|16|32|64)|int(1|2|3|4|5|6|7)$|complex32|chalf|cfloat16)",
     "there are no tensors of that dtype"),
    (r"named|names|rename|align_|refine", "there are no named dimensions"),
    (r"storage", "storages are not there in that form"),
)  # fmt: skip
LATER = "not written yet"


class Status(NamedTuple):
    """ "stable", "partial" or "missing"; why; and how it was compared."""

    word: str
    reason: str = ""
    evidence: str = ""


def holder_of(place: str) -> Any:
    """Our object for a place of PyTorch's, None where there is none."""
    try:
        if place == "torch.Tensor":
            return importlib.import_module("diptych.torch").Tensor
        return importlib.import_module(f"diptych.{place}")
    except ImportError:
        return None


def absence(value: Any) -> str | None:
    """Why a stand-in cannot be used; None for what is no stand-in."""
    code = getattr(value, "__code__", None)
    if code is not None and code.co_filename.endswith("absent.py"):
        text = re.search(r"Not supported yet: (.*)\.$", getattr(value, "__doc__", None) or "")
        return text[1] if text else ""
    if isinstance(value, type) and any(base.__name__ == "Absent" for base in value.__mro__):
        return str(getattr(value, "reason", ""))
    return None


def why_missing(name: str, said: str = "") -> str:
    if said:
        return said
    for pattern, reason in REASONS:
        if re.search(pattern, name):
            return reason
    return LATER


def entries() -> dict[str, list[dict[str, Any]]]:
    """Path without "torch." -> what OpInfo's entries of that name (and its variants) gave."""
    found: dict[str, list[dict[str, Any]]] = {}
    rows = json.loads(OPINFO.read_text(encoding="utf-8"))
    known = {f"{place.partition('.')[2]}.{name}".lstrip(".") for place, name in every_name()}
    for full, row in rows.items():
        name = full
        while name not in known and "." in name:
            name = name.rpartition(".")[0]
        found.setdefault(name, []).append(row)
    return found


def every_name() -> Iterable[tuple[str, str]]:
    listed = json.loads(NAMES.read_text(encoding="utf-8"))
    for place, lines in listed.items():
        if place != "version":
            for name in " ".join(lines).split():
                yield place, name


def words_compared() -> set[str]:
    """Every word of the programs and expressions that are run on both sides."""
    text = "".join(
        path.read_text(encoding="utf-8") for path in sorted(EXPRESSIONS.glob("*_cases.py"))
    )
    return set(re.findall(r"\w+", text))


def status_of(
    place: str, name: str, holder: Any, rows: dict[str, list[dict[str, Any]]], words: set[str]
) -> Status:
    """One name's status."""
    if holder is None:
        return Status("missing", f"`{place}` is not there")
    try:
        value = getattr(holder, name)
    except AttributeError:
        return Status("missing", why_missing(name))
    except Exception as error:  # a property that refuses
        return Status("missing", str(error).partition("\n")[0])
    said = absence(value)
    if said is not None:
        return Status("missing", why_missing(name, said))
    if inspect.ismodule(value):
        return Status("stable", "", "")
    path = f"{place.partition('.')[2]}.{name}".lstrip(".")
    judged = rows.get(path) or rows.get(name if place in ("torch", "torch.Tensor") else path)
    if judged:
        wrong = [row for row in judged if row["verdict"] != "agrees"]
        passed = sum(row.get("passed", 0) for row in judged)
        asked = sum(row.get("samples", 0) for row in judged)
        if wrong:
            reason = re.sub(r"^sample \d+: ", "", wrong[0].get("reason", ""))
            return Status("partial", f"{passed} of {asked} samples agree: {reason}")
        return Status("stable", "", "OpInfo")
    return Status("stable", "", "programs" if name in words else "")


def section(place: str, statuses: dict[str, Status]) -> str:
    """One place's part of the page."""
    lines = [f"## {place}", ""]
    counts = {word: sum(s.word == word for s in statuses.values()) for word in
              ("stable", "partial", "missing")}  # fmt: skip
    lines += [", ".join(f"{count} {word}" for word, count in counts.items()) + ".", ""]
    for evidence, title in (
        ("OpInfo", "Stable, results and gradients compared on OpInfo's samples"),
        ("programs", "Stable, compared in expressions and programs"),
        ("", "Stable, there and not compared by name"),
    ):
        names = [n for n, s in statuses.items() if s.word == "stable" and s.evidence == evidence]
        if names:
            lines += [f"**{title} ({len(names)}).**", wrapped(names), ""]
    partial = {n: s for n, s in statuses.items() if s.word == "partial"}
    if partial:
        lines += ["| partial | what differs |", "|---|---|"]
        lines += [f"| `{n}` | {s.reason.replace('|', '/')} |" for n, s in partial.items()]
        lines.append("")
    reasons: dict[str, list[str]] = {}
    for name, status in statuses.items():
        if status.word == "missing":
            reasons.setdefault(status.reason, []).append(name)
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        lines += [f"**Missing ({len(names)}): {reason}.**", wrapped(names), ""]
    return "\n".join(lines)


def wrapped(names: Iterable[str]) -> str:
    return textwrap.fill(
        ", ".join(f"`{n}`" for n in names), 118, break_long_words=False, break_on_hyphens=False
    )


def page() -> str:
    """The whole page."""
    rows, words = entries(), words_compared()
    places: dict[str, dict[str, Status]] = {}
    holders: dict[str, Any] = {}
    for place, name in every_name():
        if place not in holders:
            holders[place] = holder_of(place)
        found = status_of(place, name, holders[place], rows, words)
        places.setdefault(place, {})[name] = found
    version = json.loads(NAMES.read_text(encoding="utf-8"))["version"]
    opinfo = json.loads(OPINFO.read_text(encoding="utf-8"))
    good = sum(row["verdict"] == "agrees" for row in opinfo.values())
    public = [row for row in opinfo.values() if not row.get("internal")]
    good_public = sum(row["verdict"] == "agrees" for row in public)
    samples = sum(row.get("samples", 0) for row in opinfo.values())
    share, share_public = 100 * good / len(opinfo), 100 * good_public / len(public)
    intro = (
        f"Every public name of PyTorch {version}: stable (there, and no difference is known), "
        "partial (there, with what differs), or missing (a call raises, naming itself). Written by "
        "`tools/torch_status.py`, not by hand.",
        f"PyTorch's own operator samples (OpInfo, float32 on the CPU, {samples:,} of them): {good} "
        f"of {len(opinfo)} entries agree in results and gradients ({share:.1f} %); of the "
        f"{len(public)} that are about public functions, {good_public} ({share_public:.1f} %).",
    )
    lines = ["# Status: PyTorch"]
    for paragraph in intro:
        lines += ["", textwrap.fill(paragraph, 118, break_on_hyphens=False)]
    lines += ["", "| | stable | partial | missing |", "|---|---|---|---|"]
    for place, statuses in places.items():
        counts = [
            sum(s.word == word for s in statuses.values())
            for word in ("stable", "partial", "missing")
        ]
        link = f"[{place}](#{place.replace('.', '').lower()})"
        lines.append(f"| {link} | " + " | ".join(map(str, counts)) + " |")
    parts = [section(place, statuses) for place, statuses in places.items()]
    return "\n".join(lines) + "\n\n" + "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
