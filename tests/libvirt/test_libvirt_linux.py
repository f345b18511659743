"""A real operating system in the guest: what is applied to the host is what Linux comes to see, and does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contracts.driver_contract_steps import MAC, OTHER_MAC, VMD, VMDI
from support import libvirtd
from support import linux_guest as linuxguest
from support.cli_host import DISK, IMAGE, POOLS, Shop, machine, manifest, shop
from support.libvirtd import MEDIA, virsh
from support.linux_guest import REPORT_SIZE, View

if (lacking := libvirtd.missing() or linuxguest.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]

GIB = 1024**3
REPORT = f"{VMD}/web-1-report/web-1-report"
BASE = (POOLS + IMAGE + DISK).replace("tiny", "linux") + manifest(
    "VirtualMachineDisk", "web-1-report", f'pool: vmd-pool, capacity: "{REPORT_SIZE}"'
)
DATA = "VirtualMachineDisk", "web-1-data"
REPORTS = ", {target: vdb, disk: web-1-report}"


@pytest.fixture
def linux(shop: Shop) -> Shop:
    assert not (why := linuxguest.missing()), why
    image = Path(VMDI, "linux", "linux")
    image.parent.mkdir()
    linuxguest.install(str(image))
    return shop


def seen(**what: str) -> View:
    """The guest's first view with these in it."""
    return linuxguest.seen(REPORT, lambda view: all(view[name] == said for name, said in what.items()))


def sectors(view: View) -> list[int]:
    return sorted(int(size) * 512 for size in view.named("disk").values())


def sees_disks(*sizes: int) -> None:
    linuxguest.seen(REPORT, lambda view: sectors(view) == sorted(sizes))


def sees_nics(*macs: str) -> None:
    linuxguest.seen(REPORT, lambda view: set(view.named("nic")) - {"00:00:00:00:00:00"} == set(macs))


def test_linux_sees_what_is_applied(linux: Shop) -> None:
    for medium, content in zip(MEDIA, (b"the first medium", b"another medium!!"), strict=True):
        Path(medium).write_bytes(content.ljust(2048, b"\0"))

    def apply(disks: str = "", more: str = "", base: str = BASE, allow: str = "", **given: str) -> None:
        given = {"cpu": "{count: 1, max: 2}", "memory": "{size: 256Mi, max: 256Mi}", **given}
        linux.write(base + machine(disks=REPORTS + disks, more=f", powerState: {more or 'Running'}", **given))
        linux.applied(*(("--allow", allow) if allow else ()))

    # It boots.
    apply()
    booted = seen(state="running", cpus="1", medium=b"the first medium".hex())
    sees_disks(GIB, REPORT_SIZE)
    sees_nics(MAC)

    # A disk is plugged, grown and unplugged.
    data, plugged = manifest(*DATA, "pool: vmd-pool, capacity: 1Gi"), ", {target: vdc, disk: web-1-data}"
    apply(plugged, base=BASE + data)
    sees_disks(GIB, REPORT_SIZE, GIB)
    grown = BASE + data.replace("1Gi", "2Gi")
    apply(plugged, base=grown)
    sees_disks(GIB, REPORT_SIZE, 2 * GIB)

    # A NIC is plugged, and both go.
    apply(plugged, base=grown, nics=f', {{mac: "{OTHER_MAC}", type: bridge, source: br-ext}}')
    sees_nics(MAC, OTHER_MAC)
    apply(base=grown, allow="interrupt")
    sees_nics(MAC)
    sees_disks(GIB, REPORT_SIZE)

    # More CPUs, less memory, another medium.
    given = {"base": grown, "cpu": "{count: 2, max: 2}"}
    apply(**given)
    seen(cpus="2")
    given["memory"] = "{size: 192Mi, max: 256Mi}"
    apply(**given, allow="interrupt")
    seen(memory=str(int(booted["memory"]) - 64 * 1024))
    assert "196608 KiB" in virsh("dominfo", "web-1")
    given["medium"] = MEDIA[1]
    apply(**given, allow="interrupt")
    assert seen(medium=b"another medium!!".hex())["boot"] == booted["boot"]

    # Its time stands still for as long as another look at the host takes, and goes on from there.
    apply(**given, more="Paused", allow="interrupt")
    stood = linuxguest.view(REPORT)
    apply(**given, more="Paused")
    assert virsh("domstate", "web-1") == "paused"
    assert linuxguest.view(REPORT)["uptime"] == stood["uptime"]
    apply(**given)
    went_on = linuxguest.seen(REPORT, lambda view: view["uptime"] != stood["uptime"])
    assert went_on["boot"] == booted["boot"]

    # All of the memory again: a guest that starts has no less before its balloon driver is there.
    given["memory"] = "{size: 256Mi, max: 256Mi}"
    apply(**given)
    seen(memory=booted["memory"])

    # It shuts down by itself, and boots again.
    apply(**given, more="Stopped", allow="restart")
    assert virsh("domstate", "web-1") == "shut off"
    assert linuxguest.view(REPORT)["state"] == "off"
    apply(**given)
    assert seen(state="running")["boot"] != booted["boot"]


def test_a_machine_is_back_when_its_guest_agent_answers(linux: Shop) -> None:
    """Opening the channel is what an agent begins with; libvirt tells of it, and nobody scans the node meanwhile."""
    ready = ", powerState: Running, readiness: {guestAgent: {}, timeout: 200}"
    linux.write(BASE + machine(disks=REPORTS, more=ready))
    linux.applied()
    booted = seen(state="running")
    linux.write(BASE + machine(disks=REPORTS, more=ready, cpu="{count: 1, max: 2}"))
    linux.applied("--allow", "restart")
    assert linuxguest.view(REPORT)["boot"] != booted["boot"], "it was waited until it had booted again"
    assert "name='org.qemu.guest_agent.0' state='connected'" in virsh("dumpxml", "web-1")
