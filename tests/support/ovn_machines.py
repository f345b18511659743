"""A driver of machines for tests of networks: machines that are NICs on ports of OVN, and nothing else.

It keeps what it is told; the ports are made with ``ovn-nbctl``, and what was set for one is forgotten with it, as a
driver of real machines does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any

from reconciler.drivers.base import HostSnapshot, Spec
from reconciler.drivers.capability import YES, Capabilities
from reconciler.drivers.network import port_rules
from reconciler.drivers.network.database import Database
from reconciler.drivers.nics import Nic
from reconciler.drivers.operation import TOOL, refuse
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.model.resource import ResourceId
from support.ovn_hosts import Ovn

_NAMES = {
    POOL: ("CreatePool",),
    DISK: ("CreateDisk",),
    MACHINE: ("CreateAndStartVMFromISO", "PlugNIC", "UnplugNIC", "StopVM"),
}


def _words(text: str) -> dict[str, str]:
    return dict(each.partition("=")[::2] for each in text.split(","))


class OvnMachines:
    """A ``Driver``, and the ``Machines`` that networks are linked with. ``nb`` is set once it is connected."""

    def __init__(self, ovn: Ovn) -> None:
        self._ovn = ovn
        self.nb: Database | None = None
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
            "CreateAndStartVMFromISO": lambda: self._create(target, _words(parameters["network"])),
            "PlugNIC": lambda: self._plug(
                target, {**_words(parameters["source"]), "mac": parameters["mac"]}, lasts="config" in parameters
            ),
            "UnplugNIC": lambda: self._unplug(target, parameters["mac"]),
            "StopVM": lambda: self._stop(target),
        }
        steps[operation]()
        return {target}

    def _create(self, machine: ResourceId, words: dict[str, str]) -> None:
        self._machines[machine] = []
        self._plug(machine, words, lasts=True)

    def _plug(self, machine: ResourceId, words: dict[str, str], *, lasts: bool) -> None:
        mac, switch, address, port = words["mac"], words.get("switch", ""), words.get("ip", "dynamic"), ""
        if switch:
            assert self.nb is not None
            floats = [each for each in self.nb.rows("NAT") if each.external_ip == address]
            if floats:
                refuse(TOOL, f"{address} is already in use on switch {switch}")
            port = str(uuid.uuid4())
            dhcp = self._ovn.nbctl("--bare", "--columns=_uuid", "find", "DHCP_Options", f"external_ids:switch={switch}")
            serve = ("--", "lsp-set-dhcpv4-options", port, dhcp) if dhcp else ()
            words_ = ("--", "lsp-set-addresses", port, f"{mac} {address}")
            self._ovn.nbctl("--wait=sb", "lsp-add", switch, port, *words_, *serve)
        self._machines[machine].append(Nic(machine, mac, "br-int" if switch else "", port))
        self._lasting |= {mac} if lasts else set()

    def _unplug(self, machine: ResourceId, mac: str) -> None:
        assert self.nb is not None
        nic = next(each for each in self._machines[machine] if each.mac == mac)
        self.nb.change(lambda change: port_rules.forget(change, machine, mac))
        if nic.port:
            self._ovn.nbctl("lsp-del", nic.port)
        self._machines[machine].remove(nic)

    def _stop(self, machine: ResourceId) -> None:
        for nic in [each for each in self._machines[machine] if each.mac not in self._lasting]:
            self._unplug(machine, nic.mac)

    def observe(self, id: ResourceId) -> Spec | None:
        if id in self._others:
            return {"volume": {"current": f"/var/lib/libvirt/{id.name}"}}
        return {"nics": [each.mac for each in self._machines[id]]} if id in self._machines else None

    def inventory(self) -> Collection[ResourceId]:
        return [*self._machines, *self._others]

    def scan(self) -> HostSnapshot:
        return self

    def noticed(self) -> Collection[ResourceId]:
        return ()

    def close(self) -> None:
        pass

    def nics(self, machine: ResourceId) -> list[Nic] | None:
        return self._machines.get(machine)

    def nics_on(self, bridge: str) -> list[Nic]:
        return [nic for nics in self._machines.values() for nic in nics if nic.bridge == bridge]

    def tag(self, machine: ResourceId, mac: str, vlan: int | None) -> None:
        raise AssertionError(f"{machine} has no VLAN port {mac}")
