"""Attention to kernels: scores in tiles, never the whole matrix, and its gradient from them."""
