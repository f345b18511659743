"""libvirtd dies in the middle of a creation: what is there then is taken up by the next apply, whatever it is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from contracts.driver_contract_steps import MAC, OTHER_MAC
from support import libvirtd
from support.cli_host import DISK, IMAGE, POOLS, Shop, machine, manifest, shop
from support.libvirtd import Libvirtd, virsh
from support.libvirtd_dies import LIBVIRTD_DIES
from support.paths import ROOT, TESTS

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]

MOMENTS = ("before:defineXML", "after:defineXML", "during:create", "after:create")
GIVEN = POOLS + IMAGE + DISK + manifest("VirtualMachineDisk", "web-1-data", "pool: vmd-pool, capacity: 1Gi")
PLUGGED = ", {target: vdb, disk: web-1-data}"
AUTOSTART = ", autostart: true"
WEB = machine(disks=PLUGGED, more=AUTOSTART)


@pytest.fixture
def mortal(shop: Shop, daemon: Libvirtd) -> Iterator[Libvirtd]:
    """A libvirtd that may die in the test, and lives afterwards."""
    yield daemon
    if not libvirtd.answers():
        daemon.start()
    daemon.bury()


def apply_while_it_dies(shop: Shop, moment: str) -> str:
    """What an apply says in which libvirtd dies."""
    words = ["shop", "-y", "--driver", "libvirt", "--node", "node22", "--cluster", str(shop.home / "shop.db")]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"}
    died = subprocess.run(
        [*LIBVIRTD_DIES, moment, *words], capture_output=True, text=True, check=False, cwd=shop.home, env=environment
    )
    assert died.returncode == 1, died.stdout + died.stderr
    assert not libvirtd.answers()
    return died.stdout + died.stderr


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_machine_in_whose_creation_libvirtd_died_is_taken_up(shop: Shop, mortal: Libvirtd, moment: str) -> None:
    shop.write(GIVEN)
    shop.begun()
    shop.write(GIVEN + WEB)
    assert "failed      CreateAndStartVMFromISO VirtualMachine/web-1" in apply_while_it_dies(shop, moment)
    mortal.start()
    shop.applied()
    assert virsh("domstate", "web-1") == "running"
    assert "Autostart:      enable" in virsh("dominfo", "web-1"), "what was to follow the creation has not come yet"
    assert MAC in virsh("dumpxml", "web-1")


@pytest.mark.parametrize("moment", ["before:attachDeviceFlags", "after:attachDeviceFlags"])
def test_a_card_while_which_was_plugged_libvirtd_died_is_taken_up(shop: Shop, mortal: Libvirtd, moment: str) -> None:
    shop.write(GIVEN + WEB)
    shop.begun()
    running = virsh("domid", "web-1")
    more = f', {{mac: "{OTHER_MAC}", type: bridge, source: br-ext}}'
    shop.write(GIVEN + machine(disks=PLUGGED, more=AUTOSTART, nics=more))
    assert "failed      PlugNIC VirtualMachine/web-1" in apply_while_it_dies(shop, moment)
    mortal.start()
    shop.applied()
    assert virsh("domid", "web-1") == running
    assert virsh("domiflist", "web-1").count(OTHER_MAC) == virsh("domiflist", "--inactive", "web-1").count(OTHER_MAC)
    assert virsh("domiflist", "web-1").count(OTHER_MAC) == 1
