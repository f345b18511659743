"""What the cluster reports -> observed resources in the declared shape.

One list a kind, nothing a resource. Bringing a resource to the declared shape is a pure function a kind
(wire format 5); it happens when the shape is first asked for. What the API never shows again (wire format
5.9) comes from the annotation that was written when it was applied.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from reconciler.clusters.base import Cluster
from reconciler.drivers.capability import Capabilities
from reconciler.model import quantity
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, KINDS, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.resource import (
    ANNOTATION_APPLIED,
    ANNOTATION_PENDING,
    CLAIM,
    LABEL_HOST,
    LABEL_HOST_SDK,
    LABEL_STACK,
    NEXT_START,
    Resource,
    ResourceId,
    id_of,
)
from reconciler.model.shape import Shape, overlaid
from reconciler.observe.ledger import LedgerEntry

# Fields no observation shows (``*`` for any key); compared with what was last applied, if that is known.
UNREADABLE: dict[str, tuple[tuple[str, ...], ...]] = {
    MACHINE: (
        ("osVariant",),
        ("autostart",),
        ("from",),
        ("cpu", "pinning"),
        ("nics", "*", "type"),
        ("nics", "*", "network"),
        ("nics", "*", "ip"),
        ("nics", "*", "model"),
        ("nics", "*", "vlan"),
        ("nics", "*", "acls"),
        ("nics", "*", "qosRules"),
        ("nics", "*", "floatingIP"),
        ("graphics", "passwordFrom"),
        ("guest",),
        ("devices",),
        ("passthrough",),
    ),
    NETWORK: (("switch",), ("bridge",), ("addresses",)),
    DISK: (("from",), ("cloudInit",)),
    DISK_IMAGE: (("from",),),
    POOL: (("options",), ("uuid",), ("content",)),
    IMAGE: (("disk",), ("pool",)),
    SNAPSHOT: (("disks",), ("external",)),
    DISK_SNAPSHOT: (),
}


# Fields that a running guest takes only when it starts anew; others of its definition can be moved live.
AT_START = (
    *(("cpu", part) for part in ("max", "cores", "sockets", "threads")),
    ("memory", "max"),
    ("bootOrder",),
    ("graphics", "type"),
    ("usbRedirection",),
)
# Fields that can be moved live up to a maximum, which takes a start.
_UP_TO = ((("cpu", "count"), ("cpu", "max")), (("memory", "size"), ("memory", "max")))


class ApproximateBytes(int):
    """A capacity of which only rounded text is known (wire format 5.2)."""


DiskAt = dict[tuple[str, str], str]  # namespace and path of a file -> the disk's name; nodes may repeat paths


class Observed:
    """One resource as the cluster shows it."""

    __slots__ = ("__dict__", "disk_at", "id", "resource")

    def __init__(self, resource: Resource, disk_at: DiskAt) -> None:
        self.id = id_of(resource)
        self.resource = resource
        self.disk_at = disk_at

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.resource.get("spec") or {}
        return spec

    @property
    def exists(self) -> bool:
        """Whether the thing is there, not only a request for it or the remains of a failed creation."""
        return bool(self.spec.get(KINDS[self.id.kind].exists))

    @property
    def under_way(self) -> str:
        """The operation that waits to be picked up or is being carried out, if any."""
        return ", ".join(sorted(_element(self.spec, "lifecycle"))) or str(self.spec.get(CLAIM, ""))

    @property
    def node(self) -> str:
        return str(self.spec.get("nodeName") or self.labels.get(LABEL_HOST) or self.labels.get(LABEL_HOST_SDK) or "")

    @property
    def labels(self) -> dict[str, str]:
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
            value = json.loads(text) if text else {}
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def applied(self) -> dict[str, Any]:
        return self.annotation(ANNOTATION_APPLIED)

    @cached_property
    def pending(self) -> dict[str, Any]:
        """What waits for the next start: dotted field -> value.

        An agent that reads both definitions of a running guest shows it. Of what is never shown, and of all where
        an agent does not read both, it is what was noted when it was written, if the guest has not started since.
        """
        if self.later is None:
            return self._noted("fields")
        return self._unshown if self.later is self.shape else self._unshown | _waiting(self.shape, self.later)

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What the guest goes on with until then, of the fields that wait and are never shown."""
        return self._noted("unseen")

    @cached_property
    def _unshown(self) -> dict[str, Any]:
        """What waits of the fields that are never shown."""
        fields = self._noted("fields")
        return {name: value for name, value in fields.items() if unreadable(self.id.kind, tuple(name.split(".")))}

    def _noted(self, part: str) -> dict[str, Any]:
        """A part of the note of what waits, if the guest has not started since."""
        noted = self.annotation(ANNOTATION_PENDING)
        fields = noted.get(part)
        return fields if isinstance(fields, dict) and noted.get("boot") == self.boot else {}

    @cached_property
    def later(self) -> Shape | None:
        """The shape that the next start of a running guest will have; None where nobody shows it."""
        told = self.spec.get(NEXT_START)
        if not isinstance(told, dict):
            return None
        if not told:
            return overlaid(self.shape, self._unshown)
        spec = {name: value for name, value in self.spec.items() if name != NEXT_START}
        spec["domain"] = {**_element(spec, "domain"), **told}
        return overlaid(Observed({**self.resource, "spec": spec}, self.disk_at).shape, self._unshown)

    def at(self, path: tuple[str, ...]) -> tuple[Shape, tuple[str, ...]]:
        """The shape that a path leads into, and the path in it: after NEXT_START, that of the guest's next start."""
        if path[:1] == (NEXT_START,):
            return self.shape if self.later is None else self.later, path[1:]
        return self.shape, path

    @property
    def unreturned(self) -> int:
        """The memory that a guest still has of what it was asked to give back, in bytes."""
        domain = _element(self.spec, "domain")
        return _held(domain) - _sizes(self.spec, domain)[0]

    @property
    def boot(self) -> Any:
        """What identifies this run of the guest; moves when it starts anew."""
        domain = self.spec.get("domain")
        return domain.get("_id") if isinstance(domain, dict) else None

    @cached_property
    def shape(self) -> Shape:
        shape = SHAPES[self.id.kind](self) if self.exists else {}
        if node := self.node:
            shape["nodeName"] = node
        if applied := self.applied:
            for path in UNREADABLE[self.id.kind]:
                if path[0] in applied:
                    _recall(shape, applied, path)
        return overlaid(shape, self.kept)


def unreadable(kind: str, path: tuple[str, ...]) -> bool:
    """Whether the API never shows the field."""
    return any(
        len(pattern) <= len(path) and all(a in ("*", b) for a, b in zip(pattern, path, strict=False))
        for pattern in UNREADABLE[kind]
    )


def _waiting(now: Shape, later: Shape) -> dict[str, Any]:
    """The fields that the next start moves and nothing else could: dotted field -> value then."""
    waits = [path for path in AT_START if _at(now, path) != _at(later, path)]
    for path, most in _UP_TO:
        if (then := _at(later, path)) != _at(now, path) and then > _at(now, most):
            waits.append(path)
    return {".".join(path): _at(later, path) for path in waits}


def _at(shape: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        shape = shape.get(name) if isinstance(shape, dict) else None
    return shape


def _recall(shape: Any, applied: Any, path: tuple[str, ...]) -> None:
    """Fill what was last applied into the shape, where the shape has a place for it."""
    if not isinstance(shape, dict) or not isinstance(applied, dict):
        return
    head, rest = path[0], path[1:]
    if head == "*":
        for key in shape:
            _recall(shape[key], applied.get(key), rest)
    elif rest:
        _recall(shape.get(head), applied.get(head), rest)
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
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict)  # node, in lower case -> what it carries out

    def get(self, id: ResourceId) -> Observed | None:
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
    return str(_element(observed.spec, "volume").get("current") or "") if observed.id.kind == DISK else ""


def drives_of(observed: Observed) -> Iterator[tuple[str, str]]:
    """The file and target of every disk device of a machine; nothing for what is none."""
    if observed.id.kind == MACHINE and observed.exists:
        for device in _list(_element(_element(observed.spec, "domain"), "devices"), "disk"):
            yield _source(device), _element(device, "target").get("_dev", "")


def attach(seen: Observation, machine: ResourceId, path: str, target: str) -> None:
    """Enter whose the disk in a file is, if it is one that is known."""
    name = seen.disk_at.get((machine.namespace, path))
    if name is not None:
        seen.attached[ResourceId(DISK, name, machine.namespace)] = (machine, target)


# One function a kind ---------------------------------------------------------------------------------------


def _list(parent: Any, key: str) -> list[dict[str, Any]]:
    """An element that may be absent, single or repeated (wire format 5.1)."""
    value = parent.get(key) if isinstance(parent, dict) else None
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _element(parent: Any, key: str) -> dict[str, Any]:
    """A single element; nothing if it is absent or not one."""
    value = parent.get(key) if isinstance(parent, dict) else None
    return value if isinstance(value, dict) else {}


def _source(device: Mapping[str, Any]) -> str:
    source = _element(device, "source")
    return str(source.get("_file") or source.get("_dev") or "")


def _whole(element: Any, default: int = 0) -> int:
    """The number in an element's text, which the wire has as a number or as its digits."""
    text = element.get("text") if isinstance(element, dict) else element
    try:
        return int(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return default


_UNITS = {
    "b": 1,
    "bytes": 1,
    "KiB": 1024,
    "k": 1024,
    "MiB": 1024**2,
    "M": 1024**2,
    "GiB": 1024**3,
    "G": 1024**3,
}


def _memory(element: Any) -> int:
    unit = element.get("_unit", "KiB") if isinstance(element, dict) else "KiB"
    return _whole(element) * _UNITS.get(str(unit), 1024)


POWER = {"Running": "Running", "Paused": "Paused", "Shutdown": "Stopped", "Crashed": "Stopped"}

DISK_LIMITS = {
    "totalBytes": "total_bytes_sec",
    "readBytes": "read_bytes_sec",
    "writeBytes": "write_bytes_sec",
    "totalIops": "total_iops_sec",
    "readIops": "read_iops_sec",
    "writeIops": "write_iops_sec",
}


def _machine(observed: Observed) -> Shape:
    spec = observed.spec
    domain = _element(spec, "domain")
    devices = _element(domain, "devices")
    vcpu = _element(domain, "vcpu")
    most = _whole(vcpu)
    cpu = {"count": _whole(vcpu.get("_current"), most), "max": most}
    if topology := _element(_element(domain, "cpu"), "topology"):
        for part in ("cores", "sockets", "threads"):
            cpu[part] = _whole(topology.get(f"_{part}"), 1)
    size, most = _sizes(spec, domain)
    state = str(spec.get("powerstate") or "Unknown")
    shape: Shape = {
        "powerState": POWER.get(state, state),
        "cpu": cpu,
        "memory": {"size": size, "max": most},
        "disks": {},
        "cdroms": {},
        "nics": {_mac(nic): _nic(nic) for nic in _list(devices, "_interface")},
    }
    order = []
    for device in _list(devices, "disk"):
        target = _element(device, "target")
        name = str(target.get("_dev", ""))
        if isinstance(device.get("boot"), dict):
            order.append((_whole(device["boot"].get("_order")), name))
        if device.get("_device") == "cdrom":
            shape["cdroms"][name] = {"path": _source(device)}
        elif device.get("_device", "disk") == "disk":
            shape["disks"][name] = _disk_device(device, target, observed)
    if order:
        shape["bootOrder"] = [name for _, name in sorted(order)]
    for graphics in _list(devices, "graphics")[:1]:
        shape["graphics"] = {"type": graphics.get("_type"), "listen": graphics.get("_listen", "0.0.0.0")}
    shape["usbRedirection"] = sum(each.get("_type") == "spicevmc" for each in _list(devices, "redirdev"))
    return shape


def _sizes(spec: dict[str, Any], domain: dict[str, Any]) -> tuple[int, int]:
    """The memory of a machine and its maximum, in bytes.

    A guest that has given nothing back of its maximum counts as having what its definition gives it: it may not have
    got to it yet, or may have no driver that could, and to ask it again helps neither.
    """
    most, size = _memory(domain.get("memory")), _held(domain)
    told = _element(spec, NEXT_START)
    if size == most and "currentMemory" in told and "memory" not in told:
        size = min(size, _memory(told["currentMemory"]))
    return size, most


def _held(domain: dict[str, Any]) -> int:
    return _memory(domain.get("currentMemory") or domain.get("memory"))


def _disk_device(device: dict[str, Any], target: dict[str, Any], observed: Observed) -> Shape:
    path = _source(device)
    tune = _element(device, "iotune")
    shape: Shape = {"path": path, "qos": {key: _whole(tune.get(wire)) for key, wire in DISK_LIMITS.items()}}
    if disk := observed.disk_at.get((observed.id.namespace, path)):
        shape["disk"] = disk
    if "_bus" in target:
        shape["bus"] = target["_bus"]
    if cache := _element(device, "driver").get("_cache"):
        shape["cache"] = cache
    for mode in ("readonly", "shareable"):
        if mode in device:
            shape["mode"] = mode
    return shape


def _mac(nic: dict[str, Any]) -> str:
    return str(_element(nic, "mac").get("_address", "")).lower()


def _nic(nic: dict[str, Any]) -> Shape:
    bandwidth = _element(nic, "bandwidth")
    shape: Shape = {
        "source": _element(nic, "source").get("_bridge"),
        "qos": {
            way: _whole(_element(bandwidth, way).get("_average")) * quantity.KIB for way in ("inbound", "outbound")
        },
    }
    # Both OVS types look the same (wire format 5.9); only the plain bridge can be told.
    if "virtualport" not in nic:
        shape["type"] = "bridge"
    return shape


def _disk(observed: Observed) -> Shape:
    volume = _element(observed.spec, "volume")
    shape: Shape = {"path": volume.get("current", "")}
    if pool := volume.get("pool") or volume.get("targetPool"):
        shape["pool"] = pool
    if "format" in volume:
        shape["format"] = volume["format"]
    shape["snapshots"] = {str(each["Name"]): {} for each in _list(volume, "snapshots") if "Name" in each}
    text = volume.get("capacity")
    exact = observed.applied.get("capacity")
    if isinstance(exact, int) and text is not None and quantity.rounded(exact) == _spaced(text):
        shape["capacity"] = exact
    elif text is not None and (about := quantity.unrounded(text)) is not None:
        shape["capacity"] = ApproximateBytes(about)
    return shape


def _spaced(text: Any) -> str:
    about = quantity.unrounded(text)
    return quantity.rounded(about) if about is not None else ""


def _disk_image(observed: Observed) -> Shape:
    volume = _element(observed.spec, "volume")
    return {"path": volume.get("current", ""), "pool": volume.get("pool", "")}


def _disk_snapshot(observed: Observed) -> Shape:
    volume = _element(observed.spec, "volume")
    return {
        "disk": volume.get("disk", ""),
        "format": volume.get("format", "qcow2"),
        "pool": volume.get("pool"),
    }


def _snapshot(observed: Observed) -> Shape:
    snapshot = _element(observed.spec, "domainsnapshot")
    name = _element(_element(snapshot, "domain"), "name").get("text", "")
    return {"virtualMachine": str(name)}


def _pool(observed: Observed) -> Shape:
    pool = _element(observed.spec, "pool")
    shape: Shape = {"state": "Active" if pool.get("state") == "active" else "Inactive"}
    for key in ("type", "url", "content", "autostart"):
        if key in pool:
            shape[key] = pool[key]
    if shape.get("type") == "dir":  # the same to the back end (wire format 7.4)
        shape["type"] = "localfs"
    return shape


def _nothing(observed: Observed) -> Shape:
    return {}


SHAPES: dict[str, Callable[[Observed], Shape]] = {
    MACHINE: _machine,
    DISK: _disk,
    DISK_IMAGE: _disk_image,
    DISK_SNAPSHOT: _disk_snapshot,
    SNAPSHOT: _snapshot,
    POOL: _pool,
    NETWORK: _nothing,
    IMAGE: _nothing,
}
