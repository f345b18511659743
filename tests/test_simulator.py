"""The simulator: the contract, and what is particular to a model of several nodes in one world."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from contracts.driver_contract import BOTH, CONFIG, OTHER_MAC, DriverContract, Steps

from reconciler.catalogue import OPERATIONS
from reconciler.clusters.local import LocalCluster
from reconciler.drivers.base import Driver
from reconciler.drivers.simulator import EFFECTS, Simulator
from reconciler.kinds import DISK, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.problem import OperationFailed
from reconciler.resource import ResourceId


class TestSimulator(DriverContract):
    @pytest.fixture
    def driver(self) -> Iterator[Driver]:
        with closing(Simulator({}, "node22")) as driver:
            yield driver


class TestOnAFile(DriverContract):
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


def test_the_same_operations_make_the_same_world() -> None:
    worlds: list[dict[str, Any]] = [{}, {}]
    for world in worlds:
        a_day_of_work(Steps(Simulator(world, "node22")))
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


def test_every_operation_of_the_catalogue_has_an_effect() -> None:
    assert set(EFFECTS) == {(operation.kind, operation.name) for operation in OPERATIONS}
    assert len(EFFECTS) == 110
