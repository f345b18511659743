"""The databases that a node works on, opened."""

from __future__ import annotations

from reconciler.drivers.network.certificates import Certificates
from reconciler.drivers.network.database import NORTHBOUND, OPEN_VSWITCH, Database
from reconciler.drivers.network.links import Links
from reconciler.drivers.nics import Machines


def connected(northbound: str, vswitch: str, certificates: Certificates, node: str, machines: Machines) -> Links:
    """Connect to the databases of OVN and Open vSwitch at ``unix:PATH``, ``tcp:HOST:PORT`` or ``ssl:HOST:PORT``.

    Raises ``Unavailable`` where one does not answer.
    """
    nb = Database(northbound, NORTHBOUND, certificates)
    try:
        return Links(nb, Database(vswitch, OPEN_VSWITCH, certificates), node, machines)
    except BaseException:
        nb.close()
        raise
