"""Files in the directories of pools: made beside their place and then put there whole, never outside a pool.

The layout is that of wire format 7.3: a disk or image is a directory with its file and ``config.json``. What
is in the making has a name that begins with ``.making-``; nobody takes it for a resource, and the next attempt
clears it away.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconciler.drivers.operation import STORAGE, refuse

CONFIG = "config.json"
MAKING = ".making-"


def inside(directory: Path, *parts: str) -> Path:
    """A path in a pool's directory. Refuses one that leads out of it, by its words or through a link."""
    path = directory.joinpath(*parts)
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(directory)) or ".." in parts:
        refuse(STORAGE, f"{path} leads out of {directory}, to {real}: nothing outside a pool is touched")
    return path


def within(directory: Path, name: str, path: str) -> bool:
    """Whether a file is in the directory of a resource of a pool, wherever words and links lead."""
    return Path(os.path.realpath(path)).is_relative_to(Path(os.path.realpath(directory), name))


@contextmanager
def making(directory: Path, name: str) -> Iterator[Path]:
    """A directory to fill, which becomes ``directory/name`` at the end of the block, or is gone after an error."""
    place = inside(directory, name)
    if os.path.lexists(place):
        refuse(STORAGE, f"{place} already exists")
    draft = inside(directory, f"{MAKING}{name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        os.rename(draft, place)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of ``path`` at the end of the block, or is gone after an error."""
    draft = path.with_name(f"{MAKING}{path.name}")
    draft.unlink(missing_ok=True)
    try:
        yield draft
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def removed(directory: Path, name: str) -> None:
    """Have the directory of a resource be gone, at once for whoever looks."""
    place, draft = inside(directory, name), inside(directory, f"{MAKING}{name}")
    shutil.rmtree(draft, ignore_errors=True)
    os.rename(place, draft)
    shutil.rmtree(draft)


def write_config(directory: Path, config: dict[str, Any]) -> None:
    with replacing(directory / CONFIG) as draft:
        draft.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def read_config(directory: Path) -> dict[str, Any] | None:
    """What is kept of a resource; None if that is not a directory of one."""
    try:
        config = json.loads((directory / CONFIG).read_text())
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) and isinstance(config.get("current"), str) else None


def qemu_img(*arguments: str) -> str:
    """What ``qemu-img`` prints. Refuses, in its words, if it fails."""
    done = subprocess.run(["qemu-img", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        refuse(STORAGE, done.stderr.strip().removeprefix("qemu-img: ") or f"qemu-img ended with {done.returncode}")
    return done.stdout


def info(path: str) -> dict[str, Any]:
    """What ``qemu-img`` knows of a file, also of one that is in use."""
    found: dict[str, Any] = json.loads(qemu_img("info", "--force-share", "--output=json", path))
    return found
