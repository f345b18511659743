"""Machines written to files of a node: API section 1.45.

An export is kept under ``export:NODE:PATH/MACHINE``: ``definition`` and, by target, the ``disks``. Nothing
reads it again: the API has no way to import one.
"""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.request import TOOL, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.act import Act, copied
from reconciler.drivers.simulator.claims import owner
from reconciler.drivers.simulator.effect import effect
from reconciler.model.kinds import MACHINE


@effect(MACHINE, "ExportVM")
def export(act: Act) -> None:
    definition, path = act.entity["persistent"], f"{act.text('path').rstrip('/')}/{act.target.name}"
    place = f"export:{act.node}:{path}"
    if act.value(place) is not None:
        refuse(TOOL, f"{path} already exists on {act.node}")
    disks = {}
    for device in domains.devices(definition, "disk"):
        if device["_device"] == "disk":
            source = owner(act, domains.path_of(device))
            if source is None:
                refuse(TOOL, f"{domains.path_of(device)} cannot be exported: it is in no pool")
            disks[device["target"]["_dev"]] = copied(volume.copy_of(volume.state(source)))
    act.keep(place, {"definition": copied(definition), "disks": disks})
