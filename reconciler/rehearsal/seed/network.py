"""Switches, bridges and address lists, with the facts of them that only what was last applied tells."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.simulator.context import key_of, stable_uuid
from reconciler.model.kinds import NETWORK
from reconciler.observe.observed import Observed
from reconciler.rehearsal.seed.result import SeedResult, UnusableObservation, facts

_TYPES = {"switch": "l3network", "bridge": "l2network", "addresses": "l3address"}
_TEXT = {"dnsServers": "dnsServer"}


def network(result: SeedResult, observed: Observed) -> None:
    """Add a network of the type it was applied as: the existing back end shows all as switches (wire format 5.7)."""
    spec, applied = facts(observed), observed.applied
    applied_as = next((name for name in _TYPES if isinstance(applied.get(name), dict | list)), "")
    if applied_as and spec["type"] != _TYPES[applied_as]:
        result.assume(observed.id, f"is the {applied_as} it was applied as, though it is shown as {spec['type']}")
        spec["type"] = _TYPES[applied_as]
        spec["data"] = {}
    if not isinstance(spec.get("data"), dict):
        spec["data"] = {}
    sorts = {"l3network": _switch, "l2network": _bridge, "l3address": _list}
    if spec["type"] not in sorts:
        raise UnusableObservation(f"{spec['type']} is not a type of network")
    hidden = sorts[spec["type"]](result, observed, spec["data"])
    result.put(observed.id, observed.node, spec, hidden)


def _section(data: dict[str, Any], section: str, /, **defaults: Any) -> dict[str, Any]:
    found: dict[str, Any] = data[section] if isinstance(data.get(section), dict) else {}
    data[section] = found
    for key, value in defaults.items():
        found.setdefault(key, value)
    return found


def _switch(result: SeedResult, observed: Observed, data: dict[str, Any]) -> dict[str, Any]:
    applied = observed.applied.get("switch")
    known = applied if isinstance(applied, dict) else {}
    name, key = observed.id.name, key_of(observed.id)
    _section(data, "switchInfo", id=stable_uuid("switch", key), name=name, ports=[])
    router = _section(data, "routerInfo", id="", name="", ports=[])
    gateway = _section(data, "gatewayInfo", id="", server_mac="", router="", server_id="", lease_time="")
    settings = {_TEXT.get(fact, fact): _text(value) for fact, value in known.items() if fact != "dhcp"}
    if "subnet" not in settings:
        prefix = next((str(each.get("networks", "")).strip('[]"') for each in router["ports"] or ()), "")
        settings["subnet"] = prefix or "0.0.0.0/0"
    settings.setdefault("gateway", str(gateway["router"]))
    return {"settings": settings, "ports": 0, "qos": {}}


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _bridge(result: SeedResult, observed: Observed, data: dict[str, Any]) -> dict[str, Any]:
    applied = observed.applied.get("bridge")
    known = applied if isinstance(applied, dict) else {}
    name = str(known.get("name") or observed.id.name)
    info = _section(data, "bridgeInfo", name=name, uuid=stable_uuid("bridge", observed.node, name), ports=[])
    ports = info["ports"] = [each for each in info["ports"] or () if isinstance(each, dict)]
    for each in ports:
        each.setdefault("vlan", "")
        each.setdefault("name", "")
        each["interfaces"] = each.get("interfaces") or [{"uuid": "", "mac": "", "name": each["name"]}]
    if not any(str(known.get("vlan")) == str(each["vlan"]) for each in ports) and known.get("vlan"):
        named = f"{name}-{known['vlan']}"
        interface = {"uuid": "", "mac": "", "name": named}
        ports.append({"uuid": "", "name": named, "vlan": str(known["vlan"]), "interfaces": [interface]})
    card = str(known.get("nic") or next((each["name"] for each in ports if not each["vlan"]), ""))
    node = result.node(observed.node)
    for place in (f"bridge:{node}/{info['name']}", f"card:{node}/{card}"):
        result.world.setdefault(place, key_of(observed.id))
    return {"settings": {"nic": card}, "bound": {}}


def _list(result: SeedResult, observed: Observed, data: dict[str, Any]) -> dict[str, Any]:
    _section(data, "addressInfo", _uuid="", addresses="[]", external_ids="{}", name=observed.id.name)
    return {"settings": {}}


def bridge_named(result: SeedResult, node: str, name: str) -> dict[str, Any] | None:
    """The bridge of a node that is called so, if a resource stands for it."""
    found: dict[str, Any] | None = result.world.get(str(result.world.get(f"bridge:{result.node(node)}/{name}", "")))
    return found


def shown_ports(result: SeedResult) -> dict[tuple[str, str], tuple[str, str]]:
    """By namespace and MAC address the switch and address of the ports that switches show."""
    found = {}
    for key, entity in result.world.items():
        if key.startswith(f"{NETWORK}/") and entity["spec"]["type"] == "l3network":
            _, namespace, name = key.split("/")
            for each in entity["spec"]["data"]["switchInfo"]["ports"] or ():
                words = str(each.get("addresses", "")).strip("[]").replace('"', "").split()
                if words and not each.get("type"):
                    found[namespace, words[0].lower()] = (name, words[1] if len(words) > 1 else "dynamic")
    return found


def is_switch(result: SeedResult, name: str, namespace: str) -> bool:
    """Whether the simulated cluster has a network of this name that is a switch."""
    entity = result.find(NETWORK, name, namespace)
    return entity is not None and entity["spec"]["type"] == "l3network"
