"""Machines: how they run, what their next start takes, and what switches, bridges and the node hold for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.simulator.acl import DEFAULT_PRIORITY, named_in
from reconciler.drivers.simulator.act import Act, Entity, key_of
from reconciler.drivers.simulator.claims import definitions, settle
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId
from reconciler.model.shape import overlaid
from reconciler.model.wire import NEXT_START
from reconciler.observe.observed import Observed
from reconciler.rehearsal.seed.definition import next_start, normal
from reconciler.rehearsal.seed.network import bridge_named, is_switch
from reconciler.rehearsal.seed.result import SeedResult, facts, part
from reconciler.rehearsal.seed.storage import stand_in

Ports = Mapping[tuple[str, str], tuple[str, str]]  # namespace and MAC address -> switch and address


def machine(bed: SeedResult, observed: Observed, ports: Ports) -> None:
    """A machine that holds nothing yet. ``ports`` are those that switches show."""
    spec, id, shape = facts(observed), observed.id, observed.shape
    domain = normal(part(spec, "domain"), id)
    spec.setdefault("powerstate", "Shutdown")
    told = spec.pop(NEXT_START, None)
    hidden: dict[str, Any] = {"nics": {}, "autostart": bool(shape.get("autostart", False))}
    if spec["powerstate"] in ("Shutdown", "Crashed") or not ("_id" in domain or spec["powerstate"] != "Unknown"):
        del spec["domain"]
        entity = bed.put(id, observed.node, spec, hidden, persistent=domain)
    else:
        spec["domain"] = domain
        definition = next_start(normal({**domain, **told}, id) if isinstance(told, dict) else domain, observed.pending)
        entity = bed.put(id, observed.node, spec, hidden, persistent=definition)
        counter = f"domains:{entity['node']}"
        bed.world[counter] = max(int(bed.world.get(counter, 0)), int(domain.get("_id", 0)))
        if told is None:
            bed.assume(id, "starts next as it runs now, but for what is known to wait for that")
    for mac, nic in shape.get("nics", {}).items():
        hidden["nics"][mac] = _port(bed, id, mac, nic, ports)
    _console(hidden, spec, observed)
    if isinstance(files := shape.get("devices"), dict) and files:
        hidden["device_files"] = {"live": list(files) if "domain" in spec else [], "config": list(files)}


def _port(bed: SeedResult, id: ResourceId, mac: str, nic: Mapping[str, Any], ports: Ports) -> dict[str, Any]:
    """What a NIC is plugged into, as it was applied or as its switch shows it."""
    shown = ports.get((id.namespace, mac))
    name = nic.get("network") or (shown[0] if shown else "")
    if not name:
        return {"type": nic.get("type", "l2bridge")}
    if not is_switch(bed, str(name), id.namespace):
        bed.assume(id, f"NIC {mac} is on no switch: {NETWORK}/{name} is none that is there")
        return {"type": nic.get("type", "l3bridge")}
    address = nic.get("ip") or (shown[1] if shown else "dynamic")
    return {"type": nic.get("type", "l3bridge"), "switch": str(name), "ip": str(address)}


def _console(hidden: dict[str, Any], spec: dict[str, Any], observed: Observed) -> None:
    shapes = {"config": overlaid(observed.shape, observed.pending)} | (
        {"live": observed.shape} if "domain" in spec else {}
    )
    known = {which: shape.get("graphics", {}).get("passwordFrom") for which, shape in shapes.items()}
    if console := {which: str(digest) for which, digest in known.items() if digest}:
        hidden["console"] = console


# What it holds


def hold(bed: SeedResult, observed: Observed) -> None:
    """Have a machine hold what its definitions claim, and switches do for it what they were told.

    Raises ``OperationFailed`` where another one holds it: nothing is changed then.
    """
    id = observed.id
    entity: Entity = bed.world[key_of(id)]
    for domain in definitions(entity):
        for device in domains.devices(domain, "disk"):
            path = domains.path_of(device)
            if path and device["_device"] == "disk" and bed.owner(path) is None:
                stand_in(bed, path, id.namespace, entity["node"])
                bed.assume(id, f"{path} is there, though no resource shows it")
    act = Act(bed.world, entity["node"], id, {})
    settle(act, id)
    act.commit()
    entity = bed.world[key_of(id)]
    for mac, nic in observed.shape.get("nics", {}).items():
        _rules(bed, id, entity, mac, nic)
        _floating(bed, id, entity, mac, nic)
        _vlan(bed, id, entity, mac, nic)


def _rule(rule: Mapping[str, Any]) -> str:
    match = str(rule.get("match", "")).strip("'").strip()
    return f"{rule.get('direction')} {rule.get('priority') or DEFAULT_PRIORITY} {match}"


def _rules(bed: SeedResult, id: ResourceId, entity: Entity, mac: str, nic: Mapping[str, Any]) -> None:
    """The access rules of a port, and the limits of its switch."""
    rules = {}
    for each in _values(nic, "acls"):
        rule = _rule(each)
        rules[rule] = {"operator": str(each.get("action", "")), "names": named_in(rule)}
        for name in rules[rule]["names"]:
            bed.count(f"named:{id.namespace}/{name}", 1)
    if rules:
        entity["hidden"].setdefault("acls", {})[mac] = rules
    switch = bed.find(NETWORK, str(nic.get("network") or ""), id.namespace)
    for each in _values(nic, "qosRules") if switch is not None and "qos" in switch["hidden"] else ():
        assert switch is not None
        limit = {"rate": int(each.get("rateKbps", 0)), "burst": int(each.get("burstKbps", 0))}
        switch["hidden"]["qos"][_rule(each)] = limit


def _values(nic: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = nic.get(name)
    return [each for each in found.values() if isinstance(each, dict)] if isinstance(found, dict) else []


def _floating(bed: SeedResult, id: ResourceId, entity: Entity, mac: str, nic: Mapping[str, Any]) -> None:
    floating = nic.get("floatingIP")
    if not isinstance(floating, dict) or "address" not in floating:
        return
    address, _, prefix = str(floating["address"]).partition("/")
    outside = str(floating.get("externalNetwork", ""))
    if not is_switch(bed, outside, id.namespace):
        return
    bound = {"mac": mac, "switch": str(nic.get("network")), "outside": outside, "prefix": int(prefix or 32)}
    entity["hidden"].setdefault("floating", {})[address] = bound
    bed.world[f"fip:{id.namespace}/{outside}/{address}"] = key_of(id)
    bed.world[f"{NETWORK}/{id.namespace}/{outside}"]["hidden"]["ports"] += 1


def _vlan(bed: SeedResult, id: ResourceId, entity: Entity, mac: str, nic: Mapping[str, Any]) -> None:
    """The VLAN that a bridge has a NIC in."""
    device = next((each for domain in definitions(entity) if (each := domains.nic_at(domain, mac))), None)
    if device is None or ("vlan" not in device and nic.get("vlan") is None):
        return
    bridge = bridge_named(bed, entity["node"], str(device["source"]["_bridge"]))
    if bridge is not None:
        bridge["hidden"]["bound"][mac] = id.name


def hold_all(bed: SeedResult, machines: list[Observed]) -> None:
    """The same for all of them; one that cannot hold what it shows is left out."""
    for each in machines:
        try:
            hold(bed, each)
        except OperationFailed as error:
            bed.take_out(each.id, str(error))


def in_display_order(bed: SeedResult, disks: Mapping[ResourceId, tuple[str, dict[str, Any]]]) -> None:
    """Have disks show what they showed: the machine they named comes first among those that have them."""
    for id, (named, shown) in disks.items():
        entity = bed.world[key_of(id)]
        entity["spec"]["volume"] = shown
        users, first = entity["hidden"]["users"], f"{MACHINE}/{id.namespace}/{named}"
        if first in users:
            entity["hidden"]["users"] = {first: users.pop(first), **users}
