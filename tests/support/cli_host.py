"""The shop: a directory of manifests that is applied to this host by the command line, and what others say of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from contracts.driver_contract_steps import ISO, MAC, VMD, VMDI
from support import guest
from support.forked_command import run_forked
from support.kill_at_write import KILL_AT_WRITE
from support.libvirtd import clean, virsh
from support.paths import ROOT as PROJECT
from support.paths import TESTS

HEAD = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: {}\nmetadata: {{name: {}}}\nspec: "
ROOT = f"{VMD}/web-1-root/web-1-root"
DATA = f"{VMD}/web-1-data/web-1-data"


def manifest(kind: str, name: str, spec: str) -> str:
    return HEAD.format(kind, name) + "{nodeName: node22, " + spec + "}\n"


POOLS = manifest(
    "VirtualMachinePool", "vmd-pool", f"type: localfs, content: vmd, url: {VMD}, autostart: true, state: Active"
) + manifest("VirtualMachinePool", "image-pool", f"type: localfs, content: vmdi, url: {VMDI}, state: Active")
IMAGE = manifest("VirtualMachineDiskImage", "tiny", "pool: image-pool")
DISK = manifest("VirtualMachineDisk", "web-1-root", "pool: vmd-pool, from: {image: tiny}, capacity: 1Gi")


def machine(
    *,
    cpu: str = "{count: 1}",
    memory: str = "{size: 256Mi}",
    disks: str = "",
    nics: str = "",
    medium: str = ISO,
    more: str = "",
    head: str = "web-1",
) -> str:
    return manifest(
        "VirtualMachine",
        head,
        f"""osVariant: debian12, cpu: {cpu}, memory: {memory}, graphics: {{type: vnc}},
  updatePolicy: {{restart: Automatic}},
  disks: [{{target: vda, disk: web-1-root, boot: true}}{disks}], cdroms: [{{target: hda, path: {medium}}}],
  nics: [{{mac: "{MAC}", type: bridge, source: br-ext}}{nics}]{more}""",
    )


class Shop:
    """A directory of manifests, applied to this host."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "shop").mkdir()

    def write(self, text: str) -> None:
        (self.home / "shop" / "shop.yaml").write_text(text)

    def reconcile(self, *words: str, killed_at: int | str = 0) -> subprocess.CompletedProcess[str]:
        words = (*words, "--cluster", str(self.home / "shop.db"))
        environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{TESTS}"}
        if not killed_at:
            return run_forked(self.home, list(words), environment)
        return subprocess.run(
            [*KILL_AT_WRITE, str(killed_at), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            env=environment,
        )

    def applied(self, *words: str) -> None:
        """Apply what is written, and see that nothing is left to do, now and after another look at the host."""
        done = self.reconcile("shop", "-y", "--driver", "libvirt", "--node", "node22", "--prune", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        again = self.reconcile("shop", "-y", "--driver", "libvirt", "--node", "node22", "--prune", "--output", "json")
        assert json.loads(again.stdout)["plan"]["steps"] == [], done.stderr + done.stdout + again.stdout
        assert again.returncode == 0, again.stdout + again.stderr

    def planned(self, *words: str) -> dict[str, Any]:
        """The plan on the host as it is, which nothing is written for."""
        made = self.reconcile("plan", "shop", "--driver", "libvirt", "--node", "node22", "--output", "json", *words)
        assert made.returncode == 0, made.stdout + made.stderr
        plan: dict[str, Any] = json.loads(made.stdout)
        return plan

    def begun(self) -> None:
        """Apply what is written, with which a test only begins."""
        assert (said := self.attempt()).endswith("exit 0"), said

    def attempt(self, *words: str) -> str:
        """Apply what is written, without removing anything: the exit code, and all that is said."""
        done = self.reconcile("shop", "-y", "--driver", "libvirt", "--node", "node22", *words)
        return f"{done.stdout}{done.stderr}exit {done.returncode}"

    def run(self, *words: str) -> None:
        done = self.reconcile("run", *words, "-y", "--driver", "libvirt", "--node", "node22")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def shop(tmp_path: Path, libvirt_host: None) -> Iterator[Shop]:
    Path(VMDI).mkdir()
    tiny = Path(VMDI, "tiny", "tiny")
    tiny.parent.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(tiny), "1G"], check=True)
    guest.install(str(tiny))
    yield Shop(tmp_path)
    clean()


def info(path: str) -> dict[str, object]:
    asked = ["qemu-img", "info", "-U", "--output=json", path]
    found: dict[str, object] = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    return found


def sources(*of: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in virsh("domblklist", "web-1", *of).splitlines())


def standing(*machines: str) -> dict[str, tuple[str, ...]]:
    """What libvirt says of each: which start of it runs, what that has, and what the next one will have."""
    definitions = (("domid",), ("dumpxml", "--security-info"), ("dumpxml", "--security-info", "--inactive"))
    return {name: tuple(virsh(asked, *options, name) for asked, *options in definitions) for name in machines}


def drives(machine: str) -> dict[str, tuple[str, str]]:
    """Target -> bus and cache of each disk of the guest that runs; the cache is empty where none is chosen."""
    found = ElementTree.fromstring(virsh("dumpxml", machine)).iterfind("devices/disk")
    parts = [(disk.find("target"), disk.find("driver")) for disk in found]
    return {
        target.get("dev", ""): (target.get("bus", ""), driver.get("cache", ""))
        for target, driver in parts
        if target is not None and driver is not None
    }
