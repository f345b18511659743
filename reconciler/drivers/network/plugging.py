"""Operations of the driver of machines, with the ports of the NICs that they bring, move and take away."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.base import Driver
from reconciler.drivers.network import port
from reconciler.drivers.network.context import NetworkContext
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.network.port import Port
from reconciler.drivers.network.port_address import DYNAMIC
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId

log = logging.getLogger("reconciler.drivers.network")

_ROUTED = "l3bridge"
_CREATIONS = ("CreateAndStartVMFromISO", "CreateAndStartVMFromImage")
_TAKING = ("UnplugNIC", "DeleteVM")  # which have to free ports; after others it is only tidied up
_MOVING = ("MigrateVM", "MigrateVMDisk")  # after which the ports are those of another node


def carry_out(context: NetworkContext, machines: Driver, operation: str) -> None:
    """Have the driver of machines carry out an operation on a machine, or on a snapshot that it may be reverted to.

    The port that a NIC needs is made before, and those of NICs that are gone are freed after. A port that was made for
    a NIC that is then refused is removed again.
    """
    parameters = _with_address(operation, context.parameters)
    wanted = _wanted(operation, parameters)
    machine = context.target if context.target.kind == MACHINE else context.id(MACHINE, context.text("domain"))
    if operation in _TAKING and _has_ports(context):
        context.nb.require()
    made = wanted is not None and _make(context, wanted)
    try:
        context.touched |= set(machines.run(context.target, operation, parameters))
    except BaseException:
        if made:
            port.free(context, machine)
        raise
    if operation == "CloneVM":
        _follow(context, context.id(MACHINE, context.text("name")))
    if operation not in _MOVING:
        _tidy(context, machine, required=operation in _TAKING)


def _with_address(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters, with a MAC address for a first NIC that names none: its port is known by it."""
    network = domains.options(str(parameters.get("network", "")))
    if operation not in _CREATIONS or network.get("type") != _ROUTED or "mac" in network:
        return parameters
    mac = "52:54:00:" + ":".join(f"{each:02x}" for each in secrets.token_bytes(3))
    return {**parameters, "network": f"{parameters['network']},mac={mac}"}


def _wanted(operation: str, parameters: Mapping[str, Any]) -> Port | None:
    """The port of the NIC that an operation brings; None where it brings none, or the switch is not named."""
    given: dict[str, str] = {}
    if operation == "PlugNIC":
        given = domains.options(str(parameters.get("source", "")))
        given |= {name: str(parameters[name]) for name in ("type", "mac") if name in parameters}
    elif operation in _CREATIONS:
        given = domains.options(str(parameters.get("network", "")))
    if given.get("type") != _ROUTED or "switch" not in given:
        return None
    return Port(given["mac"].lower(), given["switch"], given.get("ip", DYNAMIC))


def _make(context: NetworkContext, wanted: Port) -> bool:
    """Make the port of a NIC; whether this operation did. A NIC that the machine has keeps the port it has."""
    nics = context.machines.nics(context.target) or ()
    if any(nic.mac == wanted.mac for nic in nics):
        name = domains.port_id(context.target.name, wanted.mac)
        known = context.nb.find(port.TABLE, name=name)
        if known is not None and known.addresses != [wanted.words()]:
            has = f"a NIC with mac {wanted.mac} is attached already, whose port has {' and '.join(known.addresses)}"
            refuse(LIBVIRT, f"Requested operation is not valid: {has}")
        return False
    return port.add(context, wanted)


def _has_ports(context: NetworkContext) -> bool:
    return any(owner_of(each) == context.target for each in context.nb.rows(port.TABLE))


def _tidy(context: NetworkContext, machine: ResourceId, *, required: bool) -> None:
    """Free the ports of NICs that are gone; unless it is required, a database that does not answer is let be."""
    try:
        port.free(context, machine)
    except OperationFailed as error:
        if required:
            raise
        log.warning("%s: ports of NICs that it no longer has are left: %s", machine, error)


def _follow(context: NetworkContext, clone: ResourceId) -> None:
    """Give the NICs of a clone ports on the switches of the original's, with addresses of OVN's choice."""
    made = NetworkContext(context.links, clone, context.parameters)
    originals, copies = context.machines.nics(context.target) or (), context.machines.nics(clone) or ()
    for original, copy in zip(originals, copies, strict=False):
        if original.port and (switch := port.network_of(context, original.port)):
            port.add(made, Port(copy.mac, switch))
    context.touched |= made.touched
