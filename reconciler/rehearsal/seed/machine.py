"""Machines: how they run, what their next start takes, and what switches, bridges and the node hold for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.simulator.acl import DEFAULT_PRIORITY
from reconciler.drivers.simulator.claims import definitions, update_claims
from reconciler.drivers.simulator.context import Entity, SimulatorContext, key_of
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId
from reconciler.model.rule_match import address_sets
from reconciler.model.shape import overlaid
from reconciler.model.wire import NEXT_START
from reconciler.observe.observed import Observed
from reconciler.rehearsal.seed.definition import next_start, normalized
from reconciler.rehearsal.seed.network import bridge_named, is_switch
from reconciler.rehearsal.seed.result import SeedResult, facts, part
from reconciler.rehearsal.seed.storage import add_placeholder

Ports = Mapping[tuple[str, str], tuple[str, str]]  # namespace and MAC address -> switch and address


def machine(result: SeedResult, observed: Observed, ports: Ports) -> None:
    """Add a machine, with nothing claimed yet. ``ports`` are those that switches show."""
    spec, id, shape = facts(observed), observed.id, observed.shape
    domain = normalized(part(spec, "domain"), id)
    spec.setdefault("powerstate", "Shutdown")
    pending = spec.pop(NEXT_START, None)
    hidden: dict[str, Any] = {"nics": {}, "autostart": bool(shape.get("autostart", False))}
    if spec["powerstate"] in ("Shutdown", "Crashed") or not ("_id" in domain or spec["powerstate"] != "Unknown"):
        del spec["domain"]
        entity = result.put(id, observed.node, spec, hidden, persistent=domain)
    else:
        spec["domain"] = domain
        definition = next_start(
            normalized({**domain, **pending}, id) if isinstance(pending, dict) else domain, observed.pending
        )
        entity = result.put(id, observed.node, spec, hidden, persistent=definition)
        counter = f"domains:{entity['node']}"
        result.world[counter] = max(int(result.world.get(counter, 0)), int(domain.get("_id", 0)))
        if pending is None:
            result.assume(id, "starts next as it runs now, but for what is known to wait for that")
    for mac, nic in shape.get("nics", {}).items():
        hidden["nics"][mac] = _port(result, id, mac, nic, ports)
    _console(hidden, spec, observed)
    if isinstance(files := shape.get("devices"), dict) and files:
        hidden["device_files"] = {"live": list(files) if "domain" in spec else [], "config": list(files)}


def _port(result: SeedResult, id: ResourceId, mac: str, nic: Mapping[str, Any], ports: Ports) -> dict[str, Any]:
    """The port of a NIC, as it was applied or as its switch shows it."""
    shown = ports.get((id.namespace, mac))
    name = nic.get("network") or (shown[0] if shown else "")
    if not name:
        return {"type": nic.get("type", "l2bridge")}
    if not is_switch(result, str(name), id.namespace):
        result.assume(id, f"NIC {mac} is on no switch: {NETWORK}/{name} does not exist")
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


# What it claims


def claim(result: SeedResult, observed: Observed) -> None:
    """Have a machine claim what its definitions use, and switches, bridges and addresses count it.

    Raises ``OperationFailed`` where another machine holds it: nothing is changed then.
    """
    id = observed.id
    entity: Entity = result.world[key_of(id)]
    for domain in definitions(entity):
        for device in domains.devices(domain, "disk"):
            path = domains.path_of(device)
            file = device["_device"] == "disk" and device["_type"] != "block"
            if path and file and result.owner(path) is None:
                add_placeholder(result, path, id.namespace, entity["node"])
                result.assume(id, f"{path} is there, though no resource shows it")
    context = SimulatorContext(result.world, entity["node"], id, {})
    update_claims(context, id)
    context.commit()
    entity = result.world[key_of(id)]
    for mac, nic in observed.shape.get("nics", {}).items():
        _rules(result, id, entity, mac, nic)
        _floating(result, id, entity, mac, nic)
        _vlan(result, id, entity, mac, nic)


def _rule(rule: Mapping[str, Any]) -> str:
    match = str(rule.get("match", "")).strip("'").strip()
    return f"{rule.get('direction')} {rule.get('priority') or DEFAULT_PRIORITY} {match}"


def _rules(result: SeedResult, id: ResourceId, entity: Entity, mac: str, nic: Mapping[str, Any]) -> None:
    """The access rules of a port, and the limits of its switch."""
    rules = {}
    for each in _values(nic, "acls"):
        rule = _rule(each)
        rules[rule] = {"operator": str(each.get("action", "")), "names": address_sets(rule)}
        for name in rules[rule]["names"]:
            result.increment(f"named:{id.namespace}/{name}", 1)
    if rules:
        entity["hidden"].setdefault("acls", {})[mac] = rules
    switch = result.find(NETWORK, str(nic.get("network") or ""), id.namespace)
    for each in _values(nic, "qosRules") if switch is not None and "qos" in switch["hidden"] else ():
        assert switch is not None
        limit = {"rate": int(each.get("rateKbps", 0)), "burst": int(each.get("burstKbps", 0))}
        switch["hidden"]["qos"][_rule(each)] = limit


def _values(nic: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = nic.get(name)
    return [each for each in found.values() if isinstance(each, dict)] if isinstance(found, dict) else []


def _floating(result: SeedResult, id: ResourceId, entity: Entity, mac: str, nic: Mapping[str, Any]) -> None:
    floating = nic.get("floatingIP")
    if not isinstance(floating, dict) or "address" not in floating:
        return
    address, _, prefix = str(floating["address"]).partition("/")
    outside = str(floating.get("externalNetwork", ""))
    if not is_switch(result, outside, id.namespace):
        return
    bound = {"mac": mac, "switch": str(nic.get("network")), "outside": outside, "prefix": int(prefix or 32)}
    entity["hidden"].setdefault("floating", {})[address] = bound
    result.world[f"fip:{id.namespace}/{outside}/{address}"] = key_of(id)
    result.world[f"{NETWORK}/{id.namespace}/{outside}"]["hidden"]["ports"] += 1


def _vlan(result: SeedResult, id: ResourceId, entity: Entity, mac: str, nic: Mapping[str, Any]) -> None:
    """The VLAN that a bridge has a NIC in."""
    device = next((each for domain in definitions(entity) if (each := domains.nic_at(domain, mac))), None)
    if device is None or ("vlan" not in device and nic.get("vlan") is None):
        return
    bridge = bridge_named(result, entity["node"], domains.bridge_of(device))
    if bridge is not None:
        bridge["hidden"]["bound"][mac] = id.name


def claim_all(result: SeedResult, machines: list[Observed]) -> None:
    """``claim`` for all of them; a machine that cannot have what it shows is left out."""
    for each in machines:
        try:
            claim(result, each)
        except OperationFailed as error:
            result.leave_out(each.id, str(error))


def keep_shown_order(result: SeedResult, disks: Mapping[ResourceId, tuple[str, dict[str, Any]]]) -> None:
    """Have disks show what they showed: the machine they named comes first among their users."""
    for id, (named, shown) in disks.items():
        entity = result.world[key_of(id)]
        entity["spec"]["volume"] = shown
        users, first = entity["hidden"]["users"], f"{MACHINE}/{id.namespace}/{named}"
        if first in users:
            entity["hidden"]["users"] = {first: users.pop(first), **users}
