"""Convolutions as LLVM IR text: a register tile over offset tables, and a kernel by channel."""
