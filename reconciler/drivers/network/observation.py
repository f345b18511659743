"""The observed spec of a network, as the wire has it (wire format 5.7)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from reconciler.drivers.base import Spec
from reconciler.drivers.network.links import Links
from reconciler.drivers.network.owner import node_of
from reconciler.drivers.network.switch_rows import SwitchRows, settings_of
from reconciler.model.resource import ResourceId

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
    type, show = _SHOWN[table]
    return {"nodeName": node_of(row) or links.node, "type": type, "powerstate": "Ready", "data": show(links, row)}


def listed(values: Iterable[object]) -> str:
    """Several texts as the tools print them: sorted, in quotes, in brackets."""
    return json.dumps(sorted(map(str, values)))


def _switch(links: Links, row: Row) -> dict[str, Any]:
    rows = SwitchRows.of(links.nb, row)
    settings = settings_of(rows)
    ports = sorted(row.ports, key=lambda each: (each.type != "router", each.name))
    return {
        "switchInfo": {
            "id": str(row.uuid),
            "name": row.name,
            "ports": [_switch_port(each) for each in ports],
        },
        "routerInfo": _router(rows),
        "gatewayInfo": {
            "id": str(rows.dhcp.uuid) if rows.dhcp is not None else "",
            "server_mac": rows.router_port.mac if rows.router_port is not None else "",
            "router": settings.gateway if settings.dhcp else "",
            "server_id": settings.dhcp,
            "lease_time": str(rows.dhcp.options.get("lease_time", "")) if rows.dhcp is not None else "",
        },
    }


def _switch_port(port: Row) -> dict[str, Any]:
    shown = {
        "name": port.name,
        "addresses": listed(port.addresses),
        "type": port.type,
        "router_port": port.options.get("router-port", ""),
    }
    return shown | ({"tag": str(port.tag[0])} if port.tag else {})


def _router(rows: SwitchRows) -> dict[str, Any]:
    if rows.router is None:
        return {"id": "", "name": "", "ports": []}
    return {
        "id": str(rows.router.uuid),
        "name": rows.router.name,
        "ports": [
            {"name": each.name, "mac": f'"{each.mac}"', "networks": listed(_networks(rows, each))}
            for each in sorted(rows.router.ports, key=lambda each: str(each.name))
        ],
    }


def _networks(rows: SwitchRows, port: Row) -> list[str]:
    """The networks of a port of the router; of that on the switch without the gateway, which is shown elsewhere."""
    settings, networks = settings_of(rows), list(port.networks)
    if port is rows.router_port and len(networks) == 2:
        networks = [each for each in networks if each.partition("/")[0] != settings.gateway]
    return networks


_SHOWN = {"Logical_Switch": ("l3network", _switch)}
