"""A guest that its node pauses, as there is no space left for what it writes: everything says so, and nothing waits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.driver_contract_steps import VMD, VMDI
from support import guest, libvirtd
from support.cli_host import DISK, IMAGE, POOLS, Shop, machine, shop
from support.libvirtd import virsh
from support.own_host import command

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]

WHY = "I/O error on vda: no space left"


@pytest.fixture
def small(shop: Shop) -> Iterator[Path]:
    """A pool with little room, and a guest that writes more."""
    Path(VMD).mkdir()
    command("mount", "-t", "tmpfs", "-o", "size=3M,mode=755", "small", VMD)
    guest.install(f"{VMDI}/tiny/tiny", fills=True)
    yield Path(VMD)
    libvirtd.clean()
    command("umount", VMD)
    Path(VMD).rmdir()


def test_a_guest_that_has_no_space_left_says_so_wherever_it_is_looked_at(shop: Shop, small: Path) -> None:
    shop.write(POOLS + IMAGE + DISK + machine())
    said = shop.attempt()
    assert "created     CreateAndStartVMFromISO" in said, said
    until = time.monotonic() + 60
    while virsh("domstate", "--reason", "web-1") != "paused (I/O error)":
        assert time.monotonic() < until, said
        time.sleep(0.1)
    (note,) = [each for each in shop.planned()["notes"] if each["kind"] == "PausedBy"]
    assert WHY in note["text"]
    assert [step["operation"] for step in shop.planned()["steps"]] == ["ResumeVM"]

    began = time.monotonic()
    said = shop.attempt()
    assert f"was resumed and paused again: {WHY}. Mend that on its node, then resume it" in said
    assert said.endswith("exit 1")
    assert time.monotonic() - began < 30
    for verb in ("get", "describe"):
        assert WHY in shop.reconcile(verb, "VirtualMachine/web-1").stdout

    command("mount", "-o", "remount,size=64M", str(small))
    shop.applied()
    assert virsh("domstate", "web-1") == "running"
    assert "PausedBy" not in str(shop.planned()["notes"])
    assert WHY not in shop.reconcile("describe", "VirtualMachine/web-1").stdout
