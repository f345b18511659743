"""Storage pools that are directories: API sections 7.1 to 7.6."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import SubElement

import libvirt

from reconciler.drivers.asked import STORAGE, refuse
from reconciler.drivers.libvirt.action import Action, action, creation
from reconciler.drivers.libvirt.host import config_of, directory_of, live_of, mark_content, paths_of
from reconciler.drivers.libvirt.wire import Element, text_of
from reconciler.kinds import POOL

_TYPES = ("localfs",)


@creation(POOL, "CreatePool")
def create(act: Action) -> None:
    name, type, url = act.target.name, act.text("type"), act.text("url")
    if type not in _TYPES:
        refuse(STORAGE, f"pool {name} is of type {type}; this host has pools of type {', '.join(_TYPES)}")
    if not url.startswith("/"):
        refuse(STORAGE, f"pool {name} needs a directory of this host as its url, not {url!r}")
    directory = Path(url)
    for other in act.host.pools():
        if directory_of(other).resolve() == directory.resolve():
            refuse(STORAGE, f"{directory} is the directory of pool {other.name()} already")
    if any(each.name() == name for each in act.host.connection.listAllStoragePools()):
        refuse(STORAGE, f"libvirt has a pool {name} already, of another type")
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    mark_content(directory, act.text("content", "vmd"))
    definition = Element("pool", type="dir")
    SubElement(definition, "name").text = name
    SubElement(SubElement(definition, "target"), "path").text = str(directory)
    pool = act.host.connection.storagePoolDefineXML(text_of(definition))
    try:
        pool.create()
        pool.setAutostart(act.flag("autostart"))
    except libvirt.libvirtError:
        if pool.isActive():
            pool.destroy()
        pool.undefine()
        raise


@action(POOL, "StartPool")
def start(act: Action) -> None:
    pool = act.host.pool(act.target.name)
    _of_type(act)
    if pool.isActive():
        refuse(STORAGE, f"pool {act.target.name} is already active")
    pool.create()


@action(POOL, "StopPool")
def stop(act: Action) -> None:
    pool = act.host.pool(act.target.name)
    _of_type(act)
    if not pool.isActive():
        refuse(STORAGE, f"pool {act.target.name} is not active")
    directory = f"{directory_of(pool)}/"
    for domain in act.host.domains():
        if domain.isActive() and any(each.startswith(directory) for each in paths_of(live_of(domain))):
            refuse(STORAGE, f"pool {act.target.name} is in use by running {domain.name()}")
    pool.destroy()


@action(POOL, "AutoStartPool")
def autostart(act: Action) -> None:
    _of_type(act)
    act.host.pool(act.target.name).setAutostart(not act.flag("disable"))


@action(POOL, "ShowPool")
def show(act: Action) -> None:
    _of_type(act)


@action(POOL, "DeletePool")
def delete(act: Action) -> None:
    pool = act.host.pool(act.target.name)
    _of_type(act)
    directory = directory_of(pool)
    if kept := [name for name, _ in act.host.volumes(pool)]:
        refuse(STORAGE, f"pool {act.target.name} is not empty: {', '.join(kept)}")
    for domain in act.host.domains():
        if any(each.startswith(f"{directory}/") for each in paths_of(config_of(domain))):
            refuse(STORAGE, f"pool {act.target.name} has files of {domain.name()}")
    if pool.isActive():
        pool.destroy()
    pool.undefine()
    # What anybody else put there is not ours: then the directory stays.
    if directory.is_dir() and {each.name for each in directory.iterdir()} <= {"content"}:
        (directory / "content").unlink(missing_ok=True)
        directory.rmdir()


def _of_type(act: Action) -> None:
    if "type" in act.parameters and act.text("type") not in _TYPES:
        refuse(STORAGE, f"pool {act.target.name} is of type localfs, not {act.text('type')}")
