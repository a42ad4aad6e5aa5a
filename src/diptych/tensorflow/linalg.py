"""``tf.linalg``: products of matrices and what is made of them."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.errors import DiptychError, ShapeError
from diptych.ops import arithmetic, contraction, movement
from diptych.ops.select import cast, where
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import reductions
from diptych.tensorflow.arrays import axis_of, eye
from diptych.tensorflow.conversion import (
    from_numpy,
    integer,
    integers,
    python_scalar,
    tensor_as,
    tensor_of,
)
from diptych.tensorflow.decompositions import (
    cholesky,
    det,
    eigh,
    eigvalsh,
    expm,
    inv,
    logdet,
    pinv,
    qr,
    slogdet,
    solve,
    svd,
    triangular_solve,
)
from diptych.tensorflow.errors import dims, invalid, translated
from diptych.tensorflow.missing import attributes
from diptych.tensorflow.tensor import EagerTensor

__all__ = [
    "adjoint", "band_part", "cholesky", "det", "diag", "diag_part", "eigh", "eigvalsh", "einsum",
    "expm", "eye", "global_norm", "inv", "logdet", "matmul", "matrix_transpose", "matvec",
    "norm", "pinv", "qr", "set_diag", "slogdet", "solve", "svd", "tensordot", "trace",
    "triangular_solve",
]  # fmt: skip

PRODUCTS = (
    *table.FLOATS, dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.uint16, dtypes.uint32,
    dtypes.uint64, *table.COMPLEX,
)  # fmt: skip


def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, adjoint_a: bool = False,
    adjoint_b: bool = False, a_is_sparse: bool = False, b_is_sparse: bool = False,
    output_type: Any = None, grad_a: bool = False, grad_b: bool = False, name: Any = None,
) -> Any:  # fmt: skip
    """The product of matrices, or of batches of them, each transposed first if asked."""
    for letter, transposed, adjoined in (
        ("a", transpose_a, adjoint_a),
        ("b", transpose_b, adjoint_b),
    ):
        if transposed and adjoined:
            raise ValueError(
                f"Only one of `transpose_{letter}` and `adjoint_{letter}` can be True. Received "
                f"`transpose_{letter}`={transposed}, `adjoint_{letter}`={adjoined}."
            )
    if output_type is not None:
        raise NotImplementedError("tf.matmul with output_type is not there yet")
    if type(a) is not EagerTensor or type(b) is not EagerTensor:
        a, b = table.operands(a, b)
    dtype = a.layout.dtype
    if dtype is not b.layout.dtype or dtype not in PRODUCTS:
        if dtype is not b.layout.dtype:
            raise table.mismatch("MatMul", 1, dtype, b.layout.dtype, name)
        raise table.not_allowed("MatMul", dtype, PRODUCTS, name)
    if a.layout.ndim < 2 or b.layout.ndim < 2:
        position = 0 if a.layout.ndim < 2 else 1
        raise invalid("MatMul", f"In[{position}] ndims must be >= 2", name)
    first, second = a, b
    if transpose_a or adjoint_a:
        a = turned(a, adjoint_a)
    if transpose_b or adjoint_b:
        b = turned(b, adjoint_b)
    try:
        return contraction.matmul(a, b)
    except DiptychError as error:
        raise _unfit(first, second, a, b, error, name) from error


def turned(x: Any, conjugated: bool) -> Any:
    """The last two axes swapped, conjugated if asked."""
    ndim = x.layout.ndim
    x = movement.swap_axes(x, ndim - 2, ndim - 1)
    return arithmetic.conj(x) if conjugated and x.layout.dtype.is_complex else x


def _unfit(first: Any, second: Any, a: Any, b: Any, error: DiptychError, name: Any) -> Exception:
    """Why two operands have no product."""
    if not isinstance(error, ShapeError):
        return translated(error, "MatMul", name)
    pair = f"{dims(first.layout.shape)}, In[1]: {dims(second.layout.shape)}"
    if a.layout.shape[-1] != b.layout.shape[-2]:
        return invalid("MatMul", f"Matrix size-incompatible: In[0]: {pair}", name)
    shapes = f"{dims(first.layout.shape)} vs. {dims(second.layout.shape)}"
    return invalid(
        "BatchMatMulV2", f"In[0] and In[1] must have compatible batch dimensions: {shapes}", name
    )


def matvec(
    a: Any, b: Any, transpose_a: bool = False, adjoint_a: bool = False, a_is_sparse: bool = False,
    b_is_sparse: bool = False, name: Any = None,
) -> Any:  # fmt: skip
    """The product of a matrix and a vector, or of batches of them."""
    a, b = table.operands(a, b)
    column = movement.reshape(b, (*b.layout.shape, 1))
    product = matmul(a, column, transpose_a=transpose_a, adjoint_a=adjoint_a)
    return movement.reshape(product, product.layout.shape[:-1])


def tensordot(a: Any, b: Any, axes: Any, name: Any = None) -> Any:
    """Sums of products over axes of both operands: the last of one with the first of the other."""
    a, b = table.operands(a, b)
    left, right = _contracted(a, b, axes)
    keep_a = [k for k in builtins.range(a.layout.ndim) if k not in left]
    keep_b = [k for k in builtins.range(b.layout.ndim) if k not in right]
    shape_a = [a.layout.shape[k] for k in keep_a]
    shape_b = [b.layout.shape[k] for k in keep_b]
    count = int(np.prod([a.layout.shape[k] for k in left], dtype=np.int64))
    other = int(np.prod([b.layout.shape[k] for k in right], dtype=np.int64))
    if count != other:
        raise invalid(
            "MatMul",
            f"Matrix size-incompatible: In[0]: [{int(np.prod(shape_a))},{count}], In[1]: "
            f"[{other},{int(np.prod(shape_b))}]",
        )
    rows, columns = int(np.prod(shape_a, dtype=np.int64)), int(np.prod(shape_b, dtype=np.int64))
    flat_a = movement.reshape(movement.transpose(a, (*keep_a, *left)), (rows, count))
    flat_b = movement.reshape(movement.transpose(b, (*right, *keep_b)), (count, columns))
    return movement.reshape(matmul(flat_a, flat_b), (*shape_a, *shape_b))


def _contracted(a: Any, b: Any, axes: Any) -> tuple[list[int], list[int]]:
    """The axes that a tensordot sums over, of either operand, counted from the front."""
    if isinstance(axes, int):
        count = axes
        if not 0 <= count <= min(a.layout.ndim, b.layout.ndim):
            raise ValueError(
                f"`axes` must not be larger than the number of dimensions of tensor {a}.  "
                f"Received {axes}, vs tensor dimensions {a.layout.ndim}."
            )
        ndim = a.layout.ndim
        return list(builtins.range(ndim - count, ndim)), list(builtins.range(count))
    if len(axes) != 2:
        raise ValueError(f"`axes` must be an integer or have length 2. Received {axes}.")
    left, right = (integers(side) for side in axes)
    if len(left) != len(right):
        raise ValueError(
            f"Different number of contraction axes `a` and `b`, {len(left)} != {len(right)}."
        )
    return [k % a.layout.ndim for k in left], [k % b.layout.ndim for k in right]


def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Any:
    """Sums of products named by letters: ``"ij,jk->ik"``."""
    operands = list(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], list) else list(inputs)
    tensors = [tensor_of(x) for x in operands]
    terms, result = _equation(equation, tensors)
    while len(tensors) > 1:
        a, b = tensors.pop(0), tensors.pop(0)
        left, right = terms.pop(0), terms.pop(0)
        wanted = set(result).union(*terms) if terms else set(result)
        joined, letters = _pair(a, left, b, right, wanted)
        tensors.insert(0, joined)
        terms.insert(0, letters)
    return _arranged(tensors[0], terms[0], result)


def _equation(equation: str, tensors: list[Any]) -> tuple[list[str], str]:
    """The letters of every operand and of the result; an ellipsis becomes letters of its own."""
    text = equation.replace(" ", "")
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        raise ValueError(
            f'Got {len(tensors)} arguments for equation "{equation}", expecting {len(terms)}.'
        )
    spare = [chr(code) for code in builtins.range(0x100, 0x100 + 64)]
    widest = 0
    for position, (term, tensor) in enumerate(zip(terms, tensors, strict=True)):
        if "..." in term:
            count = tensor.layout.ndim - (len(term) - 3)
            widest = max(widest, count)
            terms[position] = term.replace("...", "".join(spare[64 - count :]))
        if len(terms[position]) != tensor.layout.ndim:
            raise ValueError(
                f'operand {position} of "{equation}" has {tensor.layout.ndim} dimensions; its term '
                f"names {len(terms[position])}"
            )
    dots = "".join(spare[64 - widest :]) if widest else ""
    if not arrow:
        letters = "".join(terms)
        result = dots + "".join(
            sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots)
        )
    return terms, result.replace("...", dots)


def _pair(a: Any, left: str, b: Any, right: str, wanted: set[str]) -> tuple[Any, str]:
    """Two operands joined: letters of both that are still wanted are batch, the rest is summed."""
    a, left = _diagonals(a, left)
    b, right = _diagonals(b, right)
    a, left = _summed(a, left, set(right) | wanted)
    b, right = _summed(b, right, set(left) | wanted)
    shared = [c for c in left if c in right]
    batch = [c for c in shared if c in wanted]
    summed = [c for c in shared if c not in wanted]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    size_a = dict(zip(left, a.layout.shape, strict=True))
    size_b = dict(zip(right, b.layout.shape, strict=True))
    for c in shared:
        if size_a[c] != size_b[c] and 1 not in (size_a[c], size_b[c]):
            raise invalid(
                "Einsum",
                f"Expected dimension {size_a[c]} at axis {right.index(c)} of the input shaped "
                f"{dims(b.layout.shape)} but got dimension {size_b[c]}",
            )
    extents = {c: max(size_a.get(c, 1), size_b.get(c, 1)) for c in {*left, *right}}

    def laid_out(x: Any, letters: str, order: list[list[str]]) -> Any:
        flat = [c for group in order for c in group]
        x = movement.transpose(x, tuple(letters.index(c) for c in flat))
        x = movement.broadcast_to(x, tuple(extents[c] for c in flat))
        return movement.reshape(
            x, tuple(int(np.prod([extents[c] for c in group], dtype=np.int64)) for group in order)
        )

    product = matmul(
        laid_out(a, left, [batch, rows, summed]), laid_out(b, right, [batch, summed, columns])
    )
    letters = [*batch, *rows, *columns]
    return movement.reshape(product, tuple(extents[c] for c in letters)), "".join(letters)


def _diagonals(x: Any, letters: str) -> tuple[Any, str]:
    """A letter named twice within one operand takes the diagonal of its axes."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            first = letters.index(c)
            second = letters.index(c, first + 1)
            x = movement.diagonal(x, 0, first, second)
            letters = "".join(d for k, d in enumerate(letters) if k not in (first, second)) + c
    return x, letters


def _summed(x: Any, letters: str, wanted: set[str]) -> tuple[Any, str]:
    """Sum over the letters that nobody else names."""
    axes = tuple(k for k, c in enumerate(letters) if c not in wanted)
    if axes:
        x = reductions.reduce_sum(x, list(axes))
        letters = "".join(c for c in letters if c in wanted)
    return x, letters


def _arranged(x: Any, letters: str, result: str) -> Any:
    x, letters = _diagonals(x, letters)
    x, letters = _summed(x, letters, set(result))
    return movement.transpose(x, tuple(letters.index(c) for c in result))


# ---- parts of matrices


def matrix_transpose(a: Any, name: str = "matrix_transpose", conjugate: bool = False) -> Any:
    """The last two axes swapped."""
    x = tensor_of(a)
    if x.layout.ndim < 2:
        raise ValueError(
            f"Argument `a` must be a (batch) matrix with rank >= 2, got shape {x.shape}"
        )
    return turned(x, conjugate)


def adjoint(matrix: Any, name: Any = None) -> Any:
    """The conjugate transpose."""
    return matrix_transpose(matrix, conjugate=True)


def diag(
    diagonal: Any, name: str = "diag", k: Any = 0, num_rows: Any = -1, num_cols: Any = -1,
    padding_value: Any = 0, align: str = "RIGHT_LEFT",
) -> Any:  # fmt: skip
    """Square matrices with this on their diagonal."""
    if k != 0 or num_rows != -1 or num_cols != -1 or padding_value != 0:
        raise NotImplementedError("tf.linalg.diag beyond the main diagonal is not there yet")
    x = tensor_of(diagonal)
    mask = cast(eye(x.layout.shape[-1]), dtypes.bool_)
    column = movement.reshape(x, (*x.layout.shape, 1))
    return where(mask, column, 0)


def diag_part(
    input: Any, name: str = "diag_part", k: Any = 0, padding_value: Any = 0,
    align: str = "RIGHT_LEFT",
) -> Any:  # fmt: skip
    """The diagonals of matrices; ``k`` above (or below) the main one."""
    x = tensor_of(input)
    ndim = x.layout.ndim
    return movement.contiguous(movement.diagonal(x, integer(k), ndim - 2, ndim - 1))


def set_diag(
    input: Any, diagonal: Any, name: str = "set_diag", k: Any = 0, align: str = "RIGHT_LEFT"
) -> Any:
    """Matrices with their main diagonal replaced."""
    if k != 0:
        raise NotImplementedError("tf.linalg.set_diag beyond the main diagonal is not there yet")
    x = tensor_of(input)
    line = tensor_as(diagonal, x.layout.dtype)
    mask = cast(eye(*x.layout.shape[-2:]), dtypes.bool_)
    rows = x.layout.shape[-2]
    if line.layout.shape[-1] == rows:
        line = movement.reshape(line, (*line.layout.shape, 1))
    else:
        line = movement.reshape(line, (*line.layout.shape[:-1], 1, line.layout.shape[-1]))
    return where(mask, line, x)


def trace(x: Any, name: Any = None) -> Any:
    """The sum of the diagonal."""
    return reductions.reduce_sum(diag_part(x), -1)


def band_part(input: Any, num_lower: Any, num_upper: Any, name: Any = None) -> Any:
    """The matrices with all outside a band set to zero; -1 keeps a whole triangle."""
    x = tensor_of(input)
    rows, columns = x.layout.shape[-2:]
    lower, upper = integer(python_scalar(num_lower)), integer(python_scalar(num_upper))
    distance = np.arange(rows)[:, None] - np.arange(columns)[None, :]
    inside = np.ones((rows, columns), bool)
    if lower >= 0:
        inside &= distance <= lower
    if upper >= 0:
        inside &= -distance <= upper
    return where(from_numpy(inside, dtypes.bool_), x, 0)


def norm(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = None, name: Any = None
) -> Any:
    """The norm of the whole tensor, of its vectors, or of its matrices."""
    x = tensor_of(tensor)
    matrices = isinstance(axis, (list, tuple)) and len(axis) == 2
    if axis is not None and not matrices:
        axis = axis_of(
            axis[0] if isinstance(axis, (list, tuple)) else axis,
            x.layout.ndim,
            lambda a: invalid("Sum", f"Invalid reduction dimension ({a}"),
        )
    size = table.complex_abs if x.layout.dtype.is_complex else table.real_abs
    if ord in ("euclidean", "fro", 2, 2.0) and not (matrices and ord in (2, 2.0)):
        squares = table.square(size(x) if x.layout.dtype.is_complex else x)
        return table.sqrt(reductions.reduce_sum(squares, axis, bool(keepdims)))
    if matrices:
        raise NotImplementedError(f"tf.norm of matrices with ord={ord!r} is not there yet")
    if ord == np.inf:
        return reductions.reduce_max(size(x), axis, bool(keepdims))
    if not isinstance(ord, (int, float)) or ord <= 0:
        raise ValueError(
            "'ord' must be a supported vector norm in ['euclidean', 1, 2, inf] or a positive "
            f"number, got {ord}"
        )
    powers = size(x) if ord == 1 else table.power(size(x), float(ord))
    total = reductions.reduce_sum(powers, axis, bool(keepdims))
    return total if ord == 1 else table.power(total, 1.0 / ord)


def global_norm(t_list: Any, name: Any = None) -> Any:
    """The norm of several tensors taken as one; None entries are left out."""
    squares = [reductions.reduce_sum(table.square(tensor_of(t))) for t in t_list if t is not None]
    if not squares:
        raise ValueError("global_norm needs at least one tensor")
    total = squares[0]
    for one in squares[1:]:
        total = table.add(total, one)
    return table.sqrt(total)


__getattr__ = attributes("linalg")
