"""The command as people and machines use it: a process, its output, its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.command_line import COMMAND, run
from support.paths import QUICKSTART, ROOT
from support.yaml_text import documents_in

SHOP = "{apiVersion: gitops.doslab.io/v1alpha1, kind: Stack, metadata: {name: shop}, spec: {cluster: {path: shop.db}}}"


def test_the_main_job_plan_apply_and_an_empty_plan(tmp_path: Path) -> None:
    first = run(tmp_path, "--plan", "--detailed-exitcode", QUICKSTART)
    assert first.code == 2
    assert "CreateAndStartVMFromISO" in first.out
    assert not (tmp_path / ".reconcile").exists(), "a plan writes nothing"
    applied = run(tmp_path, "--yes", QUICKSTART)
    assert applied.code == 0, applied.err
    assert "5 created" in applied.err
    second = run(tmp_path, "--plan", "--detailed-exitcode", QUICKSTART)
    assert (second.code, second.out) == (0, "No changes. 5 resources are as declared.\n")


def test_without_a_terminal_and_without_yes_nothing_is_applied(tmp_path: Path) -> None:
    result = run(tmp_path, QUICKSTART)
    assert result.code == 1
    assert "Add --yes" in result.err
    assert run(tmp_path, "get").out == "Nothing on the cluster.\n"


def test_json_goes_to_standard_output_and_nothing_else_does(tmp_path: Path) -> None:
    plan = json.loads(run(tmp_path, "--plan", "-o", "json", QUICKSTART).out)
    assert plan["format"] == "reconcile.plan/v2"
    assert [step["operation"] for step in plan["steps"]][:2] == ["CreatePool", "CreateSwitch"]
    applied = json.loads(run(tmp_path, "--yes", "-o", "json", QUICKSTART).out)
    assert applied["report"]["ok"]
    assert {outcome["result"] for outcome in applied["report"]["outcomes"]} == {"created", "changed"}


def test_standard_input(tmp_path: Path) -> None:
    text = (QUICKSTART / "quickstart.yaml").read_text()
    assert run(tmp_path, "--plan", "-", stdin=text).out.endswith("0 unchanged.\n")


def test_get_and_describe(tmp_path: Path) -> None:
    run(tmp_path, "--yes", QUICKSTART)
    assert "web-1" in run(tmp_path, "get", "vm").out
    assert "VirtualMachinePool" not in run(tmp_path, "get", "vm").out
    resources = json.loads(run(tmp_path, "get", "-o", "json").out)
    assert {resource["kind"] for resource in resources} >= {"VirtualMachine", "VirtualMachineDisk"}
    text = run(tmp_path, "describe", "vm/web-1", QUICKSTART).out
    for words in ("Stack:   quickstart", "powerState: Running", "operation:plugNIC, status:Done"):
        assert words in text
    wrong = run(tmp_path, "describe", "vm/web-2")
    assert (wrong.code, wrong.err) == (1, "error: there is no VirtualMachine/web-2. Did you mean web-1?\n")


DESCRIBED = """\
State:   Running
Status:  Running: The VM is Running
CPU:     2, at most 4
Memory:  2Gi, at most 4Gi
Console: vnc 127.0.0.1:5900 on node22
Disks:
  TARGET  BUS     SOURCE
  vda     virtio  VirtualMachineDisk/web-1-root
  vdb     virtio  VirtualMachineDisk/web-1-data
NICs:
  MAC                TYPE      NETWORK  BRIDGE  ADDRESSES
  52:54:00:0a:00:01  bridge    -        virbr0  -
  52:54:00:0a:00:02  l3bridge  web-net  br-int  192.168.5.9 (static)
Observed:
"""


def test_addresses_and_the_console_are_found(tmp_path: Path) -> None:
    for output in ("wide", "name", "yaml"):
        empty = run(tmp_path, "get", "-o", output)
        assert (empty.code, empty.out) == (0, "Nothing on the cluster.\n" if output == "wide" else "")
    run(tmp_path, "--yes", QUICKSTART)
    heading, line = run(tmp_path, "get", "vm", "-o", "wide").out.splitlines()
    assert re.split("  +", heading)[-2:] == ["ADDRESSES", "CONSOLE"]
    assert re.split("  +", line)[-2:] == ["192.168.5.9", "vnc 127.0.0.1:5900"]
    assert DESCRIBED in run(tmp_path, "describe", "vm/web-1").out
    disk = run(tmp_path, "describe", "disk/web-1-root").out
    assert "NICs:" not in disk

    names = run(tmp_path, "get", "disk", "-o", "name").out.splitlines()
    assert names == ["VirtualMachineDisk/web-1-data", "VirtualMachineDisk/web-1-root"]
    assert run(tmp_path, "get", *names, "-o", "name").out.splitlines() == names, "a command takes them"
    documents = documents_in(run(tmp_path, "get", "-o", "yaml").out)
    assert documents == json.loads(run(tmp_path, "get", "-o", "json").out)


def test_delete_keeps_disks_and_what_they_need(tmp_path: Path) -> None:
    run(tmp_path, "--yes", QUICKSTART)
    result = run(tmp_path, "delete", "--yes", QUICKSTART)
    assert result.code == 0, result.err
    left = run(tmp_path, "get").out
    assert "web-1-root" in left
    assert "vmd-pool" in left
    assert "VirtualMachine " not in left
    assert "kept: deletionPolicy is Retain" in result.out
    assert "kept: used by" in result.out


def test_a_saved_plan_is_applied_exactly_and_can_be_taken_up_again(tmp_path: Path) -> None:
    assert run(tmp_path, "--plan", QUICKSTART, "--out", "plan.json").code == 0
    applied = run(tmp_path, "apply", "plan.json", "--yes")
    assert applied.code == 0, applied.err
    again = run(tmp_path, "apply", "plan.json", "--yes")
    assert (again.code, again.err.splitlines()[-1]) == (0, "Applied: 6 unchanged.")
    assert run(tmp_path, "--plan", QUICKSTART).out.startswith("No changes.")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: plan.pop("stack"), "stack is missing"),
        (lambda plan: plan["steps"][0].update(operation="Nonsense"), "Nonsense is not an operation"),
        (lambda plan: plan["steps"][0]["parameters"].update(extra="1"), "extra"),
        (lambda plan: plan["steps"][0].update(needs=["gone"]), "needs gone, which is not in the plan"),
        (lambda plan: plan["steps"].append(plan["steps"][0]), "is used twice"),
        (
            lambda plan: plan.update(format="reconcile.plan/v9"),
            "written by a newer version (plan v9)",
        ),
    ],
)
def test_a_damaged_plan_is_refused_with_the_place(tmp_path: Path, change: object, said: str) -> None:
    run(tmp_path, "--plan", QUICKSTART, "--out", "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    change(plan)  # type: ignore[operator]
    (tmp_path / "plan.json").write_text(json.dumps(plan, indent=1))
    result = run(tmp_path, "apply", "--yes", "plan.json")
    assert result.code == 1
    assert said in result.err
    assert result.err.startswith("plan.json:")
    assert run(tmp_path, "get").out == "Nothing on the cluster.\n"


def test_a_truncated_plan_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "--plan", QUICKSTART, "--out", "plan.json")
    text = (tmp_path / "plan.json").read_text()
    (tmp_path / "plan.json").write_text(text[:500])
    result = run(tmp_path, "apply", "--yes", "plan.json")
    assert (result.code, "not JSON" in result.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--plan", "nowhere"), "nowhere: error: cannot be read: no such file or directory"),
        (("--bogus",), "No such option '--bogus'"),
        (("plan", "--allow", "all", QUICKSTART), "those are interrupt, restart, recreate, data"),
        (("--plan", "--target", "vm/web-9", QUICKSTART), "there is no VirtualMachine/web-9. Did you mean web-1?"),
        (("--parallel", "0", "x"), "0 is not in the range"),
        (("get", "vmx"), "'vmx' is not a kind"),
        (("explain", "vm.memroy"), "Did you mean memory?"),
        (("operations", "PlugDsk"), "Did you mean PlugDisk"),
        (("--plan", "--out", "/nowhere/plan.json", QUICKSTART), "/nowhere/plan.json cannot be written"),
    ],
)
def test_a_wrong_word_gives_one_clear_message(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    result = run(tmp_path, *words)
    assert result.code == 1
    assert said in result.err
    assert not (tmp_path / ".reconcile").exists()


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\x00" + b"\x00" * 100])
def test_a_corrupt_or_foreign_cluster_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "cluster.db"
    file.write_bytes(content)
    for words in (("--plan",), ("--yes",)):
        result = run(tmp_path, *words, "--cluster", file, QUICKSTART)
        assert result.code == 1
        assert "cluster.db: error:" in result.err
        assert file.read_bytes() == content


def test_ctrl_c_leaves_everything_resumable(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*COMMAND, "--yes", "--latency", "0.2", str(QUICKSTART)],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "created" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in rest
    assert "interrupted" in rest
    again = run(tmp_path, "--yes", QUICKSTART)
    assert again.code == 0, again.err
    assert run(tmp_path, "--plan", QUICKSTART).out.startswith("No changes.")


def test_a_process_killed_at_work_is_taken_up_where_it_was(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*COMMAND, "--yes", "--latency", "0.1", str(QUICKSTART)],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "created" in process.stderr.readline()
    process.kill()
    process.communicate(timeout=60)
    again = run(tmp_path, "--yes", QUICKSTART)
    assert again.code == 0, again.err
    assert run(tmp_path, "--plan", QUICKSTART).out.startswith("No changes.")


def test_the_cluster_that_a_stack_names_is_the_one_that_is_described(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "quickstart.yaml").write_text((QUICKSTART / "quickstart.yaml").read_text())
    (manifests / "reconcile.yaml").write_text(SHOP)
    applied = run(tmp_path, "--yes", manifests)
    assert applied.code == 0, applied.err
    assert (manifests / "shop.db").exists()
    assert "Would change: nothing" in run(tmp_path, "describe", "vm/web-1", manifests).out


def test_two_processes_apply_two_stacks_to_one_cluster_at_once(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    stacks = [QUICKSTART, ROOT / "examples" / "manifests" / "fleet"]
    processes = [
        subprocess.Popen(
            [*COMMAND, "--yes", "--allow", "restart", str(stack)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for stack in stacks
    ]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    for stack in stacks:
        assert run(tmp_path, "--plan", stack).out.startswith("No changes.")


def test_version_and_help() -> None:
    result = run(ROOT, "--version")
    assert result.out.startswith("reconcile ")
    for verb in (
        "plan",
        "apply",
        "validate",
        "get",
        "describe",
        "history",
        "import",
        "delete",
        "explain",
        "operations",
    ):
        assert verb in run(ROOT, "--help").out
        assert "Usage:" in run(ROOT, verb, "--help").out


def test_documents_that_are_no_resources_are_explained_as_well(tmp_path: Path) -> None:
    assert "Do this once" in run(tmp_path, "explain", "Operation").out
    assert "Operations that must have succeeded before" in run(tmp_path, "explain", "operation.after").out
    assert "The nodes, by name" in run(tmp_path, "explain", "Stack.nodes").out


def test_options_may_come_before_the_verb(tmp_path: Path) -> None:
    run(tmp_path, "--cluster", "here.db", "--yes", QUICKSTART)
    assert "web-1" in run(tmp_path, "--cluster", "here.db", "get", "vm").out
    (tmp_path / "get").mkdir()
    assert "get: error: the directory holds no manifest" in run(tmp_path, "--cluster", "here.db", "get").err


def test_describe_says_what_would_change_and_what_stands_in_the_way(tmp_path: Path) -> None:
    run(tmp_path, "--yes", QUICKSTART)
    assert "Would change" not in run(tmp_path, "describe", "vm/web-1").out
    assert "Would change: nothing" in run(tmp_path, "describe", "vm/web-1", QUICKSTART).out
    text = (QUICKSTART / "quickstart.yaml").read_text().replace("memory: {size: 2Gi", "memory: {size: 3Gi")
    quickstart = tmp_path / "quickstart"
    quickstart.mkdir()
    (quickstart / "quickstart.yaml").write_text(text.replace("url: /var/lib/libvirt/vmd-pool", "url: /srv"))
    described = run(tmp_path, "describe", "vm/web-1", quickstart)
    assert "Would change:\n" not in described.out, "its pool has a problem"
    assert "left out: ResizeRAM" in described.out
    assert "url /var/lib/libvirt/vmd-pool -> /srv" in described.err


def test_a_saved_plan_runs_on_the_cluster_it_was_made_for(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "quickstart.yaml").write_text((QUICKSTART / "quickstart.yaml").read_text())
    (manifests / "reconcile.yaml").write_text(SHOP)
    assert run(tmp_path, "--plan", "manifests", "--out", "plan.json").code == 0
    refused = run(tmp_path, "apply", "plan.json", "--yes", "--allow", "data")
    assert (refused.code, "is a saved plan, and runs as it is" in refused.err) == (1, True)
    assert run(tmp_path, "apply", "plan.json", "--yes").code == 0
    assert (manifests / "shop.db").exists()
    assert not (tmp_path / ".reconcile").exists()
    assert run(tmp_path, "--plan", "manifests").out.startswith("No changes.")


def test_a_deletion_can_be_looked_at_first(tmp_path: Path) -> None:
    run(tmp_path, "--yes", QUICKSTART)
    shown = run(tmp_path, "delete", "--plan", QUICKSTART)
    assert "DeleteVM" in shown.out
    assert "Nothing" not in run(tmp_path, "get", "vm").out


def test_a_plan_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    failed = run(tmp_path, "--plan", QUICKSTART, "--out", "folder")
    assert (failed.code, "cannot be written" in failed.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_one_resource_is_described_at_a_time(tmp_path: Path) -> None:
    said = run(tmp_path, "describe", "vm")
    assert (said.code, said.err.splitlines()[0]) == (1, "error: Name one resource: vm/web-1.")
