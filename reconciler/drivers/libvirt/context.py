"""One operation on the host behind libvirt, and the table of what this driver does for each.

The modules named after kinds enter their functions in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.drivers.operation import TOOL, OperationContext, OperationTable, refuse, refuse_taken
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.libvirt.host import Host


class LibvirtContext(OperationContext):
    """An operation on a host; ``touched`` are the resources whose observed spec it may have changed."""

    def __init__(self, host: Host, target: ResourceId, parameters: Mapping[str, Any]) -> None:
        super().__init__(target, parameters)
        self.host = host
        self.touched = {target}

    def require_target(self) -> None:
        """Refuse the operation if the host does not have its resource."""
        if not self.host.exists(self.target):
            refuse(TOOL, f"{self.target} does not exist")

    def require_absent(self, kind: str, name: str) -> None:
        """Refuse the operation if the host has something of this name."""
        id = self.id(kind, name)
        if self.host.exists(id):
            refuse_taken(id)


OPERATIONS: OperationTable[LibvirtContext] = OperationTable()
operation = OPERATIONS.operation
