"""Observed resources -> the state of simulated nodes on which they are as they are observed.

Observing that state gives back what was observed, and operations do there what they would do on the hosts, as far
as that can be known: disks are attached, guests run, ports are on bridges, addresses are taken. What the API never
shows comes from what was last applied; what nobody can know is assumed to be in order, and noted. A resource that
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
from reconciler.rehearsal.seed.backup import OperationCall, add_expected_backups, fill_shown_backups
from reconciler.rehearsal.seed.machine import claim_all, keep_shown_order, machine
from reconciler.rehearsal.seed.network import network, shown_ports
from reconciler.rehearsal.seed.result import SeedResult, UnusableObservation
from reconciler.rehearsal.seed.snapshot import snapshot
from reconciler.rehearsal.seed.storage import add_placeholder, disk, disk_image, disk_snapshot, image, pool

__all__ = ["OperationCall", "SeedResult", "seed"]

# The order in which kinds are added: each after those it needs.
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
    observed: Collection[Observed], addresses: Mapping[str, str] | None = None, calls: Iterable[OperationCall] = ()
) -> SeedResult:
    """The state in which these resources are observed. ``addresses`` (by node) is where nodes answer each other.

    ``calls`` are the operations to come: what they rely on and no resource can show (files of the node, backups,
    nodes behind addresses) is assumed to exist.
    """
    calls = list(calls)
    result = SeedResult({name.lower(): name for name in addresses or ()})
    by_kind: dict[str, list[Observed]] = {}
    for each in sorted(observed, key=lambda each: each.id):
        by_kind.setdefault(each.id.kind, []).append(each)
    for kind, seed_kind in _ORDER:
        for each in by_kind.get(kind, ()):
            _seed_one(result, each, seed_kind)
    _add_missing_pools(result, by_kind.get(DISK, []), calls)
    ports = shown_ports(result)
    for each in by_kind.get(MACHINE, ()):
        _seed_one(result, each, lambda result, each: machine(result, each, ports))
    disks = {each.id: _shown(result, each) for each in by_kind.get(DISK, ()) if key_of(each.id) in result.world}
    claim_all(result, [each for each in by_kind.get(MACHINE, ()) if key_of(each.id) in result.world])
    keep_shown_order(result, disks)
    for each in sorted(by_kind.get(SNAPSHOT, ()), key=_creation_time):
        _seed_one(result, each, snapshot)
    fill_shown_backups(result)
    for node in list(result.nodes.values()):
        register_node(result.world, node, (addresses or {}).get(node, ""))
    _add_expected(result, calls)
    return result


def _seed_one(result: SeedResult, observed: Observed, seed_kind: Callable[[SeedResult, Observed], None]) -> None:
    """Add one resource, or leave it out with the reason; one that does not exist is skipped."""
    try:
        if not observed.exists:
            return
        if not observed.node:
            raise UnusableObservation("it does not say on which node it is")
        seed_kind(result, observed)
    except UnusableObservation as error:
        result.leave_out(observed.id, str(error))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        result.leave_out(observed.id, f"it is not as the wire writes it ({type(error).__name__})")


def _shown(result: SeedResult, disk: Observed) -> tuple[str, dict[str, Any]]:
    """The machine that a disk names as its user, and all that it shows."""
    shown = result.world[key_of(disk.id)]["spec"]["volume"]
    return str(shown["vm"]), dict(shown)


def _creation_time(snapshot: Observed) -> tuple[int, ResourceId]:
    """When a snapshot was taken, in seconds, or 0 if it does not say; then its id."""
    try:
        return int(snapshot.spec["domainsnapshot"]["creationTime"]["text"]), snapshot.id
    except (TypeError, ValueError, KeyError):
        return 0, snapshot.id


def _add_missing_pools(result: SeedResult, disks: Iterable[Observed], calls: Iterable[OperationCall]) -> None:
    """Add pools that hold disks though no resource shows them, unless they are about to be created."""
    made = {each.target for each in calls if each.operation == "CreatePool"}
    for each in disks:
        entity = result.world.get(key_of(each.id))
        id = ResourceId(POOL, entity["hidden"]["pool"] if entity else "", each.id.namespace)
        if not id.name or id in made or id in result.left_out or result.find(POOL, id.name, id.namespace) is not None:
            continue
        assert entity is not None
        shown = entity["spec"]["volume"]
        directory = str(shown["current"]).rpartition("/")[0].rpartition("/")[0]
        hidden = {"directory": directory, "files": 1, "busy": 0, "uuid": "", "options": ""}
        facts = {"pool": id.name, "type": shown.get("type", "localfs"), "content": "vmd", "state": "active"}
        result.put(id, entity["node"], {"pool": {**facts, "autostart": True}}, hidden)
        result.assume(each.id, f"its pool {id.name} is there and active, though no resource shows it")


def _add_expected(result: SeedResult, calls: Iterable[OperationCall]) -> None:
    calls = list(calls)
    for call in calls:
        for name in _FILES.get(call.operation, ()):
            for text in call.text(name).split(" --disk "):
                path = text.partition(",")[0]
                is_file = path.startswith("/") and not path.startswith("/dev/")  # devices are the node's own
                if is_file and result.owner(path) is None:
                    add_placeholder(result, path, call.target.namespace, next(iter(result.nodes.values()), ""))
                    result.assume(call.target, f"{path} is there, though no resource shows it")
        if call.operation == "UpdateOS":
            _match_size(result, call)
        address = call.text("ip") if call.operation in ("MigrateVM", "MigrateVMDisk") else ""
        if address and f"address:{address}" not in result.world:
            result.world[f"address:{address}"] = result.node(address)
            result.assume(call.target, f"a node answers at {address}")
    add_expected_backups(result, calls)


def _match_size(result: SeedResult, call: OperationCall) -> None:
    """Make a template as large as the disk it replaces: nothing shows how large it is."""
    disk, template = result.owner(call.text("source")), result.owner(call.text("target"))
    if disk is None or template is None or disk is template or call.text("source") not in disk["hidden"]["files"]:
        return
    size = disk["hidden"]["files"][call.text("source")]["bytes"]
    template["hidden"]["files"].get(call.text("target"), {})["bytes"] = size
    result.assume(call.target, f"{call.text('target')} is as large as the disk it replaces")
