"""What the command loads before it is asked for anything: imports cost every call their time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "kubernetes",
    "deepdiff",
    "jsonschema",
    "fastjsonschema",
    "yaml",
    "rich",
    "prometheus_client",
    "watchdog",
    "sqlite3",
}


def modules_loaded_by(folder: Path, *words: str) -> set[str]:
    """The modules in a process after a command, by their dotted names."""
    script = (
        "import json, sys; from reconciler.cli import main\n"
        "try: main()\nfinally: print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_version_needs_the_command_line_library_and_nothing_of_the_stages(tmp_path: Path) -> None:
    loaded = modules_loaded_by(tmp_path, "--version")
    assert {name for name in loaded if name.startswith("reconciler")} == {"reconciler", "reconciler.cli"}
    assert loaded & HEAVY == set()


def test_help_loads_no_heavy_library(tmp_path: Path) -> None:
    assert modules_loaded_by(tmp_path, "--help") & HEAVY == set()


def test_fields_are_explained_without_what_compares_values(tmp_path: Path) -> None:
    assert "deepdiff" not in modules_loaded_by(tmp_path, "explain", "vm")
