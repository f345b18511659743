"""An error in reconcile itself, as the command shows it: a problem at the place of the resource that meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import pytest

from reconciler import cli
from reconciler.manifests import loader, validator
from reconciler.planner import changes, drafts
from support.controller import pool

SECRET = "hunter2"  # what the text of an exception may quote


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of the command, in this process."""
    monkeypatch.setattr("sys.argv", ["reconcile", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a.yaml").write_text(pool("pool-a"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fail(*arguments: object) -> NoReturn:
    raise TypeError(SECRET)


PLACES = {
    "loading": (loader, "_accept", "a.yaml: error: this file meets a bug"),
    "validating": (validator, "_check", "a.yaml:1:1: error: VirtualMachinePool/pool-a meets a bug"),
    "comparing": (changes, "_changes_of", "a.yaml:1:1: error: VirtualMachinePool/pool-a meets a bug"),
    "drafting": (drafts, "_drafts_of", "a.yaml:1:1: error: VirtualMachinePool/pool-a meets a bug"),
}


@pytest.mark.parametrize(("module", "name", "told"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("traceback", [False, True])
def test_a_bug_is_a_problem_of_what_meets_it(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: object,
    name: str,
    told: str,
    traceback: bool,
) -> None:
    monkeypatch.setattr(module, name, fail)
    if traceback:
        monkeypatch.setenv("RECONCILE_TRACEBACK", "1")
    assert run(monkeypatch, "--plan", "a.yaml") == 1
    shown = capsys.readouterr()
    assert f"{told} in reconcile: TypeError in cli/test_bug.py, line" in shown.err
    assert "Report it with this manifest" in shown.err
    assert ("in fail" in shown.err) is traceback
    assert SECRET not in shown.out + shown.err


def test_programs_get_it_as_any_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validator, "_check", fail)
    assert run(monkeypatch, "validate", "-o", "json", "a.yaml") == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["file"], problem["line"], problem["resource"]) == ("a.yaml", 1, "VirtualMachinePool/pool-a")
