"""libvirt as a ``Driver``: runs the operations of this package, and reports its errors as ``OperationFailed``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import libvirt

from reconciler.drivers.base import HostSnapshot, Spec
from reconciler.drivers.capability import Capabilities
from reconciler.drivers.libvirt import (  # noqa: F401  (they enter their operations)
    clone,
    console,
    device,
    disk,
    disksnapshot,
    image,
    machine,
    nic,
    observation,
    pool,
    power,
    seed,
    size,
    snapshot,
)
from reconciler.drivers.libvirt.capabilities import CAPABILITIES
from reconciler.drivers.libvirt.context import OPERATIONS, LibvirtContext
from reconciler.drivers.libvirt.host import Host
from reconciler.drivers.libvirt.host_scan import HostScan
from reconciler.drivers.libvirt.machine_nics import MachineNics
from reconciler.drivers.operation import LIBVIRT
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId


class Libvirt:
    """A ``Driver`` for the host behind a connection."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.nics = MachineNics(host)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        CAPABILITIES.require(target.kind, operation)
        context = LibvirtContext(self.host, target, parameters)
        try:
            existed = self.host.exists(target)
            OPERATIONS.functions[target.kind, operation](context)
            self.host.removed.difference_update(context.touched)
            if existed and not self.host.exists(target):
                self.host.removed.add(target)
        except libvirt.libvirtError as error:
            raise OperationFailed(LIBVIRT, f"{target}: {error}") from error
        except OSError as error:
            raise OperationFailed(LIBVIRT, f"{target}: {error.strerror or error}: {error.filename}") from error
        return context.touched

    def observe(self, id: ResourceId) -> Spec | None:
        return observation.observe(self.host, id)

    def inventory(self) -> Collection[ResourceId]:
        return self.host.inventory()

    def scan(self) -> HostSnapshot:
        return HostScan(self.host)

    def noticed(self) -> Collection[ResourceId]:
        return self.host.noticed()

    def close(self) -> None:
        self.host.close()
