"""The observed spec of a network, as the wire has it (wire format 5.7)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from reconciler.drivers.base import Spec
from reconciler.drivers.network import bridge_rows
from reconciler.drivers.network.address_set import in_order
from reconciler.drivers.network.links import TYPES, Links
from reconciler.drivers.network.owner import node_of, owner_of
from reconciler.drivers.network.switch_rows import Settings, SwitchRows, is_routed, settings_of
from reconciler.model.resource import ResourceId
from reconciler.model.wire import SETTINGS

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Row


def observed(links: Links, id: ResourceId, owned: dict[ResourceId, tuple[str, Row]]) -> Spec | None:
    """The observed spec of a network, without status; None if it does not exist. ``owned``: see ``Links.owned``.

    Fails with ``OperationFailed`` where that cannot be told.
    """
    links.require()
    if id not in owned:
        return None
    table, row = owned[id]
    data, settings = _SHOWN[table](links, row)
    found = {"nodeName": node_of(row) or links.node, "type": TYPES[table], "powerstate": "Ready"}
    return {**found, "data": data, SETTINGS: settings}


def listed(values: Iterable[object]) -> str:
    """Several texts as the tools print them: sorted, in quotes, in brackets."""
    return json.dumps(sorted(map(str, values)))


def _switch(links: Links, row: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    rows = SwitchRows.of(links.nb, row)
    settings = settings_of(rows)
    ports = sorted(row.ports, key=lambda each: (each.type != "router", each.name))
    gateway = {"id": "", "server_mac": "", "router": "", "server_id": "", "lease_time": ""}
    if rows.dhcp is not None:
        gateway = {
            "id": str(rows.dhcp.uuid),
            "server_mac": rows.router_port.mac if rows.router_port is not None else "",
            "router": settings.gateway,
            "server_id": settings.dhcp,
            "lease_time": rows.dhcp.options.get("lease_time", ""),
        }
    data = {
        "switchInfo": {"id": str(row.uuid), "name": row.name, "ports": [_switch_port(each) for each in ports]},
        "routerInfo": _router(rows, settings),
        "gatewayInfo": gateway,
    }
    shown = settings.shown
    if not is_routed(rows, settings):
        shown.pop("dhcp", None)
    if rows.uplink is None:
        shown.pop("bridge", None)
    return data, {"switch": shown}


def _switch_port(port: Row) -> dict[str, Any]:
    shown = {
        "name": port.name,
        "addresses": listed(port.addresses),
        "type": port.type,
        "router_port": port.options.get("router-port", ""),
    }
    return shown | ({"tag": str(port.tag[0])} if port.tag else {})


def _router(rows: SwitchRows, settings: Settings) -> dict[str, Any]:
    if rows.router is None:
        return {"id": "", "name": "", "ports": []}
    ports = [
        # Where the port on the switch is as it was set, the gateway at which it stands as well is shown elsewhere.
        (each, settings.networks[:1] if each == rows.router_port and is_routed(rows, settings) else each.networks)
        for each in sorted(rows.router.ports, key=lambda each: str(each.name))
    ]
    return {
        "id": str(rows.router.uuid),
        "name": rows.router.name,
        "ports": [
            {"name": each.name, "mac": f'"{each.mac}"', "networks": listed(networks)} for each, networks in ports
        ],
    }


def _addresses(links: Links, row: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    ids = ", ".join(f'{key}="{value}"' for key, value in sorted(row.external_ids.items()))
    owner = owner_of(row)
    info = {
        "_uuid": str(row.uuid),
        "addresses": listed(row.addresses),
        "external_ids": f"{{{ids}}}",
        "name": owner.name if owner is not None else row.name,
    }
    return {"addressInfo": info}, {"addresses": in_order(row)}


_SHOWN: dict[str, Callable[[Links, Row], tuple[dict[str, Any], dict[str, Any]]]] = {
    "Bridge": lambda links, row: bridge_rows.shown(row),
    "Logical_Switch": _switch,
    "Address_Set": _addresses,
}
