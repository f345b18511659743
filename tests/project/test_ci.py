"""The workflow in ``examples/ci``: its commands are understood, its scripts do what they say, its rights are few."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from reconciler.cli import cli
from support.paths import ROOT

FOLDER = ROOT / "examples" / "ci" / "github"
QUICKSTART = ROOT / "examples" / "manifests" / "quickstart" / "quickstart.yaml"
WORKFLOW: dict[Any, Any] = yaml.safe_load((FOLDER / "reconcile.yml").read_text())
JOBS: dict[str, Any] = WORKFLOW["jobs"]
EMBEDDED = 'words=(); for word; do case "$word" in --cluster|kubernetes) ;; *) words+=("$word");; esac; done\n'
SCRIPTS = {
    f"{name}: {step.get('name', step['run'])}": step["run"]
    for name, job in JOBS.items()
    for step in job["steps"]
    if "run" in step
}


def commands(text: str) -> list[list[str]]:
    """The words after ``reconcile`` of each command in a shell script, up to what belongs to the shell."""
    found = []
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split = True
        words = list(lexer) if line.strip().startswith("reconcile ") else []
        ends = [place for place, word in enumerate(words) if set(word) <= set("|&;<>()")]
        if words:
            found.append(words[1 : ends[0] if ends else None])
    return found


def in_readme() -> list[list[str]]:
    return commands("\n".join(re.findall(r"`(reconcile [^`]+)`", (FOLDER / "README.md").read_text())))


def test_every_command_is_understood() -> None:
    found = [each for script in SCRIPTS.values() for each in commands(script)]
    assert [words[0] for words in found] == ["plan", "plan", "graph", "apply"]
    assert len(in_readme()) == 3
    assert isinstance(cli, click.Group)
    for verb, *words in found + in_readme():
        cli.commands[verb].make_context(verb, words)  # raises for an option or a value that there is not


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=list(SCRIPTS))
def test_a_script_is_one_and_takes_nothing_that_a_stranger_wrote(script: str) -> None:
    assert "${{" not in script, "what an expression gives would be read as shell"
    subprocess.run(["bash", "-n", "-c", script], check=True)


def test_rights_are_few() -> None:
    assert WORKFLOW["permissions"] == {}
    assert JOBS["plan"]["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert JOBS["apply"]["permissions"] == {"contents": "read"}
    assert JOBS["apply"]["environment"]
    assert set(WORKFLOW[True]) == {"pull_request", "push"}  # YAML 1.1 reads the key `on` as true
    secrets = {name: set(re.findall(r"secrets\.(\w+)", yaml.safe_dump(job))) for name, job in JOBS.items()}
    assert secrets == {"plan": {"RECONCILE_PLANNER_KUBECONFIG"}, "apply": {"RECONCILE_APPLIER_KUBECONFIG"}}


class Runner:
    """A folder where steps run as on a runner: on the embedded cluster, with a ``gh`` that notes its words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outputs, self.calls = folder / "outputs", folder / "calls"
        programs = folder / "bin"
        programs.mkdir()
        (folder / "manifests").mkdir()
        self._program(
            "reconcile", f'{EMBEDDED}exec {sys.executable} -c "from reconciler.cli import main; main()" "${{words[@]}}"'
        )
        self._program(
            "gh", f'printf "%s\\n" "$*" >> {self.calls}; case "$*" in *--paginate*) cat {folder}/known;; esac'
        )
        (folder / "known").write_text("")

    def _program(self, name: str, script: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/bash\n{script}\n")
        file.chmod(0o755)

    def run(self, step: str, **environment: str) -> str:
        """Its outputs; fails where it does."""
        self.outputs.write_text("")
        variables = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "GITHUB_OUTPUT": str(self.outputs),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "MARK": WORKFLOW["env"]["MARK"],
            **environment,
        }
        variables.pop("RECONCILE_CLUSTER", None)
        script = next(script for name, script in SCRIPTS.items() if name == step)
        # As GitHub runs it.
        subprocess.run(["bash", "-e", "-c", script], cwd=self.folder, env=variables, check=True, timeout=120)
        return self.outputs.read_text()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_a_change_is_planned_shown_applied_and_then_none_is_left(runner: Runner) -> None:
    shutil.copy(QUICKSTART, runner.folder / "manifests")
    assert runner.run("plan: Plan") == "changes=true\n"
    assert "6 steps" in (runner.folder / "plan.md").read_text()
    assert "6 steps" in (runner.folder / "summary").read_text()
    runner.run("plan: Plan as a page")
    assert (runner.folder / "plan.html").read_text().startswith("<!DOCTYPE html>")
    assert (runner.folder / "plan.mmd").read_text().startswith("flowchart")
    runner.run("apply: Apply")
    assert runner.run("plan: Plan") == "changes=false\n"


def test_manifests_that_are_wrong_are_shown(runner: Runner) -> None:
    (runner.folder / "manifests" / "bad.yaml").write_text("kind: Nonsense\n")
    assert runner.run("plan: Plan") == "failed=true\n"
    assert "### Problems (1)" in (runner.folder / "plan.md").read_text()


def test_one_comment_is_made_and_then_replaced(runner: Runner) -> None:
    (runner.folder / "plan.md").write_text("## Plan\n")
    step = "plan: Comment, replaced by each run"
    runner.run(step, COMMENTS="repos/o/r/issues/5/comments")
    (runner.folder / "known").write_text("77\n78\n")
    runner.run(step, COMMENTS="repos/o/r/issues/5/comments")
    calls = runner.calls.read_text().splitlines()
    assert "--method POST repos/o/r/issues/5/comments --field body=@comment.md" in calls[1]
    assert "--method PATCH repos/o/r/issues/comments/77 --field body=@comment.md" in calls[3]
    assert (runner.folder / "comment.md").read_text() == f"{WORKFLOW['env']['MARK']}\n## Plan\n"
