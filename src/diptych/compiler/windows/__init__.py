"""Windows as kernels: maxima with their positions, and banded maps (averages, interpolation)."""
