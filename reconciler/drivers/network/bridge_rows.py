"""A bridge as it is in the database of Open vSwitch: its ports, its card, the VLAN it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.drivers.network.owner import owner_of

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row

CARD = "reconcile-card"  # the key among the external_ids of a bridge that says which card it was made with


def ports_of(bridge: Row) -> list[Row]:
    """The ports of a bridge by name, without the one that is the bridge itself on the host."""
    return sorted((each for each in bridge.ports if each.name != bridge.name), key=lambda each: str(each.name))


def port_at(bridge: Row, name: str) -> Row | None:
    """The port of a name."""
    return next((each for each in ports_of(bridge) if each.name == name), None)


def card_of(bridge: Row) -> str:
    """The card that a bridge was made with."""
    return str(bridge.external_ids.get(CARD, ""))


def vlan_port_name(bridge: str, vlan: str) -> str:
    """The name of the port that puts a bridge into a VLAN (wire format 7.2)."""
    return f"{bridge}-{vlan}"


def vlan_port(bridge: Row) -> Row | None:
    """The port that puts a bridge into a VLAN."""
    for port in ports_of(bridge):
        if port.fake_bridge and owner_of(port) is not None:
            return port
    return None


def vlan_of(port: Row | None) -> str:
    """The VLAN of a port; empty for one that is in none."""
    return str(port.tag[0]) if port is not None and port.tag else ""


def mac_of(interface: Row) -> str:
    """The MAC address behind an interface: that of the NIC where it is one of a machine."""
    noted = interface.external_ids.get("attached-mac", "")
    return str(noted or (interface.mac_in_use[0] if interface.mac_in_use else "")).lower()


def add_port(change: Change, name: str, *, type: str = "", **columns: object) -> Row:
    """A port with one interface of the same name."""
    interface = change.insert("Interface", name=name, type=type)
    return change.insert("Port", name=name, interfaces=[interface], **columns)


def shown(bridge: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the wire shows of a bridge (wire format 5.7), and its settings in the declared shape."""
    ports = [
        {
            "uuid": str(port.uuid),
            "name": port.name,
            "vlan": vlan_of(port),
            "interfaces": [
                {"uuid": str(each.uuid), "mac": mac_of(each), "name": each.name}
                for each in sorted(port.interfaces, key=lambda each: str(each.name))
            ],
        }
        for port in ports_of(bridge)
    ]
    card, vlan = card_of(bridge), vlan_of(vlan_port(bridge))
    settings: dict[str, Any] = {"name": bridge.name}
    if port_at(bridge, card) is not None:
        settings["nic"] = card
    if vlan:
        settings["vlan"] = int(vlan)
    return {"bridgeInfo": {"name": bridge.name, "uuid": str(bridge.uuid), "ports": ports}}, {"bridge": settings}
