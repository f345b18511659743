"""Storage pools: API sections 7.1 to 7.6.

``hidden`` of a pool: ``directory`` (where its files are), ``files`` (how many disks, images and backup
records are in it), ``busy`` (how many of them running machines use), ``uuid``, ``options``. Its ``backups`` are
shown once a scan has found any (``archive.py``).
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers.operation import STORAGE, refuse
from reconciler.drivers.pool_location import pool_location
from reconciler.drivers.simulator.context import Entity, SimulatorContext, key_of, operation
from reconciler.model.kinds import POOL

CAPACITY = "1.0 TB"  # every pool is as large; nothing here fills up


@operation(POOL, "CreatePool", creates=True)
def create(context: SimulatorContext) -> None:
    name, where = context.target.name, pool_location(context)
    held = claims(context.node, context.text("type"), context.text("url"), where.directory)
    for claim, what in held.items():
        if context.get(claim) is not None:
            refuse(STORAGE, f"{what} is what {context.get(claim)} has already")
    shown: dict[str, Any] = {
        "pool": name,
        "type": context.text("type"),
        "url": context.text("url"),
        "content": context.text("content", "vmd"),
        "state": "active",
        "autostart": context.flag("autostart"),
        "capacity": CAPACITY,
        "sourceHost": where.host,
        "sourcePath": where.path,
    }
    hidden = {
        "directory": where.directory,
        "files": 0,
        "busy": 0,
        "uuid": context.text("uuid"),
        "options": context.text("opt"),
    }
    context.add(context.target, {"pool": shown}, hidden)
    for claim in held:
        context.put(claim, key_of(context.target))


def claims(node: str, type: str, url: str, directory: str) -> dict[str, str]:
    """The keys of what only one pool of a node can have, its directory and an NFS share, and what that is."""
    held = {f"directory:{node}:{directory}": directory}
    return {**held, f"share:{node}:{url}": url} if type == "nfs" else held


def _pool(context: SimulatorContext, *, manageable: bool = True) -> Entity:
    pool = context.entity
    type = pool["spec"]["pool"]["type"]
    if "type" in context.parameters and context.text("type") != type:
        refuse(STORAGE, f"pool {context.target.name} is of type {type}, not {context.text('type')}")
    if manageable and type == "uus":
        refuse(STORAGE, f"pool {context.target.name} is of type uus, which can only be created, shown and deleted")
    return pool


@operation(POOL, "StartPool")
def start(context: SimulatorContext) -> None:
    pool = _pool(context)
    if pool["spec"]["pool"]["state"] == "active":
        refuse(STORAGE, f"pool {context.target.name} is already active")
    pool["spec"]["pool"]["state"] = "active"


@operation(POOL, "StopPool")
def stop(context: SimulatorContext) -> None:
    pool = _pool(context)
    if pool["spec"]["pool"]["state"] != "active":
        refuse(STORAGE, f"pool {context.target.name} is not active")
    if pool["hidden"]["busy"]:
        refuse(
            STORAGE,
            f"pool {context.target.name} is in use: running VMs have {pool['hidden']['busy']} of its files",
        )
    pool["spec"]["pool"]["state"] = "inactive"


@operation(POOL, "AutoStartPool")
def autostart(context: SimulatorContext) -> None:
    _pool(context)["spec"]["pool"]["autostart"] = not context.flag("disable")


@operation(POOL, "ShowPool")
def show(context: SimulatorContext) -> None:
    _pool(context, manageable=False)


@operation(POOL, "DeletePool")
def delete(context: SimulatorContext) -> None:
    pool = _pool(context, manageable=False)
    if pool["hidden"]["files"]:
        refuse(STORAGE, f"pool {context.target.name} is not empty: {pool['hidden']['files']} things are in it")
    shown = pool["spec"]["pool"]
    for claim in claims(context.node, shown["type"], shown["url"], pool["hidden"]["directory"]):
        context.put(claim, None)
    context.remove(context.target)
