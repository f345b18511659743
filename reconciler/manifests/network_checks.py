"""Checks of networks against each other, and of NICs against the networks whose bridges they are on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from reconciler.manifests.addresses import Subnet, subnet_of
from reconciler.manifests.desired import Declared
from reconciler.manifests.finding import Finding
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.problem import Problem, Severity
from reconciler.model.resource import ResourceId

Bridges = Mapping[tuple[str, str, str], ResourceId]  # namespace, node in lower case, and name -> the network


def bridge_of(resource: Declared) -> tuple[str, str, str] | None:
    """Namespace, node and name of the bridge that a resource is; None if it is none."""
    if resource.id.kind != NETWORK or "bridge" in resource.broken:
        return None
    name = resource.shape.get("bridge", {}).get("name")
    return (resource.id.namespace, _node(resource), str(name)) if name else None


def routed_on_bridges(machine: Declared, bridges: Bridges) -> Iterator[Problem]:
    """A problem for each NIC of type l3bridge whose source is a bridge that a network describes: no switch has it."""
    if machine.id.kind != MACHINE or not bridges or "nics" in machine.broken:
        return
    for index, nic in enumerate(machine.spec["nics"]):
        network = bridges.get((machine.id.namespace, _node(machine), nic["source"]))
        if network is not None and nic["type"] == "l3bridge":
            yield machine.manifest.problem(routed_on_bridge(nic["source"], network).under("spec", "nics", index))


def routed_on_bridge(source: str, network: ResourceId) -> Finding:
    """The finding about a NIC of type l3bridge, in which its path begins, whose source is the bridge of a network."""
    message = f"{source} is the bridge of {network}, and a switch reaches NICs on br-int only"
    return Finding(("type",), message, "Use type: l2bridge without network and ip, or source: br-int.")


def overlapping_subnets(resources: Iterable[Declared]) -> Iterator[Problem]:
    """A warning for each switch of a namespace whose subnet has addresses of another one's.

    Switches with routers of their own may have them. Each is compared with the one that begins before it and reaches
    furthest, so that many that overlap are no more warnings than switches.
    """
    found: dict[tuple[str, int], list[tuple[Subnet, Declared]]] = defaultdict(list)
    for each in resources:
        subnet = subnet_of(each.shape["switch"]) if each.id.kind == NETWORK and "switch" in each.shape else None
        if subnet is not None:
            found[each.id.namespace, subnet.network.version].append((subnet, each))
    for switches in found.values():
        switches.sort(key=lambda each: (int(each[0].network.network_address), each[0].network.prefixlen, each[1].id))
        (widest, first), *others = switches
        for subnet, switch in others:
            if int(subnet.network.network_address) <= int(widest.network.broadcast_address):
                yield _overlap(switch, subnet, first, widest)
            else:
                widest, first = subnet, switch


def _overlap(switch: Declared, subnet: Subnet, other: Declared, others: Subnet) -> Problem:
    place = other.manifest.origin("spec", "switch", "subnet")
    what = "is also the subnet" if subnet.network == others.network else f"overlaps {others.network}"
    message = f"{subnet.network} {what} of {other.id} at {place}: nothing can reach both by its address"
    remedy = "Give each switch a subnet of its own, unless they are never to be connected."
    return switch.manifest.problem(Finding(("spec", "switch", "subnet"), message, remedy, severity=Severity.WARNING))


def _node(resource: Declared) -> str:
    return str(resource.shape.get("nodeName", "")).lower()
