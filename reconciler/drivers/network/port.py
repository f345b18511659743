"""Ports of NICs on switches of OVN (wire format 7.1): made before their NIC is plugged, freed after it is gone.

OVN knows a port by the ``interfaceid`` of the NIC. What else is of a port goes with it: see ``released``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from reconciler.drivers import domain as domains
from reconciler.drivers.network import attachment, public_port
from reconciler.drivers.network.context import NetworkContext
from reconciler.drivers.network.owner import node_of, owner_of
from reconciler.drivers.network.port_address import DYNAMIC, given_to, mac_of
from reconciler.drivers.network.switch_rows import SwitchRows, settings_of
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.model.kinds import NETWORK
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row

TABLE = "Logical_Switch_Port"

Release = Callable[["Change", "Row", "Row"], None]  # of a switch and a port on it that goes

_RELEASES: list[Release] = []


def released(release: Release) -> Release:
    """Have a function called when a port goes, in the transaction that removes it: it removes what was made for it."""
    _RELEASES.append(release)
    return release


class Port(NamedTuple):
    """A port that a NIC is to have."""

    mac: str  # in lower case
    switch: str  # the name of the network
    address: str = DYNAMIC

    def words(self) -> str:
        """The addresses of the port, as OVN writes them."""
        return f"{self.mac} {self.address}"

    def security(self) -> str:
        """What the guest may send from: its addresses, as far as they are known beforehand."""
        return self.mac if self.address == DYNAMIC else self.words()


def add(context: NetworkContext, port: Port) -> bool:
    """Have the NIC of the target machine have a port; whether it had none. Refuses an address that is not free."""
    name = domains.port_id(context.target.name, port.mac)

    def write(change: Change) -> bool:
        switch = attachment.switch(context, port.switch)
        known = next((each for each in change.rows(TABLE) if each.name == name), None)
        _require_free(context, change, switch, port, known)
        columns = _columns(change, switch, port)
        if known is not None and known in switch.ports:
            change.set(known, **columns)
            return context.made(known)
        if known is not None:
            _remove(change, known)
        row = change.insert(TABLE, name=name, external_ids=context.marks(), **columns)
        switch.verify("ports")  # nobody takes the address meanwhile
        change.add(switch, "ports", row)
        return True

    context.touched.add(context.id(NETWORK, port.switch))
    return context.carry_out(write)


def _columns(change: Change, switch: Row, port: Port) -> dict[str, object]:
    rows = SwitchRows.of(change, switch)
    version = settings_of(rows).network.version
    dhcp = {f"dhcpv{version}_options": [rows.dhcp]} if rows.dhcp is not None else {}
    return {"addresses": [port.words()], "port_security": [port.security()], **dhcp}


def _require_free(context: NetworkContext, change: Change, switch: Row, port: Port, known: Row | None) -> None:
    """Refuse a MAC that another machine has, and an address that the switch does not have, or somebody has on it."""
    for other in change.rows(TABLE):
        if other != known and owner_of(other) is not None and mac_of(other) == port.mac:
            refuse(LIBVIRT, f"MAC address {port.mac} is already in use by {owner_of(other)}")
    if port.address == DYNAMIC:
        return
    settings = settings_of(SwitchRows.of(change, switch))
    if ipaddress.ip_address(port.address) not in settings.network:
        refuse(TOOL, f"switch {port.switch}: {port.address} is not an address of subnet {settings.subnet}")
    taken = f"{port.address} is already in use on switch {port.switch}"
    if port.address in (settings.gateway, settings.dhcp):
        refuse(TOOL, f"{taken} by its router")
    for other in switch.ports:
        if other != known and port.address in given_to(other):  # one that OVN chose, it chooses again
            refuse(LIBVIRT, f"{taken} by {owner_of(other) or f'port {other.name}'}")
    router_port = public_port.taken_addresses(change, switch).get(port.address)
    if router_port is not None and router_port not in switch.ports:
        refuse(TOOL, f"{taken} by {router_port.name}")
    for nat in _floating_on(change, switch):
        if nat.external_ip == port.address:
            refuse(TOOL, f"{taken}: it leads to {owner_of(nat) or nat.logical_ip}")


def _floating_on(change: Change, switch: Row) -> Iterable[Row]:
    """The translations of the routers that have a port on a switch."""
    leading = {each.options.get("router-port") for each in switch.ports if each.type == "router"}
    for router in change.rows("Logical_Router"):
        if any(each.name in leading for each in router.ports):
            yield from router.nat


def free(context: NetworkContext, machine: ResourceId) -> None:
    """Remove the ports of NICs that a machine of this node no longer has in any definition."""
    gone = freed(context, machine)
    if not gone:
        return

    def write(change: Change) -> None:
        for row in (each for each in change.rows(TABLE) if each.uuid in gone):
            _remove(change, row)

    for switch in context.nb.rows("Logical_Switch"):
        owner = owner_of(switch)
        if owner is not None and any(each.uuid in gone for each in switch.ports):
            context.touched.add(owner)
    context.carry_out(write)


def freed(context: NetworkContext, machine: ResourceId) -> set[object]:
    """The rows of ports that a machine of this node no longer has a NIC for, by their UUIDs."""
    ports = [each for each in context.nb.rows(TABLE) if owner_of(each) == machine and node_of(each) == context.node]
    if not ports:
        return set()
    kept = {nic.port for nic in context.machines.nics(machine) or ()}
    return {each.uuid for each in ports if each.name not in kept}


def _remove(change: Change, port: Row) -> None:
    for switch in change.rows("Logical_Switch"):
        if port in switch.ports:
            for release in _RELEASES:
                release(change, switch, port)
            change.remove(switch, "ports", port)


@released
def _forget_rules(change: Change, switch: Row, port: Row) -> None:
    """The rules of a port name it; no other port has its name."""
    rules = [each for each in switch.acls if f'"{port.name}"' in each.match]
    change.remove(switch, "acls", *rules)


def network_of(context: NetworkContext, name: str) -> str:
    """The name of the network whose switch has a port; empty if none that this program made has."""
    for id, (table, row) in context.links.owned().items():
        if table == "Logical_Switch" and any(each.name == name for each in row.ports):
            return id.name
    return ""
