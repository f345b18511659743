"""The unit in ``examples/systemd``: systemd understands it, and it says what the command understands."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import click
import pytest

from reconciler.apply import Options
from reconciler.cli import cli
from support.paths import ROOT

UNIT = ROOT / "examples" / "systemd" / "reconcile-watch.service"
PROGRAM = "/usr/bin/reconcile"
SECTIONS = {"Unit", "Service", "Install"}
REQUIRED = {
    "Type": "exec",
    "Restart": "on-failure",
    "ExecReload": "/bin/kill -HUP $MAINPID",
    "StateDirectory": "reconcile",
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "CapabilityBoundingSet": "",
}


def sections(text: str) -> dict[str, dict[str, list[str]]]:
    """Keys may come more than once in a unit."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), defaultdict(list))
        elif line and not line.startswith("#"):
            key, separator, value = line.partition("=")
            assert separator, line
            section[key].append(value)
    return found


@pytest.fixture
def service() -> dict[str, list[str]]:
    return sections(UNIT.read_text())["Service"]


def test_the_unit_read_as_text_has_the_keys_that_it_must_have(service: dict[str, list[str]]) -> None:
    assert set(sections(UNIT.read_text())) == SECTIONS
    assert {key: service[key] for key in REQUIRED} == {key: [value] for key, value in REQUIRED.items()}


def test_it_has_as_long_to_end_as_a_step_may_take(service: dict[str, list[str]]) -> None:
    (seconds,) = service["TimeoutStopSec"]
    assert int(seconds) > Options().timeout


def test_it_writes_where_it_may(service: dict[str, list[str]]) -> None:
    (command,), (home,) = service["ExecStart"], service["WorkingDirectory"]
    words = shlex.split(command)
    assert home == f"/var/lib/{REQUIRED['StateDirectory']}"
    assert words[words.index("--cluster") + 1].startswith(f"{home}/")


def test_it_runs_what_the_command_understands(service: dict[str, list[str]]) -> None:
    program, verb, *words = shlex.split(service["ExecStart"][0])
    assert (program, verb) == (PROGRAM, "watch")
    assert isinstance(cli, click.Group)
    cli.commands[verb].make_context(verb, words)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_analyze_verifies_the_unit(tmp_path: Path) -> None:
    """It exits with 0 whatever it finds, and prints it."""

    def verify(text: str) -> str:
        (tmp_path / UNIT.name).write_text(text)
        command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return ran.stdout + ran.stderr

    text = UNIT.read_text().replace(PROGRAM, shutil.which("true") or "")
    assert verify(text) == ""
    assert "Unknown key" in verify(text.replace("PrivateTmp=", "PrivateTpm="))
