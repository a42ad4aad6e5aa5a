"""Kernels as data: scalar expressions, loop nests, their layouts and their plain interpreter."""
