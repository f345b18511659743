"""The contract of ``Driver``: pools that are shares of other hosts, and what their urls may say."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.driver_contract_steps import VMD, Steps
from reconciler.model.kinds import DISK, POOL

SHARE = "172.16.1.9:/export"
NFS = {"type": "nfs", "url": SHARE, "opt": "nolock"}


class ShareContract:
    @pytest.fixture
    def exported(self, does: Steps) -> Steps:
        """A server exports ``SHARE``, and nothing else."""
        return does

    def on_share(self, does: Steps, name: str = "web-1-data", **more: Any) -> str:
        given = {"type": "nfs", "pool": "nfs-pool", "format": "qcow2", "capacity": "10000000000", **more}
        does.run(DISK, name, "CreateDisk", **given)
        return does.path(name)

    def test_a_pool_of_a_share_shows_what_it_was_given(self, exported: Steps) -> None:
        exported.pool("nfs-pool", "vmdi", **NFS, autostart=True)
        pool = exported.observe(POOL, "nfs-pool")["pool"]
        assert {**pool, "capacity": ""} == {
            "pool": "nfs-pool",
            "type": "nfs",
            "url": SHARE,
            "content": "vmdi",
            "state": "active",
            "autostart": True,
            "capacity": "",
            "sourceHost": "172.16.1.9",
            "sourcePath": "/export",
        }

    def test_a_share_comes_back_with_what_is_on_it(self, exported: Steps) -> None:
        exported.pool("nfs-pool", **NFS)
        path = self.on_share(exported)
        exported.run(POOL, "nfs-pool", "StopPool", type="nfs")
        assert exported.observe(POOL, "nfs-pool")["pool"]["state"] == "inactive"
        with exported.refused("400", "nfs-pool", "not active"):
            self.on_share(exported, "web-2-data")
        exported.run(POOL, "nfs-pool", "StartPool", type="nfs")
        assert exported.observe(POOL, "nfs-pool")["pool"]["state"] == "active"
        assert exported.path("web-1-data") == path
        with exported.refused("400", "nfs-pool"):
            exported.run(POOL, "nfs-pool", "DeletePool", type="nfs")

    def test_a_pool_is_of_the_type_that_is_named(self, exported: Steps) -> None:
        exported.pool("nfs-pool", **NFS)
        with exported.refused("400", "nfs-pool", "nfs"):
            self.on_share(exported, type="localfs")
        for operation in ("StopPool", "StartPool", "DeletePool", "ShowPool"):
            with exported.refused("400", "nfs-pool", "nfs"):
                exported.run(POOL, "nfs-pool", operation, type="localfs")

    def test_a_share_is_mounted_once_on_a_node(self, exported: Steps) -> None:
        exported.pool("nfs-pool", **NFS)
        with exported.refused("400", SHARE, "nfs-pool"):
            exported.pool("other-pool", **NFS)
        exported.run(POOL, "nfs-pool", "StopPool")
        exported.run(POOL, "nfs-pool", "DeletePool")
        assert exported.gone(POOL, "nfs-pool")
        exported.pool("other-pool", **NFS)

    @pytest.mark.parametrize(
        ("type", "url"),
        [
            ("nfs", VMD),
            ("nfs", "172.16.1.9:"),
            ("nfs", ":/export"),
            ("nfs", "172.16.1.9:export"),
            ("nfs", ""),
            ("localfs", SHARE),
            ("localfs", "vmd-pool"),
            ("localfs", ""),
        ],
    )
    def test_a_url_goes_with_the_type(self, does: Steps, type: str, url: str) -> None:
        with does.refused("400", "vmd-pool", type):
            does.pool(type=type, url=url)

    def test_a_disk_moves_to_a_share_and_back(self, exported: Steps) -> None:
        exported.pool()
        exported.pool("nfs-pool", **NFS)
        before = exported.disk("web-1-data")
        exported.run(DISK, "web-1-data", "MigrateDisk", pool="nfs-pool")
        volume = exported.observe(DISK, "web-1-data")["volume"]
        assert (volume["pool"], volume["type"]) == ("nfs-pool", "nfs")
        exported.run(DISK, "web-1-data", "MigrateDisk", pool="vmd-pool")
        volume = exported.observe(DISK, "web-1-data")["volume"]
        assert (volume["pool"], volume["type"], volume["current"]) == ("vmd-pool", "localfs", before)
