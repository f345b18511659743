"""A host of its own with a libvirt for each process that tests, so that several do side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from support import open_vswitch
from support.libvirtd import BRIDGES, Bridge, Libvirtd, clean, define_network, lay_media, missing
from support.nfs import Server
from support.own_host import OwnHost


@pytest.fixture(scope="session")
def daemon() -> Libvirtd:
    """The libvirtd of this process's host."""
    return Libvirtd()


@pytest.fixture(scope="session")
def own_host(daemon: Libvirtd) -> Iterator[OwnHost]:
    assert not (why := missing()), why
    furniture = ExitStack()
    with closing(OwnHost()) as host:
        with host:
            furniture.enter_context(daemon)
            for bridge in BRIDGES:
                furniture.enter_context(Bridge(bridge))
            if not open_vswitch.missing():
                furniture.enter_context(open_vswitch.OpenVSwitch())
            define_network()
        yield host
        with host:
            furniture.close()


@pytest.fixture(scope="module")
def libvirt_host(own_host: OwnHost) -> Iterator[None]:
    """Tests of a module run on a host with a libvirt, bridges and media, and nothing else."""
    with own_host:
        lay_media()
        yield


@pytest.fixture
def shares(tmp_path: Path, libvirt_host: None) -> Iterator[Server]:
    """A server whose shares this host can mount. It goes after the pools that have."""
    (tmp_path / "server").mkdir()
    with Server(tmp_path / "server") as server:
        yield server
        clean()
