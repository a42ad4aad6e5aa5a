"""Graphs in files: a zip with the text form and the large constants as .npy; data only."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from diptych.core.layout import Layout
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import GraphError
from diptych.graph.graph import Graph
from diptych.graph.parse import MAX_TEXT, parse
from diptych.graph.text import BY_SHORT, SHORT, format_graph, table

_FIRST_LINE = "diptych graph 1\n"
_MAX_CONSTANTS = 1 << 16
_HEADER_BYTES = 1 << 12  # of an .npy file, far more than the headers that we write

Target = str | Path | IO[bytes]


def save(graph: Graph, target: Target) -> None:
    """Write a graph to a file; GraphError when it holds what text has no words for."""
    graph.verify()
    text = format_graph(graph)
    constants = table(graph)
    if parse(text, constants) != graph:
        raise GraphError("save: this graph has parameters that cannot be written as text")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        lines = [f"{SHORT[tensor.layout.dtype]}\n" for tensor in constants]
        head = f"{_FIRST_LINE}constants {len(constants)}\n{''.join(lines)}"
        file.writestr("graph.txt", (head + text).encode("utf-8"), zipfile.ZIP_DEFLATED)
        for number, tensor in enumerate(constants):
            held = io.BytesIO()
            np.lib.format.write_array(held, np.asarray(tensor.array()), allow_pickle=False)
            file.writestr(_name(number), held.getvalue())


def load(source: Target) -> Graph:
    """The graph of a file, verified. Nothing in the file is run.

    Raises GraphError when the file is damaged or is no graph; memory is bounded by its size.
    """
    try:
        with zipfile.ZipFile(source) as file:
            return _load(file)
    except GraphError:
        raise
    except (
        zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError, RuntimeError,
        zlib.error, OverflowError, TypeError, SyntaxError, IndexError,
    ) as error:  # fmt: skip
        raise GraphError(f"load: the file is damaged, or is no graph: {error}") from error


def _name(number: int) -> str:
    return f"constants/{number}.npy"


def _load(file: zipfile.ZipFile) -> Graph:
    with file.open("graph.txt") as opened:
        raw = opened.read(MAX_TEXT + 1)
    if len(raw) > MAX_TEXT:
        raise GraphError("load: the graph's text is longer than a graph may have")
    text = raw.decode("utf-8")
    if not text.startswith(_FIRST_LINE):
        raise GraphError("load: this file was not written by this version of diptych")
    head, _, rest = text[len(_FIRST_LINE) :].partition("\n")
    word, _, count = head.partition(" ")
    if word != "constants" or not count.isdecimal() or int(count[:9]) > _MAX_CONSTANTS:
        raise GraphError(f"load: {head[:40]!r} does not say how many constants there are")
    names = rest.split("\n", int(count))
    if len(names) != int(count) + 1 or any(name not in BY_SHORT for name in names[:-1]):
        raise GraphError("load: a constant's dtype is missing")
    constants = [_constant(file, k, BY_SHORT[name]) for k, name in enumerate(names[:-1])]
    return parse(names[-1], constants)


def _constant(file: zipfile.ZipFile, number: int, dtype: Any) -> Tensor:
    """One array, of the size that its header says and the file holds."""
    info = file.getinfo(_name(number))
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise GraphError(f"load: {info.filename} is compressed; constants are stored as they are")
    with file.open(info) as opened:
        version = np.lib.format.read_magic(opened)
        if version != (1, 0):
            raise GraphError(f"load: {info.filename} is of a later version of .npy")
        shape, columns_first, stored = np.lib.format.read_array_header_1_0(
            opened, max_header_size=_HEADER_BYTES
        )
        place = Layout(dtype, tuple(int(n) for n in shape), (0,) * len(shape))
        if stored != dtype.numpy or opened.tell() + place.nbytes != info.file_size:
            raise GraphError(f"load: {info.filename} does not hold {place.size} of {dtype}")
        held = opened.read(place.nbytes)
    if len(held) != place.nbytes:
        raise GraphError(f"load: {info.filename} ends too soon")
    array = np.frombuffer(held, stored)
    array = array.reshape(shape[::-1]).T if columns_first else array.reshape(shape)
    return copy_array(array, Tensor, dtype)
