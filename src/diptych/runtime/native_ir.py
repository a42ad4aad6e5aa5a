"""LLVM IR of the CPython builtins that call kernels and walk program tables.

They are METH_FASTCALL functions whose PyMethodDef lies in the module's own data, which is never
freed. Only names of CPython's stable interface are used, so the object does not depend on the
interpreter's version: the address of None is given by the loader, and its reference is counted by
``Py_IncRef``.
"""

from __future__ import annotations

MAGIC = 0x6469707479636801
HEADER_WORDS = 8
MAX_POINTERS = 16384

NAMES = ("call", "call_released", "run_program", "run_program_released")
EXPORTS = tuple(f"dp_method_{name}" for name in NAMES)

# What the module leaves open, all of it CPython's.
PYTHON_NAMES = (
    "PyLong_AsSsize_t", "PyErr_Occurred", "PyErr_SetString", "PyEval_SaveThread",
    "PyEval_RestoreThread", "Py_IncRef",
)  # fmt: skip

MESSAGES = {
    "few": (
        "expected the addresses of a kernel (or program table) and of its description (or arena), "
        "then one address per operand"
    ),
    "many": f"more than {MAX_POINTERS} addresses in one call",
    "null": "the address of the kernel is 0",
    "magic": "not the address of a program table",
    "count": "the program takes another number of operand addresses",
    "arena": "the program needs an arena and its address is 0",
}

_HEAD = """
declare i64 @PyLong_AsSsize_t(ptr)
declare ptr @PyErr_Occurred()
declare void @PyErr_SetString(ptr, ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
@dp_none = external global i8
@dp_type_error = external global i8
@dp_value_error = external global i8

define internal ptr @fail(ptr %class, ptr %message) nounwind noinline {
  call void @PyErr_SetString(ptr %class, ptr %message)
  ret ptr null
}

; An argument as an address; false with an exception set if it is not an int that fits.
define internal { i64, i1 } @address(ptr %object) nounwind alwaysinline {
  %value = call i64 @PyLong_AsSsize_t(ptr %object)
  %suspect = icmp eq i64 %value, -1
  br i1 %suspect, label %look, label %good
look:
  %error = call ptr @PyErr_Occurred()
  %none = icmp eq ptr %error, null
  br i1 %none, label %good, label %bad
bad:
  ret { i64, i1 } zeroinitializer
good:
  %r0 = insertvalue { i64, i1 } zeroinitializer, i64 %value, 0
  %r1 = insertvalue { i64, i1 } %r0, i1 true, 1
  ret { i64, i1 } %r1
}

; Arguments 2.. as addresses into %out.
define internal i1 @operands(ptr %args, i64 %n, ptr %out) nounwind alwaysinline {
  br label %look
look:
  %i = phi i64 [ 2, %0 ], [ %next, %store ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %convert, label %good
convert:
  %at = getelementptr ptr, ptr %args, i64 %i
  %object = load ptr, ptr %at
  %pair = call { i64, i1 } @address(ptr %object)
  %ok = extractvalue { i64, i1 } %pair, 1
  br i1 %ok, label %store, label %bad
store:
  %value = extractvalue { i64, i1 } %pair, 0
  %k = sub i64 %i, 2
  %to = getelementptr i64, ptr %out, i64 %k
  store i64 %value, ptr %to
  %next = add i64 %i, 1
  br label %look
bad:
  ret i1 false
good:
  ret i1 true
}

; Walk a program's steps over slots that are already filled.
define internal void @walk(ptr %steps, i64 %count, ptr %slots, ptr %pointers) nounwind {
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %step, label %done
step:
  %s = phi i64 [ 0, %0 ], [ %s.next, %run ]
  %at = phi ptr [ %steps, %0 ], [ %list.end, %run ]
  %kernel = load ptr, ptr %at
  %desc.at = getelementptr i64, ptr %at, i64 1
  %desc = load ptr, ptr %desc.at
  %n.at = getelementptr i64, ptr %at, i64 2
  %n = load i64, ptr %n.at
  %list = getelementptr i64, ptr %at, i64 3
  %list.end = getelementptr i64, ptr %list, i64 %n
  br label %gather
gather:
  %i = phi i64 [ 0, %step ], [ %i.next, %copy ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %copy, label %run
copy:
  %number.at = getelementptr i64, ptr %list, i64 %i
  %number = load i64, ptr %number.at
  %slot = getelementptr i64, ptr %slots, i64 %number
  %address = load i64, ptr %slot
  %to = getelementptr i64, ptr %pointers, i64 %i
  store i64 %address, ptr %to
  %i.next = add i64 %i, 1
  br label %gather
run:
  call void %kernel(ptr %desc, ptr %pointers)
  %s.next = add i64 %s, 1
  %more = icmp slt i64 %s.next, %count
  br i1 %more, label %step, label %done
done:
  ret void
}

; slots[first + k] = slots[base of k] + offset of k
define internal void @derive(ptr %pairs, i64 %count, ptr %slots, i64 %first) nounwind alwaysinline {
  br label %look
look:
  %k = phi i64 [ 0, %0 ], [ %next, %fill ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %fill, label %done
fill:
  %twice = shl i64 %k, 1
  %base.at = getelementptr i64, ptr %pairs, i64 %twice
  %offset.at = getelementptr i64, ptr %base.at, i64 1
  %base = load i64, ptr %base.at
  %offset = load i64, ptr %offset.at
  %from = getelementptr i64, ptr %slots, i64 %base
  %start = load i64, ptr %from
  %address = add i64 %start, %offset
  %number = add i64 %first, %k
  %to = getelementptr i64, ptr %slots, i64 %number
  store i64 %address, ptr %to
  %next = add i64 %k, 1
  br label %look
done:
  ret void
}
"""

# In the two functions, SAVE and RESTORE are the release of the interpreter's lock, or nothing.
_CALL = """
define internal ptr @NAME(ptr %self, ptr %args, i64 %n) nounwind {
  %few = icmp slt i64 %n, 2
  br i1 %few, label %too.few, label %enough
too.few:
  %e0 = call ptr @fail(ptr @dp_type_error, ptr @message.few)
  ret ptr null
enough:
  %many = icmp sgt i64 %n, MAX_POINTERS
  br i1 %many, label %too.many, label %start
too.many:
  %e1 = call ptr @fail(ptr @dp_value_error, ptr @message.many)
  ret ptr null
start:
  %object0 = load ptr, ptr %args
  %pair0 = call { i64, i1 } @address(ptr %object0)
  %ok0 = extractvalue { i64, i1 } %pair0, 1
  br i1 %ok0, label %second, label %bad
second:
  %object1.at = getelementptr ptr, ptr %args, i64 1
  %object1 = load ptr, ptr %object1.at
  %pair1 = call { i64, i1 } @address(ptr %object1)
  %ok1 = extractvalue { i64, i1 } %pair1, 1
  br i1 %ok1, label %rest, label %bad
rest:
  %pointers = alloca i64, i64 %n, align 16
  %ok2 = call i1 @operands(ptr %args, i64 %n, ptr %pointers)
  br i1 %ok2, label %check, label %bad
check:
  %kernel.value = extractvalue { i64, i1 } %pair0, 0
  %null = icmp eq i64 %kernel.value, 0
  br i1 %null, label %no.kernel, label %run
no.kernel:
  %e2 = call ptr @fail(ptr @dp_value_error, ptr @message.null)
  ret ptr null
run:
  %kernel = inttoptr i64 %kernel.value to ptr
  %desc.value = extractvalue { i64, i1 } %pair1, 0
  %desc = inttoptr i64 %desc.value to ptr
  SAVE
  call void %kernel(ptr %desc, ptr %pointers)
  RESTORE
  call void @Py_IncRef(ptr @dp_none)
  ret ptr @dp_none
bad:
  ret ptr null
}
"""

_PROGRAM = """
define internal ptr @NAME(ptr %self, ptr %args, i64 %n) nounwind {
  %few = icmp slt i64 %n, 2
  br i1 %few, label %too.few, label %start
too.few:
  %e0 = call ptr @fail(ptr @dp_type_error, ptr @message.few)
  ret ptr null
start:
  %object0 = load ptr, ptr %args
  %pair0 = call { i64, i1 } @address(ptr %object0)
  %ok0 = extractvalue { i64, i1 } %pair0, 1
  br i1 %ok0, label %second, label %bad
second:
  %object1.at = getelementptr ptr, ptr %args, i64 1
  %object1 = load ptr, ptr %object1.at
  %pair1 = call { i64, i1 } @address(ptr %object1)
  %ok1 = extractvalue { i64, i1 } %pair1, 1
  br i1 %ok1, label %look, label %bad
look:
  %table.value = extractvalue { i64, i1 } %pair0, 0
  %arena = extractvalue { i64, i1 } %pair1, 0
  %table = inttoptr i64 %table.value to ptr
  %null = icmp eq i64 %table.value, 0
  br i1 %null, label %no.table, label %magic
magic:
  %found = load i64, ptr %table
  %right = icmp eq i64 %found, MAGIC
  br i1 %right, label %count, label %no.table
no.table:
  %e1 = call ptr @fail(ptr @dp_value_error, ptr @message.magic)
  ret ptr null
count:
  %wanted.at = getelementptr i64, ptr %table, i64 1
  %wanted = load i64, ptr %wanted.at
  %given = sub i64 %n, 2
  %same = icmp eq i64 %given, %wanted
  br i1 %same, label %ask, label %miscounted
miscounted:
  %e2 = call ptr @fail(ptr @dp_type_error, ptr @message.count)
  ret ptr null
ask:
  %needs.at = getelementptr i64, ptr %table, i64 6
  %needs = load i64, ptr %needs.at
  %needed = icmp ne i64 %needs, 0
  %absent = icmp eq i64 %arena, 0
  %missing = and i1 %needed, %absent
  br i1 %missing, label %no.arena, label %fill
no.arena:
  %e3 = call ptr @fail(ptr @dp_value_error, ptr @message.arena)
  ret ptr null
fill:
  %total.at = getelementptr i64, ptr %table, i64 4
  %total = load i64, ptr %total.at
  %slots = alloca i64, i64 %total, align 16
  store i64 0, ptr %slots
  %slot1 = getelementptr i64, ptr %slots, i64 1
  store i64 %arena, ptr %slot1
  %slot2 = getelementptr i64, ptr %slots, i64 2
  %ok2 = call i1 @operands(ptr %args, i64 %n, ptr %slot2)
  br i1 %ok2, label %derive, label %bad
derive:
  %derived.at = getelementptr i64, ptr %table, i64 2
  %derived = load i64, ptr %derived.at
  %pairs = getelementptr i64, ptr %table, i64 HEADER_WORDS
  call void @derive(ptr %pairs, i64 %derived, ptr %slots, i64 %n)
  %twice = shl i64 %derived, 1
  %steps = getelementptr i64, ptr %pairs, i64 %twice
  %count.at = getelementptr i64, ptr %table, i64 3
  %count.value = load i64, ptr %count.at
  %widest.at = getelementptr i64, ptr %table, i64 5
  %widest = load i64, ptr %widest.at
  %pointers = alloca i64, i64 %widest, align 16
  SAVE
  call void @walk(ptr %steps, i64 %count.value, ptr %slots, ptr %pointers)
  RESTORE
  call void @Py_IncRef(ptr @dp_none)
  ret ptr @dp_none
bad:
  ret ptr null
}
"""


def _string(name: str, value: str) -> str:
    return f'@{name} = internal constant [{len(value) + 1} x i8] c"{value}\\00"\n'


def text() -> str:
    """The module's text."""
    parts = [_HEAD]
    parts += [_string(f"message.{name}", value) for name, value in MESSAGES.items()]
    for name in NAMES:
        released = name.endswith("_released")
        body = _CALL if name.startswith("call") else _PROGRAM
        for mark, value in (
            ("NAME", name),
            ("MAX_POINTERS", str(MAX_POINTERS)),
            ("HEADER_WORDS", str(HEADER_WORDS)),
            ("MAGIC", str(MAGIC)),
            ("SAVE", "%lock = call ptr @PyEval_SaveThread()" if released else ""),
            ("RESTORE", "call void @PyEval_RestoreThread(ptr %lock)" if released else ""),
        ):
            body = body.replace(mark, value)
        parts.append(body)
        parts.append(_string(f"name.{name}", name))
        # struct PyMethodDef { name, function, flags = METH_FASTCALL, doc }
        parts.append(
            f"@dp_method_{name} = global {{ ptr, ptr, i32, ptr }} "
            f"{{ ptr @name.{name}, ptr @{name}, i32 128, ptr null }}\n"
        )
    return "".join(parts)
