"""Kernels that read, add and match elements at given positions."""
