"""The project's own CI and commit hooks: they run make targets that are there, with few rights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.paths import ROOT

WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
JOBS: dict[str, Any] = WORKFLOW["jobs"]
HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

every_job = pytest.mark.parametrize("job", JOBS.values(), ids=list(JOBS))


def test_there_is_a_job_for_each_part() -> None:
    assert set(JOBS) == {"check", "test", "slow", "kubernetes", "browser", "libvirt", "network", "docs", "sbom"}


@every_job
def test_a_job_runs_make_targets_and_nothing_else(job: dict[str, Any]) -> None:
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs
    for run in runs:
        word, *targets = run.split()
        assert word == "make"
        assert set(targets) <= TARGETS


@every_job
def test_a_job_may_only_read_ends_and_waits_for_no_other(job: dict[str, Any]) -> None:
    assert job["permissions"] == {"contents": "read"}
    assert job["timeout-minutes"] <= 60
    assert "needs" not in job
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


WORKFLOWS = (ROOT / ".github" / "workflows" / "ci.yml", ROOT / "examples" / "ci" / "github" / "reconcile.yml")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_an_action_is_named_by_its_commit_beside_its_version(file: Path) -> None:
    """A tag can be moved to another commit; the version is for people, and for what proposes updates."""
    uses = [line.split("uses: ")[1] for line in file.read_text().splitlines() if "uses: " in line]
    assert len(uses) >= 5
    for named in uses:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", named), named


def test_workflows_agree_on_the_commit_of_an_action() -> None:
    named = {tuple(use.split("@")) for file in WORKFLOWS for use in re.findall(r"uses: (\S+)", file.read_text())}
    assert len({action for action, _ in named}) == len(named)


def test_nothing_is_granted_to_all_jobs_and_no_secret_is_used() -> None:
    assert WORKFLOW["permissions"] == {}
    assert WORKFLOW["concurrency"]["cancel-in-progress"]
    assert set(WORKFLOW[True]) == {"pull_request", "push"}  # YAML 1.1 reads the key `on` as true
    assert "secrets." not in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_hooks_fetch_nothing_and_run_what_make_sets_up() -> None:
    (repository,) = HOOKS["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith((".venv/bin/", "make "))


def test_every_target_that_makes_no_file_is_declared_so() -> None:
    (declared,) = re.findall(r"^\.PHONY:((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(declared.replace("\\", " ").split()) == TARGETS
