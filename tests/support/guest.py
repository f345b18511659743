"""The tiny guest: a boot sector that does what the tests need of an operating system, and nothing else.

It waits for the power button and switches the machine off, gives back the memory it is asked for, and lets go of
PCI devices that are to be unplugged. Ports are those of QEMU's PIIX4 (pc-i440fx): SeaBIOS puts the ACPI registers
at 0x600; PCI hot-plug is at 0xae00 (QEMU, docs/specs/acpi_pci_hotplug). The balloon is a virtio device of the
legacy kind, whose own registers begin 20 bytes into its I/O region. The deaf guest does nothing of it. The one that
fills its disk writes a sector on each of its first 256 cylinders, half a MiB apart, and is deaf from then on.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

SIZE = 512

_CODE = bytes.fromhex(
    "fa"  # cli
    "31c0 8ed8"  # xor ax, ax; mov ds, ax
    "ba0206 b80001 ef"  # mov dx, 0x602; mov ax, 0x100; out dx, ax     the power button shall be told
    "fb"  # sti
    "6631ff"  # xor edi, edi                                            no balloon is known
    "66bb00000080"  # mov ebx, 0x80000000                               the first device of the first bus
    # find:
    "6689d8 baf80c 66ef"  # mov eax, ebx; mov dx, 0xcf8; out dx, eax
    "b2fc 66ed"  # mov dl, 0xfc; in eax, dx                             who is it?
    "663df41a0210"  # cmp eax, 0x10021af4                               a virtio balloon?
    "7407"  # je found
    "80c708"  # add bh, 8                                               the next of 32 devices
    "75e7"  # jnz find
    "eb11"  # jmp loop
    # found:
    "b310 6689d8 b2f8 66ef"  # mov bl, 0x10; mov eax, ebx; mov dl, 0xf8; out dx, eax
    "b2fc 66ed"  # mov dl, 0xfc; in eax, dx                             its I/O region, with bit 0 set
    "678d7813"  # lea di, [eax+19]                                      what is asked of it
    # loop:
    "f4"  # hlt                                                         18 times a second the timer wakes it
    "ba0006 ed"  # mov dx, 0x600; in ax, dx
    "f6c401"  # test ah, 1                                              pressed?
    "7407"  # jz balloon
    "ba0406 b80020 ef"  # mov dx, 0x604; mov ax, 0x2000; out dx, ax    off
    # balloon:
    "89fa 09d2"  # mov dx, di; or dx, dx                                is there one?
    "7407"  # jz unplug
    "66ed"  # in eax, dx                                                the pages that it shall have
    "83c204 66ef"  # add dx, 4; out dx, eax                             it has them
    # unplug:
    "ba10ae 6631c0 66ef"  # mov dx, 0xae10; xor eax, eax; out dx, eax  the first bus
    "ba04ae 66ed"  # mov dx, 0xae04; in eax, dx                        what is to go
    "6609c0"  # or eax, eax
    "74d0"  # jz loop
    "ba08ae 66ef"  # mov dx, 0xae08; out dx, eax                       it may go
    "ebc9"  # jmp loop
)
_DEAF = bytes.fromhex("f4 ebfd")  # hlt; jmp
_FILLS = bytes.fromhex(
    "31c0 8ed8 8ec0"  # xor ax, ax; mov ds, ax; mov es, ax
    "b90200"  # mov cx, 2                                               sector 2 of cylinder 0
    # next:
    "b80103 bb007c"  # mov ax, 0x301; mov bx, 0x7c00                    write one sector, this one
    "30f6 b280 cd13"  # xor dh, dh; mov dl, 0x80; int 0x13
    "fec5 75f0"  # inc ch; jnz next
)


def sector(*, deaf: bool = False, fills: bool = False) -> bytes:
    return (_FILLS + _DEAF if fills else _DEAF if deaf else _CODE).ljust(SIZE - 2, b"\0") + b"\x55\xaa"


def blank(path: Path) -> None:
    """Make a qcow2 file, if there is none."""
    if not path.exists():
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)


def install(path: str, *, format: str = "qcow2", deaf: bool = False, fills: bool = False) -> None:
    """Put the guest at the beginning of a disk."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(sector(deaf=deaf, fills=fills))
        file.flush()
        write = f"write -q -s {file.name} 0 {SIZE}"
        subprocess.run(["qemu-io", "-f", format, "-c", write, path], check=True, capture_output=True)
