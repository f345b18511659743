"""What a machine boots from: its boot order, or the first of its disks where it has none. Pure.

The order that a manifest does not declare follows what it says of the disks: no disk that a machine boots from is
taken out of its order because the disk is plugged in at another target, or with other settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

Shape = dict[str, Any]


def source(disk: Shape) -> str:
    """What is plugged: a disk by its name, or a device of the node by its path; empty where that is not known."""
    return str(disk.get("disk") or disk.get("block") or "")


def marked_disk(machine: Shape) -> str:
    """The target of the disk that is declared with ``boot: true``; empty if there is none, or a medium is booted."""
    disks = machine.get("disks") or {}
    return "" if machine.get("livecd") else next((each for each, disk in disks.items() if disk.get("boot")), "")


def first_tried(targets: Iterable[str]) -> str:
    """The disk that a machine without a boot order boots from: libvirt keeps the disks of a bus in their order."""
    found = list(targets)
    return min((each for each in found if each[:2] == found[0][:2]), key=lambda each: (len(each), each), default="")


def order_to_be(desired: Shape, seen: Shape, going: set[str]) -> list[str]:
    """The order to set on a machine whose manifest declares none; empty where it boots from the right disk by itself.

    ``going`` are the targets that are unplugged, be it to be plugged in again. An order names targets, so it follows a
    disk only where nothing takes its place. The disk that is marked comes before all others.
    """
    disks, listed, order = desired.get("disks") or {}, seen.get("disks") or {}, seen.get("bootOrder") or []
    now = order or [first_tried(listed)]
    if not going and disks.keys() == listed.keys() and marked_disk(desired) in ("", now[0]):
        return []  # as nearly all have it
    followed = _followed(now, listed, disks)
    first = next((each for each in followed if each in disks), "")
    wanted = marked_disk(desired) or first
    if not wanted and order and going.intersection(now):
        wanted = next(iter(disks), "")  # all disks that it booted from are gone
    if going.issuperset(order) and len(followed) < 2:  # it has none by then, and may need none
        stays = [each for each in listed if each in disks and each not in going]
        return [wanted] if wanted not in ("", first_tried((*stays, *sorted(disks.keys() - set(stays))))) else []
    if wanted != first:
        followed = _with_first(followed, wanted, now, listed)
    return followed if followed != order or going.intersection(followed) else []


def _followed(now: list[str], listed: Shape, disks: Shape) -> list[str]:
    """The order with the targets that its disks are to have, without those that go."""
    targets = {source(disk): target for target, disk in disks.items()}
    found = (each if each in disks or each not in listed else targets.get(source(listed[each]), "") for each in now)
    return [each for each in dict.fromkeys(found) if each]


def _with_first(order: list[str], wanted: str, now: list[str], listed: Shape) -> list[str]:
    """The order with a disk before all other disks; drives that came before the first disk still do."""
    drives = list(takewhile(lambda each: each not in listed, now))
    return [*drives, wanted, *(each for each in order if each != wanted and each not in drives)]
