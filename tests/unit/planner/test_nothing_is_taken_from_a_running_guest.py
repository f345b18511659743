"""Every field of disks and NICs, changed under a running guest: without permission it loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import LocalCluster
from reconciler.catalogue.operation import Impact
from reconciler.model.fields import FIELDS
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import observe
from support.scenario import converge, desired_of, plan_of, served

WEB = ResourceId(MACHINE, "web-1")
STACK = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {defaults: {nodeName: node22}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {type: localfs, url: /var/lib/libvirt/disks}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: root}
spec: {pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: data}
spec: {pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: more}
spec: {pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: front}
spec: {switch: {subnet: 10.9.0.0/24, gateway: 10.9.0.1, dhcp: 10.9.0.2}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: back}
spec: {switch: {subnet: 10.9.0.0/24, gateway: 10.9.0.1, dhcp: 10.9.0.2}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: outside}
spec: {switch: {subnet: 10.9.1.0/24, gateway: 10.9.1.1, dhcp: 10.9.1.2}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: abroad}
spec: {switch: {subnet: 10.9.2.0/24, gateway: 10.9.2.1, dhcp: 10.9.2.2}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: office}
spec: {bridge: {name: br-office, nic: eth1}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 1Gi}
  disks:
  - {target: vda, disk: root, boot: true, bus: virtio, cache: writeback, qos: {readIops: 400}}
  - {target: sdb, disk: data, bus: scsi, cache: writeback, qos: {QOS}}
  cdroms: [{target: sda, path: /var/lib/libvirt/iso/debian12.iso}]
  nics:
  - mac: "52:54:00:00:00:01"
    type: l3bridge
    source: br-int
    network: front
    ip: 10.9.0.9
    qos: {inbound: 10Mi, outbound: 10Mi}
    acls: [{direction: from, match: "ip4", priority: 100, action: allow}]
    qosRules: [{direction: from, match: "ip4", priority: 100, rateKbps: 1000, burstKbps: 100}]
    floatingIP: {address: 10.9.1.9/24, externalNetwork: outside}
  - {mac: "52:54:00:00:00:02", type: l2bridge, source: br-office, vlan: 30}
""".replace("{QOS}", "{totalBytes: 9Mi, totalIops: 900}")
ROOT, DATA = "{target: vda, disk: root, boot: true", "{target: sdb, disk: data"
ACL = 'acls: [{direction: from, match: "ip4", priority: 100, action: allow}]'
LIMIT = 'qosRules: [{direction: from, match: "ip4", priority: 100, rateKbps: 1000, burstKbps: 100}]'
FLOATING = "floatingIP: {address: 10.9.1.9/24, externalNetwork: outside}"
# Field -> edits of the manifest: what stands there, and what takes its place.
EDITS: dict[str, list[tuple[str, str]]] = {
    "disks": [(f"  - {DATA}, bus: scsi, cache: writeback, qos: {{totalBytes: 9Mi, totalIops: 900}}}}\n", "")],
    "disks.*.target": [("target: vda", "target: vdc"), ("target: sdb", "target: sdc")],
    "disks.*.disk": [("disk: root", "disk: more"), ("disk: data", "disk: more")],
    "disks.*.block": [("disk: root", "block: /dev/vg/root"), ("disk: data", "block: /dev/vg/data")],
    "disks.*.boot": [(f"{ROOT}", "{target: vda, disk: root")],
    "disks.*.bus": [(f"{DATA}, bus: scsi", f"{DATA}, bus: sata")],
    "disks.*.cache": [
        (f"{ROOT}, bus: virtio, cache: writeback", f"{ROOT}, bus: virtio, cache: none"),
        (f"{DATA}, bus: scsi, cache: writeback", f"{DATA}, bus: scsi, cache: none"),
    ],
    "disks.*.mode": [(ROOT, f"{ROOT}, mode: readonly"), (DATA, f"{DATA}, mode: readonly")],
    "disks.*.qos": [(", qos: {readIops: 400}", "")],
    "disks.*.qos.totalBytes": [("totalBytes: 9Mi", "totalBytes: 1Mi")],
    "disks.*.qos.readBytes": [("readIops: 400", "readIops: 400, readBytes: 1Mi")],
    "disks.*.qos.writeBytes": [("readIops: 400", "readIops: 400, writeBytes: 1Mi")],
    "disks.*.qos.totalIops": [("totalIops: 900", "totalIops: 100")],
    "disks.*.qos.readIops": [("readIops: 400", "readIops: 100")],
    "disks.*.qos.writeIops": [("readIops: 400", "readIops: 400, writeIops: 100")],
    "nics": [('  - {mac: "52:54:00:00:00:02", type: l2bridge, source: br-office, vlan: 30}\n', "")],
    "nics.*.mac": [("00:00:01", "00:00:07"), ("00:00:02", "00:00:07")],
    "nics.*.type": [("type: l2bridge, source: br-office, vlan: 30", "type: bridge, source: br-office")],
    "nics.*.source": [("type: l2bridge, source: br-office, vlan: 30", "type: l2bridge, source: br-none")],
    "nics.*.network": [("network: front", "network: back")],
    "nics.*.ip": [("ip: 10.9.0.9", "ip: 10.9.0.10")],
    "nics.*.model": [("network: front", "network: front\n    model: e1000")],
    "nics.*.qos": [("    qos: {inbound: 10Mi, outbound: 10Mi}\n", "")],
    "nics.*.qos.inbound": [("inbound: 10Mi", "inbound: 1Mi")],
    "nics.*.qos.outbound": [("outbound: 10Mi", "outbound: 1Mi")],
    "nics.*.acls": [(f"    {ACL}\n", "")],
    "nics.*.acls.*.direction": [(ACL, ACL.replace("from", "to"))],
    "nics.*.acls.*.match": [(ACL, ACL.replace('"ip4"', '"tcp"'))],
    "nics.*.acls.*.priority": [(ACL, ACL.replace("100", "200"))],
    "nics.*.acls.*.action": [(ACL, ACL.replace("allow", "drop"))],
    "nics.*.qosRules": [(f"    {LIMIT}\n", "")],
    "nics.*.qosRules.*.direction": [(LIMIT, LIMIT.replace("from", "to"))],
    "nics.*.qosRules.*.match": [(LIMIT, LIMIT.replace('"ip4"', '"tcp"'))],
    "nics.*.qosRules.*.priority": [(LIMIT, LIMIT.replace("priority: 100", "priority: 200"))],
    "nics.*.qosRules.*.rateKbps": [(LIMIT, LIMIT.replace("rateKbps: 1000", "rateKbps: 500"))],
    "nics.*.qosRules.*.burstKbps": [(LIMIT, LIMIT.replace("burstKbps: 100", "burstKbps: 50"))],
    "nics.*.floatingIP": [(f"    {FLOATING}\n", "")],
    "nics.*.floatingIP.address": [("10.9.1.9/24", "10.9.1.10/24")],
    "nics.*.floatingIP.externalNetwork": [(FLOATING, "floatingIP: {address: 10.9.2.9/24, externalNetwork: abroad}")],
    "nics.*.vlan": [("vlan: 30", "vlan: 31")],
}
CASES = [(field, edit) for field, edits in EDITS.items() for edit in edits]
KEPT = ("disks", "nics", "cdroms")


def test_every_field_of_disks_and_nics_has_an_edit() -> None:
    rows = {row.name for row in FIELDS[MACHINE] if row.path[0] in ("disks", "nics")}
    assert rows == EDITS.keys()


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired_of(STACK))
        assert plan_of(cluster, desired_of(STACK)).steps == ()
        yield cluster


def parts(cluster: LocalCluster) -> dict[str, Any]:
    """The devices that the running guest has, with what cannot be changed while it has them."""
    shape = observe(cluster).resources[WEB].shape
    found: dict[str, Any] = {}
    for name in KEPT:
        for key, part in shape[name].items():
            found[f"{name} {key}"] = {field: each for field, each in part.items() if field in ("disk", "source", "bus")}
    return found


@pytest.mark.parametrize(("field", "edit"), CASES, ids=[f"{field}-{edit[0][:20]}" for field, edit in CASES])
def test_without_permission_the_guest_has_all_that_it_had(
    cluster: LocalCluster, field: str, edit: tuple[str, str]
) -> None:
    before, after = edit
    assert STACK.count(before) == 1, before
    desired, had = desired_of(STACK.replace(before, after)), parts(cluster)
    made = plan_of(cluster, desired)
    for step in made.steps:
        running = "live" in step.parameters or "config" not in step.parameters
        takes = step.operation.startswith(("Unplug", "Unbind", "Deprecated")) and running
        assert not takes or step.impact.needs_permission, step
        assert not step.impact.needs_permission or step.held_by, step
        assert step.impact in (Impact.NONE, Impact.LIVE, Impact.INTERRUPT), step
    converge(cluster, desired)
    has = parts(cluster)
    assert {name: has.get(name) for name in had} == had
