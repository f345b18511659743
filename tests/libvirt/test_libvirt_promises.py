"""The promises of plans on a real host: errors stop an apply, harm is held, machines are interrupted one by one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from contracts.driver_contract_steps import ISO, MAC, OTHER_MAC
from support import libvirtd
from support.cli_host import (
    DATA,
    DISK,
    IMAGE,
    POOLS,
    ROOT,
    Shop,
    drives,
    info,
    machine,
    manifest,
    shop,
    sources,
    standing,
)
from support.libvirtd import events, virsh

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]

GIB = 1024**3
ANYTHING = ("--allow", "interrupt,restart,recreate,data")
DATA_DISK = manifest("VirtualMachineDisk", "web-1-data", "pool: vmd-pool, capacity: 1Gi")
BASE = POOLS + IMAGE + DISK + DATA_DISK
BOOT = "{target: vda, disk: web-1-root, boot: true}"
NEW_MAC = "52:54:00:0a:00:09"
PLUGGED = ", {target: vdb, disk: web-1-data}"


def manual(text: str) -> str:
    return text.replace("restart: Automatic", "restart: Manual")


def another(text: str, number: int = 2) -> str:
    """The same disks and machine once more, with addresses of their own."""
    return text.replace("web-1", f"web-{number}").replace("52:54:00", f"52:54:{number:02}")


# 1: the plan is the truth ---------------------------------------------------------------------------------


def test_a_plan_with_errors_does_nothing_on_the_host(shop: Shop) -> None:
    shop.write(BASE + machine())
    shop.begun()
    before = standing("web-1")
    absent = manifest("VirtualMachineDisk", "web-1-copy", "pool: vmd-pool, from: {disk: absent}, capacity: 1Gi")
    limited = machine().replace("boot: true", "boot: true, qos: {readIops: 400}")

    # Beside an error, a valid change of a running machine is not applied either.
    shop.write(BASE + absent + limited)
    said = shop.attempt(*ANYTHING)
    assert "needs VirtualMachineDisk/absent" in said
    assert said.endswith("exit 1")
    assert standing("web-1") == before

    # Told to keep going, it does what is left: that of the machine which has nothing to do with the error.
    said = shop.attempt("--keep-going", *ANYTHING)
    assert said.endswith("exit 1")
    assert "read_iops_sec  : 400" in virsh("blkdeviotune", "web-1", "vda")
    before = standing("web-1")

    # A machine that refers to what was refused gets no step at all, though one of its changes is valid.
    grown = BASE.replace(DATA_DISK, DATA_DISK.replace("1Gi", "2Gi"))
    nic = f', {{mac: "{OTHER_MAC}", type: bridge, source: br-ext}}'
    shop.write(grown + absent + machine(disks=", {target: vdb, disk: web-1-copy}", nics=nic))
    said = shop.attempt("--keep-going", *ANYTHING)
    assert "VirtualMachine/web-1: blocked by VirtualMachineDisk/web-1-copy" in said
    assert standing("web-1") == before
    assert info(DATA)["virtual-size"] == 2 * GIB

    # A machine that is moved to another node with its disks, which cannot follow it, goes nowhere.
    shop.write((grown + limited).replace("node22", "node23"))
    for more in ((), ("--keep-going",)):
        said = shop.attempt(*ANYTHING, *more)
        assert "VirtualMachineDisk/web-1-root cannot be changed: nodeName node22 -> node23" in said
        assert said.endswith("exit 1")
    assert standing("web-1") == before
    assert Path(ROOT).exists()


# 3: impact before action ----------------------------------------------------------------------------------


def test_no_disk_is_pulled_from_a_running_guest_without_permission(shop: Shop) -> None:
    def written(boot: str = BOOT, disks: str = PLUGGED) -> str:
        return BASE + machine(disks=disks).replace(BOOT, boot)

    shop.write(written())
    shop.begun()
    (start, running, _), plugged = standing("web-1")["web-1"], {"vda": ROOT, "vdb": DATA, "hda": ISO}

    # What cannot be changed in place waits for the next start, and the guest that runs keeps what it has.
    waits = {
        "cache": written(boot="{target: vda, disk: web-1-root, boot: true, cache: none}"),
        "target": written(boot="{target: vdc, disk: web-1-root, boot: true}"),
        "bus": written(boot="{target: sda, disk: web-1-root, boot: true}"),
        "nothing": written(boot="", disks=PLUGGED[2:]),
        "cache of another": written(disks=PLUGGED.replace("web-1-data", "web-1-data, cache: none")),
    }
    for what, changed in waits.items():
        shop.write(manual(changed))
        assert shop.attempt().endswith("exit 0")
        assert sources() == plugged, what
        assert standing("web-1")["web-1"][:2] == (start, running), what

    # Where the policy is to restart, the restart is held. Allowed, the guest has what was waiting.
    shop.write(written("{target: sda, disk: web-1-root, boot: true, bus: sata, cache: none}"))
    assert "restart (held)" in shop.attempt()
    assert sources() == plugged
    assert standing("web-1")["web-1"][:2] == (start, running)
    shop.applied("--allow", "restart:VirtualMachine/web-1")
    assert virsh("domid", "web-1") != start
    assert sources() == {"sda": ROOT, "vdb": DATA, "hda": ISO}
    assert drives("web-1") == {"sda": ("sata", "none"), "vdb": ("virtio", "none"), "hda": ("ide", "")}


def test_what_interrupts_a_guest_is_held_and_let_through_for_the_one_that_is_named(shop: Shop) -> None:
    def written(one: str) -> str:
        """The same of two machines."""
        return BASE + one + another(DISK + DATA_DISK + one)

    nics = f', {{mac: "{OTHER_MAC}", type: bridge, source: br-ext}}'
    shop.write(written(machine(disks=PLUGGED, nics=nics)))
    shop.begun()
    before = standing("web-1", "web-2")
    modelled = machine(disks=PLUGGED, nics=nics.replace("br-ext", "br-ext, model: e1000"))
    replaced = machine(nics=nics.replace("br-ext", "virbr0"), memory="{size: 192Mi}").replace(MAC, NEW_MAC)
    for changed, operations in (
        (modelled, {"UnplugNIC", "PlugNIC"}),
        (replaced, {"UnplugNIC", "PlugNIC", "UnplugDisk", "ResizeRAM"}),  # a MAC, a network, a disk, less memory
    ):
        shop.write(written(changed))
        steps = shop.planned()["steps"]
        assert {step["operation"] for step in steps} == operations
        assert all(step["heldBy"] for step in steps)
        assert {step["impact"] for step in steps if step["operation"] != "PlugNIC"} == {"interrupt"}
        assert shop.attempt().endswith("exit 0")
        assert standing("web-1", "web-2") == before

    # The permission names a machine, and the other one is left as it is.
    assert "6 changed, 6 held" in shop.attempt("--allow", "interrupt:VirtualMachine/web-1")
    assert standing("web-2") == {"web-2": before["web-2"]}
    assert virsh("domid", "web-1") == before["web-1"][0]
    assert nics_of("web-1") == {(NEW_MAC, "br-ext"), (OTHER_MAC, "virbr0")}
    assert sources() == {"vda": ROOT, "hda": ISO}
    assert "actual 196608" in virsh("dommemstat", "web-1")


def nics_of(name: str) -> set[tuple[str, str]]:
    """The address and the bridge of each NIC of the guest that runs."""
    words = (line.split() for line in virsh("domiflist", name).splitlines())
    return {(mac, bridge) for _, _, bridge, _, mac in words}


# 10: one machine at a time --------------------------------------------------------------------------------


def test_machines_are_interrupted_one_after_the_other(shop: Shop, tmp_path: Path) -> None:
    def written(fleet: str) -> str:
        stack = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: shop}\n"
        return stack + "spec: {policy: {allow: [interrupt]}}\n" + POOLS + IMAGE + fleet

    def fleet_of(one: str) -> str:
        return one + another(one) + another(one, 3)

    # All three get another address at once, by a run that could do eight things at a time.
    one = DISK + machine()
    shop.write(written(fleet_of(one)))
    shop.begun()
    one = one.replace(MAC, NEW_MAC)
    shop.write(written(fleet_of(one)))
    with events(tmp_path / "one at a time") as log:
        assert shop.attempt("--parallel", "8").endswith("exit 0")
    told = ["'device-removed' for domain 'web-{}'", "'device-added' for domain 'web-{}'"]
    assert happened(log) == [each.format(number) for number in (1, 2, 3) for each in told]

    # The first one has its NIC again and does not answer: nothing is done to the next.
    one = one.replace(NEW_MAC, MAC)
    ready = "readiness: {{tcp: {{port: {}, address: 127.0.0.1}}, timeout: 1}}, nics:"
    before = standing("web-2", "web-3")
    shop.write(written(fleet_of(one.replace("nics:", ready.format(1)))))
    said = shop.attempt("--parallel", "8")
    assert "running, but tcp 127.0.0.1:1 did not answer within 1 s" in said
    assert said.endswith("exit 1")
    assert nics_of("web-1") == {(MAC, "br-ext")}
    assert standing("web-2", "web-3") == before

    # It answers, and the others follow, each when the last has answered.
    with socket.create_server(("127.0.0.1", 0)) as service, events(tmp_path / "when it answers") as log:
        shop.write(written(fleet_of(one.replace("nics:", ready.format(service.getsockname()[1])))))
        assert shop.attempt("--parallel", "8").endswith("exit 0")
    assert happened(log) == [each.format(number) for number in (2, 3) for each in told]


def happened(log: Path) -> list[str]:
    """Which devices came and went, without what they are called."""
    return [line.removeprefix("event ").partition(":")[0] for line in log.read_text().splitlines() if "device" in line]
