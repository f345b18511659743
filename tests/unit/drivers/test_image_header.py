"""The beginning of an image is read without trust: what it says is told, or it is refused."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.libvirt.image_header import MOST_READ, ImageHeader, UnusableImage, parse_header

GIB = 1024**3
ENDS, FORMAT, DATA = 0, 0xE2792ACA, 0x44415441


def extension(type: int, content: bytes) -> bytes:
    return pack(">II", type, len(content)) + content.ljust((len(content) + 7) // 8 * 8, b"\0")


def qcow2(
    *extensions: bytes,
    backing: bytes = b"",
    version: int = 3,
    cluster_bits: int = 16,
    encryption: int = 0,
    features: int = 0,
    length: int = 104,
    place: int | None = None,
    named: int | None = None,
) -> bytes:
    """The beginning of a file of 1 GiB."""
    rest = b"".join((*extensions, extension(ENDS, b"")))
    begin = 72 if version == 2 else 104
    where = (begin + len(rest) if backing else 0) if place is None else place
    size = len(backing) if named is None else named
    header = pack(">4sIQIIQI", b"QFI\xfb", version, where, size, cluster_bits, GIB, encryption).ljust(72, b"\0")
    if version == 3:
        header += pack(">QQQII", features, 0, 0, 4, length)
    return header + rest + backing


def parse(content: bytes) -> ImageHeader:
    return parse_header(lambda offset, length: content[offset : offset + length])


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (qcow2(), ImageHeader("qcow2", GIB)),
        (qcow2(version=2), ImageHeader("qcow2", GIB)),
        (qcow2(extension(FORMAT, b"raw"), backing=b"/etc/shadow"), ImageHeader("qcow2", GIB, "/etc/shadow", "raw")),
        (qcow2(backing=b"base", version=2), ImageHeader("qcow2", GIB, "base")),
        (
            qcow2(backing=b'json:{"driver":"file","filename":"/etc/shadow"}'),
            ImageHeader("qcow2", GIB, 'json:{"driver":"file","filename":"/etc/shadow"}'),
        ),
        (qcow2(extension(DATA, b"/etc/shadow"), features=4), ImageHeader("qcow2", GIB, data_file="/etc/shadow")),
        (qcow2(extension(DATA, b"/etc/shadow")), ImageHeader("qcow2", GIB, data_file="/etc/shadow")),
        (qcow2(features=4), ImageHeader("qcow2", GIB, data_file="?")),
        (qcow2(encryption=1), ImageHeader("qcow2", GIB, encryption="AES")),
        (qcow2(encryption=2), ImageHeader("qcow2", GIB, encryption="LUKS")),
        (qcow2(backing=b"/etc/shadow\0/pool/base"), ImageHeader("qcow2", GIB, "/etc/shadow")),
        (b"", ImageHeader("raw")),
        (b"root:x:0:0", ImageHeader("raw")),
        (b"QED\0" + bytes(60), ImageHeader("qed")),
        (b"KDMV" + bytes(60), ImageHeader("vmdk")),
        (b'# Disk DescriptorFile\nversion=1\nRW 8 FLAT "/etc/shadow" 0\n', ImageHeader("vmdk")),
        (b"\n# more\r\n\nversion=3\n", ImageHeader("vmdk")),
        (b"vhdxfile", ImageHeader("vhdx")),
        (b"conectix", ImageHeader("vpc")),
        (b"LUKS\xba\xbe", ImageHeader("luks")),
        (bytes(64) + b"\x7f\x10\xda\xbe", ImageHeader("vdi")),
    ],
)
def test_what_an_image_says_is_told(content: bytes, header: ImageHeader) -> None:
    assert parse(content) == header


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (qcow2()[:60], "cut off"),
        (qcow2()[:90], "cut off"),
        (qcow2(version=4), "version 4"),
        (b"QFI\xfb\0\0\0\1" + bytes(96), "version 1"),
        (qcow2(cluster_bits=40), "2^40"),
        (qcow2(features=1 << 9), "0x200"),
        (qcow2(encryption=7), "method 7"),
        (qcow2(length=40), "header of 40 bytes"),
        (qcow2(backing=b"x", place=1 << 40), "outside of its first cluster"),
        (qcow2(backing=b"x", named=5000), "5000 bytes"),
        (qcow2(backing=b"x", named=900), "cut off"),
        (qcow2(backing=b"x", place=20), "inside its header"),
        (qcow2(pack(">II", FORMAT, 2**31)), "cut off"),
        (qcow2(extension(FORMAT, b"raw"), extension(FORMAT, b"qcow2"), backing=b"x"), "twice"),
        (qcow2(pack(">II", 77, 65_000) + bytes(65_000), pack(">II", 78, 60_000), cluster_bits=21), "cut off"),
    ],
)
def test_an_image_that_contradicts_itself_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(UnusableImage, match=said.replace("^", r"\^")):
        parse(content)


SEEDS = (
    qcow2(),
    qcow2(version=2, backing=b"base"),
    qcow2(extension(FORMAT, b"qcow2"), extension(DATA, b"/etc/shadow"), backing=b"json:{}", features=4),
    b"# Disk DescriptorFile\nversion=1\n",
)


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=8)), max_size=6),
    st.integers(0, 400),
)
def test_a_mutated_image_is_told_or_refused_within_a_bound(
    seed: bytes, changes: list[tuple[int, bytes]], cut: int
) -> None:
    content = bytearray(seed.ljust(300, b"\0"))
    for place, new in changes:
        content[place : place + len(new)] = new
    given = bytes(content[: 400 - cut])
    asked = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal asked
        assert offset >= 0
        assert length >= 0
        asked += length
        return given[offset : offset + length]

    try:
        header = parse_header(read)
    except UnusableImage:
        pass
    else:
        assert header.format
        assert header.format == "qcow2" or header == ImageHeader(header.format)
    assert asked <= MOST_READ
