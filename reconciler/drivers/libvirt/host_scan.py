"""One reading of a whole host: what many answers have in common is read once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from reconciler.drivers.base import Spec
from reconciler.drivers.libvirt import observation
from reconciler.drivers.libvirt.binding import VirDomain, VirPool, VirSnapshot
from reconciler.drivers.libvirt.host import Host, HostState
from reconciler.drivers.libvirt.lease import Leases
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId


class HostScan(HostState):
    """A ``HostSnapshot`` for one thread. Nothing in it is older than the scan, for which it was created."""

    def __init__(self, host: Host) -> None:
        self.connection, self.node, self.removed = host.connection, host.node, host.removed
        self.addresses = host.addresses
        self._met = False

    def observe(self, id: ResourceId) -> Spec | None:
        if id.kind == MACHINE:
            self._meet()
        return observation.observe(self, id)

    def pools(self) -> list[VirPool]:
        """All storage pools, active or not."""
        return self._pools

    def domains(self) -> list[VirDomain]:
        """All domains, running or not."""
        return list(self._domains.values())

    def domain(self, name: str) -> VirDomain:
        """The domain of a name; None if there is none."""
        return self._domains.get(name)

    def snapshot(self, name: str) -> VirSnapshot:
        """The snapshot of a name, of whichever domain; None if there is none."""
        return self._snapshots.get(name)

    def leases(self) -> Leases:
        """The DHCP leases of libvirt's networks."""
        return self._leases

    def _meet(self) -> None:
        """Ask the guest agents of all machines before the first is shown."""
        if not self._met:
            self._met = True
            self.addresses.meet(self.domains())

    def attached(self) -> dict[str, list[tuple[VirDomain, bool]]]:
        """The users of each file that has any, each with whether its guest runs with the file."""
        return self._attached

    @cached_property
    def _leases(self) -> Leases:
        return super().leases()

    @cached_property
    def _pools(self) -> list[Any]:
        return [_Memoized(pool) for pool in super().pools()]

    @cached_property
    def _domains(self) -> dict[str, Any]:
        return {domain.name(): _Memoized(domain) for domain in super().domains()}

    @cached_property
    def _snapshots(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for domain in self.domains():
            for each in domain.listAllSnapshots():
                found.setdefault(each.getName(), each)
        return found

    @cached_property
    def _attached(self) -> dict[str, list[tuple[VirDomain, bool]]]:
        return super().attached()


class _Memoized:
    """A libvirt object of which each method is called once for the same arguments."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        self._results: dict[tuple[Any, ...], Any] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._wrapped, name)

        def call(*arguments: Any) -> Any:
            key = (name, *arguments)
            if key not in self._results:
                self._results[key] = method(*arguments)
            return self._results[key]

        return call
