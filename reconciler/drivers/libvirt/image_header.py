"""What the beginning of an image says: its format, and what else QEMU would open or ask for to read it.

It is read before any other program is run on a file that somebody else may have written. Bytes are given by a
function of offset and length, of which no more than ``MOST_READ`` are asked for. The formats are described in QEMU's
docs/interop and block drivers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

Reader = Callable[[int, int], bytes]  # offset and length to what is there, which may be shorter

QCOW2, RAW = "qcow2", "raw"

_PROBED = 4096  # bytes in which every format has its mark
_REGION = 65_536  # bytes of the first cluster in which the extensions of a header must end
_LONGEST_NAME = 1023  # bytes of the name of a backing file, as QEMU has it
MOST_READ = _PROBED + _REGION + _LONGEST_NAME

# Where the mark of a format is, the mark, and its name: other formats than qcow2 and raw are only refused by it.
_MARKS = (
    (0, b"QFI\xfb", QCOW2),
    (0, b"QED\0", "qed"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vpc"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"Bochs Virtual HD Image", "bochs"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
)
_DESCRIPTOR = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*version=[0-9]")  # of a vmdk in several files

_HEADER = Struct(">4sIQIIQI")
_FEATURES, _LENGTH = (Struct(">Q"), 72), (Struct(">I"), 100)
_EXTENSION = Struct(">II")
_OLD_LENGTH, _NEW_LENGTH = 72, 104  # bytes of a header of version 2; at least so many of version 3

_ENDS, _BACKING_FORMAT, _DATA_FILE = 0, 0xE2792ACA, 0x44415441
_DATA_FILE_BIT = 1 << 2
_KNOWN_BITS = 0b11111  # dirty, corrupt, external data file, compression type, extended L2 entries
_ENCRYPTIONS = {1: "AES", 2: "LUKS"}


class UnusableImage(ValueError):
    """An image that is not what it should be; the message goes on from the name of the file."""


@dataclass(frozen=True)
class ImageHeader:
    """``virtual_size`` in bytes, 0 where the format is not qcow2; names are empty for none."""

    format: str
    virtual_size: int = 0
    backing: str = ""
    backing_format: str = ""
    data_file: str = ""  # "?" where the header does not name it
    encryption: str = ""


def read_header(path: str) -> ImageHeader:
    """The header of a regular file. Raises ``UnusableImage`` for one that contradicts itself, else ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return parse_header(lambda offset, length: os.pread(descriptor, length, offset))
    finally:
        os.close(descriptor)


def parse_header(read: Reader) -> ImageHeader:
    """The header of an image; ``raw`` for what has the mark of no format. Raises nothing but ``UnusableImage``."""
    start = read(0, _PROBED)
    format = _format(start)
    return _qcow2(read, start) if format == QCOW2 else ImageHeader(format)


def _format(start: bytes) -> str:
    for offset, mark, name in _MARKS:
        if start.startswith(mark, offset):
            return name
    return "vmdk" if _DESCRIPTOR.match(start) else RAW


def _qcow2(read: Reader, start: bytes) -> ImageHeader:
    if len(start) < _OLD_LENGTH:
        raise UnusableImage("has a header of qcow2 that is cut off")
    _, version, place, length, cluster_bits, size, encryption = _HEADER.unpack_from(start)
    if version not in (2, 3):
        raise UnusableImage(f"is of version {version} of qcow2; there are 2 and 3")
    if not 9 <= cluster_bits <= 21:
        raise UnusableImage(f"has clusters of 2^{cluster_bits} bytes; qcow2 has 2^9 to 2^21")
    cluster = 1 << cluster_bits
    features, begin = _version_3(start, cluster) if version == 3 else (0, _OLD_LENGTH)
    if unknown := features & ~_KNOWN_BITS:
        raise UnusableImage(f"needs features of qcow2 that are not known: {unknown:#x}")
    if encryption not in (0, *_ENCRYPTIONS):
        raise UnusableImage(f"is encrypted by the unknown method {encryption}")
    backing = _backing(read, place, length, cluster)
    extensions = _extensions(read, begin, place or cluster)
    named = _text(extensions.get(_DATA_FILE, b""))
    return ImageHeader(
        format=QCOW2,
        virtual_size=size,
        backing=backing,
        backing_format=_text(extensions.get(_BACKING_FORMAT, b"")),
        data_file=named or ("?" if features & _DATA_FILE_BIT or _DATA_FILE in extensions else ""),
        encryption=_ENCRYPTIONS.get(encryption, ""),
    )


def _version_3(start: bytes, cluster: int) -> tuple[int, int]:
    """Incompatible features, and the length of the header in bytes."""
    if len(start) < _NEW_LENGTH:
        raise UnusableImage("has a header of qcow2 that is cut off")
    features, length = (form.unpack_from(start, offset)[0] for form, offset in (_FEATURES, _LENGTH))
    if not _NEW_LENGTH <= length <= cluster:
        raise UnusableImage(f"has a header of {length} bytes, in a cluster of {cluster}")
    return features, length


def _backing(read: Reader, place: int, length: int, cluster: int) -> str:
    if not place:
        return ""
    if place > cluster or not 0 < length <= min(_LONGEST_NAME, cluster - place):
        raise UnusableImage(
            f"has the name of a backing file of {length} bytes at {place}, outside of its first cluster"
        )
    name = read(place, length)
    if len(name) < length:
        raise UnusableImage("has the name of a backing file that is cut off")
    return _text(name)


def _extensions(read: Reader, begin: int, end: int) -> dict[int, bytes]:
    """The extensions of a header, by type."""
    if begin > end:
        raise UnusableImage("has the name of its backing file inside its header")
    region = read(begin, min(end - begin, _REGION))
    found: dict[int, bytes] = {}
    place = 0
    while place + _EXTENSION.size <= len(region):
        type, length = _EXTENSION.unpack_from(region, place)
        place += _EXTENSION.size
        if type == _ENDS:
            return found
        if length > len(region) - place:
            raise UnusableImage("has an extension of its header that is cut off")
        if type in found:
            raise UnusableImage(f"has the extension {type:#x} of its header twice")
        found[type] = region[place : place + length]
        place += (length + 7) // 8 * 8
    if begin + place < end and len(region) == _REGION:
        raise UnusableImage(f"has extensions of its header beyond {_REGION} bytes")
    return found


def _text(name: bytes) -> str:
    """A name as QEMU takes it, which ends it at a NUL."""
    return os.fsdecode(name.partition(b"\0")[0])
