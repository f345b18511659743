"""Which definitions of a machine an operation changes: the flags live, config, current and persistent.

A paused machine counts as running. Without a flag, or with ``current``, the running domain is changed if
there is one, else the definition.
"""

from __future__ import annotations

from reconciler.drivers.domain import Domain
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.drivers.simulator.context import Entity, SimulatorContext


def running(machine: Entity) -> Domain | None:
    """The running domain; None if the machine is shut off."""
    domain: Domain | None = machine["spec"].get("domain")
    return domain


def require_running(context: SimulatorContext, machine: Entity) -> Domain:
    """The running domain; refuses where there is none."""
    domain = running(machine)
    if domain is None:
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is not running")
    return domain


def require_stopped(machine: Entity, name: str, what: str) -> None:
    """Refuse while the machine runs; ``what`` cannot be done then."""
    if running(machine) is not None:
        refuse(LIBVIRT, f"Requested operation is not valid: cannot {what}: domain {name} is active")


def scope(context: SimulatorContext, machine: Entity) -> list[Domain]:
    """The definitions to change, the running one first."""
    domain = running(machine)
    live, config = context.flag("live") or context.flag("hotpluggable"), context.flag("config")
    if context.flag("persistent"):
        live, config = live or domain is not None, True
    elif not (live or config):
        live, config = domain is not None, domain is None
    changed: list[Domain] = []
    if live:
        changed.append(require_running(context, machine))
    if config:
        changed.append(machine["persistent"])
    return changed


def definition_only(context: SimulatorContext, machine: Entity, what: str) -> Domain:
    """The definition of the next start, for what cannot be changed on a running domain; refuses the flag live."""
    if context.flag("live"):
        require_running(context, machine)
        refuse(LIBVIRT, f"Requested operation is not valid: cannot change {what} of an active domain")
    definition: Domain = machine["persistent"]
    return definition
