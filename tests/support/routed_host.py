"""A host of libvirt that is a node of OVN: Open vSwitch and ovn-controller beside the libvirt of this process.

Another node is in a namespace of its own, behind a wire: guests on it are reached through the tunnel.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from pathlib import Path

from reconciler.drivers.network.driver import Networked
from reconciler.drivers.network.links import Links
from support import ovn_hosts
from support.libvirtd import BRIDGES, URI, Bridge, Libvirtd, clean, define_network, lay_media
from support.libvirtd import missing as libvirt_missing
from support.open_vswitch import BRIDGE
from support.ovn_hosts import Host, Namespace, Ovn
from support.own_host import OwnHost

NODE = "node22"
_SOCKET = Path("/run/openvswitch/db.sock")  # where libvirt asks


def missing() -> str:
    """What the tests lack here; empty if nothing."""
    return ovn_hosts.missing() or libvirt_missing()


class _Here(Namespace):
    """The namespaces of this process."""

    def __init__(self) -> None:
        self._started = []

    @property
    def pid(self) -> str:
        return str(os.getpid())

    def words(self, *words: str) -> list[str]:
        return ["setpriv", "--pdeathsig", "KILL", *words]

    def close(self) -> None:
        for each in self._started:
            each.kill()
            each.wait()


class RoutedHost:
    """Entered for as long as a test runs; ``closed`` with all that was started for it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        try:
            self._own = self._stack.enter_context(closing(OwnHost()))
            with self._own:
                inside = self._stack.enter_context(ExitStack())
                self._stack.callback(self._leave, inside)
                self._furnish(inside)
        except BaseException:
            self._stack.close()
            raise

    def _furnish(self, inside: ExitStack) -> None:
        inside.enter_context(Libvirtd())
        for bridge in BRIDGES:
            inside.enter_context(Bridge(bridge))
        define_network()
        self.ovn = inside.enter_context(closing(Ovn(1)))
        here = inside.enter_context(closing(_Here()))
        self.ovn.hosts[0].namespace.run("ip", "link", "set", "peer1", "netns", here.pid)
        directory = self.ovn.directory / NODE
        self.host = inside.enter_context(closing(Host(NODE, directory, "172.31.0.22", self.ovn.sb, here)))
        _SOCKET.symlink_to(directory / "conf.sock")
        self.host.join("peer1")
        self.host.vsctl("add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, "datapath_type=netdev")
        ovn_hosts.until(lambda: NODE in self.ovn.sbctl("--bare", "--columns=name", "list", "Chassis"), "the node")
        for card in ("eth1", "eth2"):
            here.run("ip", "link", "add", card, "type", "veth", "peer", "name", f"{card}-far")
            for end in (card, f"{card}-far"):
                here.run("ip", "link", "set", end, "up")

    def _leave(self, inside: ExitStack) -> None:
        with self._own:
            inside.close()

    def __enter__(self) -> RoutedHost:
        self._own.__enter__()
        lay_media()
        return self

    def __exit__(self, *exc: object) -> None:
        clean()
        self.ovn.clear()
        for bridge in set(self.host.vsctl("list-br").split()) - {"br-int", "br-phys", "br-ex", BRIDGE}:
            self.host.vsctl("--if-exists", "del-br", bridge)
        self._own.__exit__(*exc)

    def driver(self) -> Networked:
        """The driver of the machines and networks of this host."""
        from reconciler.drivers.libvirt.driver import Libvirt
        from reconciler.drivers.libvirt.host import Host as LibvirtHost
        from reconciler.drivers.network.database import NORTHBOUND, OPEN_VSWITCH, Database

        machines = Libvirt(LibvirtHost(URI, NODE, again=0.3, unplug=120, balloon=120, routed=True))
        databases = Database(self.ovn.nb, NORTHBOUND), Database(self.host.db, OPEN_VSWITCH)
        return Networked(machines, Links(*databases, NODE, machines.nics))

    def close(self) -> None:
        self._stack.close()
