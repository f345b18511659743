"""The contract of ``Driver``: backups, where they are kept, and what comes back of them.

Operations that machines and pools both have are asked of the pool, unless it is the machine's that matter.
"""

from __future__ import annotations

from typing import Any

import pytest

from contracts.driver_contract_steps import BOTH, CONFIG, GIB, KIB_OF_GIB, MAC, OTHER_MAC, VMD, Steps
from reconciler.model.kinds import DISK, MACHINE, POOL, SNAPSHOT
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId

HERE = {"domain": "web-1", "pool": "backup-pool"}


class BackupContract:
    @pytest.fixture
    def ftp(self) -> dict[str, str]:
        """An FTP host that nobody has used yet."""
        return {"remote": "172.16.1.214", "port": "21", "username": "ftpuser", "password": "horse-12"}

    @pytest.fixture
    def kept(self, plugged: Steps) -> Steps:
        """``web-1`` runs with the disks ``web-1-root`` and ``web-1-data``; there is a pool for backups."""
        plugged.pool("backup-pool", url="/var/lib/libvirt/backup-pool")
        return plugged

    def back_up(self, does: Steps, version: str = "day1", **more: Any) -> None:
        does.vm("BackupVM", pool="backup-pool", version=version, **more)

    def on_pool(self, does: Steps, operation: str, version: str = "day1", **more: Any) -> Any:
        return does.run(POOL, "backup-pool", operation, **{**HERE, "version": version, **more})

    def on_host(self, does: Steps, operation: str, version: str = "day1", **more: Any) -> None:
        given = {"domain": "web-1", "version": version, **more}
        does.run(POOL, "backup-pool", operation, **{key: value for key, value in given.items() if value})

    def scan(self, does: Steps, **more: Any) -> list[tuple[str, str, bool]]:
        """Disk, version and whether it is full, of every backup a scan finds."""
        does.run(POOL, "backup-pool", "ScanVMBackup", **HERE, **more)
        shown = does.observe(POOL, "backup-pool")["pool"].get("backups", [])
        assert all((each["domain"], each["pool"]) == ("web-1", "backup-pool") for each in shown)
        return [(each["disk"], each["version"], each["full"]) for each in shown]

    def grow(self, does: Steps, name: str, size: int) -> None:
        does.run(DISK, name, "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(size))

    def capacity(self, does: Steps, name: str) -> str:
        return str(does.observe(DISK, name)["volume"]["capacity"])

    # Machines: made and put back

    def test_a_backup_changes_nothing_that_is_shown(self, kept: Steps) -> None:
        before = kept.everything()
        self.back_up(kept, all=True)
        assert kept.everything() == before

    @pytest.mark.parametrize("asked_of", [MACHINE, POOL])
    def test_a_machine_comes_back_with_its_disks_nics_and_size(self, kept: Steps, asked_of: str) -> None:
        self.back_up(kept, all=True)
        before = kept.domain()
        kept.vm("UnplugNIC", type="l2bridge", mac=MAC, **BOTH)
        kept.vm("PlugNIC", source="source=br-ext", type="l2bridge", mac=OTHER_MAC, **BOTH)
        kept.vm("ChangeNumberOfCPU", count="4", **BOTH)
        kept.vm("ResizeRAM", size=str(KIB_OF_GIB), **BOTH)
        kept.vm("UpdateGraphic", type="spice")
        for name in ("web-1-root", "web-1-data"):
            kept.vm("ResizeVM", path=kept.path(name), size=str(20 * KIB_OF_GIB))
        kept.vm("StopVM")
        if asked_of == MACHINE:
            touched = kept.vm("RestoreVM", pool="backup-pool", version="day1", all=True)
        else:
            touched = self.on_pool(kept, "RestoreVMBackup", all=True)
        assert {ResourceId(MACHINE, "web-1"), ResourceId(DISK, "web-1-root")} <= set(touched)
        assert kept.power() == "Shutdown"
        for name in ("web-1-root", "web-1-data"):
            assert self.capacity(kept, name) == "10 GB"
            assert kept.holder(name) == "web-1"
        kept.vm("StartVM")
        after = kept.domain()
        assert {**after, "_id": 0, "devices": {**after["devices"], "graphics": 0}} == {
            **before,
            "_id": 0,
            "devices": {**before["devices"], "graphics": 0},
        }
        assert after["devices"]["graphics"][0]["_type"] == "vnc"
        kept.machine("web-2", mac=OTHER_MAC)

    def test_only_the_system_disk_goes_back_unless_all_are_asked_for(self, kept: Steps) -> None:
        self.back_up(kept, all=True)
        kept.vm("StopVM")
        for name in ("web-1-root", "web-1-data"):
            self.grow(kept, name, 20 * GIB)
        self.on_pool(kept, "RestoreVMBackup")
        assert (self.capacity(kept, "web-1-root"), self.capacity(kept, "web-1-data")) == ("10 GB", "20 GB")
        assert kept.targets() == ["vda", "vdb"]
        kept.vm("StartVM")

    def test_a_backup_of_the_system_disk_leaves_the_others_to_the_machine(self, kept: Steps) -> None:
        self.back_up(kept)
        assert self.scan(kept) == [("", "day1", True), ("web-1-root", "day1", True)]
        kept.vm("UnplugDisk", target="vdb", **BOTH)
        kept.vm("StopVM")
        self.on_pool(kept, "RestoreVMBackup", all=True)
        assert kept.targets() == ["vda"]
        assert kept.holder("web-1-data") == ""

    def test_the_system_disk_is_what_the_machine_boots_from(self, kept: Steps) -> None:
        kept.vm("SetBootOrder", order="vdb,vda")
        self.back_up(kept)
        assert self.scan(kept) == [("", "day1", True), ("web-1-data", "day1", True)]

    def test_data_disks_must_still_be_attached(self, kept: Steps) -> None:
        self.back_up(kept, all=True)
        kept.vm("UnplugDisk", target="vdb", **BOTH)
        kept.vm("StopVM")
        with kept.refused("Exception", "web-1-data", "vdb"):
            self.on_pool(kept, "RestoreVMBackup", all=True)
        self.on_pool(kept, "RestoreVMBackup")

    def test_a_disk_that_came_later_is_let_go_when_all_go_back(self, kept: Steps) -> None:
        self.back_up(kept, all=True)
        kept.vm("PlugDisk", source=kept.disk("late"), target="vdc", **BOTH)
        kept.vm("StopVM")
        self.on_pool(kept, "RestoreVMBackup", all=True)
        assert kept.targets() == ["vda", "vdb"]
        assert kept.holder("late") == ""

    def test_a_disk_goes_back_where_it_is_now(self, kept: Steps) -> None:
        kept.pool("other-pool", url="/var/lib/libvirt/other-pool")
        self.back_up(kept, all=True)
        kept.vm("StopVM")
        kept.run(DISK, "web-1-root", "MigrateDisk", pool="other-pool")
        self.on_pool(kept, "RestoreVMBackup", all=True)
        assert kept.target("vda")["source"]["_file"] == "/var/lib/libvirt/other-pool/web-1-root/web-1-root"
        kept.vm("StartVM")

    def test_nothing_is_put_back_under_a_running_machine(self, kept: Steps) -> None:
        self.back_up(kept)
        for state in ("Running", "Paused"):
            with kept.refused("LibvirtError", "web-1", "active"):
                self.on_pool(kept, "RestoreVMBackup")
            with kept.refused("LibvirtError", "web-1", "active"):
                kept.vm("RestoreVM", pool="backup-pool", version="day1")
            if state == "Running":
                kept.vm("SuspendVM")

    def test_nothing_is_put_back_under_snapshots(self, kept: Steps) -> None:
        self.back_up(kept)
        kept.run(SNAPSHOT, "before", "CreateSnapshot", domain="web-1", diskspec="vda,snapshot=internal")
        kept.vm("StopVM")
        with kept.refused("Exception", "web-1-root", "before"):
            self.on_pool(kept, "RestoreVMBackup")
        kept.run(SNAPSHOT, "before", "DeleteSnapshot", domain="web-1")
        self.on_pool(kept, "RestoreVMBackup")

    def test_a_backup_makes_a_new_machine(self, kept: Steps) -> None:
        kept.pool("other-pool", url="/var/lib/libvirt/other-pool")
        self.back_up(kept, all=True)
        kept.vm("ResizeVM", path=kept.path("web-1-root"), size=str(20 * KIB_OF_GIB))
        self.on_pool(kept, "RestoreVMBackup", all=True, newname="web-2", target="other-pool")
        assert kept.power("web-2") == "Shutdown"
        assert kept.targets("web-2") == ["vda", "vdb"]
        for target in ("vda", "vdb"):
            name = f"web-2-{target}"
            assert kept.target(target, "web-2")["source"]["_file"] == kept.path(name)
            assert (kept.observe(DISK, name)["volume"]["pool"], self.capacity(kept, name)) == ("other-pool", "10 GB")
        assert kept.macs("web-2") != kept.macs()
        assert kept.domain("web-2")["uuid"] != kept.domain()["uuid"]
        assert kept.domain("web-2")["vcpu"] == kept.domain()["vcpu"]
        kept.vm("StartVM", "web-2")
        assert kept.power() == "Running"

    def test_a_new_machine_has_only_the_disks_that_are_asked_for(self, kept: Steps) -> None:
        self.back_up(kept, all=True)
        kept.vm("RestoreVM", pool="backup-pool", version="day1", newname="web-2")
        assert kept.targets("web-2") == ["vda"]
        with kept.refused("LibvirtError", "web-1"):
            kept.vm("RestoreVM", pool="backup-pool", version="day1", newname="web-1")

    def test_a_machine_that_was_lost_comes_back_under_its_name(self, kept: Steps) -> None:
        self.back_up(kept, all=True)
        before = kept.domain()
        kept.vm("StopVM")
        kept.vm("DeleteVM", storage="vda,vdb")
        with kept.refused("Exception", "web-1", "newname"):
            self.on_pool(kept, "RestoreVMBackup", all=True)
        self.on_pool(kept, "RestoreVMBackup", all=True, newname="web-1")
        assert kept.domain()["uuid"] == before["uuid"]
        assert kept.macs() == [MAC]
        assert [kept.holder(name) for name in ("web-1-root", "web-1-data")] == ["web-1", "web-1"]
        kept.vm("StartVM")

    def test_a_target_is_for_a_new_machine(self, kept: Steps) -> None:
        self.back_up(kept)
        kept.vm("StopVM")
        with kept.refused("Exception", "target", "newname"):
            self.on_pool(kept, "RestoreVMBackup", target="vmd-pool")

    # Versions

    def test_a_version_is_taken_once(self, kept: Steps) -> None:
        self.back_up(kept)
        for more in ({}, {"full": True}, {"all": True}):
            with kept.refused("Exception", "web-1", "day1"):
                self.back_up(kept, **more)

    @pytest.mark.parametrize("operation", ["RestoreVMBackup", "DeleteVMBackup"])
    def test_a_version_that_is_not_there_is_not_put_back_or_deleted(self, kept: Steps, operation: str) -> None:
        self.back_up(kept)
        kept.vm("StopVM")
        with kept.refused("Exception", "web-1", "day2", "backup-pool"):
            self.on_pool(kept, operation, "day2")
        with kept.refused("Exception", "web-2", "day1"):
            self.on_pool(kept, operation, domain="web-2")

    def test_a_backup_is_full_or_builds_on_the_last(self, kept: Steps) -> None:
        for version, more in (("day1", {}), ("day2", {}), ("day3", {"full": True}), ("day4", {})):
            self.back_up(kept, version, **more)
        assert [full for disk, _, full in self.scan(kept) if not disk] == [True, False, True, False]
        with kept.refused("Exception", "day2", "day1", "web-1-root"):
            self.on_pool(kept, "DeleteVMBackup", "day1")
        self.on_pool(kept, "DeleteVMBackup", "day2")
        self.on_pool(kept, "DeleteVMBackup", "day1")
        assert [version for disk, version, _ in self.scan(kept) if disk] == ["day3", "day4"]

    def test_every_backup_of_a_chain_brings_back_its_own_state(self, kept: Steps) -> None:
        for number in (1, 2, 3):
            self.back_up(kept, f"day{number}")
            kept.vm("ResizeVM", path=kept.path("web-1-root"), size=str((10 + number) * KIB_OF_GIB))
        kept.vm("StopVM")
        for number in (1, 3, 2):
            self.on_pool(kept, "RestoreVMBackup", f"day{number}")
            assert self.capacity(kept, "web-1-root") == f"{9 + number} GB"

    def test_a_disk_that_was_put_back_or_made_anew_begins_a_chain(self, kept: Steps) -> None:
        self.back_up(kept, "day1")
        kept.vm("StopVM")
        self.on_pool(kept, "RestoreVMBackup", "day1")
        self.back_up(kept, "day2")
        assert self.scan(kept, vol="web-1-root") == [("web-1-root", "day1", True), ("web-1-root", "day2", True)]
        self.on_pool(kept, "DeleteVMBackup", "day1")

    def test_a_new_disk_is_full_in_an_increment(self, kept: Steps) -> None:
        self.back_up(kept, "day1")
        self.back_up(kept, "day2", all=True)
        assert self.scan(kept) == [
            ("", "day1", True),
            ("", "day2", False),
            ("web-1-root", "day1", True),
            ("web-1-root", "day2", False),
            ("web-1-data", "day2", True),
        ]

    # What a backup needs

    def test_backups_are_in_an_active_pool_which_they_keep(self, kept: Steps) -> None:
        with kept.refused("400", "nowhere"):
            kept.vm("BackupVM", pool="nowhere", version="day1")
        self.back_up(kept)
        with kept.refused("400", "backup-pool"):
            kept.run(POOL, "backup-pool", "DeletePool")
        kept.run(POOL, "backup-pool", "StopPool")
        with kept.refused("400", "backup-pool", "not active"):
            self.back_up(kept, "day2")
        kept.run(POOL, "backup-pool", "StartPool")
        self.on_pool(kept, "DeleteVMBackup")
        kept.run(POOL, "backup-pool", "DeletePool")

    def test_a_pool_is_asked_about_its_own_backups(self, kept: Steps) -> None:
        self.back_up(kept)
        with kept.refused("400", "vmd-pool", "backup-pool"):
            kept.run(POOL, "vmd-pool", "DeleteVMBackup", **HERE, version="day1")

    def test_a_disk_outside_pools_is_not_backed_up(self, kept: Steps) -> None:
        kept.vm("PlugDisk", source="/dev/sdb", target="vdc", sourcetype="block", **BOTH)
        with kept.refused("Exception", "/dev/sdb"):
            self.back_up(kept, all=True)
        self.back_up(kept)

    def test_backups_outlive_their_machine(self, kept: Steps) -> None:
        self.back_up(kept)
        kept.vm("StopVM")
        kept.vm("DeleteVM", storage="vda,vdb")
        assert self.scan(kept) == [("", "day1", True), ("web-1-root", "day1", True)]
        self.on_pool(kept, "DeleteVMBackup")
        assert self.scan(kept) == []

    # Disks

    def test_a_disk_is_backed_up_and_put_back(self, kept: Steps) -> None:
        kept.run(DISK, "web-1-data", "BackupDisk", domain="web-1", pool="backup-pool", version="day1")
        with kept.refused("Exception", "web-1-data", "day1"):
            kept.run(DISK, "web-1-data", "BackupDisk", pool="backup-pool", version="day1")
        kept.vm("ResizeVM", path=kept.path("web-1-data"), size=str(20 * KIB_OF_GIB))
        with kept.refused("400", "web-1-data", "lock"):
            self.on_pool(kept, "RestoreDisk", vol="web-1-data")
        kept.vm("StopVM")
        touched = self.on_pool(kept, "RestoreDisk", vol="web-1-data")
        assert ResourceId(DISK, "web-1-data") in touched
        assert self.capacity(kept, "web-1-data") == "10 GB"
        with kept.refused("Exception", "web-1-root", "day1"):
            self.on_pool(kept, "RestoreDisk", vol="web-1-root")

    def test_a_disk_of_a_machines_backup_is_put_back_alone(self, kept: Steps) -> None:
        self.back_up(kept, all=True)
        kept.vm("StopVM")
        for name in ("web-1-root", "web-1-data"):
            self.grow(kept, name, 20 * GIB)
        self.on_pool(kept, "RestoreDisk", vol="web-1-data")
        assert (self.capacity(kept, "web-1-root"), self.capacity(kept, "web-1-data")) == ("20 GB", "10 GB")

    def test_a_backup_makes_a_new_disk_for_a_machine(self, kept: Steps) -> None:
        kept.pool("other-pool", url="/var/lib/libvirt/other-pool")
        kept.machine("web-2", mac=OTHER_MAC)
        self.back_up(kept, all=True)
        given = {"vol": "web-1-data", "newname": "copy", "target": "other-pool", "targetDomain": "web-2"}
        self.on_pool(kept, "RestoreDisk", **given)
        assert kept.path("copy") == "/var/lib/libvirt/other-pool/copy/copy"
        assert kept.target("vdb", "web-2")["source"]["_file"] == kept.path("copy")
        kept.vm("StopVM", "web-2")
        assert kept.targets("web-2") == ["vda", "vdb"]
        with kept.refused("400", "copy"):
            self.on_pool(kept, "RestoreDisk", **given)
        with kept.refused("Exception", "web-3"):
            self.on_pool(kept, "RestoreDisk", **{**given, "newname": "another", "targetDomain": "web-3"})
        with kept.refused("Exception", "targetDomain", "newname"):
            self.on_pool(kept, "RestoreDisk", vol="web-1-data", targetDomain="web-2")

    def test_a_disk_that_is_gone_comes_back_as_a_new_one(self, kept: Steps) -> None:
        kept.run(DISK, "web-1-data", "BackupDisk", pool="backup-pool", version="day1")
        kept.vm("UnplugDisk", target="vdb", **BOTH)
        kept.run(DISK, "web-1-data", "DeleteDisk", type="localfs", pool="vmd-pool")
        with kept.refused("400", "web-1-data"):
            self.on_pool(kept, "RestoreDisk", vol="web-1-data")
        self.on_pool(kept, "RestoreDisk", vol="web-1-data", newname="web-1-data")
        assert kept.path("web-1-data") == f"{VMD}/web-1-data/web-1-data"

    def test_a_disk_backup_goes_to_the_machine_that_has_the_disk(self, kept: Steps) -> None:
        kept.machine("web-2", mac=OTHER_MAC)
        with kept.refused("400", "web-1-data", "web-1", "web-2"):
            kept.run(DISK, "web-1-data", "BackupDisk", domain="web-2", pool="backup-pool", version="day1")
        kept.run(DISK, "web-1-data", "BackupDisk", pool="backup-pool", version="day1")
        assert self.scan(kept) == [("web-1-data", "day1", True)]

    def test_the_backup_of_a_disk_nobody_has_goes_by_its_name(self, kept: Steps) -> None:
        kept.disk("free")
        with kept.refused("400", "web-9"):
            kept.run(DISK, "free", "BackupDisk", domain="web-9", pool="backup-pool", version="day1")
        kept.run(DISK, "free", "BackupDisk", pool="backup-pool", version="day1")
        self.grow(kept, "free", 20 * GIB)
        self.on_pool(kept, "RestoreDisk", domain="free", vol="free")
        assert self.capacity(kept, "free") == "10 GB"

    def test_a_disk_with_snapshots_does_not_go_back_to_a_backup(self, kept: Steps) -> None:
        inside = {"type": "localfs", "pool": "vmd-pool", "snapshotname": "before"}
        self.back_up(kept)
        kept.vm("StopVM")
        kept.run(DISK, "web-1-root", "CreateDiskInternalSnapshot", **inside)
        with kept.refused("Exception", "web-1-root", "before"):
            self.on_pool(kept, "RestoreDisk", vol="web-1-root")
        kept.run(DISK, "web-1-root", "DeleteDiskInternalSnapshot", **inside)
        self.on_pool(kept, "RestoreDisk", vol="web-1-root")

    # Deleting and listing

    def test_a_part_of_a_backup_is_deleted_and_missed(self, kept: Steps) -> None:
        self.back_up(kept, all=True)
        kept.vm("StopVM")
        self.on_pool(kept, "DeleteVMDiskBackup", vol="web-1-data")
        with kept.refused("Exception", "web-1-data", "day1"):
            self.on_pool(kept, "DeleteVMDiskBackup", vol="web-1-data")
        with kept.refused("Exception", "web-1-data", "day1"):
            self.on_pool(kept, "RestoreVMBackup", all=True)
        self.on_pool(kept, "RestoreVMBackup")
        self.on_pool(kept, "DeleteVMDiskBackup", vol="web-1-root")
        assert self.scan(kept) == []
        kept.run(POOL, "backup-pool", "DeletePool")

    def test_a_machine_deletes_its_backup(self, kept: Steps) -> None:
        self.back_up(kept)
        kept.vm("DeleteVMBackup", pool="backup-pool", version="day1")
        with kept.refused("Exception", "day1"):
            kept.vm("DeleteVMBackup", pool="backup-pool", version="day1")

    def test_backups_are_cleaned_by_version(self, kept: Steps) -> None:
        for version in ("day1", "day2", "day3"):
            self.back_up(kept, version)
        with kept.refused("Exception", "day3", "day2"):
            self.on_pool(kept, "CleanVMBackup", "day1,day2")
        with kept.refused("Exception", "day9"):
            self.on_pool(kept, "CleanVMBackup", "day3,day9")
        self.on_pool(kept, "CleanVMBackup", "day2,day3")
        assert self.scan(kept) == [("", "day1", True), ("web-1-root", "day1", True)]

    def test_all_backups_are_cleaned_or_all_of_a_disk(self, kept: Steps) -> None:
        for version in ("day1", "day2"):
            self.back_up(kept, version, all=True)
        kept.run(POOL, "backup-pool", "CleanVMBackup", **HERE, vol="web-1-data", all=True)
        assert {disk for disk, _, _ in self.scan(kept)} == {"", "web-1-root"}
        for _ in range(2):
            kept.run(POOL, "backup-pool", "CleanVMBackup", **HERE, all=True)
            assert self.scan(kept) == []

    def test_a_scan_is_of_one_machine_or_disk_and_forgets_what_is_deleted(self, kept: Steps) -> None:
        kept.machine("web-2", mac=OTHER_MAC)
        self.back_up(kept, all=True)
        kept.vm("BackupVM", "web-2", pool="backup-pool", version="day1")
        assert "backups" not in kept.observe(POOL, "backup-pool")["pool"]
        assert self.scan(kept, vol="web-1-data") == [("web-1-data", "day1", True)]
        assert len(self.scan(kept)) == 3
        self.on_pool(kept, "DeleteVMDiskBackup", vol="web-1-data")
        shown = kept.observe(POOL, "backup-pool")["pool"]["backups"]
        assert [each["disk"] for each in shown] == ["", "web-1-root"]

    # FTP hosts

    def test_a_backup_goes_to_an_ftp_host_and_comes_back(self, kept: Steps, ftp: dict[str, str]) -> None:
        self.back_up(kept, all=True, **ftp)
        self.on_pool(kept, "DeleteVMBackup")
        assert self.scan(kept) == []
        kept.vm("ResizeVM", path=kept.path("web-1-data"), size=str(20 * KIB_OF_GIB))
        kept.vm("StopVM")
        self.on_pool(kept, "PullRemoteBackup", **ftp)
        self.on_pool(kept, "RestoreVMBackup", all=True)
        assert self.capacity(kept, "web-1-data") == "10 GB"
        with kept.refused("Exception", "web-1", "day1", "backup-pool"):
            kept.vm("PullRemoteBackup", pool="backup-pool", version="day1", **ftp)

    def test_a_backup_is_pushed_once(self, kept: Steps, ftp: dict[str, str]) -> None:
        self.back_up(kept)
        with kept.refused("Exception", "day2", "backup-pool"):
            kept.vm("PushRemoteBackup", pool="backup-pool", version="day2", **ftp)
        kept.vm("PushRemoteBackup", pool="backup-pool", version="day1", **ftp)
        with kept.refused("Exception", "day1", "172.16.1.214"):
            self.on_pool(kept, "PushRemoteBackup", **ftp)
        self.on_pool(kept, "PushRemoteBackup", **{**ftp, "port": "2121"})

    def test_an_increment_takes_along_what_it_builds_on(self, kept: Steps, ftp: dict[str, str]) -> None:
        self.back_up(kept, "day1")
        kept.vm("ResizeVM", path=kept.path("web-1-root"), size=str(20 * KIB_OF_GIB))
        self.back_up(kept, "day2")
        self.on_pool(kept, "PushRemoteBackup", "day2", **ftp)
        kept.run(POOL, "backup-pool", "CleanVMBackup", **HERE, all=True)
        self.on_pool(kept, "PullRemoteBackup", "day2", **ftp)
        assert self.scan(kept) == [
            ("", "day2", False),
            ("web-1-root", "day2", False),
            ("web-1-root", "day1", True),
        ]
        kept.vm("StopVM")
        for version, capacity in (("day1", "10 GB"), ("day2", "20 GB")):
            self.on_pool(kept, "RestoreDisk", version, vol="web-1-root")
            assert self.capacity(kept, "web-1-root") == capacity

    def test_two_backups_of_one_name_do_not_mix(self, kept: Steps, ftp: dict[str, str]) -> None:
        self.back_up(kept, "day1", **ftp)
        self.on_pool(kept, "DeleteVMBackup", "day1")
        kept.vm("ResizeVM", path=kept.path("web-1-root"), size=str(20 * KIB_OF_GIB))
        self.back_up(kept, "day1")
        self.back_up(kept, "day2")
        with kept.refused("Exception", "another", "day1", "172.16.1.214"):
            self.on_pool(kept, "PushRemoteBackup", "day2", **ftp)

    def test_a_disks_backup_travels_alone(self, kept: Steps, ftp: dict[str, str]) -> None:
        self.back_up(kept, all=True)
        self.on_pool(kept, "PushRemoteBackup", vol="web-1-data", **ftp)
        with kept.refused("Exception", "day1", "172.16.1.214"):
            self.on_pool(kept, "PullRemoteBackup", **ftp)
        self.on_pool(kept, "DeleteVMBackup")
        self.on_pool(kept, "PullRemoteBackup", vol="web-1-data", **ftp)
        assert self.scan(kept) == [("web-1-data", "day1", True)]

    def test_a_disk_is_backed_up_to_an_ftp_host_too(self, kept: Steps, ftp: dict[str, str]) -> None:
        kept.run(DISK, "web-1-data", "BackupDisk", pool="backup-pool", version="day1", **ftp)
        with kept.refused("Exception", "day1"):
            self.on_pool(kept, "PushRemoteBackup", vol="web-1-data", **ftp)

    @pytest.mark.parametrize("wrong", [{"username": "somebody"}, {"password": "battery-staple"}])
    def test_an_ftp_host_wants_the_login_it_knows(
        self, kept: Steps, ftp: dict[str, str], wrong: dict[str, str]
    ) -> None:
        self.back_up(kept, **ftp)
        login = {**ftp, **wrong}
        for operation in ("PushRemoteBackup", "PullRemoteBackup"):
            with kept.refused("Exception", "172.16.1.214", "530"):
                self.on_pool(kept, operation, **login)
        for operation in ("DeleteRemoteBackup", "CleanVMRemoteBackup"):
            with kept.refused("Exception", "172.16.1.214", "530"):
                self.on_host(kept, operation, **login)
        with kept.refused("Exception", "172.16.1.214", "530"):
            self.back_up(kept, "day2", **login)
        with kept.refused("Exception", "172.16.1.214", "530"):
            kept.run(POOL, "backup-pool", "DeleteRemoteBackupServer", **login)
        with pytest.raises(OperationFailed) as caught:
            self.on_pool(kept, "PullRemoteBackup", **login)
        assert login["password"] not in str(caught.value)
        self.back_up(kept, "day2", **ftp)

    def test_nothing_is_fetched_from_or_deleted_on_a_host_without_backups(
        self, kept: Steps, ftp: dict[str, str]
    ) -> None:
        self.back_up(kept)
        with kept.refused("Exception", "172.16.1.214"):
            self.on_pool(kept, "PullRemoteBackup", **ftp)
        for operation in ("DeleteRemoteBackup", "CleanVMRemoteBackup"):
            with kept.refused("Exception", "172.16.1.214"):
                self.on_host(kept, operation, **ftp)

    def test_a_remote_backup_is_deleted(self, kept: Steps, ftp: dict[str, str]) -> None:
        for version in ("day1", "day2"):
            self.back_up(kept, version, all=True, **ftp)
        with kept.refused("Exception", "day2", "day1"):
            self.on_host(kept, "DeleteRemoteBackup", "day1", **ftp)
        self.on_host(kept, "DeleteRemoteBackup", "day2", vol="web-1-data", **ftp)
        kept.vm("DeleteRemoteBackup", version="day2", **ftp)
        with kept.refused("Exception", "day2"):
            kept.vm("DeleteRemoteBackup", version="day2", **ftp)
        assert len(self.scan(kept)) == 6

    def test_the_ftp_host_is_found_when_only_one_has_the_backup(self, kept: Steps, ftp: dict[str, str]) -> None:
        with kept.refused("Exception", "day1"):
            kept.vm("DeleteRemoteBackup", version="day1")
        self.back_up(kept, **ftp)
        self.on_pool(kept, "PushRemoteBackup", **{**ftp, "port": "2121"})
        with kept.refused("Exception", "day1", "172.16.1.214:21", "172.16.1.214:2121"):
            self.on_host(kept, "DeleteRemoteBackup")
        self.on_host(kept, "DeleteRemoteBackup", **ftp)
        self.on_host(kept, "DeleteRemoteBackup")
        with kept.refused("Exception", "day1"):
            self.on_host(kept, "DeleteRemoteBackup")

    def test_remote_backups_are_cleaned(self, kept: Steps, ftp: dict[str, str]) -> None:
        for version in ("day1", "day2", "day3"):
            self.back_up(kept, version, full=True, **ftp)
        self.on_host(kept, "CleanVMRemoteBackup", "day1,day2", **ftp)
        self.on_host(kept, "CleanVMRemoteBackup", "", all=True, **ftp)
        with kept.refused("Exception", "day3"):
            self.on_host(kept, "DeleteRemoteBackup", "day3", **ftp)

    def test_a_host_that_is_given_up_has_nothing_and_takes_anyone(self, kept: Steps, ftp: dict[str, str]) -> None:
        self.back_up(kept, **ftp)
        kept.run(POOL, "backup-pool", "DeleteRemoteBackupServer", **ftp)
        with kept.refused("Exception", "172.16.1.214"):
            kept.run(POOL, "backup-pool", "DeleteRemoteBackupServer", **ftp)
        with kept.refused("Exception", "day1"):
            self.on_host(kept, "DeleteRemoteBackup")
        self.on_pool(kept, "PushRemoteBackup", **{**ftp, "username": "somebody"})

    # Exports

    def test_an_export_is_written_once(self, running: Steps) -> None:
        before = running.everything()
        running.vm("ExportVM", path="/root/export")
        assert running.everything() == before
        with running.refused("Exception", "/root/export/web-1"):
            running.vm("ExportVM", path="/root/export")
        running.vm("ExportVM", path="/root/other")

    def test_a_disk_outside_pools_is_not_exported(self, running: Steps) -> None:
        running.vm("PlugDisk", source="/dev/sdb", target="vdb", sourcetype="block", **CONFIG)
        with running.refused("Exception", "/dev/sdb"):
            running.vm("ExportVM", path="/root/export")
