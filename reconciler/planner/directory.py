"""Files of disks and images where operations do not find them: in a pool whose directory is outside the usual ones.

A machine is created with disks from any directory; most operations after that take files from a few directories only.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.catalogue.common import ROOTS_FORM, is_out_of_reach
from reconciler.catalogue.operation import Operation
from reconciler.model.kinds import DISK, DISK_IMAGE
from reconciler.model.path import ShapePath
from reconciler.model.problem import Problem, clipped
from reconciler.model.resource import ResourceId
from reconciler.planner.inputs import PlanInput
from reconciler.planner.plan import PathOf, Value


def refusal_of_directory(
    inputs: PlanInput, id: ResourceId, operation: Operation, value: Value | None, place: ShapePath
) -> Problem | None:
    """The problem of a parameter that is refused: the pool of the file that it names; None if that is not why.

    It is at the url of the pool, if a manifest describes it, else at ``place``. It concerns ``id``, whose step it is,
    or the pool where that is still to be created: nothing is put into it then.
    """
    file = _file(inputs, value)
    if file is None:
        return None
    pool = inputs.resources.pool_of(file)
    url = str(inputs.resources.shape(pool).get("url", ""))
    if not is_out_of_reach(url):
        return None
    message = f"{id}: {operation.name} takes files {ROOTS_FORM} only, and {file} is in {clipped(url)} of {pool}"
    exists = inputs.resources.exists(pool)
    remedy = f"Put {file} into a pool below one of them." if exists else "Choose a directory below one of them."
    if pool not in inputs.desired.resources:
        return inputs.problem(id, message, remedy, place)
    return replace(inputs.problem(pool, message, remedy, ("url",)), id=id if exists else pool)


def _file(inputs: PlanInput, value: Value | None) -> ResourceId | None:
    """The disk or image whose file a parameter is; None if it is none, or one that belongs to nobody."""
    if isinstance(value, tuple):
        return next((part.id for part in value if isinstance(part, PathOf)), None)
    known = inputs.observed.resources.items()
    return next((id for id, each in known if id.kind in _FILES and each.shape.get("path") == value), None)


_FILES = (DISK, DISK_IMAGE)
