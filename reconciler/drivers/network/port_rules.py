"""What was set for the port of a NIC, which goes with the port; and what machines show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.drivers.network import acl, floating, qos
from reconciler.drivers.network.attachment import Attachment, attachments
from reconciler.drivers.network.rule import rules_in
from reconciler.drivers.network.switch_rows import SwitchRows

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change
    from reconciler.drivers.network.links import Links
    from reconciler.model.resource import ResourceId


def forget(change: Change, machine: ResourceId, mac: str) -> None:
    """Remove the access rules and floating addresses of a NIC; to be called in the change that removes its port."""
    for switch in change.rows("Logical_Switch"):
        change.remove(switch, "acls", *rules_in(switch.acls, machine, mac).values())
    for router in change.rows("Logical_Router"):
        for bound in floating.floating_of(router, machine, mac):
            floating.release(change, router, bound)


def shown(links: Links, machine: ResourceId) -> dict[str, Any]:
    """What OVN has of the fields of a machine that the API never shows, in the declared shape: NICs by MAC address.

    A NIC that OVN does not know is left out, and so is the limit of a switch on which a machine has several NICs:
    nobody can tell whose it is.
    """
    places = attachments(links.nb, links.machines.nics(machine) or [])
    switches = [place.switch.uuid for place in places]
    found: dict[str, Any] = {}
    for place in places:
        nic = found[place.nic.mac] = {"acls": _acls(place, machine), "floatingIP": _floating(links, place, machine)}
        if switches.count(place.switch.uuid) == 1:
            nic["qosRules"] = _limits(place, machine)
    return {"nics": found} if found else {}


def _acls(place: Attachment, machine: ResourceId) -> dict[str, Any] | None:
    rules = rules_in(place.switch.acls, machine, place.nic.mac)
    return {
        str(rule): {
            "direction": rule.direction,
            "match": rule.match,
            "priority": int(rule.priority),
            "action": acl.action_in(row),
        }
        for rule, row in rules.items()
        if acl.is_whole(row, rule, place.nic.port)
    } or None


def _limits(place: Attachment, machine: ResourceId) -> dict[str, Any] | None:
    return {
        str(rule): {
            "direction": rule.direction,
            "match": rule.match,
            "priority": int(rule.priority),
            "rateKbps": row.bandwidth.get("rate", 0),
            "burstKbps": row.bandwidth.get("burst", 0),
        }
        for rule, row in rules_in(place.switch.qos_rules, machine).items()
        if qos.is_whole(row, rule)
    } or None


def _floating(links: Links, place: Attachment, machine: ResourceId) -> dict[str, str] | None:
    router = SwitchRows.of(links.nb, place.switch).router
    for row in floating.floating_of(router, machine, place.nic.mac):
        given, outside = row.external_ids.get(floating.GIVEN, ""), row.external_ids.get(floating.OUTSIDE, "")
        if row.type == "dnat_and_snat" and row.logical_ip == place.address:
            address = given if given.partition("/")[0] == row.external_ip else f"{row.external_ip}/32"
            return {"address": address, "externalNetwork": outside}
    return None
