"""Graph to kernels to LLVM text."""
