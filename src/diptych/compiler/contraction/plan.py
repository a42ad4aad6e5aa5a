"""Chooses the kernel for a contraction of given extents and strides, and writes its descriptor.

C may be stored along either axis, and A and B may be exchanged (C^T = B^T A^T). The planner picks
the form and the register tile that an estimate of cycles finds cheapest, then the cuts. It runs
once for each plan of the evaluator, in Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from diptych.compiler.contraction.blocking import Blocking, Tile, blocking, cycles, tiles_for, up
from diptych.compiler.contraction.descriptor import BATCH_DIMS, OPERAND_WORDS, STACK_BYTES, Slot
from diptych.compiler.contraction.epilogue import Access, Adapted, Epilogue
from diptych.compiler.contraction.spec import LLVM_TYPES, Contraction, Store
from diptych.compiler.llvm.writer import Module
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit, emitter

LARGEST = 1 << 31  # extents must stay below this
_COPY, _TURN = 0.35, 0.6  # cycles to pack a unit: from contiguous neighbours, or transposing
_SCATTERED = 1.15  # where each step along k finds a tile's rows of A in another cache line
_BYTES_A_CYCLE = 16  # what one core streams from the last-level cache


@dataclass(frozen=True)
class Strided:
    """Strides of a matrix operand in elements: over rows, columns and the batch dimensions."""

    row: int
    col: int
    batch: tuple[int, ...] = ()

    @property
    def transposed(self) -> Strided:
        return Strided(self.col, self.row, self.batch)


@dataclass(frozen=True)
class Problem:
    """One product: extents, and the strides of A, B, C and the epilogue's operands."""

    m: int
    n: int
    k: int
    a: Strided
    b: Strided
    c: Strided
    operands: tuple[Strided, ...] = ()
    batch: tuple[int, ...] = ()
    exchanged: bool = False  # whether a is the caller's second operand

    def transposed(self) -> Problem:
        """The same product as C^T = B^T A^T."""
        return replace(
            self,
            m=self.n,
            n=self.m,
            a=self.b.transposed,
            b=self.a.transposed,
            c=self.c.transposed,
            operands=tuple(operand.transposed for operand in self.operands),
            exchanged=not self.exchanged,
        )


def plan(
    contraction: Contraction,
    m: int,
    n: int,
    k: int,
    a: Strided,
    b: Strided,
    c: Strided,
    operands: Sequence[Strided] = (),
    batch: Sequence[int] = (),
    *,
    target: Target,
) -> tuple[CodeUnit, list[int]]:
    """The kernel and its descriptor for one product of these extents and strides.

    Pointers: A, B, the epilogue's operands in the order of the stages, C, which overlaps none of
    them. ``operands`` has strides for each epilogue operand; those of axes that its ``Access`` does
    not vary over are ignored. Nothing need be aligned beyond its element.
    """
    problem = Problem(m, n, k, a, b, c, tuple(operands), tuple(batch))
    _check(contraction, problem)
    problem = _merge_batch(contraction, _normalized(contraction, problem))
    if not contraction.is_float:
        return naive_unit(contraction, target), naive_descriptor(problem)
    by_columns = problem.c.col != 1 and problem.n > 1 and problem.c.row == 1
    if problem.c.row == 1 and problem.m > 1 and (by_columns or problem.n == 1):
        problem = problem.transposed()
        contraction = _adapted(contraction, problem, turned=True)
    else:
        contraction = _adapted(contraction, problem, turned=False)
    store = Store.ROW if problem.c.col == 1 or problem.n == 1 else Store.STRIDED
    forms = _forms(problem, contraction, store, target)
    if store is Store.ROW:
        other = replace(contraction, dtype_a=contraction.dtype_b, dtype_b=contraction.dtype_a)
        forms += _forms(problem.transposed(), other, Store.COLUMN, target)
    form = min(forms, key=lambda candidate: candidate.cycles)
    unit = tile_unit(form.contraction, form.tile, form.store, target)
    return unit, _descriptor(form, _cuts(form))


def tile_unit(contraction: Contraction, tile: Tile, store: Store, target: Target) -> CodeUnit:
    """The kernel built on the register tile; ``contraction`` in the tile's order of A and B."""
    name = "contraction"

    def text() -> str:
        module = Module("contraction " + " ".join("=".join(part) for part in contraction.key()))
        driver = emitter("contraction.driver")
        driver.DriverWriter(module, name, contraction, tile, store, target).write()
        return module.text()

    key = (("kernel", "contraction.tile"), *contraction.key(), ("tile", tile.name),
           ("store", store.value))  # fmt: skip
    return CodeUnit(name, key, text)


def naive_unit(contraction: Contraction, target: Target) -> CodeUnit:
    """The element-at-a-time kernel, which any contraction may use."""
    name = "contraction_naive"

    def text() -> str:
        module = Module("naive contraction")
        emitter("contraction.naive").NaiveWriter(module, name, contraction, target).write()
        return module.text()

    return CodeUnit(name, (("kernel", "contraction.naive"), *contraction.key()), text)


def naive_descriptor(problem: Problem) -> list[int]:
    """The descriptor of the naive kernel: extents and strides only."""
    return _strides(problem, swapped=False)


# -- preparation --------------------------------------------------------------------------------


def _check(contraction: Contraction, problem: Problem) -> None:
    """Refuse what the kernel's arithmetic cannot hold."""
    for dtype in (contraction.dtype_a, contraction.dtype_b, contraction.dtype_out):
        if dtype.is_complex:
            raise NotImplementedError(f"contraction of {dtype.name}")
    extents = {"m": problem.m, "n": problem.n, "k": problem.k}
    extents |= {f"batch[{i}]": extent for i, extent in enumerate(problem.batch)}
    for name, extent in extents.items():
        if not 0 <= extent < LARGEST:
            raise ValueError(f"contraction: {name} is {extent}; extents go from 0 to 2**31 - 1")
    wanted, given = len(contraction.operands), len(problem.operands)
    if wanted != given:
        raise ValueError(
            f"contraction: the epilogue has {wanted} operands, strides were given for {given}"
        )
    for name, strided in [("a", problem.a), ("b", problem.b), ("c", problem.c)] + [
        (f"operand {i}", operand) for i, operand in enumerate(problem.operands)
    ]:
        if len(strided.batch) not in (0, len(problem.batch)):
            raise ValueError(
                f"contraction: {name} has {len(strided.batch)} batch strides for "
                f"{len(problem.batch)} batch dimensions; give one for each, 0 to broadcast"
            )


def _adapted(contraction: Contraction, problem: Problem, turned: bool) -> Contraction:
    """The structure for these strides, exchanged if C^T = B^T A^T is what will be computed."""
    stages: list[Epilogue] = []
    strides = iter(problem.operands)
    for stage in contraction.epilogue:
        operands = tuple(
            replace(
                operand,
                access=operand.access.transposed if turned else operand.access,
                unit=next(strides).col == 1 or problem.n == 1,
            )
            for operand in stage.operands
        )
        stages.append(stage if operands == stage.operands else Adapted(stage, operands))
    if turned:
        contraction = replace(contraction, dtype_a=contraction.dtype_b, dtype_b=contraction.dtype_a)
    return replace(contraction, epilogue=tuple(stages))


def _normalized(contraction: Contraction, problem: Problem) -> Problem:
    """Stride one where an extent is one, and zero where an epilogue operand does not vary."""
    m, n, k = problem.m, problem.n, problem.k

    def unit(given: Strided, rows: int, columns: int) -> Strided:
        return Strided(1 if rows == 1 else given.row, 1 if columns == 1 else given.col, given.batch)

    made = []
    for operand, given in zip(contraction.operands, problem.operands, strict=True):
        row = given.row if operand.access in (Access.ROW, Access.FULL) else 0
        col = given.col if operand.access in (Access.COLUMN, Access.FULL) else 0
        made.append(Strided(row, col, given.batch))
    return replace(
        problem,
        a=unit(problem.a, m, k),
        b=unit(problem.b, k, n),
        c=unit(problem.c, m, n),
        operands=tuple(made),
    )


def _merge_batch(contraction: Contraction, problem: Problem) -> Problem:
    """Fold batch dimensions together, and into m where B does not change, as strides allow."""
    matrices = [problem.a, problem.b, problem.c, *problem.operands]
    columns = [list(x.batch) or [0] * len(problem.batch) for x in matrices]
    dims = [
        (extent, [column[i] for column in columns])
        for i, extent in enumerate(problem.batch)
        if extent != 1
    ]
    dims.sort(key=lambda dim: -dim[1][2])  # by C's stride: neighbours in memory become neighbours
    merged: list[tuple[int, list[int]]] = []
    for extent, strides in dims:
        if merged and all(
            outer == inner * extent for outer, inner in zip(merged[-1][1], strides, strict=True)
        ):
            merged[-1] = (merged[-1][0] * extent, strides)
        else:
            merged.append((extent, strides))
    m = problem.m
    rows = [x.row for x in matrices]
    if merged and merged[-1][1][1] == 0:  # B is the same for all: its rows are more rows of A
        extent, strides = merged[-1]
        fits = (
            all(
                s == row * m for i, (s, row) in enumerate(zip(strides, rows, strict=True)) if i != 1
            )
            or m == 1
        )
        # A row that becomes many must not be what an operand is the same over.
        fits = fits and all(
            stride == 0 or operand.access in (Access.ROW, Access.FULL)
            for stride, operand in zip(strides[3:], contraction.operands, strict=True)
        )
        if fits and extent * m < LARGEST:
            rows = [s if m == 1 and i != 1 else row
                    for i, (s, row) in enumerate(zip(strides, rows, strict=True))]  # fmt: skip
            m *= extent
            merged.pop()
    if len(merged) > BATCH_DIMS:
        raise NotImplementedError(
            f"contraction: {len(merged)} batch dimensions that do not merge; at most {BATCH_DIMS}"
        )
    made = [
        Strided(row, x.col, tuple(strides[i] for _, strides in merged))
        for i, (x, row) in enumerate(zip(matrices, rows, strict=True))
    ]
    return Problem(
        m, problem.n, problem.k, made[0], made[1], made[2], tuple(made[3:]),
        tuple(extent for extent, _ in merged),
    )  # fmt: skip


# -- the form of a product ----------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """One way to compute a product, and an estimate of its cycles on one thread."""

    problem: Problem
    contraction: Contraction
    tile: Tile
    store: Store
    pack_a: bool
    pack_b: bool
    cycles: float


def _forms(problem: Problem, contraction: Contraction, store: Store, target: Target) -> list[Form]:
    """The product on each tile that can compute it with A and B in this order."""
    contiguous = problem.a.col == 1 and problem.b.row == 1
    made = []
    for tile in tiles_for(contraction, target):
        if tile.dot and not (contiguous and problem.k % tile.step == 0):
            continue
        if tile.rows == 1 and store is Store.COLUMN:  # it would store single elements
            continue
        made.append(_form(problem, contraction, tile, target, store))
    return made


def _form(
    problem: Problem, contraction: Contraction, tile: Tile, target: Target, store: Store
) -> Form:
    pack_a, pack_b = _packs(problem, contraction, tile, target)
    estimate = cycles(
        problem.m, problem.n, problem.k, tile,
        pack_a * (_COPY if problem.a.row == 1 else _TURN),
        pack_b * (_COPY if problem.b.col == 1 else _TURN),
        store is Store.COLUMN,
    )  # fmt: skip
    if not pack_a and problem.a.col != 1 and problem.m > tile.rows:
        estimate *= _SCATTERED
    estimate *= math.prod(problem.batch)
    return Form(problem, contraction, tile, store, pack_a, pack_b, estimate)


def _cuts(form: Form) -> Blocking:
    """The cuts of the chosen form; its memory traffic counts towards asking the pool."""
    problem, contraction = form.problem, form.contraction
    m, n, k, count = problem.m, problem.n, problem.k, math.prod(problem.batch)
    traffic = (
        m * k * contraction.dtype_a.itemsize
        + k * n * contraction.dtype_b.itemsize
        + m * n * contraction.dtype_out.itemsize
    )
    work = max(form.cycles, count * traffic / _BYTES_A_CYCLE)
    return blocking(
        m,
        n,
        k,
        count,
        form.tile,
        form.pack_a,
        form.pack_b,
        problem.b.col == 1,
        _sums_in_c(form),
        work,
    )


def _packs(
    problem: Problem, contraction: Contraction, tile: Tile, target: Target
) -> tuple[bool, bool]:
    """Whether A and B must, or should, be packed."""
    m, n, k = problem.m, problem.n, problem.k
    if tile.dot:
        return False, False
    computing = tile.acc
    a_plain = LLVM_TYPES[contraction.dtype_a.name] == computing
    b_plain = LLVM_TYPES[contraction.dtype_b.name] == computing
    if tile.pairs:
        a_plain, b_plain = problem.a.col == 1 and k % 2 == 0, False
    size = contraction.dtype_a.itemsize
    pack_b = not b_plain or problem.b.col != 1
    if not pack_b and (target.vector_bytes < 64 and n % tile.lanes):
        pack_b = True
    if not pack_b and m > 16 * tile.rows and k * n * size > (256 << 10):
        pack_b = True
    # Rows far apart share few cache sets and pages: worth a copy once enough columns use it. But
    # where a tile's rows lie side by side, reading them there is as quick as packing (-3 %).
    pack_a = not a_plain or (problem.a.row != 1 and n > 4 * tile.width and m * k * size > (1 << 20))
    if not pack_a and problem.a.col != 1 and problem.a.row != 1 and n > 2 * tile.width:
        pack_a = True
    return pack_a, pack_b


def _strides(problem: Problem, swapped: bool) -> list[int]:
    """A descriptor with extents and strides; ``swapped`` where tiles are stored transposed."""
    d = [0] * (Slot.OPERANDS + OPERAND_WORDS * len(problem.operands))

    def oriented(strided: Strided) -> tuple[int, int]:
        return (strided.col, strided.row) if swapped else (strided.row, strided.col)

    def padded(values: Sequence[int], fill: int) -> list[int]:
        return [fill] * (BATCH_DIMS - len(values)) + list(values)

    d[Slot.M], d[Slot.N], d[Slot.K] = problem.m, problem.n, problem.k
    d[Slot.A_ROW], d[Slot.A_COL] = problem.a.row, problem.a.col
    d[Slot.B_ROW], d[Slot.B_COL] = problem.b.row, problem.b.col
    d[Slot.C_CROSS], d[Slot.C_ALONG] = oriented(problem.c)
    d[Slot.BATCH : Slot.A_BATCH] = padded(problem.batch, 1)
    d[Slot.A_BATCH : Slot.B_BATCH] = padded(problem.a.batch, 0)
    d[Slot.B_BATCH : Slot.C_BATCH] = padded(problem.b.batch, 0)
    d[Slot.C_BATCH : Slot.COUNT] = padded(problem.c.batch, 0)
    d[Slot.COUNT] = math.prod(problem.batch) if problem.m and problem.n else 0
    for index, operand in enumerate(problem.operands):
        at = Slot.OPERANDS + OPERAND_WORDS * index
        d[at : at + OPERAND_WORDS] = [*oriented(operand), *padded(operand.batch, 0)]
    return [int(word) for word in d]


def _descriptor(form: Form, cuts: Blocking) -> list[int]:
    """The words of ``descriptor.Slot``, then those of the epilogue's operands."""
    problem = form.problem
    d = _strides(problem, form.store is Store.COLUMN)
    units = up(problem.k, form.tile.step)
    d[Slot.UNITS] = units
    if form.store is not Store.STRIDED:
        d[Slot.C_ALONG] = 1
    d[Slot.A_POINTER], d[Slot.B_POINTER] = int(problem.exchanged), int(not problem.exchanged)
    d[Slot.PACK_A], d[Slot.PACK_B] = int(cuts.pack_a), int(cuts.pack_b)
    d[Slot.PANEL] = cuts.panel
    d[Slot.BLOCK_M], d[Slot.BLOCK_N], d[Slot.BLOCK_K] = cuts.block_m, cuts.block_n, cuts.block_k
    d[Slot.ROUND_BATCH], d[Slot.ROUND_N] = cuts.round_batch, max(1, cuts.round_n)
    d[Slot.ROUND_K] = cuts.round_k
    d[Slot.COLUMNS_FIRST], d[Slot.PARALLEL] = int(cuts.columns_first), int(cuts.parallel)
    d[Slot.GROUP], d[Slot.PACK_GROUP] = cuts.group, cuts.pack_group
    d[Slot.PACK_UNITS] = cuts.pack_units
    shared, private, partial = _rooms(form, cuts, units)
    d[Slot.SHARED_BYTES], d[Slot.PRIVATE_BYTES] = shared, private
    d[Slot.CALLER_BYTES] = 0 if cuts.parallel else private
    d[Slot.PARTIAL_OFFSET] = partial
    d[Slot.STACK] = int(shared + d[Slot.CALLER_BYTES] <= STACK_BYTES)
    return d


def _sums_in_c(form: Form) -> bool:
    """Whether C itself can hold partial sums between blocks along k."""
    same = form.contraction.dtype_out is form.contraction.accumulator
    return same and form.store is not Store.STRIDED


def _rooms(form: Form, cuts: Blocking, units: int) -> tuple[int, int, int]:
    """Bytes of packed B and of a task's own room; where partial sums start in it (-1: in C)."""
    tile, unit = form.tile, form.tile.unit_bytes
    pitch = up(cuts.round_n, tile.lanes) * tile.lanes
    shared = cuts.round_batch * pitch * cuts.round_k * unit if cuts.pack_b else 0
    packed_a = 0
    if cuts.pack_a:
        packed_a = (
            up(cuts.block_m, tile.rows) * tile.a_width * min(cuts.block_k, max(1, units)) * unit
        )
    if _sums_in_c(form) or cuts.block_k >= units:
        return up(shared, 64) * 64, up(packed_a, 64) * 64, -1
    offset = up(packed_a, 64) * 64
    partial = cuts.block_m * cuts.block_n * form.contraction.accumulator.itemsize
    return up(shared, 64) * 64, offset + up(partial, 64) * 64, offset
