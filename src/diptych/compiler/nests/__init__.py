"""Loop nests to LLVM IR: ``unit(nest, target)`` is the door."""
