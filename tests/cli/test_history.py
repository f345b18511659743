"""Runs as the journal tells them, and the verbs that show them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster, Report, Result
from reconciler.apply.journal import RunJournal
from reconciler.apply.report import Outcome
from reconciler.catalogue.operation import Impact
from reconciler.cli.provenance import actor, commit_of
from reconciler.model.journal import read_journal
from reconciler.model.outcome import RunResult
from reconciler.model.problem import Unavailable
from reconciler.model.provenance import Provenance
from reconciler.model.resource import ResourceId
from reconciler.output.history import RunRecord, past_steps_text, run_json, run_text, runs_text, steps_on
from reconciler.output.history import runs as runs_of
from reconciler.planner.plan import MARK, Action, Reason, Step
from support.command_line import COMMAND, run
from support.paths import QUICKSTART, ROOT

POOL, VM = "VirtualMachinePool/vmd", "VirtualMachine/web-1"
DISK, GOLDEN = "VirtualMachineDisk/root", "VirtualMachineDisk/golden"


def runs(entries: list[dict[str, Any]]) -> list[RunRecord]:
    return runs_of(read_journal(entries))


def at(seconds: int) -> str:
    return f"2026-11-23T10:00:{seconds:02d}.250+00:00"


def start(run: str, step: str, operation: str, target: str, second: int, **more: Any) -> dict[str, Any]:
    names = {"step": step, "operation": operation, "target": target}
    return {"run": run, "event": f"{run}-{step}", "at": at(second), "phase": "start", **names, **more}


def end(run: str, step: str, operation: str, target: str, second: int, **more: Any) -> dict[str, Any]:
    return {**start(run, step, operation, target, second), "phase": "end", "message": "", "seen": True, **more}


JOURNAL = [
    # of a version that said nothing of the run itself
    {"run": "0a0000000000", "phase": "run"},
    start("0a0000000000", "s1", "CreatePool", POOL, 1),
    end("0a0000000000", "s1", "CreatePool", POOL, 3, result="created", seconds=2.0),
    {"run": "0a0000000000", "phase": "ended"},
    # done, with a step that had no entries of its own
    {
        "run": "1b0000000000",
        "phase": "run",
        "at": at(10),
        "who": "alice on pc",
        "verb": "apply",
        "commit": "19af75b",
        "dirty": True,
    },
    start("1b0000000000", "s1", "CloneDisk", GOLDEN, 10, subject=DISK),
    end("1b0000000000", "s1", "CloneDisk", GOLDEN, 14, subject=DISK, result="created", seconds=4.0),
    {
        "run": "1b0000000000",
        "phase": "ended",
        "at": at(14),
        "seconds": 4.1,
        "totals": {"created": 1, "marked": 1},
        "others": [{"step": "s2", "operation": "(mark)", "target": POOL, "result": "marked", "message": ""}],
    },
    # a failure, and more steps behind it than are listed
    {
        "run": "1c0000000000",
        "phase": "run",
        "at": at(20),
        "who": "ci on runner",
        "verb": "apply",
        "plan": "p.json",
        "commit": "2b00000",
    },
    start("1c0000000000", "s1", "StartVM", VM, 20),
    end("1c0000000000", "s1", "StartVM", VM, 21, result="failed", message="no disk\nat vda", seconds=1.0),
    {
        "run": "1c0000000000",
        "phase": "ended",
        "at": at(21),
        "seconds": 1.2,
        "totals": {"failed": 1, "skipped": 30},
        "others": [
            {"step": "s2", "operation": "PlugDisk", "target": VM, "result": "skipped", "message": "StartVM failed"}
        ],
    },
    # asked to stop
    {"run": "2d0000000000", "phase": "run", "at": at(30), "who": "alice on pc", "verb": "delete"},
    start("2d0000000000", "s1", "StopVM", VM, 30),
    end("2d0000000000", "s1", "StopVM", VM, 31, result="changed", seconds=1.0),
    {
        "run": "2d0000000000",
        "phase": "stopped",
        "at": at(31),
        "seconds": 1.0,
        "totals": {"changed": 1, "interrupted": 1},
    },
    # killed
    {"run": "2e0000000000", "phase": "run", "at": at(40), "who": "alice on pc", "verb": "run"},
    start("2e0000000000", "s1", "RebootVM", VM, 40, request={"name": "run-1", "content": "x"}),
    {**start("2e0000000000", "s1", "RebootVM", VM, 40), "phase": "submitted"},
]

RUNS = """\
RUN           BEGAN                 WHO           COMMIT     WHAT          TOOK   RESULT
2e0000000000  2026-11-23T10:00:40Z  alice on pc   -          run           -      unfinished: 1 unfinished
2d0000000000  2026-11-23T10:00:30Z  alice on pc   -          delete        1.0 s  interrupted: 1 changed, 1 interrupted
1c0000000000  2026-11-23T10:00:20Z  ci on runner  2b00000    apply p.json  1.2 s  failed: 1 failed, 30 skipped
1b0000000000  2026-11-23T10:00:10Z  alice on pc   19af75b +  apply         4.1 s  done: 1 created, 1 marked
0a0000000000  2026-11-23T10:00:01Z  -             -          -             -      done: 1 created
"""
FAILED = """\
Run:     1c0000000000
Began:   2026-11-23T10:00:20Z
Ended:   2026-11-23T10:00:21Z
Took:    1.2 s
Who:     ci on runner
Commit:  2b00000
What:    apply p.json
Result:  failed: 1 failed, 30 skipped
Steps:
  2026-11-23T10:00:20Z  StartVM   VirtualMachine/web-1  1.0 s  failed: no disk at vda
  -                     PlugDisk  VirtualMachine/web-1  -      skipped: StartVM failed
  and 29 more that are only counted
"""
DIRTY = """\
Run:     1b0000000000
Began:   2026-11-23T10:00:10Z
Ended:   2026-11-23T10:00:14Z
Took:    4.1 s
Who:     alice on pc
Commit:  19af75b and changes that are not committed
What:    apply
Result:  done: 1 created, 1 marked
Steps:
  2026-11-23T10:00:10Z  CloneDisk  VirtualMachineDisk/root (on VirtualMachineDisk/golden)  4.0 s  created
  -                     (mark)     VirtualMachinePool/vmd                                  -      marked
"""
PAST = """\
  2e0000000000  2026-11-23T10:00:40Z  alice on pc   RebootVM  -      unfinished
  2d0000000000  2026-11-23T10:00:30Z  alice on pc   StopVM    1.0 s  changed
  1c0000000000  2026-11-23T10:00:20Z  ci on runner  PlugDisk  -      skipped: StartVM failed
  1c0000000000  2026-11-23T10:00:20Z  ci on runner  StartVM   1.0 s  failed: no disk at vda"""


def test_the_runs_newest_first() -> None:
    assert runs_text(runs(JOURNAL)) == RUNS


def test_a_run_and_its_steps() -> None:
    _, _, failed, dirty, _ = runs(JOURNAL)
    assert run_text(failed) == FAILED
    assert run_text(dirty) == DIRTY


def test_what_was_done_to_a_resource_as_subject_or_target() -> None:
    found = runs(JOURNAL)
    assert "\n".join(past_steps_text(steps_on(VM, found))) == PAST
    assert [past.step.operation for past in steps_on(DISK, found)] == ["CloneDisk"]
    assert [past.step.operation for past in steps_on(GOLDEN, found)] == ["CloneDisk"]
    assert steps_on("VirtualMachine/web-2", found) == []


def test_a_run_for_machines_is_json() -> None:
    told = run_json(runs(JOURNAL)[3], steps=True)
    assert json.loads(json.dumps(told)) == told
    assert told["steps"][0]["subject"] == DISK
    assert "steps" not in run_json(runs(JOURNAL)[3])


def test_runs_that_are_interleaved_are_told_apart() -> None:
    mixed = [JOURNAL[0], JOURNAL[4], JOURNAL[1], *JOURNAL[5:7], JOURNAL[2], JOURNAL[7], JOURNAL[3]]
    assert [(found.id[:2], found.outcome, len(found.steps)) for found in runs(mixed)] == [
        ("1b", RunResult.DONE, 2),
        ("0a", RunResult.DONE, 1),
    ]


def test_a_journal_that_begins_in_the_middle_is_read_as_far_as_it_goes() -> None:
    *_, cut = runs(JOURNAL[2:])
    assert (cut.id, cut.began, cut.outcome) == ("0a0000000000", "2026-11-23T10:00:03Z", RunResult.DONE)
    assert runs([{"step": 1}]) == []


def test_left_under_way_by_an_older_version_is_interrupted() -> None:
    left = [*JOURNAL[:2], end("0a0000000000", "s1", "CreatePool", POOL, 3, result="interrupted", seconds=2.0)]
    assert runs(left)[0].outcome is RunResult.INTERRUPTED


def test_the_last_entry_stays_small_and_tells_the_worst_first() -> None:
    subject = ResourceId("VirtualMachine", "web-1")

    def step(number: int) -> Step:
        return Step(f"s{number}", Action.MARK, MARK, subject, subject, "n", {}, Reason.OWNERSHIP, Impact.NONE)

    outcomes = [Outcome(step(number), Result.MARKED) for number in range(1000)]
    outcomes += [Outcome(step(1000), Result.FAILED, "x" * 10_000)]
    with LocalCluster(":memory:") as cluster:
        journal = RunJournal(cluster, "shop", "r1", lambda: datetime(2026, 11, 23, tzinfo=UTC))
        journal.start_run(Provenance("alice on pc", "import --adopt"))
        journal.end_run(Report(outcomes), 2.0)
        assert len(json.dumps(cluster.records("shop"))) < 5_000
        (run,) = runs(cluster.records("shop"))
    assert (run.outcome, run.totals) == (RunResult.FAILED, {"marked": 1000, "failed": 1})
    assert next(iter(run.steps.values())).result == "failed"
    assert run_text(run).endswith("  and 981 more that are only counted\n")


@pytest.mark.parametrize("result", [Result.INTERRUPTED, Result.MARKED])
def test_only_a_run_that_stopped_may_go_without_its_last_entry(result: Result) -> None:
    class Gone(LocalCluster):
        def record(self, stack: str, entry: Any) -> None:
            raise Unavailable("the API does not answer")

    subject = ResourceId("VirtualMachine", "web-1")
    step = Step("s1", Action.MARK, MARK, subject, subject, "n", {}, Reason.OWNERSHIP, Impact.NONE)
    with Gone(":memory:") as cluster:
        journal = RunJournal(cluster, "shop", "r1", lambda: datetime(2026, 11, 23, tzinfo=UTC))
        with pytest.raises(Unavailable) if result is Result.MARKED else nullcontext():
            journal.end_run(Report([Outcome(step, result)]), 2.0)


# Who, and which commit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["GITHUB_ACTOR", "GITLAB_USER_LOGIN"])
def test_a_pipeline_names_the_one_it_runs_for(name: str) -> None:
    assert actor({name: "octo\x1b[31mcat"}).startswith("octo[31mcat on ")
    assert " on " in actor({})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "manifests").mkdir(parents=True)
    (folder / "manifests" / "quickstart.yaml").write_text((QUICKSTART / "quickstart.yaml").read_text())
    (folder / "manifests" / "reconcile.yaml").write_text(
        "{apiVersion: gitops.doslab.io/v1alpha1, kind: Stack, metadata: {name: shop}}\n"
    )
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Begin")
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_of_the_manifests(repository: Path) -> None:
    head = git(repository, "rev-parse", "--short", "HEAD")
    manifests = repository / "manifests"
    for path in (manifests, manifests / "quickstart.yaml", repository):
        assert commit_of([str(path)]) == (head, False)
    (manifests / "notes.txt").write_text("not a manifest")
    (manifests / ".reconcile").mkdir()
    (manifests / ".reconcile" / "draft.yaml").write_text("nor this")
    (repository / "other.yaml").write_text("elsewhere")
    assert commit_of([str(manifests)]) == (head, False)
    assert commit_of([str(manifests), str(repository / "other.yaml")]) == (head, True)
    (manifests / "new.yaml").write_text("a manifest")
    assert commit_of([str(manifests)]) == (head, True)
    assert commit_of([str(manifests / "quickstart.yaml")]) == (head, False)
    (manifests / "quickstart.yaml").unlink()
    assert commit_of([str(manifests / "quickstart.yaml")]) == (head, True)


def test_without_git_or_a_repository_there_is_no_commit(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of([]) == commit_of(["-"]) == commit_of([str(tmp_path)]) == ("", False)
    assert commit_of([str(tmp_path / "nowhere" / "at all")]) == ("", False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of([str(repository)]) == ("", False)


def test_a_repository_cannot_name_a_program_to_run(repository: Path) -> None:
    hook = repository / "hook"
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(hook))
    commit_of([str(repository)])
    assert not (repository / "ran").exists()


# The verbs -------------------------------------------------------------------------------------------------


def shown(folder: Path, *words: str | Path) -> Any:
    result = run(folder, *words, "-o", "json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_an_apply_is_found_in_the_history_of_its_stack(repository: Path) -> None:
    manifests = repository / "manifests"
    assert run(manifests, "history").err.startswith("error: there is no stack shop on the cluster")
    assert run(manifests, "--yes").code == 0
    assert run(manifests, "--yes").code == 0, "nothing to do, nothing to record"
    assert run(manifests, "run", "--yes", "--allow", "restart", "vm/web-1", "RebootVM").code == 0
    rebooted, applied = shown(manifests, "history")
    assert (applied["verb"], applied["outcome"]) == ("apply", "done")
    assert applied["totals"] == {"created": 5, "changed": 1}
    assert (applied["commit"], applied["dirty"]) == (git(repository, "rev-parse", "--short", "HEAD"), False)
    assert " on " in applied["who"]
    assert applied["ended"] >= applied["began"] > "2020"
    assert (rebooted["verb"], rebooted["totals"]) == ("run", {"ran": 1})
    assert [each["run"] for each in shown(manifests, "history", "--limit", "1")] == [rebooted["run"]]

    one = shown(manifests, "history", applied["run"][:6])
    assert len(one["steps"]) == 6
    assert all(step["seconds"] > 0 and step["at"] for step in one["steps"])
    text = run(repository, "history", "--stack", "shop", "--cluster", "manifests/.reconcile/cluster.db").out
    assert [line.split()[0] for line in text.splitlines()] == ["RUN", rebooted["run"], applied["run"]]
    assert "CreateAndStartVMFromISO  VirtualMachine/web-1" in run(manifests, "history", applied["run"]).out

    past = shown(manifests, "describe", "vm/web-1", "--history")["history"]
    assert [each["operation"] for each in past[:2]] == ["RebootVM", "PlugNIC"]
    assert past[0]["run"] == rebooted["run"]
    assert "history" not in shown(manifests, "describe", "vm/web-1")
    described = run(manifests, "describe", "vm/web-1", "--history").out.partition("History:\n")[2]
    assert described.splitlines()[0].split()[0] == rebooted["run"]


def test_what_is_not_there_is_said_so(tmp_path: Path) -> None:
    assert run(tmp_path, "--yes", QUICKSTART).code == 0
    name = tmp_path.name.replace("_", "-")
    missing = run(tmp_path, "history")
    assert (missing.code, missing.out) == (1, "")
    assert f"there is no stack {name} on the cluster, and no run of it. Stacks: quickstart; choose one" in missing.err
    assert (
        "there is no run zz of the stack quickstart. The newest is"
        in run(tmp_path, "history", "--stack", "quickstart", "zz").err
    )
    assert run(tmp_path, "history", "--stack", "").out == "No runs of resources without a stack are recorded.\n"
    assert shown(tmp_path, "history", "--stack", "") == []


def test_a_beginning_that_several_runs_share_is_refused(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        for entry in JOURNAL:
            cluster.record("shop", entry)
    words = ("history", "--stack", "shop", "--cluster", "cluster.db")
    assert run(tmp_path, *words).out == RUNS
    assert run(tmp_path, *words, "1c").out == FAILED
    result = run(tmp_path, *words, "1")
    assert (result.code, result.err) == (1, "error: 2 runs begin with 1: 1c0000000000, 1b0000000000\n")


def test_a_long_journal_is_read_back_as_far_as_the_runs_asked_for(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        for number in range(3):
            cluster.record("shop", {"run": f"r{number}", "phase": "run", "at": at(number), "verb": "apply"})
            for step in range(400):
                cluster.record("shop", start(f"r{number}", f"s{step}", "CreateDisk", DISK, 5))
            cluster.record("shop", {"run": f"r{number}", "phase": "ended", "at": at(9), "seconds": 1.0, "totals": {}})
    words = ("history", "--stack", "shop", "--cluster", "cluster.db")
    assert [(each["run"], each["verb"]) for each in shown(tmp_path, *words, "--limit", "2")] == [
        ("r2", "apply"),
        ("r1", "apply"),
    ]
    assert [each["verb"] for each in shown(tmp_path, *words)] == ["apply"] * 3


def begun(folder: Path, *words: str) -> subprocess.Popen[str]:
    """An apply that has ended its first step."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*COMMAND, "--yes", "--parallel", "1", "--latency", "0.3", str(QUICKSTART)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "created" in process.stderr.readline()
    return process


@pytest.mark.parametrize(("sent", "outcome"), [(signal.SIGINT, "interrupted"), (signal.SIGKILL, "unfinished")])
def test_a_run_that_was_cut_short_says_how_and_the_next_goes_on(
    tmp_path: Path, sent: signal.Signals, outcome: str
) -> None:
    process = begun(tmp_path)
    process.send_signal(sent)
    process.communicate(timeout=60)
    (cut,) = shown(tmp_path, "history", "--stack", "quickstart")
    assert cut["outcome"] == outcome
    assert cut["totals"].get("created", 0) >= 1
    with LocalCluster(tmp_path / ".reconcile" / "cluster.db") as cluster:
        assert cluster.unfinished("quickstart"), "what it left is looked after by the next run"
    again = run(tmp_path, "--yes", QUICKSTART)
    assert again.code == 0, again.err
    finished, _ = shown(tmp_path, "history", "--stack", "quickstart")
    assert finished["outcome"] == "done"
    assert run(tmp_path, "--plan", QUICKSTART).out.startswith("No changes.")


def test_a_saved_plan_and_an_adoption_say_what_they_were(tmp_path: Path) -> None:
    assert run(tmp_path, "--plan", QUICKSTART, "--out", "plan.json").code == 0
    assert run(tmp_path, "apply", "plan.json", "--yes").code == 0
    assert run(tmp_path, "delete", "--yes", QUICKSTART).code == 0
    deleted, applied = shown(tmp_path, "history", "--stack", "quickstart")
    assert (applied["verb"], applied["plan"], applied["commit"]) == ("apply", "plan.json", "")
    assert (deleted["verb"], deleted["outcome"]) == ("delete", "done")


def test_adoption_is_recorded_with_what_it_marked(tmp_path: Path) -> None:
    assert run(tmp_path, "--yes", QUICKSTART).code == 0
    with LocalCluster(tmp_path / ".reconcile" / "cluster.db") as cluster:
        for kind in ("VirtualMachinePool", "VirtualMachineDisk"):
            for resource in cluster.list(kind).items:
                del resource["metadata"]["labels"]["gitops.doslab.io/stack"]
                cluster.update(resource)
    adopted = run(tmp_path, "import", "vmd", "--out", "mine", "--adopt", "--yes")
    assert adopted.code == 0, adopted.err
    (found,) = shown(tmp_path, "history", "--stack", "mine")
    assert (found["verb"], found["totals"]) == ("import --adopt", {"marked": 3})
    steps = shown(tmp_path, "history", "--stack", "mine", found["run"])["steps"]
    assert {step["result"] for step in steps} == {"marked"}
    assert len(steps) == 3
