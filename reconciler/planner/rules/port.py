"""NICs of machines, and what switches and bridges do for them."""

from __future__ import annotations

from reconciler.catalogue.operation import UNIVIRT
from reconciler.model import quantity
from reconciler.model.fields import replacing
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.planner.phase import Phase
from reconciler.planner.rules.rule import LIVE_AND_CONFIG, ChangeKind, Make, Rule, RuleContext, key, part


def rate(nic: Shape, way: str) -> str | None:
    """The limit of a NIC ``inbound`` or ``outbound`` in KiB a second; None if there is none."""
    rate = nic.get("qos", {}).get(way)
    return None if rate is None else str(rate // quantity.KIB)


def _nic_rate(way: str) -> Make:
    return lambda case: rate(case.part, way)


def _nic_source(case: RuleContext) -> str:
    nic = case.part
    address = f",ip={nic['ip']}" if "ip" in nic else ""
    switch = f",switch={nic['network']}" if "network" in nic else ""
    # uni-virt gives every guest virtio, and is not sent what its document leaves out.
    named = "model" in nic and (case.resources.agent, nic["model"]) != (UNIVIRT, "virtio")
    model = f",model={nic['model']}" if named else ""
    return f"source={nic['source']}{address}{switch}{model}"


def addresses(mac: str, nic: Shape) -> list[str]:
    """What only one NIC may have: its MAC, and its address in a network."""
    return [f"mac {mac}", *([f"ip {nic['ip']} of {nic.get('network')}"] if "ip" in nic else [])]


def _part_network(case: RuleContext) -> list[ResourceId]:
    if "network" in case.part:
        return [case.sibling(NETWORK, case.part["network"])]
    return case.resources.bridges_of(case.part, case.id.namespace)


SWITCHED = ("acls", "qosRules", "floatingIP", "vlan")  # what a NIC has from its switch or bridge, not itself


def _rule_of(*names: str, gone: bool = False) -> dict[str, Make]:
    """The parameters that say which rule of the switch is meant, and those named."""
    table: dict[str, Make] = {
        "swName": lambda case: str((case.old_holder if gone else case.holder)["network"]),
        "vmmac": lambda case: case.at[1],
        "type": part("direction"),
        "rule": lambda case: f"'{case.part.get('match', case.old.get('match'))}'",
        "operator": part("action"),
        "rate": part("rateKbps"),
        "burst": part("burstKbps"),
        "priority": part("priority"),
    }
    return {name: table[name] for name in ("swName", "type", "rule", "priority", *names)}


def _rule_network(case: RuleContext) -> list[ResourceId]:
    return [case.sibling(NETWORK, case.holder["network"])]


def _bridge(case: RuleContext) -> ResourceId:
    """The network that is the bridge a NIC is on: port VLANs are its operations."""
    return _bridge_under(case, case.part)


def _old_bridge(case: RuleContext) -> ResourceId:
    return _bridge_under(case, case.old)


def _bridge_under(case: RuleContext, nic: Shape) -> ResourceId:
    found = case.resources.bridges_of(nic, case.id.namespace)
    return found[0] if found else case.sibling(NETWORK, str(nic["source"]))


def _floating_networks(case: RuleContext) -> list[ResourceId]:
    return [
        case.sibling(NETWORK, case.holder["network"]),
        case.sibling(NETWORK, case.part["floatingIP"]["externalNetwork"]),
    ]


_FLOATING = ("nics.*.floatingIP", "nics.*.floatingIP.address", "nics.*.floatingIP.externalNetwork")

CHANGE: tuple[Rule, ...] = (
    # What the switch holds for a NIC goes before the NIC, and by the values it was set with.
    Rule(
        kind=MACHINE,
        fields=("nics.*.acls.*",),
        operation="DeprecatedACL",
        phase=Phase.ACL_REMOVAL,
        parameters=_rule_of("vmmac", gone=True),
        on=frozenset({ChangeKind.REMOVED}),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.qosRules.*",),
        operation="UnsetQoS",
        phase=Phase.QOS_RULE_REMOVAL,
        parameters=_rule_of("vmmac", gone=True),
        on=frozenset({ChangeKind.REMOVED}),
        frees=lambda case: [f"limit {case.key} of {case.old_holder['network']}"],
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*", *_FLOATING),
        operation="UnbindFloatingIP",
        phase=Phase.FLOATING_IP_REMOVAL,
        parameters={
            "swName": lambda case: str(case.old["network"]),
            "vmmac": key,
            "fip": lambda case: str(case.old["floatingIP"]["address"].split("/")[0]),
            "vmip": lambda case: str(case.old["ip"]),
        },
        on=frozenset({ChangeKind.REMOVED, ChangeKind.CHANGED}),
        when=lambda case: {"address", "externalNetwork"} <= (case.old.get("floatingIP") or {}).keys(),
        leaves=(("nics.*.floatingIP", None),),
        frees=lambda case: [f"ip {case.old['floatingIP']['address'].split('/')[0]} outside"],
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*", "nics.*.vlan"),
        operation="UnbindPortVlan",
        phase=Phase.PORT_VLAN_REMOVAL,
        parameters={"mac": key, "domain": lambda case: case.id.name, "vlan": lambda case: str(case.old["vlan"])},
        on=frozenset({ChangeKind.REMOVED, ChangeKind.CHANGED}),
        when=lambda case: case.old.get("vlan") is not None,
        carrier=_old_bridge,
        leaves=(("nics.*.vlan", None),),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*",),
        operation="UnplugNIC",
        phase=Phase.NIC_REMOVAL,
        parameters={
            "type": lambda case: case.old.get("type", case.part.get("type", "l2bridge")),
            "mac": key,
            **LIVE_AND_CONFIG,
        },
        on=frozenset({ChangeKind.REMOVED}),
        frees=lambda case: addresses(case.key, case.old),
        leaves=(("nics.*", None),),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*",),
        operation="PlugNIC",
        phase=Phase.NIC_PLUG,
        parameters={
            "type": part("type"),
            "source": _nic_source,
            "mac": key,
            "inbound": _nic_rate("inbound"),
            "outbound": _nic_rate("outbound"),
            **LIVE_AND_CONFIG,
        },
        on=frozenset({ChangeKind.ADDED}),
        uses=_part_network,
        takes=lambda case: addresses(case.key, case.part),
        covers=(*replacing(MACHINE, "nics"), "qos"),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.qos.inbound", "nics.*.qos.outbound"),
        operation="TuneNICQoS",
        phase=Phase.NIC_LIMITS,
        parameters={
            "_interface": key,
            "inbound": _nic_rate("inbound"),
            "outbound": _nic_rate("outbound"),
            **LIVE_AND_CONFIG,
        },
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.acls.*",),
        operation="AddACL",
        phase=Phase.ACL,
        parameters=_rule_of("vmmac", "operator"),
        on=frozenset({ChangeKind.ADDED}),
        uses=_rule_network,
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.acls.*.action",),
        operation="ModifyACL",
        phase=Phase.ACL,
        parameters=_rule_of("vmmac", "operator"),
        uses=_rule_network,
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.qosRules.*",),
        operation="SetQoS",
        phase=Phase.QOS_RULE,
        parameters=_rule_of("rate", "burst"),
        on=frozenset({ChangeKind.ADDED}),
        uses=_rule_network,
        takes=lambda case: [f"limit {case.key} of {case.holder['network']}"],
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.qosRules.*.rateKbps", "nics.*.qosRules.*.burstKbps"),
        operation="ModifyQoS",
        phase=Phase.QOS_RULE,
        parameters=_rule_of("rate", "burst"),
        uses=_rule_network,
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*", *_FLOATING),
        operation="BindFloatingIP",
        phase=Phase.FLOATING_IP,
        parameters={
            "swName": lambda case: str(case.part["network"]),
            "outSwName": lambda case: str(case.part["floatingIP"]["externalNetwork"]),
            "fip": lambda case: str(case.part["floatingIP"]["address"]),
        },
        on=frozenset({ChangeKind.ADDED, ChangeKind.CHANGED}),
        when=lambda case: "floatingIP" in case.part,
        uses=_floating_networks,
        takes=lambda case: [f"ip {case.part['floatingIP']['address'].split('/')[0]} outside"],
        covers=("floatingIP",),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*", "nics.*.vlan"),
        operation="BindPortVlan",
        phase=Phase.PORT_VLAN,
        parameters={"mac": key, "domain": lambda case: case.id.name, "vlan": part("vlan")},
        on=frozenset({ChangeKind.ADDED, ChangeKind.CHANGED}),
        when=lambda case: "vlan" in case.part,
        carrier=_bridge,
        uses=lambda case: [_bridge(case)],
        covers=("vlan",),
    ),
)
