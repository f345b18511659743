"""What was set for the port of a NIC, which goes with the port; and what machines show of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.drivers.network import acl, floating
from reconciler.drivers.network.attachment import address_of
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.network.rule import NIC, Rule, rule_in, rules_in
from reconciler.drivers.nics import Nic
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Database, Row


def forget(change: Change, machine: ResourceId, mac: str) -> None:
    """Remove the access rules and floating addresses of a NIC; to be called in the change that removes its port."""
    for switch in change.rows("Logical_Switch"):
        change.remove(switch, "acls", *rules_in(switch.acls, machine, mac).values())
    for router in change.rows("Logical_Router"):
        for bound in floating.floating_of(router, machine, mac):
            floating.release(change, router, bound)


class _Written(NamedTuple):
    """A rule, the match that OVN has of it, and what it does, as a shape has that."""

    rule: Rule
    match: str
    does: dict[str, Any]

    @property
    def shown(self) -> dict[str, Any]:
        rule = self.rule
        return {"direction": rule.direction, "match": rule.match, "priority": int(rule.priority), **self.does}


class _Place(NamedTuple):
    """Where a port is."""

    switch: object  # identifies it
    address: str


_OfNic = tuple[ResourceId | None, str]


class Ports:
    """What OVN has for the ports of all machines, as it was when this was made: read once, asked for each machine."""

    def __init__(self, nb: Database) -> None:
        """Reads it. Fails with ``OperationFailed`` if the database does not answer."""
        self._places: dict[str, _Place] = {}
        self._rules: dict[_OfNic, list[_Written]] = defaultdict(list)
        self._limits: dict[tuple[object, ResourceId | None], list[_Written]] = defaultdict(list)
        self._floating: dict[_OfNic, list[tuple[str, dict[str, str]]]] = defaultdict(list)
        with nb.reading():
            for switch in nb.rows("Logical_Switch"):
                self._read(switch)
            for row in nb.rows("NAT"):
                if row.type == "dnat_and_snat" and (owner := owner_of(row)) is not None:
                    self._floating[owner, row.external_ids.get(NIC, "")].append((row.logical_ip, floating.shown(row)))

    def _read(self, switch: Row) -> None:
        for port in switch.ports:
            if not port.type:
                self._places[port.name] = _Place(switch.uuid, address_of(port))
        for row in switch.acls:
            if (rule := rule_in(row)) is not None:
                written = _Written(rule, row.match, {"action": acl.action_in(row)})
                self._rules[owner_of(row), row.external_ids.get(NIC, "")].append(written)
        for row in switch.qos_rules:
            if (rule := rule_in(row)) is not None:
                does = {"rateKbps": row.bandwidth.get("rate", 0), "burstKbps": row.bandwidth.get("burst", 0)}
                self._limits[switch.uuid, owner_of(row)].append(_Written(rule, row.match, does))

    def shown(self, machine: ResourceId, nics: Iterable[Nic]) -> dict[str, Any]:
        """What OVN has of the fields of a machine that the API never shows, in the declared shape; NICs by MAC address.

        A rule whose match somebody changed is not the rule it says it is, and left out. So is a NIC that OVN does not
        know, and the limits of a switch on which a machine has several NICs: nobody can tell whose they are.
        """
        places = {nic: self._places[nic.port] for nic in nics if nic.port in self._places}
        on_switch = Counter(place.switch for place in places.values())
        found: dict[str, Any] = {}
        for nic, place in places.items():
            rules = [each for each in self._rules[machine, nic.mac] if each.match == each.rule.on(nic.port)]
            leads = (said for inside, said in self._floating[machine, nic.mac] if inside == place.address)
            found[nic.mac] = {"acls": _keyed(rules), "floatingIP": next(leads, None)}
            if on_switch[place.switch] == 1:
                limits = self._limits[place.switch, machine]
                found[nic.mac]["qosRules"] = _keyed(each for each in limits if each.match == each.rule.written)
        return {"nics": found} if found else {}


def _keyed(rules: Iterable[_Written]) -> dict[str, Any] | None:
    return {str(each.rule): each.shown for each in rules} or None
