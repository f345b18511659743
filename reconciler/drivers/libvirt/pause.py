"""Why a guest is paused that nobody paused: an error of a disk, most of all."""

from __future__ import annotations

import libvirt

from reconciler.drivers.libvirt.binding import VirDomain

_REASONS = {
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: "I/O error",
    libvirt.VIR_DOMAIN_PAUSED_WATCHDOG: "the watchdog of the guest was not fed",
    libvirt.VIR_DOMAIN_PAUSED_CRASHED: "the guest crashed",
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: "its migration failed",
}
_NO_SPACE = {libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE: ": no space left"}


def paused_by(domain: VirDomain) -> str:
    """Why a guest is paused that nobody paused, in words; empty if it is not, or somebody did."""
    state, reason = domain.state()
    if state != libvirt.VIR_DOMAIN_PAUSED or reason not in _REASONS:
        return ""
    if reason != libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        return _REASONS[reason]
    disks = sorted(domain.diskErrors().items())
    where = ", ".join(f"{target}{_NO_SPACE.get(error, '')}" for target, error in disks)
    return f"{_REASONS[reason]} on {where}" if where else _REASONS[reason]
