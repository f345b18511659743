"""Taking a device away from a machine, also from a running guest, which has to let go of it."""

from __future__ import annotations

from collections.abc import Callable

import libvirt

from reconciler.drivers.libvirt.binding import VirDomain
from reconciler.drivers.libvirt.context import LibvirtContext
from reconciler.drivers.libvirt.definition import LIVE
from reconciler.drivers.libvirt.xml_json import Element, text_of
from reconciler.drivers.operation import LIBVIRT, refuse


def unplug(
    context: LibvirtContext, domain: VirDomain, device: Element, flag: int, name: str, gone: Callable[[], bool]
) -> None:
    """Unplug a device; from a running domain, wait until the guest has released it. Refuses a guest that does not."""
    xml = text_of(device)
    if flag != LIVE:
        domain.detachDeviceFlags(xml, flag)
        return

    def ask() -> None:
        try:
            domain.detachDeviceFlags(xml, flag)
        except libvirt.libvirtError:
            # Asked again while the first request is under way; whether it is gone decides, not this answer.
            if not asked:
                raise
        asked.append(name)

    asked: list[str] = []
    if not context.host.wait_until(context.host.unplug, gone, ask):
        refuse(
            LIBVIRT,
            f"Operation failed: the guest of {context.target.name} has not let go of {name} in "
            f"{context.host.unplug:g} s; it may not run an operating system yet, or may be using it",
        )
