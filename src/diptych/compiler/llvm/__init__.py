"""LLVM: the text writer, mathematics in vector IR, and text to objects."""
