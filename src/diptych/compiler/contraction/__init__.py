"""Contractions: blocked matrix products with an epilogue, as LLVM IR text."""
