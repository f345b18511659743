"""Rehearsals: what a plan would come to, tried out on a simulated copy of what was observed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler import LocalCluster, apply, load, make_plan, observe, serving, validate
from reconciler.cli import cli
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.kinds import KINDS
from reconciler.planner.plan import Action
from reconciler.reconcile import observe_stack, plan, with_secret_digests
from reconciler.rehearsal import Fault, FaultMode, Rehearsal, rehearse
from support.command_line import run
from support.golden_plans import CASES, NODES, covering, desired_in, policy_of, prepare
from support.paths import FIREWALL, ROOT
from support.scenario import OPTIONS, served
from support.services import ANSWERING

pytestmark = pytest.mark.usefixtures("without_rest")


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("case", [case for case in CASES if not (case / "wire.yaml").exists()], ids=lambda c: c.name)
def test_a_rehearsal_ends_as_the_apply_does(case: Path) -> None:
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        observed = observe_stack(cluster, desired)
        made = make_plan(with_secret_digests(desired, cluster), observed, policy)
        rehearsal = rehearse(made, desired, observed, policy)
        assert [m for m in rehearsal.first.timeline if m.result in ("failed", "skipped", "not rehearsed")] == []
        assert rehearsal.converges, (rehearsal.first.unwelcome, rehearsal.first.problems)
        report = apply(made, cluster, options=OPTIONS, prober=ANSWERING)
        real = {outcome.step.id: str(outcome.result) for outcome in report.outcomes}
        assert {moment.step.id: moment.result for moment in rehearsal.first.timeline} == real
        again = plan(desired, cluster, policy)
        assert [step.id for step in rehearsal.first.left.steps] == [step.id for step in again.steps]


@pytest.mark.parametrize("case", [case for case in CASES if (case / "wire.yaml").exists()], ids=lambda c: c.name)
def test_what_another_agent_left_is_rehearsed_as_well(case: Path) -> None:
    with LocalCluster(":memory:") as cluster:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        observed = observe_stack(cluster, desired)
        made = make_plan(with_secret_digests(desired, cluster), observed, policy)
        rehearsal = rehearse(made, desired, observed, policy)
        assert rehearsal.converges, rehearsal


# Faults ----------------------------------------------------------------------------------------------------

QUICKSTART = "examples/manifests/quickstart"


def quickstart(cluster: LocalCluster, *faults: str, path: str = QUICKSTART) -> Rehearsal:
    desired = validate(load([path]))
    observed = observe_stack(cluster, desired)
    made = make_plan(with_secret_digests(desired, cluster), observed)
    return rehearse(made, desired, observed, faults=[Fault.of(text) for text in faults])


def results(rehearsal: Rehearsal) -> dict[str, str]:
    return {
        f"{moment.step.operation}:{moment.step.resource.name}": moment.result for moment in rehearsal.first.timeline
    }


@pytest.fixture
def empty() -> Iterator[LocalCluster]:
    with LocalCluster(":memory:") as cluster:
        yield cluster


def test_a_step_that_is_refused_holds_up_what_needs_it_and_nothing_else(empty: LocalCluster) -> None:
    rehearsal = quickstart(empty, "CreateSwitch")
    assert results(rehearsal) == {
        "CreatePool:vmd-pool": "created",
        "CreateSwitch:web-net": "failed",
        "CreateDisk:web-1-data": "created",
        "CreateDisk:web-1-root": "created",
        "CreateAndStartVMFromISO:web-1": "created",
        "PlugNIC:web-1": "skipped",
    }
    assert [step.operation for step in rehearsal.first.left.steps] == ["CreateSwitch", "PlugNIC"]
    assert rehearsal.converges


def test_a_step_that_did_nothing_is_noticed_as_the_resource_does_not_show_it(empty: LocalCluster) -> None:
    rehearsal = quickstart(empty, "PlugNIC=silent")
    failed = next(moment for moment in rehearsal.first.timeline if moment.step.operation == "PlugNIC")
    assert (failed.result, failed.fault) == ("failed", "silent")
    assert "it was reported done, but after 600 s the resource does not show it" in failed.message
    assert rehearsal.converges
    assert not rehearsal.unnoticed


def test_a_step_that_did_nothing_and_cannot_be_seen_is_said_to_deceive(empty: LocalCluster, tmp_path: Path) -> None:
    manifest = tmp_path / "net.yaml"
    manifest.write_text(
        "apiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachineNetwork\nmetadata: {name: dmz-hosts}\n"
        "spec: {nodeName: node22, addresses: [10.0.0.1]}\n"
    )
    with serving(empty):
        apply(plan(validate(load([manifest])), empty), empty, options=OPTIONS)
    manifest.write_text(manifest.read_text().replace("10.0.0.1", "10.0.0.2"))
    rehearsal = quickstart(empty, "ModifyAddress=silent", path=str(manifest))
    assert [step.operation for step in rehearsal.unnoticed] == ["ModifyAddress"]
    assert not rehearsal.converges


def test_an_operation_whose_agent_dies_is_found_done(empty: LocalCluster) -> None:
    rehearsal = quickstart(empty, "CreateAndStartVMFromISO=lost")
    assert set(results(rehearsal).values()) <= {"created", "changed"}
    assert not rehearsal.first.left.steps


# 'make campaign' tries every case; otherwise some in which every operation occurs.
_SERVED = [case for case in CASES if not (case / "wire.yaml").exists()]
_CHOSEN = covering(_SERVED)
_OTHERS = [each for each in _SERVED if each not in _CHOSEN] if os.environ.get("RECONCILE_CAMPAIGN") else []
_CASES = [*_CHOSEN, *(pytest.param(case, marks=pytest.mark.slow) for case in _OTHERS)]


@pytest.mark.parametrize("way", list(FaultMode))
@pytest.mark.parametrize("case", _CASES, ids=lambda c: c.name)
def test_after_any_one_fault_a_second_run_converges(case: Path, way: FaultMode) -> None:
    """Every step of the plans, each in every way; what nothing shows is said to be unnoticed.

    Of what nothing shows nobody can tell after the death of an agent either: that is left to people.
    """
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        observed = observe_stack(cluster, desired)
        made = make_plan(with_secret_digests(desired, cluster), observed, policy)
    for step in made.runnable:
        if step.action is not Action.MARK:
            rehearsal = rehearse(made, desired, observed, policy, faults=[Fault(step.id, way)])
            again = rehearsal.again
            assert again is not None
            blind = way is FaultMode.LOST and not step.expect
            assert again.converges or step in rehearsal.unnoticed or blind, (step.id, again.unwelcome, again.problems)


# What it is not allowed to do ------------------------------------------------------------------------------


def test_the_cluster_that_was_observed_is_not_written_to(empty: LocalCluster) -> None:
    with serving(empty):
        desired = validate(load([QUICKSTART]))
        apply(plan(desired, empty), empty, options=OPTIONS)
    before = [empty.list(kind) for kind in (*KINDS, "Event")], empty.records("quickstart"), dict(empty.world())
    quickstart(empty)
    assert (
        [empty.list(kind) for kind in (*KINDS, "Event")],
        empty.records("quickstart"),
        dict(empty.world()),
    ) == before


def test_the_same_plan_makes_the_same_timeline(empty: LocalCluster) -> None:
    first, second = (quickstart(empty, "PlugNIC=lost") for _ in range(2))
    assert first.first.timeline == second.first.timeline
    assert first.first.seconds == second.first.seconds


def test_no_secret_is_read_for_a_rehearsal(empty: LocalCluster, tmp_path: Path) -> None:
    """The samples of a stage are not the values, and where the values cannot be read it goes on all the same."""
    words = (tmp_path / "secret", "hunter-2")
    words[0].write_text(words[1])
    manifest = Path(QUICKSTART, "quickstart.yaml").read_text()
    assert "graphics: {" in manifest
    machine = manifest.replace("graphics: {", f"graphics: {{passwordFrom: {{file: {words[0]}}}, ", 1)
    (tmp_path / "m.yaml").write_text(machine)
    rehearsal = quickstart(empty, path=str(tmp_path / "m.yaml"))
    assert rehearsal.converges
    assert words[1] not in repr(rehearsal)
    words[0].unlink()
    assert quickstart(empty, path=str(tmp_path / "m.yaml")).converges


# At the command line ---------------------------------------------------------------------------------------


def test_apply_goes_no_further_where_a_rehearsal_does_not_converge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that does nothing stands for a plan that cannot work."""
    monkeypatch.setenv("RECONCILE_CLUSTER", str(tmp_path / "cluster.db"))
    monkeypatch.setattr(Simulator, "run", lambda self, target, operation, parameters: [target])
    done = CliRunner().invoke(cli, ["apply", "--yes", "--rehearse", QUICKSTART])
    assert done.exit_code == 1
    assert "Rehearsed: it does NOT converge" in done.stdout
    assert "nothing was applied, as the rehearsal did not converge" in done.stderr
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        assert not observe(cluster).resources


def test_apply_goes_on_where_it_converges(tmp_path: Path) -> None:
    done = run(tmp_path, "--yes", "--rehearse", Path(QUICKSTART).resolve())
    assert done.code == 0
    assert "Rehearsed: it converges, 6 steps in 8.0 s." in done.out
    assert "Applied: 5 created, 1 changed." in done.err


def test_a_rehearsal_as_json(tmp_path: Path) -> None:
    done = run(tmp_path, "--inject", "CreateSwitch=lost", "-o", "json", Path(QUICKSTART).resolve())
    assert done.code == 0
    told = json.loads(done.out)
    first = told["rehearsal"]["first"]["timeline"]
    assert told["rehearsal"]["converges"] is True
    assert [each["operation"] for each in first if each["fault"] == "lost"] == ["CreateSwitch"]
    assert told["rehearsal"]["again"]["timeline"] == []
    assert len(told["plan"]["steps"]) == len(first) == 6
    assert not (tmp_path / ".reconcile").exists(), "to rehearse is to write nothing"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--inject", "StartVM"), "StartVM matches no step of the plan that can fail; its steps: CreatePool:"),
        (("--inject", "PlugNIC=slowly"), "'slowly' is not a fault mode: fail, silent, lost"),
        (("--rehearse", "-o", "html"), "--rehearse is shown as text or json, not as html"),
    ],
)
def test_wrong_words_for_a_rehearsal(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    done = run(tmp_path, "plan", *words, Path(QUICKSTART).resolve())
    assert done.code == 1
    assert message in done.err


def test_a_saved_plan_is_not_rehearsed(tmp_path: Path) -> None:
    run(tmp_path, "--plan", "--out", "plan.json", Path(QUICKSTART).resolve())
    for verb in ("plan", "apply"):
        done = run(tmp_path, verb, "--rehearse", "plan.json")
        assert done.code == 1
        assert "--rehearse is for manifests: plan.json is a saved plan" in done.err


def test_a_flow_that_is_open_for_a_while_is_told_with_the_steps_between_which_it_is(tmp_path: Path) -> None:
    done = run(tmp_path, "--plan", "--rehearse", "-o", "json", FIREWALL)
    assert done.code == 0
    (told,) = json.loads(done.out)["rehearsal"]["openFlows"]
    assert (told["from"], told["to"], told["port"]) == ("VirtualMachine/mail-1", "VirtualMachine/db-1", "tcp/3306")
    steps = {each["id"]: (each["operation"], each["resource"]) for each in json.loads(done.out)["plan"]["steps"]}
    assert steps[told["since"]["step"]] == ("CreateAndStartVMFromISO", "VirtualMachine/mail-1")
    assert steps[told["until"]["step"]] == ("AddACL", "VirtualMachine/db-1")
    assert told["since"]["seconds"] < told["until"]["seconds"]
    assert (Path(told["file"]).name, told["line"]) == ("reconcile.yaml", 7)


def test_a_flow_that_is_shut_all_the_time_is_not_told(tmp_path: Path) -> None:
    """The rules of a machine are there before the machine that they keep out."""
    shutil.copytree(FIREWALL, tmp_path / "m")
    machines = tmp_path / "m" / "machines.yaml"
    everything = machines.read_text()
    machines.write_text(
        everything.partition(
            "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachine\nmetadata: {name: mail-1}"
        )[0]
    )
    stack = tmp_path / "m" / "reconcile.yaml"
    expected = stack.read_text()
    stack.write_text("\n".join(line for line in expected.splitlines() if "mail-1" not in line))
    assert run(tmp_path, "--yes", "m").code == 0
    machines.write_text(everything)
    stack.write_text(expected)
    done = run(tmp_path, "--plan", "--rehearse", "-o", "json", "m")
    assert json.loads(done.out)["rehearsal"]["openFlows"] == []
