"""Block devices of the host, and what the host itself has on them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from reconciler.drivers.libvirt.mount import unescaped

_MOUNTS, _SWAPS, _DEVICES = Path("/proc/self/mountinfo"), Path("/proc/swaps"), Path("/sys/dev/block")


def is_name(path: str) -> bool:
    """Whether a path is one of a device."""
    return path.startswith("/dev/")


def is_block_device(path: str) -> bool:
    """Whether there is a block device at a path."""
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def use_by_host(path: str) -> str:
    """What the host has on a block device, or on a part of it or a device made of it; empty for nothing."""
    device = os.stat(path).st_rdev
    return use_of(f"{os.major(device)}:{os.minor(device)}", dict(uses(_MOUNTS, _SWAPS)), _DEVICES)


def use_of(number: str, uses: dict[str, str], devices: Path) -> str:
    """What is on a device, by its number: ``uses`` are those of devices that are used at once, by number.

    ``devices`` is the directory of the kernel with what it knows of each.
    """
    for used, use in sorted(uses.items()):
        if number in _made_of(used, devices, set()):
            return use
    return ""


def _made_of(number: str, devices: Path, seen: set[str]) -> set[str]:
    """The devices that one is made of, itself included: a part of a disk, a volume of its physical volumes."""
    if number in seen:
        return seen
    seen.add(number)
    place = devices / number
    below = [each / "dev" for each in (place / "slaves").iterdir()] if (place / "slaves").is_dir() else []
    if (place / "partition").exists():
        below.append(place.resolve().parent / "dev")
    for each in below:
        if each.is_file():
            _made_of(each.read_text().strip(), devices, seen)
    return seen


def uses(mounts: Path, swaps: Path) -> Iterator[tuple[str, str]]:
    """The number of each device that is mounted or swapped to, and how it is used."""
    for line in mounts.read_text().splitlines():
        words = line.split(" ")
        number, on, source = words[2], unescaped(words[4]), unescaped(words[words.index("-") + 2])
        yield number, f"it is mounted on {on}"
        # File systems of several devices have a number of their own.
        yield from ((each, f"it is mounted on {on}") for each in _number_at(source))
    if swaps.is_file():
        for line in swaps.read_text().splitlines()[1:]:
            yield from ((each, "it is swapped to") for each in _number_at(unescaped(line.split()[0])))


def _number_at(path: str) -> Iterator[str]:
    if path.startswith("/dev/") and is_block_device(path):
        device = os.stat(path).st_rdev
        yield f"{os.major(device)}:{os.minor(device)}"
