"""What networks are made of on a node: the two databases, and the machines whose NICs are on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.nics import Machines
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Database, Row

CARRIED_OUT = 5.0  # seconds the node may take to carry a change out

# The tables of whose rows one stands for a network, and the type of that network (wire format 5.7).
TYPES = {"Bridge": "l2network", "Address_Set": "l3address", "Logical_Switch": "l3network"}


@dataclass(frozen=True, slots=True)
class Links:
    """The databases that one node works on: OVN's northbound one, which all nodes share, and its Open vSwitch."""

    nb: Database
    ovs: Database
    node: str
    machines: Machines
    mapping_lock: threading.Lock = field(default_factory=threading.Lock)  # see ``mappings``
    patience: float = CARRIED_OUT
    sleep: Callable[[float], object] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def owned(self) -> dict[ResourceId, tuple[str, Row]]:
        """Every network that this program made, with the table and the row that stand for it."""
        found: dict[ResourceId, tuple[str, Row]] = {}
        for table in TYPES:
            database = self.ovs if table == "Bridge" else self.nb
            for row in database.rows(table):
                if (owner := database.derived(row, owner_of)) is not None:
                    found[owner] = table, row
        return found

    def exists(self, id: ResourceId) -> bool:
        """Whether there is a network. Fails with ``OperationFailed`` where that cannot be told."""
        self.require()
        return id in self.owned()

    def require(self) -> None:
        """Fail with ``OperationFailed`` while one of the databases cannot be reached."""
        self.nb.require()
        self.ovs.require()

    def close(self) -> None:
        """Close the connections."""
        self.nb.close()
        self.ovs.close()

    def carried_out(self, number: int) -> bool:
        """Wait until this node has carried out a configuration of OVN; whether it has, after ``patience`` seconds.

        Other nodes are not waited for: one that is down would never have it.
        """
        return self._reached(self._carried_out, number)

    def switched(self, number: int) -> bool:
        """Wait until Open vSwitch of this node has carried out its configuration; as ``carried_out``."""
        return self._reached(lambda: int(self.ovs.rows("Open_vSwitch")[0].cur_cfg), number)

    def _reached(self, counter: Callable[[], int], number: int) -> bool:
        deadline = self.monotonic() + self.patience
        while counter() < number:
            if self.monotonic() >= deadline:
                return False
            self.sleep(0.01)
        return True

    def _carried_out(self) -> int:
        settings = self.ovs.rows("Open_vSwitch")[0].external_ids
        bridge = self.ovs.find("Bridge", name=settings.get("ovn-bridge", "br-int"))
        return int(bridge.external_ids.get("ovn-nb-cfg", 0)) if bridge is not None else 0
