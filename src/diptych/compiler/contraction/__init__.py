"""Contractions: blocked matrix products with an epilogue, as LLVM IR text."""

from __future__ import annotations

from diptych.compiler.contraction.plan import Strided as Strided
from diptych.compiler.contraction.plan import plan as plan
from diptych.compiler.contraction.spec import Contraction as Contraction
