"""Operations on a real host."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from contracts.driver_contract_steps import GIB, VMDI, Steps
from reconciler.drivers.base import Spec
from reconciler.drivers.libvirt import qcow2
from reconciler.model.kinds import DISK
from reconciler.model.resource import ResourceId
from support import guest, libvirtd, open_vswitch

BOOT = 30.0  # seconds that a guest has to boot


def words_of(parameters: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in parameters.items())


def await_boot(machine: str) -> None:
    """Wait until its BIOS has started the guest of a running machine.

    It counts the CPUs while they start, and waits for ever where one came meanwhile.
    """
    end = time.monotonic() + BOOT
    while not re.search(r"EIP=00007[cd]", libvirtd.virsh("qemu-monitor-command", machine, "--hmp", "info registers")):
        assert time.monotonic() < end, f"{machine} has not booted"
        time.sleep(0.02)


class RealSteps(Steps):
    """Operations on a host; every disk that is made holds the tiny guest."""

    def run(self, kind: str, name: str, operation: str, /, **parameters: Any) -> Collection[ResourceId]:
        if not self.driver.capabilities().supports(kind, operation):
            pytest.skip(f"{operation} of {kind} is not in this driver's slice")
        words = words_of(parameters)
        for only in self.driver.capabilities().of(kind, operation).only:
            if outside := only.refused(parameters):
                pytest.skip(f"{only.named} {outside}: not in this driver's slice")
        if "l2bridge" in words and (lacking := open_vswitch.missing()) and not os.environ.get(open_vswitch.REQUIRED):
            pytest.skip(lacking)
        if operation == "CreateDiskImage" and Path(VMDI).is_dir():
            (Path(VMDI) / name).mkdir(exist_ok=True)
            guest.blank(Path(VMDI, name, name))
        if "bound" in words and not self._on_open_vswitch(name, words, parameters) and not libvirtd.shapes():
            pytest.skip("the kernel of this machine has no sfq queue, with which libvirt limits NICs")
        if operation == "ChangeNumberOfCPU" and self.power(name) == "Running":
            await_boot(name)
        return super().run(kind, name, operation, **parameters)

    def _on_open_vswitch(self, machine: str, words: str, parameters: dict[str, Any]) -> bool:
        """Whether the NIC of an operation is a port of Open vSwitch, which limits it by itself."""
        if "_interface" not in parameters:
            return "l2bridge" in words or "l3bridge" in words
        nics = {nic["mac"]["_address"]: nic for nic in self.devices("_interface", machine)}
        return "virtualport" in nics.get(parameters["_interface"], {})

    @contextmanager
    def lun(self) -> Iterator[str]:
        """A node of a device that the kernel does not have."""
        place = Path(f"/dev/mapper/reconcile-{token_hex(4)}")
        place.parent.mkdir(exist_ok=True)
        os.mknod(place, 0o600 | stat.S_IFBLK, os.makedev(7, 250))
        try:
            yield str(place)
        finally:
            place.unlink()

    def disk(
        self, name: str = "web-1-root", pool: str = "vmd-pool", size: int = 10 * GIB, format: str = "qcow2"
    ) -> str:
        path = super().disk(name, pool, size, format)
        guest.install(path, format=format)
        return path

    def everything(self) -> dict[ResourceId, Spec | None]:
        """All there is. What is read off a disk's file is what ``qemu-img`` says of it, also while a guest runs."""
        found = super().everything()
        for path in (str(spec["volume"]["current"]) for id, spec in found.items() if spec and id.kind == DISK):
            if (read := qcow2.info(path)) is not None:
                assert read == libvirtd.known(path)
        return found
