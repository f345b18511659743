"""What of the host is not of its pools stays on the host, whatever an image, a link or an operation names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract_steps import CONFIG, ISO, OTHER_MAC, VMD, VMDI, Steps
from support import guest, libvirtd
from support.libvirtd import clean, virsh
from support.real_machines import RealSteps

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

from reconciler.drivers.libvirt.capabilities import CAPABILITIES
from reconciler.drivers.libvirt.driver import Libvirt
from reconciler.drivers.libvirt.host import Host
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE, POOL, SNAPSHOT
from reconciler.model.problem import OperationFailed

GIB = str(1024**3)
SECRET = "/etc/libvirt/secret-of-the-host"  # each worker has this directory for itself
BAD, LAYERED, IMAGE = f"{VMD}/bad/bad", f"{VMD}/layered/layered", f"{VMDI}/golden/golden"
DESCRIBED = "/var/lib/libvirt/iso/bad.xml"
IN_POOL = {"type": "localfs", "pool": "vmd-pool"}
OF_LAYERED = {**IN_POOL, "vol": "layered", "domain": ""}
OF_IMAGE = {"type": "localfs", "targetPool": "vmd-pool", "source": IMAGE}
FROM_BAD = {"targetPool": "image-pool", "sourcePool": "vmd-pool", "sourceVolume": "bad"}
SNAPPED = {"snapshotname": "before"}
NEW = {
    "graphics": "vnc,listen=127.0.0.1",
    "memory": "256",
    "network": f"type=bridge,source=br-ext,mac={OTHER_MAC}",
    "os_variant": "debian12",
    "vcpus": "1",
    "noautoconsole": True,
}

# Kind, name of the target, operation and parameters: each opens ``bad``, ``layered`` or the image ``golden``.
OPENS: list[tuple[str, str, str, dict[str, Any]]] = [
    (MACHINE, "new", "CreateAndStartVMFromISO", {**NEW, "disk": f"{BAD},target=vda"}),
    (MACHINE, "new", "CreateAndStartVMFromImage", {**NEW, "disk": f"{BAD},target=vda"}),
    (MACHINE, "new", "CreateAndStartVMFromISO", {**NEW, "disk": f"{IMAGE},device=cdrom,target=sda"}),
    (MACHINE, "victim", "StartVM", {}),
    (MACHINE, "victim", "AutoStartVM", {}),  # at the next boot, when nobody looks
    (MACHINE, "victim", "CloneVM", {"name": "copy", "auto_clone": True}),
    (MACHINE, "other", "CloneVM", {"name": "copy", "file": BAD, "preserve_data": True}),
    (MACHINE, "victim", "ExportVM", {"path": "/var/lib/libvirt/exports"}),
    (MACHINE, "other", "PlugDisk", {"source": BAD, "target": "vdb", **CONFIG}),
    (MACHINE, "other", "PlugDevice", {"file": DESCRIBED, **CONFIG}),
    (MACHINE, "other", "InsertISO", {"path": IMAGE, **CONFIG}),
    (MACHINE, "other", "ManageISO", {"path": "hda", "source": IMAGE, "insert": True, **CONFIG}),
    (DISK, "new", "CreateDiskFromDiskImage", OF_IMAGE),
    (DISK, "new", "CreateDiskFromDiskImage", {**OF_IMAGE, "full_copy": True}),
    (DISK, "bad", "CloneDisk", {**IN_POOL, "newname": "new", "format": "qcow2"}),
    (DISK, "bad", "ResizeDisk", {**IN_POOL, "capacity": f"{2 * int(GIB)}"}),
    (DISK, "bad", "CreateDiskInternalSnapshot", {**IN_POOL, "snapshotname": "new"}),
    (DISK, "bad", "RevertDiskInternalSnapshot", {**IN_POOL, **SNAPPED}),
    (DISK, "bad", "DeleteDiskInternalSnapshot", {**IN_POOL, **SNAPPED}),
    (DISK_IMAGE, "new", "CreateDiskImageFromDisk", FROM_BAD),
    (DISK_IMAGE, "placed", "CreateDiskImage", {"targetPool": "image-pool"}),
    (DISK_IMAGE, "beside", "CreateDiskImage", {"targetPool": "image-pool"}),
    (DISK_SNAPSHOT, "new", "CreateDiskExternalSnapshot", OF_LAYERED),
    (DISK_SNAPSHOT, "kept", "RevertDiskExternalSnapshot", OF_LAYERED),
    (DISK_SNAPSHOT, "kept", "DeleteDiskExternalSnapshot", OF_LAYERED),
    (SNAPSHOT, "new", "CreateSnapshot", {"domain": "victim", "diskspec": "vda,snapshot=internal"}),
    (SNAPSHOT, "new", "CreateSnapshot", {"domain": "victim", "diskspec": "vda,snapshot=external", "isExternal": True}),
    (SNAPSHOT, "before", "RevertVirtualMachine", {"domain": "victim"}),
    (SNAPSHOT, "before", "DeleteSnapshot", {"domain": "victim"}),
    (SNAPSHOT, "before", "MergeSnapshot", {"domain": "victim"}),
]  # fmt: skip

# They change what runs already, definitions, or whole files and directories; and what takes a bad image away.
OPENS_NONE = {
    *((MACHINE, each) for each in (
        "SuspendVM", "ResumeVM", "StopVM", "StopVMForce", "RebootVM", "ResetVM", "DeleteVM",
        "UnplugDevice", "UnplugNIC", "UnplugDisk", "EjectISO", "PlugNIC", "ChangeNumberOfCPU", "ResizeVM", "ResizeRAM",
        "ResizeMaxRAM", "TuneDiskQoS", "TuneNICQoS", "SetBootOrder", "SetVncPassword", "UnsetVncPassword",
        "UpdateGraphic",
    )),
    *((DISK, each) for each in (
        "CreateDisk", "DeleteDisk", "CreateCloudInitUserDataImage", "DeleteCloudInitUserDataImage",
    )),
    (DISK_IMAGE, "DeleteDiskImage"),
    *((POOL, each) for each in ("CreatePool", "StartPool", "StopPool", "AutoStartPool", "DeletePool", "ShowPool")),
}  # fmt: skip


def image(*words: str) -> None:
    subprocess.run(["qemu-img", *words], check=True, capture_output=True)


def lead_out(path: str) -> None:
    image("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", SECRET, path)


@pytest.fixture(scope="module")
def driver(libvirt_host: None) -> Iterator[Libvirt]:
    driver = Libvirt(Host(libvirtd.URI, "node22", again=0.3))
    Path(SECRET).write_bytes(b"of root only".ljust(1024**2, b"\0"))
    yield driver
    driver.close()
    Path(SECRET).unlink()
    clean()


@pytest.fixture(scope="module")
def does(driver: Libvirt) -> Steps:
    """Disks, an image and machines that were right when they were made, and lead out of the pools now."""
    steps = RealSteps(driver)
    steps.pool()
    steps.pool("image-pool", "vmdi", VMDI)
    Path("/var/lib/libvirt/exports").mkdir(exist_ok=True)
    for name in ("bad", "good", "layered"):
        steps.run(DISK, name, "CreateDisk", **IN_POOL, format="qcow2", capacity=GIB)
    guest.install(f"{VMD}/good/good")
    guest.install(BAD)
    steps.machine("victim", path=BAD)
    steps.vm("StopVMForce", "victim")
    steps.machine("other", path=f"{VMD}/good/good", mac=OTHER_MAC, cdrom=ISO)
    steps.vm("StopVMForce", "other")
    steps.run(SNAPSHOT, "before", "CreateSnapshot", domain="victim", diskspec="vda,snapshot=internal")
    steps.run(DISK_SNAPSHOT, "kept", "CreateDiskExternalSnapshot", **OF_LAYERED)
    steps.run(DISK_IMAGE, "golden", "CreateDiskImage", targetPool="image-pool")
    guest.blank(Path(VMDI, "beside.qcow2"))
    Path(VMDI, "placed").mkdir()
    guest.blank(Path(VMDI, "placed", "placed"))
    described = f"<disk type='file'><source file='{BAD}'/><driver name='qemu' type='qcow2'/><target dev='vdb'/></disk>"
    Path(DESCRIBED).write_text(described)
    for path in (BAD, LAYERED, IMAGE, f"{VMDI}/beside.qcow2", f"{VMDI}/placed/placed"):
        lead_out(path)
    return steps


def test_every_operation_is_known_to_open_an_image_or_none() -> None:
    opening = {(kind, operation) for kind, _, operation, _ in OPENS}
    assert opening | OPENS_NONE == CAPABILITIES.supported
    assert not opening & OPENS_NONE


@pytest.mark.parametrize(("kind", "name", "operation", "given"), OPENS)
def test_an_image_that_leads_out_of_the_pools_is_not_opened(
    driver: Libvirt, does: Steps, kind: str, name: str, operation: str, given: dict[str, Any]
) -> None:
    before = sorted(Path("/var/lib/libvirt").rglob("*"))
    with pytest.raises(OperationFailed, match=SECRET):
        # Not by the steps, which make what an operation needs.
        Steps.run(does, kind, name, operation, **given)
    assert [each for each in sorted(Path("/var/lib/libvirt").rglob("*")) if each not in before] == []


def _data_elsewhere(path: Path) -> None:
    image("create", "-q", "-f", "qcow2", "-o", f"data_file={path.parent}/data", str(path), "1M")
    image("rebase", "-u", "-f", "qcow2", "-b", "", str(path))


def _named_by_json(path: Path) -> None:
    guest.blank(path)
    name = f'json:{{"driver": "raw", "file.filename": "{SECRET}"}}'
    image("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", name, str(path))


def _named_by_protocol(path: Path) -> None:
    guest.blank(path)
    image("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "nbd:unix:/nowhere", str(path))


def _through_a_link(path: Path) -> None:
    guest.blank(path)
    (path.parent / "base").symlink_to(SECRET)
    image("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "base", str(path))


def _through_another(path: Path) -> None:
    guest.blank(path)
    guest.blank(path.parent / "middle")
    lead_out(str(path.parent / "middle"))
    image("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", f"{path.parent}/middle", str(path))


def _in_a_circle(path: Path) -> None:
    guest.blank(path)
    image("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", str(path), str(path))


def _on_a_disk(path: Path) -> None:
    guest.blank(path)
    image("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", f"{VMD}/good/good", str(path))


def _on_an_unsaid_format(path: Path) -> None:
    guest.blank(path)
    guest.blank(path.parent / "base")
    image("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "base", str(path))
    path.write_bytes(path.read_bytes().replace(b"\xe2\x79\x2a\xca", b"\x11\x11\x11\x11", 1))


def _encrypted(path: Path) -> None:
    guest.blank(path)
    with path.open("r+b") as file:
        file.seek(32)
        file.write(b"\0\0\0\1")


def _vmdk(path: Path) -> None:
    path.write_text(f'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "{SECRET}" 0\n')


def test_the_autostart_of_a_machine_whose_image_leads_out_can_be_taken_back(does: Steps) -> None:
    virsh("autostart", "victim")
    does.vm("AutoStartVM", "victim", disable=True)
    assert "Autostart:      disable" in virsh("dominfo", "victim")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_data_elsewhere, "/data: copy both into one"),
        (_named_by_json, "json:{"),
        (_named_by_protocol, "nbd:unix:/nowhere"),
        (_through_a_link, SECRET),
        (_through_another, SECRET),
        (_in_a_circle, "without an end"),
        (_on_a_disk, "VirtualMachineDisk/good"),
        (_on_an_unsaid_format, "does not say of which format"),
        (_encrypted, "AES"),
        (_vmdk, "it is vmdk"),
        (Path.touch, "the mark of no format"),
    ],
)
def test_an_image_that_would_have_more_opened_becomes_none(does: Steps, make: Any, said: str) -> None:
    place = Path(VMDI, "hostile", "hostile")
    place.parent.mkdir()
    try:
        make(place)
        with does.refused("400", said):
            Steps.run(does, DISK_IMAGE, "hostile", "CreateDiskImage", targetPool="image-pool")
    finally:
        shutil.rmtree(place.parent)


@pytest.mark.parametrize(
    ("called", "make", "said"),
    [("a.img", _vmdk, "vmdk"), ("a.raw", guest.blank, "qcow2 by its beginning"), ("a.qcow2", Path.touch, "raw")],
)
def test_a_file_that_is_put_there_is_what_its_name_says(does: Steps, called: str, make: Any, said: str) -> None:
    place = Path(VMDI, called)
    try:
        make(place)
        with does.refused("400", said):
            Steps.run(does, DISK_IMAGE, "a", "CreateDiskImage", targetPool="image-pool")
    finally:
        place.unlink()


@pytest.mark.parametrize("called", ["b.img", "b.raw"])
def test_a_raw_file_is_copied_as_it_is(does: Steps, called: str) -> None:
    place = Path(VMDI, called)
    place.write_bytes(guest.sector())
    Steps.run(does, DISK_IMAGE, "b", "CreateDiskImage", targetPool="image-pool")
    words = ["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", str(place), f"{VMDI}/b/b"]
    subprocess.run(words, check=True)
    Steps.run(does, DISK_IMAGE, "b", "DeleteDiskImage", sourcePool="image-pool")
    place.unlink()


# What is to stay on the host -> what names it, of each operation that takes a path.
def _named(path: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("CreateAndStartVMFromISO", {**NEW, "disk": f"{path},device=cdrom,target=sda"}),
        ("CreateAndStartVMFromISO", {**NEW, "disk": f"{VMD}/good/good,target=vda", "cdrom": path}),
        ("PlugDisk", {"source": path, "target": "sdb", "type": "cdrom", **CONFIG}),
        ("PlugDevice", {"file": path, **CONFIG}),
        ("UnplugDevice", {"file": path, **CONFIG}),
        ("InsertISO", {"path": path, **CONFIG}),
        ("ManageISO", {"path": "hda", "source": path, "insert": True, **CONFIG}),
        ("ExportVM", {"path": str(Path(path).parent)}),
    ]


@pytest.mark.parametrize(("operation", "given"), _named(SECRET), ids=str)
def test_a_file_elsewhere_is_not_taken(does: Steps, operation: str, given: dict[str, Any]) -> None:
    name = "new" if operation.startswith("Create") else "other"
    with pytest.raises(
        OperationFailed, match=r"in no directory that operations on node22 may use.*--allow-path /etc/libvirt"
    ):
        does.vm(operation, name, **given)


def test_a_link_below_an_allowed_directory_is_judged_by_where_it_leads(does: Steps) -> None:
    link = Path("/var/lib/libvirt/iso/linked.iso")
    link.symlink_to(SECRET)
    try:
        with does.refused("LibvirtError", str(link), f"leads to {SECRET}"):
            does.vm("InsertISO", "other", path=str(link), **CONFIG)
    finally:
        link.unlink()


@pytest.mark.parametrize(
    "inside",
    [
        f"<filesystem><source dir='{Path(SECRET).parent}'/><target dir='host'/></filesystem>",
        f"<disk type='file' device='cdrom'><source file='{SECRET}'/><target dev='sdc'/></disk>",
        f"<serial type='file'><source path='{SECRET}'/></serial>",
    ],
)
def test_a_described_device_names_nothing_of_the_host(does: Steps, inside: str) -> None:
    described = Path("/var/lib/libvirt/iso/device.xml")
    described.write_text(inside)
    with pytest.raises(OperationFailed, match="in no directory that operations on node22 may use"):
        does.vm("PlugDevice", "other", file=str(described), **CONFIG)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/sda", f"/dev/mapper/../../{SECRET}", "/dev/mapper/control"])
def test_a_device_without_a_lasting_name_is_not_plugged(does: Steps, path: str) -> None:
    with does.refused("LibvirtError", path):
        does.vm("PlugDisk", "other", source=path, sourcetype="block", target="vdb", **CONFIG)


def test_files_of_somebody_are_not_made_a_pool(does: Steps, tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_text("of somebody")
    with does.refused("400", f"--allow-path {tmp_path}"):
        does.pool("mine", "vmdi", str(tmp_path))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.raw"]


def test_what_is_allowed_is_taken(
    does: Steps, driver: Libvirt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = tmp_path / "a.iso"
    medium.write_bytes(bytes(2048))
    monkeypatch.setattr(driver.host, "allowed", (str(tmp_path),))
    does.vm("InsertISO", "other", path=str(medium), **CONFIG)
    does.vm("EjectISO", "other", path=str(medium), **CONFIG)
