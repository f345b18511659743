"""Disks and CD-ROM drives of a machine."""

from __future__ import annotations

from reconciler.catalogue.common import (
    CONFIG,
    CURRENT,
    DISK_LIMITS,
    DISK_PATH,
    DISK_PATH_FORM,
    LIVE,
    PERSISTENT,
    UNKNOWN_KEY,
    choice,
    flag,
    path,
    target,
    text,
)
from reconciler.catalogue.machine.state import EXISTS
from reconciler.catalogue.operation import Impact, Operation, Verb
from reconciler.model.kinds import MACHINE

_DRIVE = "the VM has a CD-ROM drive"

_TARGET = "Device inside the guest: vdX, hdX or sdX."
_ISO = path("path", "The ISO image.", "/var/lib/libvirt/iso/debian12.iso")
_BLOCK = flag("block", "The medium is in the host's own drive; false for an image file.", required=True)
_ISO_FORCE = flag("force", "Go on even if the guest has locked the drive.", required=True)

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "PlugDisk", "1.11", Verb.UPDATE,
        "Give a VM one more disk.",
        (
            PERSISTENT,
            CONFIG,
            LIVE,
            choice(
                "cache",
                "How the host caches it.",
                ("none", "writethrough", "directsync", "unsafe", "writeback"),
                required=False,
            ),
            choice(
                "sgio", "Which SCSI commands pass; unfiltered unless told.", ("unfiltered", "filtered"), required=False
            ),
            text(
                "source",
                "File or block device of the disk.",
                DISK_PATH,
                "/var/lib/libvirt/vmd/web-1-data/web-1-data",
                form=DISK_PATH_FORM,
            ),
            choice(
                "targetbus",
                "Bus; follows from target if left out.",
                ("ide", "scsi", "virtio", "xen", "usb", "sata", "sd"),
                "virtio",
                required=False,
            ),
            choice("type", "What the guest sees.", ("disk", "lun", "cdrom", "floppy"), required=False),
            choice("subdriver", "Format of the file.", ("qcow2", "raw"), required=False),
            target("target", _TARGET, "vdb"),
            choice("mode", "Access: readonly, or shareable between VMs.", ("readonly", "shareable"), required=False),
            choice("driver", "Driver.", ("qemu",), required=False),
            choice("sourcetype", "Whether source is a file or a block device.", ("file", "block"), required=False),
            *DISK_LIMITS,
        ),
        needs=("the disk exists", "no other VM has it", "the target is free"),
        leaves="the VM has the disk at target",
        fields=("disks",),
        running=Impact.LIVE,
        univirt="works, but ignores cache, sgio, targetbus, sourcetype and every limit",
        univirt_lacks=("cache", "sgio", "targetbus", "sourcetype", *(limit.name for limit in DISK_LIMITS)),
    ),
    Operation(
        MACHINE, "UnplugDisk", "1.14", Verb.UPDATE,
        "Take a disk away from a VM; the disk itself stays.",
        (CURRENT, PERSISTENT, CONFIG, LIVE, target("target", _TARGET, "vdb")),
        needs=(EXISTS, "the VM has a disk at target"),
        leaves="the disk is gone from the VM",
        fields=("disks",),
        running=Impact.INTERRUPT,
        univirt="works, but reports failure after it took away a disk that PlugDisk had not given",
    ),
    Operation(
        MACHINE, "ManageISO", "1.20", Verb.UPDATE,
        "Insert, eject or change the medium of a CD-ROM drive: one of the three is true.",
        (
            CURRENT,
            CONFIG,
            LIVE,
            target("path", "The drive: vdX, hdX or sdX. Not a path, whatever its name.", "sda"),
            path("source", "The ISO image.", "/var/lib/libvirt/iso/debian12.iso"),
            flag("eject", "Take the medium out.", required=True, excludes=("insert",)),
            flag("insert", "Put the medium in.", required=True, excludes=("eject",)),
            flag("update", "Change the medium for another one.", required=True),
            _ISO_FORCE,
            _BLOCK,
        ),
        needs=(_DRIVE,),
        leaves="the drive holds the image, or nothing",
        fields=("cdroms",),
        running=Impact.INTERRUPT,
    ),
    Operation(
        MACHINE, "InsertISO", "1.23", Verb.UPDATE,
        "Put a medium into the CD-ROM drive.",
        (CURRENT, CONFIG, LIVE, _ISO, flag("insert", "Put the medium in.", required=True), _ISO_FORCE, _BLOCK),
        needs=(_DRIVE,),
        leaves="the drive holds the image",
        fields=("cdroms",),
        running=Impact.LIVE,
        univirt=f"{UNKNOWN_KEY}; ManageISO does it",
    ),
    Operation(
        MACHINE, "EjectISO", "1.24", Verb.UPDATE,
        "Take the medium out of the CD-ROM drive.",
        (CURRENT, CONFIG, LIVE, _ISO, flag("eject", "Take the medium out.", required=True), _ISO_FORCE, _BLOCK),
        needs=(_DRIVE,),
        leaves="the drive is empty",
        fields=("cdroms",),
        running=Impact.INTERRUPT,
        univirt=f"{UNKNOWN_KEY}; ManageISO does it",
    ),
    Operation(
        MACHINE, "TuneDiskQoS", "1.27", Verb.UPDATE,
        "Limit how fast a VM uses one of its disks.",
        (target("device", _TARGET, "vdb"), *DISK_LIMITS, CONFIG, LIVE),
        needs=(EXISTS, "the VM has the disk"),
        leaves="the disk has the limits",
        fields=("disks.qos",),
        running=Impact.INTERRUPT,
    ),
)
# fmt: on
