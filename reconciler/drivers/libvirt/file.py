"""Files in the directories of pools: written under a temporary name and then renamed, never outside a pool.

The layout is that of wire format 7.3: a disk or image is a directory with its file and ``config.json``. Temporary
names begin with ``.making-``; what has one is no resource, and the next attempt deletes it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.file_place import put_in_place, require_place

CONFIG = "config.json"
TEMPORARY = ".making-"


def inside(directory: Path, *parts: str) -> Path:
    """A path in a pool's directory. Refuses one that leads out of it, by ``..`` or through a link."""
    path = directory.joinpath(*parts)
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(directory)) or ".." in parts:
        refuse(STORAGE, f"{path} leads out of {directory}, to {real}: nothing outside a pool is touched")
    return path


def within(directory: Path, name: str, path: str) -> bool:
    """Whether a file is in the directory of a disk or image of a pool, once links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(Path(os.path.realpath(directory), name))


@contextmanager
def creating(directory: Path, name: str) -> Iterator[Path]:
    """A directory to fill, which becomes ``directory/name`` at the end of the block, or is deleted after an error."""
    place = inside(directory, name)
    if os.path.lexists(place):
        refuse(STORAGE, f"{place} already exists")
    temporary = inside(directory, f"{TEMPORARY}{name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        os.rename(temporary, place)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which replaces ``path`` at the end of the block, or is deleted after an error.

    Raises ``OSError`` where something is that is no file. A link is replaced, and what it leads to stays.
    """
    require_place(path)
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        put_in_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove(directory: Path, name: str) -> None:
    """Delete the directory of a disk or image; it is renamed first, so that nobody sees half of it."""
    place, temporary = inside(directory, name), inside(directory, f"{TEMPORARY}{name}")
    shutil.rmtree(temporary, ignore_errors=True)
    os.rename(place, temporary)
    shutil.rmtree(temporary)


def write_config(directory: Path, config: dict[str, Any]) -> None:
    """Replace the configuration in the directory of a disk or image."""
    with replacing(directory / CONFIG) as temporary:
        temporary.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def read_config(directory: Path) -> dict[str, Any] | None:
    """The configuration in the directory of a disk or image; None if it is the directory of neither."""
    try:
        config = json.loads((directory / CONFIG).read_text())
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) and isinstance(config.get("current"), str) else None
