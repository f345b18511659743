"""The contract of ``Driver``: machines that move to another node, with two nodes in one world."""

from __future__ import annotations

import pytest

from contracts.driver_contract_steps import BOTH, VMD, Steps
from reconciler.model.kinds import DISK, MACHINE, POOL, SNAPSHOT
from reconciler.model.resource import ResourceId

FAR = "/var/lib/libvirt/far-pool"


class MigrationContract:
    @pytest.fixture
    def shared(self, does: Steps) -> Steps:
        """``web-1`` runs on a disk on shared storage, without a cache."""
        does.pool("nfs-pool", url="172.16.1.9:/export", type="nfs", opt="nolock")
        does.run(DISK, "web-1-root", "CreateDisk", type="nfs", pool="nfs-pool", format="qcow2", capacity="10000000000")
        path = does.path("web-1-root")
        does.machine(path=path, disk=f"{path},target=vda,cache=none")
        return does

    def test_a_running_machine_moves_and_goes_on(self, shared: Steps, elsewhere: tuple[Steps, str]) -> None:
        there, address = elsewhere
        shared.vm("SuspendVM")
        shared.vm("MigrateVM", ip=address)
        assert shared.observe(MACHINE, "web-1")["nodeName"] == "node23"
        assert ResourceId(MACHINE, "web-1") in there.driver.inventory()
        assert ResourceId(MACHINE, "web-1") not in shared.driver.inventory()
        assert there.power() == "Paused"
        with shared.refused("Exception", "web-1", "node23"):
            shared.vm("ResumeVM")
        there.vm("ResumeVM")
        there.vm("StopVM")
        there.vm("StartVM")
        assert there.holder("web-1-root") == "web-1"

    def test_a_machine_that_is_off_moves_offline(self, shared: Steps, elsewhere: tuple[Steps, str]) -> None:
        there, address = elsewhere
        with shared.refused("LibvirtError", "web-1", "active"):
            shared.vm("MigrateVM", ip=address, offline=True)
        shared.vm("StopVM")
        with shared.refused("LibvirtError", "web-1", "not running"):
            shared.vm("MigrateVM", ip=address)
        shared.vm("MigrateVM", ip=address, offline=True)
        assert there.power() == "Shutdown"
        there.vm("StartVM")

    def test_a_machine_moves_back(self, shared: Steps, elsewhere: tuple[Steps, str], address: str) -> None:
        there, far = elsewhere
        shared.vm("MigrateVM", ip=far)
        there.vm("MigrateVM", ip=address)
        assert shared.observe(MACHINE, "web-1")["nodeName"] == "node22"
        shared.vm("StopVM")

    def test_a_machine_moves_to_another_node_that_there_is(self, shared: Steps, address: str) -> None:
        with shared.refused("Exception", "192.0.2.1"):
            shared.vm("MigrateVM", ip="192.0.2.1")
        with shared.refused("LibvirtError", "node22"):
            shared.vm("MigrateVM", ip=address)

    def test_every_disk_is_on_shared_storage(self, shared: Steps, elsewhere: tuple[Steps, str]) -> None:
        shared.pool()
        path = shared.disk("web-1-data")
        shared.vm("PlugDisk", source=path, target="vdb", cache="none", **BOTH)
        with shared.refused("Exception", path, "shared"):
            shared.vm("MigrateVM", ip=elsewhere[1])

    def test_no_disk_has_a_cache(self, shared: Steps, elsewhere: tuple[Steps, str]) -> None:
        disk = {"type": "nfs", "pool": "nfs-pool", "format": "qcow2", "capacity": "10000000000"}
        shared.run(DISK, "web-1-data", "CreateDisk", **disk)
        shared.vm("PlugDisk", source=shared.path("web-1-data"), target="vdb", **BOTH)
        with shared.refused("Exception", "vdb", "cache"):
            shared.vm("MigrateVM", ip=elsewhere[1])

    def test_a_machine_with_snapshots_or_host_devices_stays(self, shared: Steps, elsewhere: tuple[Steps, str]) -> None:
        shared.run(SNAPSHOT, "before", "CreateSnapshot", domain="web-1", diskspec="vda,snapshot=internal")
        with shared.refused("LibvirtError", "snapshots"):
            shared.vm("MigrateVM", ip=elsewhere[1])
        shared.run(SNAPSHOT, "before", "DeleteSnapshot", domain="web-1")
        card = {"bus_num": "01", "sub_bus_num": "00", "dev_num": "0", "dev_type": "pci", "live": True}
        shared.vm("PassthroughDevice", action="add", **card)
        with shared.refused("LibvirtError", "web-1", "host devices"):
            shared.vm("MigrateVM", ip=elsewhere[1])
        shared.vm("PassthroughDevice", action="remove", **card)
        shared.vm("MigrateVM", ip=elsewhere[1])

    # Along with its disks

    def test_a_machine_goes_along_with_its_disks(self, stopped: Steps, elsewhere: tuple[Steps, str]) -> None:
        there, address = elsewhere
        there.pool("far-pool", url=FAR)
        touched = stopped.vm("MigrateVMDisk", ip=address, migratedisks=f"vol={VMD}/web-1-root/web-1-root,pool=far-pool")
        assert {ResourceId(DISK, "web-1-root"), ResourceId(MACHINE, "web-1")} <= set(touched)
        assert there.path("web-1-root") == f"{FAR}/web-1-root/web-1-root"
        for kind, name in ((MACHINE, "web-1"), (DISK, "web-1-root")):
            assert there.observe(kind, name)["nodeName"] == "node23"
        assert there.target("vda")["source"]["_file"] == there.path("web-1-root")
        there.vm("StartVM")
        stopped.run(DISK, "web-1-data", "DeleteDisk", type="localfs", pool="vmd-pool")
        stopped.run(POOL, "vmd-pool", "DeletePool")

    def test_disks_move_between_pools_of_a_node(self, stopped: Steps, address: str) -> None:
        stopped.pool("other-pool", url="/var/lib/libvirt/other-pool")
        stopped.vm("PlugDisk", source=stopped.path("web-1-data"), target="vdb", config=True)
        both = f"vol={VMD}/web-1-root/web-1-root,pool=other-pool;vol=web-1-data,pool=other-pool"
        stopped.vm("MigrateVMDisk", ip=address, migratedisks=both)
        for name in ("web-1-root", "web-1-data"):
            assert stopped.observe(DISK, name)["volume"]["pool"] == "other-pool"
        assert stopped.observe(MACHINE, "web-1")["nodeName"] == "node22"
        stopped.vm("StartVM")

    def test_disks_that_cannot_move_stay_and_so_does_their_machine(
        self, running: Steps, elsewhere: tuple[Steps, str], address: str
    ) -> None:
        there, far = elsewhere
        there.pool("far-pool", url=FAR)
        root = "vol=web-1-root,pool=far-pool"
        with running.refused("LibvirtError", "web-1", "active"):
            running.vm("MigrateVMDisk", ip=far, migratedisks=root)
        running.vm("StopVM")
        with running.refused("400", "far-pool", "node23"):
            running.vm("MigrateVMDisk", ip=address, migratedisks=root)
        with running.refused("Exception", "web-1-data"):
            running.vm("MigrateVMDisk", ip=far, migratedisks=f"{root};vol=web-1-data,pool=far-pool")
        running.vm("PlugDisk", source=running.path("web-1-data"), target="vdb", config=True)
        with running.refused("Exception", "web-1-data", "node23"):
            running.vm("MigrateVMDisk", ip=far, migratedisks=root)

    def test_a_file_does_not_become_a_block_device(self, stopped: Steps, address: str) -> None:
        stopped.pool("uus-pool", url="uus-iscsi://admin@192.168.3.10:7000/p1", type="uus", opt="size=1")
        with stopped.refused("400", "web-1-root", "block"):
            stopped.vm("MigrateVMDisk", ip=address, migratedisks="vol=web-1-root,pool=uus-pool")
