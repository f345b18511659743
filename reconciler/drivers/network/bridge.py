"""Bridges of Open vSwitch, their VLANs and those of NICs on them: API sections 8.1 to 8.6 (wire format 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.drivers.network.bridge_rows import (
    CARD,
    add_port,
    card_of,
    port_at,
    ports_of,
    vlan_of,
    vlan_port,
    vlan_port_name,
)
from reconciler.drivers.network.card import addresses_on
from reconciler.drivers.network.context import NetworkContext, operation
from reconciler.drivers.network.mappings import networks_behind
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.nics import Nic
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.model.kinds import MACHINE, NETWORK

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row

_LONGEST = 15  # characters that the kernel takes as the name of a device


@operation(NETWORK, "CreateBridge", creates=True)
def create_bridge(context: NetworkContext) -> None:
    name, card, vlan = context.text("name"), context.text("nic"), context.text("vlan")
    if addresses := addresses_on(card):
        refuse(
            TOOL,
            f"NIC {card} has {', '.join(addresses)}, by which {context.node} is reached; a bridge would take it over: "
            "take the address off the card first, and give it to the bridge",
        )

    def write(change: Change) -> None:
        taken = change.find("Bridge", name=name)
        if context.made(taken):
            return
        _require_free(context, change, taken, name, card)
        bridge = change.insert(
            "Bridge", name=name, datapath_type=_datapath(change), external_ids=context.marks(**{CARD: card})
        )
        ports = [add_port(change, name, type="internal"), add_port(change, card, external_ids=context.marks())]
        if vlan:
            ports.append(_vlan_port(context, change, name, vlan))
        change.set(bridge, ports=ports)
        change.add(change.rows("Open_vSwitch")[0], "bridges", bridge)

    context.carry_out_here(write)
    _require_devices(context, name)


def _require_free(context: NetworkContext, change: Change, taken: Row | None, name: str, card: str) -> None:
    """Refuse a bridge or a card that Open vSwitch of the node has already."""
    port = change.find("Port", name=card)
    for what, row in ((f"bridge {name}", taken), (f"NIC {card}", port)):
        if row is not None:
            owner = owner_of(row)
            by = f"by {owner}" if owner is not None else "in Open vSwitch, by what reconcile did not make"
            refuse(TOOL, f"{what} of {context.node} is taken {by}")


def _datapath(change: Change) -> str:
    """The type of datapath of the node: as its Open vSwitch is told for OVN's own bridge, else the kernel's."""
    return str(change.rows("Open_vSwitch")[0].external_ids.get("ovn-bridge-datapath-type", ""))


def _require_devices(context: NetworkContext, name: str) -> None:
    """Take a bridge away again of which Open vSwitch says that it cannot have a device of it."""
    bridge = context.ovs.find("Bridge", name=name)
    interfaces = [each for port in (bridge.ports if bridge is not None else ()) for each in port.interfaces]
    said = [f"{each.name}: {each.error[0]}" for each in interfaces if each.error]
    if said:
        context.carry_out_here(lambda change: _remove(change, change.find("Bridge", name=name)))
        refuse(TOOL, f"bridge {name} cannot be made on {context.node}: {'; '.join(sorted(said))}")


def _remove(change: Change, bridge: Row | None) -> None:
    if bridge is not None:
        change.remove(change.rows("Open_vSwitch")[0], "bridges", bridge)


@operation(NETWORK, "DeleteBridge")
def delete_bridge(context: NetworkContext) -> None:
    def write(change: Change) -> None:
        bridge = _bridge(context)
        card = card_of(bridge)
        if "nic" in context.parameters and context.text("nic") != card:
            refuse(TOOL, f"bridge {bridge.name} has NIC {card}, not {context.text('nic')}")
        _require_unused(context, change, bridge)
        _remove(change, bridge)

    nics = context.machines.nics_on(_bridge(context).name)
    if nics:
        refuse(TOOL, f"bridge {_bridge(context).name} is in use: {len(nics)} NICs of VMs are on it")
    context.carry_out_here(write)


def _require_unused(context: NetworkContext, change: Change, bridge: Row) -> None:
    """Refuse a bridge that has ports which came by other hands, or that a switch of OVN leads to."""
    own = (port_at(bridge, card_of(bridge)), vlan_port(bridge))
    others = [each.name for each in ports_of(bridge) if each not in own]
    if others:
        refuse(TOOL, f"bridge {bridge.name} is in use: it has the ports {', '.join(others)}")
    networks = networks_behind(change, bridge.name)
    if networks:
        refuse(TOOL, f"bridge {bridge.name} is in use: {', '.join(networks)} of OVN lead to it")


def _bridge(context: NetworkContext) -> Row:
    """The bridge of the target; refuses where it is not the one that is named."""
    bridge = context.row("Bridge")
    if "name" in context.parameters and bridge.name != context.text("name"):
        refuse(TOOL, f"{context.target} is bridge {bridge.name}, not {context.text('name')}")
    return bridge


# The VLAN of a bridge


@operation(NETWORK, "SetBridgeVlan")
def set_bridge_vlan(context: NetworkContext) -> None:
    vlan = context.text("vlan")

    def write(change: Change) -> None:
        bridge = _bridge(context)
        known = vlan_port(bridge)
        if known is not None and known.name == vlan_port_name(bridge.name, vlan):
            change.set(known, tag=[int(vlan)])
            return
        if known is not None:
            change.remove(bridge, "ports", known)
        change.add(bridge, "ports", _vlan_port(context, change, bridge.name, vlan))

    context.carry_out_here(write)


def _vlan_port(context: NetworkContext, change: Change, bridge: str, vlan: str) -> Row:
    name = vlan_port_name(bridge, vlan)
    if len(name) > _LONGEST:
        refuse(TOOL, f"{name} is too long: the name of a device has at most {_LONGEST} characters")
    if (taken := change.find("Port", name=name)) is not None:
        refuse(TOOL, f"port {name} of {context.node} is taken by {owner_of(taken) or 'what reconcile did not make'}")
    return add_port(change, name, type="internal", tag=[int(vlan)], fake_bridge=True, external_ids=context.marks())


@operation(NETWORK, "DelBridgeVlan")
def delete_bridge_vlan(context: NetworkContext) -> None:
    vlan = context.text("vlan")

    def write(change: Change) -> None:
        bridge = _bridge(context)
        port = vlan_port(bridge)
        if port is None or vlan_of(port) != vlan:
            refuse(TOOL, f"bridge {bridge.name} is not in VLAN {vlan}")
        change.remove(bridge, "ports", port)

    context.carry_out_here(write)


# VLANs of NICs


@operation(NETWORK, "BindPortVlan")
def bind_port(context: NetworkContext) -> None:
    _tag(context, _nic(context, _bridge(context).name), int(context.text("vlan", "0")))


@operation(NETWORK, "UnbindPortVlan")
def unbind_port(context: NetworkContext) -> None:
    bridge = _bridge(context).name
    nic = _nic(context, bridge)
    port = context.ovs.find("Port", name=nic.target)
    if nic.vlan is None and not (port is not None and port.tag):
        refuse(TOOL, f"NIC {nic.mac} is in no VLAN of bridge {bridge}")
    _tag(context, nic, None)


def _nic(context: NetworkContext, bridge: str) -> Nic:
    """The NIC of a machine that the operation is about; refuses one that is not on the bridge."""
    machine, mac = context.id(MACHINE, context.text("domain")), context.text("mac").lower()
    nics = context.machines.nics(machine)
    if nics is None:
        refuse(TOOL, f"VM {machine.name} does not exist on {context.node}")
    nic = next((each for each in nics if each.mac == mac), None)
    if nic is None:
        refuse(LIBVIRT, f"invalid argument: no NIC with mac {mac} found in domain {machine.name}")
    if nic.bridge != bridge:
        refuse(TOOL, f"NIC {mac} is on {f'bridge {nic.bridge}' if nic.bridge else 'no bridge'}, not on {bridge}")
    return nic


def _tag(context: NetworkContext, nic: Nic, vlan: int | None) -> None:
    """Put a NIC into a VLAN, or out of its own: where its machine is defined, and in Open vSwitch.

    Open vSwitch may say something else than the definition, by hand; what it says alone is lost at the next start.
    """
    context.machines.tag(nic.machine, nic.mac, vlan)
    context.touched.add(nic.machine)

    def write(change: Change) -> None:
        port = change.find("Port", name=nic.target)
        if port is not None:
            change.set(port, tag=[] if vlan is None else [vlan])

    context.carry_out_here(write)
