"""The NICs of all machines, as the network part of a driver asks for them (``drivers.nics.Machines``)."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt

from reconciler.drivers.libvirt import nic
from reconciler.drivers.libvirt.binding import VirDomain
from reconciler.drivers.libvirt.host import Host, live_of, shown_of
from reconciler.drivers.libvirt.xml_json import Element, mac_of
from reconciler.drivers.nics import Nic
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import DEFAULT_NAMESPACE, ResourceId


class MachineNics:
    """The NICs of the machines of a host, running or not."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def nics(self, machine: ResourceId) -> list[Nic] | None:
        """The NICs of a machine, each once, the running definition first; None if there is no such machine."""
        domain = self._host.domain(machine.name) if machine.namespace == DEFAULT_NAMESPACE else None
        return None if domain is None else list(_nics(domain))

    def nics_on(self, bridge: str) -> list[Nic]:
        """The NICs of all machines that are on a bridge."""
        return [each for domain in self._host.domains() for each in _nics(domain) if each.bridge == bridge]

    def tag(self, machine: ResourceId, mac: str, vlan: int | None) -> None:
        """Put a NIC into a VLAN, in all definitions of its machine; with None take it out of its VLAN."""
        domain = self._host.domain(machine.name)
        if domain is None:
            refuse(TOOL, f"{machine} does not exist")
        try:
            nic.tag(domain, mac, vlan)
        except libvirt.libvirtError as error:
            raise OperationFailed(LIBVIRT, f"{machine}: {error}") from error


def _nics(domain: VirDomain) -> Iterator[Nic]:
    """The NICs of a machine. One that was deleted meanwhile has none."""
    seen = set()
    try:
        for definition in (live_of(domain), shown_of(domain)):
            for device in definition.iterfind("devices/interface"):
                found = _nic(domain.name(), device)
                if found.mac not in seen:
                    seen.add(found.mac)
                    yield found
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise OperationFailed(LIBVIRT, f"machine {domain.name()} cannot be read: {error}") from error


def _nic(machine: str, device: Element) -> Nic:
    def attribute(path: str, name: str) -> str:
        element = device.find(path)
        return "" if element is None else element.get(name, "")

    tag = attribute("vlan/tag", "id")
    return Nic(
        ResourceId(MACHINE, machine),
        mac_of(device),
        bridge=attribute("source", "bridge"),
        port=attribute("virtualport/parameters", "interfaceid"),
        target=attribute("target", "dev"),
        vlan=int(tag) if tag else None,
    )
