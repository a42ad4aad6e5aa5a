"""Sizes: the register tile per target, and how a product is cut into blocks and tasks.

Every number here follows from the shapes and the target, never from the number of threads: the
cuts decide in which order partial sums are added.
"""

from __future__ import annotations

from dataclasses import dataclass

from diptych.compiler.contraction.spec import LLVM_TYPES, Contraction
from diptych.compiler.target import Target


@dataclass(frozen=True)
class Tile:
    """The register tile: ``rows`` x ``vectors * lanes`` accumulators of LLVM type ``acc``.

    ``unit`` is what one step along k consumes of an operand: an element of the computing type, or
    (``pairs``) two bfloat16 in 32 bits. Packed A keeps ``a_width`` rows together: ``rows`` rounded
    up to a power of two, which the transposing network needs.
    """

    rows: int
    vectors: int
    lanes: int
    acc: str
    pairs: bool
    dot: bool = False  # sums run along k inside vectors: see ``dotkernel``

    @property
    def name(self) -> str:
        return "dot" if self.dot else f"{self.rows}x{self.vectors}"

    def cycles(self, vectors: int) -> float:
        """About how long a step along k takes a tile this wide: arithmetic, or its loads."""
        if self.dot:
            return 8.5 / self.lanes  # for one unit of its vectors along k
        return max(self.rows * vectors, self.rows + vectors) / 2.0 + 0.15 * vectors

    @property
    def width(self) -> int:
        return self.vectors * self.lanes

    @property
    def a_width(self) -> int:
        return max(2, 1 << (self.rows - 1).bit_length())

    @property
    def unit(self) -> str:
        return "i32" if self.pairs else self.acc

    @property
    def unit_bytes(self) -> int:
        return 8 if self.acc == "double" else 4

    @property
    def step(self) -> int:
        """Elements along k in one unit."""
        return 2 if self.pairs else 1


def tiles_for(contraction: Contraction, target: Target) -> tuple[Tile, ...]:
    """The register tiles to choose from: the main one, one for few rows, one row, and dots.

    8 x 3 vectors leave 8 of AVX-512's 32 registers for B and the broadcast of A; 6 x 2 and 4 x 3
    fill 16 registers. Each main tile has at least the 8 sums that hide an FMA's latency.
    """
    acc = LLVM_TYPES[contraction.accumulator.name]
    lanes = target.lanes(contraction.accumulator.itemsize)
    pairs = contraction.uses_pairs(target)
    shapes = {64: ((8, 3), (4, 4), (1, 4)), 32: ((6, 2), (3, 3), (1, 4))}.get(
        target.vector_bytes, ((4, 3), (2, 4), (1, 4))
    )
    made = [Tile(rows, vectors, lanes, acc, pairs) for rows, vectors in shapes]
    return (*made, Tile(1, 1, lanes, acc, pairs, dot=True))


@dataclass(frozen=True)
class Blocking:
    """How one product is cut: see the slots of the same names in ``descriptor``."""

    pack_a: bool
    pack_b: bool
    panel: int
    block_m: int
    block_n: int
    block_k: int
    round_batch: int
    round_n: int
    round_k: int
    columns_first: bool
    parallel: bool
    group: int
    pack_group: int
    pack_units: int


PARALLEL_CYCLES = 45_000  # below this the pool costs more than the second core gains
_STREAMS = 8  # rows that the CPU prefetches at once
_TASKS = 8  # at least so many, that a thread which comes late costs little
_TASK_CYCLES = 40_000  # blocks are grouped up to this size
_ROUND_BYTES = 16 << 20  # packed B of one round: it should stay in the last-level cache
_DEPTH_BYTES = 2048  # a block along k: packed A and a few panels of B then fit the L2 cache


def up(a: int, b: int) -> int:
    """``a`` divided by ``b``, rounded up."""
    return -(-a // b)


def even(total: int, most: int, multiple: int) -> int:
    """The size of equal pieces of at most about ``most``, a multiple of ``multiple``."""
    pieces = max(1, up(total, most))
    return max(multiple, up(up(total, pieces), multiple) * multiple)


def panel_for(columns: int, tile: Tile) -> int:
    """Columns of a panel: the widest, unless a narrower one wastes less at the edge."""

    def cost(vectors: int) -> float:
        whole, rest = divmod(up(max(1, columns), tile.lanes), vectors)
        return whole * tile.cycles(vectors) + (tile.cycles(rest) if rest else 0)

    widest = cost(tile.vectors)
    best = min(range(tile.vectors, 0, -1), key=cost)
    if cost(best) > 0.97 * widest:
        best = tile.vectors
    return best * tile.lanes


def cycles(m: int, n: int, k: int, tile: Tile, pack_a: float, pack_b: float, turned: bool) -> float:
    """About how long one product takes on one thread.

    ``pack_a`` and ``pack_b`` are cycles for each unit packed (0: not packed); ``turned`` says that
    tiles are transposed before they are stored. Fitted by eye on Zen 5; only comparisons matter.
    """
    m, n, units = max(1, m), max(1, n), max(1, up(k, tile.step))
    vectors = panel_for(n, tile) // tile.lanes
    full, rest = divmod(up(n, tile.lanes), vectors)
    down, over = up(m, tile.rows), full + (1 if rest else 0)
    step = full * tile.cycles(vectors) + (tile.cycles(rest) if rest else 0)
    # A tile's fixed cost: its call and stores; the final sums of dots; a transposition.
    each = 30.0 + 2 * tile.rows + (2.5 * tile.rows if turned else 0)
    if tile.dot:
        step, each = step * tile.lanes * up(units, tile.lanes) / units, 90.0
    packing = units * (m * pack_a + n * pack_b) + (100 if pack_b else 0)
    return down * (step * units + each * over) + packing


def blocking(
    m: int,
    n: int,
    k: int,
    batch: int,
    tile: Tile,
    pack_a: bool,
    pack_b: bool,
    copied: bool,
    in_c: bool,
    work: float,
) -> Blocking:
    """Cut a product of these extents (the tile's m and n) into rounds, blocks and tasks.

    ``copied`` says that B is packed from contiguous rows, without a transposition; ``in_c`` that
    partial sums may wait in C; ``work`` is the estimate of cycles for all of it, which decides
    whether the pool is asked.
    """
    m, n, batch, units = max(1, m), max(1, n), max(1, batch), max(1, up(k, tile.step))
    panel = panel_for(n, tile)
    block_k = _depth(m, units, tile)
    round_n, round_batch, round_k = n, batch, units
    if pack_b and in_c:  # very long sums: not even one panel need be packed at once
        most = _ROUND_BYTES // (panel * tile.unit_bytes * block_k)
        round_k = min(units, block_k * max(1, most))
    column_bytes = round_k * tile.unit_bytes
    if pack_b:
        round_n = even(n, max(panel, _ROUND_BYTES // column_bytes), panel)
        per_item = up(n, tile.lanes) * tile.lanes * column_bytes
        round_batch = max(1, min(batch, _ROUND_BYTES // per_item))
    parallel = work >= PARALLEL_CYCLES
    block_m, block_n = even(m, 64, tile.rows), even(round_n, 768, panel)
    streams = tile.rows == 1 and not tile.dot  # B's rows are read once, in long runs
    if streams:
        block_n = even(round_n, max(512, up(round_n, 4)), panel)
    elif parallel:
        block_m, block_n = _enough_blocks(m, round_n, round_batch, tile, panel, block_m, block_n)
    blocks = up(m, block_m) * up(round_n, block_n) * round_batch
    group = max(1, blocks)
    if parallel:
        each = work / (blocks * up(n, round_n) * up(batch, round_batch))
        group = max(1, min(int(_TASK_CYCLES / max(1.0, each)), up(blocks, _TASKS)))
    # Copies go best with as many rows as the CPU prefetches; transpositions in whole blocks.
    pack_units = _STREAMS if copied else even(units, 64, tile.lanes)
    pieces = up(round_k, pack_units) * round_batch
    small = block_n * block_k * tile.unit_bytes <= (512 << 10) and not pack_a and not tile.dot
    return Blocking(
        pack_a=pack_a, pack_b=pack_b, panel=panel, block_m=block_m, block_n=block_n,
        block_k=block_k, round_batch=round_batch, round_n=round_n, round_k=round_k,
        columns_first=streams or small, parallel=parallel, group=group,
        pack_group=max(1, up(pieces, 16)) if parallel else max(1, pieces), pack_units=pack_units,
    )  # fmt: skip


def _depth(m: int, units: int, tile: Tile) -> int:
    """Units of a block along k."""
    if tile.rows == 1 and not tile.dot:
        return _STREAMS if units > 64 else units
    if tile.dot and m == 1:
        return units
    most = _DEPTH_BYTES // tile.unit_bytes
    return even(units, most, 8) if units > 1.25 * most else units


def _enough_blocks(
    m: int, n: int, batch: int, tile: Tile, panel: int, block_m: int, block_n: int
) -> tuple[int, int]:
    """Halve the longer side of the blocks until every thread of a few has some."""
    while up(m, block_m) * up(n, block_n) * batch < _TASKS:
        if block_m > tile.rows and (block_m >= block_n or block_n <= panel):
            block_m = even(m, max(tile.rows, block_m // 2), tile.rows)
        elif block_n > panel:
            block_n = even(n, max(panel, block_n // 2), panel)
        else:
            break
    return block_m, block_n
