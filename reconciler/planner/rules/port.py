"""NICs of machines, and what switches and bridges do for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.model import quantity
from reconciler.model.fields import replacing
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.model.wire import UNIVIRT
from reconciler.planner.phase import Phase
from reconciler.planner.rules.loss import ALLOWS, DROPPED, NEW_NIC, RATE_RISES, limits_rise
from reconciler.planner.rules.rule import LIVE_AND_CONFIG, ChangeKind, Make, Rule, RuleContext, key, part

Place = Callable[[RuleContext], tuple[Any, ...]]


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


def limit_token(limit: str, nic: Shape) -> str:
    """A limit that only one NIC of a switch may have."""
    return f"limit {limit} of {nic.get('network')}"


def _place(case: RuleContext, mac: str) -> str:
    """What a NIC leaves to the one that takes its place: a machine does not have both."""
    return f"place {case.id.name} {mac}"


def _taken_place(case: RuleContext) -> list[str]:
    return [_place(case, case.succeeds[case.at][-1])] if case.at in case.succeeds else []


def outside(address: str) -> str:
    """An address of the outside network, of which only one NIC may have one bound to it."""
    return f"ip {address.split('/')[0]} outside"


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


def _rule_networks(case: RuleContext) -> list[ResourceId]:
    """The switch of a rule of access, and the address sets that it names."""
    sets = case.resources.address_sets([str(case.part["match"])], case.id.namespace)
    return [*_rule_network(case), *sets]


def _leaves(case: RuleContext) -> bool:
    """Whether the NIC that a rule is of is unplugged: its rules go with its port."""
    return case.at[:2] in case.going


def _arrives(case: RuleContext) -> bool:
    """Whether the NIC that a rule is of is plugged in by the same plan."""
    return _leaves(case) or case.at[1] not in case.seen.get("nics", {})


def _is_new(case: RuleContext) -> bool:
    """Whether the port of the NIC does not have the rule."""
    return _leaves(case) or case.key not in case.old_holder.get("acls", {})


def _limit_stays(case: RuleContext) -> bool:
    """Whether a switch has a limit for a NIC of the machine before and after: it is the switch's, not the NIC's.

    The NIC may be another one where the old one goes. What an apply that was cut short set for a NIC that it did not
    plug in any more is noted.
    """
    mac, network = case.at[1], (case.holder if case.part else case.old_holder)["network"]
    before, after = (_with_limit(shape, network, case.key) for shape in (case.seen, case.desired))
    gone = {each for each in before if ("nics", each) in case.going}
    if case.part:
        return mac in before or bool(gone) or case.key in _noted_limits(case)
    return mac in gone and bool(after)


def _noted_limits(case: RuleContext) -> Shape:
    """The limits that are noted for a NIC that the machine does not have."""
    if case.created or case.observed is None or case.at[1] in case.seen.get("nics", {}):
        return {}
    noted: Shape = case.observed.applied.get("nics", {}).get(case.at[1], {}).get("qosRules", {})
    return noted


def _stays_on_its_switch(case: RuleContext) -> bool:
    """Whether a NIC that is unplugged comes back on the same switch."""
    return bool(case.holder) and case.holder.get("network") == case.old_holder.get("network")


def _limit_place(case: RuleContext) -> tuple[Any, ...]:
    if case.created:
        return Phase.CREATION, case.at[1], 3
    # What is noted for a NIC is of the switch that it is on, so first it leaves the old one.
    return (Phase.NIC_PLUG, case.at[1], -1) if _leaves(case) and not _stays_on_its_switch(case) else ()


def _with_limit(machine: Shape, network: str, limit: str) -> set[str]:
    """The MAC addresses of the NICs that have a limit of a switch."""
    nics = machine.get("nics", {}).items()
    return {mac for mac, nic in nics if nic.get("network") == network and limit in nic.get("qosRules", {})}


def _next_to_its_nic(number: int, order: Callable[[RuleContext], tuple[int, ...]] = lambda case: ()) -> Place:
    """The place of what protects a NIC: right after the NIC is there, before the next one comes.

    ``number`` is the place among what one NIC needs, ``order`` that among several of a sort.
    """

    def place(case: RuleContext) -> tuple[Any, ...]:
        if _arrives(case):
            return Phase.NIC_PLUG, case.at[1], number, *order(case)
        if case.created:
            return Phase.CREATION, case.at[1], number, *order(case)
        return ()

    return place


def _restricting_first(case: RuleContext) -> tuple[int, ...]:
    """Of the rules of a NIC that had none: all that drop before any that allows."""
    return int(case.part["action"] != "drop"), -int(case.part["priority"])


def _add_place(case: RuleContext) -> tuple[Any, ...]:
    """The place of a rule that comes.

    On a port with rules those of high priority come first, and the old ones go from the lowest priority on
    (``_removal_place``): whatever packet it is, what decides on it is at any time what did before or what will in the
    end. On a port without rules everything is open until all that drop are there.
    """
    return _next_to_its_nic(2, _restricting_first)(case) or (
        Phase.ACL,
        -int(case.part["priority"]),
        int(case.part["action"] != "drop"),
    )


def _removal_place(case: RuleContext) -> tuple[Any, ...]:
    return Phase.ACL_REMOVAL, int(case.old["priority"]), int(case.old["action"] == "drop")


def _vlan_stays(case: RuleContext) -> bool:
    """Whether the NIC is to be in a VLAN of the same bridge: it is put from one into the other."""
    return case.part.get("vlan") is not None and _bridge(case) == _old_bridge(case)


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
    # The rules of a NIC that is unplugged need no step: they are of its port, and go with it.
    Rule(
        kind=MACHINE,
        fields=("nics.*.acls.*",),
        operation="DeprecatedACL",
        phase=Phase.ACL_REMOVAL,
        parameters=_rule_of("vmmac", gone=True),
        on=frozenset({ChangeKind.REMOVED}),
        when=lambda case: not case.part and not _leaves(case),
        place=_removal_place,
        milder=(DROPPED,),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.qosRules.*",),
        operation="UnsetQoS",
        phase=Phase.QOS_RULE_REMOVAL,
        parameters=_rule_of("vmmac", gone=True),
        on=frozenset({ChangeKind.REMOVED}),
        when=lambda case: not _limit_stays(case),
        yields=Phase.QOS_RULE_HANDOVER,
        frees=lambda case: [limit_token(case.key, case.old_holder)],
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
        frees=lambda case: [outside(case.old["floatingIP"]["address"])],
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*", "nics.*.vlan"),
        operation="UnbindPortVlan",
        phase=Phase.PORT_VLAN_REMOVAL,
        parameters={"mac": key, "domain": lambda case: case.id.name, "vlan": lambda case: str(case.old["vlan"])},
        on=frozenset({ChangeKind.REMOVED, ChangeKind.CHANGED}),
        when=lambda case: case.old.get("vlan") is not None and not _vlan_stays(case),
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
        frees=lambda case: [*addresses(case.key, case.old), _place(case, case.key)],
        leaves=(("nics.*", None),),
        keeps=lambda case: ("qosRules",) if _stays_on_its_switch(case) else (),
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
        takes=lambda case: [*addresses(case.key, case.part), *_taken_place(case)],
        place=lambda case: (Phase.NIC_PLUG, case.key, 0),
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
        milder=(limits_rise("inbound", "outbound"),),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.acls.*",),
        operation="AddACL",
        phase=Phase.ACL,
        parameters=_rule_of("vmmac", "operator"),
        on=frozenset({ChangeKind.ADDED}),
        when=_is_new,
        uses=_rule_networks,
        place=_add_place,
        milder=(ALLOWS, NEW_NIC),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.acls.*", "nics.*.acls.*.action"),
        operation="ModifyACL",
        phase=Phase.ACL,
        parameters=_rule_of("vmmac", "operator"),
        on=frozenset({ChangeKind.ADDED, ChangeKind.CHANGED}),
        when=lambda case: not _is_new(case),
        uses=_rule_networks,
        place=_add_place,
        milder=(ALLOWS,),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.qosRules.*",),
        operation="SetQoS",
        phase=Phase.QOS_RULE,
        parameters=_rule_of("rate", "burst"),
        on=frozenset({ChangeKind.ADDED}),
        when=lambda case: not _limit_stays(case),
        uses=_rule_network,
        place=_limit_place,
        takes=lambda case: [limit_token(case.key, case.holder)],
        milder=(NEW_NIC,),
    ),
    Rule(
        kind=MACHINE,
        fields=("nics.*.qosRules.*", "nics.*.qosRules.*.rateKbps", "nics.*.qosRules.*.burstKbps"),
        operation="ModifyQoS",
        phase=Phase.QOS_RULE,
        parameters=_rule_of("rate", "burst"),
        on=frozenset({ChangeKind.ADDED, ChangeKind.CHANGED}),
        when=_limit_stays,
        uses=_rule_network,
        place=_limit_place,
        milder=(RATE_RISES,),
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
        takes=lambda case: [outside(case.part["floatingIP"]["address"])],
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
        place=_next_to_its_nic(1),
        covers=("vlan",),
        milder=(NEW_NIC,),
    ),
)
