"""One stage's pass along the inner axis: unrolled vectors, then masked ones."""

from __future__ import annotations

from diptych.compiler.llvm.writer import Function, Value, bits_of
from diptych.compiler.nests import reductions
from diptych.compiler.nests.conversion import memory_type
from diptych.compiler.nests.reductions import State
from diptych.compiler.nests.space import Space
from diptych.loops.expression import Apply, Expression, walk
from diptych.loops.nest import Access, Reduce, RowNest, Stage

SUM_BLOCK = 64  # unrolled steps after which running sums are set aside, for accuracy


def unroll_for(nest: RowNest, stage: Stage) -> int:
    """How many vectors one step works on: fewer the longer the expression."""
    if any(operand.access is Access.STRIDED for operand in nest.operands):
        return 2  # lanes are loaded one by one, and tiles are narrow
    roots = [r.value for r in stage.reduces] + [s.value for s in stage.stores]
    weight = sum(_WEIGHTS.get(n.op, 1) for n in walk(roots) if isinstance(n, Apply))
    return 4 if weight <= 6 else 2 if weight <= 40 else 1


_WEIGHTS = {
    **dict.fromkeys("exp exp2 log log2 log10 sigmoid tanh sin cos erf".split(), 12),
    **dict.fromkeys("expm1 log1p erfc tan atan asin acos pow cbrt".split(), 30),
    **dict.fromkeys("sinh cosh asinh acosh atanh atan2 fmod rem floordiv".split(), 30),
}


class Sweep:
    """Emits one stage over positions ``low`` .. ``high`` of a row."""

    def __init__(self, space: Space, stage: Stage, lanes: int, low: Value, high: Value) -> None:
        assert isinstance(space.nest, RowNest)
        self.space = space
        self.nest = space.nest
        self.w: Function = space.w
        self.reduces = stage.reduces
        self.stores = self.nest.element_stores(stage)
        self.lanes = lanes
        self.low, self.high = low, high
        self.unroll = unroll_for(self.nest, stage)
        self.stream: Value | None = None  # whether stores should go past the caches
        self.streaming = False  # whether those being written do
        self.roots: list[Expression] = [r.value for r in self.reduces]
        self.roots += [s.value for s in self.stores]

    def emit(self) -> list[State]:
        """Write the loops; the reductions' scalar states (positions counted from ``low``)."""
        w = self.w
        self.hoisted = self.space.hoist(self.roots, self.lanes)
        width = self.unroll * self.lanes
        whole = w.binary("and", w.sub(self.high, self.low), -width)
        middle = w.add(self.low, whole)
        states = self._main(middle, width)
        with w.loop(middle, self.high, self.lanes, reductions.flat(states)) as loop:
            bits = min(bits_of(memory_type(o.dtype)) for o in self.nest.operands)
            mask = w.first_lanes(w.sub(self.high, loop.index), self.lanes, bits)
            before = reductions.unflat(self.reduces, loop.carried)
            loop.next(reductions.flat(self._step(loop.index, before, mask)))
        states = reductions.unflat(self.reduces, loop.results)
        return [reductions.across_lanes(w, r, s) for r, s in zip(self.reduces, states, strict=True)]

    def _main(self, middle: Value, width: int) -> list[State]:
        """The main loop, in two forms where its stores may go past the caches."""
        w = self.w
        if self.stream is None:
            return self._unrolled(middle, width)
        aligned = self.stream
        for store in self.stores:
            start = w.cast("ptrtoint", self.space.address(store.output, self.low), "i64")
            aligned = w.binary("and", aligned, w.compare("eq", w.binary("and", start, 63), 0))

        def streamed() -> list[Value]:
            self.streaming = True
            states = self._unrolled(middle, width)
            self.streaming = False
            w.call("llvm.x86.sse.sfence", "void", [])  # before another thread may look
            return reductions.flat(states)

        def cached() -> list[Value]:
            return reductions.flat(self._unrolled(middle, width))

        return reductions.unflat(self.reduces, w.choose(aligned, streamed, cached))

    def _unrolled(self, middle: Value, width: int) -> list[State]:
        """The main loop; sums in two levels, so that no accumulator takes in too many terms."""
        w = self.w
        fresh = [reductions.identity(r, self.lanes) for r in self.reduces]
        summed = any(r.op == "sum" and r.value.dtype.is_float for r in self.reduces)
        if not summed:
            return self._steps(self.low, middle, width, runs=False)
        block = width * SUM_BLOCK
        with w.loop(self.low, middle, block, reductions.flat(fresh)) as outer:
            stop = w.minimum(w.add(outer.index, block), middle)
            states = self._steps(outer.index, stop, width, runs=True)
            before = reductions.unflat(self.reduces, outer.carried)
            outer.next(
                reductions.flat(
                    [
                        reductions.combine(w, r, a, b)
                        for r, a, b in zip(self.reduces, before, states, strict=True)
                    ]
                )
            )
        return reductions.unflat(self.reduces, outer.results)

    def _steps(self, start: Value, stop: Value, width: int, runs: bool) -> list[State]:
        """Unrolled steps with accumulators of their own, combined at the end."""
        w = self.w
        fresh = [reductions.identity(r, self.lanes) for r in self.reduces]
        size = len(reductions.flat(fresh))
        with w.loop(start, stop, width, reductions.flat(fresh) * self.unroll, runs) as loop:
            after: list[Value] = []
            for k in range(self.unroll):
                mine = reductions.unflat(self.reduces, loop.carried[k * size : (k + 1) * size])
                index = w.add(loop.index, k * self.lanes) if k else loop.index
                after += reductions.flat(self._step(index, mine, None))
            loop.next(after)
        groups = [
            reductions.unflat(self.reduces, loop.results[k * size : (k + 1) * size])
            for k in range(self.unroll)
        ]
        return [
            reductions.combine_all(w, r, [group[k] for group in groups])
            for k, r in enumerate(self.reduces)
        ]

    def _step(self, index: Value, states: list[State], mask: Value | None) -> list[State]:
        """One vector: stores, and the states after it."""
        w, lanes = self.w, self.lanes
        known = self.space.elements(self.roots, self.hoisted, index, lanes, mask)
        for store in self.stores:
            value = known[store.value]
            self.space.store(store.output, value, index, lanes, mask, self.streaming)
        after = []
        for reduce, state in zip(self.reduces, states, strict=True):
            value = known[reduce.value]
            position = self._position(reduce, index) if reductions.is_arg(reduce) else None
            if mask is not None:
                value = w.select(mask, value, reductions.identity(reduce, lanes)[0])
            taken = reductions.step(w, reduce, state, value, position)
            after.append(taken)
        return after

    def _position(self, reduce: Reduce, index: Value) -> Value:
        w = self.w
        type_ = reductions.position_type(reduce, self.lanes)
        relative = w.sub(index, self.low)
        narrow = w.cast("trunc", relative, reductions.position_type(reduce))
        first = w.splat(narrow, self.lanes)
        if self.lanes == 1:
            return first
        lanes = w.iota(self.lanes, reductions.position_type(reduce))
        assert lanes.type == type_, "positions have the lanes' shape"
        return w.add(first, lanes)
