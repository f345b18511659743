"""Refusals of NICs and of networks: what somebody has already, and what a switch cannot give."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.manifests.addresses import Subnet, floating_address_errors, nic_address_errors, subnet_of
from reconciler.manifests.finding import Finding
from reconciler.manifests.network_checks import routed_on_bridge
from reconciler.model.kinds import NETWORK
from reconciler.model.problem import shown
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.observe.network import bridge_shown, switch_shown
from reconciler.planner.changes import ResourceChanges
from reconciler.planner.inputs import PlanInput
from reconciler.planner.refusals.refusal import Refusal, Row, added, changes_at, elsewhere, is_ours, owner

_Errors = Callable[[Shape, Subnet, str], Iterator[Finding]]  # of an address of a NIC on a switch
_Key = tuple[str, ...]  # what only one NIC may have


def _nics_with(each: ResourceChanges, field: str) -> Iterator[tuple[str, Shape]]:
    """The NICs that get a field: they come with it, or it changes."""
    new = dict(added(each, "nics"))
    for mac, nic in each.declared.shape.get("nics", {}).items():
        if field in nic and (mac in new or changes_at(each, "nics", mac, field)):
            yield mac, nic


def _wanted(each: ResourceChanges) -> Iterator[tuple[_Key, tuple[str, ...], str]]:
    """What the NICs of a machine will take that they do not have: key, path, and what it is in words."""
    namespace = each.declared.id.namespace
    for mac, _ in added(each, "nics"):
        yield ("mac", mac), ("nics", mac, "mac"), f"the MAC address {mac}"
    for mac, nic in _nics_with(each, "ip"):
        key = ("ip", namespace, str(nic.get("network")), nic["ip"])
        yield key, ("nics", mac, "ip"), f"{nic['ip']} on {nic.get('network')}"
    for mac, nic in _nics_with(each, "floatingIP"):
        outside, address = nic["floatingIP"]["externalNetwork"], nic["floatingIP"]["address"].partition("/")[0]
        yield ("ip", namespace, outside, address), ("nics", mac, "floatingIP", "address"), f"{address} on {outside}"
    for mac, nic in _nics_with(each, "qosRules"):
        for limit in nic["qosRules"]:
            network = str(nic.get("network", ""))
            path = ("nics", mac, "qosRules", limit)
            yield ("limit", namespace, network, limit), path, f"the limit {shown(limit)} of {network}"


def _taken_by_another(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A MAC, an address, a floating one or a limit of a switch that a machine has which is not described here."""
    for key, path, what in _wanted(each):
        holder = inputs.resources.claimed_elsewhere.get(key)
        if holder is not None and not is_ours(inputs, holder):
            message = f"{what} is in use by {owner(inputs, holder)}"
            yield Refusal(path, message, "Choose another one, or take it from that machine first.")


def _not_for_this_switch(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """An address that a switch cannot give as the cluster has it; by what manifests say, it is checked offline."""
    for mac, nic in _nics_with(each, "ip"):
        if "network" in nic:
            yield from _refused_by(inputs, each, mac, nic["network"], nic_address_errors)
    for mac, nic in _nics_with(each, "floatingIP"):
        yield from _refused_by(inputs, each, mac, nic["floatingIP"]["externalNetwork"], floating_address_errors)


def _refused_by(inputs: PlanInput, each: ResourceChanges, mac: str, name: str, errors: _Errors) -> Iterator[Refusal]:
    """What the switch of a network has against an address of a NIC, on the cluster or by what stays there."""
    network = ResourceId(NETWORK, name, each.declared.id.namespace)
    if (subnet := _observed_subnet(inputs, network)) is not None:
        for finding in errors(each.declared.shape["nics"][mac], subnet, str(network)):
            yield Refusal(("nics", mac, *map(str, finding.path)), finding.message, finding.remedy)


def _observed_subnet(inputs: PlanInput, network: ResourceId) -> Subnet | None:
    observed = inputs.observed.get(network)
    if observed is None or not observed.exists:
        return None
    declared = inputs.desired.resources.get(network)
    then = declared.shape.get("switch", {}) if declared is not None else {}
    now = observed.shape.get("switch") or switch_shown(observed.spec, network.name)
    return subnet_of({**now, **then})


def _vlan_without_bridge(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """Port VLANs are set through the network that is the bridge of a NIC."""
    id = each.declared.id
    for mac, nic in _nics_with(each, "vlan"):
        carrier = ResourceId(NETWORK, str(nic["source"]), id.namespace)
        if not inputs.resources.bridges_of(nic, id.namespace) and not inputs.resources.exists(carrier):
            message = f"no network is described or known that is the bridge {nic['source']}, which would set the VLAN"
            remedy = "Add a VirtualMachineNetwork with that bridge, or remove vlan."
            yield Refusal(("nics", mac, "vlan"), message, remedy)


def _routed_on_a_bridge(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A NIC of a switch on a bridge that the cluster has; those that manifests describe are checked offline."""
    id, node = each.declared.id, each.declared.node
    for mac, nic in _nics_with(each, "type"):
        for network in inputs.resources.bridges_of(nic, id.namespace) if nic["type"] == "l3bridge" else ():
            if network not in inputs.desired.resources and not elsewhere(inputs, network, node):
                finding = routed_on_bridge(str(nic["source"]), network)
                yield Refusal(("nics", mac, *map(str, finding.path)), finding.message, finding.remedy)


def _bridge_of_another(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    bridge = each.declared.shape.get("bridge")
    if bridge is None or each.creation is None:
        return
    for observed in inputs.resources.elsewhere.get(NETWORK, ()):
        id, shape = observed.id, observed.shape.get("bridge") or {}
        if observed.node.lower() != each.declared.node.lower():
            continue
        if is_ours(inputs, id) and bridge["name"] == shape.get("name"):
            continue
        if bridge["name"] in (shape.get("name"), bridge_shown(observed.spec)):
            message = f"the bridge {bridge['name']} of {each.declared.node} is {owner(inputs, id)}"
            yield Refusal(("bridge", "name"), message, "Choose another name, or take that network over.")
        elif bridge["nic"] == shape.get("nic"):
            message = f"the card {bridge['nic']} of {each.declared.node} is in use by {owner(inputs, id)}"
            yield Refusal(("bridge", "nic"), message, "Choose another card.")


NIC_ROWS: tuple[Row, ...] = (_taken_by_another, _not_for_this_switch, _vlan_without_bridge, _routed_on_a_bridge)
NETWORK_ROWS: tuple[Row, ...] = (_bridge_of_another,)
