"""The dispatch table: what each operation does to the world. Modules enter their rows by decorator."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from reconciler.drivers.request import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.drivers.simulator.act import Act, key_of
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE, NETWORK, POOL

Effect = Callable[[Act], None]

EFFECTS: dict[tuple[str, str], Effect] = {}

# Who reports that a name is taken: libvirt, or the tool behind the kind.
_TAKEN = {MACHINE: LIBVIRT, POOL: STORAGE, DISK: STORAGE, DISK_IMAGE: STORAGE, DISK_SNAPSHOT: STORAGE}


def effect(kind: str, *operations: str) -> Callable[[Effect], Effect]:
    """Enter a function for operations on a resource of this kind that exists on the node."""

    def enter(function: Effect) -> Effect:
        @wraps(function)
        def checked(act: Act) -> None:
            # Networks are the cluster's: whichever node is asked can reach them.
            if act.entity["node"] != act.node and kind != NETWORK:
                refuse(TOOL, f"{act.target} is on {act.entity['node']}, not on {act.node}")
            function(act)

        for operation in operations:
            EFFECTS[kind, operation] = checked
        return function

    return enter


def creation(kind: str, *operations: str) -> Callable[[Effect], Effect]:
    """Enter a function for operations that bring their target into being."""

    def enter(function: Effect) -> Effect:
        @wraps(function)
        def checked(act: Act) -> None:
            absent(act, kind, act.target.name)
            function(act)

        for operation in operations:
            EFFECTS[kind, operation] = checked
        return function

    return enter


def absent(act: Act, kind: str, name: str) -> None:
    """Refuse if a resource of the kind has the name."""
    id = act.id(kind, name)
    taken = act.value(key_of(id))
    if taken is not None:
        refuse(_TAKEN.get(kind, TOOL), f"{id} already exists on {taken['node']}")
