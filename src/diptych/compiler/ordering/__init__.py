"""Order along an axis as kernels: running values, sorting, and what is picked from sorted lines."""
