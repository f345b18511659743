"""A field that waits for the next start of a guest, and goes back to what it was before: nothing is left of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from reconciler import LocalCluster, Plan, Report, apply
from reconciler.agent.embedded import simulators
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.observe.observed import observe
from reconciler.output.plan_json import from_json, to_json
from reconciler.planner.plan import NoteKind
from reconciler.planner.rules import CHANGE, Rule
from support.next_start import without_next_start
from support.scenario import OPTIONS, converge, desired_of, plan_of, served

WEB = ResourceId(MACHINE, "web-1")
STACK = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {defaults: {nodeName: node22}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {type: localfs, url: /var/lib/libvirt/disks}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: root}
spec: {pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: data}
spec: {pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: root, boot: true}, {target: vdb, disk: data}]
  nics: [{mac: "52:54:00:00:00:01", type: bridge, source: virbr0}]
"""
CPU, MEMORY, END = "cpu: {count: 1}", "memory: {size: 1Gi}", "source: virbr0}]\n"
BOOT, DATA = "{target: vda, disk: root, boot: true}", "{target: vdb, disk: data}"
SCSI = "{target: sdb, disk: data"
SPICE = f"{END}  graphics: {{type: spice}}\n"
# Field -> what stands in the manifest at first, and afterwards: each of the two in the place of the first.
CASES: dict[str, tuple[str, str, str]] = {
    "cpu.count": (CPU, CPU, "cpu: {count: 2}"),
    "cpu.max": (CPU, "cpu: {count: 1, max: 2}", "cpu: {count: 1, max: 4}"),
    "cpu.cores": (CPU, "cpu: {count: 1, cores: 2}", "cpu: {count: 1, cores: 4}"),
    "cpu.sockets": (CPU, "cpu: {count: 1, sockets: 2}", "cpu: {count: 1, sockets: 4}"),
    "cpu.threads": (CPU, "cpu: {count: 1, threads: 2}", "cpu: {count: 1, threads: 4}"),
    "memory.size": (MEMORY, MEMORY, "memory: {size: 2Gi}"),
    "memory.max": (MEMORY, "memory: {size: 1Gi, max: 2Gi}", "memory: {size: 1Gi, max: 4Gi}"),
    "disks.* the boot disk moves": (BOOT, BOOT, "{target: vdc, disk: root, boot: true}"),
    "disks.* the boot disk's cache": (BOOT, f"{BOOT[:-1]}, cache: writethrough}}", f"{BOOT[:-1]}, cache: none}}"),
    "disks.* a data disk's bus": (DATA, f"{SCSI}, bus: scsi}}", f"{SCSI}, bus: sata}}"),
    "disks.* limits are kept": (
        BOOT,
        f"{BOOT[:-1]}, cache: writethrough, qos: {{readIops: 400}}}}",
        f"{BOOT[:-1]}, cache: none, qos: {{readIops: 400}}}}",
    ),
    "bootOrder": (END, f"{END}  bootOrder: [vda]\n", f"{END}  bootOrder: [vda, vdb]\n"),
    "usbRedirection": (END, f"{SPICE}  usbRedirection: 1\n", f"{SPICE}  usbRedirection: 2\n"),
    "graphics.type": (END, f"{END}  graphics: {{type: vnc}}\n", SPICE),
    "graphics.passwordFrom": (
        END,
        f"{END}  graphics: {{type: vnc}}\n",
        f"{END}  graphics: {{type: vnc, passwordFrom: {{env: PASSWORD}}}}\n",
    ),
}
ALLOW = frozenset({"interrupt", "restart"})


def test_every_field_that_may_wait_has_a_case() -> None:
    never = Rule.__dataclass_fields__["next_start"].default
    waiting = {field for rule in CHANGE if rule.next_start is not never for field in rule.fields}
    # The limits of a disk wait with the disk.
    assert {name for name in waiting if ".qos" not in name} == {name.partition(" ")[0] for name in CASES}


@pytest.fixture(params=CASES)
def stacks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The stack with the first value of a field, and with the second."""
    monkeypatch.setenv("PASSWORD", "staple-8")
    place, *values = CASES[request.param]
    one, two = (STACK.replace(place, value) for value in values)
    return one, two


@pytest.fixture
def cluster(stacks: tuple[str, str]) -> Iterator[LocalCluster]:
    """The stack with the first value, with which the guest was started."""
    with served() as cluster:
        off = stacks[0].replace("  osVariant", "  powerState: Stopped\n  osVariant")
        converge(cluster, desired_of(off), allow=ALLOW)
        converge(cluster, desired_of(stacks[0]), allow=ALLOW)
        assert plan_of(cluster, desired_of(stacks[0])).steps == ()
        yield cluster


def shape(cluster: LocalCluster) -> Shape:
    return observe(cluster).resources[WEB].shape


def waits(made: Plan) -> bool:
    return any(note.kind is NoteKind.PENDING_RESTART for note in made.notes)


def started_anew(cluster: LocalCluster) -> Shape:
    """The machine after somebody stopped and started it."""
    driver = simulators(cluster)("node22")
    for operation in ("StopVMForce", "StartVM"):
        driver.run(WEB, operation, {})
    resource = cluster.get(WEB)
    assert resource is not None
    spec = {name: each for name, each in resource["spec"].items() if name != "nextStart"}
    cluster.update({**resource, "spec": {**spec, **(driver.observe(WEB) or {})}})
    return shape(cluster)


def test_the_plan_is_empty_and_the_next_start_has_the_first_value(
    cluster: LocalCluster, stacks: tuple[str, str]
) -> None:
    one, two = map(desired_of, stacks)
    before = shape(cluster)
    converge(cluster, two)
    assert waits(plan_of(cluster, two))
    report = converge(cluster, one)
    assert {str(outcome.result) for outcome in report.outcomes} <= {"changed", "unchanged"}
    assert "changed" in {str(outcome.result) for outcome in report.outcomes}
    again = plan_of(cluster, one)
    assert (again.steps, waits(again)) == ((), False)
    assert started_anew(cluster) == before
    assert plan_of(cluster, one).steps == ()


def test_without_a_way_back_the_next_start_has_the_second_value(cluster: LocalCluster, stacks: tuple[str, str]) -> None:
    two = desired_of(stacks[1])
    converge(cluster, two)
    before = shape(cluster)
    assert started_anew(cluster) != before
    again = plan_of(cluster, two)
    assert (again.steps, waits(again)) == ((), False)


def test_a_saved_plan_is_applied_twice_and_does_nothing_the_second_time(
    cluster: LocalCluster, stacks: tuple[str, str]
) -> None:
    saved = from_json("plan.json", json.dumps(to_json(plan_of(cluster, desired_of(stacks[1])))))
    assert apply(saved, cluster, options=OPTIONS).ok
    assert results(apply(saved, cluster, options=OPTIONS)) == second_time(saved)


def test_with_an_agent_that_does_not_show_the_next_start_the_plan_is_empty_as_well(
    stacks: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Simulator, "observe", without_next_start(Simulator.observe))
    with served() as cluster:
        off = stacks[0].replace("  osVariant", "  powerState: Stopped\n  osVariant")
        one, two = map(desired_of, stacks)
        converge(cluster, desired_of(off), allow=ALLOW)
        converge(cluster, one, allow=ALLOW)
        converge(cluster, two)
        assert waits(plan_of(cluster, two))
        saved = plan_of(cluster, one)
        assert saved.steps
        assert {"changed"} == {str(outcome.result) for outcome in apply(saved, cluster, options=OPTIONS).outcomes}
        again = plan_of(cluster, one)
        assert (again.steps, waits(again)) == ((), False)
        assert results(apply(saved, cluster, options=OPTIONS)) == second_time(saved)


def results(report: Report) -> set[str]:
    return {str(outcome.result) for outcome in report.outcomes}


def second_time(saved: Plan) -> set[str]:
    """What comes of a plan that is applied once more: a part that was replaced is not what it was planned upon."""
    targets = [step.parameters["target"] for step in saved.steps if "target" in step.parameters]
    return {"failed", "skipped"} if len(set(targets)) < len(targets) else {"unchanged"}
