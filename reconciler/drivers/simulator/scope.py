"""Which definitions of a machine an operation changes: the flags live, config, current and persistent.

A paused machine counts as running. Without a flag, or with ``current``, the running domain is changed if
there is one, else the definition.
"""

from __future__ import annotations

from reconciler.drivers.domain import Domain
from reconciler.drivers.request import LIBVIRT, refuse
from reconciler.drivers.simulator.act import Act, Entity


def running(machine: Entity) -> Domain | None:
    """The running domain."""
    domain: Domain | None = machine["spec"].get("domain")
    return domain


def must_run(act: Act, machine: Entity) -> Domain:
    domain = running(machine)
    if domain is None:
        refuse(LIBVIRT, f"Requested operation is not valid: domain {act.target.name} is not running")
    return domain


def must_be_off(machine: Entity, name: str, what: str) -> None:
    if running(machine) is not None:
        refuse(LIBVIRT, f"Requested operation is not valid: cannot {what}: domain {name} is active")


def scope(act: Act, machine: Entity) -> list[Domain]:
    """The definitions to change, the running one first."""
    domain = running(machine)
    live, config = act.flag("live") or act.flag("hotpluggable"), act.flag("config")
    if act.flag("persistent"):
        live, config = live or domain is not None, True
    elif not (live or config):
        live, config = domain is not None, domain is None
    changed: list[Domain] = []
    if live:
        changed.append(must_run(act, machine))
    if config:
        changed.append(machine["persistent"])
    return changed


def definition_only(act: Act, machine: Entity, what: str) -> Domain:
    """The definition, for what a running domain cannot take."""
    if act.flag("live"):
        must_run(act, machine)
        refuse(LIBVIRT, f"Requested operation is not valid: cannot change {what} of an active domain")
    definition: Domain = machine["persistent"]
    return definition
