"""The contract of ``Driver``: what an operation leaves behind, and what is refused, whichever driver is asked.

A test file inherits ``DriverContract`` and overrides the fixtures ``driver``, ``address`` and ``elsewhere``.
Everything is built through operations and seen through ``observe``; a refusal must name its kind and change
nothing that can be seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pytest

from contracts.driver_contract_backup import BackupContract
from contracts.driver_contract_bridge import BridgeContract, PortVlanContract
from contracts.driver_contract_guest import GuestContract
from contracts.driver_contract_migration import MigrationContract
from contracts.driver_contract_network import NetworkContract
from contracts.driver_contract_nic import NicContract
from contracts.driver_contract_share import ShareContract
from contracts.driver_contract_steps import (
    BOTH,
    CONFIG,
    GIB,
    ISO,
    KIB_OF_GIB,
    LIVE,
    MAC,
    OTHER_MAC,
    VMD,
    VMDI,
    Steps,
)
from contracts.driver_contract_switch import SwitchContract
from reconciler.drivers.base import Driver
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.resource import ResourceId

__all__ = ["BOTH", "CONFIG", "OTHER_MAC", "DriverContract", "Steps"]


class DriverContract(
    BackupContract,
    BridgeContract,
    GuestContract,
    MigrationContract,
    NetworkContract,
    NicContract,
    PortVlanContract,
    ShareContract,
    SwitchContract,
):
    @pytest.fixture
    def driver(self) -> Iterator[Driver]:
        """A driver of a node on which nothing exists, closed afterwards."""
        raise NotImplementedError

    @pytest.fixture
    def elsewhere(self) -> tuple[Steps, str]:
        """A second node, of the same world, and the address at which the first one reaches it."""
        raise NotImplementedError

    @pytest.fixture
    def address(self) -> str:
        """The address of the first node."""
        raise NotImplementedError

    @pytest.fixture
    def node(self) -> str:
        return "node22"

    @pytest.fixture
    def does(self, driver: Driver) -> Steps:
        return Steps(driver)

    @pytest.fixture
    def running(self, does: Steps) -> Steps:
        """``web-1`` runs on ``web-1-root``; ``web-1-data`` is there for it."""
        does.pool()
        does.machine()
        does.disk("web-1-data")
        return does

    @pytest.fixture
    def stopped(self, running: Steps) -> Steps:
        running.vm("StopVM")
        return running

    @pytest.fixture
    def plugged(self, running: Steps) -> Steps:
        """As ``running``, with the data disk at vdb for good."""
        running.vm("PlugDisk", source=running.path("web-1-data"), target="vdb", subdriver="qcow2", **BOTH)
        return running

    # Nothing there

    def test_what_does_not_exist_is_not_observed(self, driver: Driver) -> None:
        assert driver.observe(ResourceId(MACHINE, "web-1")) is None
        assert list(driver.inventory()) == []

    def test_an_unknown_operation_is_not_supported(self, driver: Driver) -> None:
        assert not driver.capabilities().supports(MACHINE, "Levitate")
        assert not driver.capabilities().supports(POOL, "StartVM")

    @pytest.mark.parametrize(
        ("kind", "operation", "parameters"),
        [
            (MACHINE, "StartVM", {}),
            (MACHINE, "DeleteVM", {}),
            (POOL, "StartPool", {}),
            (DISK, "DeleteDisk", {"type": "localfs", "pool": "vmd-pool"}),
            (NETWORK, "DeleteSwitch", {}),
            (DISK_IMAGE, "DeleteDiskImage", {"sourcePool": "image-pool"}),
            (SNAPSHOT, "DeleteSnapshot", {"domain": "web-1"}),
        ],
    )
    def test_an_operation_on_nothing_fails(
        self, does: Steps, kind: str, operation: str, parameters: dict[str, Any]
    ) -> None:
        with does.refused("Exception", "nowhere"):
            does.run(kind, "nowhere", operation, **parameters)

    # Pools

    def test_a_created_pool_is_active_and_shows_what_it_was_given(self, does: Steps, node: str) -> None:
        does.pool(autostart=True)
        spec = does.observe(POOL, "vmd-pool")
        assert spec["nodeName"] == node
        assert "status" not in spec
        pool = spec["pool"]
        assert {key: pool[key] for key in ("pool", "type", "url", "content", "state", "autostart")} == {
            "pool": "vmd-pool",
            "type": "localfs",
            "url": VMD,
            "content": "vmd",
            "state": "active",
            "autostart": True,
        }

    def test_a_pool_stops_and_starts(self, does: Steps) -> None:
        does.pool()
        does.run(POOL, "vmd-pool", "StopPool", type="localfs")
        assert does.observe(POOL, "vmd-pool")["pool"]["state"] == "inactive"
        with does.refused("400", "vmd-pool"):
            does.run(POOL, "vmd-pool", "StopPool")
        does.run(POOL, "vmd-pool", "StartPool", type="localfs")
        assert does.observe(POOL, "vmd-pool")["pool"]["state"] == "active"
        with does.refused("400", "vmd-pool"):
            does.run(POOL, "vmd-pool", "StartPool")

    def test_autostart_is_the_opposite_of_disable(self, does: Steps) -> None:
        does.pool()
        assert does.observe(POOL, "vmd-pool")["pool"]["autostart"] is False
        for disable in (False, True):
            does.run(POOL, "vmd-pool", "AutoStartPool", disable=disable)
            assert does.observe(POOL, "vmd-pool")["pool"]["autostart"] is not disable

    def test_showing_a_pool_changes_nothing(self, does: Steps) -> None:
        does.pool()
        before = does.everything()
        does.run(POOL, "vmd-pool", "ShowPool")
        assert does.everything() == before

    def test_a_pool_name_is_taken_once(self, does: Steps) -> None:
        does.pool()
        with does.refused("400", "vmd-pool"):
            does.pool(url="/var/lib/libvirt/elsewhere")

    def test_an_empty_pool_goes(self, does: Steps) -> None:
        does.pool()
        does.run(POOL, "vmd-pool", "StopPool")
        does.run(POOL, "vmd-pool", "DeletePool", type="localfs")
        assert does.gone(POOL, "vmd-pool")

    def test_a_pool_with_a_disk_stays(self, does: Steps) -> None:
        does.pool()
        does.disk()
        with does.refused("400", "vmd-pool"):
            does.run(POOL, "vmd-pool", "DeletePool")

    def test_a_pool_a_running_machine_uses_does_not_stop(self, running: Steps) -> None:
        with running.refused("400", "vmd-pool"):
            running.run(POOL, "vmd-pool", "StopPool")
        running.vm("StopVM")
        running.run(POOL, "vmd-pool", "StopPool")

    # Disks

    def test_a_created_disk_has_a_file_of_rounded_size(self, does: Steps, node: str) -> None:
        does.pool()
        does.disk(size=2 * GIB)
        spec = does.observe(DISK, "web-1-root")
        assert spec["nodeName"] == node
        assert spec["volume"] == {
            "type": "localfs",
            "pool": "vmd-pool",
            "vol": "web-1-root",
            "format": "qcow2",
            "current": f"{VMD}/web-1-root/web-1-root",
            "capacity": "2.0 GB",
            "vm": "",
        }

    def test_a_disk_needs_an_active_pool_of_disks(self, does: Steps) -> None:
        with does.refused("400", "vmd-pool"):
            does.disk()
        does.pool("image-pool", "vmdi", VMDI)
        with does.refused("400", "image-pool", "vmdi"):
            does.disk(pool="image-pool")
        does.pool()
        does.run(POOL, "vmd-pool", "StopPool")
        with does.refused("400", "vmd-pool", "not active"):
            does.disk()

    def test_a_disk_name_is_taken_once(self, does: Steps) -> None:
        does.pool()
        does.disk()
        with does.refused("400", "web-1-root"):
            does.disk()

    def test_a_disk_grows(self, does: Steps) -> None:
        does.pool()
        does.disk(size=10 * GIB)
        does.run(DISK, "web-1-root", "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(20 * GIB))
        assert does.observe(DISK, "web-1-root")["volume"]["capacity"] == "20 GB"

    @pytest.mark.parametrize("size", [5 * GIB, 10 * GIB])
    def test_a_disk_does_not_shrink(self, does: Steps, size: int) -> None:
        does.pool()
        does.disk(size=10 * GIB)
        with does.refused("400", "web-1-root"):
            does.run(DISK, "web-1-root", "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(size))

    def test_a_disk_of_a_running_machine_is_locked(self, running: Steps) -> None:
        grow = {"type": "localfs", "pool": "vmd-pool", "capacity": str(20 * GIB)}
        with running.refused("400", "web-1-root", "lock"):
            running.run(DISK, "web-1-root", "ResizeDisk", **grow)
        running.vm("StopVM")
        running.run(DISK, "web-1-root", "ResizeDisk", **grow)
        assert running.observe(DISK, "web-1-root")["volume"]["capacity"] == "20 GB"

    def test_a_disk_goes(self, does: Steps) -> None:
        does.pool()
        does.disk()
        does.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="vmd-pool")
        assert does.gone(DISK, "web-1-root")

    def test_an_attached_disk_stays(self, stopped: Steps) -> None:
        with stopped.refused("400", "web-1-root", "web-1"):
            stopped.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="vmd-pool")

    def test_a_disk_is_looked_for_in_the_pool_that_is_named(self, does: Steps) -> None:
        does.pool()
        does.pool("other-pool", url="/var/lib/libvirt/other-pool")
        does.disk()
        with does.refused("400", "web-1-root", "other-pool"):
            does.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="other-pool")

    def test_a_clone_is_a_disk_of_its_own(self, does: Steps) -> None:
        does.pool()
        does.disk(size=10 * GIB)
        touched = does.run(
            DISK, "web-1-root", "CloneDisk", type="localfs", pool="vmd-pool", newname="web-2-root", format="qcow2"
        )
        assert ResourceId(DISK, "web-2-root") in touched
        volume = does.observe(DISK, "web-2-root")["volume"]
        assert (volume["current"], volume["capacity"], volume["vm"]) == (
            f"{VMD}/web-2-root/web-2-root",
            "10 GB",
            "",
        )
        does.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="vmd-pool")
        assert does.observe(DISK, "web-2-root")["volume"] == volume

    def test_a_clone_needs_a_free_name_and_a_quiet_source(self, running: Steps) -> None:
        clone = {"type": "localfs", "pool": "vmd-pool", "format": "qcow2"}
        with running.refused("400", "web-1-root"):
            running.run(DISK, "web-1-data", "CloneDisk", newname="web-1-root", **clone)
        with running.refused("400", "web-1-root"):
            running.run(DISK, "web-1-root", "CloneDisk", newname="web-2-root", **clone)

    def test_a_disk_moves_to_another_pool_and_its_machine_follows(self, stopped: Steps) -> None:
        stopped.pool("other-pool", url="/var/lib/libvirt/other-pool")
        touched = stopped.run(DISK, "web-1-root", "MigrateDisk", pool="other-pool")
        moved = "/var/lib/libvirt/other-pool/web-1-root/web-1-root"
        assert ResourceId(MACHINE, "web-1") in touched
        assert stopped.path("web-1-root") == moved
        assert stopped.observe(DISK, "web-1-root")["volume"]["pool"] == "other-pool"
        assert stopped.target("vda")["source"]["_file"] == moved
        stopped.vm("StartVM")

    def test_a_disk_in_use_does_not_move(self, running: Steps) -> None:
        running.pool("other-pool", url="/var/lib/libvirt/other-pool")
        with running.refused("400", "web-1-root"):
            running.run(DISK, "web-1-root", "MigrateDisk", pool="other-pool")

    # Disk images

    @pytest.fixture
    def image(self, does: Steps) -> Steps:
        """``debian12`` is an image made of the disk ``golden``."""
        does.pool()
        does.pool("image-pool", "vmdi", VMDI)
        does.disk("golden", size=3 * GIB)
        does.run(
            DISK_IMAGE,
            "debian12",
            "CreateDiskImageFromDisk",
            targetPool="image-pool",
            sourcePool="vmd-pool",
            sourceVolume="golden",
        )
        return does

    def test_an_image_is_a_copy_of_the_disk(self, image: Steps) -> None:
        assert image.observe(DISK_IMAGE, "debian12")["volume"] == {
            "current": f"{VMDI}/debian12/debian12",
            "pool": "image-pool",
            "format": "qcow2",
            "type": "dir",
        }
        image.run(DISK, "golden", "DeleteDisk", type="localfs", pool="vmd-pool")
        assert image.path("debian12", DISK_IMAGE) == f"{VMDI}/debian12/debian12"

    def test_an_image_goes_into_a_pool_of_images(self, image: Steps) -> None:
        with image.refused("400", "vmd-pool", "vmdi"):
            image.run(
                DISK_IMAGE,
                "another",
                "CreateDiskImageFromDisk",
                targetPool="vmd-pool",
                sourcePool="vmd-pool",
                sourceVolume="golden",
            )

    def test_an_image_whose_content_is_in_the_pool_is_registered(self, does: Steps) -> None:
        does.pool("image-pool", "vmdi", VMDI)
        does.run(DISK_IMAGE, "debian12", "CreateDiskImage", targetPool="image-pool")
        assert does.path("debian12", DISK_IMAGE) == f"{VMDI}/debian12/debian12"
        with does.refused("400", "debian12"):
            does.run(DISK_IMAGE, "debian12", "CreateDiskImage", targetPool="image-pool")

    def from_image(self, does: Steps, **more: Any) -> None:
        source = does.path("debian12", DISK_IMAGE)
        given = {"type": "localfs", "targetPool": "vmd-pool", "source": source, **more}
        does.run(DISK, "web-1-root", "CreateDiskFromDiskImage", **given)

    def test_a_disk_made_of_an_image_has_its_size(self, image: Steps) -> None:
        self.from_image(image)
        volume = image.observe(DISK, "web-1-root")["volume"]
        assert (volume["current"], volume["capacity"], volume["format"]) == (
            f"{VMD}/web-1-root/web-1-root",
            "3.0 GB",
            "qcow2",
        )
        assert volume.get("pool", volume.get("targetPool")) == "vmd-pool"
        assert volume["vm"] == ""

    def test_a_disk_is_made_of_an_image_and_nothing_else(self, image: Steps) -> None:
        for source in (image.path("golden"), f"{VMDI}/missing/missing"):
            with image.refused("400", source):
                self.from_image(image, source=source)

    def test_an_image_that_disks_read_from_stays(self, image: Steps) -> None:
        self.from_image(image)
        with image.refused("400", "debian12"):
            image.run(DISK_IMAGE, "debian12", "DeleteDiskImage", sourcePool="image-pool")
        image.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="vmd-pool")
        image.run(DISK_IMAGE, "debian12", "DeleteDiskImage", sourcePool="image-pool")
        assert image.gone(DISK_IMAGE, "debian12")

    def test_a_full_copy_does_not_need_the_image(self, image: Steps) -> None:
        self.from_image(image, full_copy=True)
        image.run(DISK_IMAGE, "debian12", "DeleteDiskImage", sourcePool="image-pool")

    def test_a_disk_that_moved_does_not_need_the_image(self, image: Steps) -> None:
        self.from_image(image)
        image.pool("other-pool", url="/var/lib/libvirt/other-pool")
        image.run(DISK, "web-1-root", "MigrateDisk", pool="other-pool")
        image.run(DISK_IMAGE, "debian12", "DeleteDiskImage", sourcePool="image-pool")
        assert image.observe(DISK, "web-1-root")["volume"]["capacity"] == "3.0 GB"

    # Machines: creation

    def test_a_created_machine_runs_as_asked(self, running: Steps, node: str) -> None:
        spec = running.observe(MACHINE, "web-1")
        domain = spec["domain"]
        assert (spec["nodeName"], spec["powerstate"]) == (node, "Running")
        assert "status" not in spec
        assert domain["_type"] in ("kvm", "qemu")
        assert domain["name"] == {"text": "web-1"}
        assert domain["uuid"]["text"]
        assert domain["memory"] == domain["currentMemory"] == {"_unit": "KiB", "text": 2 * KIB_OF_GIB}
        assert (domain["vcpu"]["text"], domain["vcpu"]["_current"]) == (4, 2)
        assert self.topology(running) == (1, 4, 1)
        assert "debian/12" in str(domain["metadata"])
        disk = running.target("vda")
        assert disk["_device"] == "disk"
        assert disk["source"]["_file"] == running.path("web-1-root")
        assert disk["target"]["_bus"] == "virtio"
        assert disk["driver"]["_type"] == "qcow2"
        (nic,) = running.devices("_interface")
        assert nic["mac"] == {"_address": MAC}
        assert nic["source"]["_bridge"] == "br-ext"
        assert nic["target"]["_dev"] == "fe54000a0001"
        (console,) = running.devices("graphics")
        assert (console["_type"], console["_listen"]) == ("vnc", "0.0.0.0")
        assert console["_port"] >= 5900
        assert "horse-12" not in str(spec)

    def test_a_machine_marks_its_disk(self, running: Steps) -> None:
        assert running.holder("web-1-root") == "web-1"

    def test_every_disk_and_drive_of_the_text_is_there(self, does: Steps) -> None:
        does.pool()
        root, data = does.disk("root"), does.disk("data")
        disks = (
            f"{root},target=hda,cache=none,read_bytes_sec=1024000 --disk {data}"
            f" --disk {ISO},device=cdrom,perms=ro,target=sda"
        )
        does.machine(disk=disks)
        assert set(does.targets()) == {"hda", "vda", "sda"}
        hda = does.target("hda")
        assert (hda["target"]["_bus"], hda["driver"]["_cache"]) == ("ide", "none")
        assert hda["iotune"]["read_bytes_sec"] == {"text": 1024000}
        drive = does.target("sda")
        assert (drive["_device"], drive["source"]["_file"], drive["readonly"]) == ("cdrom", ISO, {})
        assert does.holder("data") == "web-1"

    def test_the_installation_medium_is_gone_after_the_next_start(self, does: Steps) -> None:
        does.pool()
        does.machine(cdrom=ISO)
        (drive,) = [each for each in does.devices("disk") if each["_device"] == "cdrom"]
        assert drive["source"]["_file"] == ISO
        does.vm("StopVM")
        does.vm("StartVM")
        (drive,) = [each for each in does.devices("disk") if each["_device"] == "cdrom"]
        assert "source" not in drive

    def test_a_mac_is_made_when_none_is_given(self, does: Steps) -> None:
        does.pool()
        does.machine(network="type=bridge,source=virbr0,inbound=1024")
        (nic,) = does.devices("_interface")
        assert nic["mac"]["_address"].startswith("52:54:00:")
        assert nic["bandwidth"] == {"inbound": {"_average": 1024}}
        assert "virtualport" not in nic

    def test_a_uuid_that_is_given_is_used(self, does: Steps) -> None:
        does.pool()
        does.machine(metadata="uuid=950646e8-c17a-49d0-b83c-1c797811e001")
        assert does.domain()["uuid"]["text"] == "950646e8-c17a-49d0-b83c-1c797811e001"

    def test_a_machine_can_be_made_of_an_image(self, does: Steps) -> None:
        does.pool()
        path = does.disk("root")
        does.run(
            MACHINE,
            "web-1",
            "CreateAndStartVMFromImage",
            graphics="spice,listen=0.0.0.0",
            disk=path,
            memory="512",
            network="type=bridge,source=virbr0",
            os_variant="debian12",
            vcpus="1",
            noautoconsole=True,
        )
        assert does.power() == "Running"
        assert does.targets() == ["vda"]
        assert does.domain()["vcpu"]["text"] == 1
        assert "_current" not in does.domain()["vcpu"]

    def test_a_machine_name_is_taken_once(self, running: Steps) -> None:
        with running.refused("LibvirtError", "web-1"):
            running.machine(path=running.path("web-1-data"), mac=OTHER_MAC)

    def test_a_machine_needs_its_disk(self, does: Steps) -> None:
        does.pool()
        with does.refused("LibvirtError", f"{VMD}/missing/missing"):
            does.machine(path=f"{VMD}/missing/missing")

    def test_a_disk_is_in_one_machine(self, running: Steps) -> None:
        with running.refused("LibvirtError", "web-1-root", "web-1"):
            running.machine("web-2", path=running.path("web-1-root"), mac=OTHER_MAC)

    def test_a_mac_is_in_one_machine(self, running: Steps) -> None:
        with running.refused("LibvirtError", MAC):
            running.machine("web-2", path=running.path("web-1-data"), mac=MAC)

    @pytest.mark.parametrize(
        "vcpus", ["5,maxvcpus=4,cores=4,sockets=1,threads=1", "2,maxvcpus=4,cores=3,sockets=1,threads=1"]
    )
    def test_cpus_must_add_up(self, does: Steps, vcpus: str) -> None:
        does.pool()
        path = does.disk()
        with does.refused("LibvirtError"):
            does.machine(path=path, vcpus=vcpus)

    # Machines: power

    def test_a_machine_stops_and_starts_as_another_domain(self, running: Steps) -> None:
        first = running.domain()["_id"]
        running.vm("StopVM")
        assert running.power() == "Shutdown"
        assert "_id" not in running.domain()
        running.vm("StartVM")
        assert running.power() == "Running"
        assert running.domain()["_id"] != first

    def test_a_machine_is_suspended_and_resumed(self, running: Steps) -> None:
        first = running.domain()["_id"]
        running.vm("SuspendVM")
        assert running.power() == "Paused"
        running.vm("ResumeVM")
        assert running.power() == "Running"
        assert running.domain()["_id"] == first

    @pytest.mark.parametrize("operation", ["RebootVM", "ResetVM"])
    def test_a_restarted_guest_is_the_same_domain(self, running: Steps, operation: str) -> None:
        before = running.observe(MACHINE, "web-1")
        running.vm(operation)
        assert running.observe(MACHINE, "web-1") == before

    def test_force_stops_a_paused_machine(self, running: Steps) -> None:
        running.vm("SuspendVM")
        running.vm("StopVMForce")
        assert running.power() == "Shutdown"

    def test_what_runs_is_not_started_or_resumed(self, running: Steps) -> None:
        for operation in ("StartVM", "ResumeVM"):
            with running.refused("LibvirtError", "web-1", "already running"):
                running.vm(operation)

    def test_what_is_paused_is_not_paused_again(self, running: Steps) -> None:
        running.vm("SuspendVM")
        with running.refused("LibvirtError", "web-1"):
            running.vm("SuspendVM")

    @pytest.mark.parametrize("operation", ["StopVM", "StopVMForce", "SuspendVM", "ResumeVM", "RebootVM", "ResetVM"])
    def test_what_is_off_is_not_stopped_suspended_or_restarted(self, stopped: Steps, operation: str) -> None:
        with stopped.refused("LibvirtError", "web-1", "not running"):
            stopped.vm(operation)

    @pytest.mark.parametrize("operation", ["StartVM", "StopVM", "RebootVM"])
    def test_a_paused_guest_answers_nothing(self, running: Steps, operation: str) -> None:
        running.vm("SuspendVM")
        with running.refused("LibvirtError", "web-1"):
            running.vm(operation)

    def test_autostart_can_be_set(self, running: Steps) -> None:
        running.vm("AutoStartVM")
        running.vm("AutoStartVM", disable=True)
        assert running.power() == "Running"

    def test_a_machine_that_is_off_goes_and_frees_its_disk(self, stopped: Steps) -> None:
        touched = stopped.vm("DeleteVM")
        assert ResourceId(DISK, "web-1-root") in touched
        assert stopped.gone(MACHINE, "web-1")
        assert stopped.holder("web-1-root") == ""
        stopped.machine("web-2", path=stopped.path("web-1-root"))

    def test_a_machine_takes_along_the_storage_that_is_named(self, stopped: Steps) -> None:
        stopped.vm("DeleteVM", storage="vda")
        assert stopped.gone(DISK, "web-1-root")

    def test_a_running_machine_stays(self, running: Steps) -> None:
        with running.refused("LibvirtError", "web-1"):
            running.vm("DeleteVM")

    # Machines: CPUs and memory

    def cpus(self, does: Steps) -> tuple[int, int]:
        vcpu = does.domain()["vcpu"]
        return vcpu.get("_current", vcpu["text"]), vcpu["text"]

    def topology(self, does: Steps) -> tuple[int, ...]:
        topology = does.domain()["cpu"]["topology"]
        return tuple(topology[f"_{name}"] for name in ("sockets", "cores", "threads"))

    def memory(self, does: Steps) -> tuple[int, int]:
        domain = does.domain()
        return domain["currentMemory"]["text"], domain["memory"]["text"]

    @pytest.mark.parametrize(
        ("flags", "now", "later"),
        [
            (BOTH, 3, 3),
            (LIVE, 3, 2),
            (CONFIG, 2, 3),
            ({}, 3, 2),
            ({"current": True}, 3, 2),
        ],
    )
    def test_flags_say_which_definition_changes(
        self, running: Steps, flags: dict[str, Any], now: int, later: int
    ) -> None:
        running.vm("ChangeNumberOfCPU", count="3", **flags)
        assert self.cpus(running) == (now, 4)
        running.vm("StopVM")
        assert self.cpus(running) == (later, 4)

    def test_a_paused_machine_counts_as_running(self, running: Steps) -> None:
        running.vm("SuspendVM")
        running.vm("ChangeNumberOfCPU", count="3", **LIVE)
        assert self.cpus(running) == (3, 4)

    def test_without_flags_a_machine_that_is_off_changes_for_good(self, stopped: Steps) -> None:
        stopped.vm("ChangeNumberOfCPU", count="3")
        stopped.vm("StartVM")
        assert self.cpus(stopped) == (3, 4)

    @pytest.mark.parametrize(
        ("operation", "parameters"),
        [
            ("ChangeNumberOfCPU", {"count": "3"}),
            ("ResizeRAM", {"size": str(KIB_OF_GIB)}),
            ("PlugDisk", {"source": f"{VMD}/web-1-data/web-1-data", "target": "vdb"}),
            ("UnplugDisk", {"target": "vda"}),
            ("TuneDiskQoS", {"device": "vda", "read_iops_sec": "100"}),
            ("PlugNIC", {"source": "source=br-ext", "type": "bridge", "mac": OTHER_MAC}),
            ("UnplugNIC", {"type": "bridge", "mac": MAC}),
            ("TuneNICQoS", {"_interface": MAC, "inbound": "100"}),
        ],
    )
    def test_nothing_is_changed_live_on_a_machine_that_is_off(
        self, stopped: Steps, operation: str, parameters: dict[str, Any]
    ) -> None:
        with stopped.refused("LibvirtError", "web-1", "not running"):
            stopped.vm(operation, **parameters, **BOTH)

    def test_cpus_stay_within_the_maximum(self, running: Steps) -> None:
        for flags in (LIVE, CONFIG):
            with running.refused("LibvirtError", "5"):
                running.vm("ChangeNumberOfCPU", count="5", **flags)

    def test_a_new_maximum_of_cpus_waits_for_the_next_start(self, running: Steps) -> None:
        more = {"count": "8", "maximum": True, "cores": "4", "sockets": "2", "threads": "1", "config": True}
        running.vm("ChangeNumberOfCPU", **more)
        assert self.cpus(running) == (2, 4)
        running.vm("RebootVM")
        assert self.cpus(running) == (2, 4)
        running.vm("StopVM")
        running.vm("StartVM")
        assert self.cpus(running) == (2, 8)
        assert self.topology(running) == (2, 4, 1)

    def test_a_maximum_of_cpus_is_not_set_live_and_fits_the_topology(self, running: Steps) -> None:
        with running.refused("LibvirtError", "maximum"):
            running.vm("ChangeNumberOfCPU", count="4", maximum=True, **LIVE)
        with running.refused("LibvirtError", "8"):
            running.vm("ChangeNumberOfCPU", count="6", maximum=True, cores="4", sockets="2", threads="1", **CONFIG)

    def test_memory_is_resized(self, running: Steps) -> None:
        running.vm("ResizeRAM", size=str(KIB_OF_GIB), **BOTH)
        assert self.memory(running) == (KIB_OF_GIB, 2 * KIB_OF_GIB)

    def test_memory_stays_within_the_maximum(self, running: Steps) -> None:
        with running.refused("LibvirtError", str(4 * KIB_OF_GIB)):
            running.vm("ResizeRAM", size=str(4 * KIB_OF_GIB), **BOTH)

    def test_a_new_maximum_of_memory_waits_for_the_next_start(self, running: Steps) -> None:
        running.vm("ResizeMaxRAM", size=str(4 * KIB_OF_GIB), **CONFIG)
        assert self.memory(running) == (2 * KIB_OF_GIB, 2 * KIB_OF_GIB)
        running.vm("ResizeRAM", size=str(4 * KIB_OF_GIB), **CONFIG)
        running.vm("StopVM")
        running.vm("StartVM")
        assert self.memory(running) == (4 * KIB_OF_GIB, 4 * KIB_OF_GIB)

    def test_a_maximum_of_memory_is_not_set_live(self, running: Steps) -> None:
        with running.refused("LibvirtError", "maximum"):
            running.vm("ResizeMaxRAM", size=str(4 * KIB_OF_GIB), **LIVE)

    # Machines: what the next start changes

    def later(self, does: Steps) -> dict[str, Any]:
        """What the definition of the next start has otherwise than the domain that runs."""
        told: dict[str, Any] = does.observe(MACHINE, "web-1")["nextStart"]
        return told

    def test_a_machine_that_starts_as_it_runs_says_so(self, plugged: Steps) -> None:
        assert self.later(plugged) == {}
        plugged.vm("StopVM")
        assert "nextStart" not in plugged.observe(MACHINE, "web-1")

    def test_a_machine_has_a_channel_of_which_it_shows_whether_the_guest_agent_answers(self, running: Steps) -> None:
        (target,) = [each["target"] for each in running.devices("channel")]
        assert (target["_type"], target["_name"]) == ("virtio", "org.qemu.guest_agent.0")
        assert target["_state"] in ("connected", "disconnected")
        running.vm("StopVM")
        (target,) = [each["target"] for each in running.devices("channel")]
        assert "_state" not in target

    def test_what_waits_for_the_next_start_is_shown_until_it_comes(self, running: Steps) -> None:
        running.vm("ChangeNumberOfCPU", count="8", maximum=True, cores="4", sockets="2", threads="1", **CONFIG)
        running.vm("ResizeMaxRAM", size=str(4 * KIB_OF_GIB), **CONFIG)
        running.vm("UpdateGraphic", type="spice")
        running.vm("SetBootOrder", order="vda")
        later = self.later(running)
        assert (later["vcpu"]["text"], later["memory"]["text"]) == (8, 4 * KIB_OF_GIB)
        assert (later["cpu"]["topology"]["_sockets"], later["cpu"]["topology"]["_cores"]) == (2, 4)
        assert [each["_type"] for each in later["devices"]["graphics"]] == ["spice"]
        assert [each["boot"] for each in later["devices"]["disk"]] == [{"_order": 1}]
        running.vm("StopVM")
        running.vm("StartVM")
        # A guest that starts has all there is, until it has given back what it is not to have.
        assert set(self.later(running)) <= {"currentMemory"}

    @pytest.mark.parametrize(
        ("operation", "parameters"),
        [
            ("PlugDisk", {"source": f"{VMD}/web-1-data/web-1-data", "target": "vdb"}),
            ("TuneDiskQoS", {"device": "vda", "read_iops_sec": "100"}),
            ("PlugNIC", {"source": "source=br-ext", "type": "bridge", "mac": OTHER_MAC}),
            ("ChangeNumberOfCPU", {"count": "3"}),
        ],
    )
    @pytest.mark.parametrize("flags", [LIVE, CONFIG])
    def test_what_only_one_definition_has_is_told_apart(
        self, running: Steps, operation: str, parameters: dict[str, Any], flags: dict[str, Any]
    ) -> None:
        running.vm(operation, **parameters, **flags)
        assert set(self.later(running)) == ({"vcpu"} if operation == "ChangeNumberOfCPU" else {"devices"})
        running.vm(operation, **parameters, **(CONFIG if flags == LIVE else LIVE))
        assert self.later(running) == {}

    # Machines: disks

    def test_a_disk_is_plugged_for_now_and_for_good(self, plugged: Steps) -> None:
        assert plugged.targets() == ["vda", "vdb"]
        assert plugged.holder("web-1-data") == "web-1"
        plugged.vm("StopVM")
        assert plugged.targets() == ["vda", "vdb"]

    def test_a_disk_plugged_live_is_gone_after_the_machine_stops(self, running: Steps) -> None:
        running.vm("PlugDisk", source=running.path("web-1-data"), target="vdb", **LIVE)
        assert running.holder("web-1-data") == "web-1"
        touched = running.vm("StopVM")
        assert running.targets() == ["vda"]
        assert running.holder("web-1-data") == ""
        assert ResourceId(DISK, "web-1-data") in touched

    def test_a_disk_plugged_for_the_next_start_waits_for_it(self, running: Steps) -> None:
        running.vm("PlugDisk", source=running.path("web-1-data"), target="vdb", **CONFIG)
        assert running.targets() == ["vda"]
        assert running.holder("web-1-data") == "web-1"
        running.vm("StopVM")
        running.vm("StartVM")
        assert running.targets() == ["vda", "vdb"]

    def test_a_disk_is_plugged_as_asked(self, running: Steps) -> None:
        running.vm(
            "PlugDisk",
            source=running.disk("shared", format="raw"),
            target="sdb",
            targetbus="scsi",
            subdriver="raw",
            cache="none",
            mode="shareable",
            read_iops_sec="400",
            total_bytes_sec="1048576",
            persistent=True,
        )
        disk = running.target("sdb")
        assert disk["target"] == {"_dev": "sdb", "_bus": "scsi"}
        assert (disk["driver"]["_type"], disk["driver"]["_cache"]) == ("raw", "none")
        assert disk["iotune"] == {"read_iops_sec": {"text": 400}, "total_bytes_sec": {"text": 1048576}}
        assert disk["shareable"] == {}
        running.vm("StopVM")
        assert "sdb" in running.targets()

    def test_a_target_or_source_that_is_attached_is_not_plugged(self, plugged: Steps) -> None:
        free = plugged.disk("free")
        with plugged.refused("LibvirtError", "vdb"):
            plugged.vm("PlugDisk", source=free, target="vdb", **BOTH)
        with plugged.refused("LibvirtError", "web-1-data"):
            plugged.vm("PlugDisk", source=plugged.path("web-1-data"), target="vdc", **BOTH)

    def test_what_one_definition_refuses_the_other_does_not_get(self, running: Steps) -> None:
        running.vm("PlugDisk", source=running.path("web-1-data"), target="vdb", **CONFIG)
        free = running.disk("free")
        with running.refused("LibvirtError", "vdb"):
            running.vm("PlugDisk", source=free, target="vdb", **BOTH)
        assert running.targets() == ["vda"]

    def test_a_disk_that_is_not_there_is_not_plugged(self, running: Steps) -> None:
        with running.refused("LibvirtError", f"{VMD}/missing/missing"):
            running.vm("PlugDisk", source=f"{VMD}/missing/missing", target="vdb", **BOTH)

    def test_a_disk_of_another_machine_is_not_plugged(self, running: Steps) -> None:
        running.machine("web-2", mac=OTHER_MAC)
        with running.refused("LibvirtError", "web-2"):
            running.vm("PlugDisk", source=running.path("web-2-root"), target="vdb", **BOTH)

    def test_a_shareable_disk_is_in_several_machines(self, running: Steps) -> None:
        running.machine("web-2", mac=OTHER_MAC)
        source = running.disk("shared", format="raw")  # of other formats several writers would make a mess
        for name in ("web-1", "web-2"):
            running.vm("PlugDisk", name, source=source, target="vdb", mode="shareable", **BOTH)
            assert "vdb" in running.targets(name)

    def test_a_block_device_is_in_one_machine_unless_it_is_shared(self, running: Steps) -> None:
        running.machine("web-2", mac=OTHER_MAC)
        with running.lun() as lun:
            device = {"source": lun, "sourcetype": "block", "subdriver": "raw", "target": "vdb"}
            running.vm("PlugDisk", **device, **CONFIG)
            with running.refused("LibvirtError", lun, "web-1"):
                running.vm("PlugDisk", "web-2", **device, **CONFIG)
            running.vm("UnplugDisk", target="vdb", **CONFIG)
            for name in ("web-1", "web-2"):
                running.vm("PlugDisk", name, **device, mode="shareable", **CONFIG)
                running.vm("StopVM", name)
                found = running.target("vdb", name)
                assert (found["_type"], found["source"]["_dev"], found["driver"]["_type"]) == ("block", lun, "raw")
                running.vm("DeleteVM", name)

    def test_a_shareable_disk_is_raw(self, running: Steps) -> None:
        for flags in (BOTH, CONFIG):
            with running.refused("LibvirtError", "vdb", "raw"):
                running.vm("PlugDisk", source=running.path("web-1-data"), target="vdb", mode="shareable", **flags)

    def test_an_unplugged_disk_is_free(self, plugged: Steps) -> None:
        touched = plugged.vm("UnplugDisk", target="vdb", **BOTH)
        assert ResourceId(DISK, "web-1-data") in touched
        assert plugged.targets() == ["vda"]
        assert plugged.holder("web-1-data") == ""
        plugged.run(DISK, "web-1-data", "DeleteDisk", type="localfs", pool="vmd-pool")

    def test_a_disk_unplugged_live_comes_back(self, plugged: Steps) -> None:
        plugged.vm("UnplugDisk", target="vdb", **LIVE)
        assert plugged.targets() == ["vda"]
        assert plugged.holder("web-1-data") == "web-1"
        plugged.vm("StopVM")
        plugged.vm("StartVM")
        assert plugged.targets() == ["vda", "vdb"]

    def test_a_target_that_is_not_there_is_not_unplugged_or_tuned(self, running: Steps) -> None:
        with running.refused("LibvirtError", "vdz"):
            running.vm("UnplugDisk", target="vdz", **BOTH)
        with running.refused("LibvirtError", "vdz"):
            running.vm("TuneDiskQoS", device="vdz", read_iops_sec="100", **BOTH)

    def test_disk_limits_are_set_group_by_group_and_lifted_by_zero(self, running: Steps) -> None:
        running.vm("TuneDiskQoS", device="vda", read_bytes_sec="1000", write_bytes_sec="2000", **BOTH)
        running.vm("TuneDiskQoS", device="vda", total_iops_sec="300", **BOTH)
        assert running.target("vda")["iotune"] == {
            "read_bytes_sec": {"text": 1000},
            "write_bytes_sec": {"text": 2000},
            "total_iops_sec": {"text": 300},
        }
        running.vm("TuneDiskQoS", device="vda", read_bytes_sec="1500", **BOTH)
        assert running.target("vda")["iotune"] == {
            "read_bytes_sec": {"text": 1500},
            "total_iops_sec": {"text": 300},
        }
        running.vm("TuneDiskQoS", device="vda", read_bytes_sec="0", total_iops_sec="0", **BOTH)
        assert "iotune" not in running.target("vda")

    def test_a_total_and_its_parts_exclude_each_other(self, running: Steps) -> None:
        with running.refused("LibvirtError", "bytes_sec"):
            running.vm("TuneDiskQoS", device="vda", total_bytes_sec="1000", read_bytes_sec="1000", **BOTH)

    def test_a_total_takes_the_place_of_its_parts_and_they_of_it(self, running: Steps) -> None:
        running.vm("TuneDiskQoS", device="vda", read_iops_sec="100", write_iops_sec="200", **BOTH)
        running.vm("TuneDiskQoS", device="vda", total_iops_sec="300", read_iops_sec="0", write_iops_sec="0", **BOTH)
        assert running.target("vda")["iotune"] == {"total_iops_sec": {"text": 300}}
        running.vm("TuneDiskQoS", device="vda", total_iops_sec="0", read_iops_sec="100", **BOTH)
        assert running.target("vda")["iotune"] == {"read_iops_sec": {"text": 100}}

    def test_a_disk_grows_through_its_running_machine(self, running: Steps) -> None:
        path = running.path("web-1-root")
        touched = running.vm("ResizeVM", path=path, size=str(20 * KIB_OF_GIB))
        assert ResourceId(DISK, "web-1-root") in touched
        assert running.observe(DISK, "web-1-root")["volume"]["capacity"] == "20 GB"
        with running.refused("LibvirtError", path):
            running.vm("ResizeVM", path=path, size=str(5 * KIB_OF_GIB))

    def test_growing_needs_a_running_machine_that_has_the_disk(self, running: Steps) -> None:
        other = running.path("web-1-data")
        with running.refused("LibvirtError", other):
            running.vm("ResizeVM", path=other, size=str(20 * KIB_OF_GIB))
        running.vm("StopVM")
        with running.refused("LibvirtError", "web-1"):
            running.vm("ResizeVM", path=running.path("web-1-root"), size=str(20 * KIB_OF_GIB))

    def test_a_boot_order_waits_for_the_next_start(self, plugged: Steps) -> None:
        plugged.vm("SetBootOrder", order="vdb,vda")
        assert "boot" not in plugged.target("vda")
        plugged.vm("StopVM")
        plugged.vm("StartVM")
        assert plugged.target("vdb")["boot"] == {"_order": 1}
        assert plugged.target("vda")["boot"] == {"_order": 2}
        assert "boot" not in plugged.domain()["os"]

    def test_a_boot_order_names_devices_of_the_machine(self, running: Steps) -> None:
        with running.refused("Exception", "vdz"):
            running.vm("SetBootOrder", order="vda,vdz")

    # Machines: CD-ROM drives

    @pytest.fixture
    def drive(self, does: Steps) -> Steps:
        """``web-1`` has the medium ISO in its drive sda."""
        does.pool()
        does.machine(path=VMD, disk=f"{does.disk()},target=vda --disk {ISO},device=cdrom,perms=ro,target=sda")
        return does

    def manage(self, does: Steps, how: str, source: str = ISO, **more: Any) -> None:
        asked = {name: name == how for name in ("eject", "insert", "update")}
        given = {"path": "sda", "source": source, "force": False, "block": False, **BOTH, **more}
        does.vm("ManageISO", **asked, **given)

    def test_a_medium_is_ejected_inserted_and_changed(self, drive: Steps) -> None:
        self.manage(drive, "eject")
        assert "source" not in drive.target("sda")
        self.manage(drive, "insert")
        assert drive.target("sda")["source"]["_file"] == ISO
        self.manage(drive, "update", "/var/lib/libvirt/iso/other.iso")
        drive.vm("StopVM")
        assert drive.target("sda")["source"]["_file"] == "/var/lib/libvirt/iso/other.iso"

    def test_a_reset_that_closes_an_empty_drive_keeps_no_medium_out(self, drive: Steps) -> None:
        self.manage(drive, "eject")
        drive.vm("ResetVM")
        self.manage(drive, "insert")
        assert drive.target("sda")["source"]["_file"] == ISO

    def test_a_medium_is_ejected_and_inserted_by_its_path(self, drive: Steps) -> None:
        drive.vm("EjectISO", path=ISO, eject=True, force=False, block=False, **BOTH)
        assert "source" not in drive.target("sda")
        drive.vm("InsertISO", path=ISO, insert=True, force=False, block=False, **BOTH)
        assert drive.target("sda")["source"]["_file"] == ISO

    def test_a_full_drive_takes_no_medium_and_an_empty_one_gives_none(self, drive: Steps) -> None:
        with drive.refused("LibvirtError", "sda"):
            self.manage(drive, "insert")
        self.manage(drive, "eject")
        with drive.refused("LibvirtError", "sda"):
            self.manage(drive, "eject")

    def test_a_medium_needs_a_drive(self, drive: Steps) -> None:
        for target in ("vda", "sdz"):
            with drive.refused("LibvirtError", target):
                self.manage(drive, "update", path=target)

    # Disk snapshots

    def snapshot(
        self, does: Steps, operation: str, name: str = "before", disk: str = "web-1-root", **more: Any
    ) -> Collection[ResourceId]:
        given = {"type": "localfs", "pool": "vmd-pool", "vol": disk, "format": "qcow2", **more}
        if operation == "DeleteDiskExternalSnapshot":
            del given["format"]
        return does.run(DISK_SNAPSHOT, name, operation, **given)

    def test_a_disk_goes_on_in_the_file_of_its_snapshot(self, does: Steps) -> None:
        does.pool()
        base = does.disk()
        touched = self.snapshot(does, "CreateDiskExternalSnapshot")
        assert ResourceId(DISK, "web-1-root") in touched
        file = f"{VMD}/web-1-root/snapshots/before"
        assert does.path("web-1-root") == file
        assert does.observe(DISK_SNAPSHOT, "before")["volume"] == {
            "disk": "web-1-root",
            "pool": "vmd-pool",
            "snapshot": "before",
            "format": "qcow2",
            "domain": "",
            "vm": "",
            "current": file,
            "full_backing_filename": base,
        }

    def test_a_machine_goes_on_in_the_file_of_the_snapshot(self, running: Steps) -> None:
        touched = self.snapshot(running, "CreateDiskExternalSnapshot", domain="web-1")
        assert ResourceId(MACHINE, "web-1") in touched
        assert running.target("vda")["source"]["_file"] == running.path("web-1-root")
        running.vm("StopVM")
        assert running.target("vda")["source"]["_file"] == running.path("web-1-root")
        running.vm("StartVM")

    def test_a_snapshot_of_an_attached_disk_names_the_machine(self, running: Steps) -> None:
        with running.refused("400", "lock", "web-1"):
            self.snapshot(running, "CreateDiskExternalSnapshot")
        with running.refused("400", "web-2"):
            self.snapshot(running, "CreateDiskExternalSnapshot", domain="web-2")

    def test_a_disk_goes_back_to_its_snapshot(self, does: Steps) -> None:
        does.pool()
        does.disk(size=10 * GIB)
        self.snapshot(does, "CreateDiskExternalSnapshot")
        does.run(DISK, "web-1-root", "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(20 * GIB))
        self.snapshot(does, "RevertDiskExternalSnapshot")
        assert does.observe(DISK, "web-1-root")["volume"]["capacity"] == "10 GB"
        self.snapshot(does, "RevertDiskExternalSnapshot")
        does.observe(DISK_SNAPSHOT, "before")

    def test_an_earlier_snapshot_survives_a_later_one(self, does: Steps) -> None:
        does.pool()
        does.disk(size=10 * GIB)
        self.snapshot(does, "CreateDiskExternalSnapshot", "first")
        does.run(DISK, "web-1-root", "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(20 * GIB))
        self.snapshot(does, "CreateDiskExternalSnapshot", "second")
        does.run(DISK, "web-1-root", "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(30 * GIB))
        for name, capacity in (("first", "10 GB"), ("second", "20 GB"), ("first", "10 GB")):
            self.snapshot(does, "RevertDiskExternalSnapshot", name)
            assert does.observe(DISK, "web-1-root")["volume"]["capacity"] == capacity

    def test_a_disk_of_a_running_machine_does_not_go_back(self, running: Steps) -> None:
        self.snapshot(running, "CreateDiskExternalSnapshot", domain="web-1")
        with running.refused("400", "web-1-root", "lock"):
            self.snapshot(running, "RevertDiskExternalSnapshot", domain="web-1")
        running.vm("StopVM")
        self.snapshot(running, "RevertDiskExternalSnapshot", domain="web-1")
        assert running.target("vda")["source"]["_file"] == running.path("web-1-root")
        running.vm("StartVM")

    def test_a_deleted_snapshot_leaves_the_disk_as_it_is(self, does: Steps) -> None:
        does.pool()
        does.disk(size=10 * GIB)
        self.snapshot(does, "CreateDiskExternalSnapshot", "first")
        does.run(DISK, "web-1-root", "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(20 * GIB))
        self.snapshot(does, "CreateDiskExternalSnapshot", "second")
        before = does.path("web-1-root")
        self.snapshot(does, "DeleteDiskExternalSnapshot", "first")
        assert does.gone(DISK_SNAPSHOT, "first")
        assert does.path("web-1-root") == before
        self.snapshot(does, "RevertDiskExternalSnapshot", "second")
        assert does.observe(DISK, "web-1-root")["volume"]["capacity"] == "20 GB"
        self.snapshot(does, "DeleteDiskExternalSnapshot", "second")
        does.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="vmd-pool")

    def test_a_disk_with_snapshots_stays(self, does: Steps) -> None:
        does.pool()
        does.disk()
        self.snapshot(does, "CreateDiskExternalSnapshot")
        with does.refused("400", "before"):
            does.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="vmd-pool")

    def test_what_a_snapshot_wrote_to_is_shown_where_it_went(self, does: Steps) -> None:
        does.pool()
        does.disk()
        for name in ("first", "second", "third"):
            self.snapshot(does, "CreateDiskExternalSnapshot", name)
        self.snapshot(does, "DeleteDiskExternalSnapshot", "third")
        shown = {name: does.observe(DISK_SNAPSHOT, name)["volume"] for name in ("first", "second")}
        assert shown["second"]["current"] == does.path("web-1-root")
        assert shown["second"]["full_backing_filename"] == shown["first"]["current"]

    def test_the_name_of_a_snapshot_that_is_gone_is_free(self, does: Steps) -> None:
        """Whatever became of its file: the disk may be in it."""
        does.pool()
        does.disk()
        for _ in range(3):
            self.snapshot(does, "CreateDiskExternalSnapshot")
            with does.refused("400", "before", "already exists"):
                self.snapshot(does, "CreateDiskExternalSnapshot")
            self.snapshot(does, "DeleteDiskExternalSnapshot")
        assert does.gone(DISK_SNAPSHOT, "before")

    def test_a_snapshot_in_the_middle_goes_below_a_running_machine(self, running: Steps) -> None:
        for name, size in (("first", 12), ("second", 16), ("third", 20)):
            self.snapshot(running, "CreateDiskExternalSnapshot", name, domain="web-1")
            running.vm("ResizeVM", path=running.path("web-1-root"), size=str(size * KIB_OF_GIB))
        before = running.path("web-1-root")
        for name in ("first", "third"):
            self.snapshot(running, "DeleteDiskExternalSnapshot", name, domain="web-1")
        assert running.path("web-1-root") == before
        assert running.power() == "Running"
        assert running.gone(DISK_SNAPSHOT, "first")
        running.vm("StopVM")
        self.snapshot(running, "RevertDiskExternalSnapshot", "second", domain="web-1")
        assert running.observe(DISK, "web-1-root")["volume"]["capacity"] == "12 GB"
        running.vm("StartVM")

    def test_a_snapshot_is_for_one_machine_to_have(self, does: Steps) -> None:
        does.pool()
        path = does.disk()
        for name, mac in (("web-1", MAC), ("web-2", OTHER_MAC)):
            does.machine(name, path=does.disk(f"{name}-own"), mac=mac)
            does.vm("PlugDisk", name, source=path, target="vdb", subdriver="qcow2", mode="readonly", **CONFIG)
        with does.refused("400", "web-1-root", "web-1, web-2"):
            self.snapshot(does, "CreateDiskExternalSnapshot", domain="web-1")

    def test_a_snapshot_is_of_a_qcow2_file(self, does: Steps) -> None:
        does.pool()
        does.run(DISK, "seed", "CreateCloudInitUserDataImage", pool="vmd-pool", userData="#cloud-config\n")
        with does.refused("400", "seed", "raw"):
            self.snapshot(does, "CreateDiskExternalSnapshot", disk="seed")

    def test_snapshots_inside_a_file_are_not_left_behind(self, does: Steps) -> None:
        """They could not be gone back to from another file, and go with theirs."""
        does.pool()
        does.disk()
        self.inside(does, "CreateDiskInternalSnapshot", "within")
        with does.refused("400", "web-1-root", "within"):
            self.snapshot(does, "CreateDiskExternalSnapshot")
        self.inside(does, "DeleteDiskInternalSnapshot", "within")
        self.snapshot(does, "CreateDiskExternalSnapshot")
        self.inside(does, "CreateDiskInternalSnapshot", "within")
        for operation in ("RevertDiskExternalSnapshot", "DeleteDiskExternalSnapshot"):
            with does.refused("400", "web-1-root", "within"):
                self.snapshot(does, operation)

    def inside(self, does: Steps, operation: str, name: str = "before") -> None:
        does.run(DISK, "web-1-root", operation, type="localfs", pool="vmd-pool", snapshotname=name)

    def test_a_disk_has_snapshots_inside_its_file(self, does: Steps) -> None:
        does.pool()
        does.disk(size=10 * GIB)
        self.inside(does, "CreateDiskInternalSnapshot")
        does.run(DISK, "web-1-root", "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(20 * GIB))
        (shown,) = does.observe(DISK, "web-1-root")["volume"]["snapshots"]
        assert (shown["Name"], shown["Current"]) == ("before", True)
        with does.refused("400", "before"):
            self.inside(does, "CreateDiskInternalSnapshot")
        self.inside(does, "RevertDiskInternalSnapshot")
        assert does.observe(DISK, "web-1-root")["volume"]["capacity"] == "10 GB"
        self.inside(does, "DeleteDiskInternalSnapshot")
        assert "snapshots" not in does.observe(DISK, "web-1-root")["volume"]
        for operation in ("RevertDiskInternalSnapshot", "DeleteDiskInternalSnapshot"):
            with does.refused("400", "before"):
                self.inside(does, operation)

    # Machine snapshots

    def take(self, does: Steps, name: str = "before", diskspec: str = "vda,snapshot=internal", **more: Any) -> None:
        does.run(SNAPSHOT, name, "CreateSnapshot", domain="web-1", diskspec=diskspec, **more)

    def test_a_snapshot_shows_the_machine_and_its_disks(self, running: Steps) -> None:
        self.take(running, "first")
        self.take(running, "second")
        shown = running.observe(SNAPSHOT, "second")["domainsnapshot"]
        assert shown["name"] == {"text": "second"}
        assert shown["state"] == {"text": "running"}
        assert shown["parent"] == {"name": {"text": "first"}}
        assert shown["disks"] == {"disk": [{"_name": "vda", "_snapshot": "internal"}]}
        assert shown["domain"]["name"] == {"text": "web-1"}
        assert "parent" not in running.observe(SNAPSHOT, "first")["domainsnapshot"]

    def test_a_snapshot_is_of_a_machine_and_disks_that_exist(self, running: Steps) -> None:
        with running.refused("LibvirtError", "vdz"):
            self.take(running, diskspec="vdz,snapshot=internal")
        with running.refused("LibvirtError", "web-2"):
            running.run(SNAPSHOT, "before", "CreateSnapshot", domain="web-2", diskspec="vda,snapshot=internal")

    def test_a_machine_goes_back_to_its_snapshot(self, running: Steps) -> None:
        self.take(running)
        running.vm("ChangeNumberOfCPU", count="4", **BOTH)
        running.vm("ResizeVM", path=running.path("web-1-root"), size=str(20 * KIB_OF_GIB))
        running.vm("PlugDisk", source=running.path("web-1-data"), target="vdb", **BOTH)
        running.vm("StopVM")
        running.run(SNAPSHOT, "before", "RevertVirtualMachine", domain="web-1")
        assert running.power() == "Running"
        assert self.cpus(running) == (2, 4)
        assert running.targets() == ["vda"]
        assert running.holder("web-1-data") == ""
        assert running.holder("web-1-root") == "web-1"
        assert running.observe(DISK, "web-1-root")["volume"]["capacity"] == "10 GB"

    def test_a_machine_that_was_off_is_off_again_unless_it_shall_run(self, stopped: Steps) -> None:
        self.take(stopped)
        stopped.vm("StartVM")
        stopped.run(SNAPSHOT, "before", "RevertVirtualMachine", domain="web-1")
        assert stopped.power() == "Shutdown"
        stopped.run(SNAPSHOT, "before", "RevertVirtualMachine", domain="web-1", running=True)
        assert stopped.power() == "Running"

    def test_a_machine_with_snapshots_stays_unless_they_may_go(self, stopped: Steps) -> None:
        self.take(stopped)
        with stopped.refused("LibvirtError", "web-1", "snapshots"):
            stopped.vm("DeleteVM")
        stopped.vm("DeleteVM", snapshots_metadata=True)
        assert stopped.gone(SNAPSHOT, "before")

    def test_a_deleted_snapshot_hands_its_children_to_its_parent(self, running: Steps) -> None:
        for name in ("first", "second", "third"):
            self.take(running, name)
        running.run(SNAPSHOT, "second", "DeleteSnapshot", domain="web-1")
        assert running.gone(SNAPSHOT, "second")
        third = running.observe(SNAPSHOT, "third")["domainsnapshot"]
        assert third["parent"] == {"name": {"text": "first"}}

    def test_merging_ends_a_snapshot_and_all_later_ones(self, running: Steps) -> None:
        for name in ("first", "second", "third"):
            self.take(running, name)
        running.run(SNAPSHOT, "second", "MergeSnapshot", domain="web-1")
        assert running.gone(SNAPSHOT, "second")
        assert running.gone(SNAPSHOT, "third")
        running.observe(SNAPSHOT, "first")

    def test_an_external_snapshot_moves_the_disks_on_and_back(self, running: Steps) -> None:
        base, file = running.path("web-1-root"), f"{VMD}/web-1-root/snapshots/s1"
        self.take(running, diskspec=f"vda,snapshot=external,file={file},driver=qcow2")
        assert running.path("web-1-root") == file
        assert running.target("vda")["source"]["_file"] == file
        running.vm("ResizeVM", path=file, size=str(20 * KIB_OF_GIB))
        with running.refused("LibvirtError", "web-1"):
            running.run(SNAPSHOT, "before", "RevertVirtualMachine", domain="web-1")
        running.vm("StopVM")
        running.run(SNAPSHOT, "before", "RevertVirtualMachine", domain="web-1")
        assert running.observe(DISK, "web-1-root")["volume"]["capacity"] == "10 GB"
        assert running.path("web-1-root") not in (base, file)
        assert running.target("vda")["source"]["_file"] == running.path("web-1-root")
        running.run(SNAPSHOT, "before", "DeleteSnapshot", domain="web-1")
        running.vm("StartVM")

    @pytest.mark.parametrize(
        "file",
        ["/var/lib/libvirt/s1", f"{VMD}/s1", f"{VMD}/web-1-data/snapshots/s1", f"{VMD}/web-1-root/snapshots/../s1"],
    )
    def test_the_files_of_a_disk_are_in_its_directory(self, running: Steps, file: str) -> None:
        """Nothing outside of pools is touched; and what belongs to a disk goes where it goes."""
        with running.refused("LibvirtError", file, "web-1-root/snapshots"):
            self.take(running, diskspec=f"vda,snapshot=external,file={file}")

    def test_a_snapshot_of_a_machine_is_inside_the_files_or_outside(self, plugged: Steps) -> None:
        with plugged.refused("LibvirtError", "mixing"):
            self.take(plugged, diskspec="vda,snapshot=external --diskspec vdb,snapshot=internal")
        self.take(plugged, "within", diskspec="vda,snapshot=internal --diskspec vdb,snapshot=internal")
        with plugged.refused("400", "web-1-root", "within"):
            self.take(plugged, diskspec="vda,snapshot=external")

    def test_snapshots_outside_the_files_are_merged(self, plugged: Steps) -> None:
        both = "vda,snapshot=external --diskspec vdb,snapshot=external"
        for name in ("first", "second", "third"):
            self.take(plugged, name, diskspec=both)
        before = plugged.path("web-1-root"), plugged.path("web-1-data")
        plugged.run(SNAPSHOT, "second", "MergeSnapshot", domain="web-1")
        assert plugged.gone(SNAPSHOT, "second")
        assert plugged.gone(SNAPSHOT, "third")
        assert (plugged.path("web-1-root"), plugged.path("web-1-data")) == before
        plugged.vm("StopVM")
        plugged.vm("UnplugDisk", target="vdb", **CONFIG)
        with plugged.refused("400", "web-1-data", "first"):
            plugged.run(DISK, "web-1-data", "DeleteDisk", type="localfs", pool="vmd-pool")
        plugged.run(SNAPSHOT, "first", "RevertVirtualMachine", domain="web-1", running=True)
        assert plugged.targets() == ["vda", "vdb"]
        assert plugged.power() == "Running"

    def test_the_snapshots_of_a_machine_go_with_it(self, running: Steps) -> None:
        self.take(running, diskspec="vda,snapshot=external")
        running.vm("StopVM")
        running.vm("DeleteVM", snapshots_metadata=True)
        assert running.gone(SNAPSHOT, "before")
        running.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="vmd-pool")
        assert running.gone(DISK, "web-1-root")

    # VM images

    def test_a_vm_image_is_made_of_a_disk_and_goes(self, does: Steps) -> None:
        does.pool()
        does.pool("image-pool", "vmdi", VMDI)
        path = does.disk("golden")
        does.run(IMAGE, "golden-vm", "CreateImage", disk=path, targetPool="image-pool")
        domain = does.observe(IMAGE, "golden-vm")["domain"]
        assert domain["devices"]["disk"][0]["source"]["_file"] == f"{VMDI}/golden-vm/golden-vm"
        does.run(DISK, "golden", "DeleteDisk", type="localfs", pool="vmd-pool")
        does.run(IMAGE, "golden-vm", "DeleteImage")
        assert does.gone(IMAGE, "golden-vm")

    def test_a_vm_image_is_made_of_something(self, does: Steps) -> None:
        does.pool("image-pool", "vmdi", VMDI)
        with does.refused("Exception", f"{VMD}/missing/missing"):
            does.run(IMAGE, "golden-vm", "CreateImage", disk=f"{VMD}/missing/missing", targetPool="image-pool")

    def test_a_machine_becomes_an_image_and_a_machine_again(self, stopped: Steps) -> None:
        stopped.pool("image-pool", "vmdi", VMDI)
        stopped.vm("ConvertVMToImage", targetPool="image-pool")
        assert stopped.gone(MACHINE, "web-1")
        assert stopped.gone(DISK, "web-1-root")
        stopped.run(IMAGE, "web-1", "ConvertImageToVM", targetPool="vmd-pool")
        assert stopped.gone(IMAGE, "web-1")
        assert stopped.power() == "Shutdown"
        assert self.cpus(stopped) == (2, 4)
        stopped.vm("StartVM")

    def test_a_running_machine_does_not_become_an_image(self, running: Steps) -> None:
        running.pool("image-pool", "vmdi", VMDI)
        with running.refused("LibvirtError", "web-1"):
            running.vm("ConvertVMToImage", targetPool="image-pool")

    # All of it

    def test_the_inventory_is_what_was_made(self, running: Steps) -> None:
        running.switch()
        assert set(running.driver.inventory()) == {
            ResourceId(POOL, "vmd-pool"),
            ResourceId(DISK, "web-1-root"),
            ResourceId(DISK, "web-1-data"),
            ResourceId(MACHINE, "web-1"),
            ResourceId(NETWORK, "web-net"),
        }

    def test_what_is_observed_is_the_callers_to_change(self, running: Steps) -> None:
        before = running.observe(MACHINE, "web-1")
        running.domain()["devices"].clear()
        assert running.observe(MACHINE, "web-1") == before
