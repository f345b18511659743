"""Accounts inside the guest: API sections 1.33 and 1.34.

They are on the system disk, so ``accounts`` is part of its file: per user ``password`` (a digest) and ``keys``. A
running guest is asked through its agent; the disk of a Linux guest that is off can be written to as well.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.request import LIBVIRT, TOOL, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.act import Act, key_of
from reconciler.drivers.simulator.claims import owner
from reconciler.drivers.simulator.effect import effect
from reconciler.drivers.simulator.scope import must_run, running
from reconciler.drivers.simulator.secret import digest
from reconciler.model.kinds import MACHINE


def _account(act: Act) -> dict[str, Any]:
    machine, name = act.entity, act.target.name
    domain = running(machine) or machine["persistent"]
    _must_be(act, domain)
    device = domains.system_disk(domain)
    disk = owner(act, domains.path_of(device)) if device else None
    if disk is None:
        refuse(TOOL, f"the system disk of VM {name} is in no pool")
    if act.text("os_type") == "windows":
        must_run(act, machine)
    if machine["spec"]["powerstate"] == "Paused":
        refuse(LIBVIRT, f"Guest agent is not responding: domain {name} is paused")
    if running(machine) is None:
        volume.not_running(disk, f"the system disk of {name}")
    accounts = volume.state(disk).setdefault("accounts", {})
    account: dict[str, Any] = accounts.setdefault(act.text("user"), {})
    return account


def _must_be(act: Act, domain: domains.Domain) -> None:
    """Refuse a guest system that is plainly of the other family; most say nothing of theirs."""
    system, asked = domains.system_of(domain), act.text("os_type")
    if system and ("microsoft" in system) != (asked == "windows"):
        refuse(TOOL, f"the guest of VM {act.target.name} is {system}, not {asked}")


@effect(MACHINE, "SetGuestPassword")
def set_password(act: Act) -> None:
    _account(act)["password"] = digest(act.text("password"), key_of(act.target), act.text("user"))


@effect(MACHINE, "InjectSshKey")
def inject_key(act: Act) -> None:
    keys, key = _account(act).setdefault("keys", []), act.text("ssh_key")
    if key not in keys:
        keys.append(key)
