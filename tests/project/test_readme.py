"""What the README says is there, and works."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.paths import QUICKSTART, ROOT

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for word, text in fenced if word == language]


def test_every_file_of_the_reading_order_exists() -> None:
    named = re.findall(r"`(reconciler/[\w/.]+)`", README)
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_program_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(QUICKSTART, "manifests")
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    assert names["report"].count("created") == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("shown", [block for block in blocks("") if "$ reconcile --plan" in block])
def test_the_plans_shown_are_those_of_the_quickstart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str
) -> None:
    """Three dots stand for whatever was left out."""
    from reconciler.cli import cli

    command, _, said = shown.partition("\n")
    words = [str(ROOT / word) if word.startswith("examples") else word for word in shlex.split(command)[2:]]
    monkeypatch.chdir(tmp_path)
    output = CliRunner().invoke(cli, words).output
    for line in said.splitlines():
        assert line.removesuffix("...") in output, line


def test_every_command_shown_is_understood() -> None:
    from reconciler.cli import cli

    (usage,) = [block for block in blocks("") if "pip install ." in block]
    commands = [re.split(r"\s+#", line)[0].split("| ")[-1] for line in usage.splitlines()]
    commands = [line for line in commands if line.startswith("reconcile ")]
    assert len(commands) >= 9
    for line in commands:
        arguments = [word for word in shlex.split(line)[1:] if word != "-"]
        flags = [word for word in arguments if word.startswith("--")]
        verb = arguments[0] if arguments[0] in cli.commands else "apply"  # type: ignore[attr-defined]
        said = CliRunner().invoke(cli, [verb, "--help"]).output
        assert "Usage:" in said
        assert [flag for flag in flags if flag != "--plan" and flag not in said] == [], line
