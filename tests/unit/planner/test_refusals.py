"""What a driver is sure to refuse is an error of the plan: a case for each row, and what the simulator says of it.

Each case is made on a cluster, planned, and then applied as if the plan did not know: the step that is refused there
shows that the plan was right to refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from reconciler import LocalCluster, apply, make_plan, observe
from reconciler.model.kinds import DISK
from reconciler.model.resource import ResourceId
from reconciler.planner import drafts
from reconciler.planner.plan import Plan
from reconciler.planner.refusals import REFUSALS
from support.scenario import OPTIONS, converge, desired_of, plan_of, served

NODES = "{node22: {address: 10.0.0.22}, node23: {address: 10.0.0.23}}"
ADDRESSES = {"node22": "10.0.0.22", "node23": "10.0.0.23"}


def stack(name: str, *documents: str) -> str:
    head = f"kind: Stack\nmetadata: {{name: {name}}}\nspec: {{defaults: {{nodeName: node22}}, nodes: {NODES}}}\n"
    return "---\n".join(f"apiVersion: gitops.doslab.io/v1alpha1\n{each}" for each in (head, *documents))


def resource(kind: str, name: str, spec: str) -> str:
    return f"kind: VirtualMachine{kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def machine(name: str, number: int, disks: str, more: str = "", nic: str = "type: l2bridge, source: br-int") -> str:
    nics = f"nics: [{{mac: '52:54:00:00:00:{number:02x}', {nic}}}]"
    plain = "osVariant: debian12, cpu: {count: 1}, memory: {size: 1Gi}"
    return resource("", name, f"{plain}, disks: [{disks}], {nics}{more}")


POOL = resource("Pool", "disks", "type: localfs, url: /var/lib/libvirt/disks")
IMAGES = resource("Pool", "images", "type: localfs, url: /var/lib/libvirt/images, content: vmdi")
FAR = resource("Pool", "far-disks", "nodeName: node23, type: localfs, url: /var/lib/libvirt/disks")
SHARED = resource("Pool", "shared", "type: nfs, url: '10.0.0.9:/vm', options: rw")
ROOT = resource("Disk", "web-1-root", "pool: disks, capacity: 10Gi")
DATA = resource("Disk", "data", "pool: disks, capacity: 10Gi")
NET = resource(
    "Network", "web-net", "switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1, dhcp: 192.168.5.2, bridge: br-ext}"
)
OUTSIDE = resource("Network", "ext-net", "switch: {subnet: 10.10.0.0/24, gateway: 10.10.0.1, dhcp: 10.10.0.2}")
WEB = machine("web-1", 1, "{target: vda, disk: web-1-root}")
OTHER_ROOT = resource("Disk", "db-1-root", "pool: disks, capacity: 10Gi")


def switched(ip: str, more: str = "") -> str:
    return f"type: l3bridge, source: br-int, network: web-net, ip: {ip}{more}"


@dataclass(frozen=True)
class Case:
    """Another stack and what this one applied before, then what it declares; where and what the plan says."""

    row: str
    others: tuple[str, ...]
    given: tuple[str, ...]
    desired: tuple[str, ...]
    path: str
    said: str
    refused: str = ""  # what the simulator says; empty where it only goes wrong in other ways


LIMITED = switched(
    "192.168.5.7", ", qosRules: [{direction: to, match: ip4, priority: 50, rateKbps: 10, burstKbps: 20}]"
)
FLOATING = "floatingIP: {address: 10.10.0.9/24, externalNetwork: ext-net}"
DB = machine("db-1", 2, "{target: vda, disk: db-1-root}")
CASES = [
    Case(
        "_disk_of_another",
        (POOL, ROOT, WEB),
        (),
        (OTHER_ROOT, machine("db-1", 2, "{target: vda, disk: db-1-root}, {target: vdb, disk: web-1-root}")),
        "spec.disks[1].disk",
        "is attached to VirtualMachine/web-1 of the stack other",
        "lock",
    ),
    Case(
        "_disk_of_another_until_its_next_start",
        (),
        (POOL, ROOT, DATA, OTHER_ROOT, WEB, DB),
        (
            *(POOL, ROOT, DATA, OTHER_ROOT, machine("web-1", 1, "{target: vda, disk: data}")),
            machine("db-1", 2, "{target: vda, disk: db-1-root}, {target: vdb, disk: web-1-root}"),
        ),
        "spec.disks[1].disk",
        "is what VirtualMachine/web-1 runs with until its next start",
        "lock",
    ),
    Case(
        "_disk_of_another_node",
        (POOL, FAR, resource("Disk", "far-1", "nodeName: node23, pool: far-disks, capacity: 1Gi"), ROOT),
        (),
        (machine("web-1", 1, "{target: vda, disk: web-1-root}, {target: vdb, disk: far-1}"),),
        "spec.disks[1].disk",
        "is on node23 in a pool that is local to it",
        "it is on node23",
    ),
    Case(
        "_shareable_of_a_format_that_is_not",
        (POOL, ROOT),
        (),
        (machine("web-1", 1, "{target: vda, disk: web-1-root, mode: shareable}"),),
        "spec.disks[0].mode",
        "only a raw disk is shareable",
    ),
    Case(
        "_device_of_another",
        (
            POOL,
            ROOT,
            machine(
                "web-1",
                1,
                "{target: vda, disk: web-1-root}",
                ", passthrough: [{type: usb, bus: '1', subBus: '0', device: '2'}]",
            ),
        ),
        (),
        (
            OTHER_ROOT,
            machine(
                "db-1",
                2,
                "{target: vda, disk: db-1-root}",
                ", passthrough: [{type: usb, bus: '1', subBus: '0', device: '2'}]",
            ),
        ),
        "spec.passthrough[0]",
        "is in use by VirtualMachine/web-1",
        "already in use",
    ),
    Case(
        "_taken_by_another",
        (POOL, ROOT, WEB),
        (),
        (OTHER_ROOT, machine("db-1", 1, "{target: vda, disk: db-1-root}")),
        "spec.nics[0].mac",
        "52:54:00:00:00:01 is in use by VirtualMachine/web-1",
        "already in use",
    ),
    Case(
        "_taken_by_another",
        (POOL, NET, ROOT, machine("web-1", 1, "{target: vda, disk: web-1-root}", nic=switched("192.168.5.9"))),
        (),
        (OTHER_ROOT, machine("db-1", 2, "{target: vda, disk: db-1-root}", nic=switched("192.168.5.9"))),
        "spec.nics[0].ip",
        "192.168.5.9 on web-net is in use by VirtualMachine/web-1",
        "already in use",
    ),
    Case(
        "_taken_by_another",
        (
            POOL,
            NET,
            OUTSIDE,
            ROOT,
            machine("web-1", 1, "{target: vda, disk: web-1-root}", nic=switched("192.168.5.9", f", {FLOATING}")),
        ),
        (),
        (
            OTHER_ROOT,
            machine("db-1", 2, "{target: vda, disk: db-1-root}", nic=switched("192.168.5.10", f", {FLOATING}")),
        ),
        "spec.nics[0].floatingIP.address",
        "10.10.0.9 on ext-net is in use by VirtualMachine/web-1",
        "already in use",
    ),
    Case(
        "_not_for_this_switch",
        (POOL, NET),
        (),
        (OTHER_ROOT, machine("db-1", 2, "{target: vda, disk: db-1-root}", nic=switched("192.168.6.9"))),
        "spec.nics[0].ip",
        "192.168.6.9 is not in 192.168.5.0/24",
    ),
    Case(
        "_not_for_this_switch",
        (POOL,),
        (NET,),
        (
            NET.replace("dhcp: 192.168.5.2, ", ""),
            OTHER_ROOT,
            machine("db-1", 2, "{target: vda, disk: db-1-root}", nic=switched("192.168.5.2")),
        ),
        "spec.nics[0].ip",
        "192.168.5.2 is the DHCP server",
    ),
    Case(
        "_not_for_this_switch",
        (POOL, NET, OUTSIDE),
        (),
        (
            OTHER_ROOT,
            machine(
                "db-1",
                2,
                "{target: vda, disk: db-1-root}",
                nic=switched("192.168.5.10", ", floatingIP: {address: 10.10.0.1/24, externalNetwork: ext-net}"),
            ),
        ),
        "spec.nics[0].floatingIP.address",
        "10.10.0.1 is the gateway",
        "by its gateway",
    ),
    Case(
        "_vlan_without_bridge",
        (POOL, OTHER_ROOT),
        (),
        (machine("db-1", 2, "{target: vda, disk: db-1-root}", nic="type: l2bridge, source: br-lan, vlan: 7"),),
        "spec.nics[0].vlan",
        "no network is described or known that is the bridge br-lan",
    ),
    Case(
        "_routed_on_a_bridge",
        (resource("Network", "lan-net", "bridge: {name: br-lan, nic: eth1}"), NET, POOL, OTHER_ROOT),
        (),
        (machine("db-1", 2, "{target: vda, disk: db-1-root}", nic="type: l3bridge, source: br-lan, network: web-net"),),
        "spec.nics[0].type",
        "br-lan is the bridge of VirtualMachineNetwork/lan-net",
    ),
    Case(
        "_bridge_of_another",
        (resource("Network", "lan-net", "bridge: {name: br-lan, nic: eth1}"),),
        (),
        (resource("Network", "dmz-net", "bridge: {name: br-lan, nic: eth2}"),),
        "spec.bridge.name",
        "the bridge br-lan of node22 is VirtualMachineNetwork/lan-net",
        "is taken by",
    ),
    Case(
        "_bridge_of_another",
        (resource("Network", "lan-net", "bridge: {name: br-lan, nic: eth1}"),),
        (),
        (resource("Network", "dmz-net", "bridge: {name: br-dmz, nic: eth1}"),),
        "spec.bridge.nic",
        "the card eth1 of node22 is in use by VirtualMachineNetwork/lan-net",
        "is taken by",
    ),
    Case(
        "_directory_of_another",
        (POOL,),
        (),
        (resource("Pool", "mine", "type: localfs, url: /var/lib/libvirt/disks"),),
        "spec.url",
        "is what VirtualMachinePool/disks of the stack other has",
        "has already",
    ),
    Case(
        "_stop_of_a_pool_in_use",
        (),
        (POOL, ROOT, WEB),
        (resource("Pool", "disks", "type: localfs, url: /var/lib/libvirt/disks, state: Inactive"), ROOT, WEB),
        "spec.state",
        "VirtualMachineDisk/web-1-root in it is in use by VirtualMachine/web-1",
        "is in use",
    ),
    Case(
        "_pool_of_disk",
        (resource("Pool", "disks", "type: localfs, url: /var/lib/libvirt/disks, state: Inactive"),),
        (),
        (ROOT,),
        "spec.pool",
        "VirtualMachinePool/disks is not active",
        "is not active",
    ),
    Case(
        "_pool_of_disk",
        (FAR,),
        (),
        (resource("Disk", "far-1", "pool: far-disks, capacity: 1Gi"),),
        "spec.pool",
        "VirtualMachinePool/far-disks is on node23",
        "is on node23",
    ),
    Case(
        "_pool_of_disk",
        (IMAGES,),
        (),
        (resource("Disk", "web-1-root", "pool: images, capacity: 1Gi"),),
        "spec.pool",
        "holds vmdi, not vmd",
        "holds vmdi",
    ),
    Case(
        "_source_of_another_node",
        (IMAGES, FAR, resource("DiskImage", "debian12", "pool: images")),
        (),
        (resource("Disk", "far-1", "nodeName: node23, pool: far-disks, from: {image: debian12}"),),
        "spec.from.image",
        "VirtualMachineDiskImage/debian12 is on node22",
        "is not the file of a disk image",
    ),
    Case(
        "_smaller_than_its_source",
        (),
        (POOL, ROOT),
        (
            POOL,
            ROOT,
            resource("Disk", "copy", "pool: disks, capacity: 5Gi, from: {disk: web-1-root}"),
        ),
        "spec.capacity",
        "5Gi is less than VirtualMachineDisk/web-1-root has",
        "can only grow",
    ),
    Case(
        "_copy_of_what_is_written",
        (),
        (POOL, ROOT, WEB),
        (
            POOL,
            ROOT,
            WEB,
            resource("Disk", "copy", "pool: disks, capacity: 20Gi, from: {disk: web-1-root}"),
        ),
        "spec.from.disk",
        "is in use by VirtualMachine/web-1, which runs",
        "is in use by running",
    ),
    Case(
        "_move_that_leaves_something",
        (resource("Pool", "others", "type: localfs, url: /var/lib/libvirt/others"),),
        (POOL, ROOT, resource("DiskSnapshot", "late", "disk: web-1-root")),
        (
            POOL,
            resource("Disk", "web-1-root", "pool: others, capacity: 10Gi"),
            resource("DiskSnapshot", "late", "disk: web-1-root"),
        ),
        "spec.pool",
        "a disk with snapshots cannot move, and this one has VirtualMachineDiskSnapshot/late",
        "has snapshots",
    ),
    Case(
        "_move_that_leaves_something",
        (FAR,),
        (
            POOL,
            ROOT,
            DATA,
            machine("web-1", 1, "{target: vda, disk: web-1-root}, {target: vdb, disk: data}", ", powerState: Stopped"),
        ),
        (POOL, ROOT, resource("Disk", "data", "nodeName: node23, pool: far-disks, capacity: 10Gi")),
        "spec.pool",
        "VirtualMachineDisk/data is attached to VirtualMachine/web-1",
    ),
    Case(
        "_image_of_a_disk_elsewhere",
        (FAR, IMAGES, resource("Disk", "far-1", "nodeName: node23, pool: far-disks, capacity: 1Gi")),
        (),
        (resource("DiskImage", "debian12", "pool: images, from: {disk: far-1}"),),
        "spec.from.disk",
        "VirtualMachineDisk/far-1 is on node23, not on node22",
        "is on node23",
    ),
    Case(
        "_image_of_a_disk_elsewhere",
        (FAR, IMAGES, resource("Disk", "far-1", "nodeName: node23, pool: far-disks, capacity: 1Gi")),
        (),
        (resource("Image", "golden", "pool: images, disk: far-1"),),
        "spec.disk",
        "VirtualMachineDisk/far-1 is on node23, not on node22",
        "does not exist on node22",
    ),
    Case(
        "_disk_without_snapshots",
        (),
        (POOL, resource("Disk", "web-1-root", "pool: disks, capacity: 1Gi, snapshots: [early]")),
        (resource("DiskSnapshot", "late", "disk: web-1-root"),),
        "spec.disk",
        "has snapshots inside its file, which would be lost: early",
        "snapshots inside its file",
    ),
    Case(
        "_disks_without_snapshots",
        (),
        (POOL, ROOT, WEB),
        (resource("Snapshot", "late", "virtualMachine: web-1, disks: [{target: vdb}]"),),
        "spec.disks[0].target",
        "VirtualMachine/web-1 has no disk vdb",
        "no disk named",
    ),
    Case(
        "_disks_without_snapshots",
        (),
        (POOL, resource("Disk", "web-1-root", "pool: disks, capacity: 1Gi, snapshots: [early]"), WEB),
        (resource("Snapshot", "late", "virtualMachine: web-1, disks: [{target: vda, mode: external}]"),),
        "spec.disks[0].mode",
        "has snapshots inside its file, which would be lost: early",
        "snapshots inside its file",
    ),
    Case(
        "_disks_without_snapshots",
        (),
        (
            POOL,
            ROOT,
            resource("Disk", "seed", "pool: disks, cloudInit: {userData: '#cloud-config'}"),
            machine("web-1", 1, "{target: vda, disk: web-1-root}, {target: vdb, disk: seed}"),
        ),
        (resource("Snapshot", "late", "virtualMachine: web-1, disks: [{target: vdb}]"),),
        "spec.disks[0].mode",
        "VirtualMachineDisk/seed is raw",
    ),
    Case(
        "_machine_of_another_node",
        (),
        (POOL, ROOT, WEB),
        (resource("Snapshot", "late", "nodeName: node23, virtualMachine: web-1, disks: [{target: vda}]"),),
        "spec.nodeName",
        "VirtualMachine/web-1 is on node22",
        "no domain web-1 on node23",
    ),
    Case(
        "_target_of_another",
        (POOL, ROOT, WEB),
        (),
        (resource("DiskSnapshot", "late", "disk: web-1-root"),),
        "spec.disk",
        "a snapshot changes VirtualMachineDisk/web-1-root of the stack other",
    ),
    Case(
        "_target_of_another",
        (POOL, ROOT, WEB),
        (),
        (resource("Snapshot", "late", "virtualMachine: web-1, disks: [{target: vda}]"),),
        "spec.virtualMachine",
        "a snapshot changes VirtualMachine/web-1 of the stack other",
    ),
    Case(
        "_taken_by_another",
        (POOL, ROOT, NET, machine("web-1", 1, "{target: vda, disk: web-1-root}", nic=LIMITED)),
        (),
        (OTHER_ROOT, machine("db-1", 2, "{target: vda, disk: db-1-root}", nic=LIMITED.replace(".7", ".8"))),
        "spec.nics[0].qosRules[0]",
        "the limit 'to 50 ip4' of web-net is in use by VirtualMachine/web-1 of the stack other",
        "Same QoS",
    ),
    Case(
        "_disk_of_another_node",
        (POOL, ROOT),
        (),
        (
            resource("Disk", "copy", "nodeName: node23, pool: disks, from: {disk: web-1-root}"),
            machine("db-1", 2, "{target: vda, disk: copy}", ", nodeName: node23"),
        ),
        "spec.disks[0].disk",
        "is on node22 in a pool that is local to it",
        "it is on node22",
    ),
    Case(
        "_guest_that_does_not_answer",
        (POOL, ROOT),
        (machine("web-1", 1, "{target: vda, disk: web-1-root}", ", powerState: Paused"),),
        (
            machine(
                "web-1",
                1,
                "{target: vda, disk: web-1-root}",
                ", powerState: Unmanaged, guest: {user: root, sshKeys: [ssh-ed25519 AAAA]}",
            ),
        ),
        "spec.guest",
        "a paused guest does not answer",
        "is paused",
    ),
    Case(
        "_move_with_cached_disks",
        (),
        (SHARED, resource("Disk", "web-1-root", "pool: shared, capacity: 1Gi"), WEB),
        (
            SHARED,
            resource("Disk", "web-1-root", "pool: shared, capacity: 1Gi"),
            machine("web-1", 1, "{target: vda, disk: web-1-root}", ", nodeName: node23"),
        ),
        "spec.disks[0].cache",
        "disks of cache none only",
        "must have cache none",
    ),
    Case(
        "_move_with_local_disks",
        (POOL, ROOT),
        (machine("web-1", 1, "{target: vda, disk: web-1-root, cache: none}"),),
        (machine("web-1", 1, "{target: vda, disk: web-1-root, cache: none}", ", nodeName: node23"),),
        "spec.disks[0].disk",
        "node23 cannot open VirtualMachineDisk/web-1-root",
        "is not on shared storage",
    ),
    Case(
        "_move_with_snapshots",
        (SHARED,),
        (
            resource("Disk", "web-1-root", "pool: shared, capacity: 1Gi"),
            machine("web-1", 1, "{target: vda, disk: web-1-root, cache: none}"),
            resource("Snapshot", "late", "virtualMachine: web-1, disks: [{target: vda}]"),
        ),
        (
            resource("Disk", "web-1-root", "pool: shared, capacity: 1Gi"),
            machine("web-1", 1, "{target: vda, disk: web-1-root, cache: none}", ", nodeName: node23"),
        ),
        "spec.nodeName",
        "a machine with snapshots cannot move",
        "cannot migrate domain with 1 snapshots",
    ),
    Case(
        "_move_with_devices_of_the_node",
        (SHARED,),
        (
            resource("Disk", "web-1-root", "pool: shared, capacity: 1Gi"),
            machine(
                "web-1",
                1,
                "{target: vda, disk: web-1-root, cache: none}",
                ", passthrough: [{type: usb, bus: '1', subBus: '0', device: '2'}]",
            ),
        ),
        (
            resource("Disk", "web-1-root", "pool: shared, capacity: 1Gi"),
            machine(
                "web-1",
                1,
                "{target: vda, disk: web-1-root, cache: none}",
                ", nodeName: node23, passthrough: [{type: usb, bus: '1', subBus: '0', device: '2'}]",
            ),
        ),
        "spec.nodeName",
        "a machine with devices of its node cannot move",
        "with host devices",
    ),
    Case(
        "_guest_that_does_not_answer",
        (POOL, ROOT),
        (machine("web-1", 1, "{target: vda, disk: web-1-root}", ", powerState: Paused"),),
        (
            machine(
                "web-1",
                1,
                "{target: vda, disk: web-1-root}",
                ", powerState: Paused, guest: {user: root, sshKeys: [ssh-ed25519 AAAA]}",
            ),
        ),
        "spec.guest",
        "a paused guest does not answer",
        "is paused",
    ),
]
CASES += [
    Case(
        "_medium_out_of_reach",
        (),
        (POOL, ROOT, machine("web-1", 1, "{target: vda, disk: web-1-root}", f", cdroms: [{{target: sda{before}}}]")),
        (POOL, ROOT, machine("web-1", 1, "{target: vda, disk: web-1-root}", f", cdroms: [{{target: sda{after}}}]")),
        "spec.cdroms[0].path",
        said,
    )
    for before, after, said in (
        (", path: /srv/iso/a.iso", "", "the drive holds /srv/iso/a.iso"),
        (", path: /srv/iso/a.iso", ", path: /srv/iso/b.iso", "/srv/iso/b.iso is not a file below /var/lib/libvirt"),
    )
]
CASES += [
    Case(
        "_file_outside_its_disk",
        (),
        (POOL, ROOT, WEB),
        (
            *(POOL, ROOT, WEB),
            resource(
                "Snapshot",
                "late",
                f"virtualMachine: web-1, external: true, disks: [{{target: vda, mode: external, file: {file}}}]",
            ),
        ),
        "spec.disks[0].file",
        f"{file} is not in /var/lib/libvirt/disks/web-1-root/snapshots",
        "is not in",
    )
    for file in ("/var/lib/libvirt/disks/late.qcow2", "/var/lib/libvirt/disks/web-1-root/snapshots/.late")
]
CASES += [
    Case(
        "_restarts_by_another_agent",
        (),
        given,
        (POOL, ROOT, machine("web-1", 1, "{target: vda, disk: web-1-root}", ", ha: true")),
        "spec.ha",
        "only uni-virt starts machines again by this label",
    )
    for given in ((POOL, ROOT), (POOL, ROOT, WEB))
]
BLOCK = "{target: vdb, block: /dev/sdb}"
WITH_BLOCK = machine("web-1", 1, f"{{target: vda, disk: web-1-root}}, {BLOCK}")
CASES += [
    Case(
        "_block_device_of_another",
        (POOL, ROOT, WITH_BLOCK),
        (),
        (OTHER_ROOT, machine("db-1", 2, f"{{target: vda, disk: db-1-root}}, {BLOCK}")),
        "spec.disks[1].block",
        "/dev/sdb of node22 is in use by VirtualMachine/web-1 of the stack other",
        "/dev/sdb is attached to VirtualMachine/web-1",
    ),
    Case(
        "_disks_without_snapshots",
        (),
        (POOL, ROOT, WITH_BLOCK),
        (
            *(POOL, ROOT, WITH_BLOCK),
            resource("Snapshot", "late", "virtualMachine: web-1, disks: [{target: vda}, {target: vdb}]"),
        ),
        "spec.disks[1].mode",
        "/dev/sdb is a block device, and only qcow2 has snapshots",
    ),
]
ROWS = {row.__name__ for rows in REFUSALS.values() for row in rows}


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with served(addresses=ADDRESSES) as served_cluster:
        yield served_cluster


def prepared(cluster: LocalCluster, case: Case) -> Any:
    """What the case declares, on a cluster with what others have and what was applied before."""
    allow = frozenset({"interrupt", "restart", "recreate", "data"})
    if case.others:
        converge(cluster, desired_of(stack("other", *case.others)), allow=allow)
    if case.given:
        converge(cluster, desired_of(stack("mine", *case.given)), allow=allow)
    return desired_of(stack("mine", *case.desired)), allow


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row}-{case.path}")
def test_what_would_be_refused_is_an_error_of_the_plan(cluster: LocalCluster, case: Case) -> None:
    desired, allow = prepared(cluster, case)
    made = plan_of(cluster, desired, allow=allow)
    (problem,) = made.problems
    assert problem.path == case.path
    assert case.said in problem.message
    assert problem.remedy
    assert problem.id not in {step.resource for step in made.steps}


@pytest.mark.parametrize("case", [each for each in CASES if each.refused], ids=lambda case: f"{case.row}-{case.path}")
def test_the_simulator_refuses_it(cluster: LocalCluster, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    desired, allow = prepared(cluster, case)
    monkeypatch.setattr(drafts, "refusals_of", lambda inputs, each: ())
    made: Plan = plan_of(cluster, desired, allow=allow)
    report = apply(made, cluster, options=OPTIONS)
    assert case.refused in " ".join(outcome.message for outcome in report.outcomes)


def losing_its_file(cluster: LocalCluster) -> Any:
    """A running machine, applied, whose boot disk has come to show no file."""
    desired = desired_of(stack("mine", POOL, ROOT, WEB))
    converge(cluster, desired)
    disk = cluster.get(ResourceId(DISK, "web-1-root"))
    disk["spec"]["volume"]["current"] = None
    cluster.update(disk)
    return desired


def test_a_disk_that_shows_no_file_is_not_taken_for_another_one(cluster: LocalCluster) -> None:
    made = make_plan(losing_its_file(cluster), observe(cluster))
    (problem,) = made.problems
    assert problem.path == "spec.disks[0].disk"
    assert "does not show the file that it is in" in problem.message
    assert made.steps == ()


def test_the_node_is_looked_at_before_a_disk_counts_as_without_a_file(cluster: LocalCluster) -> None:
    made = plan_of(cluster, losing_its_file(cluster))
    assert (made.problems, made.steps) == ((), ())


ELSEWHERE = {"_disk_without_a_file"}  # the embedded cluster shows what its nodes have before a plan is made


def test_every_row_has_a_case() -> None:
    assert {case.row for case in CASES} | ELSEWHERE == ROWS
