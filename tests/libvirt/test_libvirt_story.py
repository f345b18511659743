"""A stack on a real host from the first apply to the last, by the command line; after each, others are asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract_steps import ISO, MAC, OTHER_MAC, VMD, VMDI
from support import libvirtd
from support.cli_host import DATA, DISK, IMAGE, POOLS, ROOT, Shop, info, machine, manifest, shop, sources
from support.libvirtd import MEDIA, virsh

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]


def test_a_stack_lives_on_a_real_host(shop: Shop) -> None:
    base = POOLS + IMAGE + DISK
    shop.write(base + machine())
    shop.applied()
    assert virsh("domstate", "web-1") == "running"
    assert sources() == {"vda": ROOT, "hda": ISO}
    assert info(ROOT)["full-backing-filename"] == f"{VMDI}/tiny/tiny"
    uuid = virsh("domuuid", "web-1")

    # 1: grow the disk of the running machine
    base = base.replace("capacity: 1Gi", "capacity: 2Gi")
    shop.write(base + machine())
    shop.applied()
    assert info(ROOT)["virtual-size"] == 2 * 1024**3

    # 2: add a disk
    base += manifest("VirtualMachineDisk", "web-1-data", "pool: vmd-pool, capacity: 1Gi, deletionPolicy: Delete")
    disks = ", {target: vdb, disk: web-1-data, qos: {readIops: 400}}"
    shop.write(base + machine(disks=disks))
    shop.applied()
    assert sources() == {"vda": ROOT, "vdb": DATA, "hda": ISO}
    assert "read_iops_sec  : 400" in virsh("blkdeviotune", "web-1", "vdb")

    # 3: add a NIC
    nics = f', {{mac: "{OTHER_MAC}", type: bridge, source: br-ext}}'
    shop.write(base + machine(disks=disks, nics=nics))
    shop.applied()
    assert [line.split()[-1] for line in virsh("domiflist", "web-1").splitlines()] == [MAC, OTHER_MAC]

    # 4: more memory, which takes a restart that was allowed
    given = {"disks": disks, "nics": nics, "memory": "{size: 512Mi, max: 512Mi}"}
    shop.write(base + machine(**given))
    shop.applied("--allow", "restart")
    assert "524288 KiB" in virsh("dominfo", "web-1")
    assert virsh("domuuid", "web-1") == uuid

    # 5: pause
    shop.write(base + machine(**given, more=", powerState: Paused"))
    shop.applied("--allow", "interrupt")
    assert virsh("domstate", "web-1") == "paused"

    # 6: a snapshot, of the machine that goes on
    given["more"] = ", powerState: Running"
    of = "virtualMachine: web-1, disks: [{target: vda}, {target: vdb}], deletionPolicy: Delete"
    before = manifest("VirtualMachineSnapshot", "before", of)
    shop.write(base + machine(**given) + before)
    shop.applied("--allow", "interrupt")
    assert virsh("snapshot-list", "web-1", "--name") == "before"
    assert virsh("domstate", "web-1") == "running"

    # 7: back to it
    virsh("suspend", "web-1")
    shop.run("vmsn/before", "RevertVirtualMachine", "domain=web-1", "--allow", "data")
    assert virsh("domstate", "web-1") == "running"
    shop.applied()

    # 8: another medium
    given["medium"] = MEDIA[1]
    shop.write(base + machine(**given) + before)
    shop.applied("--allow", "interrupt")
    assert sources()["hda"] == MEDIA[1]

    # 9: a new name in the manifests; nothing moves on the host
    shop.write(
        base
        + machine(**given, head="shop-1, movedFrom: web-1")
        + before.replace("virtualMachine: web-1", "virtualMachine: shop-1")
    )
    shop.applied()
    assert virsh("domuuid", "web-1") == uuid

    # 10: delete the machine and its data disk; the other disk stays, as it was told nothing else
    shop.write(POOLS + IMAGE)
    shop.applied("--allow", "data,interrupt,restart,recreate")
    assert virsh("list", "--all", "--name") == ""
    assert Path(ROOT).exists()
    assert not Path(DATA).exists()


def test_what_others_do_on_the_host_is_drift(shop: Shop) -> None:
    shop.write(POOLS + IMAGE + DISK + machine(more=", powerState: Running"))
    shop.applied()
    virsh("detach-interface", "web-1", "bridge", "--mac", MAC, "--live", "--config")
    virsh("pool-autostart", "vmd-pool", "--disable")
    virsh("destroy", "web-1")
    assert {step["operation"] for step in shop.planned()["steps"]} == {"AutoStartPool", "PlugNIC", "StartVM"}
    shop.applied()
    assert MAC in virsh("domiflist", "web-1")
    assert virsh("domstate", "web-1") == "running"
    assert "Autostart:      yes" in virsh("pool-info", "vmd-pool")


def sides(plan: dict[str, Any]) -> dict[str, set[str]]:
    """Operation -> what it changes: the guest that runs, its next start."""
    return {
        step["operation"]: {side for side in ("live", "config") if step["parameters"].get(side)}
        for step in plan["steps"]
    }


def test_a_running_guest_and_its_next_start_are_told_apart(shop: Shop) -> None:
    manual = (
        POOLS + IMAGE + DISK + machine(more=", powerState: Running").replace("restart: Automatic", "restart: Manual")
    )
    shop.write(manual)
    shop.applied()

    # What somebody took from one side only is put back there only.
    virsh("detach-interface", "web-1", "bridge", "--mac", MAC, "--config")
    virsh("change-media", "web-1", "hda", "--eject", "--live", "--force")
    virsh("blkdeviotune", "web-1", "vda", "--read-iops-sec", "50", "--live")
    shop.write(manual.replace("disk: web-1-root, boot: true", "disk: web-1-root, boot: true, qos: {readIops: 0}"))
    assert sides(shop.planned()) == {"PlugNIC": {"config"}, "ManageISO": {"live"}, "TuneDiskQoS": {"live"}}
    shop.applied()
    assert MAC in virsh("domiflist", "web-1", "--inactive")
    assert sources() == {"vda": ROOT, "hda": ISO}

    # What somebody wrote for the next start and is declared waits for it, though nothing of ours has noted it.
    virsh("setmaxmem", "web-1", "512M", "--config")
    shop.write(manual.replace("{size: 256Mi}", "{size: 256Mi, max: 512Mi}"))
    plan = shop.planned()
    assert plan["steps"] == []
    assert "pending restart: memory.max 256Mi -> 512Mi" in str(plan["notes"])
    virsh("setmaxmem", "web-1", "256M", "--config")
    assert list(sides(shop.planned())) == ["ResizeMaxRAM"], "it waits no longer"


# What writes to the cluster leave undone on the host, and by whom it is to be found: a write each, before which the
# agent dies. The first operation makes the disk, the second the machine, and tells of the disk that has a machine now.
MOMENTS = {
    "the disk is asked for": "update/VirtualMachineDisk/1",
    "the disk is claimed": "create/Event/1",
    "the disk is made and nobody knows": "update/VirtualMachineDisk/2",
    "the disk is made and not recorded": "record/end/1",
    "the machine is claimed": "create/Event/3",
    "the machine runs and nobody knows": "update/VirtualMachineDisk/3",
    "the machine runs and only its disk says so": "update/VirtualMachine/2",
    "the machine runs and is not recorded": "record/end/2",
}
# 'make campaign' kills at every write, of which there are fewer than that; otherwise at those.
whole = bool(os.environ.get("RECONCILE_CAMPAIGN"))
ALL = 24
WRITES = range(1, ALL + 1) if whole else MOMENTS.values()


@pytest.mark.parametrize("write", WRITES, ids=None if whole else list(MOMENTS))
def test_an_agent_killed_at_any_write_leaves_nothing_behind(shop: Shop, write: int | str) -> None:
    words = ("shop", "-y", "--driver", "libvirt", "--node", "node22", "--prune")
    shop.write(POOLS + IMAGE)
    assert shop.reconcile(*words).returncode == 0
    disk = "pool: vmd-pool, from: {image: tiny}, capacity: 1Gi, deletionPolicy: Delete"
    shop.write(POOLS + IMAGE + manifest("VirtualMachineDisk", "web-1-root", disk) + machine())
    died = shop.reconcile(*words, killed_at=write)
    if isinstance(write, str) or write in (1, ALL):
        assert died.returncode == (0 if write == ALL else -9), died.stdout + died.stderr
    for _ in range(3):  # what the dead one had claimed is reported first, never run again
        heir = shop.reconcile(*words)
        if heir.returncode == 0:
            break
    shop.applied()
    assert virsh("list", "--name") == "web-1"
    assert sorted(each.name for each in Path(VMD).iterdir()) == ["content", "web-1-root"]
    assert sorted(each.name for each in Path(ROOT).parent.iterdir()) == ["config.json", "web-1-root"]
    virsh("destroy", "web-1")
    shop.write(POOLS + IMAGE)
    shop.applied("--allow", "data,interrupt,restart,recreate")
    assert virsh("list", "--all", "--name") == ""
    assert not Path(ROOT).parent.exists()
