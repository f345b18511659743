"""What the cluster reports -> observed resources in the declared shape.

One list a kind, nothing a resource. Bringing a resource to the declared shape is a pure function a kind
(wire format 5); it happens when the shape is first asked for. What the API never shows again (wire format
5.9) comes from what our agent sees of it, or else from the annotation that was written when it was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from reconciler.clusters.base import Cluster
from reconciler.drivers.capability import Capabilities
from reconciler.model.fields import at_start, label_fields, live_up_to, unreadable, unreadable_fields
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, KINDS, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.next_start import waiting_targets
from reconciler.model.path import value_in
from reconciler.model.quantity import ApproximateBytes
from reconciler.model.resource import NodeName, Resource, ResourceId, id_of
from reconciler.model.shape import Shape, overlaid
from reconciler.model.sharing import Sharing
from reconciler.model.wire import (
    ANNOTATION_APPLIED,
    ANNOTATION_PENDING,
    CLAIM,
    LABEL_HOST,
    LABEL_HOST_SDK,
    LABEL_PROTECT,
    LABEL_STACK,
    LIFECYCLE,
    MISSING,
    NEXT_START,
    SETTINGS,
)
from reconciler.observe import machine, storage
from reconciler.observe.ledger import LedgerEntry
from reconciler.observe.reading import DiskAt, ReadContext, element


def _nothing(_: ReadContext) -> Shape:
    """The shape of a kind of which the API shows no declarable field."""
    return {}


_READERS: dict[str, Callable[[ReadContext], Shape]] = {
    MACHINE: machine.machine,
    SNAPSHOT: machine.snapshot,
    DISK: storage.disk,
    DISK_IMAGE: storage.disk_image,
    DISK_SNAPSHOT: storage.disk_snapshot,
    POOL: storage.pool,
    NETWORK: _nothing,
    IMAGE: _nothing,
}


_ANNOTATIONS, _SHAPES = Sharing(), Sharing()

ATTESTED = "attested"
"""The key in the last-applied annotation of what an agent only reported to have done and never shows: dotted field,
nothing for the resource itself -> what was shown then, and what holds as long as that is shown."""


class Observed:
    """One resource as the cluster shows it."""

    __slots__ = ("__dict__", "disk_at", "id", "resource")

    def __init__(self, resource: Resource, disk_at: DiskAt) -> None:
        self.id = id_of(resource)
        self.resource = resource
        self.disk_at = disk_at
        self.bug: Exception | None = None  # what reading a shape met, which then lacks fields

    @property
    def spec(self) -> dict[str, Any]:
        """The observed spec; empty if the resource has none."""
        spec: dict[str, Any] = self.resource.get("spec") or {}
        return spec

    @property
    def exists(self) -> bool:
        """Whether the thing itself exists, not only a request for it or the remains of a failed creation."""
        return bool(self.spec.get(KINDS[self.id.kind].exists)) or ("" in self._attested and MISSING not in self.spec)

    @property
    def vanished(self) -> bool:
        """Whether its node had it and has it no more, though no operation deleted it."""
        return not self.exists and self.spec.get(MISSING) is True

    @property
    def under_way(self) -> str:
        """The operation that waits to be picked up or is being carried out, if any."""
        return ", ".join(sorted(element(self.spec, LIFECYCLE))) or str(self.spec.get(CLAIM, ""))

    @property
    def terminating(self) -> str:
        """The finalizers that keep it on the cluster although it was deleted there; empty if it was not."""
        metadata = self.resource["metadata"]
        if not metadata.get("deletionTimestamp"):
            return ""
        return ", ".join(map(str, metadata.get("finalizers") or ())) or "none"

    @property
    def node(self) -> str:
        """The name of the node that serves it; empty if it is not known."""
        return str(self.spec.get("nodeName") or self.labels.get(LABEL_HOST) or self.labels.get(LABEL_HOST_SDK) or "")

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.resource["metadata"].get("labels") or {}

    @property
    def stack(self) -> str:
        """The stack that owns it, or nothing."""
        return str(self.labels.get(LABEL_STACK, ""))

    @property
    def status(self) -> tuple[str, str]:
        """Reason and message last written (wire format 4.2); may be stale."""
        status: Any = self.spec
        for key in ("status", "conditions", "state", "waiting"):
            status = status.get(key) if isinstance(status, dict) else None
        if not isinstance(status, dict):
            return "", ""
        return str(status.get("reason", "")), str(status.get("message", ""))

    def annotation(self, name: str) -> dict[str, Any]:
        """A JSON annotation of ours; nothing if absent or unreadable, as if it had never been written."""
        text = (self.resource["metadata"].get("annotations") or {}).get(name)
        try:
            value = _ANNOTATIONS.decode(text) if text else {}
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def applied(self) -> dict[str, Any]:
        """What was last applied of the fields that the API never shows, nested as in the shape."""
        return self.annotation(ANNOTATION_APPLIED)

    @property
    def is_only_attested(self) -> bool:
        """Whether its existence is known by the report of an agent only, and would never be shown."""
        return "" in self._attested and not self.spec.get(KINDS[self.id.kind].exists)

    @property
    def _attested(self) -> dict[str, Any]:
        """What is known by the report of an agent only (``ATTESTED``)."""
        noted = self.applied.get(ATTESTED)
        return noted if isinstance(noted, dict) else {}

    @property
    def unmarked(self) -> bool:
        """Whether it lost what this program noted on it, or never had it: then nobody knows what was last applied."""
        return not self.stack or not self.applied

    @property
    def is_protected(self) -> bool:
        """Whether a label says that the resource is never deleted."""
        return self.labels.get(LABEL_PROTECT) == "true"

    @cached_property
    def shape(self) -> Shape:
        """The declared shape of the resource; of a machine, of its live configuration. Empty where ``bug`` says why."""
        try:
            return self._shape()
        except Exception as error:
            self.bug = error
            return {}

    def raise_bug(self) -> None:
        """Raise what reading its shapes met, if anything: nothing is planned for what is not known."""
        if self.shape is not None and self.bug is not None:
            raise self.bug

    def _shape(self) -> Shape:
        reading = ReadContext(self.spec, self.id.namespace, self.applied, self.disk_at)
        shape = _READERS[self.id.kind](reading) if self.exists else {}
        if node := self.node:
            shape["nodeName"] = NodeName(node)
        if self.exists:
            shape |= {name: label in self.labels for (name,), label in label_fields(self.id.kind).items()}
        applied, seen = self.applied, element(self.spec, SETTINGS)
        for path in unreadable_fields(self.id.kind):
            if path[0] in applied or path[0] in seen:
                _recall(shape, applied, seen, path)
        return _SHAPES.within(overlaid(overlaid(shape, _holding(self._attested, shape)), self.live_unreadable))

    @cached_property
    def persistent(self) -> Shape | None:
        """The shape of a running guest's persistent configuration, which its next start takes; None if not shown."""
        try:
            return self._persistent()
        except Exception as error:
            self.bug = error
            return None

    def _persistent(self) -> Shape | None:
        differing = self.spec.get(NEXT_START)
        if not isinstance(differing, dict):
            return None
        if not differing:
            return overlaid(self.shape, self._pending_unreadable)
        spec = {name: value for name, value in self.spec.items() if name != NEXT_START}
        spec["domain"] = {**element(spec, "domain"), **differing}
        return overlaid(Observed({**self.resource, "spec": spec}, self.disk_at)._shape(), self._pending_unreadable)

    @cached_property
    def pending(self) -> dict[str, Any]:
        """What waits for the next start: dotted field -> value.

        An agent that shows the live and the persistent configuration of a running guest shows it. Of fields that are
        never shown, and of all where an agent does not show both, it is what was noted when it was written, if the
        guest has not started since.
        """
        if self.persistent is None:
            return self._noted("fields")
        if self.persistent is self.shape:
            return self._pending_unreadable
        return self._pending_unreadable | _waiting(self.id.kind, self.shape, self.persistent)

    @cached_property
    def live_unreadable(self) -> dict[str, Any]:
        """The values that the guest has until then of the fields that wait and are never shown."""
        return self._noted("unseen")

    @cached_property
    def _pending_unreadable(self) -> dict[str, Any]:
        """What waits of the fields that are never shown."""
        fields = self._noted("fields")
        return {name: value for name, value in fields.items() if unreadable(self.id.kind, tuple(name.split(".")))}

    def _noted(self, part: str) -> dict[str, Any]:
        """A part of the note of what waits, if the guest has not started since."""
        noted = self.annotation(ANNOTATION_PENDING)
        fields = noted.get(part)
        return fields if isinstance(fields, dict) and noted.get("boot") == self.boot else {}

    def at(self, path: tuple[str, ...]) -> tuple[Shape, tuple[str, ...]]:
        """The shape that a path leads into, and the path in it: after NEXT_START, the persistent configuration."""
        if path[:1] == (NEXT_START,):
            return self.shape if self.persistent is None else self.persistent, path[1:]
        return self.shape, path

    @property
    def balloon_excess(self) -> int:
        """Memory that the guest was asked to release and still uses, in bytes."""
        return machine.balloon_excess(self.spec)

    @property
    def has_agent_channel(self) -> bool:
        """Whether a machine has a channel of the guest agent, or will have one after its next start."""
        return machine.has_agent_channel(self.spec)

    @property
    def agent_answers(self) -> bool:
        """Whether a machine runs, and the guest agent in it answers."""
        return machine.agent_answers(self.spec)

    @property
    def paused_by(self) -> str:
        """Why a guest is paused that nobody paused; empty if it is not, or somebody did."""
        return machine.paused_by(self.spec)

    @property
    def boot(self) -> Any:
        """What identifies this run of the guest; another one after every start."""
        domain = self.spec.get("domain")
        return domain.get("_id") if isinstance(domain, dict) else None


def _holding(attested: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """What was reported of fields that still show what they showed then: dotted field -> value."""
    found = {}
    for dotted, noted in attested.items():
        if dotted and isinstance(noted, list) and len(noted) == 2:
            before, now = noted[0], value_in(shape, tuple(dotted.split(".")))
            if now == before or (isinstance(now, ApproximateBytes) and isinstance(before, int) and now.may_be(before)):
                found[dotted] = noted[1]
    return found


def _waiting(kind: str, live: Shape, persistent: Shape) -> dict[str, Any]:
    """The fields that take the next start, and nothing less: dotted field -> value then."""
    waits = [path for path in at_start(kind) if value_in(live, path) != value_in(persistent, path)]
    for path, most in live_up_to(kind):
        if (then := value_in(persistent, path)) != value_in(live, path) and then > value_in(live, most):
            waits.append(path)
    if kind == MACHINE and live.get("disks") != persistent.get("disks"):
        paths = [("disks", target) for target in sorted(waiting_targets(live, persistent))]
        waits += [path for path in paths if value_in(live, path) != value_in(persistent, path)]
    return {".".join(path): value_in(persistent, path) for path in waits}


def _recall(shape: Any, applied: Any, seen: Any, path: tuple[str, ...]) -> None:
    """Fill what an agent sees, or else what was last applied, into the shape, where the shape has a place for it."""
    applied, seen = (each if isinstance(each, dict) else {} for each in (applied, seen))
    if not isinstance(shape, dict) or not (applied or seen):
        return
    head, rest = path[0], path[1:]
    if head == "*":
        for key in shape:
            _recall(shape[key], applied.get(key), seen.get(key), rest)
    elif rest:
        _recall(shape.get(head), applied.get(head), seen.get(head), rest)
    elif head in seen:
        if seen[head] is not None:
            shape.setdefault(head, seen[head])
    elif head in applied:
        shape.setdefault(head, applied[head])


@dataclass(slots=True)
class Observation:
    """Everything observed at once."""

    resources: dict[ResourceId, Observed] = field(default_factory=dict)
    disk_at: DiskAt = field(default_factory=dict)
    attached: dict[ResourceId, tuple[ResourceId, str]] = field(default_factory=dict)  # disk -> machine, target
    versions: dict[str, str] = field(default_factory=dict)  # kind -> where a watch may go on
    ledger: dict[str, LedgerEntry] = field(default_factory=dict)  # Operation -> what became of it
    undescribed: Mapping[str, Collection[ResourceId]] = field(default_factory=dict)  # stack -> what it left undescribed
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict)  # node, in lower case -> what it carries out

    def goes_over(self, id: ResourceId) -> bool:
        """Whether its stack owned a resource and no longer described it when that stack was last applied.

        Known of stacks from which resources are to be taken over.
        """
        found = self.resources.get(id)
        return found is not None and id in self.undescribed.get(found.stack, ())

    def get(self, id: ResourceId) -> Observed | None:
        """The observed resource; None if the cluster has none of this id."""
        return self.resources.get(id)


def observe(cluster: Cluster, kinds: Collection[str] = tuple(KINDS)) -> Observation:
    """List every kind once. Raises ``ClusterError`` when the cluster cannot be read."""
    return observation({kind: cluster.list(kind) for kind in kinds})


def observation(listings: Mapping[str, Any]) -> Observation:
    """Put listings together: the index of disk files first, as machines are read by it."""
    seen = Observation(versions={kind: listing.version for kind, listing in listings.items()})
    for listing in listings.values():
        for resource in listing.items:
            observed = Observed(resource, seen.disk_at)
            seen.resources[observed.id] = observed
            if path := file_of(observed):
                seen.disk_at[observed.id.namespace, path] = observed.id.name
    for observed in seen.resources.values():
        for path, target in drives_of(observed):
            attach(seen, observed.id, path, target)
    return seen


def file_of(observed: Observed) -> str:
    """The file that a disk is in now; nothing for what is no disk."""
    return str(element(observed.spec, "volume").get("current") or "") if observed.id.kind == DISK else ""


def shows_file(observed: Observed) -> bool:
    """Whether a disk shows the file that it is in, by which machines are seen to have it; true of what is no disk."""
    return observed.id.kind != DISK or bool(file_of(observed))


def drives_of(observed: Observed) -> Iterator[tuple[str, str]]:
    """The file and target of every disk device of a machine; nothing for what is none."""
    if observed.id.kind != MACHINE or not observed.exists:
        return
    try:
        yield from list(machine.drives(observed.spec))
    except Exception as error:
        observed.bug = error


def attach(seen: Observation, owner: ResourceId, path: str, target: str) -> None:
    """Enter that a machine has the disk in a file, if the file is that of a known disk."""
    name = seen.disk_at.get((owner.namespace, path))
    if name is not None:
        seen.attached[ResourceId(DISK, name, owner.namespace)] = (owner, target)
