"""The promises of the product, each as a session at the command line: what people type, and what they see.

A folder of ``tests/promises`` is a promise, a folder in it one thing that follows from it. Lines of a ``session.txt``
that begin with ``$`` are run one after the other by a shell in a copy of the manifests ``shop`` and of the folders
beside the session; what follows them is what they print.
``pytest tests/promises --update-plans`` writes the sessions again.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.forked_command import server
from support.paths import ROOT, TESTS

PROMISES = Path(__file__).parent
SESSIONS = [
    *sorted(PROMISES.glob("*/session.txt")),
    # What tries a promise in depth takes more time than all other tests together.
    *(pytest.param(each, marks=pytest.mark.slow) for each in sorted(PROMISES.glob("*/*/**/session.txt"))),
]
SECONDS = re.compile(r"\(\d+\.\d s\)")


def write_command(folder: Path, name: str, command: str) -> None:
    file = folder / "bin" / name
    file.write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
    file.chmod(0o755)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A directory with the manifests, twice, and the command on the path; what it left running ends with it."""
    (tmp_path / "bin").mkdir()
    write_command(tmp_path, "reconcile", '-c "from reconciler.cli import main; main()"')
    write_command(tmp_path, "python", "")
    home = tmp_path / "home"
    for name in ("shop", "original"):
        shutil.copytree(PROMISES / "shop", home / name)
    yield home
    if (pid := home / "pid").exists():
        with suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


def played(session: str, home: Path) -> str:
    """The session as it goes: comments and commands as they are, and what each command prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{home.parent / 'bin'}:{os.environ['PATH']}"}
    environment.pop("RECONCILE_CLUSTER", None)
    text = ""
    for line in session.splitlines(keepends=True):
        if line.startswith("#"):
            text += line
        elif line.startswith("$ "):
            done = subprocess.run(
                ["bash", "-c", line[2:]],
                cwd=home,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            )
            text += line + SECONDS.sub("(0.0 s)", done.stdout)
            if done.returncode:
                text += f"exit {done.returncode}\n"
    return text


@pytest.mark.parametrize("session", SESSIONS, ids=lambda path: str(path.parent.relative_to(PROMISES)))
def test_the_promise_is_kept(session: Path, home: Path, update_plans: bool) -> None:
    for folder in session.parent.iterdir():
        if folder.is_dir() and not (folder / "session.txt").exists():
            shutil.copytree(folder, home / folder.name)
    text = session.read_text()
    if "$!" not in text:  # no command is left running and sent a signal
        write_command(home.parent, "reconcile", f"-S -E {TESTS}/support/forked_client.py {server()}")
    found = played(text, home)
    if update_plans:
        session.write_text(found)
    assert found == session.read_text()
