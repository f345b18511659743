"""Machines started, stopped, paused and restarted: API sections 1.3 to 1.6, 1.13, 1.15 and 1.16."""

from __future__ import annotations

from typing import Any

import libvirt

from reconciler.drivers.libvirt.action import Action, action
from reconciler.drivers.libvirt.claim import touch_disks
from reconciler.drivers.libvirt.definition import domain_of, must_run
from reconciler.drivers.libvirt.host import live_of
from reconciler.drivers.request import LIBVIRT, refuse
from reconciler.model.kinds import MACHINE


@action(MACHINE, "StartVM")
def start(act: Action) -> None:
    domain = domain_of(act)
    if domain.isActive():
        refuse(LIBVIRT, f"Requested operation is not valid: domain {act.target.name} is already running")
    domain.create()


@action(MACHINE, "StopVM")
def stop(act: Action) -> None:
    domain, seconds = domain_of(act), act.host.shutdown
    _must_answer(act, "shut down")
    touch_disks(act, live_of(domain))

    asked: list[Any] = []

    def ask() -> None:
        try:
            domain.shutdown()
        except libvirt.libvirtError:
            # Asked again while it goes down; whether it is off decides, not this answer.
            if not asked:
                raise
        asked.append(domain)

    if not act.host.waited(seconds, lambda: not domain.isActive(), ask):
        refuse(
            LIBVIRT,
            f"Operation failed: the guest of {act.target.name} has not shut down in {seconds:g} s; it runs on. "
            "StopVMForce cuts its power, where that is allowed",
        )


@action(MACHINE, "StopVMForce")
def stop_force(act: Action) -> None:
    domain = domain_of(act)
    must_run(act, domain)
    touch_disks(act, live_of(domain))
    domain.destroy()


@action(MACHINE, "RebootVM")
def reboot(act: Action) -> None:
    # The domain goes on as it is: what waits for the next start waits on.
    domain, seconds = domain_of(act), act.host.shutdown
    _must_answer(act, "reboot")
    uuid = domain.UUIDString()
    before = act.host.restarts.get(uuid, 0)
    if not act.host.waited(seconds, lambda: act.host.restarts.get(uuid, 0) > before, domain.reboot):
        refuse(LIBVIRT, f"Operation failed: the guest of {act.target.name} has not restarted in {seconds:g} s")


@action(MACHINE, "ResetVM")
def reset(act: Action) -> None:
    domain = domain_of(act)
    must_run(act, domain)
    domain.reset()


@action(MACHINE, "SuspendVM")
def suspend(act: Action) -> None:
    domain = domain_of(act)
    must_run(act, domain)
    if _paused(act):
        refuse(LIBVIRT, f"Requested operation is not valid: domain {act.target.name} is already paused")
    domain.suspend()


@action(MACHINE, "ResumeVM")
def resume(act: Action) -> None:
    domain = domain_of(act)
    must_run(act, domain)
    if not _paused(act):
        refuse(LIBVIRT, f"Requested operation is not valid: domain {act.target.name} is already running")
    domain.resume()


def _paused(act: Action) -> bool:
    return bool(domain_of(act).state()[0] == libvirt.VIR_DOMAIN_PAUSED)


def _must_answer(act: Action, request: str) -> None:
    must_run(act, domain_of(act))
    if _paused(act):
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: domain {act.target.name} is paused and cannot {request}; "
            "resume it first",
        )
