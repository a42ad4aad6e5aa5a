"""Read by each Python that a program under ``diptych run`` starts: resolves imports there too.

``diptych run`` puts this folder on PYTHONPATH, so multiprocessing's spawn, its fork server and
``subprocess.run([sys.executable, ...])`` see the faces as their parent does.
"""

from __future__ import annotations

import importlib
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(FOLDER)))


def install() -> None:
    if os.environ.get("_DIPTYCH_RUN") != sys.prefix:
        return  # another Python than the program's: its packages are its own
    try:
        importlib.import_module("diptych")
    except ImportError:
        sys.path.append(ROOT)
    importlib.import_module("diptych.cli.resolution").install()
    sys.excepthook = importlib.import_module("diptych.cli.tracebacks").excepthook


def chain() -> None:
    """Runs the sitecustomize that ours stands before, if there is one."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != FOLDER]
    ours = sys.modules.pop(__name__)
    try:
        importlib.import_module(__name__)
    except ImportError as error:
        if error.name != __name__:
            raise
    finally:
        sys.modules.setdefault(__name__, ours)


if __name__ == "sitecustomize":
    install()
    chain()
