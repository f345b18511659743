"""Files in pools: what disks, disk images and VM images have in common.

``hidden`` of such an entity: ``pool``, ``files`` (below), ``users`` (machines that have it, kept by
``claims.py``), for disks ``backing`` (entity key of the image it keeps reading from), ``internal`` (snapshots
inside the file), ``inside`` (those of machines) and ``checkpoints`` (archive -> the backup from which on its
changes are known), for images ``overlays`` (how many disks read from it).

A file has ``parent`` (the file it reads on from), exact ``bytes``, and what is in it: ``content``, a token that
stands for all that was written, and ``accounts``, what of the guest's accounts was set from outside.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.drivers.simulator.claims import definitions
from reconciler.drivers.simulator.context import (
    Entity,
    SimulatorContext,
    deep_copy,
    id_at,
    key_of,
    name_at,
    stable_uuid,
)
from reconciler.model import quantity
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.model.resource import ResourceId

File = dict[str, Any]

SHARED_TYPES = {"nfs", "glusterfs", "uus"}

_WRITTEN = ("content", "accounts")


# Pools


def active_pool(context: SimulatorContext, name: str, *contents: str, type: str = "", anywhere: bool = False) -> Entity:
    """The pool, which must be active, of one of the contents if any are named, and on this node (or ``anywhere``)."""
    pool = context.find(POOL, name)
    if pool is None:
        refuse(STORAGE, f"pool {name} does not exist")
    shown = pool["spec"]["pool"]
    if pool["node"] != context.node and not anywhere:
        refuse(STORAGE, f"pool {name} is on {pool['node']}, not on {context.node}")
    if shown["state"] != "active":
        refuse(STORAGE, f"pool {name} is not active")
    if contents and shown["content"] not in contents:
        refuse(STORAGE, f"pool {name} holds {shown['content']}, not {' or '.join(contents)}")
    if type and shown["type"] != type:
        refuse(STORAGE, f"pool {name} is of type {shown['type']}, not {type}")
    return pool


def reachable(context: SimulatorContext, entity: Entity, node: str = "") -> bool:
    """Whether a node, this one unless told, can open the files of an entity."""
    pool = context.find(POOL, entity["hidden"]["pool"])
    return entity["node"] == (node or context.node) or (pool is not None and is_shared(pool))


def is_shared(pool: Entity) -> bool:
    """Whether every node can open the files in a pool."""
    return pool["spec"]["pool"]["type"] in SHARED_TYPES


# Creating and deleting


def blank_file(size: int, *about: object) -> File:
    """A file of a size in bytes with content of its own."""
    return {"parent": None, "bytes": size, "content": stable_uuid("content", *about)}


def copy_of(file: File) -> File:
    """The same content and size, reading on from nothing."""
    return {**file, "parent": None}


def create(
    context: SimulatorContext, id: ResourceId, pool_name: str, pool: Entity, spec: dict[str, Any], file: File
) -> Entity:
    """Create the entity of a disk or image, with its file in a pool; returns the entity."""
    shown = spec.get("volume", {})
    path = path_in(pool, id.name, iso=shown.get("format") == "iso")
    entity = context.add(id, spec, {"pool": pool_name, "files": {}, "users": {}})
    context.move(key_of(id), pool["node"])
    create_file(context, key_of(id), entity, path, file)
    pool["hidden"]["files"] += 1
    if "volume" in spec:
        shown["current"] = path
    if id.kind == DISK:
        shown["capacity"] = quantity.rounded(file["bytes"])
    return entity


def path_in(pool: Entity, name: str, *, iso: bool = False) -> str:
    """The path of the file of a disk or image in a pool."""
    return f"{pool['hidden']['directory']}/{name}/{name}{'.iso' if iso else ''}"


def create_file(context: SimulatorContext, key: str, entity: Entity, path: str, file: File) -> None:
    """Create a file of a disk or image. Refuses a path that is taken."""
    if context.get(f"file:{path}") is not None:
        refuse(STORAGE, f"{path} already exists")
    entity["hidden"]["files"][path] = file
    context.put(f"file:{path}", key)


def delete_file(context: SimulatorContext, entity: Entity, path: str) -> None:
    """Delete a file; files that read on from it have all content themselves then."""
    del entity["hidden"]["files"][path]
    context.put(f"file:{path}", None)
    for other in entity["hidden"]["files"].values():
        if other["parent"] == path:
            other["parent"] = None


def destroy(context: SimulatorContext, id: ResourceId) -> None:
    """Remove an entity with all its files."""
    entity: Entity = context.get(key_of(id))
    for path in list(entity["hidden"]["files"]):
        delete_file(context, entity, path)
    detach_from_image(context, entity)
    remove_from_pool(context, entity)
    context.remove(id)


def remove_from_pool(context: SimulatorContext, entity: Entity) -> None:
    """Have the pool of a disk or image count one file less."""
    pool = context.find(POOL, entity["hidden"]["pool"])
    if pool is not None:
        pool["hidden"]["files"] -= 1


def detach_from_image(context: SimulatorContext, disk: Entity) -> None:
    """Have a disk read no longer from an image."""
    if backing := disk["hidden"].pop("backing", None):
        context.get(backing)["hidden"]["overlays"] -= 1


# Disks


def disk(context: SimulatorContext, name: str, pool: str = "") -> Entity:
    """A disk of this node, in the pool if one is named."""
    found = context.find(DISK, name)
    if found is None:
        refuse(STORAGE, f"disk {name} does not exist")
    if found["node"] != context.node:
        refuse(STORAGE, f"disk {name} is on {found['node']}, not on {context.node}")
    if pool and found["hidden"]["pool"] != pool:
        refuse(STORAGE, f"disk {name} is in pool {found['hidden']['pool']}, not in {pool}")
    return found


def reachable_disk(context: SimulatorContext, name: str) -> Entity:
    """A disk that this node can open, in whichever pool."""
    found = context.find(DISK, name)
    if found is None:
        refuse(STORAGE, f"disk {name} does not exist")
    if not reachable(context, found):
        refuse(STORAGE, f"disk {name} is on {found['node']}, not on {context.node}")
    return found


def current(entity: Entity) -> str:
    """The file in use; a VM image has but one."""
    shown = entity["spec"].get("volume")
    return str(shown["current"] if shown else next(iter(entity["hidden"]["files"])))


def state(entity: Entity) -> File:
    """Size and content as they are now."""
    file: File = entity["hidden"]["files"][current(entity)]
    return file


def resize(entity: Entity, size: int) -> None:
    """Set the size of the file in use, in bytes."""
    state(entity)["bytes"] = size
    entity["spec"]["volume"]["capacity"] = quantity.rounded(size)


def restore(entity: Entity, then: File) -> None:
    """Set size and content back to those of ``then``. What changed since the last backup is not known any more."""
    now = state(entity)
    for part in _WRITTEN:
        now.pop(part, None)
        if part in then:
            now[part] = deep_copy(then[part])
    entity["hidden"].pop("checkpoints", None)
    if "volume" in entity["spec"]:
        resize(entity, then["bytes"])
    else:
        now["bytes"] = then["bytes"]


def switch_file(context: SimulatorContext, entity: Entity, path: str) -> None:
    """Make another of its files the one in use, also in the definitions of the machines that have it.

    Which parts changed since a backup is marked in the file, and not in another one.
    """
    before = current(entity)
    entity["hidden"].pop("checkpoints", None)
    entity["spec"]["volume"]["current"] = path
    resize(entity, state(entity)["bytes"])
    for user in entity["hidden"]["users"]:
        for domain in definitions(context.get(user)):
            domains.replace_paths(domain, {before: path})


def free_path(context: SimulatorContext, path: str) -> str:
    """A path that no file has: this one, or one with a suffix."""
    number, free = 0, path
    while context.get(f"file:{free}") is not None:
        number += 1
        free = f"{path}-{stable_uuid('beside', path, number)[:8]}"
    return free


def add_overlay(context: SimulatorContext, id: ResourceId, base: str, path: str) -> None:
    """Have a disk write to a new file on top of one of its files."""
    entity: Entity = context.get(key_of(id))
    create_file(context, key_of(id), entity, path, {**entity["hidden"]["files"][base], "parent": base})
    switch_file(context, entity, path)


def require_branchable(entity: Entity, name: str) -> None:
    """Refuse a disk of which no snapshot in a file of its own can be taken."""
    users = [name_at(user) for user in entity["hidden"]["users"]]
    if len(users) > 1:
        refuse(STORAGE, f"disk {name} is attached to {', '.join(users)}: its snapshots are for one machine to have")
    if (format := entity["spec"]["volume"].get("format", "qcow2")) != "qcow2":
        refuse(STORAGE, f"disk {name} is {format}: only qcow2 has snapshots")
    if inside := [*entity["hidden"].get("internal", {}), *entity["hidden"].get("inside", [])]:
        refuse(STORAGE, f"disk {name} has snapshots inside its file, which would be lost: {', '.join(inside)}")


def forget_inside(entity: Entity, mark: str) -> None:
    """Forget that a disk has a snapshot of a machine inside its file."""
    inside = entity["hidden"].get("inside", [])
    if mark in inside:
        inside.remove(mark)


def require_detached(entity: Entity, name: str) -> None:
    """Refuse while any machine has it."""
    for user in entity["hidden"]["users"]:
        refuse(STORAGE, f"{name} is attached to {MACHINE}/{name_at(user)}")


def require_unused(entity: Entity, name: str) -> None:
    """Refuse while a running machine has it."""
    for user, details in entity["hidden"]["users"].items():
        if details["live"]:
            refuse(STORAGE, f'Failed to get "write" lock: {name} is in use by running {id_at(user)}')
