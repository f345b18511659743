"""Renames: ``movedFrom`` keeps the existing resource, and a note points out what looks like a rename."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from reconciler.manifests.desired import Declared, Desired
from reconciler.manifests.request import Request
from reconciler.model.fields import references_of, sets_named_in, with_sets_renamed
from reconciler.model.kinds import DISK_SNAPSHOT, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.path import replaced_at
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.observe.observed import Observation
from reconciler.planner.diff import diff
from reconciler.planner.last_applied import unknown
from reconciler.planner.plan import Note, NoteKind
from reconciler.planner.rules.creation import first_disk
from reconciler.planner.rules.rule import disk_tokens

_MOMENTS = frozenset({SNAPSHOT, DISK_SNAPSHOT})  # two of these are never the same, however alike they look


def old_names(desired: Desired, observed: Observation) -> dict[ResourceId, ResourceId]:
    """The ids on the cluster of what has another name in its manifest.

    A manifest with ``movedFrom`` describes the resource of that name for as long as it is there.
    """
    former: dict[ResourceId, ResourceId] = {}
    for declared in [each for each in desired.resources.values() if "movedFrom" in each.manifest.metadata]:
        id, old = declared.id, declared.moved_from
        found = observed.get(old) if old is not None else None
        if old is not None and found is not None and found.exists:
            former[id] = old
    return former


def under_old_names(desired: Desired, former: Mapping[ResourceId, ResourceId]) -> Desired:
    """The same by the names that things have on the cluster, ``old_names``: no operation renames one."""
    if not former:
        return desired
    resources = [
        replace(declared, id=former.get(id, id), shape=_referring(declared, former))
        for id, declared in desired.resources.items()
    ]
    requests = {name: _asking(request, former) for name, request in desired.requests.items()}
    return replace(desired, resources={each.id: each for each in sorted(resources, key=_id)}, requests=requests)


def _asking(request: Request, former: Mapping[ResourceId, ResourceId]) -> Request:
    """The request with the old names of its target and of what its parameters name."""
    renamed = {name: former[id].name for name, id in request.named.items() if id in former}
    target = former.get(request.target, request.target)
    return replace(request, target=target, parameters={**request.parameters, **renamed})


def _id(declared: Declared) -> ResourceId:
    return declared.id


def _referring(declared: Declared, former: Mapping[ResourceId, ResourceId]) -> Shape:
    """The shape with the old names of what it refers to."""
    shape = declared.shape
    kind, namespace = declared.id.kind, declared.id.namespace
    for path, other in list(references_of(kind, shape, namespace)):
        if other in former:
            shape = replaced_at(shape, path, former[other].name)
    sets = {other for _, other in sets_named_in(kind, shape, namespace) if other in former}
    return with_sets_renamed(kind, shape, {each.name: former[each].name for each in sets})


class Rename(NamedTuple):
    """A resource that is created and has what makes out one that is no longer declared: it was renamed."""

    new: ResourceId
    former: ResourceId
    shared: tuple[str, ...]  # what both have, in words


def renames(desired: Desired, observed: Observation, created: Collection[ResourceId]) -> list[Rename]:
    """The resources to create that cannot exist beside one of the stack that is no longer declared, as both have the
    same identity, and so most likely are the same under two names."""
    former: dict[tuple[str, str, str], ResourceId] = {}
    for id in sorted(observed.resources.keys() - desired.resources.keys() - desired.invalid):
        old = observed.resources[id]
        if old.exists and old.stack == desired.stack.name:
            former |= {(id.kind, id.namespace, text): id for text in _identity(id.kind, old.shape, old.node)}
    found = []
    for id in sorted(created & desired.resources.keys()) if former else ():
        declared = desired.resources[id]
        texts = sorted(_identity(id.kind, _booting(declared), declared.node))
        shared = {text: former[key] for text in texts if (key := (id.kind, id.namespace, text)) in former}
        if shared:
            old_id = next(iter(shared.values()))
            found.append(Rename(id, old_id, tuple(text for text in shared if shared[text] == old_id)))
    return found


def _booting(declared: Declared) -> Shape:
    """The declared shape, of a machine with the disk alone that it boots from."""
    shape = declared.shape
    if declared.id.kind != MACHINE or not shape.get("disks"):
        return shape
    target = first_disk(shape["disks"])
    return {**shape, "disks": {target: shape["disks"][target]}}


def _identity(kind: str, shape: Shape, node: str) -> set[str]:
    """What makes out a resource of a kind, in words; nothing for kinds of which two may be alike."""
    found = {f"the uuid {shape['uuid']}"} if shape.get("uuid") else set[str]()
    if kind == MACHINE:
        found |= {f"the MAC {mac}" for mac in shape.get("nics", {})}
        found |= {f"the {disk}" for disk in disk_tokens({**shape, "nodeName": node})}
    elif kind == POOL and shape.get("url"):
        found.add(f"the place {shape['url']} on {node}")
    elif kind == NETWORK and shape.get("bridge", {}).get("name"):
        found.add(f"the bridge {shape['bridge']['name']} on {node}")
    return found


def possible_renames(desired: Desired, observed: Observation, created: Collection[ResourceId]) -> Iterator[Note]:
    """A note on what is ``created`` with the content of something no longer declared: it may be a rename."""
    declared_new = sorted((desired.resources[id] for id in created if id in desired.resources), key=_id)
    if not declared_new:
        return
    found: dict[ResourceId, ResourceId] = {}
    for id in sorted(observed.resources.keys() - desired.resources.keys() - desired.invalid):
        old = observed.resources[id]
        if id.kind in _MOMENTS or not old.exists or old.stack != desired.stack.name:
            continue
        for declared in declared_new:
            new = declared.id
            if (new.kind, new.namespace) != (id.kind, id.namespace) or new in found.values():
                continue
            if all(unknown(id.kind, change) for change in diff(id.kind, declared.shape, old.shape)):
                found[id] = new
                break
    for former, new in found.items():
        yield Note(new, NoteKind.POSSIBLE_RENAME, {"former": str(former), "name": former.name})
