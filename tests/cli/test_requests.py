"""``Operation`` documents run exactly once for each name and content; ``reconcile run`` is the same for a person."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from reconciler import InvalidInput, LocalCluster, Policy, apply, plan, serving
from reconciler.agent.embedded import simulators
from reconciler.apply.recovery import wait_until_idle
from reconciler.manifests.desired import Desired
from reconciler.model.problem import OperationFailed
from reconciler.planner.explanation import explain
from reconciler.reconcile import observe_stack
from support.command_line import run
from support.paths import QUICKSTART
from support.scenario import OPTIONS, desired_of, served
from support.unruly_driver import Unruly

STACK = """
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks}
"""


def operation(name: str = "look", target: str = "disks", operation: str = "ShowPool", **more: Any) -> str:
    kind = more.pop("kind", "VirtualMachinePool")
    spec = {"target": {"kind": kind, "name": target}, "operation": operation, **more}
    return f"---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Operation\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def desired(*documents: str) -> Desired:
    return desired_of(STACK + "".join(documents))


def converge(cluster: LocalCluster, wanted: Desired) -> list[str]:
    """What was run, in order."""
    made = plan(wanted, cluster)
    assert not made.problems, made.problems
    report = apply(made, cluster, options=OPTIONS)
    return [f"{outcome.step.operation} {outcome.result}" for outcome in report.outcomes]


def test_it_runs_once_and_stands_in_the_record() -> None:
    with served() as cluster:
        wanted = desired(operation())
        assert converge(cluster, wanted) == ["CreatePool created", "ShowPool ran"]
        assert converge(cluster, wanted) == []
        phases = [entry["phase"] for entry in cluster.records("shop") if "request" in entry]
        assert phases == ["start", "submitted", "end"]


def test_another_content_under_the_same_name_is_refused() -> None:
    with served() as cluster:
        converge(cluster, desired(operation()))
        (problem,) = plan(desired(operation(parameters={"type": "localfs"})), cluster).problems
        assert problem.message == "the Operation look has already run with other content"
        assert problem.remedy == "Give the new one a new name."
        assert problem.origin.line == 13


def test_a_new_name_runs_again_and_after_gives_the_order() -> None:
    with served() as cluster:
        converge(cluster, desired(operation()))
        three = [operation("third", after=["second"]), operation("second", after=["look"]), operation()]
        made = plan(desired(*three), cluster)
        assert [step.id for step in made.steps] == ["Operation/second", "Operation/third"]
        assert made.steps[1].needs == ("Operation/second",)


def test_what_failed_is_tried_again_and_holds_up_what_comes_after() -> None:
    cluster = LocalCluster(":memory:")
    driver = Unruly(simulators(cluster)("node22"))
    with cluster, serving(cluster, lambda node: driver):
        wanted = desired(operation(), operation("then", after=["look"]))
        driver.failing["ShowPool"] = OperationFailed("Exception", "not now")
        assert converge(cluster, wanted) == ["CreatePool created", "ShowPool failed", "ShowPool skipped"]
        assert "which failed before: Exception: not now" in explain(plan(wanted, cluster).steps[0])
        driver.failing.clear()
        assert converge(cluster, wanted) == ["ShowPool ran", "ShowPool ran"]


class Killed(BaseException):
    pass


class Dying(LocalCluster):
    """The user is killed before or after one of its journal entries; the agent goes on."""

    def __init__(self, phase: str, *, before: bool) -> None:
        super().__init__(":memory:")
        self.phase, self.before, self.user = phase, before, threading.get_ident()

    def record(self, stack: str, entry: Any) -> None:
        dies = "request" in entry and entry["phase"] == self.phase and threading.get_ident() == self.user
        if not (dies and self.before):
            super().record(stack, entry)
        if dies:
            self.phase = ""
            raise Killed


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("phase", ["start", "submitted", "end"])
def test_killed_anywhere_it_still_runs_exactly_once(phase: str, before: bool) -> None:
    with Dying(phase, before=before) as cluster:
        driver = Unruly(simulators(cluster)("node22"))
        with serving(cluster, lambda node: driver):
            wanted = desired(operation())
            with pytest.raises(Killed):
                converge(cluster, wanted)
            wait_until_idle(cluster, "shop")
            converge(cluster, wanted)
            assert converge(cluster, wanted) == []
        assert [name for name, _ in driver.ran].count("ShowPool") == 1


def test_one_whose_agent_dies_while_its_run_waits_is_left_to_people() -> None:
    with LocalCluster(":memory:") as cluster:
        with serving(cluster):
            converge(cluster, desired())
        wanted, claimed = desired(operation()), threading.Event()

        def die() -> None:
            """Claim the operation, and leave it to the next agent."""
            while not claimed.wait(0.01):
                pool = cluster.list("VirtualMachinePool").items[0]
                if pool["spec"].pop("lifecycle", None):
                    cluster.update({**pool, "spec": {**pool["spec"], "claimed": "showPool"}})
                    claimed.set()

        agent = threading.Thread(target=die)
        agent.start()
        made = plan(wanted, cluster)
        ended: list[Any] = []
        applying = threading.Thread(target=lambda: ended.append(apply(made, cluster, options=OPTIONS)))
        applying.start()
        agent.join()
        with serving(cluster):
            applying.join()
        (outcome,) = ended[0].outcomes
        assert (outcome.result, "the agent stopped during showPool" in outcome.message) == ("failed", True)
        (problem,) = plan(wanted, cluster).problems
        assert problem.message == "the Operation look was submitted, and how it ended is not known"


def test_what_nobody_saw_the_end_of_is_left_to_people() -> None:
    with LocalCluster(":memory:") as cluster:
        with serving(cluster):
            converge(cluster, desired())
        wanted = desired(operation())
        content = wanted.requests["look"].content
        begun = {"event": "gone-1", "step": "Operation/look", "request": {"name": "look", "content": content}}
        cluster.record("shop", {**begun, "phase": "start"})
        assert observe_stack(cluster, wanted).ledger == {}, "it was never put on its resource"
        cluster.record("shop", {**begun, "phase": "submitted"})
        (problem,) = plan(wanted, cluster).problems
        assert problem.message == "the Operation look was submitted, and how it ended is not known"
        behind = desired(operation() + operation("back", after=["look"]))
        made = plan(behind, cluster)
        assert made.steps == ()
        assert [str(note.id) for note in made.blocked if note.details["by"] == ["Operation/look"]] == [
            "Operation/back",
            "Operation/look",
        ]


@pytest.mark.parametrize(
    ("document", "message", "remedy"),
    [
        (operation(operation="ShowPol"), "ShowPol is not an operation of VirtualMachinePool", "Did you mean ShowPool"),
        (operation(operation="RebootVM"), "RebootVM is not an operation", "It is one of VirtualMachine."),
        (operation(operation="CreatePool"), "CreatePool is planned from manifests", "Describe the resource."),
        (operation(parameters={"typ": "nfs"}), "typ is not a parameter; did you mean type?", "reconcile operations"),
        (operation(parameters={"type": "floppy"}), "type must be one of localfs", "reconcile operations"),
        (operation(after=["nothing"]), "there is no Operation nothing", "Correct the name."),
        (operation() + operation(), "the Operation look is described twice", "Give each a name of its own."),
        (operation(after=["back"]) + operation("back", after=["look"]), "wait for each other", "Remove one"),
        (
            operation(operation="DeleteRemoteBackupServer", parameters={"remote": "10.0.0.1", "password": "horse-1"}),
            "password is a secret",
            "Give it as passwordFrom, or in credentialsFrom.",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(document: str, message: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        desired(document)
    found = [problem for problem in caught.value.problems if message in problem.message]
    assert found, str(caught.value)
    assert remedy in found[0].remedy
    assert found[0].origin.line > 10
    assert "horse-1" not in str(caught.value)


def test_a_target_of_somebody_else_is_left_alone() -> None:
    with served() as cluster:
        converge(cluster, desired())
        other = STACK.replace("name: shop", "name: other").partition("---")[0] + operation()
        (problem,) = plan(desired_of(other), cluster).problems
        assert problem.message == "VirtualMachinePool/disks belongs to the stack shop"
        described = desired_of(STACK.replace("name: shop", "name: other") + operation())
        made = plan(described, cluster)
        assert (made.steps, [problem.message for problem in made.problems]) == (
            (),
            ["VirtualMachinePool/disks belongs to the stack shop"] * 2,
        )
        assert {problem.path for problem in made.problems} == {"", "spec.target.name"}
        (problem,) = plan(desired(operation(target="nowhere")), cluster).problems
        assert problem.message == "VirtualMachinePool/nowhere is neither described nor on the cluster"


def test_a_pool_it_works_in_is_made_first() -> None:
    machine = {"kind": "VirtualMachine", "target": "web-1", "operation": "BackupVM"}
    with served() as cluster:
        wanted = desired(operation(**machine, parameters={"pool": "nowhere", "version": "v001"}))
        problems = plan(wanted, cluster, Policy()).problems
        assert any("web-1 is neither described" in problem.message for problem in problems)


def test_a_person_runs_one_operation(tmp_path: Path) -> None:
    run(tmp_path, "--yes", QUICKSTART)
    held = run(tmp_path, "run", "vm/web-1", "RebootVM", "--yes")
    assert (held.code, "restart (held)" in held.out) == (1, True), held.out
    assert "1 step is held; release with --allow restart:VirtualMachine/web-1." in held.out
    done = run(tmp_path, "run", "vm/web-1", "RebootVM", "--yes", "--allow", "restart")
    assert done.code == 0, done.err
    assert "!  RebootVM  VirtualMachine/web-1  node22  restart" in done.out
    assert "Applied: 1 ran." in done.err
    assert run(tmp_path, "run", "vm/web-1", "RebootVM", "--allow", "restart").code == 1, "nobody to ask"
    with LocalCluster(tmp_path / ".reconcile" / "cluster.db") as cluster:
        runs = [
            entry for entry in cluster.records("quickstart") if entry.get("request", {}).get("name", "")[:4] == "run-"
        ]
    assert [entry["phase"] for entry in runs] == ["start", "submitted", "end"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vm/web-1", "Reboot"], "Did you mean RebootVM"),
        (["vm/web-1", "BackupVM", "pool"], "'pool' is not KEY=VALUE"),
        (["vm/web-1", "BackupVM", "pool=a", "pool=b"], "pool is given twice"),
        (["vm/web-1", "BackupVM", "password=horse-1"], "Use --password-from env:NAME or file:PATH."),
        (["vm/web-1", "BackupVM", "full=yes", "pool=vmd-pool", "version=v001"], "full must be true or false"),
        (["vm/web-9", "RebootVM"], "there is no VirtualMachine/web-9. Did you mean web-1?"),
        (["vm", "RebootVM"], "Name one resource: vm/web-1."),
        (["vm/web-1", "BackupVM", "--password-from", "horse-1"], "Write env:NAME or file:PATH."),
    ],
)
def test_what_a_person_gets_wrong(tmp_path: Path, words: list[str], said: str) -> None:
    run(tmp_path, "--yes", QUICKSTART)
    result = run(tmp_path, "run", "--yes", *words)
    assert result.code == 1
    assert said in result.err
