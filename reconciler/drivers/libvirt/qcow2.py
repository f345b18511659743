"""What a qcow2 file says of itself at its beginning, as ``qemu-img info`` has it, without a process for each.

The format is QEMU's docs/interop/qcow2.txt; all numbers in it are big-endian. QEMU writes size and snapshots
through to the file, so that they are right also while a guest runs on it.
"""

from __future__ import annotations

import os
import re
from struct import Struct
from typing import Any, NamedTuple

_MAGIC = b"QFI\xfb"
_PROTOCOL = re.compile(r"[^/]*:")  # json:, nbd:, and names that QEMU would take for one


class _Header(NamedTuple):
    magic: bytes
    version: int
    backing_file_offset: int
    backing_file_size: int
    cluster_bits: int
    size: int
    crypt_method: int
    l1_size: int
    l1_table_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    nb_snapshots: int
    snapshots_offset: int
    incompatible_features: int  # from version 3 on


_HEADER = Struct(">4sIQIIQIIQQIIQQ")
_WHOLE = 104  # bytes of a header of version 3, of which the rest is not asked for here

# Features that do not bear on size and snapshots: dirty, compression type, extended L2 entries.
_HARMLESS = 1 << 0 | 1 << 3 | 1 << 4


class _Snapshot(NamedTuple):
    l1_table_offset: int
    l1_size: int
    id_size: int
    name_size: int
    date_sec: int
    date_nsec: int
    vm_clock_nsec: int
    vm_state_size: int
    extra_size: int


_SNAPSHOT = Struct(">QIHHIIQII")
_LARGE_STATE = Struct(">Q")  # how the extra data begin: the size of the state, where 32 bits might not do
_MOST = 65_536  # snapshots, as QEMU has it
_SECTOR = 512  # bytes; QEMU does not show a part of one
_TRIES = 5  # as many times a file may have moved on while it was read


def info(path: str) -> dict[str, Any] | None:
    """``virtual-size`` of a file, and ``full-backing-filename`` and ``snapshots`` if there are any.

    Of a snapshot there are the keys that are asked for here.

    None if that is not a plain qcow2 file that can be read: ``qemu-img`` knows what it is, or why not.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        for _ in range(_TRIES):
            header = _header(descriptor)
            if header is None:
                return None
            backing, snapshots = _backing(descriptor, header, path), _snapshots(descriptor, header)
            if backing is None:
                return None
            # A table is written to another place before the header names it: one that still does has not moved.
            if snapshots is not None and _header(descriptor) == header:
                return {
                    "virtual-size": header.size // _SECTOR * _SECTOR,
                    **({"full-backing-filename": backing} if backing else {}),
                    **({"snapshots": snapshots} if snapshots else {}),
                }
        return None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _header(descriptor: int) -> _Header | None:
    """None if the rest of the file cannot be told from it."""
    read = os.pread(descriptor, _WHOLE, 0)
    if len(read) < _WHOLE:
        return None
    header = _Header(*_HEADER.unpack_from(read))
    features = header.incompatible_features if header.version == 3 else 0  # version 2 ends before them
    plain = header.magic == _MAGIC and header.version in (2, 3) and not header.crypt_method
    return header if plain and not features & ~_HARMLESS else None


def _backing(descriptor: int, header: _Header, path: str) -> str | None:
    """The file that this one reads on from, empty if none; None if that is not a file by its name."""
    if not header.backing_file_offset:
        return ""
    name = os.fsdecode(os.pread(descriptor, header.backing_file_size, header.backing_file_offset))
    if _PROTOCOL.match(name):
        return None
    return os.path.join(os.path.dirname(path), name)


def _snapshots(descriptor: int, header: _Header) -> list[dict[str, Any]] | None:
    """None if there is no such table."""
    found: list[dict[str, Any]] = []
    place = header.snapshots_offset
    if header.nb_snapshots > _MOST:
        return None
    for _ in range(header.nb_snapshots):
        fixed = os.pread(descriptor, _SNAPSHOT.size, place)
        if len(fixed) < _SNAPSHOT.size:
            return None
        entry = _Snapshot(*_SNAPSHOT.unpack(fixed))
        length = entry.extra_size + entry.id_size + entry.name_size
        rest = os.pread(descriptor, length, place + _SNAPSHOT.size)
        if len(rest) < length:
            return None
        large = entry.extra_size >= _LARGE_STATE.size
        found.append(
            {
                "name": rest[entry.extra_size + entry.id_size :].decode(errors="replace"),
                "date-sec": entry.date_sec,
                "vm-state-size": _LARGE_STATE.unpack_from(rest)[0] if large else entry.vm_state_size,
            }
        )
        place += (_SNAPSHOT.size + length + 7) // 8 * 8
    return found
