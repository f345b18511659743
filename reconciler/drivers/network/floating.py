"""Floating addresses: API sections 1.36 and 1.37.

Each is a row of NAT on the router of the NIC's switch, which stands on the outside switch as well (``public_port``).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from reconciler.drivers.network import public_port
from reconciler.drivers.network.attachment import first_nic, named_nic, nics_of, switch
from reconciler.drivers.network.context import NetworkContext, operation
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.network.port import released
from reconciler.drivers.network.port_address import ipv4_of, mac_of
from reconciler.drivers.network.rule import NIC
from reconciler.drivers.network.switch_rows import SwitchRows, settings_of
from reconciler.drivers.operation import TOOL, refuse
from reconciler.model.kinds import MACHINE

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row
    from reconciler.model.resource import ResourceId

_TYPE = "dnat_and_snat"
OUTSIDE, GIVEN = "reconcile-outside", "reconcile-address"  # the outside switch, and the address with its prefix length


@operation(MACHINE, "BindFloatingIP")
def bind(context: NetworkContext) -> None:
    inside, outside = context.text("swName"), context.text("outSwName")
    given, nics = context.text("fip"), nics_of(context)
    address = given.partition("/")[0]

    def write(change: Change) -> None:
        place = first_nic(context, change, nics, inside)
        rows = SwitchRows.of(change, place.switch)
        if rows.router is None:
            refuse(TOOL, f"switch {inside} has no router")
        if inside == outside:
            refuse(TOOL, f"switch {inside} cannot be its own outside")
        network = SwitchRows.of(change, switch(context, outside))
        held = floating_of(rows.router, context.target, place.nic.mac)
        if any(context.made(each) for each in held):
            return
        leads_to = ipv4_of(place.port)
        # Somebody has changed where these lead: they are not what they say they are.
        broken = [each for each in held if each.logical_ip != leads_to or each.type != _TYPE]
        _require_free(context, change, network, address, broken)
        if len(held) > len(broken):
            kept = next(each for each in held if each not in broken)
            refuse(TOOL, f"NIC {place.nic.mac} has the floating IP {kept.external_ip} already")
        if not leads_to:
            refuse(TOOL, f"NIC {place.nic.mac} has no address yet that a floating IP could lead to")
        port = public_port.ensure(context, change, rows, network, address)
        change.remove(rows.router, "nat", *broken)
        marks = context.marks(**{NIC: place.nic.mac, OUTSIDE: outside, GIVEN: given})
        columns = {"type": _TYPE, "external_ip": address, "logical_ip": leads_to}
        nat = change.insert("NAT", gateway_port=[port], external_ids=marks, **columns)
        change.add(rows.router, "nat", nat)

    context.carry_out(write)


def _require_free(
    context: NetworkContext, change: Change, outside: SwitchRows, address: str, broken: list[Row]
) -> None:
    """Refuse an address that something on the outside switch has, or that its subnet does not have."""
    name, settings = outside.switch.name, settings_of(outside)
    for row in change.rows("NAT"):
        if row.external_ip == address and row.external_ids.get(OUTSIDE) == name and row not in broken:
            refuse(TOOL, f"{address} is already in use on switch {name} by {owner_of(row)}")
    if address in (settings.gateway, settings.dhcp):
        refuse(TOOL, f"{address} is already in use on switch {name} by its gateway or router")
    taken = public_port.taken_addresses(change, outside.switch).get(address)
    # A public port gives its address way.
    if taken is not None and not public_port.is_public(taken, name):
        refuse(TOOL, f"{address} is already in use on switch {name} by {owner_of(taken) or taken.name}")
    if ipaddress.ip_address(address) not in settings.network:
        refuse(TOOL, f"{address} is not an address of switch {name}: its subnet is {settings.subnet}")


@operation(MACHINE, "UnbindFloatingIP")
def unbind(context: NetworkContext) -> None:
    address, inside, nics = context.text("fip"), context.text("vmip"), nics_of(context)

    def write(change: Change) -> None:
        place = named_nic(context, change, nics)
        router = SwitchRows.of(change, place.switch).router
        held = floating_of(router, context.target, place.nic.mac)
        bound = next((each for each in held if each.external_ip == address), None)
        if bound is None:
            refuse(TOOL, f"floating IP {address} is not bound to NIC {place.nic.mac}")
        if bound.logical_ip != inside:
            refuse(TOOL, f"floating IP {address} leads to {bound.logical_ip}, not to {inside}")
        release(change, router, bound)

    context.carry_out(write)


@released
def _let_go(change: Change, switch: Row, port: Row) -> None:
    """Remove the floating addresses of a NIC with its port."""
    router, owner = SwitchRows.of(change, switch).router, owner_of(port)
    for bound in floating_of(router, owner, mac_of(port)) if owner is not None else ():
        release(change, router, bound)


def floating_of(router: Row | None, machine: ResourceId, mac: str) -> list[Row]:
    """The rows of the floating addresses that lead to a NIC."""
    rows = router.nat if router is not None else ()
    return [each for each in rows if owner_of(each) == machine and each.external_ids.get(NIC) == mac]


def shown(row: Row) -> dict[str, str]:
    """A floating address as manifests write it: with the prefix length that was given, unless it is another by now."""
    given = row.external_ids.get(GIVEN, "")
    address = given if given.partition("/")[0] == row.external_ip else f"{row.external_ip}/32"
    return {"address": address, "externalNetwork": row.external_ids.get(OUTSIDE, "")}


def release(change: Change, router: Row, bound: Row) -> None:
    """Remove a floating address, and with the last one the port that it came in by."""
    change.remove(router, "nat", bound)
    others = [each for each in router.nat if each != bound and each.gateway_port == bound.gateway_port]
    if not others:
        for port in bound.gateway_port:
            public_port.release(change, router, port.name)
