"""A driver of machines for tests of networks: machines that are NICs, and nothing else. It keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.base import Spec
from reconciler.drivers.capability import YES, Capabilities
from reconciler.drivers.nics import Nic
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.model.resource import ResourceId
from support.no_machines import NoMachines

_NAMES = {
    POOL: ("CreatePool",),
    DISK: ("CreateDisk",),
    MACHINE: ("CreateAndStartVMFromISO", "PlugNIC", "UnplugNIC", "StopVM"),
}


class OvnMachines(NoMachines):
    """A ``Driver``, and the ``Machines`` that networks are linked with."""

    def __init__(self) -> None:
        self._machines: dict[ResourceId, list[Nic]] = {}
        self._lasting: set[str] = set()  # MAC addresses that are in the persistent definition
        self._others: set[ResourceId] = set()

    def capabilities(self) -> Capabilities:
        return Capabilities("ports", {(kind, name): YES for kind, names in _NAMES.items() for name in names})

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        if target.kind != MACHINE:
            self._others.add(target)
            return {target}
        steps: dict[str, Callable[[], None]] = {
            "CreateAndStartVMFromISO": lambda: self._create(target, domains.options(parameters["network"])),
            "PlugNIC": lambda: self._plug(target, parameters["mac"], parameters["type"], lasts="config" in parameters),
            "UnplugNIC": lambda: self._unplug(target, parameters["mac"]),
            "StopVM": lambda: self._stop(target),
        }
        steps[operation]()
        return {target}

    def _create(self, machine: ResourceId, network: dict[str, str]) -> None:
        self._machines[machine] = []
        self._plug(machine, network["mac"], network["type"], lasts=True)

    def _plug(self, machine: ResourceId, mac: str, type: str, *, lasts: bool) -> None:
        routed = type == "l3bridge"
        port = domains.port_id(machine.name, mac) if routed else ""
        self._machines[machine].append(Nic(machine, mac, "br-int" if routed else "br-ext", port))
        self._lasting |= {mac} if lasts else set()

    def _unplug(self, machine: ResourceId, mac: str) -> None:
        self._machines[machine] = [each for each in self._machines[machine] if each.mac != mac]

    def _stop(self, machine: ResourceId) -> None:
        self._machines[machine] = [each for each in self._machines[machine] if each.mac in self._lasting]

    def observe(self, id: ResourceId) -> Spec | None:
        if id in self._others:
            return {"volume": {"current": f"/var/lib/libvirt/{id.name}"}}
        if id not in self._machines:
            return None
        return {"domain": {"devices": {"_interface": [_device(each) for each in self._machines[id]]}}}

    def inventory(self) -> Collection[ResourceId]:
        return [*self._machines, *self._others]

    def nics(self, machine: ResourceId) -> list[Nic] | None:
        return self._machines.get(machine)

    def nics_on(self, bridge: str) -> list[Nic]:
        return [nic for nics in self._machines.values() for nic in nics if nic.bridge == bridge]


def _device(nic: Nic) -> dict[str, Any]:
    port = {"virtualport": {"_type": "openvswitch", "parameters": {"__interfaceid": nic.port}}} if nic.port else {}
    return {"mac": {"_address": nic.mac}, "source": {"_bridge": nic.bridge}, **port}
