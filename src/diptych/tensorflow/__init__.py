"""TensorFlow's face: ``import diptych.tensorflow as tf``."""

from __future__ import annotations

import diptych.engine as _engine
from diptych.tensorflow import bitwise as bitwise
from diptych.tensorflow import config as config
from diptych.tensorflow import debugging as debugging
from diptych.tensorflow import dtypes as dtypes
from diptych.tensorflow import errors as errors
from diptych.tensorflow import gathering
from diptych.tensorflow import linalg as linalg
from diptych.tensorflow import math as math
from diptych.tensorflow import nest as nest
from diptych.tensorflow import nn as nn
from diptych.tensorflow import operators as operators
from diptych.tensorflow import random as random
from diptych.tensorflow import test as test
from diptych.tensorflow import version as version
from diptych.tensorflow.arrays import argsort as argsort
from diptych.tensorflow.arrays import broadcast_dynamic_shape as broadcast_dynamic_shape
from diptych.tensorflow.arrays import broadcast_to as broadcast_to
from diptych.tensorflow.arrays import concat as concat
from diptych.tensorflow.arrays import expand_dims as expand_dims
from diptych.tensorflow.arrays import eye as eye
from diptych.tensorflow.arrays import fill as fill
from diptych.tensorflow.arrays import identity as identity
from diptych.tensorflow.arrays import linspace as linspace
from diptych.tensorflow.arrays import meshgrid as meshgrid
from diptych.tensorflow.arrays import one_hot as one_hot
from diptych.tensorflow.arrays import ones as ones
from diptych.tensorflow.arrays import ones_like as ones_like
from diptych.tensorflow.arrays import pad as pad
from diptych.tensorflow.arrays import range as range
from diptych.tensorflow.arrays import rank as rank
from diptych.tensorflow.arrays import repeat as repeat
from diptych.tensorflow.arrays import reshape as reshape
from diptych.tensorflow.arrays import reverse as reverse
from diptych.tensorflow.arrays import roll as roll
from diptych.tensorflow.arrays import searchsorted as searchsorted
from diptych.tensorflow.arrays import sequence_mask as sequence_mask
from diptych.tensorflow.arrays import shape as shape
from diptych.tensorflow.arrays import shape_n as shape_n
from diptych.tensorflow.arrays import size as size
from diptych.tensorflow.arrays import sort as sort
from diptych.tensorflow.arrays import split as split
from diptych.tensorflow.arrays import squeeze as squeeze
from diptych.tensorflow.arrays import stack as stack
from diptych.tensorflow.arrays import tile as tile
from diptych.tensorflow.arrays import transpose as transpose
from diptych.tensorflow.arrays import unique as unique
from diptych.tensorflow.arrays import unique_with_counts as unique_with_counts
from diptych.tensorflow.arrays import unstack as unstack
from diptych.tensorflow.arrays import zeros as zeros
from diptych.tensorflow.arrays import zeros_like as zeros_like
from diptych.tensorflow.clipping import clip_by_global_norm as clip_by_global_norm
from diptych.tensorflow.clipping import clip_by_norm as clip_by_norm
from diptych.tensorflow.control import case as case
from diptych.tensorflow.control import cond as cond
from diptych.tensorflow.control import control_dependencies as control_dependencies
from diptych.tensorflow.control import device as device
from diptych.tensorflow.control import executing_eagerly as executing_eagerly
from diptych.tensorflow.control import function as function
from diptych.tensorflow.control import group as group
from diptych.tensorflow.control import init_scope as init_scope
from diptych.tensorflow.control import inside_function as inside_function
from diptych.tensorflow.control import map_fn as map_fn
from diptych.tensorflow.control import name_scope as name_scope
from diptych.tensorflow.control import no_op as no_op
from diptych.tensorflow.control import switch_case as switch_case
from diptych.tensorflow.control import vectorized_map as vectorized_map
from diptych.tensorflow.control import while_loop as while_loop
from diptych.tensorflow.conversion import constant as constant
from diptych.tensorflow.conversion import convert_to_tensor as convert_to_tensor
from diptych.tensorflow.conversion import is_symbolic_tensor as is_symbolic_tensor
from diptych.tensorflow.conversion import is_tensor as is_tensor
from diptych.tensorflow.debugging import Assert as Assert
from diptych.tensorflow.dtype import DType as DType
from diptych.tensorflow.dtype import as_dtype as as_dtype
from diptych.tensorflow.dtype import bfloat16 as bfloat16
from diptych.tensorflow.dtype import bool as bool
from diptych.tensorflow.dtype import complex64 as complex64
from diptych.tensorflow.dtype import complex128 as complex128
from diptych.tensorflow.dtype import double as double
from diptych.tensorflow.dtype import float16 as float16
from diptych.tensorflow.dtype import float32 as float32
from diptych.tensorflow.dtype import float64 as float64
from diptych.tensorflow.dtype import half as half
from diptych.tensorflow.dtype import int8 as int8
from diptych.tensorflow.dtype import int16 as int16
from diptych.tensorflow.dtype import int32 as int32
from diptych.tensorflow.dtype import int64 as int64
from diptych.tensorflow.dtype import resource as resource
from diptych.tensorflow.dtype import string as string
from diptych.tensorflow.dtype import uint8 as uint8
from diptych.tensorflow.dtype import uint16 as uint16
from diptych.tensorflow.dtype import uint32 as uint32
from diptych.tensorflow.dtype import uint64 as uint64
from diptych.tensorflow.dtype import variant as variant
from diptych.tensorflow.gathering import boolean_mask as boolean_mask
from diptych.tensorflow.gathering import gather as gather
from diptych.tensorflow.gathering import gather_nd as gather_nd
from diptych.tensorflow.gathering import scatter_nd as scatter_nd
from diptych.tensorflow.gathering import strided_slice as strided_slice
from diptych.tensorflow.gathering import tensor_scatter_nd_add as tensor_scatter_nd_add
from diptych.tensorflow.gathering import tensor_scatter_nd_sub as tensor_scatter_nd_sub
from diptych.tensorflow.gathering import tensor_scatter_nd_update as tensor_scatter_nd_update
from diptych.tensorflow.gathering import where as where
from diptych.tensorflow.gradient_tape import GradientTape as GradientTape
from diptych.tensorflow.gradient_tape import UnconnectedGradients as UnconnectedGradients
from diptych.tensorflow.gradient_tape import custom_gradient as custom_gradient
from diptych.tensorflow.gradient_tape import grad_pass_through as grad_pass_through
from diptych.tensorflow.gradient_tape import stop_gradient as stop_gradient
from diptych.tensorflow.linalg import einsum as einsum
from diptych.tensorflow.linalg import matmul as matmul
from diptych.tensorflow.linalg import norm as norm
from diptych.tensorflow.linalg import tensordot as tensordot
from diptych.tensorflow.math import abs as abs
from diptych.tensorflow.math import acos as acos
from diptych.tensorflow.math import acosh as acosh
from diptych.tensorflow.math import add as add
from diptych.tensorflow.math import add_n as add_n
from diptych.tensorflow.math import argmax as argmax
from diptych.tensorflow.math import argmin as argmin
from diptych.tensorflow.math import asin as asin
from diptych.tensorflow.math import asinh as asinh
from diptych.tensorflow.math import atan as atan
from diptych.tensorflow.math import atan2 as atan2
from diptych.tensorflow.math import atanh as atanh
from diptych.tensorflow.math import cast as cast
from diptych.tensorflow.math import clip_by_value as clip_by_value
from diptych.tensorflow.math import complex as complex
from diptych.tensorflow.math import cos as cos
from diptych.tensorflow.math import cosh as cosh
from diptych.tensorflow.math import cumsum as cumsum
from diptych.tensorflow.math import divide as divide
from diptych.tensorflow.math import equal as equal
from diptych.tensorflow.math import exp as exp
from diptych.tensorflow.math import floor as floor
from diptych.tensorflow.math import greater as greater
from diptych.tensorflow.math import greater_equal as greater_equal
from diptych.tensorflow.math import less as less
from diptych.tensorflow.math import less_equal as less_equal
from diptych.tensorflow.math import logical_and as logical_and
from diptych.tensorflow.math import logical_not as logical_not
from diptych.tensorflow.math import logical_or as logical_or
from diptych.tensorflow.math import maximum as maximum
from diptych.tensorflow.math import minimum as minimum
from diptych.tensorflow.math import multiply as multiply
from diptych.tensorflow.math import negative as negative
from diptych.tensorflow.math import not_equal as not_equal
from diptych.tensorflow.math import pow as pow
from diptych.tensorflow.math import reduce_all as reduce_all
from diptych.tensorflow.math import reduce_any as reduce_any
from diptych.tensorflow.math import reduce_logsumexp as reduce_logsumexp
from diptych.tensorflow.math import reduce_max as reduce_max
from diptych.tensorflow.math import reduce_mean as reduce_mean
from diptych.tensorflow.math import reduce_min as reduce_min
from diptych.tensorflow.math import reduce_prod as reduce_prod
from diptych.tensorflow.math import reduce_sum as reduce_sum
from diptych.tensorflow.math import round as round
from diptych.tensorflow.math import saturate_cast as saturate_cast
from diptych.tensorflow.math import scalar_mul as scalar_mul
from diptych.tensorflow.math import sigmoid as sigmoid
from diptych.tensorflow.math import sign as sign
from diptych.tensorflow.math import sin as sin
from diptych.tensorflow.math import sinh as sinh
from diptych.tensorflow.math import sqrt as sqrt
from diptych.tensorflow.math import square as square
from diptych.tensorflow.math import subtract as subtract
from diptych.tensorflow.math import tan as tan
from diptych.tensorflow.math import tanh as tanh
from diptych.tensorflow.math import truediv as truediv
from diptych.tensorflow.math import truncatediv as truncatediv
from diptych.tensorflow.math import truncatemod as truncatemod
from diptych.tensorflow.missing import attributes
from diptych.tensorflow.tensor import Tensor as Tensor
from diptych.tensorflow.tensor_shape import TensorShape as TensorShape
from diptych.tensorflow.tensor_shape import broadcast_static_shape as broadcast_static_shape
from diptych.tensorflow.variable import Variable as Variable

__version__ = version.VERSION
newaxis = None
print = debugging.print_
slice = gathering.slice_

__getattr__ = attributes("")
_engine.ensure()
operators.attach(Variable)
# Modules that TensorFlow does not have are found by import, not by looking for an attribute.
for _name in (
    "activations", "arrays", "attributes", "clipping", "control", "conversion", "decompositions",
    "dtype", "elementwise", "gathering", "gradient_tape", "missing", "operators", "recording",
    "reductions", "tensor", "tensor_shape", "variable", "annotations",
):  # fmt: skip
    globals().pop(_name, None)
