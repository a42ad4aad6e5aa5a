"""The command ``diptych``, and ``python -m diptych``."""

from __future__ import annotations

import sys

from diptych.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
