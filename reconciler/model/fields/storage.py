"""The fields of pools, disks, disk images and disk snapshots."""

from __future__ import annotations

from reconciler.model.fields.field import Field, FieldType, Removal, Visibility, deletion_policy_row, equal
from reconciler.model.kinds import DISK, DISK_IMAGE, POOL

POOL_FIELDS = (
    Field("nodeName", FieldType.TEXT),
    Field("type", FieldType.TEXT, aliases=(("dir", "localfs"),)),
    Field(
        "content",
        FieldType.TEXT,
        default="vmd",
        shown=Visibility.NEVER,
        always=True,
        default_at_creation=True,
        removed=Removal.CREATION,
    ),
    Field("url", FieldType.TEXT),
    Field("options", FieldType.TEXT, shown=Visibility.NEVER),
    Field("uuid", FieldType.TEXT, shown=Visibility.NEVER, removed=Removal.CREATION),
    Field("autostart", FieldType.BOOLEAN, implied=equal(False), removed=Removal.RESET, reset=False),
    Field("state", FieldType.TEXT, default="Active", default_in_shape=True, removed=Removal.DEFAULT),
    deletion_policy_row("Delete"),
)

DISK_FIELDS = (
    Field("nodeName", FieldType.TEXT),
    Field(
        "pool",
        FieldType.NAME,
        refers_to=POOL,
        advice="A disk moves to another pool while no running VM has it: stop the VM in an apply before.",
    ),
    Field("from", FieldType.MAPPING, shown=Visibility.NEVER, removed=Removal.CREATION),
    Field("from.image", FieldType.NAME, refers_to=DISK_IMAGE),
    Field("from.disk", FieldType.NAME, refers_to=DISK),
    Field("fullCopy", FieldType.BOOLEAN, compared=False, removed=Removal.CREATION),
    Field(
        "capacity",
        FieldType.SIZE,
        shown=Visibility.ROUNDED,
        remembered=True,
        advice="A disk cannot shrink without losing data: declare at least the observed capacity.",
        removed=Removal.STAYS,
        to_remove="A disk cannot shrink without losing data.",
    ),
    Field(
        "format",
        FieldType.TEXT,
        default="qcow2",
        default_at_creation=True,
        removed=Removal.STAYS,
        to_remove="It was set at creation: only another disk has another one.",
    ),
    Field(
        "snapshots",
        FieldType.LIST,
        identity=(),
        removed=Removal.STAYS,
        to_remove="Declare an empty list to delete them.",
    ),
    Field(
        "cloudInit",
        FieldType.MAPPING,
        shown=Visibility.NEVER,
        advice="User data is read at the first start only: make a new disk under a new name, or leave this one as it "
        "is with metadata.drift.ignore: [{field: cloudInit}].",
    ),
    Field("cloudInit.userDataFrom", FieldType.SECRET),
    Field("cloudInit.userData", FieldType.TEXT),
    deletion_policy_row("Retain"),
)

DISK_IMAGE_FIELDS = (
    Field("nodeName", FieldType.TEXT),
    Field("pool", FieldType.NAME, refers_to=POOL),
    Field("from", FieldType.MAPPING, shown=Visibility.NEVER, removed=Removal.CREATION),
    Field("from.disk", FieldType.NAME, refers_to=DISK),
    deletion_policy_row("Retain"),
)

DISK_SNAPSHOT_FIELDS = (
    Field("nodeName", FieldType.TEXT),
    Field("disk", FieldType.NAME, refers_to=DISK),
    Field("format", FieldType.TEXT, default="qcow2", default_at_creation=True, removed=Removal.CREATION),
    deletion_policy_row("Retain"),
)
