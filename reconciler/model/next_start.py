"""Which disks of a running machine get another form only with its next start. Pure.

The disk that the guest booted from is not taken from under it, and the settings that no operation changes in place
are written into the definition of the machine, where its next start finds them.
"""

from __future__ import annotations

from typing import Any

from reconciler.model.boot_order import source
from reconciler.model.fields import field_at, replacing
from reconciler.model.kinds import MACHINE

Shape = dict[str, Any]


def boot_disk(machine: Shape) -> str:
    """The target of the disk that a machine boots from: the first in its boot order, else its first disk."""
    disks = machine.get("disks") or {}
    return next((each for each in machine.get("bootOrder") or () if each in disks), next(iter(disks), ""))


def waiting_targets(live: Shape, then: Shape) -> set[str]:
    """The targets that have to wait for the next start to have the disks that ``then`` gives them.

    Where disks go from target to target of a machine, all of these wait if one does: the guest would be without one of
    them until then, or could not be given the one that it still has elsewhere.
    """
    to_be = then.get("disks") or {}
    targets = (live.get("disks") or {}).keys() | to_be.keys()
    return linked_targets(live, then, {each for each in targets if _waits(live, each, to_be.get(each))})


def linked_targets(now: Shape, then: Shape, targets: set[str]) -> set[str]:
    """These targets, and those that disks come to them from or go to, and so on."""
    held = {source(disk): each for each, disk in (now.get("disks") or {}).items() if source(disk)}
    to_be = (then.get("disks") or {}).items()
    moves = [{held[source(disk)], each} for each, disk in to_be if source(disk) in held]
    found = set(targets)
    while more := {each for move in moves if move & found for each in move} - found:
        found |= more
    return found


def _waits(live: Shape, target: str, then: Shape | None) -> bool:
    """Whether the disk at a target has by itself to wait for the next start to become ``then`` (None: to go)."""
    disks = live.get("disks") or {}
    now, boot = disks.get(target), boot_disk(live)
    if now is None:
        return then is not None and bool(boot) and source(then) == source(disks[boot])
    if then is None:
        return target == boot
    differing = replaced(now, then)
    return bool(differing) and (target == boot or all(_at_start(name) for name in differing))


def replaced(now: Shape, then: Shape) -> list[str]:
    """The fields of a disk that no operation changes in place and that differ."""
    return [name for name in replacing(MACHINE, "disks") if name in then and then[name] != now.get(name)]


def _at_start(name: str) -> bool:
    row = field_at(MACHINE, ("disks", "*", name))
    return row is not None and row.at_start
