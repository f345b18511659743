"""Writing the rows of a switch, new or there, so that they say its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.drivers.network.context import NetworkContext
from reconciler.drivers.network.names import mapping_of, router_of, router_port_of, uplink_of
from reconciler.drivers.network.router_mac import unused_mac
from reconciler.drivers.network.switch_rows import NOTES, Settings, SwitchRows, dhcp_options, notes_of

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row


@dataclass(frozen=True, slots=True)
class SwitchWriter:
    """What one change writes. Only ``rows.switch`` has to be there; the columns of others' making are left."""

    context: NetworkContext
    change: Change
    rows: SwitchRows
    settings: Settings
    network: str  # of OVN, behind the uplink; empty where there is none

    def write(self) -> None:
        """Write the rows."""
        switch, change = self.rows.switch, self.change
        ports = [self._uplink()] if self.network else []
        if self.settings.dhcp:
            mac = self._mac()
            ports.append(self._route(mac))
            self._serve(mac)
        change.merge(switch, other_config=self._addresses())
        change.merge(switch, without=NOTES, external_ids=notes_of(self.settings))
        change.add(switch, "ports", *(each for each in ports if each not in switch.ports))

    def _addresses(self) -> dict[str, str]:
        """What OVN gives addresses from where a NIC has none of its own."""
        network = self.settings.network
        if network.version == 6:
            return {"ipv6_prefix": str(network.network_address)}
        return {"subnet": str(network), "exclude_ips": " ".join(self.settings.reserved)}

    def _mac(self) -> str:
        """The MAC address of the router on the switch."""
        port = self.rows.router_port
        return unused_mac(self.change) if port is None else str(port.mac)

    def _route(self, mac: str) -> Row:
        """Have a router stand on the switch; returns the port of the switch that leads to it."""
        name, change, rows = self.context.target.name, self.change, self.rows
        router = rows.router
        if router is None:
            router = change.insert("Logical_Router", name=router_of(name), external_ids=self.context.marks())
        port = rows.router_port
        if port is None:
            marks = self.context.marks()
            port = change.insert("Logical_Router_Port", name=router_port_of(name), mac=mac, external_ids=marks)
            change.add(router, "ports", port)
        change.set(port, networks=self.settings.networks)
        if self.settings.network.version == 6:
            change.merge(port, ipv6_ra_configs=self._advertised())
        mapping = rows.mapping
        if mapping is None:
            mapping = change.insert("Logical_Switch_Port", name=mapping_of(name), external_ids=self.context.marks())
        change.set(mapping, type="router", addresses=["router"])
        change.merge(mapping, options={"router-port": router_port_of(name)})
        return mapping

    def _advertised(self) -> dict[str, str]:
        return {"address_mode": "dhcpv6_stateful", "send_periodic": "true", "mtu": self.settings.largest}

    def _serve(self, mac: str) -> None:
        """Have guests be told over DHCP what they need to know."""
        name, change, settings = self.context.target.name, self.change, self.settings
        row = self.rows.dhcp
        if row is None:
            row = change.insert("DHCP_Options", external_ids=self.context.marks(switch=name))
        change.set(row, cidr=str(settings.network))
        change.merge(row, options=dhcp_options(settings, mac), without=() if settings.dns else ("dns_server",))
        column = f"dhcpv{settings.network.version}_options"
        for port in self.rows.others:
            if not port.type and not getattr(port, column):
                change.set(port, **{column: row})

    def _uplink(self) -> Row:
        """Have the switch reach the bridge; returns its port that does."""
        row, settings = self.rows.uplink, self.settings
        if row is None:
            name = uplink_of(self.context.target.name, self.context.node)
            row = self.change.insert("Logical_Switch_Port", name=name, external_ids=self.context.marks())
        self.change.set(row, type="localnet", addresses=["unknown"], tag=[int(settings.vlan)] if settings.vlan else [])
        self.change.merge(row, options={"network_name": self.network})
        return row
