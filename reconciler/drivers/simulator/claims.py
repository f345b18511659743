"""What machines claim: disk files, MAC addresses, switch ports, devices of the host.

After every change to a machine's definitions, ``update_claims`` compares what it claims now with what it
claimed before. It is the only place that decides who may have what, so no operation releases anything by hand.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.drivers.simulator import port
from reconciler.drivers.simulator.context import Entity, SimulatorContext, id_at, key_of, name_at
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.model.resource import ResourceId

Claims = dict[str, dict[str, Any]]


def update_claims(context: SimulatorContext, id: ResourceId, *, gone: bool = False) -> None:
    """Claim what the definitions of a machine use and release the rest; with ``gone``, release all."""
    machine: Entity = context.get(key_of(id))
    old: Claims = machine["hidden"].get("claims", {})
    new = {} if gone else _claims(context, machine)
    # What was let go of may be what is wanted now, so releasing comes first.
    for claim, details in old.items():
        if new.get(claim) != details:
            _release(context, key_of(id), claim, details)
    for claim, details in new.items():
        if old.get(claim) != details:
            _take(context, key_of(id), claim, details)
    machine["hidden"]["claims"] = new


def definitions(machine: Entity) -> list[domains.Domain]:
    """The running domain, if there is one, and the definition of the next start."""
    live = machine["spec"].get("domain")
    return [machine["persistent"]] if live is None else [live, machine["persistent"]]


def owner(context: SimulatorContext, path: str) -> Entity | None:
    """The disk, snapshot or image a file belongs to."""
    key = context.get(f"file:{path}") if path else None
    found: Entity | None = context.get(key) if key else None
    return found


def _claims(context: SimulatorContext, machine: Entity) -> Claims:
    claims: Claims = {}
    live = machine["spec"].get("domain")
    for domain in definitions(machine):
        for device in domains.devices(domain, "disk"):
            path = domains.path_of(device)
            key = context.get(f"file:{path}") if path else None
            shared = "readonly" in device or "shareable" in device
            if key is not None:
                known = claims.setdefault(f"disk {key}", {"live": domain is live, "shared": shared})
            elif path and device["_type"] == "block":
                known = claims.setdefault(f"block {path}", {"node": machine["node"], "shared": shared})
            else:
                continue
            known["shared"] = known["shared"] and shared
        for device in domains.devices(domain, "_interface"):
            mac = device["mac"]["_address"]
            port = machine["hidden"]["nics"].get(mac, {})
            claims[f"nic {mac}"] = {"node": machine["node"], "bridge": domains.bridge_of(device), **port}
        for device in domains.devices(domain, "hostdev"):
            address = ":".join(map(str, device["source"]["address"].values()))
            claims[f"device {device['_type']}:{address}"] = {"node": machine["node"]}
    return claims


def _take(context: SimulatorContext, machine: str, claim: str, details: dict[str, Any]) -> None:
    what, _, name = claim.partition(" ")
    if what == "disk":
        _use(context, machine, name, details)
    elif what == "block":
        place = f"block:{details['node']}{name}"
        context.put(place, _users(context.get(place) or {}, machine, name, details))
    elif what == "nic":
        _hold(context, f"mac:{name}", machine, f"MAC address {name} is already in use")
        _count_on_bridge(context, details, 1)
        if switch := details.get("switch"):
            _port(context, switch, 1)
            if details["ip"] != "dynamic":
                place = f"{context.target.namespace}/{switch}/{details['ip']}"
                taken = f"{details['ip']} is already in use on switch {switch}"
                if bound := context.get(f"fip:{place}"):
                    refuse(TOOL, f"{taken}: it leads to {MACHINE}/{name_at(bound)}")
                _hold(context, f"ip:{place}", machine, taken)
    else:
        _hold(context, f"device:{details['node']}/{name}", machine, f"host device {name} is already in use")


def _release(context: SimulatorContext, machine: str, claim: str, details: dict[str, Any]) -> None:
    what, _, name = claim.partition(" ")
    if what == "disk":
        _use(context, machine, name, None)
    elif what == "block":
        place = f"block:{details['node']}{name}"
        context.put(place, _users(context.get(place) or {}, machine, name, None) or None)
    elif what == "nic":
        context.put(f"mac:{name}", None)
        _count_on_bridge(context, details, -1)
        if switch := details.get("switch"):
            _port(context, switch, -1)
            if details["ip"] != "dynamic":
                context.put(f"ip:{context.target.namespace}/{switch}/{details['ip']}", None)
    else:
        context.put(f"device:{details['node']}/{name}", None)


def _hold(context: SimulatorContext, key: str, machine: str, taken: str) -> None:
    holder = context.get(key)
    if holder is not None and holder != machine:
        refuse(LIBVIRT, f"{taken} by {MACHINE}/{name_at(holder)}")
    context.put(key, machine)


def _count_on_bridge(context: SimulatorContext, details: dict[str, Any], by: int) -> None:
    if details["bridge"]:
        context.increment(f"nics:{details['node']}/{details['bridge']}", by)


def _port(context: SimulatorContext, switch: str, by: int) -> None:
    port.switch(context, switch)["hidden"]["ports"] += by


def _use(context: SimulatorContext, machine: str, key: str, details: dict[str, Any] | None) -> None:
    """Enter a machine as user of a disk or image or, without ``details``, remove it."""
    used: Entity = context.get(key)
    users: Claims = used["hidden"].get("users", {})
    ran = any(user["live"] for user in users.values())
    users = used["hidden"]["users"] = _users(users, machine, str(id_at(key)), details)
    if key.startswith(f"{DISK}/"):
        used["spec"]["volume"]["vm"] = name_at(next(iter(users))) if users else ""
    runs = any(user["live"] for user in users.values())
    pool = context.find(POOL, used["hidden"]["pool"])
    if pool is not None:
        pool["hidden"]["busy"] += runs - ran


def _users(users: Claims, machine: str, what: str, details: dict[str, Any] | None) -> Claims:
    """The users of a disk or device with a machine entered or, without ``details``, removed."""
    left = {other: theirs for other, theirs in users.items() if other != machine}
    if details is None:
        return left
    for other, theirs in left.items():
        if not (details["shared"] and theirs["shared"]):
            refuse(
                LIBVIRT,
                f'internal error: Failed to get "write" lock: {what} is attached to {MACHINE}/{name_at(other)}',
            )
    return {**left, machine: details}
