"""Kernels that are a row of tasks: the entry point that runs them here, or on the pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diptych.compiler.llvm.writer import Function, Module, Value, constant

BODY = "task"


def word(f: Function, desc: Value, index: int) -> Value:
    """A number of the descriptor."""
    return f.load("i64", f.offset(desc, int(index), "i64"))


def write_entry(
    module: Module,
    name: str,
    tasks_word: int,
    first: Callable[[Function, Value], None] | None = None,
) -> None:
    """Write ``name(desc, ptrs)``, which runs as many tasks as the descriptor's word says.

    ``first(function, ptrs)`` writes what comes before them. A single task runs on the caller.
    """
    f = module.function(name, [("ptr", "desc"), ("ptr", "ptrs")])
    desc, ptrs = f.parameters
    context = f.stack("ptr", 2)
    f.store(desc, context)
    f.store(ptrs, f.offset(context, 1, "ptr"))
    if first is not None:
        first(f, ptrs)
    tasks, zero = word(f, desc, tasks_word), constant("i64", 0)

    def here() -> Sequence[Value]:
        f.call(BODY, "void", [context, zero, zero])
        return []

    def pool() -> Sequence[Value]:
        f.call("dp_parallel", "void", [tasks, Value(f"@{BODY}", "ptr"), context])
        return []

    f.choose(f.compare("eq", tasks, 1), here, pool)
    f.ret()


def open_task(module: Module, pointers: int) -> tuple[Function, Value, list[Value]]:
    """The task body being written, the descriptor, and the kernel's pointers."""
    f = module.function(
        BODY, [("ptr", "context"), ("i64", "task"), ("i64", "worker")], internal=True
    )
    context = f.parameters[0]
    desc = f.load("ptr", context)
    ptrs = f.load("ptr", f.offset(context, 1, "ptr"))
    return f, desc, [f.load("ptr", f.offset(ptrs, k, "ptr")) for k in range(pointers)]
