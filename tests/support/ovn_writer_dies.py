"""python -m support.ovn_writer_dies MOMENT:NUMBER NB OVS NAME OPERATION PARAMETERS: an operation in which it dies (-9).

It dies ``before`` a change of a database is sent, ``during`` it, when it is sent and not answered yet, or ``after`` it
was answered. Changes are counted from 1; parameters are JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from reconciler.drivers.network.certificates import NO_FILES
from reconciler.drivers.network.driver import Networked
from reconciler.model.kinds import NETWORK
from reconciler.model.resource import ResourceId
from support.no_machines import NoMachines

OVN_WRITER_DIES = (sys.executable, "-m", "support.ovn_writer_dies")
MOMENTS = ("before", "during", "after")


def mortal(moment: str, number: int) -> None:
    """Have this process die at a moment of a change."""
    from ovs.db import idl  # which is not there where nobody installed it, and this module is read for its names

    commit_block, commit = idl.Transaction.commit_block, idl.Transaction.commit
    changes = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def committed(txn: Any) -> Any:
        nonlocal changes
        changes += 1
        if changes == number and moment == "before":
            die()
        status = commit_block(txn)
        if changes == number and moment == "after":
            die()
        return status

    def sent(txn: Any) -> Any:
        status = commit(txn)
        if changes == number and moment == "during" and status == txn.INCOMPLETE:
            txn.idl.run()
            die()
        return status

    idl.Transaction.commit_block, idl.Transaction.commit = committed, sent


if __name__ == "__main__":
    from reconciler.drivers.network.connection import connected

    at, nb, ovs, name, operation, parameters = sys.argv[1:]
    moment, _, number = at.partition(":")
    mortal(moment, int(number))
    machines = NoMachines()
    driver = Networked(machines, connected(nb, ovs, NO_FILES, "n1", machines))
    driver.run(ResourceId(NETWORK, name), operation, json.loads(parameters))
    sys.exit(3)
