"""The image: what its file says, and what ``tools/image`` makes of it and of the deployment files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from reconciler import __version__
from support.control_plane import ControlPlane
from support.deployment import DEPLOY, found
from support.paths import ROOT


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_names_no_registry_and_runs_as_nobody_special() -> None:
    given = instructions()
    assert [rest.split()[0] for word, rest in given if word == "FROM"] == ["${BASE}", "${BASE}"]
    assert [rest for word, rest in given if word == "ARG"] == ["BASE=python:3.11-slim"]
    last = dict(given)
    assert json.loads(last["ENTRYPOINT"]) == ["reconcile"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])


DIGESTS = {"base": f"sha256:{'a' * 64}", "image": f"sha256:{'b' * 64}"}
DOCKER = """#!/bin/bash
printf '%s\\n' "$*" >> "$CALLS"
case "$*" in
  *imagetools*) echo "$BASE_DIGEST";;
  *) while [ "$1" != --metadata-file ]; do shift; done
     echo "{\\"containerimage.digest\\": \\"$IMAGE_DIGEST\\"}" > "$2";;
esac
"""


def pushed(folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """What ``tools/image`` does in a copy of what it reads, with a docker that notes its words."""
    for name in ("deploy", "tools"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "reconciler").mkdir()
    shutil.copy(ROOT / "reconciler" / "__init__.py", folder / "reconciler")
    (folder / "bin").mkdir()
    (folder / "bin" / "docker").write_text(DOCKER)
    (folder / "bin" / "docker").chmod(0o755)
    variables = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "CALLS": str(folder / "calls")}
    variables |= {"BASE_DIGEST": DIGESTS["base"], "IMAGE_DIGEST": DIGESTS["image"], **given}
    command = [str(folder / "tools" / "image"), "registry.example.com/reconcile"]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)


def test_the_image_is_built_on_a_digest_and_deployed_by_its_own(control_plane: ControlPlane, tmp_path: Path) -> None:
    ran = pushed(tmp_path)
    assert ran.returncode == 0, ran.stderr
    calls = (tmp_path / "calls").read_text()
    assert f"--build-arg BASE=python:3.11-slim@{DIGESTS['base']} " in calls
    assert f"--tag registry.example.com/reconcile:{__version__} " in calls
    for folder, kind in (("deploy", "DaemonSet"), ("deploy/daemon", "Deployment")):
        (container,) = found(control_plane, tmp_path / "build" / folder, kind)["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"registry.example.com/reconcile@{DIGESTS['image']}"


@pytest.mark.parametrize("unknown", ["BASE_DIGEST", "IMAGE_DIGEST"])
def test_without_a_digest_nothing_is_written(tmp_path: Path, unknown: str) -> None:
    ran = pushed(tmp_path, **{unknown: "latest"})
    assert ran.returncode == 1
    assert "no digest of" in ran.stderr
    assert not (tmp_path / "build" / "deploy" / "kustomization.yaml").exists()


def test_what_the_image_copies_is_enough_for_the_wheel(tmp_path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    for name in (name for names in copied for name in names):
        assert f"!{name}" in ignored
        source, target = ROOT / name, tmp_path / "src" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(tmp_path / "src"),
    ]
    ran = subprocess.run(build, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"reconciler/cli/__init__.py", "reconciler/schemas/VirtualMachine.schema.json"} <= names
