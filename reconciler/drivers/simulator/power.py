"""Machines started, stopped, paused, restarted: API sections 1.3, 1.4, 1.10, 1.13, 1.15, 1.16, 1.18 and 1.55."""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Domain
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.drivers.simulator import console, device, port, volume
from reconciler.drivers.simulator.claims import owner, update_claims
from reconciler.drivers.simulator.context import (
    Entity,
    SimulatorContext,
    deep_copy,
    operation,
)
from reconciler.drivers.simulator.scope import require_running, running
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId

FIRST_PORT = 5900
_PORTS = 65536 - FIRST_PORT


def started(definition: Domain, number: int) -> Domain:
    """The running domain of a definition, its guest agent there at once.

    ``number`` is its id among all that ever ran on the node.
    """
    live: Domain = deep_copy(definition)
    live["_id"] = number
    for each in domains.devices(live, "graphics"):
        each["_port"] = FIRST_PORT + (number - 1) % _PORTS
    domains.connect_agent(live)
    return live


def run(context: SimulatorContext, id: ResourceId, machine: Entity) -> None:
    """Start the persistent definition as a new domain."""
    for disk in domains.devices(machine["persistent"], "disk"):
        path = domains.path_of(disk)
        found = owner(context, path)
        if found is not None and not volume.reachable(context, found):
            refuse(LIBVIRT, f"Cannot access storage file '{path}': it is on {found['node']}")
    machine["spec"]["domain"] = started(machine["persistent"], context.increment(f"domains:{machine['node']}", 1))
    machine["spec"]["powerstate"] = "Running"
    console.copy_to_live(machine)
    device.start_with_files(machine)
    update_claims(context, id)


def halt(context: SimulatorContext, id: ResourceId, machine: Entity) -> None:
    """End the running domain, and forget what only it had."""
    del machine["spec"]["domain"]
    machine["spec"]["powerstate"] = "Shutdown"
    console.drop_live(machine)
    update_claims(context, id)
    port.forget_removed(context, machine)


@operation(MACHINE, "StartVM")
def start(context: SimulatorContext) -> None:
    machine = context.entity
    if running(machine) is not None:
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already running")
    run(context, context.target, machine)


@operation(MACHINE, "StopVM")
def stop(context: SimulatorContext) -> None:
    machine = context.entity
    _require_responsive(context, machine, "shut down")
    halt(context, context.target, machine)


@operation(MACHINE, "StopVMForce")
def stop_force(context: SimulatorContext) -> None:
    machine = context.entity
    require_running(context, machine)
    halt(context, context.target, machine)


@operation(MACHINE, "RebootVM")
def reboot(context: SimulatorContext) -> None:
    # The domain stays as it is: what waits for the next start still does.
    _require_responsive(context, context.entity, "reboot")


@operation(MACHINE, "ResetVM")
def reset(context: SimulatorContext) -> None:
    require_running(context, context.entity)


def _require_responsive(context: SimulatorContext, machine: Entity, request: str) -> None:
    require_running(context, machine)
    if machine["spec"]["powerstate"] == "Paused":
        name = context.target.name
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: domain {name} is paused and cannot {request}; resume it first",
        )


@operation(MACHINE, "SuspendVM")
def suspend(context: SimulatorContext) -> None:
    machine = context.entity
    require_running(context, machine)
    if machine["spec"]["powerstate"] == "Paused":
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already paused")
    machine["spec"]["powerstate"] = "Paused"


@operation(MACHINE, "ResumeVM")
def resume(context: SimulatorContext) -> None:
    machine = context.entity
    require_running(context, machine)
    if machine["spec"]["powerstate"] != "Paused":
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already running")
    machine["spec"]["powerstate"] = "Running"


@operation(MACHINE, "AutoStartVM")
def autostart(context: SimulatorContext) -> None:
    context.entity["hidden"]["autostart"] = not context.flag("disable")
