"""What is set for the ports of NICs, as machines show it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.drivers.network import acl, floating
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.network.port_address import ipv4_of
from reconciler.drivers.network.rule import NIC, Written, written_in
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Database, Row


class _Place(NamedTuple):
    """Where a port is."""

    switch: object  # identifies it
    address: str


_OfNic = tuple[ResourceId, str]


class PortRules:
    """What OVN has for the ports of all machines, as it was when this was made: read once, asked for each machine."""

    def __init__(self, nb: Database) -> None:
        """Reads it. Fails with ``OperationFailed`` if the database does not answer."""
        self._places: dict[str, _Place] = {}
        self._rules: dict[_OfNic, list[Written]] = defaultdict(list)
        self._limits: dict[tuple[object, ResourceId], list[Written]] = defaultdict(list)
        self._floating: dict[_OfNic, list[tuple[str, dict[str, str]]]] = defaultdict(list)
        with nb.reading():
            for switch in nb.rows("Logical_Switch"):
                self._read(nb, switch)
            for row in nb.rows("NAT"):
                if row.type == "dnat_and_snat" and (owner := owner_of(row)) is not None:
                    self._floating[owner, row.external_ids.get(NIC, "")].append((row.logical_ip, floating.shown(row)))

    def _read(self, nb: Database, switch: Row) -> None:
        for port in switch.ports:
            name, address = nb.derived(port, _port_in)
            self._places[name] = _Place(switch.uuid, address)
        for row in switch.acls:
            if (written := nb.derived(row, written_in)) is not None:
                self._rules[written.owner, written.mac].append(written)
        for row in switch.qos_rules:
            if (written := nb.derived(row, written_in)) is not None:
                self._limits[switch.uuid, written.owner].append(written)

    def shown(self, machine: ResourceId, ports: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """What OVN has of the fields of a machine's NICs that the API never shows, in the declared shape.

        ``ports`` are the names of their ports by MAC address, by which the result is as well. A rule whose match
        somebody changed is not the rule it says it is, and left out. So is a NIC that OVN does not know, and the
        limits of a switch on which a machine has several NICs: nobody can tell whose they are.
        """
        places = {mac: self._places[name] for mac, name in ports.items() if name in self._places}
        on_switch = Counter(place.switch for place in places.values())
        found: dict[str, dict[str, Any]] = {}
        for mac, place in places.items():
            rules = [each for each in self._rules[machine, mac] if each.match == each.rule.on(ports[mac])]
            leads = (said for inside, said in self._floating[machine, mac] if inside == place.address)
            found[mac] = {"acls": _keyed(rules), "floatingIP": next(leads, None)}
            if on_switch[place.switch] == 1:
                limits = self._limits[place.switch, machine]
                found[mac]["qosRules"] = _keyed(each for each in limits if each.match == each.rule.written)
        return found


def _port_in(port: Row) -> tuple[str, str]:
    return port.name, ipv4_of(port)


def _keyed(rules: Iterable[Written]) -> dict[str, Any] | None:
    return {str(each.rule): _shown(each) for each in rules} or None


def _shown(written: Written) -> dict[str, Any]:
    rule, does = written.rule, written.does
    shown = {"direction": rule.direction, "match": rule.match, "priority": int(rule.priority)}
    if "bandwidth" not in does:
        return {**shown, "action": acl.shown_action(does["action"])}
    return {**shown, "rateKbps": does["bandwidth"].get("rate", 0), "burstKbps": does["bandwidth"].get("burst", 0)}
