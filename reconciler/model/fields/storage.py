"""The fields of pools, disks, disk images and disk snapshots."""

from __future__ import annotations

from reconciler.model.fields.field import Field, Shown, Type, deletion_policy_row, equal
from reconciler.model.kinds import DISK, DISK_IMAGE, POOL

POOL_FIELDS = (
    Field("nodeName", Type.TEXT),
    Field("type", Type.TEXT),
    Field("content", Type.TEXT, default="vmd", shown=Shown.NEVER),
    Field("url", Type.TEXT),
    Field("options", Type.TEXT, shown=Shown.NEVER),
    Field("uuid", Type.TEXT, shown=Shown.NEVER),
    Field("autostart", Type.BOOLEAN, implied=equal(False)),
    Field("state", Type.TEXT, default="Active"),
    deletion_policy_row("Delete"),
)

DISK_FIELDS = (
    Field("nodeName", Type.TEXT),
    Field(
        "pool",
        Type.NAME,
        refers_to=POOL,
        advice="A disk moves to another pool while no running VM has it: stop the VM first.",
    ),
    Field("from", Type.MAPPING, shown=Shown.NEVER),
    Field("from.image", Type.NAME, refers_to=DISK_IMAGE),
    Field("from.disk", Type.NAME, refers_to=DISK),
    Field("fullCopy", Type.BOOLEAN, compared=False),
    Field(
        "capacity",
        Type.SIZE,
        shown=Shown.ROUNDED,
        remembered=True,
        advice="A disk cannot shrink without losing data: declare at least the observed capacity.",
    ),
    Field("format", Type.TEXT, default="qcow2"),
    Field("snapshots", Type.LIST, identity=()),
    Field(
        "cloudInit",
        Type.MAPPING,
        shown=Shown.NEVER,
        advice="User data is read at the first start only: make a new disk under a new name.",
    ),
    Field("cloudInit.userDataFrom", Type.SECRET),
    Field("cloudInit.userData", Type.TEXT),
    deletion_policy_row("Retain"),
)

DISK_IMAGE_FIELDS = (
    Field("nodeName", Type.TEXT),
    Field("pool", Type.NAME, refers_to=POOL),
    Field("from", Type.MAPPING, shown=Shown.NEVER),
    Field("from.disk", Type.NAME, refers_to=DISK),
    deletion_policy_row("Retain"),
)

DISK_SNAPSHOT_FIELDS = (
    Field("nodeName", Type.TEXT),
    Field("disk", Type.NAME, refers_to=DISK),
    Field("format", Type.TEXT, default="qcow2"),
    deletion_policy_row("Retain"),
)
