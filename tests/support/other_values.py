"""Of every field that a manifest may declare, another value than the one it has in the full stack."""

from __future__ import annotations

import copy
from typing import Any

from reconciler.manifests.desired import Desired
from reconciler.model.fields import FIELDS
from reconciler.model.fields.field import Field, FieldType
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, MACHINE, NETWORK, POOL, SNAPSHOT
from support.full_stack import documents, holders, is_valid
from support.scenario import desired_of

# The rows that have a value of their own, and those of lists without one: of lists with keys, each field is a row.
LEAVES = [
    (kind, row)
    for kind, rows in FIELDS.items()
    for row in rows
    if row.type is not FieldType.MAPPING and not (row.type is FieldType.LIST and row.identity)
]

_POLICIES = {(kind, "deletionPolicy"): ("Retain", "Delete") for kind in FIELDS}

# Tried in turn: the first one that differs and leaves a valid stack, at the first place where one does.
VALUES: dict[tuple[str, str], tuple[Any, ...]] = {
    **_POLICIES,
    **{(kind, "nodeName"): ("node23",) for kind in FIELDS},
    (POOL, "type"): ("vdiskfs", "glusterfs"),
    (POOL, "content"): ("iso", "vmdi", "vmd"),
    (POOL, "url"): ("/var/lib/libvirt/templates-2",),
    (POOL, "options"): ("ro",),
    (POOL, "uuid"): ("17098ca5f9ff48d0a7d9bd2a4b4a7a0e",),
    (POOL, "autostart"): (False,),
    (POOL, "state"): ("Inactive",),
    (NETWORK, "switch.subnet"): ("10.1.0.0/16",),
    (NETWORK, "switch.gateway"): ("10.1.1.3",),
    (NETWORK, "switch.dhcp"): ("10.1.1.4",),
    (NETWORK, "switch.dnsServers"): (["10.1.1.1", "10.1.1.3"],),
    (NETWORK, "switch.mtu"): (1300,),
    (NETWORK, "switch.bridge"): ("br-other",),
    (NETWORK, "switch.vlanId"): (8,),
    (NETWORK, "switch.excludeIPs"): (["10.1.1.150..10.1.1.200"],),
    (NETWORK, "bridge.name"): ("br-other",),
    (NETWORK, "bridge.nic"): ("eth2",),
    (NETWORK, "bridge.vlan"): (12,),
    (NETWORK, "addresses"): (["10.1.1.9", "10.1.1.10"],),
    (DISK_IMAGE, "pool"): ("templates",),
    (DISK_IMAGE, "from.disk"): ("data-2",),
    (DISK, "pool"): ("more",),
    (DISK, "from.image"): ("debian13",),
    (DISK, "from.disk"): ("data-2",),
    (DISK, "fullCopy"): (False,),
    (DISK, "capacity"): ("31Gi",),
    (DISK, "snapshots"): (["after", "before"],),
    (DISK, "cloudInit.userDataFrom"): ({"env": "OTHER_DATA"},),
    (DISK, "cloudInit.userData"): ("#cloud-config\nhostname: other",),
    (IMAGE, "disk"): ("data-2",),
    (IMAGE, "pool"): ("templates",),
    (MACHINE, "powerState"): ("Paused",),
    (MACHINE, "stopMode"): ("Graceful",),
    (MACHINE, "osVariant"): ("debian11",),
    (MACHINE, "from.image"): ("template-2",),
    (MACHINE, "uuid"): ("0d3c1f52-6a0b-4a53-9c1e-6f1b6a7f0009",),
    (MACHINE, "virtType"): ("qemu",),
    (MACHINE, "livecd"): (False,),
    (MACHINE, "cputune.shares"): (256,),
    (MACHINE, "cputune.period"): (200000,),
    (MACHINE, "cputune.quota"): (60000,),
    (MACHINE, "redirdev.server"): ("10.0.0.6:4000",),
    (MACHINE, "cpu.count"): (2,),
    (MACHINE, "cpu.max"): (8,),
    (MACHINE, "cpu.cores"): (4,),
    (MACHINE, "cpu.sockets"): (4,),
    (MACHINE, "cpu.threads"): (4,),
    (MACHINE, "cpu.pinning"): ("0-7",),
    (MACHINE, "memory.size"): ("3Gi",),
    (MACHINE, "memory.max"): ("8Gi",),
    (MACHINE, "disks.*.target"): ("vdx",),
    (MACHINE, "disks.*.disk"): ("spare",),
    (MACHINE, "disks.*.block"): ("/dev/disk/by-id/wwn-0x5000c500a1b2c3d5",),
    (MACHINE, "disks.*.boot"): (False,),
    (MACHINE, "disks.*.bus"): ("scsi",),
    (MACHINE, "disks.*.cache"): ("writeback",),
    (MACHINE, "disks.*.mode"): ("shareable",),
    **{
        (MACHINE, f"disks.*.qos.{name}"): (value,)
        for name, value in {
            **dict.fromkeys(("totalBytes", "readBytes", "writeBytes"), "3Mi"),
            **dict.fromkeys(("totalIops", "readIops", "writeIops"), 77),
        }.items()
    },
    (MACHINE, "cdroms.*.target"): ("sdb",),
    (MACHINE, "cdroms.*.path"): ("/var/lib/libvirt/iso/debian13.iso",),
    (MACHINE, "nics.*.mac"): ("52:54:00:00:00:09",),
    (MACHINE, "nics.*.type"): ("bridge", "l2bridge"),
    (MACHINE, "nics.*.source"): ("br-more", "br-int"),
    (MACHINE, "nics.*.network"): ("beyond",),
    (MACHINE, "nics.*.ip"): ("10.1.1.12",),
    (MACHINE, "nics.*.model"): ("rtl8139",),
    (MACHINE, "nics.*.qos.inbound"): ("5Mi",),
    (MACHINE, "nics.*.qos.outbound"): ("5Mi",),
    (MACHINE, "nics.*.acls.*.direction"): ("to",),
    (MACHINE, "nics.*.acls.*.match"): ("tcp.dst == 81",),
    (MACHINE, "nics.*.acls.*.priority"): (51,),
    (MACHINE, "nics.*.acls.*.action"): ("drop",),
    (MACHINE, "nics.*.qosRules.*.direction"): ("from",),
    (MACHINE, "nics.*.qosRules.*.match"): ("ip4.dst == 10.1.1.8",),
    (MACHINE, "nics.*.qosRules.*.priority"): (51,),
    (MACHINE, "nics.*.qosRules.*.rateKbps"): (11,),
    (MACHINE, "nics.*.qosRules.*.burstKbps"): (21,),
    (MACHINE, "nics.*.floatingIP.address"): ("10.9.1.10/24",),
    (MACHINE, "nics.*.floatingIP.externalNetwork"): ("beyond",),
    (MACHINE, "nics.*.vlan"): (13,),
    (MACHINE, "graphics.type"): ("vnc", "spice"),
    (MACHINE, "graphics.passwordFrom"): ({"env": "OTHER_PASSWORD"},),
    (MACHINE, "devices.*.file"): ("/var/lib/libvirt/devices/other.xml",),
    (MACHINE, "passthrough.*.type"): ("usb",),
    (MACHINE, "passthrough.*.bus"): ("04",),
    (MACHINE, "passthrough.*.subBus"): ("01",),
    (MACHINE, "passthrough.*.device"): ("2",),
    (MACHINE, "usbRedirection"): (3,),
    (MACHINE, "guest.user"): ("operator",),
    (MACHINE, "guest.passwordFrom"): ({"env": "OTHER_PASSWORD"},),
    (MACHINE, "guest.sshKeys"): (["ssh-ed25519 AAAA", "ssh-ed25519 BBBB"],),
    (MACHINE, "bootOrder"): (["vda", "sda"],),
    (MACHINE, "autostart"): (False,),
    (MACHINE, "updatePolicy.restart"): ("Automatic",),
    (MACHINE, "readiness.tcp.port"): (2222,),
    (MACHINE, "readiness.tcp.address"): ("10.1.1.12",),
    (MACHINE, "readiness.http.port"): (8080,),
    (MACHINE, "readiness.http.path"): ("/ready",),
    (MACHINE, "readiness.http.address"): ("10.1.1.12",),
    (MACHINE, "readiness.http.scheme"): ("https",),
    (MACHINE, "readiness.timeout"): (30,),
    (DISK_SNAPSHOT, "disk"): ("data-2",),
    (SNAPSHOT, "virtualMachine"): ("web-2",),
    (SNAPSHOT, "external"): (False,),
    (SNAPSHOT, "disks.*.target"): ("sda",),
    (SNAPSHOT, "disks.*.mode"): ("internal", "no"),
    (SNAPSHOT, "disks.*.file"): ("/var/lib/libvirt/disks/root-2/snapshots/other.qcow2",),
}

# Of which the full stack can have no other value, and why.
NO_OTHER: dict[tuple[str, str], str] = {
    (DISK, "format"): "the schema takes one value",
    (DISK_SNAPSHOT, "format"): "the schema takes one value",
    (MACHINE, "graphics.listen"): "the schema takes one value",
    (MACHINE, "redirdev.type"): "the schema takes one value",
    (NETWORK, "switch.ipv6"): "the subnet says it as well, and both must agree",
    (MACHINE, "ha"): "only uni-virt acts on its label, and the full stack is served by our agents",
    (MACHINE, "guest.osType"): "the guest of the full stack is Linux, which the driver checks",
}

OTHER_SECRETS = {"OTHER_PASSWORD": "paper-7", "OTHER_DATA": "#cloud-config\nhostname: other"}


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "gitops.doslab.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


_THIRD: dict[str, Any] = {
    "osVariant": "debian12",
    "cpu": {"count": 1},
    "memory": {"size": "1Gi"},
    "livecd": True,
    "cdroms": [{"target": "sdb", "path": "/var/lib/libvirt/iso/debian12.iso"}],
    "disks": [{"target": "sda", "bus": "sata", "disk": "data-3"}, {"target": "vda", "disk": "root-3", "boot": True}],
    "nics": [{"mac": "52:54:00:00:00:05", "type": "bridge", "source": "virbr0"}],
}
_POOL = {"type": "localfs", "content": "vmd", "url": "/var/lib/libvirt/more", "state": "Active"}
_SNAPSHOTTED = [{"target": "vda", "mode": "external"}]


def full_documents() -> list[dict[str, Any]]:
    """The full stack, with what other values refer to."""
    beyond = {"subnet": "10.9.1.0/24", "gateway": "10.9.1.1", "dhcp": "10.9.1.2"}
    return [
        *documents(),
        _resource(
            POOL, "more", {"type": "localfs", "content": "vmd", "url": "/var/lib/libvirt/more", "state": "Active"}
        ),
        _resource(POOL, "templates", {"type": "localfs", "content": "vmdi", "url": "/var/lib/libvirt/templates"}),
        _resource(NETWORK, "beyond", {"switch": beyond}),
        _resource(NETWORK, "lan-2", {"bridge": {"name": "br-more", "nic": "eth3"}}),
        _resource(NETWORK, "members", {"addresses": ["10.1.1.9"]}),
        _resource(DISK, "spare", {"pool": "disks", "capacity": "10Gi"}),
        _resource(DISK, "seed-2", {"pool": "disks", "cloudInit": {"userDataFrom": {"env": "USER_DATA"}}}),
        _resource(DISK_IMAGE, "debian13", {"pool": "templates", "from": {"disk": "spare"}}),
        _resource(IMAGE, "template-2", {"disk": "spare", "pool": "templates"}),
        _resource(DISK, "root-3", {"pool": "disks", "capacity": "10Gi"}),
        _resource(DISK, "data-3", {"pool": "disks", "capacity": "10Gi"}),
        _resource(MACHINE, "web-3", _THIRD),
        _resource(SNAPSHOT, "web-3-before", {"virtualMachine": "web-3", "external": True, "disks": _SNAPSHOTTED}),
    ]


def edited(stack: list[dict[str, Any]], kind: str, row: Field, value: Any) -> list[dict[str, Any]] | None:
    """The stack with a value of a field (None: without it) where that leaves a valid one; None if it does nowhere.

    The last place is tried first: what nothing refers to is at the end.
    """
    for index, document in reversed(list(enumerate(stack))):
        places = len(list(holders(document["spec"], row.path))) if document["kind"] == kind else 0
        for place in range(places):
            tried = copy.deepcopy(stack)
            holder = list(holders(tried[index]["spec"], row.path))[place]
            if value is None:
                del holder[row.path[-1]]
            elif holder[row.path[-1]] == value:
                continue
            else:
                holder[row.path[-1]] = value
            if is_valid(tried):
                return tried
    return None


def changed(kind: str, row: Field) -> Desired | None:
    """The full stack with another value of a field; None where no value of ``VALUES`` leaves a valid one."""
    if row.name == "nodeName":
        moved = full_documents()
        moved[0]["spec"]["defaults"]["nodeName"] = "node23"  # a resource goes where those that it refers to are
        return desired_of(moved)
    tried = (edited(full_documents(), kind, row, value) for value in VALUES[kind, row.name])
    found = next((each for each in tried if each is not None), None)
    return desired_of(found) if found is not None else None
