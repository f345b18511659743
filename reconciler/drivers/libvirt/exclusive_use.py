"""What only one machine may have: files and MAC addresses.

To be checked while ``Host.claim_lock`` is held, so that no other operation takes the same in between.
"""

from __future__ import annotations

from reconciler.drivers.libvirt.context import LibvirtContext
from reconciler.drivers.libvirt.host import config_of, live_of, path_of
from reconciler.drivers.libvirt.xml_json import Element
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.model.kinds import DISK, MACHINE


def mark_disks_touched(context: LibvirtContext, *definitions: Element) -> None:
    """Note that the disks in these definitions may show another user now."""
    for definition in definitions:
        for disk in definition.iterfind("devices/disk"):
            owner = context.host.owner(path_of(disk))
            if owner is not None and owner[0] == DISK:
                context.touched.add(context.id(DISK, owner[1]))


def require_free_file(context: LibvirtContext, path: str, *, shared: bool, but: str = "") -> None:
    """Refuse a file that a domain other than ``but`` has, unless all of them read or share it.

    Refused as well is a backing file of a disk, which must not change.
    """
    owner = context.host.owner(path)
    if owner is not None and owner[2]["current"] != path:
        refuse(LIBVIRT, f"{path} is not in use any more: it is what {owner[2]['current']} reads on from")
    for domain, _ in context.host.users(path):
        if domain.name() == but:
            continue
        for definition in (live_of(domain), config_of(domain)):
            for disk in definition.iterfind("devices/disk"):
                alone = disk.find("readonly") is None and disk.find("shareable") is None
                if path_of(disk) == path and (alone or not shared):
                    refuse(
                        LIBVIRT,
                        f'internal error: Failed to get "write" lock: {path} is attached to {MACHINE}/{domain.name()}',
                    )


def require_free_address(context: LibvirtContext, mac: str, *, but: str = "") -> None:
    """Refuse a MAC address that a domain other than ``but`` has."""
    for domain in context.host.domains():
        if domain.name() != but and mac in macs_of(live_of(domain)) | macs_of(config_of(domain)):
            refuse(LIBVIRT, f"MAC address {mac} is already in use by {MACHINE}/{domain.name()}")


def macs_of(definition: Element) -> set[str]:
    """The MAC addresses of the NICs of a definition, in lower case."""
    return {each.get("address", "").lower() for each in definition.iterfind("devices/interface/mac")}
