"""Exports of machines to files of a node: API section 1.45.

An export is kept under ``export:NODE:PATH/MACHINE``: ``definition`` and, by target, the ``disks``. Nothing
reads it again: the API has no way to import one.
"""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.operation import TOOL, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.claims import owner
from reconciler.drivers.simulator.context import SimulatorContext, deep_copy, operation
from reconciler.model.kinds import MACHINE


@operation(MACHINE, "ExportVM")
def export(context: SimulatorContext) -> None:
    definition, path = context.entity["persistent"], f"{context.text('path').rstrip('/')}/{context.target.name}"
    place = f"export:{context.node}:{path}"
    if context.get(place) is not None:
        refuse(TOOL, f"{path} already exists on {context.node}")
    disks = {}
    for device in domains.devices(definition, "disk"):
        if device["_device"] == "disk":
            source = owner(context, domains.path_of(device))
            if source is None:
                refuse(TOOL, f"{domains.path_of(device)} cannot be exported: it is in no pool")
            disks[device["target"]["_dev"]] = deep_copy(volume.copy_of(volume.state(source)))
    context.put(place, {"definition": deep_copy(definition), "disks": disks})
