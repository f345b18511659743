"""``qemu-img``, run with limits to memory and time, and never left to guess the format of a file.

A crafted image can make it take any amount of either. Its limits are set by a shell in its own process: those of
this one stay as they are.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, NamedTuple

from reconciler.drivers.libvirt import qcow2
from reconciler.drivers.libvirt.image_header import QCOW2, RAW, ImageHeader, UnusableImage, read_header
from reconciler.drivers.operation import STORAGE, refuse

_SECTOR = 512  # bytes; QEMU counts a part of one as a whole one


class Limits(NamedTuple):
    """What a process may use: KiB of address space, seconds of a processor."""

    memory: int
    seconds: int


_READS = Limits(memory=1024**2, seconds=120)
_COPIES = Limits(memory=4 * 1024**2, seconds=6 * 3600)
_LIMITS = {"info": _READS, "create": _READS}  # by command; others copy as many bytes as a disk has

# $0 is the program: what comes after it is never read by the shell.
_LIMITED = 'ulimit -v "$1" && ulimit -t "$2" && shift 2 && exec "$0" "$@"'


def limited(program: str, limits: Limits, *arguments: str) -> list[str]:
    """The words of a command that runs a program within limits."""
    return ["/bin/sh", "-c", _LIMITED, program, str(limits.memory), str(limits.seconds), *arguments]


def qemu_img(command: str, *arguments: str) -> str:
    """What ``qemu-img`` prints. Refuses with its message if it fails.

    Whoever calls says the format of every file (``-f``, ``-F``), and has looked where it leads.
    """
    words = limited("qemu-img", _LIMITS.get(command, _COPIES), command, *arguments)
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode < 0 and not done.stderr.strip():
        refuse(STORAGE, f"qemu-img {command} was ended by signal {-done.returncode}: it took more than it may")
    if done.returncode:
        refuse(STORAGE, done.stderr.strip().removeprefix("qemu-img: ") or f"qemu-img ended with {done.returncode}")
    return done.stdout


def as_qcow2(path: str) -> tuple[str, str]:
    """A file of this format for a command that has no ``-f``."""
    return "--image-opts", f"driver=qcow2,file.driver=file,file.filename={path.replace(',', ',,')}"


def header_of(path: str, format: str) -> ImageHeader:
    """The header of a file of a format. Refuses one of another format, or that would have QEMU open or ask for more.

    A raw file has no header: whatever a guest wrote at its beginning is its content.
    """
    header = _read(path, format)
    if header.data_file:
        named = "a file that it does not name" if header.data_file == "?" else header.data_file
        refuse(STORAGE, f"{path} has its data in another file, {named}: copy both into one with qemu-img convert")
    if header.encryption:
        refuse(STORAGE, f"{path} is encrypted ({header.encryption}), and nothing here has its key")
    return header


def _read(path: str, format: str) -> ImageHeader:
    if format == RAW:
        return ImageHeader(RAW)
    try:
        header = read_header(path)
    except UnusableImage as error:
        refuse(STORAGE, f"{path} {error}")
    except OSError as error:
        refuse(STORAGE, f"Cannot access storage file '{path}': {error.strerror}")
    if format != QCOW2:
        refuse(STORAGE, f"{path} is said to be {format}; this host has files of qcow2 and raw")
    if header.format != QCOW2:
        found = "it has the mark of no format" if header.format == RAW else f"it is {header.format}"
        refuse(STORAGE, f"{path} should be qcow2, but {found}: convert it with qemu-img convert -f FORMAT -O qcow2")
    return header


def info(path: str, format: str = QCOW2) -> dict[str, Any]:
    """``virtual-size`` of a file of this format in bytes, and what ``qcow2.info`` says; also of one that is in use."""
    if format == RAW:
        return {"virtual-size": -(-os.stat(path).st_size // _SECTOR) * _SECTOR}
    if (known := qcow2.info(path)) is not None:
        return known
    header = _read(path, format)
    if header.data_file or header.encryption or ":" in header.backing:
        return {"virtual-size": header.virtual_size // _SECTOR * _SECTOR}  # nothing is run on such a file
    found: dict[str, Any] = json.loads(qemu_img("info", "--force-share", "--output=json", "-f", format, path))
    return found
