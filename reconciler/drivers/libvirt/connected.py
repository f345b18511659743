"""The NICs of machines, for the part of a driver that makes the networks they are on."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.drivers.libvirt.binding import VirDomain
from reconciler.drivers.libvirt.host import HostState, live_of, shown_of
from reconciler.drivers.libvirt.nic import mac_of
from reconciler.drivers.libvirt.xml_json import Element
from reconciler.drivers.nics import Nic
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import DEFAULT_NAMESPACE, ResourceId


def nics_of(host: HostState, machine: ResourceId) -> list[Nic] | None:
    """The NICs in the definitions of a machine, as it runs where it does; None if there is no such machine."""
    domain = host.domain(machine.name) if machine.namespace == DEFAULT_NAMESPACE else None
    return None if domain is None else _nics(domain)


def nics_on(host: HostState, bridge: str) -> list[Nic]:
    """The NICs of all machines that are on a bridge."""
    return [nic for domain in host.domains() for nic in _nics(domain) if nic.bridge == bridge]


def _nics(domain: VirDomain) -> list[Nic]:
    machine = ResourceId(MACHINE, domain.name())
    found = {nic.mac: nic for definition in (shown_of(domain), live_of(domain)) for nic in _read(machine, definition)}
    return list(found.values())


def _read(machine: ResourceId, definition: Element) -> Iterator[Nic]:
    for nic in definition.iterfind("devices/interface"):
        tag = _attribute(nic, "vlan/tag", "id")
        networked = bool(_attribute(nic, "source", "network"))
        yield Nic(
            machine,
            mac_of(nic),
            bridge="" if networked else _attribute(nic, "source", "bridge"),
            port=_attribute(nic, "virtualport/parameters", "interfaceid"),
            target=_attribute(nic, "target", "dev"),
            vlan=int(tag) if tag else None,
        )


def _attribute(nic: Element, path: str, name: str) -> str:
    found = nic.find(path)
    return "" if found is None else found.get(name, "")
