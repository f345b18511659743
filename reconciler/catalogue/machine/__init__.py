"""VirtualMachine: sections 1.1 to 1.55, a module a subject."""

from __future__ import annotations

from reconciler.catalogue.machine import (
    backup,
    console,
    creation,
    device,
    drive,
    guest,
    migration,
    nic,
    power,
    sizing,
    switch,
)
from reconciler.catalogue.operation import Operation


def _section(operation: Operation) -> tuple[int, ...]:
    return tuple(map(int, operation.section.split(".")))


# In the order of the API's sections.
OPERATIONS: tuple[Operation, ...] = tuple(
    sorted(
        (
            *creation.OPERATIONS,
            *power.OPERATIONS,
            *migration.OPERATIONS,
            *sizing.OPERATIONS,
            *drive.OPERATIONS,
            *device.OPERATIONS,
            *nic.OPERATIONS,
            *switch.OPERATIONS,
            *console.OPERATIONS,
            *guest.OPERATIONS,
            *backup.OPERATIONS,
        ),
        key=_section,
    )
)
