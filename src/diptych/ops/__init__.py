"""The one set of operations: a file per family, each operation declared once and whole."""
