"""Accounts inside the guest: API sections 1.33 and 1.34.

They are on the system disk, so ``accounts`` is part of its file: per user ``password`` (a digest) and ``keys``. A
running guest is asked through its agent; the disk of a Linux guest that is off can be written to as well.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.claims import owner
from reconciler.drivers.simulator.context import SimulatorContext, key_of, operation
from reconciler.drivers.simulator.scope import require_running, running
from reconciler.drivers.simulator.secret import digest
from reconciler.model.kinds import MACHINE


def _account(context: SimulatorContext) -> dict[str, Any]:
    machine, name = context.entity, context.target.name
    domain = running(machine) or machine["persistent"]
    _must_be(context, domain)
    device = domains.system_disk(domain)
    disk = owner(context, domains.path_of(device)) if device else None
    if disk is None:
        refuse(TOOL, f"the system disk of VM {name} is in no pool")
    if context.text("os_type") == "windows":
        require_running(context, machine)
    if machine["spec"]["powerstate"] == "Paused":
        refuse(LIBVIRT, f"Guest agent is not responding: domain {name} is paused")
    if running(machine) is None:
        volume.require_unused(disk, f"the system disk of {name}")
    accounts = volume.state(disk).setdefault("accounts", {})
    account: dict[str, Any] = accounts.setdefault(context.text("user"), {})
    return account


def _must_be(context: SimulatorContext, domain: domains.Domain) -> None:
    """Refuse a guest system that is known to be of the other family; of most it is not known."""
    system, asked = domains.guest_system_url(domain), context.text("os_type")
    if system and ("microsoft" in system) != (asked == "windows"):
        refuse(TOOL, f"the guest of VM {context.target.name} is {system}, not {asked}")


@operation(MACHINE, "SetGuestPassword")
def set_password(context: SimulatorContext) -> None:
    _account(context)["password"] = digest(context.text("password"), key_of(context.target), context.text("user"))


@operation(MACHINE, "InjectSshKey")
def inject_key(context: SimulatorContext) -> None:
    keys, key = _account(context).setdefault("keys", []), context.text("ssh_key")
    if key not in keys:
        keys.append(key)
