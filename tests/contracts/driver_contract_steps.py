"""The words the contract of ``Driver`` is written in: the operations its tests share, and what they look at."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reconciler.drivers.base import Driver, Spec
from reconciler.model.kinds import DISK, MACHINE, NETWORK, POOL
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId

GIB = 1024**3
KIB_OF_GIB = 1024**2

VMD, VMDI, ISO = "/var/lib/libvirt/vmd-pool", "/var/lib/libvirt/image-pool", "/var/lib/libvirt/iso/debian12.iso"
OVS_BRIDGE, LIBVIRT_NETWORK = "br-ovs", "default"
MAC, OTHER_MAC = "52:54:00:0a:00:01", "52:54:00:0a:00:02"
BOTH = {"live": True, "config": True}
LIVE, CONFIG = {"live": True}, {"config": True}


class Steps:
    """Operations in few words. Each returns what the driver says may have moved."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def run(self, kind: str, name: str, operation: str, /, **parameters: Any) -> Collection[ResourceId]:
        assert self.driver.capabilities().supports(kind, operation)
        touched = self.driver.run(ResourceId(kind, name), operation, parameters)
        assert ResourceId(kind, name) in touched
        return touched

    def observe(self, kind: str, name: str) -> Spec:
        spec = self.driver.observe(ResourceId(kind, name))
        assert spec is not None, f"{kind}/{name} is gone"
        return spec

    def gone(self, kind: str, name: str) -> bool:
        id = ResourceId(kind, name)
        sights = (self.driver, self.driver.scan())
        return all(each.observe(id) is None and id not in each.inventory() for each in sights)

    def vm(self, operation: str, name: str = "web-1", **parameters: Any) -> Collection[ResourceId]:
        return self.run(MACHINE, name, operation, **parameters)

    def pool(self, name: str = "vmd-pool", content: str = "vmd", url: str = VMD, **more: Any) -> None:
        given = {"type": "localfs", "content": content, "url": url, "uuid": name.ljust(32, "0"), **more}
        self.run(POOL, name, "CreatePool", **given)

    def disk(
        self, name: str = "web-1-root", pool: str = "vmd-pool", size: int = 10 * GIB, format: str = "qcow2"
    ) -> str:
        """Create a disk; returns its path."""
        self.run(DISK, name, "CreateDisk", type="localfs", pool=pool, format=format, capacity=str(size))
        return self.path(name)

    def path(self, name: str, kind: str = DISK) -> str:
        return str(self.observe(kind, name)["volume"]["current"])

    @contextmanager
    def lun(self) -> Iterator[str]:
        """A block device of the node, which no machine opens."""
        yield "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4"

    def switch(self, name: str = "web-net", **more: Any) -> None:
        given = {"subnet": "192.168.5.0/24", "gateway": "192.168.5.1", "dhcp": "192.168.5.2", **more}
        self.run(NETWORK, name, "CreateSwitch", **given)

    def machine(self, name: str = "web-1", *, path: str = "", mac: str = MAC, **more: Any) -> None:
        """Create a machine on its own disk, which runs then."""
        given = {
            "graphics": "vnc,listen=0.0.0.0,password=horse-12",
            "disk": f"{path or self.disk(f'{name}-root')},target=vda",
            "memory": "2048",
            "network": f"type=bridge,source=br-ext,mac={mac}",
            "os_variant": "debian12",
            "vcpus": "2,maxvcpus=4,cores=4,sockets=1,threads=1",
            "noautoconsole": True,
            **more,
        }
        self.run(MACHINE, name, "CreateAndStartVMFromISO", **given)

    def domain(self, name: str = "web-1") -> dict[str, Any]:
        domain: dict[str, Any] = self.observe(MACHINE, name)["domain"]
        return domain

    def power(self, name: str = "web-1") -> str:
        return str(self.observe(MACHINE, name)["powerstate"])

    def devices(self, kind: str, name: str = "web-1") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.domain(name)["devices"].get(kind, [])
        return found

    def targets(self, name: str = "web-1") -> list[str]:
        return [each["target"]["_dev"] for each in self.devices("disk", name)]

    def target(self, target: str, name: str = "web-1") -> dict[str, Any]:
        return next(each for each in self.devices("disk", name) if each["target"]["_dev"] == target)

    def macs(self, name: str = "web-1") -> list[str]:
        return [each["mac"]["_address"] for each in self.devices("_interface", name)]

    def holder(self, disk: str) -> str:
        return str(self.observe(DISK, disk)["volume"]["vm"])

    def everything(self) -> dict[ResourceId, Spec | None]:
        """All there is. One look at the whole shows it as asking for each does."""
        singly = {id: self.driver.observe(id) for id in self.driver.inventory()}
        sight = self.driver.scan()
        assert {id: sight.observe(id) for id in sight.inventory()} == singly
        return singly

    @contextmanager
    def refused(self, kind: str, *words: str) -> Iterator[None]:
        """The block must fail with the kind, name the words, and change nothing."""
        before = self.everything()
        with pytest.raises(OperationFailed) as caught:
            yield
        assert caught.value.kind == kind, str(caught.value)
        for word in words:
            assert word in str(caught.value)
        assert self.everything() == before
