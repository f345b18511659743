"""Machines started, stopped, paused and restarted: API sections 1.3, 1.4, 1.10, 1.13, 1.15, 1.16 and 1.18."""

from __future__ import annotations

from typing import Any

import libvirt

from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import domain_of, require_running
from reconciler.drivers.libvirt.exclusive_use import mark_disks_touched
from reconciler.drivers.libvirt.host import live_of
from reconciler.drivers.libvirt.image_access import require_images
from reconciler.drivers.libvirt.pause import paused_by
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.model.kinds import MACHINE

_TRIAL = 2.0  # seconds that a guest which an error had paused runs until it counts as resumed


@operation(MACHINE, "StartVM")
def start(context: LibvirtContext) -> None:
    domain = domain_of(context)
    if domain.isActive():
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already running")
    require_images(context.host, live_of(domain))
    domain.create()


@operation(MACHINE, "StopVM")
def stop(context: LibvirtContext) -> None:
    domain, seconds = domain_of(context), context.host.shutdown
    _require_responsive(context, "shut down")
    mark_disks_touched(context, live_of(domain))

    asked: list[Any] = []

    def ask() -> None:
        try:
            domain.shutdown()
        except libvirt.libvirtError:
            # Asked again while it goes down; whether it is off decides, not this answer.
            if not asked:
                raise
        asked.append(domain)

    if not context.host.wait_until(seconds, lambda: not domain.isActive(), ask):
        refuse(
            LIBVIRT,
            f"Operation failed: the guest of {context.target.name} has not shut down in {seconds:g} s; it runs on. "
            "StopVMForce cuts its power, where that is allowed",
        )


@operation(MACHINE, "StopVMForce")
def stop_force(context: LibvirtContext) -> None:
    domain = domain_of(context)
    require_running(context, domain)
    mark_disks_touched(context, live_of(domain))
    domain.destroy()


@operation(MACHINE, "RebootVM")
def reboot(context: LibvirtContext) -> None:
    # The domain stays as it is: what waits for the next start still does.
    domain, seconds = domain_of(context), context.host.shutdown
    _require_responsive(context, "reboot")
    uuid = domain.UUIDString()
    before = context.host.restarts.get(uuid, 0)
    if not context.host.wait_until(seconds, lambda: context.host.restarts.get(uuid, 0) > before, domain.reboot):
        refuse(LIBVIRT, f"Operation failed: the guest of {context.target.name} has not restarted in {seconds:g} s")


@operation(MACHINE, "ResetVM")
def reset(context: LibvirtContext) -> None:
    domain = domain_of(context)
    require_running(context, domain)
    domain.reset()


@operation(MACHINE, "SuspendVM")
def suspend(context: LibvirtContext) -> None:
    domain = domain_of(context)
    require_running(context, domain)
    if _paused(context):
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already paused")
    domain.suspend()


@operation(MACHINE, "ResumeVM")
def resume(context: LibvirtContext) -> None:
    domain = domain_of(context)
    require_running(context, domain)
    if not _paused(context):
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already running")
    failed = bool(paused_by(domain))
    domain.resume()
    # What failed is tried again at once: a guest that nobody had paused soon shows whether it can run.
    if failed and context.host.wait_until(_TRIAL, lambda: bool(paused_by(domain)), lambda: None):
        refuse(
            LIBVIRT,
            f"Operation failed: the guest of {context.target.name} was resumed and paused again: {paused_by(domain)}. "
            "Mend that on its node, then resume it",
        )


def _paused(context: LibvirtContext) -> bool:
    return bool(domain_of(context).state()[0] == libvirt.VIR_DOMAIN_PAUSED)


def _require_responsive(context: LibvirtContext, request: str) -> None:
    require_running(context, domain_of(context))
    if _paused(context):
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: domain {context.target.name} is paused and cannot {request}; "
            "resume it first",
        )
