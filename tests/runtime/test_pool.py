"""The thread pool: every task once, whatever the threads, nesting, forks and callers."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from diptych.compiler.llvm import backend
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit
from diptych.errors import ArgumentError
from diptych.runtime import objects, pool, pool_ir

pytestmark = pytest.mark.native

# count: desc = (rounds, tasks, work); p0[task] += 1 each round, after some work.
# nest: the same from inside tasks: tasks x tasks cells.
# meet: each task waits (for seconds at most) until all have begun, and says whether they have.
# scratch: each task checks that its scratch is aligned, its own, and survives a nested call.
TEXT = """
declare void @dp_parallel(i64, ptr, ptr)
declare ptr @dp_scratch(i64, i64)

define internal void @count_task(ptr %c, i64 %task, i64 %worker) {
  %desc = load ptr, ptr %c
  %work.at = getelementptr i64, ptr %desc, i64 2
  %work = load i64, ptr %work.at
  br label %spin
spin:
  %i = phi i64 [ 0, %0 ], [ %next, %spin ]
  %next = add i64 %i, 1
  call void asm sideeffect "", ""()
  %more = icmp slt i64 %next, %work
  br i1 %more, label %spin, label %add
add:
  %ptrs.at = getelementptr ptr, ptr %c, i64 1
  %ptrs = load ptr, ptr %ptrs.at
  %p = load ptr, ptr %ptrs
  %cell = getelementptr i64, ptr %p, i64 %task
  %old = load i64, ptr %cell
  %new = add i64 %old, 1
  store i64 %new, ptr %cell
  ret void
}
define void @count(ptr %desc, ptr %ptrs) {
  %c = alloca [2 x ptr]
  store ptr %desc, ptr %c
  %c1 = getelementptr ptr, ptr %c, i64 1
  store ptr %ptrs, ptr %c1
  %rounds = load i64, ptr %desc
  %tasks.at = getelementptr i64, ptr %desc, i64 1
  %tasks = load i64, ptr %tasks.at
  br label %round
round:
  %r = phi i64 [ 0, %0 ], [ %next, %round ]
  call void @dp_parallel(i64 %tasks, ptr @count_task, ptr %c)
  %next = add i64 %r, 1
  %more = icmp slt i64 %next, %rounds
  br i1 %more, label %round, label %done
done:
  ret void
}

define internal void @inner_task(ptr %c, i64 %task, i64 %worker) {
  %row = load ptr, ptr %c
  %cell = getelementptr i64, ptr %row, i64 %task
  %old = load i64, ptr %cell
  %new = add i64 %old, 1
  store i64 %new, ptr %cell
  ret void
}
define internal void @outer_task(ptr %c, i64 %task, i64 %worker) {
  %ctx = alloca ptr
  %tasks = load i64, ptr %c
  %p.at = getelementptr i64, ptr %c, i64 1
  %p = load ptr, ptr %p.at
  %start = mul i64 %task, %tasks
  %row = getelementptr i64, ptr %p, i64 %start
  store ptr %row, ptr %ctx
  call void @dp_parallel(i64 %tasks, ptr @inner_task, ptr %ctx)
  ret void
}
define void @nest(ptr %desc, ptr %ptrs) {
  %c = alloca [2 x i64]
  %tasks = load i64, ptr %desc
  store i64 %tasks, ptr %c
  %c1 = getelementptr i64, ptr %c, i64 1
  %p = load ptr, ptr %ptrs
  store ptr %p, ptr %c1
  call void @dp_parallel(i64 %tasks, ptr @outer_task, ptr %c)
  ret void
}

define internal void @meet_task(ptr %c, i64 %task, i64 %worker) {
  %tasks = load i64, ptr %c
  %p.at = getelementptr i64, ptr %c, i64 1
  %p = load ptr, ptr %p.at
  %one = atomicrmw add ptr %p, i64 1 seq_cst
  br label %look
look:
  %i = phi i64 [ 0, %0 ], [ %next, %again ]
  %there = load atomic i64, ptr %p acquire, align 8
  %met = icmp eq i64 %there, %tasks
  br i1 %met, label %good, label %again
again:
  %y = call i32 @sched_yield()
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, 20000000
  br i1 %more, label %look, label %done
good:
  %cell = getelementptr i64, ptr %p, i64 %task
  %cell1 = getelementptr i64, ptr %cell, i64 1
  store i64 1, ptr %cell1
  br label %done
done:
  ret void
}
declare i32 @sched_yield()
define void @meet(ptr %desc, ptr %ptrs) {
  %c = alloca [2 x i64]
  %tasks = load i64, ptr %desc
  store i64 %tasks, ptr %c
  %c1 = getelementptr i64, ptr %c, i64 1
  %p = load ptr, ptr %ptrs
  store ptr %p, ptr %c1
  call void @dp_parallel(i64 %tasks, ptr @meet_task, ptr %c)
  ret void
}

define internal void @use_task(ptr %c, i64 %task, i64 %worker) {
  %s = call ptr @dp_scratch(i64 %worker, i64 5000)
  call void @llvm.memset.p0.i64(ptr %s, i8 85, i64 5000, i1 false)
  ret void
}
define internal void @scratch_task(ptr %c, i64 %task, i64 %worker) {
  %bytes.0 = mul i64 %task, 30000
  %bytes = add i64 %bytes.0, 64
  %s = call ptr @dp_scratch(i64 %worker, i64 %bytes)
  %value = trunc i64 %task to i8
  call void @llvm.memset.p0.i64(ptr %s, i8 %value, i64 %bytes, i1 false)
  call void @dp_parallel(i64 3, ptr @use_task, ptr null)
  %last = sub i64 %bytes, 1
  %end = getelementptr i8, ptr %s, i64 %last
  %a = load i8, ptr %s
  %b = load i8, ptr %end
  %same.a = icmp eq i8 %a, %value
  %same.b = icmp eq i8 %b, %value
  %number = ptrtoint ptr %s to i64
  %low = and i64 %number, 63
  %aligned = icmp eq i64 %low, 0
  %same = and i1 %same.a, %same.b
  %good = and i1 %same, %aligned
  %result = zext i1 %good to i64
  %cell = getelementptr i64, ptr %c, i64 %task
  store i64 %result, ptr %cell
  ret void
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
define void @scratch(ptr %desc, ptr %ptrs) {
  %tasks = load i64, ptr %desc
  %p = load ptr, ptr %ptrs
  %mine = call ptr @dp_scratch(i64 0, i64 100)
  store i64 77, ptr %mine
  call void @dp_parallel(i64 %tasks, ptr @scratch_task, ptr %p)
  %kept = load i64, ptr %mine
  %cell = getelementptr i64, ptr %p, i64 %tasks
  store i64 %kept, ptr %cell
  ret void
}
"""


@pytest.fixture(scope="module")
def functions() -> dict[str, int]:
    unit = CodeUnit("count", (("text", TEXT),), lambda: TEXT)
    return objects.obtain_and_link(unit, pool.symbols(), ["count", "nest", "meet", "scratch"])


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


def run(address: int, desc: list[int], cells: int) -> list[int]:
    numbers = (ctypes.c_int64 * len(desc))(*desc)
    result = (ctypes.c_int64 * cells)()
    pointers = (ctypes.c_void_p * 1)(ctypes.addressof(result))
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)
    kernel(ctypes.addressof(numbers), ctypes.addressof(pointers))
    return list(result)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("tasks", [0, 1, 2, 7, 100])
def test_every_task_runs_once_a_round(functions: dict[str, int], threads: int, tasks: int) -> None:
    pool.set_num_threads(threads)
    assert pool.get_num_threads() == threads
    assert run(functions["count"], [300, tasks, 20], 101) == [300] * tasks + [0] * (101 - tasks)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="serial elsewhere")
@pytest.mark.parametrize("pause", [0.0, 0.01], ids=["spinning", "asleep"])
def test_workers_take_part(functions: dict[str, int], pause: float) -> None:
    """Tasks that wait for each other all run at once, whether or not the workers had slept."""
    pool.set_num_threads(4)
    for _ in range(5):
        time.sleep(pause)
        assert run(functions["meet"], [4], 5) == [4, 1, 1, 1, 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_nested_calls_run_on_the_caller(functions: dict[str, int], threads: int) -> None:
    pool.set_num_threads(threads)
    for _ in range(50):
        assert run(functions["nest"], [20], 400) == [1] * 400


@pytest.mark.parametrize("threads", [1, 3])
def test_scratch_is_aligned_own_and_kept_at_each_depth(
    functions: dict[str, int], threads: int
) -> None:
    pool.set_num_threads(threads)
    for _ in range(20):
        assert run(functions["scratch"], [30], 31) == [1] * 30 + [77]


def test_callers_from_many_threads(functions: dict[str, int]) -> None:
    pool.set_num_threads(3)
    results: list[list[int]] = []

    def call(which: str) -> None:
        if which == "count":
            results.append(run(functions["count"], [2000, 10, 10], 10))
        else:
            for _ in range(50):
                cells = run(functions["scratch"], [10], 11)
            results.append([2000] * 10 if cells == [1] * 10 + [77] else cells)

    threads = [threading.Thread(target=call, args=(w,)) for w in ("count", "scratch") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[2000] * 10] * 6


def test_size_changes_while_others_run(functions: dict[str, int]) -> None:
    results: list[list[int]] = []
    worker = threading.Thread(
        target=lambda: results.append(run(functions["count"], [20_000, 6, 5], 6))
    )
    worker.start()
    for count in [2, 5, 1, 3] * 10:
        pool.set_num_threads(count)
    worker.join()
    assert results == [[20_000] * 6]


@pytest.mark.parametrize("count", [0, -1, 257, 1.0, "2", True, None])
def test_bad_sizes_are_refused(count: object) -> None:
    with pytest.raises(ArgumentError, match="from 1 to 256"):
        pool.set_num_threads(count)  # type: ignore[arg-type]


FORK = """
import os, sys, threading
sys.path.insert(0, {folder!r})
import test_pool as t
from diptych.runtime import objects, pool
unit = t.CodeUnit("count", (("text", t.TEXT),), lambda: t.TEXT)
f = objects.obtain_and_link(unit, pool.symbols(), ["count", "meet"])
pool.set_num_threads(3)
assert t.run(f["count"], [50, 9, 10], 9) == [50] * 9
busy = threading.Thread(target=lambda: t.run(f["count"], [20000, 9, 200], 9))
busy.start()
children = []
for _ in range(5):
    pid = os.fork()
    if not pid:
        good = t.run(f["count"], [200, 9, 10], 9) == [200] * 9 and pool.get_num_threads() == 3
        good = good and t.run(f["meet"], [3], 4) == [3, 1, 1, 1]
        os._exit(0 if good else 1)
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
busy.join()
assert codes == [0] * 5, codes
assert t.run(f["count"], [50, 9, 10], 9) == [50] * 9
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_pool_of_its_own(cache_directory: str) -> None:
    code = FORK.format(folder=os.path.dirname(__file__))
    environment = {"PYTHONPATH": ":".join(sys.path), "DIPTYCH_CACHE_DIR": cache_directory}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, env=environment, timeout=60
    )


def test_the_interpreter_leaves_while_workers_spin(cache_directory: str) -> None:
    code = FORK.split("busy =")[0].format(folder=os.path.dirname(__file__))
    environment = {"PYTHONPATH": ":".join(sys.path), "DIPTYCH_CACHE_DIR": cache_directory}
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)


@pytest.mark.parametrize(("written", "threads"), [("1", 1), ("5", 5)])
def test_the_environment_sets_the_number(cache_directory: str, written: str, threads: int) -> None:
    environment = {
        "PYTHONPATH": ":".join(sys.path),
        "DIPTYCH_CACHE_DIR": cache_directory,
        "DIPTYCH_NUM_THREADS": written,
    }
    code = "from diptych.runtime import pool; print(pool.get_num_threads())"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env=environment
    ).stdout
    assert int(output) == threads


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_affinity_bounds_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert pool.usable_cpus() == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1000)))
    assert 1 <= pool.usable_cpus() <= pool.MAX_THREADS


@pytest.mark.parametrize(
    ("triple", "threads"),
    [("aarch64-unknown-linux-gnu", True), ("arm64-apple-darwin", False), ("x86_64-freebsd", False)],
)
def test_the_text_is_right_for_other_systems(triple: str, threads: bool) -> None:
    written = backend.assembly(pool_ir.text(triple), Target(triple, "generic", frozenset(), 16))
    assert all(name in written for name in pool_ir.EXPORTS)
    assert ("pthread_create" in written) == threads
