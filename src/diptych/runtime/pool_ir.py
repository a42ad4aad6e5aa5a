"""The thread pool's native code, as LLVM IR text: what kernels call, and what Python calls.

A job is published by one store into ``@word``: generation << 32 | tasks left. A thread claims a
task by a compare-and-swap of the word to one less, so a worker that wakes late can never claim a
task of a job whose fields it did not read: the generation differs and the swap fails. The caller
takes part and waits only for tasks that were claimed, never for workers that have not woken.
"""

from __future__ import annotations

from diptych.runtime import thread_state_ir

MAX_THREADS = 256

# System call numbers of futex, and the instruction that eases a spinning core.
_FUTEX = {"x86_64": 202, "aarch64": 98}
_PAUSE = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}

_SERIAL = """
%key = type i64
define internal void @advise(ptr %at, i64 %bytes) nounwind { ret void }
define void @dp_parallel(i64 %tasks, ptr %body, ptr %context) nounwind {
  %state = call ptr @state()
  call void @serial(ptr %state, i64 %tasks, ptr %body, ptr %context)
  ret void
}
define i64 @dp_set_threads(i64 %n) nounwind { ret i64 1 }
define void @dp_set_spins(i64 %n) nounwind { ret void }
define void @dp_spin(i64 %n) nounwind { ret void }
define void @dp_reset() nounwind { ret void }
define i64 @dp_started() nounwind { ret i64 0 }
"""

_PARALLEL = """
%key = type i32
declare i32 @madvise(ptr, i64, i32)

; Huge pages: a twelfth of the time to touch fresh memory, and fewer misses after that.
define internal void @advise(ptr %at, i64 %bytes) nounwind {
  %ignored = call i32 @madvise(ptr %at, i64 %bytes, i32 14)
  ret void
}
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sched_yield()
declare i64 @syscall(i64, ...)
declare i32 @sched_getcpu()
declare i32 @getpid()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)
PAUSE_DECLARATION

@word = internal global i64 0, align 128
@job.body = internal global ptr null, align 128
@job.context = internal global ptr null, align 8
@job.tasks = internal global i64 0, align 8
@job.cpu = internal global i32 -1, align 4
@pending = internal global i32 0, align 128
@caller_sleeps = internal global i32 0, align 4
@sleepers = internal global i32 0, align 128
@busy = internal global i32 0, align 128
@quit = internal global i32 0, align 128
@started = internal global i64 0, align 8
@spins = internal global i64 1000, align 8
@threads = internal global [MAX_THREADS x i64] zeroinitializer, align 64
; Signals are for Python's threads; the faults (ILL, TRAP, BUS, FPE, SEGV) stay ours.
@mask = internal constant [16 x i64] [i64 SIGNAL_MASK, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1,
  i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1, i64 -1]

define internal void @futex_wait(ptr %at, i32 %value) nounwind noinline {
  %v = zext i32 %value to i64
  %r = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %at, i64 128, i64 %v, ptr null, ptr null, i64 0)
  ret void
}
define internal void @futex_wake(ptr %at, i32 %count) nounwind noinline {
  %n = zext i32 %count to i64
  %r = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %at, i64 129, i64 %n, ptr null, ptr null, i64 0)
  ret void
}

; Claim and run tasks of generation %gen until none is left; returns how many were run.
define internal i32 @work(i64 %gen, ptr %body, ptr %context, i64 %tasks, i64 %worker) nounwind {
  br label %look
look:
  %ran = phi i32 [ 0, %0 ], [ %ran, %claim ], [ %ran.next, %run ]
  %w = load atomic i64, ptr @word acquire, align 8
  %g = lshr i64 %w, 32
  %same = icmp eq i64 %g, %gen
  %left = and i64 %w, 4294967295
  %any = icmp ne i64 %left, 0
  %go = and i1 %same, %any
  br i1 %go, label %claim, label %done
claim:
  %less = sub i64 %w, 1
  %swap = cmpxchg ptr @word, i64 %w, i64 %less seq_cst seq_cst, align 8
  %won = extractvalue { i64, i1 } %swap, 1
  br i1 %won, label %run, label %look
run:
  %task = sub i64 %tasks, %left
  call void %body(ptr %context, i64 %task, i64 %worker)
  %ran.next = add i32 %ran, 1
  br label %look
done:
  ret i32 %ran
}

; Leave the caller's CPU. Linux wakes a worker where its waker runs and may leave the two there for
; seconds, taking turns; a worker that finds itself there bars that CPU to itself until it finds
; itself beside the caller elsewhere. The process's own mask bounds where it may go.
define internal void @step_aside(i32 %cpu) nounwind noinline {
  %mask = alloca [16 x i64], align 8
  %known = icmp ult i32 %cpu, 1024
  br i1 %known, label %read, label %done
read:
  call void @llvm.memset.p0.i64(ptr %mask, i8 0, i64 128, i1 false)
  %pid = call i32 @getpid()
  %got = call i32 @sched_getaffinity(i32 %pid, i64 128, ptr %mask)
  %failed = icmp slt i32 %got, 0
  br i1 %failed, label %done, label %clear
clear:
  %wide = zext i32 %cpu to i64
  %index = lshr i64 %wide, 6
  %bit = and i64 %wide, 63
  %one = shl i64 1, %bit
  %others = xor i64 %one, -1
  %at = getelementptr i64, ptr %mask, i64 %index
  %word = load i64, ptr %at
  %left = and i64 %word, %others
  store i64 %left, ptr %at
  br label %look
look:
  %i = phi i64 [ 0, %clear ], [ %i.next, %look ]
  %any = phi i64 [ 0, %clear ], [ %any.next, %look ]
  %each.at = getelementptr i64, ptr %mask, i64 %i
  %each = load i64, ptr %each.at
  %any.next = or i64 %any, %each
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, 16
  br i1 %more, label %look, label %decide
decide:
  %nowhere = icmp eq i64 %any.next, 0
  br i1 %nowhere, label %done, label %move
move:
  %moved = call i32 @sched_setaffinity(i32 0, i64 128, ptr %mask)
  br label %done
done:
  ret void
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal ptr @worker(ptr %argument) nounwind {
  %id = ptrtoint ptr %argument to i64
  %state = call ptr @state()
  store i64 1, ptr %state
  %worker.at = getelementptr i8, ptr %state, i64 8
  store i64 %id, ptr %worker.at
  %spins = load i64, ptr @spins
  %generation.at = getelementptr i8, ptr @word, i64 4
  br label %idle
idle:
  br label %spin
spin:
  %s = phi i64 [ 0, %idle ], [ %s.next, %again ]
  %w = load atomic i64, ptr @word acquire, align 8
  %left = and i64 %w, 4294967295
  %any = icmp ne i64 %left, 0
  br i1 %any, label %run, label %nothing
nothing:
  %q = load atomic i32, ptr @quit monotonic, align 4
  %stop = icmp ne i32 %q, 0
  br i1 %stop, label %end, label %again
again:
  PAUSE
  %s.next = add i64 %s, 1
  %more = icmp slt i64 %s.next, %spins
  br i1 %more, label %spin, label %sleep
sleep:
  ; Announce, then look again: the caller publishes, then looks for sleepers. One sees the other.
  %n0 = atomicrmw add ptr @sleepers, i32 1 seq_cst, align 4
  %w2 = load atomic i64, ptr @word seq_cst, align 8
  %left2 = and i64 %w2, 4294967295
  %none2 = icmp eq i64 %left2, 0
  %q2 = load atomic i32, ptr @quit seq_cst, align 4
  %on = icmp eq i32 %q2, 0
  %wait = and i1 %none2, %on
  br i1 %wait, label %block, label %awake
block:
  %g2 = lshr i64 %w2, 32
  %g3 = trunc i64 %g2 to i32
  call void @futex_wait(ptr %generation.at, i32 %g3)
  br label %awake
awake:
  %n1 = atomicrmw sub ptr @sleepers, i32 1 seq_cst, align 4
  br label %idle
run:
  %gen = lshr i64 %w, 32
  %body = load atomic ptr, ptr @job.body monotonic, align 8
  %context = load atomic ptr, ptr @job.context monotonic, align 8
  %tasks = load atomic i64, ptr @job.tasks monotonic, align 8
  %theirs = load atomic i32, ptr @job.cpu monotonic, align 4
  %mine = call i32 @sched_getcpu()
  %beside = icmp eq i32 %theirs, %mine
  br i1 %beside, label %aside, label %take
aside:
  call void @step_aside(i32 %mine)
  br label %take
take:
  ; The swap in @work succeeds only while the job read here is the current one, but its first look
  ; must be at the same generation: %gen was read before the fields.
  %ran = call i32 @work(i64 %gen, ptr %body, ptr %context, i64 %tasks, i64 %id)
  %idle.still = icmp eq i32 %ran, 0
  br i1 %idle.still, label %idle, label %report
report:
  %before = atomicrmw sub ptr @pending, i32 %ran seq_cst, align 4
  %last = icmp eq i32 %before, %ran
  br i1 %last, label %tell, label %idle
tell:
  %sleeping = load atomic i32, ptr @caller_sleeps seq_cst, align 4
  %must = icmp ne i32 %sleeping, 0
  br i1 %must, label %wake, label %idle
wake:
  call void @futex_wake(ptr @pending, i32 1)
  br label %idle
end:
  ret ptr null
}

; Create the workers that are wanted and not there; the caller holds @busy.
define internal void @start() nounwind noinline {
  %old = alloca [16 x i64], align 8
  %masked = call i32 @pthread_sigmask(i32 2, ptr @mask, ptr %old)
  %wanted = load i64, ptr @wanted
  br label %look
look:
  %have = load i64, ptr @started
  %id = add i64 %have, 1
  %more = icmp slt i64 %id, %wanted
  br i1 %more, label %create, label %done
create:
  %slot = getelementptr i64, ptr @threads, i64 %have
  %argument = inttoptr i64 %id to ptr
  %code = call i32 @pthread_create(ptr %slot, ptr null, ptr @worker, ptr %argument)
  %bad = icmp ne i32 %code, 0
  br i1 %bad, label %fewer, label %count
count:
  store i64 %id, ptr @started
  br label %look
fewer:
  ; The system gives no more threads: be content with those there are.
  store atomic i64 %id, ptr @wanted monotonic, align 8
  br label %done
done:
  %unmasked = call i32 @pthread_sigmask(i32 2, ptr %old, ptr null)
  ret void
}

; Wait until every claimed task is done.
define internal void @finish() nounwind {
  %spins = load i64, ptr @spins
  br label %spin
spin:
  %s = phi i64 [ 0, %0 ], [ %s.next, %again ]
  %p = load atomic i32, ptr @pending acquire, align 4
  %over = icmp eq i32 %p, 0
  br i1 %over, label %done, label %again
again:
  PAUSE
  %s.next = add i64 %s, 1
  %more = icmp slt i64 %s.next, %spins
  br i1 %more, label %spin, label %sleep
sleep:
  store atomic i32 1, ptr @caller_sleeps seq_cst, align 4
  br label %look
look:
  %p2 = load atomic i32, ptr @pending seq_cst, align 4
  %over2 = icmp eq i32 %p2, 0
  br i1 %over2, label %woken, label %block
block:
  call void @futex_wait(ptr @pending, i32 %p2)
  br label %look
woken:
  store atomic i32 0, ptr @caller_sleeps seq_cst, align 4
  br label %done
done:
  ret void
}

define void @dp_parallel(i64 %tasks, ptr %body, ptr %context) nounwind {
  %state = call ptr @state()
  %depth = load i64, ptr %state
  %wanted = load atomic i64, ptr @wanted monotonic, align 8
  %single = icmp slt i64 %wanted, 2
  %few = icmp slt i64 %tasks, 2
  %many = icmp sgt i64 %tasks, 2147483647
  %inside = icmp ne i64 %depth, 0
  %a = or i1 %single, %few
  %b = or i1 %many, %inside
  %plain = or i1 %a, %b
  br i1 %plain, label %serially, label %try
try:
  %swap = cmpxchg ptr @busy, i32 0, i32 1 seq_cst seq_cst, align 4
  %won = extractvalue { i32, i1 } %swap, 1
  br i1 %won, label %ours, label %serially
serially:
  call void @serial(ptr %state, i64 %tasks, ptr %body, ptr %context)
  ret void
ours:
  %have = load i64, ptr @started
  %need = sub i64 %wanted, 1
  %lacking = icmp slt i64 %have, %need
  br i1 %lacking, label %begin, label %publish
begin:
  call void @start()
  br label %publish
publish:
  store atomic ptr %body, ptr @job.body monotonic, align 8
  store atomic ptr %context, ptr @job.context monotonic, align 8
  store atomic i64 %tasks, ptr @job.tasks monotonic, align 8
  %cpu = call i32 @sched_getcpu()
  store atomic i32 %cpu, ptr @job.cpu monotonic, align 4
  %count = trunc i64 %tasks to i32
  store atomic i32 %count, ptr @pending monotonic, align 4
  store i64 1, ptr %state
  %w = load atomic i64, ptr @word monotonic, align 8
  %g = lshr i64 %w, 32
  %g1 = add i64 %g, 1
  %gen = and i64 %g1, 4294967295
  %high = shl i64 %gen, 32
  %new = or i64 %high, %tasks
  %old = atomicrmw xchg ptr @word, i64 %new seq_cst, align 8
  %sleepers = load atomic i32, ptr @sleepers seq_cst, align 4
  %some = icmp sgt i32 %sleepers, 0
  br i1 %some, label %wake, label %join
wake:
  %others = sub i32 %count, 1
  %fewer = icmp slt i32 %others, %sleepers
  %call = select i1 %fewer, i32 %others, i32 %sleepers
  %generation.at = getelementptr i8, ptr @word, i64 4
  call void @futex_wake(ptr %generation.at, i32 %call)
  br label %join
join:
  %ran = call i32 @work(i64 %gen, ptr %body, ptr %context, i64 %tasks, i64 0)
  %before = atomicrmw sub ptr @pending, i32 %ran seq_cst, align 4
  %over = icmp eq i32 %before, %ran
  br i1 %over, label %done, label %wait
wait:
  call void @finish()
  br label %done
done:
  store i64 0, ptr %state
  store atomic i32 0, ptr @busy release, align 4
  ret void
}

; Set the number of threads: the workers there are leave, new ones come at the next job.
define i64 @dp_set_threads(i64 %n) nounwind {
  br label %try
try:
  %swap = cmpxchg ptr @busy, i32 0, i32 1 seq_cst seq_cst, align 4
  %won = extractvalue { i32, i1 } %swap, 1
  br i1 %won, label %ours, label %yield
yield:
  %y = call i32 @sched_yield()
  br label %try
ours:
  store atomic i32 1, ptr @quit seq_cst, align 4
  %w = load atomic i64, ptr @word monotonic, align 8
  %new = add i64 %w, 4294967296
  %old = atomicrmw xchg ptr @word, i64 %new seq_cst, align 8
  %generation.at = getelementptr i8, ptr @word, i64 4
  call void @futex_wake(ptr %generation.at, i32 2147483647)
  br label %look
look:
  %have = load i64, ptr @started
  %any = icmp sgt i64 %have, 0
  br i1 %any, label %join, label %done
join:
  %last = sub i64 %have, 1
  %slot = getelementptr i64, ptr @threads, i64 %last
  %thread = load i64, ptr %slot
  %code = call i32 @pthread_join(i64 %thread, ptr null)
  store i64 %last, ptr @started
  br label %look
done:
  store atomic i32 0, ptr @quit seq_cst, align 4
  store atomic i64 %n, ptr @wanted seq_cst, align 8
  store atomic i32 0, ptr @busy release, align 4
  ret i64 %n
}

define void @dp_set_spins(i64 %n) nounwind {
  store i64 %n, ptr @spins
  ret void
}

; %n turns of the spin loop, to measure it.
define void @dp_spin(i64 %n) nounwind {
  br label %loop
loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %w = load atomic i64, ptr @word acquire, align 8
  PAUSE
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}

; In the child of a fork: the workers are not here, nor whoever held the pool.
define void @dp_reset() nounwind {
  store i64 0, ptr @started
  store i32 0, ptr @quit
  store i32 0, ptr @sleepers
  store i32 0, ptr @caller_sleeps
  store i32 0, ptr @pending
  %w = load i64, ptr @word
  %high = and i64 %w, -4294967296
  %new = add i64 %high, 4294967296
  store i64 %new, ptr @word
  store atomic i32 0, ptr @busy seq_cst, align 4
  %state = call ptr @state()
  store i64 0, ptr %state
  ret void
}

define i64 @dp_started() nounwind {
  %n = load atomic i64, ptr @started monotonic, align 8
  ret i64 %n
}
"""

EXPORTS = (
    "dp_parallel", "dp_scratch", "dp_num_threads", "dp_init", "dp_set_threads", "dp_set_spins",
    "dp_spin", "dp_reset", "dp_started",
)  # fmt: skip

# The signals 4, 5, 7, 8 and 11 of Linux are not blocked.
_SIGNAL_MASK = -1 - sum(1 << (number - 1) for number in (4, 5, 7, 8, 11))


def text(triple: str) -> str:
    """The pool's module: with threads on Linux, without elsewhere."""
    machine, _, system = triple.partition("-")
    if "linux" not in system or machine not in _FUTEX:
        return _SERIAL + thread_state_ir.TEXT
    declaration, pause = _PAUSE[machine]
    written = _PARALLEL
    # PAUSE is a part of PAUSE_DECLARATION's name, which therefore goes first.
    for name, value in (
        ("PAUSE_DECLARATION", declaration),
        ("PAUSE", pause),
        ("FUTEX", str(_FUTEX[machine])),
        ("SIGNAL_MASK", str(_SIGNAL_MASK)),
        ("MAX_THREADS", str(MAX_THREADS)),
    ):
        written = written.replace(name, value)
    return written + thread_state_ir.TEXT
