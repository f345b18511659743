"""Runs of the daemon that are cut short: for a file that was saved, and because it was told to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from reconciler import LocalCluster, make_plan, observe
from reconciler.agent.embedded import serving, simulators
from reconciler.drivers.base import Driver, HostSnapshot, Spec
from reconciler.drivers.capability import Capabilities
from reconciler.model.resource import ResourceId
from support.controller import CLUSTER, ControllerFixture, disk, pool, until
from support.replica import lines, replica, says
from support.scenario import desired_of


class Slow:
    """A host on which operations on one resource come to their end when they are let."""

    def __init__(self, under: Driver, name: str) -> None:
        self._under, self._name = under, name
        self.begun, self.let = threading.Event(), threading.Event()

    def capabilities(self) -> Capabilities:
        return self._under.capabilities()

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        if target.name == self._name:
            self.begun.set()
            assert self.let.wait(60)
        return self._under.run(target, operation, parameters)

    def observe(self, id: ResourceId) -> Spec | None:
        return self._under.observe(id)

    def inventory(self) -> Collection[ResourceId]:
        return self._under.inventory()

    def scan(self) -> HostSnapshot:
        return self

    def noticed(self) -> Collection[ResourceId]:
        return self._under.noticed()

    def close(self) -> None:
        self._under.close()


def test_what_is_left_under_way_is_waited_for_and_not_done_twice(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    with LocalCluster(":memory:") as cluster:
        slow = Slow(simulators(cluster)("node22"), "pool-a")
        with serving(cluster, lambda node: slow):
            fixture = ControllerFixture(folder, cluster, interrupts=lambda: 2 if slow.begun.is_set() else 0)
            fixture.write("a.yaml", pool("pool-a") + disk("root", "pool-a"))
            assert fixture.reconcile().results == {"interrupted": 2}
            slow.begun.clear()
            hint = fixture.write("b.yaml", pool("pool-b"))
            assert fixture.reconcile(hint).results == {"created": 1}, "the rest goes on"
            assert fixture.names() == {"pool-b"}
            slow.let.set()
            until(lambda: not observe(cluster).resources[ResourceId("VirtualMachinePool", "pool-a")].under_way)
            fixture.settle(CLUSTER)
            assert fixture.names() == {"pool-a", "pool-b", "root"}
            assert set(fixture.operations().values()) == {1}
            assert fixture.reconcile().planned == 0


def test_a_saved_file_is_not_kept_waiting_by_a_long_run(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "a.yaml").write_text(pool("pool-a") + "".join(disk(f"disk-{n}", "pool-a") for n in range(6)))
    cluster = ("--cluster", str(tmp_path / "c.db"))
    with replica(shop, *cluster, "--parallel", "1", "--latency", "0.5") as (_, log):
        until(says(log, "created: CreatePool"))
        (shop / "b.yaml").write_text(pool("pool-b"))
        until(lambda: sum("created: " in line for line in lines(log)) == 8)
        made = [line.rpartition("/")[2].strip() for line in lines(log) if "created: " in line]
    assert made[0] == "pool-a"
    assert made.index("pool-b") < 5, f"it waited for the whole run: {made}"
    assert sorted(made) == [*(f"disk-{n}" for n in range(6)), "pool-a", "pool-b"]


def test_who_is_told_twice_to_end_does_not_wait_and_the_next_one_goes_on(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "a.yaml").write_text(pool("pool-a"))
    cluster = ("--cluster", str(tmp_path / "c.db"))
    with LocalCluster(tmp_path / "c.db") as seen:
        slow = Slow(simulators(seen)("node22"), "pool-a")
        with serving(seen, lambda node: slow):
            with replica(shop, *cluster) as (first, log):
                assert slow.begun.wait(60)
                first.send_signal(signal.SIGTERM)
                until(says(log, "stopping: waiting"))
                assert first.poll() is None, "what is under way is waited for"
                first.send_signal(signal.SIGTERM)
                assert first.wait(30) == 0
            slow.let.set()
            with replica(shop, *cluster) as (_, log):
                until(says(log, "became the leader"))
                until(lambda: not make_plan(desired_of(shop), observe(seen)).steps)
