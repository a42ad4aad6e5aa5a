"""Spectral and orthogonal decompositions: eigh, eig, svd, qr."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import complex_of, real_of
from diptych.core.layout import Layout, layout
from diptych.core.operation import NotDifferentiable, Params, Sample
from diptych.core.tensor import Tensor
from diptych.ops.arithmetic import add, div, mul, square, sub
from diptych.ops.comparison import gt
from diptych.ops.contraction import dot
from diptych.ops.families import primitive
from diptych.ops.linalg import (
    TOLERANCE,
    _column,
    _hermitian_samples,
    _lapack,
    _matrices,
    _off_diagonal,
    _row,
    _square_errors,
    _square_samples,
    _times,
    _with_diagonal,
    adjoint,
    require_matrices,
    solve_triangular,
)
from diptych.ops.movement import concatenate, diagonal, narrow
from diptych.ops.reduction import max_, spread, sum_
from diptych.ops.select import cast, complex_, imag, real, where
from diptych.ops.triangle import tril
