"""Imports every file that declares operations, so that the registry is whole."""

from diptych.ops import activation as activation
from diptych.ops import arithmetic as arithmetic
from diptych.ops import bessel as bessel
from diptych.ops import channels as channels
from diptych.ops import comparison as comparison
from diptych.ops import contraction as contraction
from diptych.ops import convolution as convolution
from diptych.ops import creation as creation
from diptych.ops import decompositions as decompositions
from diptych.ops import fft as fft
from diptych.ops import indexing as indexing
from diptych.ops import linalg as linalg
from diptych.ops import loss as loss
from diptych.ops import movement as movement
from diptych.ops import normalization as normalization
from diptych.ops import orthogonal as orthogonal
from diptych.ops import padding as padding
from diptych.ops import reduction as reduction
from diptych.ops import resampling as resampling
from diptych.ops import scan as scan
from diptych.ops import select as select
from diptych.ops import sorting as sorting
from diptych.ops import transcendental as transcendental
from diptych.ops import triangle as triangle
from diptych.ops import window as window
