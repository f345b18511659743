"""Storage pools, which are directories or shares of other hosts: API sections 7.1 to 7.6."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import SubElement, register_namespace

from reconciler.catalogue.common import system_directory
from reconciler.drivers.libvirt.binding import VirPool
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.host import (
    TYPES,
    config_of,
    directory_of,
    is_active,
    is_bare,
    live_of,
    mark_content,
    marked_content,
    paths_of,
    share_of,
    type_of,
)
from reconciler.drivers.libvirt.image_access import is_allowed
from reconciler.drivers.libvirt.mount import mounted
from reconciler.drivers.libvirt.xml_json import Element, text_of
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.drivers.pool_location import MOUNTS, PoolLocation, pool_location
from reconciler.model.kinds import POOL

_OPTIONS = "http://libvirt.org/schemas/storagepool/fs/1.0"
register_namespace("fs", _OPTIONS)

# Directories that others have theirs in.
_COMMON = ("/", "/home", "/root", "/tmp", "/var", "/var/lib")


@operation(POOL, "CreatePool", creates=True)
def create(context: LibvirtContext) -> None:
    """Create a pool; files that are there already stay. Its definition is stored last, when all else is done."""
    name, type, content = context.target.name, context.text("type"), context.text("content", "vmd")
    if type not in TYPES.values():
        refuse(STORAGE, f"pool {name} is of type {type}; this host has pools of type {', '.join(TYPES.values())}")
    where = pool_location(context)
    directory = Path(where.directory)
    _fit(name, where)
    _free(context, name, where)
    if where.share:
        _bare(directory, where.share)
    elif not _says(where, content):
        _not_others(context, directory)
    with ExitStack() as undo:
        _make(directory, undo)
        pool = context.host.connection.storagePoolCreateXML(text_of(_definition(name, where, context.text("opt"))))
        undo.callback(_forget, pool)
        if not _says(where, content):
            undo.callback(mark_content(directory, content).unlink, missing_ok=True)
        definition = _definition(name, where, context.text("opt"), uuid=pool.UUIDString())
        pool = context.host.connection.storagePoolDefineXML(text_of(definition))
        pool.setAutostart(context.flag("autostart"))
        undo.pop_all()


def _fit(name: str, where: PoolLocation) -> None:
    """Refuse a directory that cannot be a pool, or whose path can be written in another way."""
    directory = Path(where.directory)
    real = directory.resolve()
    if where.directory != str(real) and not where.share:
        refuse(STORAGE, f"the url of pool {name}, {where.directory}, leads to {real}: give that as its url")
    if directory != real:
        refuse(STORAGE, f"{directory}, where pool {name} would be mounted, leads to {real} through a link")
    if where.path != where.path.rstrip("/") or ".." in where.path.split("/"):
        refuse(STORAGE, f"the url of pool {name}, {where.share}, must have no '..' in it and no slash at its end")
    if str(real) in _COMMON or system_directory(str(real)):
        refuse(STORAGE, f"{real} is a directory of the system: give pool {name} one of its own")
    if directory.exists() and not directory.is_dir():
        refuse(STORAGE, f"{directory}, where pool {name} would be, is not a directory")


def _free(context: LibvirtContext, name: str, where: PoolLocation) -> None:
    """Refuse what another pool has. What a killed attempt left is removed."""
    for other in context.host.connection.listAllStoragePools():
        there = directory_of(other)
        if other.name() == name:
            if other.isPersistent() or there != Path(where.directory):
                refuse(STORAGE, f"libvirt has a pool {name} already, which is not one of ours")
            other.destroy()
        elif there.is_absolute() and there.resolve() == Path(where.directory):
            refuse(STORAGE, f"{where.directory} is the directory of pool {other.name()} already")
        elif where.share and share_of(other) == where.share:
            refuse(STORAGE, f"{where.share} is what pool {other.name()} has mounted already")


def _bare(directory: Path, share: str) -> None:
    """Refuse to mount a share where it would hide something."""
    if (there := mounted(directory)) == share:
        return
    if there:
        refuse(STORAGE, f"{there} is mounted on {directory} already: unmount it, for {share} to be mounted there")
    if directory.is_dir() and any(directory.iterdir()):
        refuse(STORAGE, f"{directory} is not empty: {share}, mounted there, would hide what is in it")


def _says(where: PoolLocation, content: str) -> bool:
    """Whether a directory is marked with the content of the pool. Refuses one that is marked with another."""
    said = marked_content(Path(where.directory))
    if said and said != content:
        refuse(STORAGE, f"{where.share or where.directory} holds {said}, not {content}: so says the file content in it")
    return bool(said)


def _not_others(context: LibvirtContext, directory: Path) -> None:
    """Refuse a directory with files of no pool, where operations may use nothing: in a pool they are."""
    if directory.is_dir() and not is_bare(directory) and not is_allowed(context.host, str(directory)):
        refuse(
            STORAGE,
            f"{directory} has files in it that are of no pool: choose an empty directory, or start the agent with "
            f"--allow-path {directory}",
        )


def _make(directory: Path, undo: ExitStack) -> None:
    """Create a directory for the block, if there is none. After an error it is removed again, if it is empty."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o711 if each == directory else 0o755)
        undo.callback(_clear, each)


def _clear(directory: Path) -> None:
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def _forget(pool: VirPool) -> None:
    kept = pool.isPersistent()
    pool.destroy()
    if kept:
        pool.undefine()


def _definition(name: str, where: PoolLocation, options: str, *, uuid: str = "") -> Element:
    definition = Element("pool", type="netfs" if where.share else "dir")
    SubElement(definition, "name").text = name
    if uuid:
        SubElement(definition, "uuid").text = uuid
    if where.share:
        source = SubElement(definition, "source")
        SubElement(source, "host", name=where.host)
        SubElement(source, "dir", path=where.path)
        SubElement(source, "format", type="nfs")
    SubElement(SubElement(definition, "target"), "path").text = where.directory
    if options:
        given = SubElement(definition, f"{{{_OPTIONS}}}mount_opts")
        for each in options.split(","):
            SubElement(given, f"{{{_OPTIONS}}}option", name=each)
    return definition


@operation(POOL, "StartPool")
def start(context: LibvirtContext) -> None:
    pool = _pool(context)
    if is_active(pool):
        refuse(STORAGE, f"pool {context.target.name} is already active")
    directory, share = directory_of(pool), share_of(pool)
    if share:
        _bare(directory, share)
    elif not directory.is_dir():
        refuse(
            STORAGE,
            f"{directory}, the directory of pool {context.target.name}, is not there: mount it or bring it back; what "
            "is in it is not known, and nothing of it is made in its place",
        )
    elif is_bare(directory):
        refuse(
            STORAGE,
            f"{directory}, the directory of pool {context.target.name}, is empty: mount what belongs there; if it is "
            f"to be empty, write what it is for, vmd, vmdi or iso, to the file {directory}/content",
        )
    if pool.isActive():  # libvirt has not noticed that its directory, or what was mounted there, is gone
        pool.destroy()
    with ExitStack() as undo:
        if share:
            _make(directory, undo)
        pool.create()
        undo.pop_all()


@operation(POOL, "StopPool")
def stop(context: LibvirtContext) -> None:
    pool = _pool(context)
    if not is_active(pool):
        refuse(STORAGE, f"pool {context.target.name} is not active")
    directory = f"{directory_of(pool)}/"
    for domain in context.host.domains():
        if domain.isActive() and any(each.startswith(directory) for each in paths_of(live_of(domain))):
            refuse(STORAGE, f"pool {context.target.name} is in use by running {domain.name()}")
    pool.destroy()


@operation(POOL, "AutoStartPool")
def autostart(context: LibvirtContext) -> None:
    _pool(context).setAutostart(not context.flag("disable"))


@operation(POOL, "ShowPool")
def show(context: LibvirtContext) -> None:
    _pool(context)


@operation(POOL, "DeletePool")
def delete(context: LibvirtContext) -> None:
    """Delete a pool; what is on a share stays there, with its mark, and a share is not mounted for it."""
    pool = _pool(context)
    directory, share = directory_of(pool), share_of(pool)
    if kept := [name for name, _ in context.host.volumes(pool)]:
        refuse(STORAGE, f"pool {context.target.name} is not empty: {', '.join(kept)}")
    for domain in context.host.domains():
        if any(each.startswith(f"{directory}/") for each in paths_of(config_of(domain))):
            refuse(STORAGE, f"pool {context.target.name} has files of {domain.name()}")
    if pool.isActive():
        pool.destroy()
    pool.undefine()
    if mounted(directory):
        return
    if not share and directory.is_dir() and {each.name for each in directory.iterdir()} == {"content"}:
        (directory / "content").unlink()
    # The directory stays if anybody else has put files there.
    _clear(directory)
    if directory.parent.parent == Path(MOUNTS):
        _clear(directory.parent)


def _pool(context: LibvirtContext) -> Any:
    """The target, of the type that is named if one is."""
    pool = context.host.pool(context.target.name)
    if "type" in context.parameters and context.text("type") != type_of(pool):
        refuse(STORAGE, f"pool {context.target.name} is of type {type_of(pool)}, not {context.text('type')}")
    return pool
