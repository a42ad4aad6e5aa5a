"""The one lock under which code is compiled and loaded; a fork waits for whoever holds it.

Without that, a child forked while another thread compiles would inherit a lock that nobody is left
to release, and LLVM's state half changed.
"""

from __future__ import annotations

import os
import threading

LOCK = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release
    )
