"""Which networks have changed by hand or otherwise, as the databases tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from reconciler.drivers.network.links import Links
from reconciler.drivers.network.owner import owner_of
from reconciler.model.kinds import NETWORK
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Row

# Columns that OVN and Open vSwitch write while nothing is set: ports that come up, configurations carried out.
_NOISE = {"up", "nb_cfg", "sb_cfg", "hv_cfg", "cur_cfg", "next_cfg", "nb_cfg_timestamp", "hv_cfg_timestamp"}
_SWITCH = "Logical_Switch"
_PARTS = ("ports", "acls", "qos_rules", "nat", "interfaces")  # columns in which a row has the rows it consists of


class Noticing:
    """Collects what changes until it is asked for. Rows without an owner are those of the network they belong to."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._lock = threading.Lock()
        self._owners: set[ResourceId] = set()
        self._mappings = False  # whether those of bridges may have changed
        self._parts: set[UUID] = set()  # changed rows of which it is not known yet whose they are
        for database in (links.nb, links.ovs):
            database.watch(self._changed)

    def _changed(self, table: str, row: Row, columns: frozenset[str]) -> None:
        if columns and columns <= _NOISE:
            return
        owner = owner_of(row)
        with self._lock:
            if owner is not None:
                self._owners.add(owner)
            if owner is None or owner.kind != NETWORK:  # a port of a machine is shown by its switch as well
                self._parts.add(row.uuid)
            self._mappings |= table == "Open_vSwitch"

    def taken(self) -> set[ResourceId]:
        """The resources that have changed since the last call; some may be gone."""
        with self._lock:
            owners, self._owners = self._owners, set()
            parts, self._parts = self._parts, set()
            mappings, self._mappings = self._mappings, False
        if parts:
            for owner, (table, row) in self._links.owned().items():
                if mappings and any(each.type == "localnet" for each in getattr(row, "ports", ()) if table == _SWITCH):
                    owners.add(owner)
                if any(part in parts for part in _parts_of(row)):
                    owners.add(owner)
                    if table == "Bridge":
                        owners |= self._machines_at(row, parts)
        return owners

    def _machines_at(self, bridge: Row, ports: set[UUID]) -> set[ResourceId]:
        """The machines whose NICs have one of these ports on a bridge."""
        names = {each.name for each in bridge.ports if each.uuid in ports}
        return {nic.machine for nic in self._links.machines.nics_on(bridge.name) if nic.target in names}


def _parts_of(row: Row) -> Iterator[UUID]:
    for column in _PARTS:
        for part in getattr(row, column, ()):
            yield part.uuid
            yield from _parts_of(part)
