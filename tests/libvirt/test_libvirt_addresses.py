"""Addresses of real guests: their leases, and what their agents say, where people look for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract_steps import MAC, VMDI
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from support import dhcp_network, libvirtd
from support import linux_guest as linuxguest
from support.cli_host import DISK, IMAGE, POOLS, Shop, machine, shop
from support.dhcp_network import BRIDGE, DhcpNetwork
from support.libvirtd import virsh
from support.linux_guest import OWN_ADDRESS, PATIENCE

if (lacking := libvirtd.missing() or linuxguest.missing() or dhcp_network.missing()) and not os.environ.get(
    libvirtd.REQUIRED
):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

from reconciler.drivers.libvirt.driver import Libvirt
from reconciler.drivers.libvirt.host import Host

__all__ = ["shop"]

WEB = ResourceId(MACHINE, "web-1")
ON_BRIDGE = (POOLS + IMAGE + DISK).replace("tiny", "linux") + machine(more=", powerState: Running").replace(
    "br-ext", BRIDGE
)


@pytest.fixture
def network(shop: Shop) -> Iterator[DhcpNetwork]:
    assert not (why := linuxguest.missing() or dhcp_network.missing()), why
    with DhcpNetwork() as network:
        yield network
        libvirtd.clean()


def boot(shop: Shop, *, agent: bool) -> None:
    image = Path(VMDI, "linux", "linux")
    image.parent.mkdir()
    linuxguest.install(str(image), dhcp=True, agent=agent)
    shop.write(ON_BRIDGE)
    shop.applied()


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, f"it does not come in {PATIENCE:g} s"
        time.sleep(0.2)
    return found


def test_addresses_are_where_people_look(shop: Shop, network: DhcpNetwork) -> None:
    boot(shop, agent=True)
    leased = until(lambda: network.lease(MAC))
    shop.applied()
    wide = until(lambda: OWN_ADDRESS in (said := _scanned(shop, "get", "vm", "-o", "wide")) and said)
    assert f"{OWN_ADDRESS},{leased}" in wide
    assert "vnc 127.0.0.1:59" in wide
    described = shop.reconcile("describe", "vm/web-1").stdout
    assert f"{OWN_ADDRESS} (agent), {leased} (lease)" in described

    # It has none once it is stopped, and nothing about it was ever a difference.
    shop.write(ON_BRIDGE.replace("powerState: Running", "powerState: Stopped"))
    shop.applied("--allow", "restart")
    assert leased not in shop.reconcile("get", "vm", "-o", "wide").stdout


def _scanned(shop: Shop, *words: str) -> str:
    """What a command says after another look at the host, which plans nothing."""
    shop.applied()
    return shop.reconcile(*words).stdout


def test_a_lease_is_noticed_and_a_mute_agent_holds_up_nothing(shop: Shop, network: DhcpNetwork) -> None:
    boot(shop, agent=False)
    with closing(Libvirt(Host(libvirtd.URI, "node22"))) as driver:
        assert driver.observe(WEB)
        until(lambda: WEB in driver.noticed() and "addresses" in (driver.observe(WEB) or {}))
        seen = driver.observe(WEB)
        assert seen is not None
        assert seen["addresses"] == [{"mac": MAC, "address": network.lease(MAC), "source": "lease"}]

        until(lambda: "name='org.qemu.guest_agent.0' state='connected'" in virsh("dumpxml", "web-1"))
        for most in (3, 0.9):  # the first look waits a second for an answer; libvirt itself would wait for five
            begun = time.monotonic()
            assert driver.scan().observe(WEB) == driver.observe(WEB) == seen
            assert time.monotonic() - begun < most

    # A command that ends while an agent is asked ends well.
    shop.applied()
    assert network.lease(MAC) in shop.reconcile("get", "vm", "-o", "wide").stdout
