"""python -m support.kill_at_write WRITE WORD...: ``reconcile WORD...``, killed (-9) at one write to its cluster.

A write is told by its number, or by what it writes: ``update/VirtualMachine/2`` is the second update of a machine,
``record/end/1`` the first entry of that phase in the history. With 0 it lives.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from reconciler.cli import main
from reconciler.clusters.local import LocalCluster

KILL_AT_WRITE = (sys.executable, "-m", "support.kill_at_write")


def mortal(verb: str, what: Callable[..., str], at: str, seen: Counter[str]) -> Callable[..., Any]:
    """The write of this verb, which does not come about if it is the one at which to die."""
    write = getattr(LocalCluster, verb)

    def written(*args: Any, **given: Any) -> Any:
        name = f"{verb}/{what(*args[1:])}"
        seen.update(("", name))
        if at in (str(seen[""]), f"{name}/{seen[name]}"):
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*args, **given)

    return written


# Verb of a write -> what it writes.
WRITES: dict[str, Callable[..., str]] = {
    "create": lambda resource: str(resource["kind"]),
    "update": lambda resource: str(resource["kind"]),
    "delete": lambda id: str(id.kind),
    "record": lambda stack, entry: str(entry.get("phase", "")),
}

if __name__ == "__main__":
    seen: Counter[str] = Counter()
    for verb, what in WRITES.items():
        setattr(LocalCluster, verb, mortal(verb, what, sys.argv[1], seen))
    sys.argv[1:2] = []
    main()
