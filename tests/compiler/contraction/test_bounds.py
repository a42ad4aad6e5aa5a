"""Nothing outside the operands is touched: they end, or begin, at a page that traps."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys

import numpy as np
import pytest

from diptych.compiler.contraction.epilogue import Access, Bias, Operand
from diptych.compiler.contraction.spec import Contraction
from diptych.core import dtypes
from tests.compiler.contraction.harness import TARGETS, exact, run, store_as

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
PAGE = mmap.PAGESIZE


class Guarded:
    """Arrays between two pages that may not be touched."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.kept: list[tuple[mmap.mmap, int, int]] = []

    def place(self, values: np.ndarray, at_end: bool) -> np.ndarray:
        """A copy of contiguous ``values`` against one of the pages."""
        size = -(-max(1, values.nbytes) // PAGE) * PAGE
        memory = mmap.mmap(-1, size + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for page in (start, start + PAGE + size):
            assert self.libc.mprotect(ctypes.c_void_p(page), PAGE, 0) == 0
        offset = PAGE + (size - values.nbytes if at_end else 0)
        made = np.frombuffer(memory, values.dtype, values.size, offset).reshape(values.shape)
        made[...] = values
        self.kept.append((memory, start, size))
        return made

    def release(self) -> None:
        for _, start, size in self.kept:
            for page in (start, start + PAGE + size):
                self.libc.mprotect(ctypes.c_void_p(page), PAGE, mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.fixture
def guarded():
    made = Guarded()
    yield made
    made.release()


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize(
    ("dtype", "target"),
    [
        *((dtype, "avx512") for dtype in dtypes.FLOATS),
        *((dtypes.float32, name) for name in ("avx2", "generic")),
        (dtypes.float16, "generic"),
    ],
    ids=str,
)
def test_operands_at_the_edge_of_memory(dtype, at_end, target, guarded):
    rng = np.random.default_rng(0)
    contraction = Contraction(dtype, dtype, dtype, (Bias(Operand(Access.COLUMN, dtype)),))
    extents = [
        (1, 1, 1),
        (3, 5, 7),
        (9, 17, 33),
        (13, 51, 18),
        (1, 37, 35),
        (29, 1, 19),
        (70, 9, 3),
    ]
    for (m, n, k), turned in itertools.product(extents, itertools.product((0, 1), repeat=3)):
        arrays = []
        for (rows, columns), turn in zip([(m, k), (k, n), (m, n)], turned, strict=True):
            shape = (columns, rows) if turn else (rows, columns)
            values = store_as(rng.standard_normal(shape), dtype)
            made = guarded.place(values, at_end)
            arrays.append(made.T if turn else made)
        a, b, c = arrays
        bias = guarded.place(store_as(rng.standard_normal(n), dtype), at_end)
        expected = exact(a, dtype) @ exact(b, dtype) + exact(bias, dtype)
        run(contraction, a, b, c, [np.broadcast_to(bias, (m, n))], TARGETS[target])
        tolerance = {8: 1e-12, 4: 1e-4, 2: 6e-2}[dtype.itemsize]
        np.testing.assert_allclose(exact(c, dtype), expected, rtol=tolerance, atol=tolerance)


def test_neighbours_of_c_keep_their_values():
    rng = np.random.default_rng(1)
    contraction = Contraction(dtypes.float32, dtypes.float32, dtypes.float32)
    for m, n, k, turn in itertools.product((3, 8, 11), (5, 48, 50), (4,), (False, True)):
        room = np.full((m + 4, n + 6), 7, "f")
        c = room[2 : 2 + m, 3 : 3 + n]
        a = rng.standard_normal((m, k)).astype("f")
        b = (
            rng.standard_normal((n, k)).astype("f").T
            if turn
            else rng.standard_normal((k, n)).astype("f")
        )
        run(contraction, a, b, c)
        np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-4)
        c[...] = 7
        assert (room == 7).all()
