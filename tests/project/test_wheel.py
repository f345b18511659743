"""What is installed is the whole product: schemas, catalogue, command."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.paths import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as its wheel holds it, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(installed: Path, cwd: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_main_job_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    where = python(installed, tmp_path, "-c", "import reconciler; print(reconciler.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    reconcile = ("-c", "from reconciler.cli import main; main()")
    quickstart = str(ROOT / "examples" / "manifests" / "quickstart")
    assert python(installed, tmp_path, *reconcile, "plan", "-o", "html", quickstart).startswith("<!DOCTYPE html>")
    python(installed, tmp_path, *reconcile, "--yes", quickstart)
    assert python(installed, tmp_path, *reconcile, "--plan", quickstart).startswith("No changes.")
    assert python(installed, tmp_path, *reconcile, "import").count("apiVersion: gitops.doslab.io/v1alpha1") == 5


def test_the_wheel_names_its_command_and_types(installed: Path) -> None:
    (entry,) = installed.glob("*.dist-info/entry_points.txt")
    assert "reconcile = reconciler.cli:main" in entry.read_text()
    assert (installed / "reconciler" / "py.typed").exists()
    assert schemas_in(installed / "reconciler" / "schemas") == schemas_in(ROOT / "schemas")


def test_the_dashboard_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    script = "from reconciler.daemon.status.dashboard import dashboard; print(dashboard()({}).body)"
    page = python(installed, tmp_path, "-c", script)
    assert page.startswith("<!DOCTYPE html>")
    assert "prefers-color-scheme" in page
    assert "fetch('status?resources=all'" in page


def schemas_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.json")}
