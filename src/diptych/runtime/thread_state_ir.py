"""The part of the pool's native code that each thread has to itself, as LLVM IR text.

A thread's state is found through a pthread key: how deep in tasks it is, its worker number, and a
scratch block for each depth. The text expects the type ``%key`` and the function ``@advise``, which
may tell the system of a large block.
"""

from __future__ import annotations

SCRATCH_DEPTHS = 4
_STATE_BYTES = 16 + 16 * SCRATCH_DEPTHS

TEXT = f"""
declare ptr @pthread_getspecific(%key)
declare i32 @pthread_setspecific(%key, ptr)
declare i32 @pthread_key_create(ptr, ptr)
declare ptr @calloc(i64, i64)
declare i32 @posix_memalign(ptr, i64, i64)
declare void @free(ptr)
declare void @abort()

@key = internal global %key zeroinitializer, align 64
@wanted = internal global i64 1, align 64

; The calling thread's state, made at its first use.
define internal ptr @state() nounwind {{
  %kk = load %key, ptr @key
  %found = call ptr @pthread_getspecific(%key %kk)
  %none = icmp eq ptr %found, null
  br i1 %none, label %make, label %done
make:
  %fresh = call ptr @calloc(i64 1, i64 {_STATE_BYTES})
  %failed = icmp eq ptr %fresh, null
  br i1 %failed, label %die, label %keep
die:
  call void @abort()
  unreachable
keep:
  %ignored = call i32 @pthread_setspecific(%key %kk, ptr %fresh)
  br label %done
done:
  %result = phi ptr [ %found, %0 ], [ %fresh, %keep ]
  ret ptr %result
}}

; Run when a thread ends.
define internal void @state_free(ptr %state) nounwind {{
  br label %loop
loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %step = shl i64 %i, 4
  %offset = add i64 %step, 16
  %cell = getelementptr i8, ptr %state, i64 %offset
  %block = load ptr, ptr %cell
  call void @free(ptr %block)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, {SCRATCH_DEPTHS}
  br i1 %more, label %loop, label %done
done:
  call void @free(ptr %state)
  ret void
}}

define ptr @dp_scratch(i64 %worker, i64 %bytes) nounwind {{
  %state = call ptr @state()
  %depth = load i64, ptr %state
  %deep = icmp ugt i64 %depth, {SCRATCH_DEPTHS - 1}
  %level = select i1 %deep, i64 {SCRATCH_DEPTHS - 1}, i64 %depth
  %step = shl i64 %level, 4
  %offset = add i64 %step, 16
  %cell = getelementptr i8, ptr %state, i64 %offset
  %cell.size = getelementptr i8, ptr %cell, i64 8
  %block = load ptr, ptr %cell
  %size = load i64, ptr %cell.size
  %fits = icmp ule i64 %bytes, %size
  %there = icmp ne ptr %block, null
  %good = and i1 %fits, %there
  br i1 %good, label %done, label %grow
grow:
  call void @free(ptr %block)
  store ptr null, ptr %cell
  store i64 0, ptr %cell.size
  %padded = add i64 %bytes, 65535
  %rounded = and i64 %padded, -65536
  %some = icmp ne i64 %rounded, 0
  %asked = select i1 %some, i64 %rounded, i64 65536
  %large = icmp uge i64 %asked, 2097152
  %alignment = select i1 %large, i64 2097152, i64 4096
  %failed = call i32 @posix_memalign(ptr %cell, i64 %alignment, i64 %asked)
  %bad = icmp ne i32 %failed, 0
  br i1 %bad, label %die, label %keep
die:
  call void @abort()
  unreachable
keep:
  store i64 %asked, ptr %cell.size
  %fresh = load ptr, ptr %cell
  br i1 %large, label %tell, label %done
tell:
  call void @advise(ptr %fresh, i64 %asked)
  br label %done
done:
  %result = phi ptr [ %block, %0 ], [ %fresh, %keep ], [ %fresh, %tell ]
  ret ptr %result
}}

define i64 @dp_num_threads() nounwind {{
  %n = load atomic i64, ptr @wanted monotonic, align 8
  ret i64 %n
}}

; All tasks in order on this thread, one level deeper.
define internal void @serial(ptr %state, i64 %tasks, ptr %body, ptr %context) nounwind {{
  %depth = load i64, ptr %state
  %deeper = add i64 %depth, 1
  store i64 %deeper, ptr %state
  %worker.at = getelementptr i8, ptr %state, i64 8
  %worker = load i64, ptr %worker.at
  %any = icmp sgt i64 %tasks, 0
  br i1 %any, label %loop, label %done
loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  call void %body(ptr %context, i64 %i, i64 %worker)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %tasks
  br i1 %more, label %loop, label %done
done:
  store i64 %depth, ptr %state
  ret void
}}

define i32 @dp_init() nounwind {{
  %code = call i32 @pthread_key_create(ptr @key, ptr @state_free)
  ret i32 %code
}}
"""
