"""The simulator: the contract, and what is particular to a model of several nodes in one world."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from contracts.driver_contract import DriverContract
from contracts.driver_contract_steps import BOTH, CONFIG, MAC, OTHER_MAC, Steps
from reconciler.clusters.local import LocalCluster
from reconciler.drivers.base import Driver
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.kinds import DISK, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId


class OfTheSimulator(DriverContract):
    @pytest.fixture
    def address(self, driver: Simulator) -> str:
        return driver.address

    @pytest.fixture
    def elsewhere(self, driver: Simulator) -> tuple[Steps, str]:
        other = Simulator(driver.world, "node23")
        return Steps(other), other.address


class TestSimulator(OfTheSimulator):
    @pytest.fixture
    def driver(self) -> Iterator[Driver]:
        with closing(Simulator({}, "node22")) as driver:
            yield driver


class TestOnAFile(OfTheSimulator):
    """The same on the world of an embedded cluster, which hands out copies and has transactions."""

    @pytest.fixture
    def driver(self) -> Iterator[Driver]:
        with closing(LocalCluster(":memory:")) as cluster, closing(Simulator(cluster.world(), "node22")) as driver:
            yield driver


def a_day_of_work(does: Steps) -> None:
    does.pool()
    does.switch()
    does.machine(network="type=l3bridge,source=br-int,switch=web-net")
    does.vm("PlugDisk", source=does.disk("web-1-data"), target="vdb", **BOTH)
    does.run(SNAPSHOT, "before", "CreateSnapshot", domain="web-1", diskspec="vda,snapshot=external")
    does.vm("StopVM")
    does.run(SNAPSHOT, "before", "RevertVirtualMachine", domain="web-1")
    does.vm("UnplugDisk", target="vdb", **CONFIG)


FTP = {"remote": "172.16.1.214", "port": "21", "username": "ftpuser", "password": "correct-horse"}
RULE = {"swName": "web-net", "vmmac": MAC, "type": "to", "rule": "'ip4.src == $dmz-hosts'", "operator": "allow"}


def a_day_of_security(does: Steps) -> None:
    """Ends with ``web-1`` stopped, and a backup of it in a pool and on an FTP host."""
    does.pool()
    does.pool("backup-pool", url="/var/lib/libvirt/backup-pool")
    does.switch()
    does.switch("ext-net")
    does.run(NETWORK, "dmz-hosts", "CreateAddress", address="192.168.1.1")
    does.machine(network=f"type=l3bridge,source=br-int,switch=web-net,mac={MAC}")
    does.vm("AddACL", **RULE)
    does.vm("BindFloatingIP", swName="web-net", outSwName="ext-net", fip="10.10.0.9/24")
    does.vm("SetVncPassword", password="staple-8", **BOTH)
    does.vm("SetGuestPassword", os_type="linux", user="root", password="tr0ub4dor")
    does.vm("InjectSshKey", os_type="linux", user="root", ssh_key="ssh-ed25519 AAAA root@node22")
    does.vm("BackupVM", pool="backup-pool", version="day1", all=True, **FTP)
    does.vm("StopVM")


@pytest.mark.parametrize("work", [a_day_of_work, a_day_of_security])
def test_the_same_operations_make_the_same_world(work: Callable[[Steps], None]) -> None:
    worlds: list[dict[str, Any]] = [{}, {}]
    for world in worlds:
        work(Steps(Simulator(world, "node22")))
    assert json.dumps(worlds[0]) == json.dumps(worlds[1])


def test_nothing_is_left_when_everything_is_deleted() -> None:
    world: dict[str, Any] = {}
    does = Steps(Simulator(world, "node22"))
    a_day_of_work(does)
    does.run(SNAPSHOT, "before", "DeleteSnapshot", domain="web-1")
    does.vm("DeleteVM")
    for name in ("web-1-root", "web-1-data"):
        does.run(DISK, name, "DeleteDisk", type="localfs", pool="vmd-pool")
    does.run(POOL, "vmd-pool", "DeletePool")
    does.run(NETWORK, "web-net", "DeleteSwitch")
    # The node itself, and counters that never go back: domain ids and the order of snapshots.
    assert {key.partition(":")[0] for key in world} <= {"address", "domains", "snapshots"}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        # Each fails late, after something else was done already.
        ("PlugDisk", {"source": "/var/lib/libvirt/vmd-pool/web-2-root/web-2-root", "target": "vdb", **BOTH}),
        ("PlugNIC", {"source": "source=br-ext", "type": "l2bridge", "mac": OTHER_MAC, **BOTH}),
        ("ChangeNumberOfCPU", {"count": "3", "live": True, "config": True}),
        ("DeleteVM", {"storage": "vda,vdz"}),
    ],
)
def test_a_refused_operation_leaves_the_world_byte_for_byte(operation: str, parameters: dict[str, Any]) -> None:
    world: dict[str, Any] = {}
    does = Steps(Simulator(world, "node22"))
    does.pool()
    does.machine()
    does.machine("web-2", mac=OTHER_MAC)
    does.vm("ChangeNumberOfCPU", count="2", maximum=True, cores="2", sockets="1", threads="1", **CONFIG)
    before = json.dumps(world)
    with pytest.raises(OperationFailed):
        does.vm(operation, **parameters)
    assert json.dumps(world) == before


def contents(world: dict[str, Any], name: str) -> tuple[Any, Any]:
    """What is in the file a disk uses: all that was written, and the accounts."""
    disk = world[f"VirtualMachineDisk/default/{name}"]
    file = disk["hidden"]["files"][disk["spec"]["volume"]["current"]]
    return file["content"], file.get("accounts")


def test_the_content_of_a_disk_goes_wherever_its_backup_goes() -> None:
    world: dict[str, Any] = {}
    does = Steps(Simulator(world, "node22"))
    a_day_of_security(does)
    before = contents(world, "web-1-root")
    assert before[1]["root"]["keys"] == ["ssh-ed25519 AAAA root@node22"]
    template = does.disk("template")
    does.vm("UpdateOS", source=does.path("web-1-root"), target=template)
    assert contents(world, "web-1-root") == contents(world, "template") != before
    does.run(POOL, "backup-pool", "DeleteVMBackup", domain="web-1", pool="backup-pool", version="day1")
    pulled = {"domain": "web-1", "pool": "backup-pool", "version": "day1"}
    does.run(POOL, "backup-pool", "PullRemoteBackup", **pulled, **FTP)
    does.run(POOL, "backup-pool", "RestoreVMBackup", **pulled)
    assert contents(world, "web-1-root") == before
    does.run(POOL, "backup-pool", "RestoreVMBackup", **pulled, newname="web-2")
    does.run(POOL, "backup-pool", "RestoreDisk", **pulled, vol="web-1-root", newname="copy")
    assert contents(world, "web-2-vda") == contents(world, "copy") == before


def test_accounts_are_where_the_system_disk_is() -> None:
    world: dict[str, Any] = {}
    does = Steps(Simulator(world, "node22"))
    a_day_of_security(does)
    before = contents(world, "web-1-root")
    inside = {"type": "localfs", "pool": "vmd-pool", "snapshotname": "before"}
    does.run(DISK, "web-1-root", "CreateDiskInternalSnapshot", **inside)
    does.run(MACHINE, "web-1", "CloneVM", name="web-2", auto_clone=True)
    does.vm("SetGuestPassword", os_type="linux", user="root", password="another-one")
    assert contents(world, "web-1-root") != before
    assert contents(world, "web-2-vda") == before
    does.run(DISK, "web-1-root", "RevertDiskInternalSnapshot", **inside)
    assert contents(world, "web-1-root") == before


def test_a_console_asks_again_for_the_password_of_its_backup_or_snapshot() -> None:
    world: dict[str, Any] = {}
    does = Steps(Simulator(world, "node22"))

    def console() -> Any:
        return world["VirtualMachine/default/web-1"]["hidden"]["console"]

    a_day_of_security(does)
    before = console()
    assert set(before) == {"config"}
    does.run(SNAPSHOT, "before", "CreateSnapshot", domain="web-1", diskspec="vda,snapshot=internal")
    does.vm("UnsetVncPassword", config=True)
    assert console() == {}
    does.run(SNAPSHOT, "before", "RevertVirtualMachine", domain="web-1")
    assert console() == before
    does.run(SNAPSHOT, "before", "DeleteSnapshot", domain="web-1")
    does.vm("UpdateGraphic", type="vnc", no_password=True)
    assert console() == {}
    does.vm("RestoreVM", pool="backup-pool", version="day1")
    assert console() == before
    does.vm("StartVM")
    assert console() == {**before, "live": before["config"]}


def test_no_password_is_in_the_world() -> None:
    world: dict[str, Any] = {}
    a_day_of_security(Steps(Simulator(world, "node22")))
    everything = json.dumps(world)
    for password in ("correct-horse", "staple-8", "tr0ub4dor"):
        assert password not in everything


@pytest.mark.parametrize(
    ("kind", "name", "operation", "parameters"),
    [
        # The backup is made already when the FTP host refuses it.
        (MACHINE, "web-1", "BackupVM", {"pool": "backup-pool", "version": "day2", **FTP, "password": "staple-8"}),
        # The first disk has moved already when the second one is not there.
        (
            MACHINE,
            "web-1",
            "MigrateVMDisk",
            {"migratedisks": "vol=web-1-root,pool=other-pool;vol=none,pool=other-pool"},
        ),
        # The new disk is there already when the machine for it is not.
        (POOL, "backup-pool", "RestoreDisk", {"vol": "web-1-root", "newname": "copy", "targetDomain": "web-9"}),
    ],
)
def test_what_is_refused_late_leaves_the_world_byte_for_byte(
    kind: str, name: str, operation: str, parameters: dict[str, Any]
) -> None:
    world: dict[str, Any] = {}
    simulator = Simulator(world, "node22")
    does = Steps(simulator)
    a_day_of_security(does)
    does.pool("other-pool", url="/var/lib/libvirt/other-pool")
    given = {"domain": "web-1", "pool": "backup-pool", "version": "day1", "ip": simulator.address, **parameters}
    before = json.dumps(world)
    with pytest.raises(OperationFailed):
        does.run(kind, name, operation, **given)
    assert json.dumps(world) == before


def test_an_export_has_the_definition_and_every_disk() -> None:
    world: dict[str, Any] = {}
    does = Steps(Simulator(world, "node22"))
    a_day_of_security(does)
    does.vm("ExportVM", path="/root/export")
    export = world["export:node22:/root/export/web-1"]
    assert export["definition"] == does.domain()
    assert export["disks"]["vda"]["content"] == contents(world, "web-1-root")[0]
    assert export["disks"]["vda"]["bytes"] == 10 * 1024**3


def test_nothing_of_security_or_backups_is_left_when_everything_is_deleted() -> None:
    world: dict[str, Any] = {}
    does = Steps(Simulator(world, "node22"))
    a_day_of_security(does)
    does.vm("DeleteVM", storage="vda")
    does.run(POOL, "backup-pool", "CleanVMBackup", domain="web-1", pool="backup-pool", all=True)
    does.run(POOL, "backup-pool", "DeleteRemoteBackupServer", **FTP)
    for name in ("vmd-pool", "backup-pool"):
        does.run(POOL, name, "DeletePool")
    does.run(NETWORK, "dmz-hosts", "DeleteAddress")
    for name in ("web-net", "ext-net"):
        does.run(NETWORK, name, "DeleteSwitch")
    assert {key.partition(":")[0] for key in world} <= {"address", "domains"}


def test_nodes_share_a_world_and_see_their_own() -> None:
    world: dict[str, Any] = {}
    here, there = Steps(Simulator(world, "node22")), Steps(Simulator(world, "node23"))
    here.pool()
    there.pool("far-pool", url="/var/lib/libvirt/far-pool")
    path = here.disk("web-1-data")
    there.machine("web-2", path=there.disk("web-2-root", pool="far-pool"))
    assert list(here.driver.inventory()) == [ResourceId(DISK, "web-1-data"), ResourceId(POOL, "vmd-pool")]
    assert here.observe(MACHINE, "web-2")["nodeName"] == "node23"
    with there.refused("400", "vmd-pool", "node22"):
        there.disk("web-3-root")
    with there.refused("LibvirtError", path):
        there.vm("PlugDisk", "web-2", source=path, target="vdb", **BOTH)
    with here.refused("Exception", "web-2", "node23"):
        here.vm("StopVM", "web-2")


def test_files_on_shared_storage_are_reached_from_every_node() -> None:
    world: dict[str, Any] = {}
    here, there = Steps(Simulator(world, "node22")), Steps(Simulator(world, "node23"))
    here.pool("nfs-pool", url="172.16.1.9:/export", type="nfs", opt="nolock")
    here.run(DISK, "data", "CreateDisk", type="nfs", pool="nfs-pool", format="qcow2", capacity="10000000000")
    there.pool()
    there.machine()
    there.vm("PlugDisk", source=here.path("data"), target="vdb", **BOTH)
    assert here.holder("data") == "web-1"


def test_a_mac_is_made_of_the_name_and_never_twice() -> None:
    does = Steps(Simulator({}, "node22"))
    does.pool()
    macs = set()
    for number in range(20):
        does.machine(f"web-{number}", network="type=bridge,source=virbr0")
        macs.update(does.macs(f"web-{number}"))
    assert len(macs) == 20


def test_an_operation_takes_its_time_without_holding_up_others() -> None:
    world: dict[str, Any] = {}
    slept: list[float] = []
    both_sleep = threading.Barrier(2, timeout=10)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        both_sleep.wait()

    simulator = Simulator(world, "node22", latency=lambda operation: 3.5, sleep=sleep)
    with ThreadPoolExecutor(2) as pool:
        for name in ("one-pool", "two-pool"):
            pool.submit(Steps(simulator).pool, name, url=f"/var/lib/libvirt/{name}")
    assert slept == [3.5, 3.5]
    assert len(simulator.inventory()) == 2


def test_threads_do_not_lose_each_others_work() -> None:
    world: dict[str, Any] = {}
    nodes = [Steps(Simulator(world, "node22")) for _ in range(4)]
    nodes[0].pool()

    def work(number: int) -> None:
        does = nodes[number % 4]
        does.disk(f"disk-{number}")
        if number % 2:
            does.run(DISK, f"disk-{number}", "DeleteDisk", type="localfs", pool="vmd-pool")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(200)))
    assert world["VirtualMachinePool/default/vmd-pool"]["hidden"]["files"] == 100
    assert len(nodes[0].driver.inventory()) == 101


def test_a_device_plugged_into_a_stopped_machine_is_there_when_it_runs() -> None:
    does = Steps(Simulator({}, "node22"))
    file = "/var/lib/libvirt/devices/watchdog.xml"
    does.pool()
    does.machine()
    does.vm("StopVMForce")
    does.vm("PlugDevice", file=file, **CONFIG)
    does.vm("StartVM")
    does.vm("UnplugDevice", file=file, **BOTH)
    does.vm("PlugDevice", file=file, **BOTH)
