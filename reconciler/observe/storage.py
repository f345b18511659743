"""Pools, disks, disk images and disk snapshots, in the declared shape (wire format 5.2 to 5.5)."""

from __future__ import annotations

from typing import Any

from reconciler.model import quantity
from reconciler.model.quantity import ApproximateBytes
from reconciler.model.shape import Shape
from reconciler.observe.reading import ReadContext, element, elements


def disk(reading: ReadContext) -> Shape:
    """The shape of a disk; its capacity exact where what was last applied rounds to what is shown."""
    volume = element(reading.spec, "volume")
    shape: Shape = {"path": volume.get("current", "")}
    if pool := volume.get("pool") or volume.get("targetPool"):
        shape["pool"] = pool
    if "format" in volume:
        shape["format"] = volume["format"]
    shape["snapshots"] = {str(each["Name"]): {} for each in elements(volume, "snapshots") if "Name" in each}
    text = volume.get("capacity")
    exact = reading.applied.get("capacity")
    if isinstance(exact, int) and text is not None and quantity.rounded(exact) == _spaced(text):
        shape["capacity"] = exact
    elif text is not None and (about := quantity.unrounded(text)) is not None:
        shape["capacity"] = ApproximateBytes(about)
    return shape


def _spaced(text: Any) -> str:
    """A capacity text as this program rounds, whatever space or letters it was written with."""
    about = quantity.unrounded(text)
    return quantity.rounded(about) if about is not None else ""


def disk_image(reading: ReadContext) -> Shape:
    """The shape of a disk image."""
    volume = element(reading.spec, "volume")
    return {"path": volume.get("current", ""), "pool": volume.get("pool", "")}


def disk_snapshot(reading: ReadContext) -> Shape:
    """The shape of a disk snapshot."""
    volume = element(reading.spec, "volume")
    return {
        "disk": volume.get("disk", ""),
        "format": volume.get("format", "qcow2"),
        "pool": volume.get("pool"),
    }


def pool(reading: ReadContext) -> Shape:
    """The shape of a pool."""
    shown = element(reading.spec, "pool")
    shape: Shape = {"state": "Active" if shown.get("state") == "active" else "Inactive"}
    for key in ("type", "url", "content", "autostart"):
        if key in shown:
            shape[key] = shown[key]
    if shape.get("type") == "dir":  # the same to the back end (wire format 7.4)
        shape["type"] = "localfs"
    return shape
