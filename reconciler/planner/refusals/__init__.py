"""Steps that are sure to be refused: what the cluster shows stands in the way of a change, so it is not planned.

``REFUSALS`` is the table, by kind. A row gets a resource that differs, and yields why a driver would refuse one of its
changes. Rows look at what changes only: what is as declared may have come about in other ways.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.planner.changes import ResourceChanges
from reconciler.planner.inputs import PlanInput
from reconciler.planner.refusals import device, machine, network, snapshot, storage
from reconciler.planner.refusals.refusal import Refusal, Row

__all__ = ["REFUSALS", "Refusal", "refusals_of"]

REFUSALS: dict[str, tuple[Row, ...]] = {
    POOL: storage.POOL_ROWS,
    NETWORK: network.NETWORK_ROWS,
    DISK_IMAGE: storage.DISK_IMAGE_ROWS,
    DISK: storage.DISK_ROWS,
    IMAGE: storage.IMAGE_ROWS,
    MACHINE: (*device.ROWS, *network.NIC_ROWS, *machine.ROWS),
    DISK_SNAPSHOT: snapshot.DISK_SNAPSHOT_ROWS,
    SNAPSHOT: snapshot.SNAPSHOT_ROWS,
}


def refusals_of(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """Why the changes of a resource would be refused when they are applied; nothing where they would not."""
    for row in REFUSALS[each.declared.id.kind]:
        yield from row(inputs, each)
