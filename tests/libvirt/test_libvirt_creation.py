"""What the first start of a machine on a real host finds: disks, seed, cards, memory and boot order, as declared."""

from __future__ import annotations

import os
import re
from xml.etree import ElementTree

import pytest

from contracts.driver_contract_steps import MAC, OTHER_MAC, VMD
from support import libvirtd
from support.cli_host import DATA, DISK, IMAGE, POOLS, ROOT, Shop, machine, manifest, shop, sources
from support.libvirtd import virsh

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]

SEED = f"{VMD}/web-1-seed/web-1-seed"
DISKS = (
    POOLS
    + IMAGE
    + DISK
    + manifest("VirtualMachineDisk", "web-1-data", "pool: vmd-pool, capacity: 1Gi")
    + manifest("VirtualMachineDisk", "web-1-seed", 'pool: vmd-pool, cloudInit: {userData: "#cloud-config"}')
)
ATTACHED = ", {target: vdb, disk: web-1-data, cache: none, qos: {readIops: 400}}"
PLUGGED = ", {target: vdc, disk: web-1-seed, mode: readonly}"
STOPPED = ", powerState: Stopped, stopMode: Force, bootOrder: [vda, hda]"


def definition() -> ElementTree.Element:
    return ElementTree.fromstring(virsh("dumpxml", "--inactive", "web-1"))


def models(text: str) -> list[str]:
    return re.findall(r"<model type='(virtio|e1000|rtl8139)'/>", text)


def test_a_first_apply_converges_with_all_that_its_creation_takes(shop: Shop) -> None:
    text = DISKS + machine(memory="{size: 256Mi, max: 512Mi}", disks=ATTACHED + PLUGGED, more=STOPPED)
    shop.write(text.replace(f'mac: "{MAC}",', f'mac: "{MAC}", model: e1000,'))
    plan = shop.planned()
    notes = [note["text"] for note in plan["notes"]]
    assert any("it boots once" in note for note in notes)
    assert [step["operation"] for step in plan["steps"] if step["resource"] == "VirtualMachine/web-1"] == [
        "CreateAndStartVMFromISO",
        "StopVMForce",
    ]
    shop.applied()
    assert virsh("domstate", "web-1") == "shut off"
    assert {target: path for target, path in sources("--inactive").items() if target != "hda"} == {
        "vda": ROOT,
        "vdb": DATA,
        "vdc": SEED,
    }
    found = definition()
    assert (found.findtext("memory"), found.findtext("currentMemory")) == (str(512 * 1024), str(256 * 1024))
    assert models(virsh("dumpxml", "--inactive", "web-1"))[:1] == ["e1000"]
    drivers = {disk.find("target").get("dev"): disk.find("driver").attrib for disk in found.iterfind("devices/disk")}  # type: ignore[union-attr]
    assert drivers["vdc"]["type"] == "raw", "a seed is an image of a CD, not a qcow2 file"
    assert drivers["vdb"]["cache"] == "none"
    orders = {disk.find("target").get("dev"): disk.find("boot") for disk in found.iterfind("devices/disk")}  # type: ignore[union-attr]
    assert {target: boot.get("order") for target, boot in orders.items() if boot is not None} == {
        "vda": "1",
        "hda": "2",
    }
    assert "<read_iops_sec>400</read_iops_sec>" in virsh("dumpxml", "--inactive", "web-1")


def test_memory_of_a_new_guest_is_the_declared_one_and_cards_are_plugged_as_declared(shop: Shop) -> None:
    nics = f', {{mac: "{OTHER_MAC}", type: bridge, source: br-ext, model: rtl8139}}'
    shop.write(DISKS + machine(memory="{size: 256Mi, max: 512Mi}", disks=ATTACHED, nics=nics))
    shop.applied()
    found = definition()
    assert (found.findtext("memory"), found.findtext("currentMemory")) == (str(512 * 1024), str(256 * 1024))
    assert models(virsh("dumpxml", "web-1"))[:2] == ["virtio", "rtl8139"]

    # A seed, and a snapshot of a disk, that come with the run that plugs them
    seed = manifest("VirtualMachineDiskSnapshot", "data-before", "disk: web-1-data")
    shop.write(DISKS + seed + machine(memory="{size: 256Mi, max: 512Mi}", disks=ATTACHED + PLUGGED, nics=nics))
    shop.applied()
    assert sources()["vdc"] == SEED
    assert sources()["vdb"] == f"{VMD}/web-1-data/snapshots/data-before"


def test_a_machine_whose_guest_agent_does_not_answer_is_not_ready(shop: Shop) -> None:
    ready = ", readiness: {guestAgent: {}, timeout: 2}"
    shop.write(DISKS + machine(more=ready))
    shop.applied()
    assert "<target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/>" in virsh("dumpxml", "web-1")
    shop.write(DISKS + machine(more=ready).replace(MAC, OTHER_MAC))
    done = shop.reconcile("shop", "-y", "--driver", "libvirt", "--node", "node22", "--allow", "interrupt")
    assert done.returncode != 0
    assert "running, but the guest agent of VirtualMachine/web-1 did not answer within 2 s" in done.stdout + done.stderr
