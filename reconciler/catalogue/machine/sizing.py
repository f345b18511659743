"""How many CPUs, how much memory, and how large a disk in use."""

from __future__ import annotations

from reconciler.catalogue.common import CONFIG, CURRENT, LIVE, flag, number, path
from reconciler.catalogue.machine.state import EXISTS, RUNNING
from reconciler.catalogue.operation import Impact, Operation, Parameter, Unit, Verb
from reconciler.model.kinds import MACHINE

_MEMORY = number("size", "Memory of the VM.", 102_400, 99_999_999, "2097152", Unit.KIB)

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
            number("count", "CPUs; with maximum, the new maximum.", 1, 100, "4"),
            flag("guest", "Switch the CPUs on or off inside the guest."),
            Parameter(
                "maximum",
                "Set the maximum instead: cores x sockets x threads.",
                "boolean",
                needs=("cores", "sockets", "threads"),
            ),
            number("cores", "Cores of a socket.", 1, 100, "4", required=False),
            number("sockets", "Sockets.", 1, 100, "1", required=False),
            number("threads", "Threads of a core.", 1, 100, "1", required=False),
        ),
        needs=(EXISTS, "the maximum allows the count"),
        leaves="the VM has the number of CPUs",
        fields=("cpu.count", "cpu.max"),
        running=Impact.INTERRUPT,
        univirt="works, but fails when cores, sockets or threads are given",
    ),
    Operation(
        MACHINE, "ResizeVM", "1.25", Verb.UPDATE,
        "Tell a running VM that one of its disks has a new size. CPUs and memory are not meant.",
        (
            path("path", "File of the disk.", "/var/lib/libvirt/vmd/web-1/web-1"),
            # Up to 1 TiB: a size in bytes, sent by mistake, does not pass.
            number("size", "New size of the disk.", 1_000_000, 1_073_741_824, "20971520", Unit.KIB),
        ),
        needs=(RUNNING, "the VM has the disk"),
        leaves="the disk has the size",
        fields=("VirtualMachineDisk.capacity",),
        running=Impact.LIVE,
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
