"""What disks and images have in common: created in a pool with their configuration, and deleted with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.drivers.libvirt import file
from reconciler.drivers.libvirt.binding import VirPool
from reconciler.drivers.libvirt.context import LibvirtContext
from reconciler.drivers.libvirt.host import directory_of
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK


def create(
    context: LibvirtContext,
    pool: VirPool,
    name: str,
    shown: dict[str, Any],
    make: Callable[[str], object],
    *,
    iso: bool = False,
) -> str:
    """Create a disk or image: ``make`` writes its file, and ``shown``, for the wire, goes into its configuration.

    Returns the path of the file.
    """
    directory = directory_of(pool)
    called = f"{name}.iso" if iso else name
    current = str(file.inside(directory, name, called))
    with file.creating(directory, name) as temporary:
        make(str(temporary / called))
        config = {"name": name, "dir": str(directory / name), "current": current, "pool": pool.name()}
        file.write_config(temporary, {**config, "volume": shown})
    pool.refresh()
    return current


def disk(context: LibvirtContext, pool: str = "") -> tuple[Any, dict[str, Any]]:
    """Pool and configuration of the target, which must be in the pool that is named, if one is."""
    if pool:
        context.host.active_pool(pool, type=context.text("type"))
    found = context.host.volume(DISK, context.target.name)
    if found is None:
        refuse(STORAGE, f"disk {context.target.name} does not exist")
    if pool and found[0].name() != pool:
        refuse(STORAGE, f"disk {context.target.name} is in pool {found[0].name()}, not in {pool}")
    return in_place(found, context.target.name)


def in_place(found: tuple[Any, dict[str, Any]], name: str) -> tuple[Any, dict[str, Any]]:
    """A disk or image that was found. Refuses one whose configuration names a file outside of its directory."""
    pool, config = found
    if not file.within(directory_of(pool), name, config["current"]):
        place = directory_of(pool) / name
        refuse(
            STORAGE,
            f"{place / file.CONFIG} says that {name} is in {config['current']}, which leads out of {place}: "
            "nothing outside a pool is touched. Correct it or take the directory away",
        )
    return found


def home(pool: VirPool, name: str) -> Path:
    """The directory of a disk or image."""
    return file.inside(directory_of(pool), name)


def destroy(pool: VirPool, name: str) -> None:
    """Delete a disk or image with all its files."""
    file.remove(directory_of(pool), name)
    pool.refresh()
