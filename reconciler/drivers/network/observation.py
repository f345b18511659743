"""The observed spec of a network, as the wire has it (wire format 5.7)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from reconciler.drivers.base import Spec
from reconciler.drivers.network import bridge_rows
from reconciler.drivers.network.address_set import in_order
from reconciler.drivers.network.links import TYPES, Links
from reconciler.drivers.network.mappings import leads
from reconciler.drivers.network.owner import OwnedRows, node_of, owner_of
from reconciler.drivers.network.switch_rows import Settings, SwitchRows, is_routed, settings_of
from reconciler.model.kinds import NETWORK
from reconciler.model.resource import DEFAULT_NAMESPACE, ResourceId
from reconciler.model.wire import SETTINGS

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Row


class NetworkSight:
    """The networks that there are, for one look at one or at all of them: which rows are whose is read once."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._networks = links.owned()
        self.rows = OwnedRows(links.nb)

    def observe(self, id: ResourceId) -> Spec | None:
        """The observed spec of a network, without status; None if it does not exist.

        Fails with ``OperationFailed`` where that cannot be told.
        """
        links = self._links
        links.require()
        if id not in self._networks:
            return None
        table, row = self._networks[id]
        with links.nb.reading(), links.ovs.reading():
            data, settings = _SHOWN[table](self, row)
            found = {"nodeName": node_of(row) or links.node, "type": TYPES[table], "powerstate": "Ready"}
            return {**found, "data": data, SETTINGS: settings}

    def reaches(self, rows: SwitchRows, settings: Settings) -> bool:
        """Whether a switch has an uplink, and if it is of this node, whether that leads to the bridge."""
        if rows.uplink is None:
            return False
        if node_of(rows.switch).lower() != self._links.node.lower():
            return True  # Open vSwitch of another node cannot be seen
        return leads(self._links.ovs, rows.uplink.options.get("network_name", ""), settings.bridge)

    @property
    def on_node(self) -> list[ResourceId]:
        """The networks that the agent of this node made. While a database does not answer, those it had."""
        node = self._links.node.lower()
        return [
            id
            for id, (_, row) in self._networks.items()
            if id.kind == NETWORK and id.namespace == DEFAULT_NAMESPACE and node_of(row).lower() == node
        ]


def listed(values: Iterable[object]) -> str:
    """Several texts as the tools print them: sorted, in quotes, in brackets."""
    return json.dumps(sorted(map(str, values)))


def _switch(sight: NetworkSight, row: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    rows = SwitchRows.among(sight.rows, row)
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
    if settings.bridge and not sight.reaches(rows, settings):
        shown.pop("gateway", None)  # which is behind the bridge: to set it is to lead there again
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


def _addresses(sight: NetworkSight, row: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    ids = ", ".join(f'{key}="{value}"' for key, value in sorted(row.external_ids.items()))
    owner = owner_of(row)
    info = {
        "_uuid": str(row.uuid),
        "addresses": listed(row.addresses),
        "external_ids": f"{{{ids}}}",
        "name": owner.name if owner is not None else row.name,
    }
    return {"addressInfo": info}, {"addresses": in_order(row)}


_SHOWN: dict[str, Callable[[NetworkSight, Row], tuple[dict[str, Any], dict[str, Any]]]] = {
    "Bridge": lambda sight, row: bridge_rows.shown(row),
    "Logical_Switch": _switch,
    "Address_Set": _addresses,
}
