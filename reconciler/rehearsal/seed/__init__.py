"""Observed resources -> a world in which they are as they show themselves.

Observing it gives back what was observed, and operations do there what they would do on the hosts, as far as
that can be told: disks are attached, guests run, ports are on bridges, addresses are taken. What the API never
shows comes from what was last applied; what nobody can know is taken to be in order, and noted. A resource that
is damaged is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from reconciler.drivers.simulator.context import key_of
from reconciler.drivers.simulator.node import register_node
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observed
from reconciler.rehearsal.seed.backup import Call, expected, fill_shown
from reconciler.rehearsal.seed.machine import hold_all, in_display_order, machine
from reconciler.rehearsal.seed.network import network, ports_shown
from reconciler.rehearsal.seed.result import SeedResult, Unusable
from reconciler.rehearsal.seed.snapshot import snapshot
from reconciler.rehearsal.seed.storage import disk, disk_image, disk_snapshot, image, pool, stand_in

__all__ = ["Call", "SeedResult", "seed"]

# What stands on what: a kind comes after those it needs.
_ORDER: tuple[tuple[str, Callable[[SeedResult, Observed], None]], ...] = (
    (POOL, pool),
    (NETWORK, network),
    (DISK_IMAGE, disk_image),
    (IMAGE, image),
    (DISK, disk),
    (DISK_SNAPSHOT, disk_snapshot),
)

# Parameters that name a file of the node; those of CreateAndStartVM... hold several of them.
_FILES = {
    "PlugDisk": ("source",),
    "CreateDiskFromDiskImage": ("source",),
    "CreateImage": ("disk",),
    "UpdateOS": ("source", "target"),
    "CreateAndStartVMFromISO": ("disk",),
    "CreateAndStartVMFromImage": ("disk",),
}


def seed(
    observed: Collection[Observed], addresses: Mapping[str, str] | None = None, calls: Iterable[Call] = ()
) -> SeedResult:
    """The world of these resources. ``addresses`` (by node) is where nodes answer each other.

    ``calls`` are the operations to come: what they rely on and nothing can show (files of the node, backups, nodes
    behind addresses) is taken to be there.
    """
    calls = list(calls)
    bed = SeedResult({name.lower(): name for name in addresses or ()})
    by_kind: dict[str, list[Observed]] = {}
    for each in sorted(observed, key=lambda each: each.id):
        by_kind.setdefault(each.id.kind, []).append(each)
    for kind, sow in _ORDER:
        for each in by_kind.get(kind, ()):
            _sow(bed, each, sow)
    _pools_besides(bed, by_kind.get(DISK, []), calls)
    ports = ports_shown(bed)
    for each in by_kind.get(MACHINE, ()):
        _sow(bed, each, lambda bed, each: machine(bed, each, ports))
    disks = {each.id: _shown(bed, each) for each in by_kind.get(DISK, ()) if key_of(each.id) in bed.world}
    hold_all(bed, [each for each in by_kind.get(MACHINE, ()) if key_of(each.id) in bed.world])
    in_display_order(bed, disks)
    for each in sorted(by_kind.get(SNAPSHOT, ()), key=_taken):
        _sow(bed, each, snapshot)
    fill_shown(bed)
    for node in list(bed.nodes.values()):
        register_node(bed.world, node, (addresses or {}).get(node, ""))
    _expect(bed, calls)
    return bed


def _sow(bed: SeedResult, observed: Observed, sow: Callable[[SeedResult, Observed], None]) -> None:
    """Put one resource into the world, or leave it out with the reason; what does not exist is no resource."""
    try:
        if not observed.exists:
            return
        if not observed.node:
            raise Unusable("it does not say on which node it is")
        sow(bed, observed)
    except Unusable as error:
        bed.take_out(observed.id, str(error))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        bed.take_out(observed.id, f"it is not as the wire writes it ({type(error).__name__})")


def _shown(bed: SeedResult, disk: Observed) -> tuple[str, dict[str, Any]]:
    """The machine that a disk says it is with, and all that it shows."""
    shown = bed.world[key_of(disk.id)]["spec"]["volume"]
    return str(shown["vm"]), dict(shown)


def _taken(snapshot: Observed) -> tuple[int, ResourceId]:
    """When a snapshot was taken, as far as it says so."""
    try:
        return int(snapshot.spec["domainsnapshot"]["creationTime"]["text"]), snapshot.id
    except (TypeError, ValueError, KeyError):
        return 0, snapshot.id


def _pools_besides(bed: SeedResult, disks: Iterable[Observed], calls: Iterable[Call]) -> None:
    """Pools that hold disks though no resource shows them are there, unless they are about to be made."""
    made = {each.target for each in calls if each.operation == "CreatePool"}
    for each in disks:
        entity = bed.world.get(key_of(each.id))
        id = ResourceId(POOL, entity["hidden"]["pool"] if entity else "", each.id.namespace)
        if not id.name or id in made or id in bed.left_out or bed.find(POOL, id.name, id.namespace) is not None:
            continue
        assert entity is not None
        shown = entity["spec"]["volume"]
        directory = str(shown["current"]).rpartition("/")[0].rpartition("/")[0]
        hidden = {"directory": directory, "files": 1, "busy": 0, "uuid": "", "options": ""}
        facts = {"pool": id.name, "type": shown.get("type", "localfs"), "content": "vmd", "state": "active"}
        bed.put(id, entity["node"], {"pool": {**facts, "autostart": True}}, hidden)
        bed.assume(each.id, f"its pool {id.name} is there and active, though no resource shows it")


def _expect(bed: SeedResult, calls: Iterable[Call]) -> None:
    calls = list(calls)
    for call in calls:
        for name in _FILES.get(call.operation, ()):
            for text in call.text(name).split(" --disk "):
                path = text.partition(",")[0]
                if path.startswith("/") and bed.owner(path) is None:
                    stand_in(bed, path, call.target.namespace, next(iter(bed.nodes.values()), ""))
                    bed.assume(call.target, f"{path} is there, though no resource shows it")
        if call.operation == "UpdateOS":
            _as_large(bed, call)
        address = call.text("ip") if call.operation in ("MigrateVM", "MigrateVMDisk") else ""
        if address and f"address:{address}" not in bed.world:
            bed.world[f"address:{address}"] = bed.node(address)
            bed.assume(call.target, f"a node answers at {address}")
    expected(bed, calls)


def _as_large(bed: SeedResult, call: Call) -> None:
    """A template is as large as the disk it is put on: nothing shows how large it is."""
    disk, template = bed.owner(call.text("source")), bed.owner(call.text("target"))
    if disk is None or template is None or disk is template or call.text("source") not in disk["hidden"]["files"]:
        return
    size = disk["hidden"]["files"][call.text("source")]["bytes"]
    template["hidden"]["files"].get(call.text("target"), {})["bytes"] = size
    bed.assume(call.target, f"{call.text('target')} is as large as the disk it replaces")
