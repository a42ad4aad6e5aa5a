"""Matrix products and what is made of them: matmul, addmm, einsum, tensordot, outer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.core import dtypes as engine
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import arithmetic, contraction, movement, reduction
from diptych.torch import outputs, promotion
from diptych.torch.dtypes import scalar_name
from diptych.torch.gradient_nodes import label
from diptych.torch.tensor import Tensor, axis_of, face


def _words(x: CoreTensor) -> str:
    return "x".join(map(str, x.layout.shape))


def _same_dtype(a: CoreTensor, b: CoreTensor, function: str) -> None:
    if a.layout.dtype is not b.layout.dtype:
        first, second = scalar_name(a.layout.dtype), scalar_name(b.layout.dtype)
        if function == "dot":
            raise RuntimeError(
                f"dot : expected both vectors to have same dtype, but found {first} and {second}"
            )
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_c_name(a)} != {_c_name(b)}"
        )


_C_NAMES = {
    "float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
    "int64": "int64_t", "int32": "int", "int16": "int16_t", "int8": "signed char",
    "uint8": "unsigned char", "bool": "bool", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}  # fmt: skip


def _c_name(x: CoreTensor) -> str:
    return _C_NAMES.get(x.layout.dtype.name, x.layout.dtype.name)


def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """The matrix product; vectors are rows on the left, columns on the right; batches broadcast."""
    a = input if input.__class__ is Tensor else face(input, "matmul")
    if not isinstance(other, CoreTensor):
        face(other, "matmul", "other", 2)
    left, right = a.layout, other.layout
    if left.ndim == 2 and right.ndim == 2:
        if left.dtype is right.dtype and left.shape[1] == right.shape[0]:
            result = contraction.dot(a, other)
            return result if out is None else outputs.write(out, result, "matmul")
        return mm(a, other, out=out)
    if left.ndim == 0 or right.ndim == 0:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{left.ndim}D and {right.ndim}D"
        )
    vectors = left.ndim == 1 and right.ndim == 1
    _same_dtype(a, other, "dot" if vectors else "mm")
    if vectors and left.shape != right.shape:
        _unequal(a, other)
    inner = right.shape[-2] if right.ndim > 1 else right.shape[0]
    if left.shape[-1] != inner:
        _refuse_shapes(a, other)
    result = contraction.matmul(a, other)
    name = "DotBackward0" if vectors else "MvBackward0" if right.ndim == 1 else "BmmBackward0"
    if left.ndim == 3 and right.ndim == 2:
        name = "UnsafeViewBackward0"
    return outputs.finish(label(result, name), out, "matmul")


def reflected_matmul(self: Any, other: Any) -> Any:
    """other @ self."""
    return matmul(face(other, "matmul"), self)


def _refuse_shapes(a: CoreTensor, b: CoreTensor) -> None:
    if b.layout.ndim == 1 and a.layout.ndim <= 2:
        raise RuntimeError(f"size mismatch, got input ({a.layout.shape[0]}), mat ({_words(a)}), "
                           f"vec ({b.layout.shape[0]})")  # fmt: skip
    if a.layout.ndim > 2 and b.layout.ndim > 2:
        rows = 1
        for extent in a.layout.shape[:-2]:
            rows *= extent
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{rows}, "
            f"{a.layout.shape[-1]}] but got: [{rows}, {b.layout.shape[-2]}]."
        )
    rows = a.layout.size // max(a.layout.shape[-1], 1)
    words = f"{rows}x{a.layout.shape[-1]}"
    raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({words} and {_words(b)})")


def _unequal(a: CoreTensor, b: CoreTensor) -> None:
    first, second = list(a.layout.shape), list(b.layout.shape)
    raise RuntimeError(
        f"inconsistent tensor size, expected tensor {first} and src {second} to have the same "
        f"number of elements, but got {first[0]} and {second[0]} elements respectively"
    )


def mm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """The product of two matrices."""
    a, b = face(input, "mm"), face(mat2, "mm", "mat2", 2)
    if a.layout.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if b.layout.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    if a.layout.shape[1] != b.layout.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({_words(a)} and {_words(b)})"
        )
    _same_dtype(a, b, "mm")
    return outputs.finish(label(contraction.dot(a, b), "MmBackward0"), out, "mm")


def bmm(input: Any, mat2: Any, *, out: Any = None, out_dtype: Any = None) -> Any:
    """The products of two batches of matrices."""
    a, b = face(input, "bmm"), face(mat2, "bmm", "mat2", 2)
    if a.layout.ndim != 3 or b.layout.ndim != 3:
        name = "batch1" if a.layout.ndim != 3 else "batch2"
        raise RuntimeError(f"{name} must be a 3D tensor")
    first, second = a.layout.shape, b.layout.shape
    if first[0] != second[0] or first[2] != second[1]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{first[0]}, {first[2]}] but got: [{second[0]}, {second[1]}]."
        )
    _same_dtype(a, b, "bmm")
    return outputs.finish(label(contraction.dot(a, b), "BmmBackward0"), out, "bmm")


def mv(input: Any, vec: Any, *, out: Any = None) -> Any:
    """A matrix times a vector."""
    a, b = face(input, "mv"), face(vec, "mv", "vec", 2)
    if a.layout.ndim != 2 or b.layout.ndim != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got 1, {a.layout.ndim}, {b.layout.ndim}"
        )
    return matmul(a, b, out=out)


def dot(input: Any, tensor: Any, *, out: Any = None) -> Any:
    """The sum of products of two vectors."""
    a, b = face(input, "dot"), face(tensor, "dot", "tensor", 2)
    if a.layout.ndim != 1 or b.layout.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {a.layout.ndim}D and {b.layout.ndim}D tensors"
        )
    return matmul(a, b, out=out)


def vdot(input: Any, other: Any, *, out: Any = None) -> Any:
    """The sum of products of two vectors, the first conjugated."""
    return dot(arithmetic.conj(face(input, "vdot")), other, out=out)


def inner(input: Any, other: Any, *, out: Any = None) -> Any:
    """Sums of products over the last axes."""
    a, b = face(input, "inner"), face(other, "inner", "other", 2)
    if not a.layout.ndim or not b.layout.ndim:
        return outputs.finish(a * b, out, "inner")  # type: ignore[operator]
    if a.layout.shape[-1] != b.layout.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(a.layout.shape)} and {list(b.layout.shape)}"
        )
    return tensordot(a, b, ([-1], [-1]), out=out)


def outer(input: Any, vec2: Any, *, out: Any = None) -> Any:
    """All products of two vectors' elements."""
    a, b = face(input, "outer"), face(vec2, "outer", "vec2", 2)
    for number, x in ((1, a), (2, b)):
        if x.layout.ndim != 1:
            name = "self" if number == 1 else "vec2"
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x.layout.ndim}-D")
    column = movement.reshape(a, (a.layout.shape[0], 1))
    dtype = promotion.of_layouts(a.layout, b.layout)
    return outputs.finish(arithmetic.mul(column, b, dtype), out, "outer")


def _combined(base: Any, product: Any, beta: Any, alpha: Any, out: Any, name: str) -> Any:
    """beta * base + alpha * product, as the addmm family has it."""
    x = face(base, name)
    if x.layout.dtype is not product.layout.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {scalar_name(x.layout.dtype)} and "
            f"{scalar_name(product.layout.dtype)}"
        )
    if alpha != 1:
        product = arithmetic.mul(product, alpha)
    if beta == 0:
        result = product
    else:
        scaled = x if beta == 1 else arithmetic.mul(x, beta)
        result = arithmetic.add(product, scaled)
        if result.layout.shape != product.layout.shape:
            raise RuntimeError(
                f"The expanded size of the tensor ({product.layout.shape[-1]}) must match the "
                f"existing size ({x.layout.shape[-1]}): {name} got shapes {list(x.layout.shape)} "
                f"and {list(product.layout.shape)}"
            )
    return outputs.finish(label(result, f"{name.capitalize()}Backward0"), out, name)


def addmm(
    input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None
) -> Any:
    """beta * input + alpha * (mat1 @ mat2)."""
    return _combined(input, mm(mat1, mat2), beta, alpha, out, "addmm")


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """beta * input + alpha * (mat @ vec)."""
    return _combined(input, mv(mat, vec), beta, alpha, out, "addmv")


def addr(
    input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None
) -> Any:
    """beta * input + alpha * outer(vec1, vec2)."""
    return _combined(input, outer(vec1, vec2), beta, alpha, out, "addr")


def baddbmm(
    input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None
) -> Any:
    """beta * input + alpha * bmm(batch1, batch2)."""
    return _combined(input, bmm(batch1, batch2), beta, alpha, out, "baddbmm")


def addbmm(
    input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None
) -> Any:
    """beta * input + alpha * the sum over the batch of bmm(batch1, batch2)."""
    total = reduction.sum_(bmm(batch1, batch2), (0,))
    return _combined(input, total, beta, alpha, out, "addbmm")


def chain_matmul(*matrices: Any, out: Any = None) -> Any:
    """The product of matrices, from the left."""
    result = face(matrices[0], "chain_matmul")
    for matrix in matrices[1:]:
        result = mm(result, matrix)
    return outputs.finish(result, out, "chain_matmul")


def tensordot(a: Any, b: Any, dims: Any = 2, out: Any = None) -> Any:
    """Sums of products over some axes of each."""
    x, y = face(a, "tensordot", "a"), face(b, "tensordot", "b", 2)
    if isinstance(dims, CoreTensor):
        dims = dims.array().tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(x.layout.ndim, y.layout.ndim):
            raise RuntimeError(
                f"tensordot: {dims} dims of tensors of {x.layout.ndim} and {y.layout.ndim}"
            )
        dims = (list(range(x.layout.ndim - dims, x.layout.ndim)), list(range(dims)))
    first, second = ([axes] if isinstance(axes, int) else list(axes) for axes in dims)
    first = [axis_of(d, x.layout.ndim) for d in first]
    second = [axis_of(d, y.layout.ndim) for d in second]
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    for one, two in zip(first, second, strict=True):
        have, want = x.layout.shape[one], y.layout.shape[two]
        if have == 1 and want != 1:  # broadcast: the other's elements are added up
            y = face(movement.sum_to(y, _with(y.layout.shape, two, 1)), "tensordot")
        elif want == 1 and have != 1:
            x = face(movement.sum_to(x, _with(x.layout.shape, one, 1)), "tensordot")
        elif have != want:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {x.layout.shape[one]} in "
                f"dim {one} and second has size {y.layout.shape[two]} in dim {two}"
            )
    _same_dtype(x, y, "mm")
    left = [k for k in range(x.layout.ndim) if k not in first]
    right = [k for k in range(y.layout.ndim) if k not in second]
    rows = [x.layout.shape[k] for k in left]
    columns = [y.layout.shape[k] for k in right]
    inner_size = 1
    for k in first:
        inner_size *= x.layout.shape[k]
    flat_x = movement.reshape(movement.transpose(x, (*left, *first)), (_product(rows), inner_size))
    flat_y = movement.reshape(
        movement.transpose(y, (*second, *right)), (inner_size, _product(columns))
    )
    product = contraction.dot(flat_x, flat_y)
    return outputs.finish(movement.reshape(product, (*rows, *columns)), out, "tensordot")


def _with(shape: tuple[int, ...], axis: int, extent: int) -> tuple[int, ...]:
    return (*shape[:axis], extent, *shape[axis + 1 :])


def _product(extents: Sequence[int]) -> int:
    size = 1
    for extent in extents:
        size *= extent
    return size


# ---- einsum


def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products named by letters: ``einsum("ij,jk->ik", a, b)``."""
    if not isinstance(equation, str):
        raise NotImplementedError(
            "torch.einsum with index lists in place of an equation is not implemented in diptych"
        )
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    tensors = [face(x, "einsum", "operands") for x in operands]
    terms, result, sizes = _letters(equation, tensors)
    left, have = _alone(tensors[0], terms[0])
    last_used = [*terms[1:], result]
    for position, (x, term) in enumerate(zip(tensors[1:], terms[1:], strict=True)):
        right, letters = _alone(x, term)
        later = set("".join(last_used[position + 1 :]))
        left, have = _contract(left, have, right, letters, later, sizes)
    summed = tuple(k for k, letter in enumerate(have) if letter not in result)
    if summed:
        left = reduction.sum_(left, summed)
        have = "".join(letter for letter in have if letter in result)
    order = tuple(have.index(letter) for letter in result)
    return left if order == tuple(range(len(order))) else movement.transpose(left, order)


def _letters(equation: str, tensors: list[Tensor]) -> tuple[list[str], str, dict[str, int]]:
    """The letters of every operand and of the result (an ellipsis spelled out), and extents."""
    text = equation.replace(" ", "")
    inputs, arrow, wanted = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(tensors):
        words = "fewer" if len(terms) > len(tensors) else "more"
        raise RuntimeError(
            f"einsum(): {words} operands were provided than specified in the equation"
        )
    widest = 0
    for term, x in zip(terms, tensors, strict=True):
        if "..." in term:
            widest = max(widest, x.layout.ndim - len(term.replace("...", "")))
    dots = "".join(chr(0x100 + k) for k in range(widest))
    sizes: dict[str, int] = {}
    full = []
    for number, (term, x) in enumerate(zip(terms, tensors, strict=True)):
        count = x.layout.ndim - len(term.replace("...", ""))
        if count < 0 or (count and "..." not in term):
            raise RuntimeError(
                "einsum(): the number of subscripts in the equation "
                f"({len(term.replace('...', ''))}) does not match the number of dimensions "
                f"({x.layout.ndim}) for operand {number} and no ellipsis was given"
            )
        spelled = term.replace("...", dots[widest - count :] if "..." in term else "")
        for letter, extent in zip(spelled, x.layout.shape, strict=True):
            seen = sizes.get(letter, 1)
            if seen != 1 and extent not in (1, seen):
                raise RuntimeError(
                    f"einsum(): subscript {letter} has size {extent} for operand {number} which "
                    f"does not broadcast with previously seen size {seen}"
                )
            sizes[letter] = max(seen, extent) if extent else 0
        full.append(spelled)
    if arrow:
        result = wanted.replace("...", dots)
    else:
        letters = "".join(inputs.replace("...", "").split(","))
        result = dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    for letter in result:
        if letter not in sizes:
            raise RuntimeError(
                f"einsum(): output subscript {letter} does not appear in the equation for any "
                "input operand"
            )
        if result.count(letter) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {letter} appears more than once in the output"
            )
    return full, result, sizes


def _alone(x: Tensor, term: str) -> tuple[Any, str]:
    """One operand with repeated letters taken along their diagonal."""
    value: Any = x
    for letter in sorted(set(term)):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            value = movement.diagonal(value, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return value, term


def _contract(
    a: Any, first: str, b: Any, second: str, later: set[str], sizes: dict[str, int]
) -> tuple[Any, str]:
    """Two operands into one: shared letters that nothing needs later are summed."""
    for letter in [c for c in first if c not in second and c not in later]:
        a, first = reduction.sum_(a, (first.index(letter),)), first.replace(letter, "")
    for letter in [c for c in second if c not in first and c not in later]:
        b, second = reduction.sum_(b, (second.index(letter),)), second.replace(letter, "")
    shared = [c for c in first if c in second]
    batch = [c for c in shared if c in later]
    summed = [c for c in shared if c not in later]
    left = [c for c in first if c not in shared]
    right = [c for c in second if c not in shared]
    for name, letters in ((first, 0), (second, 1)):
        x = b if letters else a
        for c in shared:
            axis = name.index(c)
            if x.layout.shape[axis] != sizes[c]:
                shape = list(x.layout.shape)
                shape[axis] = sizes[c]
                x = movement.broadcast_to(x, tuple(shape))
        a, b = (a, x) if letters else (x, b)
    order_a = tuple(first.index(c) for c in (*batch, *left, *summed))
    order_b = tuple(second.index(c) for c in (*batch, *summed, *right))
    extents = {c: sizes[c] for c in (*batch, *summed)}
    extents |= {c: a.layout.shape[first.index(c)] for c in left}
    extents |= {c: b.layout.shape[second.index(c)] for c in right}

    def size(letters: list[str]) -> int:
        return _product([extents[c] for c in letters])

    head = tuple(extents[c] for c in batch)
    flat_a = movement.reshape(movement.transpose(a, order_a), (*head, size(left), size(summed)))
    flat_b = movement.reshape(movement.transpose(b, order_b), (*head, size(summed), size(right)))
    product = contraction.dot(flat_a, flat_b)
    letters_out = "".join((*batch, *left, *right))
    return movement.reshape(product, tuple(extents[c] for c in letters_out)), letters_out


# ---- matrices from vectors, and parts of matrices


def kron(input: Any, other: Any, *, out: Any = None) -> Any:
    """The Kronecker product."""
    a, b = face(input, "kron"), face(other, "kron", "other", 2)
    ndim = max(a.layout.ndim, b.layout.ndim)
    first = (1,) * (ndim - a.layout.ndim) + a.layout.shape
    second = (1,) * (ndim - b.layout.ndim) + b.layout.shape
    grown_a = movement.reshape(a, tuple(n for extent in first for n in (extent, 1)))
    grown_b = movement.reshape(b, tuple(n for extent in second for n in (1, extent)))
    dtype = promotion.of_layouts(a.layout, b.layout)
    product = arithmetic.mul(grown_a, grown_b, dtype)
    shape = tuple(m * n for m, n in zip(first, second, strict=True))
    return outputs.finish(movement.reshape(product, shape), out, "kron")


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    x = face(input, "trace")
    if x.layout.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.layout.ndim}")
    core = x.layout.dtype
    core = core if core.is_inexact else engine.int64
    return label(reduction.sum_(movement.diagonal(x), None, core), "TraceBackward0")


def cross(input: Any, other: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """The cross product of vectors of three along an axis."""
    a, b = face(input, "cross"), face(other, "cross", "other", 2)
    if dim is None:
        dim = next((k for k, n in enumerate(a.layout.shape) if n == 3), -1)
    axis = axis_of(dim, a.layout.ndim)
    if a.layout.shape[axis] != 3 or b.layout.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got "
            f"{a.layout.shape[axis]} and {b.layout.shape[axis]}"
        )
    dtype = promotion.of_layouts(a.layout, b.layout)

    def part(x: Any, k: int) -> Any:
        return movement.narrow(x, axis, k % 3, 1)

    rows = []
    for k in range(3):
        plus = arithmetic.mul(part(a, k + 1), part(b, k + 2), dtype)
        minus = arithmetic.mul(part(a, k + 2), part(b, k + 1), dtype)
        rows.append(arithmetic.sub(plus, minus))
    return outputs.finish(movement.concatenate(rows, axis), out, "cross")


_BOTH = (
    matmul, mm, bmm, mv, dot, vdot, inner, outer, addmm, addmv, addr, baddbmm, addbmm, kron, trace,
    cross,
)  # fmt: skip
METHODS: dict[str, Any] = {f.__name__: f for f in _BOTH}
METHODS["ger"] = outer
FUNCTIONS: dict[str, Any] = {
    **METHODS, "chain_matmul": chain_matmul, "tensordot": tensordot, "einsum": einsum,
}  # fmt: skip
REPLACED_IN_PLACE = ("addmm", "addmv", "addr", "baddbmm", "addbmm")


def at(self: Any, other: Any) -> Any:
    """x @ y."""
    if not isinstance(other, CoreTensor):
        return NotImplemented
    return matmul(self, other)


METHODS["__matmul__"] = at
