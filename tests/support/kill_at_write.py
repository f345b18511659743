"""python -m support.kill_at_write WRITES WORD...: ``reconcile WORD...``, killed (-9) at one write to its cluster.

With 0 it lives.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from reconciler.cli import main
from reconciler.clusters.local import LocalCluster

KILL_AT_WRITE = (sys.executable, "-m", "support.kill_at_write")
WRITES = ("create", "update", "delete", "record")


def mortal(write: Callable[..., Any], at: int, numbers: count[int]) -> Callable[..., Any]:
    def written(*args: Any, **given: Any) -> Any:
        if next(numbers) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*args, **given)

    return written


if __name__ == "__main__":
    numbers = count(1)
    for each in WRITES:
        setattr(LocalCluster, each, mortal(getattr(LocalCluster, each), int(sys.argv[1]), numbers))
    sys.argv[1:2] = []
    main()
