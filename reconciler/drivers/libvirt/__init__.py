"""The libvirt driver: real pools, files, domains and devices of one host.

Everything that is said of the host is read from the host when it is asked for. ``action.py`` has the capability
table; the modules named after kinds enter their rows in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import libvirt

from reconciler.drivers.base import HostSnapshot, Spec
from reconciler.drivers.libvirt import (  # noqa: F401  (they enter their rows)
    clone,
    console,
    device,
    disk,
    disksnapshot,
    image,
    machine,
    observation,
    pool,
    power,
    seed,
    size,
    snapshot,
)
from reconciler.drivers.libvirt.action import ACTIONS, Action
from reconciler.drivers.libvirt.host import Host
from reconciler.drivers.libvirt.look import Look
from reconciler.drivers.request import LIBVIRT, UNSUPPORTED
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId

__all__ = ["ACTIONS", "Host", "Libvirt"]


class Libvirt:
    """A ``Driver`` for the host behind a connection."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def supports(self, kind: str, operation: str) -> bool:
        return (kind, operation) in ACTIONS

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        doing = ACTIONS.get((target.kind, operation))
        if doing is None:
            raise OperationFailed(UNSUPPORTED, f"the libvirt driver does not do {operation} of {target.kind}")
        act = Action(self.host, target, parameters)
        try:
            there = self.host.exists(target)
            doing(act)
            self.host.removed.difference_update(act.touched)
            if there and not self.host.exists(target):
                self.host.removed.add(target)
        except libvirt.libvirtError as error:
            raise OperationFailed(LIBVIRT, f"{target}: {error}") from error
        except OSError as error:
            raise OperationFailed(LIBVIRT, f"{target}: {error.strerror or error}: {error.filename}") from error
        return act.touched

    def observe(self, id: ResourceId) -> Spec | None:
        return observation.of(self.host, id)

    def inventory(self) -> Collection[ResourceId]:
        return self.host.inventory()

    def look(self) -> HostSnapshot:
        return Look(self.host)

    def close(self) -> None:
        self.host.close()
