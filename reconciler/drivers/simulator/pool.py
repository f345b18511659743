"""Storage pools: API sections 7.1 to 7.6.

``hidden`` of a pool: ``directory`` (where its files are), ``files`` (how many disks, images and backup
records are in it), ``busy`` (how many of them running machines use), ``uuid``, ``options``. Its ``backups`` are
shown once a scan has found any (``archive.py``).
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers.place import place
from reconciler.drivers.request import STORAGE, refuse
from reconciler.drivers.simulator.act import Act, Entity, key_of
from reconciler.drivers.simulator.effect import creation, effect
from reconciler.model.kinds import POOL

CAPACITY = "1.0 TB"  # every pool is as large; nothing here fills up


@creation(POOL, "CreatePool")
def create(act: Act) -> None:
    name, where = act.target.name, place(act)
    held = claims(act.node, act.text("type"), act.text("url"), where.directory)
    for claim, what in held.items():
        if act.value(claim) is not None:
            refuse(STORAGE, f"{what} is what {act.value(claim)} has already")
    shown: dict[str, Any] = {
        "pool": name,
        "type": act.text("type"),
        "url": act.text("url"),
        "content": act.text("content", "vmd"),
        "state": "active",
        "autostart": act.flag("autostart"),
        "capacity": CAPACITY,
        "sourceHost": where.host,
        "sourcePath": where.path,
    }
    hidden = {
        "directory": where.directory,
        "files": 0,
        "busy": 0,
        "uuid": act.text("uuid"),
        "options": act.text("opt"),
    }
    act.add(act.target, {"pool": shown}, hidden)
    for claim in held:
        act.keep(claim, key_of(act.target))


def claims(node: str, type: str, url: str, directory: str) -> dict[str, str]:
    """The keys of what only one pool of a node can have, its directory and an NFS share, and what that is."""
    held = {f"directory:{node}:{directory}": directory}
    return {**held, f"share:{node}:{url}": url} if type == "nfs" else held


def _pool(act: Act, *, manageable: bool = True) -> Entity:
    pool = act.entity
    type = pool["spec"]["pool"]["type"]
    if "type" in act.parameters and act.text("type") != type:
        refuse(STORAGE, f"pool {act.target.name} is of type {type}, not {act.text('type')}")
    if manageable and type == "uus":
        refuse(STORAGE, f"pool {act.target.name} is of type uus, which can only be created, shown and deleted")
    return pool


@effect(POOL, "StartPool")
def start(act: Act) -> None:
    pool = _pool(act)
    if pool["spec"]["pool"]["state"] == "active":
        refuse(STORAGE, f"pool {act.target.name} is already active")
    pool["spec"]["pool"]["state"] = "active"


@effect(POOL, "StopPool")
def stop(act: Act) -> None:
    pool = _pool(act)
    if pool["spec"]["pool"]["state"] != "active":
        refuse(STORAGE, f"pool {act.target.name} is not active")
    if pool["hidden"]["busy"]:
        refuse(
            STORAGE,
            f"pool {act.target.name} is in use: running VMs have {pool['hidden']['busy']} of its files",
        )
    pool["spec"]["pool"]["state"] = "inactive"


@effect(POOL, "AutoStartPool")
def autostart(act: Act) -> None:
    _pool(act)["spec"]["pool"]["autostart"] = not act.flag("disable")


@effect(POOL, "ShowPool")
def show(act: Act) -> None:
    _pool(act, manageable=False)


@effect(POOL, "DeletePool")
def delete(act: Act) -> None:
    pool = _pool(act, manageable=False)
    if pool["hidden"]["files"]:
        refuse(STORAGE, f"pool {act.target.name} is not empty: {pool['hidden']['files']} things are in it")
    shown = pool["spec"]["pool"]
    for claim in claims(act.node, shown["type"], shown["url"], pool["hidden"]["directory"]):
        act.keep(claim, None)
    act.remove(act.target)
