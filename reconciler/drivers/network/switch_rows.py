"""A switch as it is in OVN's northbound database: the rows it is made of, and the settings they say."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.drivers.network.names import mapping_of, router_port_of
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.operation import TOOL, refuse

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Database, Row

LEASE_TIME = "3600"
# Largest packets of guests, in bytes: on a switch that reaches a wire, and on one whose hosts are joined by tunnels,
# which add 58 bytes of Geneve to what the wire takes.
WIRE_MTU, TUNNEL_MTU = "1500", "1442"
_NOTE = "reconcile-"  # what the keys of settings among external_ids begin with
BRIDGE_NOTE = f"{_NOTE}bridge"  # with an uplink: the bridge that it leads to
_OPTIONS = {"gateway": "router", "dhcp": "server_id", "mtu": "mtu", "dns": "dns_server"}  # of DHCP, not of DHCPv6


class SwitchRows(NamedTuple):
    """The rows of a switch that this program made; None for what it does not have."""

    switch: Row
    router: Row | None = None
    router_port: Row | None = None  # of the router, on the switch
    mapping: Row | None = None  # of the switch, to the router
    uplink: Row | None = None  # of the switch, to a bridge of a node
    dhcp: Row | None = None
    names: tuple[Row, ...] = ()  # of DNS

    @property
    def others(self) -> list[Row]:
        """The ports of the switch but those to its own router and its own uplink."""
        return [each for each in self.switch.ports if each not in (self.mapping, self.uplink)]

    @classmethod
    def of(cls, rows: Database | Change, switch: Row) -> SwitchRows:
        """The rows of a switch."""
        owner = owner_of(switch)
        router = next((each for each in rows.rows("Logical_Router") if owner_of(each) == owner), None)
        on_switch = router_port_of(switch.name)
        return cls(
            switch,
            router,
            next((each for each in (router.ports if router is not None else ()) if each.name == on_switch), None),
            next((each for each in switch.ports if each.name == mapping_of(switch.name)), None),
            next((each for each in switch.ports if each.type == "localnet" and owner_of(each) == owner), None),
            next((each for each in rows.rows("DHCP_Options") if owner_of(each) == owner), None),
            tuple(each for each in rows.rows("DNS") if owner_of(each) == owner),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What CreateSwitch and ModifySwitch say of a switch; empty where they say nothing."""

    subnet: str
    gateway: str
    dhcp: str = ""  # the address of the router; empty where there is none
    mtu: str = ""
    dns: tuple[str, ...] = ()
    bridge: str = ""  # the network behind the uplink
    vlan: str = ""
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Settings:
        """What the parameters of CreateSwitch say."""
        exclude = tuple(re.split(r"[\s,]+", str(parameters.get("excludeIPs", "")).strip()))
        bridge = str(parameters.get("bridge", ""))
        bare = cls(str(parameters.get("subnet", "")), "", bridge=bridge, exclude=tuple(filter(None, exclude)))
        return bare.given(parameters)

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        return ipaddress.ip_network(self.subnet, strict=False)

    def given(self, parameters: Mapping[str, Any]) -> Settings:
        """The settings with what the parameters of an operation say; servers of names that are not given are gone."""
        text = {name: str(value) for name, value in parameters.items()}
        return replace(
            self,
            gateway=text.get("gateway", self.gateway),
            dhcp=text.get("dhcp", self.dhcp),
            mtu=text.get("mtu", self.mtu),
            vlan=text.get("vlanId", self.vlan),
            dns=_several(text.get("dnsServer", "")),
        )

    def check(self, name: str) -> None:
        """Refuse addresses that the subnet does not have."""
        for what, address in (("gateway", self.gateway), ("dhcp", self.dhcp)):
            if address and not self._has(address):
                refuse(TOOL, f"switch {name}: {what} {address} is not an address of subnet {self.subnet}")
        for range in self.exclude:
            for address in range.split(".."):
                if not self._has(address):
                    refuse(TOOL, f"switch {name}: excludeIPs {range} is not in subnet {self.subnet}")

    def _has(self, address: str) -> bool:
        return ipaddress.ip_address(address) in self.network

    @property
    def networks(self) -> list[str]:
        """Where the router stands: it answers DHCP, and is the way out unless that is behind the uplink."""
        answers = [self.dhcp] if self.bridge or self.gateway == self.dhcp else [self.dhcp, self.gateway]
        return [f"{each}/{self.network.prefixlen}" for each in answers]

    @property
    def reserved(self) -> list[str]:
        """What is not given to NICs."""
        return [*self.exclude, *(each for each in dict.fromkeys((self.gateway, self.dhcp)) if each)]

    @property
    def largest(self) -> str:
        """The size of packets that guests are told, in bytes."""
        return self.mtu or (WIRE_MTU if self.bridge else TUNNEL_MTU)


def settings_of(rows: SwitchRows) -> Settings:
    """The settings that the rows of a switch say."""
    notes = {key.removeprefix(_NOTE): value for key, value in rows.switch.external_ids.items() if key.startswith(_NOTE)}
    options = {} if rows.dhcp is None else rows.dhcp.options
    told = notes | {ours: options[theirs] for ours, theirs in _OPTIONS.items() if theirs in options and not _v6(rows)}
    ends = {told.get("gateway"), told.get("dhcp")}
    excluded = rows.switch.other_config.get("exclude_ips", "").split()
    return Settings(
        subnet=told.get("subnet", ""),
        gateway=told.get("gateway", ""),
        dhcp=told.get("dhcp", "") if rows.router_port is not None else "",
        mtu=told.get("mtu", ""),
        dns=_several(told.get("dns", "")),
        bridge=rows.uplink.external_ids.get(BRIDGE_NOTE, "") if rows.uplink is not None else "",
        vlan=str(rows.uplink.tag[0]) if rows.uplink is not None and rows.uplink.tag else "",
        exclude=tuple(each for each in excluded if each not in ends),
    )


def notes_of(settings: Settings) -> dict[str, str]:
    """What is kept with a switch of its settings, as no other column has it."""
    kept = {"subnet": settings.subnet}
    if settings.network.version == 6 or not settings.dhcp:
        kept |= {"gateway": settings.gateway, "dhcp": settings.dhcp, "mtu": settings.mtu, "dns": " ".join(settings.dns)}
    return {f"{_NOTE}{name}": value for name, value in kept.items() if value}


def dhcp_options(settings: Settings, mac: str) -> dict[str, str]:
    """What guests are told: over DHCP the whole, over DHCPv6 what the advertisements of the router do not say."""
    dns = {"dns_server": "{" + ", ".join(settings.dns) + "}"} if settings.dns else {}
    if settings.network.version == 6:
        return {"server_id": mac, **dns}
    return {
        "server_id": settings.dhcp,
        "server_mac": mac,
        "lease_time": LEASE_TIME,
        "router": settings.gateway,
        "mtu": settings.largest,
        **dns,
    }


def _v6(rows: SwitchRows) -> bool:
    return rows.dhcp is not None and ":" in rows.dhcp.cidr


def _several(text: str) -> tuple[str, ...]:
    """The servers of names in a text: one alone, or several in braces, which may be quoted."""
    return tuple(filter(None, re.split(r"[\s,]+", text.strip('"{} '))))
