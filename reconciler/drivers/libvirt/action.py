"""The capability table: what this driver does for each operation. Modules enter their rows by decorator.

What has no row is not supported, and refused before anything is sent to libvirt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from reconciler.drivers.request import LIBVIRT, STORAGE, TOOL, Asked, refuse
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE, POOL
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.libvirt.host import Host


class Action(Asked):
    """One operation under way on a host; ``touched`` is what may look different after it."""

    def __init__(self, host: Host, target: ResourceId, parameters: Mapping[str, Any]) -> None:
        super().__init__(target, parameters)
        self.host = host
        self.touched = {target}


Doing = Callable[[Action], None]

ACTIONS: dict[tuple[str, str], Doing] = {}

# Who reports that a name is taken: libvirt, or the tool behind the kind.
_TAKEN = {MACHINE: LIBVIRT, POOL: STORAGE, DISK: STORAGE, DISK_IMAGE: STORAGE, DISK_SNAPSHOT: STORAGE}


def action(kind: str, *operations: str) -> Callable[[Doing], Doing]:
    """Enter a function for operations on a resource of this kind that exists."""

    def enter(function: Doing) -> Doing:
        @wraps(function)
        def checked(act: Action) -> None:
            if not act.host.exists(act.target):
                refuse(TOOL, f"{act.target} does not exist")
            function(act)

        for operation in operations:
            ACTIONS[kind, operation] = checked
        return function

    return enter


def creation(kind: str, *operations: str) -> Callable[[Doing], Doing]:
    """Enter a function for operations that bring their target into being."""

    def enter(function: Doing) -> Doing:
        @wraps(function)
        def checked(act: Action) -> None:
            absent(act, kind, act.target.name)
            function(act)

        for operation in operations:
            ACTIONS[kind, operation] = checked
        return function

    return enter


def absent(act: Action, kind: str, name: str) -> None:
    """Refuse if a resource of the kind has the name."""
    id = act.id(kind, name)
    if act.host.exists(id):
        refuse(_TAKEN.get(kind, TOOL), f"{id} already exists")
