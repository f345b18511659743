"""A switch as it is in OVN's northbound database: the rows it is made of, and the settings they say."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.drivers.network.names import mapping_of, router_port_of
from reconciler.drivers.network.owner import OwnedRows, owner_of
from reconciler.drivers.operation import TOOL, refuse

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Database, Row

LEASE_TIME = "3600"
# Largest packets of guests, in bytes: on a switch that reaches a wire, and on one whose hosts are joined by tunnels,
# which add 58 bytes of Geneve to what the wire takes.
WIRE_MTU, TUNNEL_MTU = "1500", "1442"
_NOTE = "reconcile-set-"  # what the keys of settings among external_ids begin with
_OPTIONS = {"gateway": "router", "dhcp": "server_id", "mtu": "mtu", "dns": "dns_server"}  # of DHCP, not of DHCPv6


class SwitchRows(NamedTuple):
    """The rows of a switch that this program made; None for what it does not have."""

    switch: Row
    router: Row | None = None
    router_port: Row | None = None  # of the router, on the switch
    mapping: Row | None = None  # of the switch, to the router
    uplink: Row | None = None  # of the switch, to a bridge of a node
    dhcp: Row | None = None

    @property
    def others(self) -> list[Row]:
        """The ports of the switch but those to its own router and its own uplink."""
        return [each for each in self.switch.ports if each not in (self.mapping, self.uplink)]

    @classmethod
    def of(cls, rows: Database | Change, switch: Row) -> SwitchRows:
        """The rows of a switch."""
        return cls.among(OwnedRows(rows), switch)

    @classmethod
    def among(cls, owned: OwnedRows, switch: Row) -> SwitchRows:
        """The rows of a switch, where those of several are looked for."""
        owner, on_switch = owner_of(switch), router_port_of(switch.name)
        router = next(iter(owned.of("Logical_Router", owner)), None)
        return cls(
            switch,
            router,
            next((each for each in (router.ports if router is not None else ()) if each.name == on_switch), None),
            next((each for each in switch.ports if each.name == mapping_of(switch.name)), None),
            next((each for each in switch.ports if each.type == "localnet" and owner_of(each) == owner), None),
            next(iter(owned.of("DHCP_Options", owner)), None),
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
        """The addresses of the subnet."""
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
    def shown(self) -> dict[str, Any]:
        """The settings in the declared shape."""
        shape = {
            "subnet": self.subnet,
            "gateway": self.gateway,
            "dhcp": self.dhcp,
            "mtu": int(self.largest) if self.largest.isdigit() else 0,
            "dnsServers": list(self.dns),
            "bridge": self.bridge,
            "vlanId": int(self.vlan or 0),
            "excludeIPs": list(self.exclude),
            "ipv6": ":" in self.subnet,
        }
        return {name: value for name, value in shape.items() if value}

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


_FIELDS = tuple(each.name for each in fields(Settings))
_LISTS = ("dns", "exclude")
NOTES = tuple(f"{_NOTE}{name}" for name in _FIELDS)


def settings_of(rows: SwitchRows) -> Settings:
    """The settings that the rows of a switch say; where none says it, what was noted."""
    noted = _noted(rows.switch.external_ids)
    told: dict[str, str] = {}
    if rows.dhcp is not None and noted.network.version == 4:
        told = {ours: rows.dhcp.options.get(theirs, "") for ours, theirs in _OPTIONS.items()}
    elif rows.router_port is not None and rows.router_port.ipv6_ra_configs:
        told["mtu"] = rows.router_port.ipv6_ra_configs.get("mtu", "")
    if told.get("mtu") == noted.largest:
        told["mtu"] = noted.mtu
    if rows.uplink is not None:
        told["vlan"] = str(rows.uplink.tag[0]) if rows.uplink.tag else ""
    return replace(noted, **_values(told), **_addresses(noted, rows.switch.other_config))


def _noted(external_ids: Mapping[str, str]) -> Settings:
    notes = {name: external_ids.get(f"{_NOTE}{name}", "") for name in _FIELDS}
    return Settings(**_values(notes))


def _values(texts: Mapping[str, str]) -> dict[str, Any]:
    """Texts as the fields of settings have them."""
    return {name: _several(text) if name in _LISTS else text for name, text in texts.items()}


def _addresses(noted: Settings, other_config: Mapping[str, str]) -> dict[str, Any]:
    """The addresses of a switch as a row says them, if that is not what was noted in other words."""
    found: dict[str, Any] = {}
    if noted.network.version == 4:
        if other_config.get("subnet", "") != str(noted.network):
            found["subnet"] = other_config.get("subnet", "")
        excluded = other_config.get("exclude_ips", "").split()
        if excluded != noted.reserved:
            found["exclude"] = tuple(each for each in excluded if each not in (noted.gateway, noted.dhcp))
    return found


def notes_of(settings: Settings) -> dict[str, str]:
    """What is kept with a switch of its settings, as they were given."""
    kept = {name: getattr(settings, name) for name in _FIELDS}
    words = {name: value if isinstance(value, str) else " ".join(value) for name, value in kept.items()}
    return {f"{_NOTE}{name}": value for name, value in words.items() if value}


def is_routed(rows: SwitchRows, settings: Settings) -> bool:
    """Whether guests reach the router where the settings have it, and are told so."""
    port = rows.router_port
    if port is None or rows.mapping is None or rows.dhcp is None:
        return False
    return sorted(port.networks) == sorted(settings.networks)


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


def _several(text: str) -> tuple[str, ...]:
    """The servers of names in a text: one alone, or several in braces, which may be quoted."""
    return tuple(filter(None, re.split(r"[\s,]+", text.strip('"{} '))))
