"""``qemu-img`` runs within limits, and is told the format of each file."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

import reconciler.drivers.libvirt
from reconciler.drivers.libvirt.qemu_img import Limits, limited

PACKAGE = Path(reconciler.drivers.libvirt.__file__).parent
LIMITS = Limits(memory=123_456, seconds=77)


@pytest.mark.parametrize(("asked", "limit"), [("-v", "123456"), ("-t", "77")])
def test_a_process_has_its_limits(asked: str, limit: str) -> None:
    done = subprocess.run(limited("/bin/sh", LIMITS, "-c", f"ulimit {asked}"), capture_output=True, text=True)
    assert done.stdout.strip() == limit


def test_words_are_not_read_by_the_shell() -> None:
    words = ["$(id)", "a b", "; id", "-x"]
    done = subprocess.run(limited("printf", LIMITS, r"%s\n", *words), capture_output=True, text=True)
    assert done.stdout.splitlines() == words


def _calls() -> list[tuple[str, list[str]]]:
    """Each call of ``qemu_img`` in the driver: its place, and its words as they are written."""
    found = []
    for path in sorted(PACKAGE.glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "qemu_img":
                found.append((f"{path.name}:{call.lineno}", [ast.unparse(each) for each in call.args]))
    return found


@pytest.mark.parametrize(("place", "words"), _calls(), ids=str)
def test_the_format_of_every_file_is_said(place: str, words: list[str]) -> None:
    assert "'-f'" in words or "*as_qcow2(path)" in words
    if "'-b'" in words:
        assert "'-F'" in words or "*format" in words


def test_nothing_else_runs_qemu_img() -> None:
    assert len(_calls()) >= 12
    runs = {path.name: path.read_text() for path in PACKAGE.glob("*.py") if "subprocess" in path.read_text()}
    assert runs.keys() == {"qemu_img.py", "open_vswitch.py"}
    assert "qemu" not in runs["open_vswitch.py"]
