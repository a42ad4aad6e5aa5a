"""A reader of pickles that runs nothing: every name is looked up in a table of the caller's.

It is an interpreter of the pickle opcodes, in Python, because the standard one cannot be bounded:
it believes lengths and memo numbers, and lets a file call what it named and change what it was
given. Here memory grows with the size of the pickle alone; a length is compared with the bytes that
are left; a name gives a ``Name``, which says whether it may be called, instantiated or given a
state; a state is set only on what this pickle itself made.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

_LONGEST_NAME = 1024
_LONGEST_NUMBER = 4300  # digits in text; Python's own bound
_LARGEST_KEY = 4096  # nodes of a tuple that is a key: hashing one is recursive and not remembered
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # Python 2's
_OLD_NAMES = {"xrange": "range", "long": "int"}
_MARK = object()


class Name:
    """What a name in a file means: its value, and what a file may do with it (None: nothing).

    ``call(reader, *args)`` for REDUCE, ``new(reader, *args)`` for NEWOBJ; ``state(made, state)`` is
    BUILD for what either of them made.
    """

    __slots__ = ("call", "new", "state", "value")

    def __init__(
        self,
        value: Any,
        call: Callable[..., Any] | None = None,
        new: Callable[..., Any] | None = None,
        state: Callable[[Any, Any], None] | None = None,
    ) -> None:
        self.value = value
        self.call = call
        self.new = new
        self.state = state


class Unchangeable(UnpicklingError):
    """A pickle that sets the state of something that it did not make."""


class PickleReader:
    """Interprets one pickle in ``data`` from ``position``; ``load`` may be called once.

    Args:
        data: the bytes, a memoryview of bytes.
        position: where the pickle begins; after ``load``, where it ended.
        find: gives the ``Name`` of a module and a name, or raises.
        persistent: gives the object of a persistent id, or raises.
        encoding: of the byte strings that Python 2 wrote ("bytes": leave them).
    """

    def __init__(
        self,
        data: memoryview,
        position: int,
        find: Callable[[str, str], Name],
        persistent: Callable[[Any], Any],
        encoding: str = "utf-8",
        errors: str = "strict",
    ) -> None:
        self.data = data
        self.position = position
        self.find = find
        self.persistent = persistent
        self.encoding = encoding
        self.errors = errors
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names: dict[int, Name] = {}  # by the id of their values, which the table keeps alive
        self.kept: list[Name] = []
        self.made: dict[int, tuple[Any, Callable[[Any, Any], None]]] = {}
        # Constructors copy what they are given, which a memo can give them again and again.
        self.copies_left = len(data) - position + 1024

    # ---- bytes

    def read(self, count: int) -> memoryview:
        start = self.position
        if count < 0 or count > len(self.data) - start:
            raise UnpicklingError("pickle data was truncated")
        self.position = start + count
        return self.data[start : start + count]

    def number(self, form: struct.Struct) -> int:
        return int(form.unpack(self.read(form.size))[0])

    def line(self) -> str:
        start = self.position
        window = bytes(self.data[start : start + 4 * _LONGEST_NAME])
        end = window.find(b"\n")
        if end < 0:
            raise UnpicklingError("a line in the pickle has no end")
        self.position = start + end + 1
        return window[:end].decode("utf-8", "strict")

    # ---- the stack

    def pop(self) -> Any:
        stack = self.stack
        if not stack or stack[-1] is _MARK:
            raise UnpicklingError("the pickle takes more than there is")
        return stack.pop()

    def top(self) -> Any:
        stack = self.stack
        if not stack or stack[-1] is _MARK:
            raise UnpicklingError("the pickle takes more than there is")
        return stack[-1]

    def since_mark(self) -> list[Any]:
        stack = self.stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                items = stack[index + 1 :]
                del stack[index:]
                return items
        raise UnpicklingError("the pickle takes a mark that is not there")

    def copied(self, count: int) -> None:
        """Count what constructors copy: a pickle holds at most as many elements as bytes."""
        self.copies_left -= count
        if self.copies_left < 0:
            raise UnpicklingError("the pickle copies more than it holds")

    # ---- objects

    def named(self, module: str, name: str) -> Any:
        if len(module) > _LONGEST_NAME or len(name) > _LONGEST_NAME:
            raise UnpicklingError("a name in the pickle is too long")
        if module in _OLD_MODULES:
            module, name = _OLD_MODULES[module], _OLD_NAMES.get(name, name)
        found = self.find(module, name)
        self.names[id(found.value)] = found
        self.kept.append(found)
        return found.value

    def name_of(self, value: Any, use: str) -> Name:
        found = self.names.get(id(value))
        if found is None or found.value is not value:
            raise UnpicklingError(f"the pickle {use} {type(value).__name__}, which it did not name")
        return found

    def called(self, function: Any, args: Any) -> Any:
        """REDUCE."""
        name = self.name_of(function, "calls")
        if name.call is None:
            raise UnpicklingError(f"the pickle calls {described(function)}, which is not allowed")
        if type(args) is not tuple:
            raise UnpicklingError("the pickle calls with arguments that are no tuple")
        return self.remember(name, name.call(self, *args))

    def instantiated(self, cls: Any, args: Any, options: dict[Any, Any] | None = None) -> Any:
        """NEWOBJ and its like."""
        name = self.name_of(cls, "instantiates")
        make = name.new or name.call
        if make is None:
            raise UnpicklingError(f"the pickle instantiates {described(cls)}: not allowed")
        if type(args) is not tuple:
            raise UnpicklingError("the pickle instantiates with arguments that are no tuple")
        if options:
            if type(options) is not dict or not all(type(key) is str for key in options):
                raise UnpicklingError("the pickle instantiates with options that are no dict")
            return self.remember(name, make(self, *args, **options))
        return self.remember(name, make(self, *args))

    def remember(self, name: Name, made: Any) -> Any:
        if name.state is not None:
            self.made[id(made)] = (made, name.state)
        return made

    def build(self) -> None:
        """BUILD: a state for the object below it."""
        state = self.pop()
        target = self.top()
        made = self.made.get(id(target))
        if made is None or made[0] is not target:
            raise Unchangeable(
                f"the pickle changes {described(target)}, which it did not make or may not change"
            )
        made[1](target, state)

    def hashable(self, key: Any) -> Any:
        """A key of a dict or element of a set, once it is known to hash quickly."""
        if type(key) is tuple:
            left, nodes = _LARGEST_KEY, [key]
            while nodes:
                for item in nodes.pop():
                    left -= 1
                    if left < 0:
                        raise UnpicklingError("a key in the pickle is too large a tuple")
                    if isinstance(item, tuple):
                        nodes.append(item)
        return key

    def set_items(self, target: Any, items: list[Any]) -> None:
        if type(target) not in (dict, OrderedDict, defaultdict, Counter):
            raise UnpicklingError(f"the pickle sets items of {described(target)}")
        if len(items) % 2:
            raise UnpicklingError("the pickle sets a key without a value")
        for index in range(0, len(items), 2):
            target[self.hashable(items[index])] = items[index + 1]

    def append_all(self, target: Any, items: list[Any]) -> None:
        if type(target) not in (list, deque):
            raise UnpicklingError(f"the pickle appends to {described(target)}")
        target.extend(items)

    def text(self, count: int) -> str:
        return str(self.read(count), "utf-8", "surrogatepass")

    def old_string(self, data: bytes) -> Any:
        return data if self.encoding == "bytes" else data.decode(self.encoding, self.errors)

    # ---- the loop

    def load(self) -> Any:
        """The object that the pickle describes; UnpicklingError for one that is not allowed."""
        data, operations, stack = self.data, OPERATIONS, self.stack
        end = len(data)
        while True:
            position = self.position
            if position >= end:
                raise UnpicklingError("pickle data was truncated")
            code = data[position]
            self.position = position + 1
            if code == 0x2E:  # STOP
                if len(stack) != 1 or stack[0] is _MARK:
                    raise UnpicklingError("the pickle ends with other than one object")
                return stack[0]
            operation = operations[code]
            if operation is None:
                raise UnpicklingError(f"the pickle has the opcode {bytes([code])!r}: not allowed")
            operation(self)


def described(value: Any) -> str:
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else f"an object of {type(value).__name__}"


# ---- opcodes


_U1, _U2, _I4, _U4, _U8 = (struct.Struct(form) for form in ("<B", "<H", "<i", "<I", "<Q"))
_DOUBLE = struct.Struct(">d")


def _constant(value: Any) -> Callable[[PickleReader], None]:
    return lambda reader: reader.stack.append(value)


def _whole(form: struct.Struct) -> Callable[[PickleReader], None]:
    return lambda reader: reader.stack.append(reader.number(form))


def _counted(form: struct.Struct, make: Callable[[PickleReader, int], Any]) -> Any:
    return lambda reader: reader.stack.append(make(reader, reader.number(form)))


def _long(reader: PickleReader, count: int) -> int:
    return int.from_bytes(reader.read(count), "little", signed=True)


def _bytes(reader: PickleReader, count: int) -> bytes:
    return bytes(reader.read(count))


def _text(reader: PickleReader, count: int) -> str:
    return reader.text(count)


def _old(reader: PickleReader, count: int) -> Any:
    return reader.old_string(bytes(reader.read(count)))


def _bytearray(reader: PickleReader, count: int) -> bytearray:
    return bytearray(reader.read(count))


def _written(reader: PickleReader) -> None:
    """INT and LONG: a number in text; INT also writes 00 and 01 for booleans."""
    line = reader.line()
    if line in ("00", "01"):
        reader.stack.append(line == "01")
        return
    line = line[:-1] if line.endswith("L") else line
    if len(line) > _LONGEST_NUMBER:
        raise UnpicklingError("a number in the pickle is too long")
    reader.stack.append(int(line))


def _quoted(reader: PickleReader) -> None:
    """STRING: a line in quotes, without escapes (no tensor's file has any)."""
    line = reader.line()
    if len(line) < 2 or line[0] != line[-1] or line[0] not in "'\"" or "\\" in line:
        raise UnpicklingError("a string in the pickle is not quoted")
    reader.stack.append(reader.old_string(line[1:-1].encode()))


def _unicode_line(reader: PickleReader) -> None:
    line = reader.line()
    if "\\" in line:
        line = line.encode("latin-1").decode("raw-unicode-escape")
    reader.stack.append(line)


def _global(reader: PickleReader) -> None:
    module = reader.line()
    reader.stack.append(reader.named(module, reader.line()))


def _stack_global(reader: PickleReader) -> None:
    name, module = reader.pop(), reader.pop()
    if type(name) is not str or type(module) is not str:
        raise UnpicklingError("the pickle names something by other than two strings")
    reader.stack.append(reader.named(module, name))


def _reduce(reader: PickleReader) -> None:
    args = reader.pop()
    reader.stack.append(reader.called(reader.pop(), args))


def _newobj(reader: PickleReader) -> None:
    args = reader.pop()
    reader.stack.append(reader.instantiated(reader.pop(), args))


def _newobj_ex(reader: PickleReader) -> None:
    options, args = reader.pop(), reader.pop()
    reader.stack.append(reader.instantiated(reader.pop(), args, options))


def _obj(reader: PickleReader) -> None:
    items = reader.since_mark()
    if not items:
        raise UnpicklingError("the pickle makes an object without a class")
    reader.stack.append(reader.instantiated(items[0], tuple(items[1:])))


def _inst(reader: PickleReader) -> None:
    module, name = reader.line(), reader.line()
    args = tuple(reader.since_mark())
    reader.stack.append(reader.instantiated(reader.named(module, name), args))


def _appends(reader: PickleReader) -> None:
    items = reader.since_mark()
    reader.append_all(reader.top(), items)


def _append(reader: PickleReader) -> None:
    item = reader.pop()
    reader.append_all(reader.top(), [item])


def _setitem(reader: PickleReader) -> None:
    value, key = reader.pop(), reader.pop()
    reader.set_items(reader.top(), [key, value])


def _setitems(reader: PickleReader) -> None:
    items = reader.since_mark()
    reader.set_items(reader.top(), items)


def _additems(reader: PickleReader) -> None:
    items = reader.since_mark()
    target = reader.top()
    if type(target) is not set:
        raise UnpicklingError(f"the pickle adds elements to {described(target)}")
    target.update(map(reader.hashable, items))


def _dict(reader: PickleReader) -> None:
    items = reader.since_mark()
    made: dict[Any, Any] = {}
    reader.set_items(made, items)
    reader.stack.append(made)


def _tuple_of(count: int) -> Callable[[PickleReader], None]:
    def operation(reader: PickleReader) -> None:
        items = [reader.pop() for _ in range(count)]
        reader.stack.append(tuple(reversed(items)))

    return operation


def _frozenset(reader: PickleReader) -> None:
    reader.stack.append(frozenset(map(reader.hashable, reader.since_mark())))


def _pop(reader: PickleReader) -> None:
    if not reader.stack:
        raise UnpicklingError("the pickle takes more than there is")
    reader.stack.pop()


def _put(index_of: Callable[[PickleReader], int]) -> Callable[[PickleReader], None]:
    def operation(reader: PickleReader) -> None:
        reader.memo[index_of(reader)] = reader.top()

    return operation


def _get(index_of: Callable[[PickleReader], int]) -> Callable[[PickleReader], None]:
    def operation(reader: PickleReader) -> None:
        index = index_of(reader)
        if index not in reader.memo:
            raise UnpicklingError(f"the pickle remembers nothing under {index}")
        reader.stack.append(reader.memo[index])

    return operation


def _line_index(reader: PickleReader) -> int:
    line = reader.line()
    if len(line) > 20:
        raise UnpicklingError("a memo number in the pickle is too long")
    return int(line)


def _memoize(reader: PickleReader) -> None:
    reader.memo[len(reader.memo)] = reader.top()


def _binpersid(reader: PickleReader) -> None:
    reader.stack.append(reader.persistent(reader.pop()))


def _frame(reader: PickleReader) -> None:
    if reader.number(_U8) > len(reader.data) - reader.position:
        raise UnpicklingError("pickle data was truncated")


def _proto(reader: PickleReader) -> None:
    version = reader.number(_U1)
    if version > 5:
        raise UnpicklingError(f"unsupported pickle protocol: {version}")


# NEXT_BUFFER, READONLY_BUFFER and the EXT opcodes are left out: no tensor's file needs them.
_BY_CODE: dict[bytes, Callable[[PickleReader], None]] = {
    b"\x80": _proto, b"\x95": _frame, b"N": _constant(None), b"\x88": _constant(True),
    b"\x89": _constant(False), b"(": _constant(_MARK), b"I": _written, b"L": _written,
    b"J": _whole(_I4), b"K": _whole(_U1), b"M": _whole(_U2), b"\x8a": _counted(_U1, _long),
    b"\x8b": _counted(_U4, _long), b"F": lambda r: r.stack.append(float(r.line())),
    b"G": lambda r: r.stack.append(_DOUBLE.unpack(r.read(8))[0]),
    b"S": _quoted, b"T": _counted(_I4, _old), b"U": _counted(_U1, _old), b"V": _unicode_line,
    b"X": _counted(_U4, _text), b"\x8c": _counted(_U1, _text), b"\x8d": _counted(_U8, _text),
    b"B": _counted(_U4, _bytes), b"C": _counted(_U1, _bytes), b"\x8e": _counted(_U8, _bytes),
    b"\x96": _counted(_U8, _bytearray), b")": _constant(()), b"t": lambda r: r.stack.append(
        tuple(r.since_mark())), b"\x85": _tuple_of(1), b"\x86": _tuple_of(2), b"\x87": _tuple_of(3),
    b"]": lambda r: r.stack.append([]), b"l": lambda r: r.stack.append(r.since_mark()),
    b"}": lambda r: r.stack.append({}), b"d": _dict, b"\x8f": lambda r: r.stack.append(set()),
    b"\x91": _frozenset, b"a": _append, b"e": _appends, b"s": _setitem, b"u": _setitems,
    b"\x90": _additems, b"0": _pop, b"1": lambda r: (r.since_mark(), None)[1],
    b"2": lambda r: r.stack.append(r.top()), b"p": _put(_line_index),
    b"q": _put(lambda r: r.number(_U1)), b"r": _put(lambda r: r.number(_U4)), b"\x94": _memoize,
    b"g": _get(_line_index), b"h": _get(lambda r: r.number(_U1)),
    b"j": _get(lambda r: r.number(_U4)), b"c": _global, b"\x93": _stack_global, b"R": _reduce,
    b"b": PickleReader.build, b"i": _inst, b"o": _obj, b"\x81": _newobj, b"\x92": _newobj_ex,
    b"Q": _binpersid, b"P": lambda r: r.stack.append(r.persistent(r.line())),
}  # fmt: skip
OPERATIONS = [_BY_CODE.get(bytes([code])) for code in range(256)]
