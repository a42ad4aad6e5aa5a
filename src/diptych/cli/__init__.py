"""The command line: run, bench, info."""
