"""How many machines are interrupted at a time: by the limits of the stack, in the plan, at apply and by the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster, Options, Plan, apply, serving
from reconciler.agent.embedded import simulators
from reconciler.apply import Result
from reconciler.model.problem import OperationFailed
from reconciler.planner.policy import DeletionLimit, InterruptionLimit, interruption_limits
from support.controller import FILES, ControllerFixture
from support.fleets import resource
from support.interruptions import Watcher
from support.scenario import converge, desired_of, plan_of, served
from support.services import NEVER, Services
from support.unruly_driver import Unruly
from support.yaml_text import text_of

ALLOW = frozenset({"interrupt", "restart"})
DB = (({"app": "db"}, "1"), ({}, "3"))


def nic(machine: int, generation: int, **more: Any) -> dict[str, Any]:
    return {"mac": f"52:54:00:00:{generation:02x}:{machine:02x}", "type": "bridge", "source": "virbr0", **more}


def machines(generation: int, count: int = 6, **spec: Any) -> list[dict[str, Any]]:
    """Machines whose NIC has another MAC in each generation; the first two are databases."""
    pool = {"nodeName": "node1", "type": "localfs", "url": "/var/lib/libvirt/disks"}
    documents = [resource("VirtualMachinePool", "disks", pool)]
    for number in range(count):
        disk = {"nodeName": "node1", "pool": "disks", "capacity": "10Gi"}
        documents.append(resource("VirtualMachineDisk", f"web-{number}-root", disk))
        machine = resource(
            "VirtualMachine",
            f"web-{number}",
            {
                "nodeName": "node1",
                "osVariant": "debian12",
                "cpu": {"count": 1},
                "memory": {"size": "1Gi"},
                "disks": [{"target": "vda", "disk": f"web-{number}-root", "boot": True}],
                "nics": [nic(number, generation)],
                **spec,
            },
        )
        machine["metadata"]["labels"] = {"app": "db" if number < 2 else "web"}
        documents.append(machine)
    return documents


def interrupted(plan: Plan) -> list[set[str]]:
    """The machines that each wave begins to interrupt."""
    waves = ({step.resource.name for step in wave if step.impact.needs_permission} for wave in plan.waves)
    return [names for names in waves if names]


@pytest.mark.parametrize(
    ("limits", "waves"),
    [
        ((), [{"web-0"}, {"web-1"}, {"web-2"}, {"web-3"}, {"web-4"}, {"web-5"}]),
        ((({}, "2"),), [{"web-0", "web-1"}, {"web-2", "web-3"}, {"web-4", "web-5"}]),
        ((({}, "50%"),), [{"web-0", "web-1", "web-2"}, {"web-3", "web-4", "web-5"}]),
        ((({}, "1%"),), [{"web-0"}, {"web-1"}, {"web-2"}, {"web-3"}, {"web-4"}, {"web-5"}]),
        (DB, [{"web-0", "web-2", "web-3", "web-4"}, {"web-1", "web-5"}]),
        ((({"app": "web"}, "100%"),), [{"web-0", "web-2", "web-3", "web-4", "web-5"}, {"web-1"}]),
    ],
)
@pytest.mark.parametrize("parallel", [1, 8])
def test_no_more_machines_are_interrupted_at_a_time_than_may_be(
    limits: tuple[tuple[dict[str, str], str], ...], waves: list[set[str]], parallel: int
) -> None:
    with served() as cluster:
        converge(cluster, desired_of(machines(0)))
        plan = plan_of(cluster, desired_of(machines(1)), allow=ALLOW, max_interrupted=interruption_limits(limits))
        watcher = Watcher(plan)
        options = Options(parallel=parallel, timeout=20, grace=1)
        report = apply(plan, cluster, options=options, on_start=watcher.start, on_outcome=watcher.end)
    assert interrupted(plan) == waves
    assert report.ok
    databases = max(len([name for name in seen if name in ("web-0", "web-1")]) for seen in watcher.seen)
    assert max(map(len, watcher.seen)) <= len(waves[0])
    assert databases <= len(waves[0] & {"web-0", "web-1"})


def test_a_restart_ends_when_the_machine_runs_again() -> None:
    with served() as cluster:
        converge(cluster, desired_of(machines(0, 2)))
        edited = machines(0, 2, cpu={"count": 1, "max": 4}, updatePolicy={"restart": "Automatic"})
        plan = plan_of(cluster, desired_of(edited), allow=ALLOW)
    order = [(step.operation, step.resource.name) for wave in plan.waves for step in wave]
    assert order.index(("StartVM", "web-0")) < order.index(("StopVM", "web-1"))


def test_machines_that_are_down_count_as_interrupted() -> None:
    """As after an apply that was killed between the stop and the start of a restart."""
    with served() as cluster:
        converge(cluster, desired_of(machines(0, 2)))
        stopped = machines(0, 2)
        stopped[-1]["spec"]["powerState"] = "Stopped"
        converge(cluster, desired_of(stopped), allow=ALLOW)
        edited = machines(0, 2)
        edited[2]["spec"]["nics"] = [nic(0, 1)]
        plan = plan_of(cluster, desired_of(edited), allow=ALLOW)
    order = [(step.operation, step.resource.name) for wave in plan.waves for step in wave]
    assert order.index(("StartVM", "web-1")) < order.index(("UnplugNIC", "web-0"))


def test_a_machine_that_is_down_and_waits_for_what_machines_share_is_back_before_others_follow() -> None:
    def sharing(dhcp: str) -> list[dict[str, Any]]:
        switch = {"subnet": "10.1.1.0/24", "gateway": "10.1.1.1", "dhcp": dhcp}
        documents = machines(0, 3)
        documents.append(resource("VirtualMachineNetwork", "front", {"nodeName": "node1", "switch": switch}))
        for number, machine in enumerate(documents[2::2]):
            port = {"type": "l3bridge", "source": "br-int", "network": "front", "ip": f"10.1.1.1{number}"}
            machine["spec"]["nics"].append({**nic(number, 9), **port})
        return documents

    with served() as cluster:
        converge(cluster, desired_of(sharing("10.1.1.2")))
        stopped = sharing("10.1.1.2")
        stopped[6]["spec"]["powerState"] = "Stopped"
        converge(cluster, desired_of(stopped), allow=ALLOW)
        edited = sharing("10.1.1.3")
        edited[2]["spec"]["nics"][0] = nic(0, 1)
        plan = plan_of(cluster, desired_of(edited), allow=ALLOW)
        report = apply(plan, cluster, options=Options(timeout=20))
    wave_of = {(step.operation, step.resource.name): number for number, wave in enumerate(plan.waves) for step in wave}
    waves = [wave_of[each] for each in (("ModifySwitch", "front"), ("StartVM", "web-2"), ("UnplugNIC", "web-0"))]
    assert waves == sorted(set(waves))
    assert report.ok


def test_machines_that_exchange_something_are_interrupted_together_and_by_themselves() -> None:
    """No order avoids it: each waits for the disk that the other one gives away."""

    def data(first: str, second: str, generation: int) -> list[dict[str, Any]]:
        documents = machines(generation, 3)
        for name in ("data-a", "data-b"):
            documents.append(resource("VirtualMachineDisk", name, documents[1]["spec"]))
        for machine, disk in zip((documents[2], documents[4]), (first, second), strict=True):
            machine["spec"]["disks"].append({"target": "vdb", "disk": disk})
        return documents

    with served() as cluster:
        converge(cluster, desired_of(data("data-a", "data-b", 0)))
        plan = plan_of(cluster, desired_of(data("data-b", "data-a", 1)), allow=ALLOW)
        watcher = Watcher(plan)
        report = apply(plan, cluster, options=Options(timeout=20), on_start=watcher.start, on_outcome=watcher.end)
    assert report.ok
    assert {"web-0", "web-1"} in watcher.seen
    assert not [seen for seen in watcher.seen if "web-2" in seen and len(seen) > 1]


def test_held_steps_make_nobody_wait() -> None:
    with served() as cluster:
        converge(cluster, desired_of(machines(0)))
        plan = plan_of(cluster, desired_of(machines(1)))
    assert not [step for step in plan.steps if any(step.resource.name not in id for id in step.needs)]


def test_after_a_failure_no_other_machine_is_interrupted_not_even_in_the_next_passes_of_the_daemon(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    with LocalCluster(":memory:") as cluster:
        unruly = Unruly(simulators(cluster)("node1"))
        with serving(cluster, lambda node: unruly):
            fixture = ControllerFixture(folder, cluster)
            write(folder, machines(0, 3))
            fixture.settle(FILES)
            unruly.ran.clear()
            unruly.failing["PlugNIC"] = OperationFailed("Exception", "no such bridge")
            write(folder, machines(1, 3))
            fixture.settle(FILES)
            for _ in range(3):
                fixture.clock.seconds += 200
                fixture.settle()
            assert {name for operation, name in unruly.ran if operation == "UnplugNIC"} == {"web-0"}
            unruly.failing.clear()
            fixture.clock.seconds += 2000
            fixture.settle()
            unplugged = [name for operation, name in unruly.ran if operation == "UnplugNIC"]
            assert unplugged == ["web-0", "web-1", "web-2"]


def test_the_daemon_interrupts_nobody_while_the_machine_before_is_not_ready(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    ready = {"tcp": {"port": 22, "address": "10.0.0.5"}, "timeout": 1}
    services = Services({"tcp 10.0.0.5:22": NEVER})
    with LocalCluster(":memory:") as cluster:
        unruly = Unruly(simulators(cluster)("node1"))
        with serving(cluster, lambda node: unruly):
            fixture = ControllerFixture(folder, cluster, prober=services)
            write(folder, machines(0, 3, readiness=ready))
            fixture.settle(FILES)
            assert services.asked == [], "nothing was interrupted"
            write(folder, machines(1, 3, readiness=ready))
            fixture.settle(FILES)
            fixture.clock.seconds += 200
            fixture.settle()
            assert {name for operation, name in unruly.ran if operation == "UnplugNIC"} == {"web-0"}
            services.answers.clear()
            fixture.clock.seconds += 2000
            fixture.settle()
            unplugged = [name for operation, name in unruly.ran if operation == "UnplugNIC"]
            assert unplugged == ["web-0", "web-1", "web-2"]


def write(folder: Path, documents: list[dict[str, Any]]) -> None:
    (folder / "all.yaml").write_text(text_of(documents))


def test_one_failed_section_skips_those_behind_it() -> None:
    with LocalCluster(":memory:") as cluster:
        unruly = Unruly(simulators(cluster)("node1"))
        with serving(cluster, lambda node: unruly):
            converge(cluster, desired_of(machines(0, 3)))
            unruly.failing["UnplugNIC"] = OperationFailed("Exception", "it is in use")
            plan = plan_of(cluster, desired_of(machines(1, 3)), allow=ALLOW)
            report = apply(plan, cluster, options=Options(timeout=20))
    results = {(each.step.operation, each.step.resource.name): each.result for each in report.outcomes}
    assert results["UnplugNIC", "web-0"] is Result.FAILED
    assert {results["UnplugNIC", name] for name in ("web-1", "web-2")} == {Result.SKIPPED}


@pytest.mark.parametrize(("text", "all", "most"), [("3", 10, 3), ("25%", 10, 2), ("1%", 10, 1), ("100%", 10, 10)])
def test_a_limit_is_a_number_or_a_share_and_never_nobody(text: str, all: int, most: int) -> None:
    assert InterruptionLimit(DeletionLimit.parse(text)).of(all) == most
