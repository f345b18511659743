"""The addresses of the NICs of running machines, from leases and guest agents (``spec.addresses``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable

import libvirt

from reconciler.drivers.addresses import Addresses, wire_addresses
from reconciler.drivers.libvirt.binding import VirConnection, VirDomain
from reconciler.drivers.libvirt.expected_leases import ExpectedLeases
from reconciler.drivers.libvirt.guest_agents import GuestAgents, NicAddresses
from reconciler.drivers.libvirt.lease import Leases
from reconciler.drivers.libvirt.xml_json import Element, mac_of, parsed
from reconciler.model.wire import AGENT, AGENT_CHANNEL, LEASE

ENOUGH = 1.0  # seconds that a look at a whole host waits for all agents together that were never asked


class HostAddresses:
    """What is known of the addresses of a host's guests.

    ``notice`` is called, from any thread, with the name of a machine that has others now.
    """

    def __init__(self, uri: str, notice: Callable[[str], object]) -> None:
        self._connection = _BackgroundConnection(uri)
        self._agents = GuestAgents(self._connection.ask, notice)
        self._expected = ExpectedLeases(self._connection.leased, notice)

    def of(self, live: Element, leases: Leases, *, runs: bool) -> Addresses:
        """The addresses of a running domain; ``runs``: its guest is not paused. Does not wait for its agent."""
        nics = live.findall("devices/interface")
        leased = leases.of(nics)
        missing = [nic for nic in nics if mac_of(nic) not in leased and leases.has_network(nic)]
        self._expected.expect(live.findtext("name", ""), int(live.get("id", "0")), missing)
        told = self._told(live) if runs else {}
        return wire_addresses(map(mac_of, nics), {LEASE: leased, AGENT: told})

    def meet(self, domains: Iterable[VirDomain]) -> None:
        """Ask the agents of all running machines at once, and wait a little for those that were never asked."""
        for domain in domains:
            try:
                if domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING:
                    self._told(parsed(domain.XMLDesc()))
            except libvirt.libvirtError:
                continue  # gone since it was listed
        self._agents.wait(ENOUGH)

    def look(self) -> None:
        """Have it looked for addresses that guests may have got since; does not wait for libvirt."""
        self._agents.ask_again()
        self._expected.look()

    def close(self) -> None:
        """Ask nobody any more."""
        self._connection.close()

    def _told(self, live: Element) -> NicAddresses:
        uuid = live.findtext("uuid", "")
        if _has_agent(live):
            return self._agents.addresses(uuid, live.findtext("name", ""), int(live.get("id", "0")))
        self._agents.forget(uuid)
        return {}


class _BackgroundConnection:
    """For questions that nobody waits for.

    It is a connection of its own: libvirtd works on five requests of one at a time, and an agent may never answer.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._connection: VirConnection | None = None

    def ask(self, uuid: str, boot: int) -> NicAddresses | None:
        """What the agent of a running domain says; None if it does not answer."""
        try:
            domain = self._opened().lookupByUUIDString(uuid)
            if domain.ID() != boot:
                return None
            told = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        except libvirt.libvirtError:
            return None
        found: NicAddresses = {}
        for interface in told.values():
            addresses = [each["addr"] for each in interface["addrs"] or ()]
            if mac := (interface["hwaddr"] or "").lower():
                found.setdefault(mac, []).extend(addresses)
        return {mac: addresses for mac, addresses in found.items() if addresses}

    def leased(self, guests: list[Collection[Element]]) -> list[bool]:
        """Whether any of the NICs of each guest has a lease."""
        try:
            leases = Leases(self._opened())
        except libvirt.libvirtError:
            return [False for _ in guests]
        return [bool(leases.of(nics)) for nics in guests]

    def close(self) -> None:
        """Let go of the connection: it ends with the last question that waits for an answer."""
        with self._lock:
            self._connection = None

    def _opened(self) -> VirConnection:
        with self._lock:
            if self._connection is None or not self._connection.isAlive():
                self._connection = libvirt.open(self._uri)
            return self._connection


def _has_agent(live: Element) -> bool:
    """Whether the guest agent has its channel open in the guest."""
    ends = live.iterfind("devices/channel/target")
    return any(end.get("name") == AGENT_CHANNEL and end.get("state") == "connected" for end in ends)
