"""The promises of states on a real host: what is declared comes up and is kept, and nothing else is done to a guest."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract_steps import MAC, OTHER_MAC, VMD
from reconciler import LocalCluster
from reconciler.model.kinds import DISK as DISKS
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from support import libvirtd
from support.cli_host import DATA, DISK, IMAGE, POOLS, ROOT, Shop, drives, machine, manifest, shop, sources, standing
from support.libvirtd import events, shapes, virsh

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]

ANYTHING = ("--allow", "interrupt,restart,recreate,data")
HOST = ("-y", "--driver", "libvirt", "--node", "node22")
BASE = POOLS + IMAGE + DISK
DATA_DISK = manifest("VirtualMachineDisk", "web-1-data", "pool: vmd-pool, capacity: 1Gi")
PLUGGED = ", {target: vdb, disk: web-1-data}"
SECOND_NIC = f', {{mac: "{OTHER_MAC}", type: bridge, source: br-ext}}'
WEB_1 = ResourceId(MACHINE, "web-1")
WEB_1_ROOT, WEB_1_DATA = (ResourceId(DISKS, f"web-1-{of}") for of in ("root", "data"))


def operation(name: str, what: str, parameters: str = "") -> str:
    head = f"---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Operation\nmetadata: {{name: {name}}}\nspec: "
    target = "target: {kind: VirtualMachine, name: web-1}"
    return f"{head}{{{target}, operation: {what}, parameters: {{{parameters}}}}}\n"


def limit(side: str = "--live") -> str:
    """The reads a second that the root disk may do; 0 for no limit."""
    return re.findall(r"read_iops_sec *: (\d+)", virsh("blkdeviotune", "web-1", "vda", side))[0]


# 2: what is declared is kept, and what is taken away is taken back ------------------------------------------


def test_defaults_are_kept_and_limits_that_are_removed_are_taken_back(shop: Shop) -> None:
    limited = machine().replace("boot: true", "boot: true, qos: {readIops: 400}")
    if shapes():
        limited = limited.replace("source: br-ext", "source: br-ext, qos: {inbound: 10Mi}")
    shop.write(BASE + limited)
    shop.begun()
    assert limit() == limit("--config") == "400"

    # Limits that the manifest no longer has are gone from the guest and from its next start.
    shop.write(BASE + machine())
    shop.applied()
    assert limit() == limit("--config") == "0"
    for side in ("--live", "--config"):
        assert "inbound.average: 0" in virsh("domiftune", "web-1", MAC, side)

    # A machine without powerState runs, which is its default, and is started where somebody stopped it.
    virsh("destroy", "web-1")
    assert [step["operation"] for step in shop.planned()["steps"]] == ["StartVM"]
    shop.applied()
    assert virsh("domstate", "web-1") == "running"

    # Who wants to stop it by hand says so.
    virsh("destroy", "web-1")
    shop.write(BASE + machine(more=", powerState: Unmanaged"))
    shop.applied()
    assert virsh("domstate", "web-1") == "shut off"


def test_what_waits_is_taken_back_and_a_new_name_is_not_a_new_machine(shop: Shop) -> None:
    manual = BASE + machine().replace("restart: Automatic", "restart: Manual")
    shop.write(manual)
    shop.begun()
    before = standing("web-1")

    # One CPU more, which waits for the next start, and back again before that: there is nothing left of it.
    shop.write(manual.replace("{count: 1}", "{count: 2}"))
    shop.applied()
    assert virsh("vcpucount", "web-1", "--active", "--config") == "2"
    assert virsh("vcpucount", "web-1", "--active", "--live") == "1"
    shop.write(manual)
    shop.applied()
    assert standing("web-1") == before
    virsh("destroy", "web-1")
    shop.applied()
    assert virsh("vcpucount", "web-1", "--active", "--live") == "1"

    # Another name would be a second machine with the disk of the first: refused, with the line that keeps it.
    before = standing("web-1")
    shop.write(BASE + machine(head="shop-1"))
    said = shop.attempt("--prune", *ANYTHING)
    assert "If it was renamed, add to its metadata: movedFrom: web-1." in said
    assert said.endswith("exit 1")
    assert virsh("list", "--all", "--name") == "web-1"
    assert standing("web-1") == before
    shop.write(BASE + machine(head="shop-1, movedFrom: web-1"))
    shop.applied(*ANYTHING)
    assert virsh("list", "--all", "--name") == "web-1"
    assert standing("web-1") == before


# 2: a first apply converges ---------------------------------------------------------------------------------


def test_all_that_is_described_together_comes_up_in_one_run(shop: Shop, tmp_path: Path) -> None:
    others = (
        DATA_DISK
        + manifest("VirtualMachineDisk", "web-1-seed", 'pool: vmd-pool, cloudInit: {userData: "#cloud-config"}')
        + manifest("VirtualMachineDisk", "web-1-logs", "pool: vmd-pool, capacity: 1Gi")
        + manifest("VirtualMachineDiskSnapshot", "data-before", "disk: web-1-data")
        + operation("once", "TuneDiskQoS", "device: vda, read_iops_sec: 400, live: true, config: true")
    )
    one = machine(
        memory="{size: 256Mi, max: 512Mi}",
        cpu="{count: 1, max: 2}",
        disks=", {target: vdb, disk: web-1-data, cache: writethrough}, {target: vdc, disk: web-1-seed, mode: readonly}"
        ", {target: sda, disk: web-1-logs, bus: sata, qos: {readIops: 400}}",
        nics=f', {{mac: "{OTHER_MAC}", type: bridge, source: virbr0, model: rtl8139}}',
    ).replace(f'"{MAC}",', f'"{MAC}", model: e1000,')
    shop.write(BASE + others + one)
    with events(tmp_path / "first start") as log:
        shop.applied(*ANYTHING)

    # The disks, the seed among them, are there before the guest starts; of the NICs, creation takes the first one.
    told = [line for line in log.read_text().splitlines() if "device-added" in line or "Started" in line]
    assert "Started" in told[0]
    assert ["device-added" in line and ": net" in line for line in told[1:]] == [True]

    # A snapshot of a disk that the same run plugged, and memory of the size that is declared, not of its maximum.
    seed = f"{VMD}/web-1-seed/web-1-seed"
    logs = f"{VMD}/web-1-logs/web-1-logs"
    snapshot = f"{VMD}/web-1-data/snapshots/data-before"
    found = {"vda": ROOT, "vdb": snapshot, "vdc": seed, "sda": logs}
    assert {target: path for target, path in sources().items() if target != "hda"} == found
    assert "actual 262144" in virsh("dommemstat", "web-1")
    assert limit() == "400"

    # Models, buses and caches reach the definition at creation, and when they change.
    assert cards() == ["e1000", "rtl8139"]
    assert [drives("web-1")[target] for target in ("vdb", "sda")] == [("virtio", "writethrough"), ("sata", "")]
    one = one.replace("e1000", "virtio").replace("rtl8139", "e1000")
    shop.write(BASE + others + one.replace("cache: writethrough", "cache: none").replace("bus: sata", "bus: usb"))
    shop.applied(*ANYTHING)
    assert cards() == ["virtio", "e1000"]
    assert [drives("web-1")[target] for target in ("vdb", "sda")] == [("virtio", "none"), ("usb", "")]


def cards() -> list[str]:
    """The models of the NICs of the guest that runs, as declared one after the other."""
    rows = [line.split() for line in virsh("domiflist", "web-1").splitlines()]
    models = {mac: model for _, _, _, model, mac in rows}
    return [models[mac] for mac in (MAC, OTHER_MAC)]


# 11: what plans, runs ---------------------------------------------------------------------------------------


def test_what_would_be_refused_on_the_host_is_an_error_of_the_plan(shop: Shop) -> None:
    shop.write(BASE + machine())
    shop.begun()
    before = standing("web-1")

    def refused(text: str, *messages: str) -> None:
        shop.write(text)
        said = shop.attempt(*ANYTHING)
        assert all(each in said for each in messages), said
        assert said.endswith("exit 1")

    # What the driver of the node does not do without databases of OVN: a switch.
    switch = manifest("VirtualMachineNetwork", "web-net", "switch: {subnet: 10.0.0.0/24, gateway: 10.0.0.1}")
    on_switch = SECOND_NIC.replace("bridge, source: br-ext", "l3bridge, source: br-int, network: web-net, ip: 10.0.0.9")
    refused(BASE + switch + machine(nics=on_switch), "node node22 does not carry out CreateSwitch (driver libvirt)")

    # An Operation that contradicts a field.
    refused(BASE + machine() + operation("stop", "StopVM"), "StopVM changes powerState, which VirtualMachine/web-1")

    # A disk and an address that a machine of another stack has.
    stack = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: lab}\n"
    refused(
        stack + machine(head="lab-1"),
        "VirtualMachineDisk/web-1-root is attached to VirtualMachine/web-1 of the stack shop",
        f"the MAC address {MAC} is in use by VirtualMachine/web-1 of the stack shop",
    )
    assert standing("web-1") == before
    assert virsh("list", "--all", "--name") == "web-1"


# 4, 7 and 9: operations and ownership -----------------------------------------------------------------------


def test_an_operation_that_a_person_asks_for_needs_permission_and_spares_what_is_protected(shop: Shop) -> None:
    shop.write(BASE + DATA_DISK + machine())
    shop.begun()
    before = standing("web-1")

    def asked(*words: str) -> str:
        done = shop.reconcile("run", *words, *HOST)
        assert done.returncode == 1
        return done.stdout + done.stderr

    delete_disk = ("vmd/web-1-data", "DeleteDisk", "type=localfs", "pool=vmd-pool")
    assert "release with --allow recreate:VirtualMachine/web-1" in asked("vm/web-1", "DeleteVM")
    assert "release with --allow data:VirtualMachineDisk/web-1-data" in asked(*delete_disk)
    protected = 'labels: {gitops.doslab.io/protect: "true"}'
    shop.write((BASE + DATA_DISK + machine()).replace("{name: web-1}", f"{{name: web-1, {protected}}}"))
    shop.applied()
    assert "which its label gitops.doslab.io/protect protects" in asked("vm/web-1", "DeleteVM", *ANYTHING)
    assert standing("web-1") == before
    assert Path(DATA).exists()


# Writes before which the agent dies -> the reads a second that the guest may do then: it has not begun, or has ended.
LOST = {"create/Event/1": "0", "create/Event/2": "400"}


@pytest.mark.parametrize("write", LOST)
def test_an_operation_lost_with_its_agent_is_not_run_again(shop: Shop, write: str) -> None:
    shop.write(BASE + machine())
    shop.begun()
    once = operation("once", "TuneDiskQoS", "device: vda, read_iops_sec: 400, live: true, config: true")
    shop.write(BASE + machine() + once)
    assert shop.reconcile("shop", *HOST, *ANYTHING, killed_at=write).returncode == -9
    assert limit() == LOST[write]
    virsh("blkdeviotune", "web-1", "vda", "--read-iops-sec", "0", "--live", "--config")
    for _ in range(2):  # the first one finds what the dead one has left
        said = shop.attempt(*ANYTHING)
        assert "the Operation once was submitted, and how it ended is not known" in said
        assert said.endswith("exit 1")
    assert limit() == limit("--config") == "0"


def test_lost_marks_make_no_step_and_a_saved_plan_is_applied_once(shop: Shop) -> None:
    def altered(id: ResourceId, section: str, name: str) -> None:
        with LocalCluster(shop.home / "shop.db") as cluster:
            resource: dict[str, Any] = cluster.get(id)
            resource[section].pop(name)
            cluster.update(resource)

    base = BASE + DATA_DISK
    shop.write(base + machine(disks=PLUGGED))
    shop.begun()
    before = standing("web-1")

    # Somebody removes what was last applied to the machine, and nulls what its disk shows.
    altered(WEB_1, "metadata", "annotations")
    altered(WEB_1_DATA, "spec", "volume")
    shop.applied(*ANYTHING)
    assert standing("web-1") == before

    # Somebody deletes the resources: what is observed belongs to nobody, and is adopted as it is.
    with LocalCluster(shop.home / "shop.db") as cluster:
        for id in (WEB_1, WEB_1_ROOT, WEB_1_DATA):
            cluster.delete(id)
    assert "VirtualMachine/web-1 exists and belongs to no stack" in shop.attempt("--prune", *ANYTHING)
    assert standing("web-1") == before
    shop.applied("--adopt", *ANYTHING)
    assert standing("web-1") == before

    # A saved plan finds, the second time, each resource as it leaves it.
    limited = machine(disks=PLUGGED, nics=SECOND_NIC).replace("boot: true", "boot: true, qos: {readIops: 400}")
    shop.write(base + limited)
    shop.planned("--out", "plan.json", *ANYTHING)
    assert "Applied: 2 changed" in shop.reconcile("apply", "plan.json", *HOST).stderr
    after = standing("web-1")
    again = shop.reconcile("apply", "plan.json", *HOST)
    assert "Applied: 2 unchanged" in again.stderr
    assert again.stderr.count("already as planned") == 2
    assert standing("web-1") == after != before
