"""When a change takes nothing from a running guest though its operation may: ``milder`` cases of rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.model.path import value_in
from reconciler.model.resource import ResourceId
from reconciler.model.rule_match import address_sets
from reconciler.model.shape import Shape
from reconciler.planner.rules.rule import Milder, RuleContext, always


def gets_more(*path: str) -> Milder:
    """Of a number of the machine: it does not fall below what the guest has."""

    def check(case: RuleContext) -> bool:
        return bool(value_in(case.desired, path, 0) >= value_in(case.live, path, 0))

    return Milder("where it does not get less", check)


def limits_rise(*names: str) -> Milder:
    """Of the limits of a disk or NIC: none of them falls, and none is set on a device that had none."""

    def check(case: RuleContext) -> bool:
        return not case.old or not _any_lower(case.part.get("qos", {}), case.old.get("qos", {}), names)

    return Milder("where no limit falls", check)


def _any_lower(new: Shape, old: Shape, names: Iterable[str]) -> bool:
    """Whether a limit is lower than before; none and 0 are no limit."""
    return any(new.get(name) and (not old.get(name) or new[name] < old[name]) for name in names)


def _rate_rises(case: RuleContext) -> bool:
    """Whether a limit that the switch has does not fall; it may be noted for another NIC of the machine until now."""
    old = case.old or _noted_for_another(case)
    now = old.get("rateKbps")
    return now is not None and bool(case.part.get("rateKbps", 0) >= now)


def _noted_for_another(case: RuleContext) -> Shape:
    """The limit of the switch as it is noted for another NIC of the machine; empty if for none."""
    nics = case.seen.get("nics", {}).values()
    of_switch = (nic.get("qosRules", {}) for nic in nics if nic.get("network") == case.holder.get("network"))
    return next((limits[case.key] for limits in of_switch if case.key in limits), {})


def _nothing_to_lose(case: RuleContext) -> bool:
    """Whether a NIC is plugged in by the same plan: what it loses, it loses by being unplugged before."""
    return not case.old_holder or case.at[:2] in case.going


NEW_NIC = Milder("where the NIC is new or plugged in anew", _nothing_to_lose)
COMES = Milder("where it comes", always)
ALLOWS = Milder("where the rule allows", lambda case: case.part.get("action") == "allow")
DROPPED = Milder("where the rule dropped", lambda case: case.old.get("action") == "drop")
RATE_RISES = Milder("where the rate does not fall", _rate_rises)
DRIVE_WAS_EMPTY = Milder("where the drive was empty", lambda case: not case.old.get("path"))
DISKS_ONLY = Milder("where it is external: of the disks alone", lambda case: bool(case.desired.get("external")))


def _leases_only(case: RuleContext) -> bool:
    """Whether only what a guest hears with its next lease, and goes on without, becomes another."""
    new, old = case.desired.get("switch", {}), case.seen.get("switch", {})
    return all(new.get(name, old.get(name)) == old.get(name) for name in ("gateway", "dhcp", "vlanId"))


LEASES_ONLY = Milder("where it is mtu or dnsServers", _leases_only)


def _takes_no_flow(case: RuleContext) -> bool:
    """Whether no rule of a running guest that names the set allows less, or drops more, than before."""
    new, old = set(case.desired["addresses"]), set(case.seen.get("addresses", ()))
    takes = {"allow"} if old - new else set()
    takes |= {"drop"} if new - old else set()
    return not takes & set(_actions(case, case.id))


def _actions(case: RuleContext, addresses: ResourceId) -> Iterator[Any]:
    """The actions of the rules of running guests that name an address set."""
    for machine in case.resources.guests.get(addresses, ()):
        for nic in case.resources.shape_in_use(machine).get("nics", {}).values():
            for rule in nic.get("acls", {}).values():
                if addresses.name in address_sets(str(rule.get("match"))):
                    yield rule.get("action")


TAKES_NO_FLOW = Milder("where no rule allows less for it", _takes_no_flow)
