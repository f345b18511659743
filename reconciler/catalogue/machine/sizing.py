"""How many CPUs, how much memory, and how large a disk in use."""

from __future__ import annotations

from reconciler.catalogue.common import (
    CONFIG,
    CURRENT,
    LARGEST_DISK,
    LIVE,
    MOST_CPUS,
    MOST_MEMORY,
    UNSEEN,
    client,
    document,
    flag,
    number,
    path,
)
from reconciler.catalogue.machine.state import EXISTS, RUNNING
from reconciler.catalogue.operation import Impact, Operation, Parameter, Unit, Verb
from reconciler.model.kinds import MACHINE
from reconciler.model.quantity import KIB

_MEMORY = number(
    "size",
    "Memory of the VM.",
    KIB,
    MOST_MEMORY // KIB,
    "2097152",
    Unit.KIB,
    limits=(document(102_400, 104_857_600), client(100_000, 99_999_999)),
)


def _cpus(name: str, doc: str, example: str, *, required: bool = False) -> Parameter:
    return number(name, doc, 1, MOST_CPUS, example, required=required, limits=(document(1, 100), client(1, 99)))


# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "ChangeNumberOfCPU", "1.9", Verb.UPDATE,
        "Change how many CPUs a VM has, or may have. A new maximum waits for the next start.",
        (
            CURRENT,
            CONFIG,
            LIVE,
            flag("hotpluggable", "Plug or unplug while it runs, like live."),
            _cpus("count", "CPUs; with maximum, the new maximum.", "4", required=True),
            flag("guest", "Switch the CPUs on or off inside the guest."),
            Parameter(
                "maximum",
                "Set the maximum instead: cores x sockets x threads.",
                "boolean",
                needs=("cores", "sockets", "threads"),
            ),
            _cpus("cores", "Cores of a socket.", "4"),
            _cpus("sockets", "Sockets.", "1"),
            _cpus("threads", "Threads of a core.", "1"),
        ),
        needs=(EXISTS, "the maximum allows the count"),
        leaves="the VM has the number of CPUs",
        fields=("cpu.count", "cpu.max"),
        running=Impact.INTERRUPT,
        univirt="works, but fails when cores, sockets or threads are given",
        univirt_lacks=("cores", "sockets", "threads"),
    ),
    Operation(
        MACHINE, "ResizeVM", "1.25", Verb.UPDATE,
        "Tell a running VM that one of its disks has a new size. CPUs and memory are not meant.",
        (
            path("path", "File of the disk.", "/var/lib/libvirt/vmd/web-1/web-1"),
            number(
                "size",
                "New size of the disk.",
                KIB,
                LARGEST_DISK // KIB,
                "20971520",
                Unit.KIB,
                limits=(document(1_000_000, 999_999_999_999), client(1_000_000, 9_999_999_999_999)),
            ),
        ),
        needs=(RUNNING, "the VM has the disk"),
        leaves="the disk has the size",
        fields=("VirtualMachineDisk.capacity",),
        running=Impact.LIVE,
        univirt=UNSEEN,
        univirt_unseen=True,
    ),
    Operation(
        MACHINE, "ResizeMaxRAM", "1.29", Verb.UPDATE,
        "Set how much memory a VM may have; takes effect at the next start.",
        (CURRENT, _MEMORY, CONFIG, LIVE),
        needs=(EXISTS,),
        leaves="the definition has the maximum",
        fields=("memory.max",),
    ),
    Operation(
        MACHINE, "ResizeRAM", "1.35", Verb.UPDATE,
        "Change the memory of a VM, up to its maximum.",
        (CURRENT, _MEMORY, CONFIG, LIVE),
        needs=(EXISTS, "the maximum allows the size"),
        leaves="the VM has the memory",
        fields=("memory.size",),
        running=Impact.INTERRUPT,
    ),
)
# fmt: on
