"""One operation on networks, and the table of what this part of a driver does for each.

The modules named after what they make enter their functions in it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.drivers.network.links import TYPES, Links
from reconciler.drivers.network.owner import RUN, marked
from reconciler.drivers.operation import TOOL, OperationContext, OperationTable, refuse, refuse_taken
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row

Result = TypeVar("Result")

log = logging.getLogger("reconciler.drivers.network")


class NetworkContext(OperationContext):
    """An operation on networks; ``touched`` are the resources whose observed spec it may have changed.

    ``nb`` and ``ovs`` are the northbound database of OVN and the Open vSwitch of the node.
    """

    def __init__(self, links: Links, target: ResourceId, parameters: Mapping[str, Any]) -> None:
        super().__init__(target, parameters)
        self.links = links
        self.nb, self.ovs, self.node, self.machines = links.nb, links.ovs, links.node, links.machines
        self.touched = {target}
        self.run = secrets.token_hex(8)

    def row(self, table: str) -> Row:
        """The row of a table that stands for the target; refuses where it is another type of network."""
        found = self.links.owned().get(self.target)
        if found is None:
            refuse(TOOL, f"{self.target} does not exist")
        if found[0] != table:
            refuse(TOOL, f"{self.target} is an {TYPES[found[0]]}, not an {TYPES[table]}")
        return found[1]

    def marks(self, **more: str) -> dict[str, str]:
        """The ``external_ids`` of a row that is made for the target."""
        return marked(self.target, self.node, **{RUN: self.run}, **more)

    def made(self, row: Row | None) -> bool:
        """Whether this operation made a row: a change of which only the answer was lost is tried again."""
        return row is not None and row.external_ids.get(RUN) == self.run

    def carry_out(self, write: Callable[[Change], Result]) -> Result:
        """Change OVN's northbound database in one transaction (``Database.change``), and wait for this node to follow.

        Returns what ``write`` does. A node that is late is logged: the change is made, and takes effect once the node
        follows.
        """
        result, number = self.nb.change(write)
        if not self.links.carried_out(number):
            log.warning(
                "%s: node %s has not carried out the change of OVN yet: look at ovn-northd and ovn-controller",
                self.target,
                self.node,
            )
        return result

    def carry_out_here(self, write: Callable[[Change], None]) -> None:
        """Change Open vSwitch of this node in one transaction, and wait for its daemon to follow; as ``carry_out``."""
        number = self.ovs.change(write)[1]
        if not self.links.switched(number):
            log.warning(
                "%s: Open vSwitch of node %s has not carried out the change yet: look at ovs-vswitchd",
                self.target,
                self.node,
            )

    def require_target(self) -> None:
        """Refuse the operation if its resource does not exist, or of a machine if it is not on the node."""
        if self.target.kind == MACHINE:
            if self.machines.nics(self.target) is None:
                refuse(TOOL, f"{self.target} does not exist")
        elif not self.links.exists(self.target):
            refuse(TOOL, f"{self.target} does not exist")

    def require_absent(self, kind: str, name: str) -> None:
        """Refuse the operation if there is a resource of this name."""
        id = self.id(kind, name)
        if self.links.exists(id):
            refuse_taken(id)


OPERATIONS: OperationTable[NetworkContext] = OperationTable()
operation = OPERATIONS.operation
