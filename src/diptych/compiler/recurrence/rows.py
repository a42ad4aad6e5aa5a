"""A pass over the rows of one time step: vectors of hidden units, the last one masked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from diptych.compiler.llvm.writer import Function, Value, vector


@dataclass(frozen=True)
class Array:
    """Rows of an array: the address of the first, and the bytes from one to the next."""

    start: Value
    pitch: Value


class Lanes:
    """One vector of every array, for the cells."""

    def __init__(
        self, f: Function, rows: dict[str, Value], parts: list[Value], at: Value, type_: str,
        mask: Value | None,
    ) -> None:  # fmt: skip
        self.f = f
        self.rows = rows
        self.parts = parts
        self.at = at
        self.type = type_
        self.mask = mask

    def _place(self, name: str, part: int) -> Value:
        row = self.rows[name]
        if part:
            row = self.f.offset(row, self.parts[part], "i8")
        return self.f.offset(row, self.at, "i8")

    def get(self, name: str, part: int = 0) -> Value:
        where = self._place(name, part)
        if self.mask is None:
            return self.f.load(self.type, where)
        return self.f.masked_load(self.type, where, self.mask)

    def put(self, name: str, value: Value, part: int = 0) -> None:
        where = self._place(name, part)
        if self.mask is None:
            self.f.store(value, where)
        else:
            self.f.masked_store(value, where, self.mask)


def sweep(
    f: Function, arrays: dict[str, Array], count: Value, width: Value, parts: int,
    element: str, itemsize: int, lanes: int, write: Callable[[Lanes], None],
    apart: Value | None = None,
) -> None:  # fmt: skip
    """Write ``write`` over ``count`` rows, ``width`` elements each.

    ``parts`` of them lie side by side, or ``apart`` elements from one to the next.
    """
    type_ = vector(lanes, element)
    offsets = [f.mul(apart or width, part * itemsize) for part in range(parts)]
    whole = f.binary("and", width, -lanes)
    with f.loop(0, count) as line:
        rows = {
            name: f.offset(array.start, f.mul(line.index, array.pitch), "i8")
            for name, array in arrays.items()
        }
        with f.loop(0, whole, lanes) as along:
            at = f.mul(along.index, itemsize)
            write(Lanes(f, rows, offsets, at, type_, None))
        with f.when(f.compare("slt", whole, width)):
            mask = f.first_lanes(f.sub(width, whole), lanes, 8 * itemsize)
            write(Lanes(f, rows, offsets, f.mul(whole, itemsize), type_, mask))


def copy_rows(f: Function, target: Array, source: Array, count: Value, nbytes: Value) -> None:
    """Copy ``count`` rows of ``nbytes``."""
    with f.loop(0, count) as line:
        to = f.offset(target.start, f.mul(line.index, target.pitch), "i8")
        out_of = f.offset(source.start, f.mul(line.index, source.pitch), "i8")
        f.call("memcpy", "ptr", [to, out_of, nbytes])
