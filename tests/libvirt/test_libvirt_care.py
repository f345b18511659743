"""What the libvirt driver takes care of, on a real libvirt: files, deaf guests, claims and what was left half done."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from contracts.driver_contract_steps import (
    BOTH,
    CONFIG,
    GIB,
    ISO,
    KIB_OF_GIB,
    LIVE,
    MAC,
    OTHER_MAC,
    VMD,
    VMDI,
    Steps,
)
from support import guest, libvirtd
from support.cli_host import DISK as ROOT_DISK
from support.cli_host import IMAGE, POOLS, Shop, info, machine, shop
from support.libvirtd import clean, virsh
from support.real_machines import RealSteps

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]

import libvirt
import libvirt_qemu
import pycdlib  # (the bindings are needed to import what follows)

from reconciler.drivers.libvirt import disk, image
from reconciler.drivers.libvirt.driver import Libvirt
from reconciler.drivers.libvirt.host import Host
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE
from reconciler.model.resource import ResourceId

IN_POOL = {"type": "localfs", "pool": "vmd-pool"}


@pytest.fixture
def driver(libvirt_host: None, tmp_path: Path) -> Iterator[Libvirt]:
    """Guests that do not listen are found out soon."""
    allowed = (str(tmp_path),)
    driver = Libvirt(Host(libvirtd.URI, "node22", again=0.3, shutdown=2, unplug=2, balloon=2, allowed=allowed))
    yield driver
    driver.close()
    clean()


@pytest.fixture
def does(driver: Libvirt) -> Steps:
    steps = RealSteps(driver)
    steps.pool()
    return steps


@pytest.fixture
def off(does: Steps) -> Steps:
    """``web-1`` on ``web-1-root``, which does not run."""
    does.machine()
    does.vm("StopVMForce")
    return does


def test_what_the_guest_agent_of_a_machine_does_is_noticed_once(does: Steps, driver: Libvirt) -> None:
    does.machine()  # at its start, libvirt tells that the agent does not answer
    noticed: set[ResourceId] = set()
    assert driver.host.wait_until(10, lambda: bool(noticed), lambda: noticed.update(driver.noticed()))
    assert noticed == {ResourceId(MACHINE, "web-1")}
    assert driver.noticed() == set()


def sources(name: str = "web-1", *words: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in virsh("domblklist", name, *words).splitlines())


def definition(name: str = "web-1") -> ElementTree.Element:
    return ElementTree.fromstring(virsh("dumpxml", name, "--inactive", "--security-info"))


def listed(directory: str | Path) -> dict[str, bytes | str]:
    """Every name below a directory, with what a file holds or where a link leads."""
    return {
        str(each.relative_to(directory)): os.readlink(each) if each.is_symlink() else each.read_bytes()
        for each in sorted(Path(directory).rglob("*"))
        if each.is_symlink() or each.is_file()
    }


# Guests that do not listen ----------------------------------------------------------------------------------


def test_what_a_deaf_guest_does_not_do_is_told_and_everything_stays(does: Steps, tmp_path: Path) -> None:
    path = does.disk()
    guest.install(path, deaf=True)
    does.machine(path=path)
    plug = described(tmp_path, f'<disk type="file"><source file="{does.disk("data")}"/><target dev="vdb"/></disk>')
    does.vm("PlugDevice", file=plug, **BOTH)
    kept = {"vda": path, "vdb": does.path("data")}
    for operation, given, word in (
        ("ResizeRAM", {"size": str(KIB_OF_GIB), **LIVE}, "balloon"),
        ("UnplugDisk", {"target": "vdb", **BOTH}, "vdb"),
        ("UnplugDevice", {"file": plug, **BOTH}, plug),
        ("StopVM", {}, "StopVMForce"),
        ("RebootVM", {}, "restarted"),
    ):
        with does.refused("LibvirtError", "web-1", word):
            does.vm(operation, **given)
        assert sources() == sources("web-1", "--inactive") == kept
        assert definition().findtext("currentMemory") == str(2 * KIB_OF_GIB)
        assert virsh("domstate", "web-1") == "running"
    # One that has given nothing back may be starting: the definition says what it is to have, and the guest is seen.
    does.vm("ResizeRAM", size=str(KIB_OF_GIB), **BOTH)
    assert definition().findtext("currentMemory") == str(KIB_OF_GIB)
    shown = does.observe(MACHINE, "web-1")
    assert shown["domain"]["currentMemory"]["text"] == 2 * KIB_OF_GIB
    assert shown["nextStart"]["currentMemory"]["text"] == KIB_OF_GIB


def test_a_guest_that_is_not_to_be_cut_runs_on_and_one_that_may_be_is_cut(shop: Shop) -> None:
    guest.install(f"{VMDI}/tiny/tiny", deaf=True)
    stack, stops = POOLS + IMAGE + ROOT_DISK, ", powerState: Stopped"
    words = ("shop", "-y", "--driver", "libvirt", "--node", "node22", "--shutdown-timeout", "2")
    shop.write(stack + machine())
    shop.applied()
    id = virsh("domid", "web-1")

    shop.write(stack + machine(more=stops))
    held = shop.reconcile(*words)
    assert held.returncode == 0, held.stdout + held.stderr
    assert "StopVM" in held.stdout
    assert virsh("domid", "web-1") == id, "nobody allowed it to be stopped"

    asked = shop.reconcile(*words, "--allow", "restart")
    assert asked.returncode == 1, asked.stdout + asked.stderr
    assert "the guest of web-1 has not shut down in 2 s; it runs on" in asked.stdout + asked.stderr
    assert virsh("domid", "web-1") == id

    shop.write(stack + machine(more=f"{stops}, stopMode: Force"))
    shop.applied("--allow", "restart")
    assert virsh("domstate", "web-1") == "shut off"


# Devices that a file describes -------------------------------------------------------------------------------


def described(directory: Path, xml: str) -> str:
    path = directory / f"device-{len(list(directory.iterdir()))}.xml"
    path.write_text(xml)
    return str(path)


def test_a_described_device_is_gone_when_the_guest_let_go_of_it(does: Steps, tmp_path: Path) -> None:
    host = Host(libvirtd.URI, "node22", again=0.3, unplug=120, allowed=(str(tmp_path),))
    try:
        patient = RealSteps(Libvirt(host))
        patient.machine()
        data = patient.disk("data")
        disk = f'<disk type="file"><driver name="qemu" type="qcow2"/><source file="{data}"/><target dev="vdb"/></disk>'
        nic = f'<interface type="bridge"><mac address="{OTHER_MAC}"/><source bridge="br-ext"/></interface>'
        for xml in (disk, nic):
            file = described(tmp_path, xml)
            before = sources(), patient.macs()
            touched = patient.vm("PlugDevice", file=file, **BOTH)
            assert (ResourceId(DISK, "data") in touched) is (xml is disk)
            assert (sources(), patient.macs()) != before
            patient.vm("UnplugDevice", file=file, **BOTH)
            assert (sources(), patient.macs()) == before
            with patient.refused("LibvirtError", "web-1"):
                patient.vm("UnplugDevice", file=file, **BOTH)
        patient.run(DISK, "data", "DeleteDisk", **IN_POOL)
    finally:
        host.close()


def test_what_another_machine_has_is_not_taken_by_describing_it(off: Steps, tmp_path: Path) -> None:
    off.machine("web-2", mac=OTHER_MAC)
    outside = tmp_path / "outside"
    outside.write_bytes(b"\0" * 1024)
    (Path(VMD) / "web-1-root" / "link").symlink_to(outside)
    disk = '<disk type="file"><source file="{}"/><target dev="vdb"/></disk>'
    for xml, word in (
        (disk.format(off.path("web-2-root")), "web-2"),
        (disk.format(off.path("web-1-root")), "already attached"),
        (disk.format(off.disk("free")).replace("vdb", "vda"), "vda"),
        (disk.format(outside), "in a pool"),
        (disk.format(f"{VMD}/web-1-root/link"), "in a pool"),
        (disk.format(f"{VMD}/free/../../..{outside}"), "in a pool"),
        ('<disk type="file"><target dev="vdb"/></disk>', "in a pool"),
        (
            f'<interface type="bridge"><mac address="{OTHER_MAC.upper()}"/><source bridge="br-ext"/></interface>',
            "web-2",
        ),
        (f'<interface type="bridge"><mac address="{MAC}"/><source bridge="br-ext"/></interface>', "web-1"),
        ("this is no description", "does not describe a device"),
    ):
        with off.refused("LibvirtError", word):
            off.vm("PlugDevice", file=described(tmp_path, xml), **CONFIG)
    with off.refused("Exception", "type volume"):
        volume = '<disk type="volume"><source pool="vmd-pool" volume="web-2-root"/><target dev="vdb"/></disk>'
        off.vm("PlugDevice", file=described(tmp_path, volume), **CONFIG)
    with off.refused("LibvirtError", "cannot be read"):
        off.vm("PlugDevice", file=str(tmp_path / "missing.xml"), **CONFIG)


# Nothing outside the pools ---------------------------------------------------------------------------------


def asked_of(does: Steps, name: str, word: str) -> None:
    """Everything that would write to a disk or take it away is refused, and the machine does not get it."""
    inside = {**IN_POOL, "snapshotname": "before"}
    for operation, given in (
        ("DeleteDisk", IN_POOL),
        ("ResizeDisk", {**IN_POOL, "capacity": str(20 * GIB)}),
        ("CreateDiskInternalSnapshot", inside),
        ("RevertDiskInternalSnapshot", inside),
        ("DeleteDiskInternalSnapshot", inside),
        ("CloneDisk", {**IN_POOL, "newname": "copy", "format": "qcow2"}),
        ("DeleteCloudInitUserDataImage", {"pool": "vmd-pool"}),
    ):
        with does.refused("400", name, word):
            does.run(DISK, name, operation, **given)
    with does.refused("LibvirtError"):
        does.vm("PlugDisk", source=does.path(name), target="vdb", **CONFIG)


def test_a_link_that_leads_out_of_a_pool_is_not_followed(off: Steps, tmp_path: Path) -> None:
    away = tmp_path / "away"
    off.disk("evil")
    subprocess.run(["qemu-img", "snapshot", "-c", "before", off.path("evil")], check=True)
    shutil.move(Path(VMD) / "evil", away)
    (Path(VMD) / "evil").symlink_to(away)
    (Path(VMD) / "taken").symlink_to(tmp_path / "nowhere")
    before = listed(tmp_path)
    asked_of(off, "evil", "out of")
    for name in ("taken", "../elsewhere", ".."):
        with off.refused("400"):
            off.driver.run(ResourceId(DISK, name), "CreateDisk", {**IN_POOL, "format": "qcow2", "capacity": str(GIB)})
    assert listed(tmp_path) == before
    assert not (tmp_path / "nowhere").exists()
    assert not Path(VMD, "..", "elsewhere").exists()


@pytest.mark.parametrize("how", ["outside", "climbs", "a link", "another disk"])
def test_a_configuration_that_leads_out_of_its_directory_is_not_believed(off: Steps, tmp_path: Path, how: str) -> None:
    off.disk("evil")
    outside = tmp_path / "outside"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(outside), "1G"], check=True)
    link = Path(VMD, "evil", "link")
    link.symlink_to(outside)
    current = {
        "outside": str(outside),
        "climbs": f"{VMD}/evil/../../../../..{outside}",
        "a link": str(link),
        "another disk": off.path("web-1-root"),
    }[how]
    config = Path(VMD, "evil", "config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "current": current}))
    before = listed(tmp_path), listed(VMD)
    asked_of(off, "evil", current)
    assert (listed(tmp_path), listed(VMD)) == before


def test_a_machine_takes_along_the_disk_it_has_and_no_other(off: Steps) -> None:
    off.disk("other")
    config = Path(VMD, "web-1-root", "config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "name": "other"}))
    off.vm("DeleteVM", storage="vda")
    assert sorted(each.name for each in Path(VMD).iterdir()) == ["content", "other"]


def test_a_disk_whose_place_another_tool_left_out_is_shown_with_what_it_stands_on(off: Steps) -> None:
    snapshot = {"type": "localfs", "pool": "vmd-pool", "vol": "web-1-root", "domain": "web-1"}
    off.run(DISK_SNAPSHOT, "before", "CreateDiskExternalSnapshot", **snapshot)
    shown = off.observe(DISK, "web-1-root")["volume"]
    assert Path(shown["full_backing_filename"]) == Path(VMD, "web-1-root", "web-1-root")
    config = Path(VMD, "web-1-root", "config.json")
    kept = json.loads(config.read_text())
    del kept["dir"]
    config.write_text(json.dumps(kept))
    assert off.observe(DISK, "web-1-root")["volume"] == shown


# Seeds, exports and copies ---------------------------------------------------------------------------------


def test_a_seed_is_what_cloud_init_looks_for(does: Steps) -> None:
    data = "#cloud-config\nhostname: web-1\n"
    does.run(DISK, "web-1-seed", "CreateCloudInitUserDataImage", pool="vmd-pool", userData=data)
    path = does.path("web-1-seed")
    asked = ["blkid", "-p", "-o", "export", path]
    found = subprocess.run(asked, check=True, capture_output=True, text=True, env=libvirtd.with_sbin()).stdout
    assert {"LABEL=cidata", "TYPE=iso9660"} <= set(found.split())
    iso = pycdlib.PyCdlib()
    iso.open(path)
    for kind in ("joliet_path", "rr_path"):
        files = {"user-data": data, "meta-data": "instance-id: web-1-seed\n"}
        for name, text in files.items():
            read = io.BytesIO()
            iso.get_file_from_iso_fp(read, **{kind: f"/{name}"})
            assert read.getvalue().decode() == text
    iso.close()
    with does.refused("400", "#cloud-config"):
        does.run(DISK, "web-2-seed", "CreateCloudInitUserDataImage", pool="vmd-pool", userData="hostname: web-1")
    does.run(DISK, "web-1-seed", "DeleteCloudInitUserDataImage", pool="vmd-pool")
    assert [each.name for each in Path(VMD).iterdir()] == ["content"]


def same_content(one: str, other: str) -> bool:
    return subprocess.run(["qemu-img", "compare", "-q", "-U", one, other], check=False).returncode == 0


def test_an_exported_machine_is_whole_and_overwrites_nothing(off: Steps, tmp_path: Path) -> None:
    place = tmp_path / "exports"
    with off.refused("Exception", str(place)):
        off.vm("ExportVM", path=str(place))
    place.mkdir()
    linked = tmp_path / "linked"
    linked.symlink_to(place)
    for path in (linked, place / ".." / "exports"):
        with off.refused("Exception", "name it itself"):
            off.vm("ExportVM", path=str(path))
    off.vm("ExportVM", path=str(place))
    made = place / "web-1"
    assert sorted(each.name for each in made.iterdir()) == ["vda.qcow2", "web-1.xml"]
    assert made.stat().st_mode & 0o077 == 0
    assert same_content(off.path("web-1-root"), str(made / "vda.qcow2"))
    assert "backing-filename" not in info(str(made / "vda.qcow2"))
    text = (made / "web-1.xml").read_text()
    assert "horse-12" in virsh("dumpxml", "web-1", "--inactive", "--security-info")
    assert "horse-12" not in text
    before = listed(tmp_path)
    with off.refused("400", str(made)):
        off.vm("ExportVM", path=str(place))
    (place / "web-1").rename(place / "kept")
    (place / "web-1").symlink_to(place / "kept")
    with off.refused("400", str(made)):
        off.vm("ExportVM", path=str(place))
    (place / "web-1").unlink()
    (place / "kept").rename(made)
    assert listed(tmp_path) == before
    uuid = virsh("domuuid", "web-1")
    virsh("undefine", "web-1")
    virsh("define", str(made / "web-1.xml"))
    assert virsh("domuuid", "web-1") == uuid


def test_a_clone_is_a_machine_of_its_own(off: Steps) -> None:
    off.run(MACHINE, "web-1", "CloneVM", name="web-2", auto_clone=True)
    original, clone = (definition(name) for name in ("web-1", "web-2"))
    assert original.findtext("uuid") != clone.findtext("uuid") == virsh("domuuid", "web-2")
    assert MAC in virsh("domiflist", "web-1")
    assert MAC not in virsh("domiflist", "web-2")
    assert sources("web-2") == {"vda": off.path("web-2-vda")}
    assert same_content(off.path("web-1-root"), off.path("web-2-vda"))
    for name in ("web-1", "web-2"):
        off.vm("StartVM", name)
    assert virsh("list", "--name").split() == ["web-1", "web-2"]
    off.vm("StopVMForce", "web-2")
    off.vm("DeleteVM", "web-2", storage="vda")
    assert sources() == {"vda": off.path("web-1-root")}


def test_a_definition_that_is_changed_keeps_what_it_is_known_by(off: Steps) -> None:
    firmware = definition()
    system = firmware.find("os")
    assert system is not None
    loader = ElementTree.SubElement(system, "loader", readonly="yes", type="pflash")
    loader.text = "/usr/share/OVMF/OVMF_CODE_4M.fd"
    nvram = ElementTree.SubElement(system, "nvram", template="/usr/share/OVMF/OVMF_VARS_4M.fd")
    nvram.text = "/var/lib/libvirt/qemu/nvram/web-1_VARS.fd"
    written = Path(VMD, "web-1.xml")
    written.write_text(ElementTree.tostring(firmware, encoding="unicode"))
    virsh("define", str(written))

    def kept() -> dict[str, Any]:
        now = definition()
        found = {path: now.findtext(path) for path in ("uuid", "os/loader", "os/nvram")}
        for path in (
            "os/loader",
            "os/nvram",
            "devices/interface/mac",
            "devices/interface/address",
            "devices/disk/address",
        ):
            element = now.find(path)
            assert element is not None
            found[f"{path} has"] = str(element.attrib)
        return found

    before = kept()
    off.vm("SetBootOrder", order="vda")
    off.vm("ResizeMaxRAM", size=str(3 * KIB_OF_GIB), **CONFIG)
    off.vm("ChangeNumberOfCPU", count="8", maximum=True, cores="8", sockets="1", threads="1", **CONFIG)
    off.vm("UpdateGraphic", type="spice", no_password=True)
    after = definition()
    assert kept() == before
    assert (after.findtext("memory"), after.findtext("vcpu")) == (str(3 * KIB_OF_GIB), "8")
    assert [each.get("type") for each in after.iterfind("devices/graphics")] == ["spice"]


# What was left half done ------------------------------------------------------------------------------------


class Killed(BaseException):
    """What nobody catches on the way."""


@pytest.mark.parametrize(
    ("kind", "name", "operation", "given"),
    [
        (DISK, "new", "CreateDisk", {**IN_POOL, "format": "qcow2", "capacity": str(GIB)}),
        (
            DISK,
            "new",
            "CreateDiskFromDiskImage",
            {"type": "localfs", "targetPool": "vmd-pool", "source": f"{VMDI}/golden/golden"},
        ),
        (
            DISK,
            "new",
            "CreateDiskFromDiskImage",
            {"type": "localfs", "targetPool": "vmd-pool", "source": f"{VMDI}/golden/golden", "full_copy": True},
        ),
        (DISK, "old", "CloneDisk", {**IN_POOL, "newname": "new", "format": "qcow2"}),
        (
            DISK_IMAGE,
            "new",
            "CreateDiskImageFromDisk",
            {"targetPool": "image-pool", "sourcePool": "vmd-pool", "sourceVolume": "old"},
        ),
    ],
)
def test_what_a_dead_one_left_is_cleared_by_the_next(
    does: Steps,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    name: str,
    operation: str,
    given: dict[str, Any],
) -> None:
    does.pool("image-pool", "vmdi", VMDI)
    does.disk("old", size=GIB)
    golden = {"targetPool": "image-pool", "sourcePool": "vmd-pool", "sourceVolume": "old"}
    does.run(DISK_IMAGE, "golden", "CreateDiskImageFromDisk", **golden)
    pool = Path(VMDI if kind == DISK_IMAGE else VMD)
    before = listed(VMD), listed(VMDI)

    def dies_after(done: Callable[..., str]) -> Callable[..., str]:
        def qemu_img(*arguments: str) -> str:
            done(*arguments)
            raise Killed

        return qemu_img

    with monkeypatch.context() as patched:
        for module in (disk, image):
            patched.setattr(module, "qemu_img", dies_after(module.qemu_img))
        with pytest.raises(Killed):
            does.run(kind, name, operation, **given)
    assert (listed(VMD), listed(VMDI)) == before, "who can still clear away does"

    left = pool / ".making-new"
    left.mkdir()
    (left / "new").write_text("half of a file")
    (left / "config.json").write_text('{"current": "')
    everything = does.everything()
    assert ResourceId(kind, "new") not in everything, "nobody takes it for a resource"
    does.run(kind, name, operation, **given)
    assert sorted(each.name for each in (pool / "new").iterdir()) == ["config.json", "new"]
    assert not left.exists()
    assert info(str(pool / "new" / "new"))["virtual-size"] == GIB
    assert set(does.everything()) == {*everything, ResourceId(kind, "new")}


def test_a_guest_that_moves_the_tray_just_then_is_asked_again(does: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    does.machine(path=VMD, disk=f"{does.disk()},target=vda --disk {ISO},device=cdrom,perms=ro,target=sda")
    change, refusals = libvirt.virDomain.updateDeviceFlags, ["Tray of device 'scsi0-0-0' is not open"]

    def moved(domain: Any, xml: str, flags: int) -> Any:
        if refusals:
            raise libvirt.libvirtError(refusals.pop())
        return change(domain, xml, flags)

    monkeypatch.setattr(libvirt.virDomain, "updateDeviceFlags", moved)
    asked = {"path": "sda", "source": ISO, "force": False, "block": False, **BOTH}
    does.vm("ManageISO", eject=True, insert=False, update=False, **asked)
    assert not refusals
    assert "source" not in does.target("sda")


def test_a_tray_that_the_guest_closed_unseen_is_opened_again(does: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """A libvirt that takes the tray for open leaves it as it is, and QEMU then changes no medium."""
    does.machine(path=VMD, disk=f"{does.disk()},target=vda --disk {ISO},device=cdrom,perms=ro,target=sda")
    change, refusals = libvirt.virDomain.updateDeviceFlags, []

    def ask(domain: Any, command: str) -> Any:
        return json.loads(libvirt_qemu.qemuMonitorCommand(domain, json.dumps({"execute": command}), 0))["return"]

    def taken_for_open(domain: Any, xml: str, flags: int) -> Any:
        (drive,) = [each for each in ask(domain, "query-block") if each["removable"]]
        if flags & libvirt.VIR_DOMAIN_AFFECT_LIVE and not drive["tray_open"]:
            refusals.append("Tray of device 'scsi0-0-0' is not open")
            raise libvirt.libvirtError(refusals[-1])
        return change(domain, xml, flags)

    monkeypatch.setattr(libvirt.virDomain, "updateDeviceFlags", taken_for_open)
    asked = {"path": "sda", "source": ISO, "force": False, "block": False, **BOTH}
    does.vm("ManageISO", eject=True, insert=False, update=False, **asked)
    assert refusals
    assert "source" not in does.target("sda")


def test_a_pool_whose_directory_is_not_there_is_not_to_be_made_anew(shop: Shop) -> None:
    """Its mark cannot be read, and of a pool that was taken over nothing else says what it is for."""
    shop.write(POOLS)
    shop.begun()
    (shop.home / "shop.db").unlink()
    taken = shop.attempt("--adopt")
    assert taken.endswith("exit 0"), taken
    Path(VMDI).rename(f"{VMDI}-gone")
    said = shop.attempt()
    assert f"{VMDI}, the directory of pool image-pool, is not there: mount it or bring it back" in said
    assert "create it again" not in said
    assert "StartPool" in said
    Path(f"{VMDI}-gone").rename(VMDI)
    shop.applied()


def test_a_pool_that_is_not_mounted_has_nothing_made_in_it(shop: Shop) -> None:
    """Its directory is empty, and libvirt calls it active: the disks in it are unknown, not gone."""
    shop.write(POOLS + IMAGE + ROOT_DISK + machine(more=", powerState: Running"))
    shop.applied()
    before = virsh("dumpxml", "web-1", "--inactive")
    virsh("destroy", "web-1")
    Path(VMD).rename(f"{VMD}-mounted")
    Path(VMD).mkdir()
    (Path(VMD) / "lost+found").mkdir()
    plan = shop.planned()
    assert [(step["operation"], step["wave"]) for step in plan["steps"]] == [("StartPool", 1), ("StartVM", 2)]
    said = shop.attempt("--allow", "interrupt,restart,recreate,data")
    assert f"{VMD}, the directory of pool vmd-pool, is empty: mount what belongs there" in said
    assert "needs StartPool of VirtualMachinePool/vmd-pool" in said
    assert said.endswith("exit 1")
    assert os.listdir(VMD) == ["lost+found"]
    assert virsh("dumpxml", "web-1", "--inactive") == before
    shutil.rmtree(VMD)
    Path(f"{VMD}-mounted").rename(VMD)
    shop.applied()
    assert virsh("domstate", "web-1") == "running"
