"""Gather and scatter as kernels: every index is checked before the memory that it names."""
