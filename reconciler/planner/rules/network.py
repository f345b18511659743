"""Switches, bridges and address sets."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.model.kinds import NETWORK
from reconciler.planner.phase import Phase
from reconciler.planner.rules.loss import LEASES_ONLY, TAKES_NO_FLOW
from reconciler.planner.rules.rule import CreateRule, DeleteRule, Rule, RuleContext, if_changed, text


def _ipv6(case: RuleContext) -> str | None:
    return "true" if (case.either("switch", "ipv6")) else None


def _dns(case: RuleContext) -> str | None:
    """One server stands alone; several go into the quoted braces that the API expects (quirk Q96)."""
    servers = case.desired["switch"].get("dnsServers")
    if not servers:
        return None
    return str(servers[0]) if len(servers) == 1 else '"{' + ",".join(servers) + '}"'


def _excluded(case: RuleContext) -> str | None:
    ranges = case.desired["switch"].get("excludeIPs")
    return " ".join(ranges) if ranges else None


def _is_network(name: str) -> Callable[[RuleContext], bool]:
    """Which of the three a network is: as applied, or else by what the observed type can tell."""

    def check(case: RuleContext) -> bool:
        known = [each for each in ("switch", "bridge", "addresses") if each in {**case.seen, **case.desired}]
        if known:
            return name in known
        layer2 = case.observed is not None and case.observed.spec.get("type") == "l2network"
        return name == ("bridge" if layer2 else "switch")

    return check


CREATE: tuple[CreateRule, ...] = (
    CreateRule(
        kind=NETWORK,
        operation="CreateSwitch",
        parameters={
            "subnet": text("switch", "subnet"),
            "gateway": text("switch", "gateway"),
            "dhcp": text("switch", "dhcp"),
            "mtu": text("switch", "mtu"),
            "bridge": text("switch", "bridge"),
            "vlanId": text("switch", "vlanId"),
            "excludeIPs": _excluded,
            "dnsServer": _dns,
            "ipv6": _ipv6,
        },
        when=lambda case: "switch" in case.desired,
    ),
    CreateRule(
        kind=NETWORK,
        operation="CreateBridge",
        parameters={"nic": text("bridge", "nic"), "name": text("bridge", "name"), "vlan": text("bridge", "vlan")},
        when=lambda case: "bridge" in case.desired,
    ),
    CreateRule(
        kind=NETWORK,
        operation="CreateAddress",
        parameters={"address": lambda case: ",".join(case.desired["addresses"])},
        when=lambda case: "addresses" in case.desired,
    ),
)

CHANGE: tuple[Rule, ...] = (
    Rule(
        kind=NETWORK,
        fields=tuple(f"switch.{name}" for name in ("gateway", "mtu", "dnsServers", "dhcp", "vlanId")),
        operation="ModifySwitch",
        phase=Phase.NETWORK_SETTINGS,
        parameters={
            "gateway": if_changed("switch", "gateway"),
            "mtu": if_changed("switch", "mtu"),
            # Left out, it would be dropped (wire format 7.2); dhcp, sent again, takes the router port down.
            "dnsServer": lambda case: _dns(case),
            "dhcp": if_changed("switch", "dhcp"),
            "vlanId": if_changed("switch", "vlanId"),
            "ipv6": lambda case: _ipv6(case),
        },
        milder=(LEASES_ONLY,),
    ),
    Rule(
        kind=NETWORK,
        fields=("bridge.vlan",),
        operation="DelBridgeVlan",
        phase=Phase.BRIDGE_VLAN_REMOVAL,
        parameters={"name": text("bridge", "name"), "vlan": lambda case: str(case.seen["bridge"]["vlan"])},
        # SetBridgeVlan puts a bridge from one VLAN into another.
        when=lambda case: "vlan" not in case.desired["bridge"],
        leaves=(("bridge.vlan", None),),
    ),
    Rule(
        kind=NETWORK,
        fields=("bridge.vlan",),
        operation="SetBridgeVlan",
        phase=Phase.NETWORK_SETTINGS,
        parameters={"name": text("bridge", "name"), "vlan": lambda case: str(case.desired["bridge"]["vlan"])},
        when=lambda case: "vlan" in case.desired["bridge"],
    ),
    Rule(
        kind=NETWORK,
        fields=("addresses",),
        operation="ModifyAddress",
        phase=Phase.NETWORK_SETTINGS,
        parameters={"address": lambda case: ",".join(case.desired["addresses"])},
        milder=(TAKES_NO_FLOW,),
    ),
)

DELETE: tuple[DeleteRule, ...] = (
    DeleteRule(
        kind=NETWORK,
        operation="DeleteSwitch",
        parameters={"bridge": text("switch", "bridge"), "ipv6": lambda case: "True" if _ipv6(case) else None},
        when=_is_network("switch"),
    ),
    DeleteRule(
        kind=NETWORK,
        operation="DeleteBridge",
        parameters={"nic": text("bridge", "nic"), "name": text("bridge", "name")},
        when=_is_network("bridge"),
    ),
    DeleteRule(kind=NETWORK, operation="DeleteAddress", when=_is_network("addresses")),
)
