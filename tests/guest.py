"""The tiny guest: a boot sector that does what the tests need of an operating system, and nothing else.

It waits for the power button and switches the machine off, and lets go of PCI devices that are to be
unplugged. Ports are those of QEMU's PIIX4 (pc-i440fx): SeaBIOS puts the ACPI registers at 0x600; PCI hot-plug is
at 0xae00 (QEMU, docs/specs/acpi_pci_hotplug). The deaf guest does neither.
"""

from __future__ import annotations

import subprocess
import tempfile

SIZE = 512

_CODE = bytes.fromhex(
    "fa"  # cli
    "31c0 8ed8"  # xor ax, ax; mov ds, ax
    "ba0206 b80001 ef"  # mov dx, 0x602; mov ax, 0x100; out dx, ax     the power button shall be told
    "fb"  # sti
    # loop:
    "f4"  # hlt                                                         18 times a second the timer wakes it
    "ba0006 ed"  # mov dx, 0x600; in ax, dx
    "f6c401"  # test ah, 1                                              pressed?
    "7407"  # jz unplug
    "ba0406 b80020 ef"  # mov dx, 0x604; mov ax, 0x2000; out dx, ax    off
    # unplug:
    "ba10ae 6631c0 66ef"  # mov dx, 0xae10; xor eax, eax; out dx, eax  the first bus
    "ba04ae 66ed"  # mov dx, 0xae04; in eax, dx                        what is to go
    "6609c0"  # or eax, eax
    "74dd"  # jz loop
    "ba08ae 66ef"  # mov dx, 0xae08; out dx, eax                       it may go
    "ebd6"  # jmp loop
)
_DEAF = bytes.fromhex("f4 ebfd")  # hlt; jmp


def sector(*, deaf: bool = False) -> bytes:
    return (_DEAF if deaf else _CODE).ljust(SIZE - 2, b"\0") + b"\x55\xaa"


def install(path: str, *, format: str = "qcow2", deaf: bool = False) -> None:
    """Put the guest at the beginning of a disk."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(sector(deaf=deaf))
        file.flush()
        write = f"write -q -s {file.name} 0 {SIZE}"
        subprocess.run(["qemu-io", "-f", format, "-c", write, path], check=True, capture_output=True)
