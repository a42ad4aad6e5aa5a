"""Calls of the C library's functions, one lane after another."""

from __future__ import annotations

from diptych.compiler.llvm.writer import Function, Value, element_of, lanes_of

# Our name -> (C's name for double, arguments). The float form has an f at the end.
FUNCTIONS = {
    **{
        name: (name, 1)
        for name in (
            "exp exp2 expm1 log log2 log10 log1p cbrt sin cos tan asin acos atan sinh cosh tanh "
            "asinh acosh atanh erf erfc"
        ).split()
    },
    "pow": ("pow", 2), "atan2": ("atan2", 2), "hypot": ("hypot", 2),
}  # fmt: skip


def per_lane(w: Function, op: str, args: list[Value]) -> Value:
    """Call libm's function on every lane."""
    type_ = args[0].type
    name = FUNCTIONS[op][0] + ("f" if element_of(type_) == "float" else "")
    lanes = lanes_of(type_)
    if lanes == 1:
        return w.call(name, type_, args)
    made = Value("poison", type_)
    for lane in range(lanes):
        item = w.call(name, element_of(type_), [w.extract(a, lane) for a in args])
        made = w.insert(made, item, lane)
    return made
