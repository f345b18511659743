"""Observed resources -> the manifests that describe them, and the proof that they do. Pure.

The way back: a field is written if a manifest may declare it, if the cluster shows it (or it was noted when
it was applied), and if leaving it out would not mean the same. Which fields there are, and in which order,
the schemas say. Nothing is guessed: a resource of which a needed field cannot be read is left out, with a
problem that names the field; ``given`` documents may say what it is.

The proof reads the texts back, validates them and plans them against the same observation. What would take
an operation is left out as well, so that the plan of what remains is empty.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.manifests import schema
from reconciler.manifests.loader import load_texts
from reconciler.manifests.validation import Desired, Stack, validate
from reconciler.manifests.writer import yaml_text
from reconciler.model import quantity
from reconciler.model.kinds import (
    DISK,
    IMAGE,
    KINDS,
    MACHINE,
    NETWORK,
    POOL,
    RANK,
    SECRETS,
    SNAPSHOT,
    deletion_policy,
    parts_at,
    references_of,
    values_at,
)
from reconciler.model.problem import InvalidInput, Origin, Problem, Severity
from reconciler.model.resource import (
    API_VERSION,
    DEFAULT_NAMESPACE,
    LABEL_EVENT,
    LABEL_HOST,
    Path,
    ResourceId,
    show_path,
)
from reconciler.model.shape import Shape, overlaid
from reconciler.observe.observed import UNREADABLE, ApproximateBytes, Observation, Observed
from reconciler.planner import Policy, make_plan
from reconciler.planner.declaration import DECLARED
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Action

Document = dict[str, Any]

# Labels that route, report or own; what else there is, somebody wants there.
_PRIVATE_LABEL = re.compile(rf"({LABEL_HOST}|{LABEL_EVENT})\Z|kubestack\.label\.|gitops\.doslab\.io/")

ADD = "Say it in a file for --with, or write the manifest by hand."


class Note(NamedTuple):
    """Something to know about what was imported: what is left out, and why."""

    id: ResourceId
    text: str
    left_alone: bool = False  # the whole resource is


@dataclass(slots=True)
class Draft:
    """What was written, in the order of kinds; what the reader should know; what could not be written."""

    documents: dict[ResourceId, Document] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def texts(self) -> dict[str, str]:
        """The files that hold it."""
        return {file_of(id): yaml_text([document]) for id, document in self.documents.items()}


def file_of(id: ResourceId) -> str:
    folder = () if id.namespace == DEFAULT_NAMESPACE else (id.namespace,)
    return "/".join((KINDS[id.kind].plural, *folder, f"{id.name}.yaml"))


def stack_document(name: str) -> Document:
    return {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": name}}


def draft(
    observed: Observation,
    chosen: Iterable[ResourceId],
    *,
    stack: str = "",
    named: Collection[ResourceId] = (),
    given: Mapping[ResourceId, Mapping[str, Any]] | None = None,
) -> Draft:
    """Describe the chosen resources and what they refer to.

    With ``stack``, what belongs to another one is left alone: a problem if it is among ``named``, else a
    note. ``given`` are parts of specs that the cluster cannot tell.
    """
    made = Draft()
    hints = _Hints(observed)
    asked = sorted(chosen, key=lambda id: (RANK[id.kind], id))
    queue, seen = list(asked), set(asked)
    for id in queue:
        if (each := observed.get(id)) is None:
            continue
        reasons = list(_in_the_way(each, stack))
        if reasons and each.stack not in ("", stack) and stack and id not in named:
            made.notes.append(Note(id, f"left alone: {reasons[0][0]}", left_alone=True))
        elif reasons:
            made.problems += [Problem(Origin(str(id)), message, remedy) for message, remedy in reasons]
        else:
            document = _describe(each, hints, (given or {}).get(id, {}), made)
            for _, other in references_of(id.kind, document["spec"], id.namespace) if document else ():
                if observed.get(other) is None:
                    made.notes.append(Note(id, f"refers to {other}, which is not on the cluster"))
                elif other not in seen:
                    queue.append(other)
                    seen.add(other)
                    made.notes.append(Note(other, f"included: {id} refers to it"))
    made.documents = {id: made.documents[id] for id in sorted(made.documents, key=lambda id: (RANK[id.kind], id))}
    _prove(made, observed, stack, given or {})
    left = made.documents.keys()
    made.notes = [note for note in made.notes if note.id in left or note.left_alone]
    made.notes += _never_shown(made, observed)
    made.problems = sorted(set(made.problems))
    return made


def _in_the_way(each: Observed, stack: str) -> Iterator[tuple[str, str]]:
    """Why a resource cannot be described now."""
    if stack and each.stack not in ("", stack):
        yield f"belongs to the stack {each.stack}", "Let one stack describe it."
    elif each.under_way:
        yield f"{each.under_way} is under way", "Import it when that has ended."
    elif not each.exists:
        if each.id.kind == MACHINE and "data" in each.spec:  # wire format 3.6
            yield "shows a network in place of the machine", "Run an operation of the machine, then import again."
            return
        what = f"its creation failed: {each.status[1]}" if each.status[1] else "there is nothing but its name"
        yield f"is not there: {what}", "Make it or delete it, then import again."


# Observed -> document --------------------------------------------------------------------------------------


def _describe(each: Observed, hints: _Hints, given: Mapping[str, Any], made: Draft) -> Document | None:
    id = each.id
    shape = deepcopy(overlaid(each.shape, each.pending))  # as the next start will show it, like the planner
    for path in SECRETS.get(id.kind, ()):
        if any(True for _ in values_at(shape, path)):
            # Declaring the rest of it without the secret would take the secret back.
            del shape[path[0]]
            made.notes.append(Note(id, f"{path[0]} is left out: its {path[-1]} is a secret, which cannot be read"))
    if id.kind in RECOVER:
        RECOVER[id.kind](shape, each, hints)
    if isinstance(shape.get("capacity"), ApproximateBytes):
        text = str(each.spec["volume"]["capacity"])
        made.notes.append(Note(id, f"capacity is known only as {text!r}"))
        shape["capacity"] = _about(shape["capacity"])
    # What nobody owns yet is kept until a manifest says otherwise; what is owned stays as it was declared.
    shape["deletionPolicy"] = deletion_policy(id.kind, each.applied) if each.stack else "Retain"
    fields = _spec_schema(id.kind)
    spec = _written(id.kind, fields, (), shape, shape) or {}
    if given:
        spec = _ordered(id.kind, fields, _filled(id.kind, (), spec, given))
    metadata: dict[str, Any] = {"name": id.name}
    if id.namespace != DEFAULT_NAMESPACE:
        metadata["namespace"] = id.namespace
    labels = {key: each.labels[key] for key in sorted(each.labels) if not _PRIVATE_LABEL.match(key)}
    if labels:
        metadata["labels"] = labels
    document = {"apiVersion": API_VERSION, "kind": id.kind, "metadata": metadata, "spec": spec}
    problems = _conform(id, document, shape, made.notes)
    made.problems += problems
    if problems:
        return None
    made.documents[id] = document
    return document


def _spec_schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = schema.schema(kind)["properties"]["spec"]
    return found


def _size(size: int) -> str | int:
    text = quantity.show(size)
    return size if text.isdigit() else text


_AS_WRITTEN: dict[str, Callable[[int], str | int]] = {"quantity": _size, "rate": _size}


def _written(kind: str, fragment: dict[str, Any], path: tuple[str, ...], value: Any, parent: Any) -> Any:
    """The value as a manifest says it, in the order of the schema; None where nothing need be said."""
    name, fragment = _resolved(kind, fragment)
    if value is None or value == fragment.get("default") or _filled_in(kind, path, value, parent):
        return None
    if isinstance(value, dict) and "properties" in fragment:
        fields = {
            key: _written(kind, each, (*path, key), value[key], value)
            for key, each in fragment["properties"].items()
            if key in value
        }
        return {key: each for key, each in fields.items() if each is not None} or None
    if isinstance(value, dict | list) and isinstance(items := fragment.get("items"), dict):
        listed = _listed(kind, path, value) if isinstance(value, dict) else value
        written = [_written(kind, items, (*path, "*"), each, each) for each in listed]
        return [each for each in written if each is not None] or None
    return _AS_WRITTEN[name](value) if name in _AS_WRITTEN and isinstance(value, int) else value


def _resolved(kind: str, fragment: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A part of a schema, and its name if it is a shared one."""
    name = str(fragment.get("$ref", "")).rpartition("/")[2]
    return name, schema.schema(kind)["$defs"][name] if name else fragment


def _listed(kind: str, path: tuple[str, ...], value: Shape) -> list[Any]:
    """Parts by identity as a list of them, sorted by it."""
    parts = parts_at(kind, path)
    if parts is None or not parts.keys:
        return sorted(value)
    single = parts.keys[0] if len(parts.keys) == 1 else None
    items = [(key, value[key] if isinstance(value[key], dict) else {}) for key in sorted(value)]
    return [{single: key, **item} if single else item for key, item in items]


def _filled(kind: str, path: tuple[str, ...], written: Any, given: Any) -> Any:
    """What is written, with what was given laid over it; elements of lists meet by identity."""
    if isinstance(written, dict) and isinstance(given, Mapping):
        return {
            **written,
            **{key: _filled(kind, (*path, str(key)), written.get(key), each) for key, each in given.items()},
        }
    parts = parts_at(kind, path) if path else None
    if isinstance(written, list) and isinstance(given, list) and parts is not None and parts.keys:
        try:
            by_identity = {parts.identity(each): each for each in written}
            for each in given:
                key = parts.identity(each)
                by_identity[key] = _filled(kind, (*path, key), by_identity.get(key), each)
        except (KeyError, TypeError):
            return given  # not what a list of these holds; the schema says what is wrong
        return [by_identity[key] for key in sorted(by_identity)]
    return written if given is None else given


def _ordered(kind: str, fragment: dict[str, Any], value: Any) -> Any:
    """The value with its keys in the order of the schema; what the schema does not know comes last."""
    _, fragment = _resolved(kind, fragment)
    if isinstance(value, list) and isinstance(items := fragment.get("items"), dict):
        return [_ordered(kind, items, each) for each in value]
    if not isinstance(value, dict):
        return value
    known = fragment.get("properties", {})
    keys = [key for key in known if key in value] + [key for key in value if key not in known]
    return {key: _ordered(kind, known.get(key, {}), value[key]) for key in keys}


# What the platform fills in when nothing is said, beyond the defaults that the schemas state.
FILLED_IN: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    (POOL, "autostart", lambda value, pool: value is False),
    (MACHINE, "autostart", lambda value, machine: value is False),
    (MACHINE, "cpu.max", lambda most, cpu: most == _most(cpu)),
    (MACHINE, "cpu.cores", lambda number, cpu: number == 1 or _is_flat(cpu)),
    (MACHINE, "cpu.sockets", lambda number, cpu: number == 1),
    (MACHINE, "cpu.threads", lambda number, cpu: number == 1),
    (MACHINE, "memory.max", lambda most, memory: most == memory.get("size")),
    (MACHINE, "disks.*.bus", lambda bus, disk: (disk.get("target", "")[:2], bus) in (("vd", "virtio"), ("hd", "ide"))),
    (MACHINE, "disks.*.qos.*", lambda limit, qos: limit == 0),
    (MACHINE, "nics.*.qos.*", lambda limit, qos: limit == 0),
    (MACHINE, "cdroms.*.path", lambda path, drive: path == ""),
    (MACHINE, "bootOrder", lambda order, machine: order == _first_target(machine)),
    (MACHINE, "usbRedirection", lambda number, machine: number == 0),
    (MACHINE, "graphics", lambda graphics, machine: graphics == {"type": "vnc", "listen": "0.0.0.0"}),
)
_FILLED_IN = {(kind, tuple(dotted.split("."))): test for kind, dotted, test in FILLED_IN}


def _filled_in(kind: str, path: tuple[str, ...], value: Any, parent: Any) -> bool:
    test = _FILLED_IN.get((kind, path)) or _FILLED_IN.get((kind, (*path[:-1], "*")))
    return test is not None and isinstance(parent, dict) and test(value, parent)


def _is_flat(cpu: Shape) -> bool:
    """Whether the CPUs are the cores of one socket, as they are when nobody asks for anything else."""
    return cpu.get("cores", 1) in (1, cpu.get("max")) and cpu.get("sockets", 1) == cpu.get("threads", 1) == 1


def _most(cpu: Shape) -> int:
    """The most CPUs when ``max`` is not written."""
    if _is_flat(cpu):
        return int(cpu.get("count", 0))
    return int(cpu.get("cores", 1) * cpu.get("sockets", 1) * cpu.get("threads", 1))


def _first_target(machine: Shape) -> list[str]:
    disks = machine.get("disks") or ()
    return sorted(each["target"] if isinstance(each, dict) else each for each in disks)[:1]


def _about(size: int) -> int:
    """A round size of which the back end would show the same text."""
    for unit in (quantity.GIB, quantity.MIB, quantity.KIB):
        near = round(size / unit) * unit
        if quantity.rounded(near) == quantity.rounded(size):
            return near
    return int(size)


def _conform(id: ResourceId, document: Document, shape: Shape, notes: list[Note]) -> list[Problem]:
    """Take out what a manifest may not say, where it may be left out; problems for what may not."""
    problems: list[Problem] = []
    why: dict[Path, str] = {}
    while not problems and not schema.accepts(id.kind)(document):
        taken = False
        for path, message, _ in schema.explain_errors(id.kind, document):
            lacks = message.endswith(" is missing")
            while path and isinstance(path[-1], int) and not lacks:
                path = path[:-1]  # a text in a list: the list as a whole is what may be left out
            if not _place(document, path):
                continue
            if len(path) < 2 or isinstance(path[-1], int) or path in _NEEDED:
                problems.append(_lacking(id, document, shape, path, message, why))
            else:
                (holder,) = _place(document, path[:-1])
                del holder[path[-1]]
                why[path], taken = message, True
        if not taken and not problems:
            problems.append(Problem(Origin(str(id)), "cannot be described by a manifest", ADD))
    if not problems:
        notes += [Note(id, f"{show_path(path)} is left out: {why[path]}") for path in sorted(why, key=show_path)]
    return problems


# What may not be left out although something is wrong with it: names, and what makes a network one.
_NEEDED: tuple[Path, ...] = (("metadata", "name"), ("metadata", "namespace"), ("spec", "switch"), ("spec", "bridge"))


def _place(document: Document, path: Path) -> list[Any]:
    """The value at a path; nothing if it went with something that was around it."""
    place: Any = document
    for part in path:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            return []
    return [place]


# Why a field that is needed may be lacking; {} is the part it is in.
WHY: dict[tuple[str, str], str] = {
    (MACHINE, "osVariant"): "the machine does not say which system it was made for",
    (MACHINE, "nics.*.type"): "l2bridge and l3bridge look the same, and no switch or bridge that is known has the NIC",
    (MACHINE, "disks.*.disk"): "its file {path} belongs to no VirtualMachineDisk",
    (NETWORK, "bridge.nic"): "the cluster does not show which of the cards is under the bridge",
    (NETWORK, ""): "the cluster does not show what the network was made of",
    (IMAGE, "disk"): "the cluster does not show which disk it was made of",
    (IMAGE, "pool"): "the cluster does not show which pool it is in",
    (SNAPSHOT, "disks"): "the cluster does not show which disks are in it",
}


def _lacking(
    id: ResourceId, document: Document, shape: Shape, path: Path, message: str, why: Mapping[Path, str]
) -> Problem:
    lacks = message.removesuffix(" is missing") if message.endswith(" is missing") else ""
    full = (*path, lacks) if lacks else path
    if said := why.get(full):
        return Problem(
            Origin(str(id)), said, "A manifest cannot say that; change it on the cluster first.", show_path(full)
        )
    dotted = ".".join("*" if isinstance(part, int) else part for part in full[1:])
    reason = WHY.get((id.kind, dotted), "" if lacks else message)
    part = _part(id.kind, document, shape, path)
    whose = f"{part[0]}: " if part and part[0] else ""
    if part and reason:
        reason = reason.format(**part[1])
    if lacks or (id.kind, dotted) in WHY:
        reason = "cannot be read back" + (f": {reason}" if reason else "")
    reason = whose + reason
    remedy = ADD if path and path[0] == "spec" else "Names like that are for the existing tools only."
    return Problem(Origin(str(id)), reason, remedy, show_path(full))


def _part(kind: str, document: Document, shape: Shape, path: Path) -> tuple[str, dict[str, str]] | None:
    """Of a list's element: its identity, and what is known of it as text."""
    if not path or not isinstance(path[-1], int):
        return None
    (place,) = _place(document, path)
    parts = parts_at(kind, (str(path[-2]),))
    if parts is None or len(parts.keys) != 1 or not isinstance(place, dict):
        return None
    key = str(place.get(parts.keys[0], ""))
    known = shape.get(str(path[-2]), {}).get(key, {})
    return key, {"path": str(known.get("path") or "nowhere") if isinstance(known, dict) else "nowhere"}


def _never_shown(made: Draft, observed: Observation) -> Iterator[Note]:
    """What the API shows of nothing, and nobody noted: leaving it out does not mean that it is not set."""
    for id, document in made.documents.items():
        each, spec = observed.resources[id], document["spec"]
        if each.applied.keys() - {DECLARED}:
            continue
        known = {_dotted(path) for path in UNREADABLE[id.kind] for _ in values_at(each.shape, path)}
        known |= {_dotted(path) for path in UNREADABLE[id.kind] for _ in values_at(spec, path)}
        silent = {_dotted(path) for path in UNREADABLE[id.kind]} - known
        if id.kind == NETWORK:  # one of three, and of a switch not all
            silent = {f"switch.{name}" for name in _SWITCH if "switch" in spec}
        if silent:
            yield Note(id, f"never shown by the cluster, so left out even if set: {', '.join(sorted(silent))}")


_SWITCH = ("dnsServers", "excludeIPs", "mtu", "bridge", "vlanId")


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(part for part in path if part != "*")


# What the wire tells besides the declared shape ------------------------------------------------------------


def _at(value: Any, *path: str) -> Any:
    return next((found for _, found in values_at(value, path)), None)


def _each(value: Any) -> list[dict[str, Any]]:
    """An element that may be absent, single or repeated (wire format 5.1)."""
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]


_PORT = re.compile(r"((?:[0-9a-f]{2}:){5}[0-9a-f]{2})([^\",\]]*)")


class _Hints:
    """What other resources tell of a machine's NICs: the switch's port with its address, the bridge it is on."""

    def __init__(self, observed: Observation) -> None:
        self.ports: dict[tuple[str, str], list[tuple[str, str]]] = {}  # namespace, mac -> switch, address
        self.bridges: set[tuple[str, str, str]] = set()  # namespace, node, bridge
        for id, each in observed.resources.items():
            if id.kind != NETWORK or not each.exists:
                continue
            for port in _each(_at(each.spec, "data", "switchInfo", "ports")):
                if port.get("type") != "router":
                    for mac, rest in _PORT.findall(str(port.get("addresses", "")).lower()):
                        address = next((word for word in rest.split() if _is_address(word)), "")
                        self.ports.setdefault((id.namespace, mac), []).append((id.name, address))
            for name in (_at(each.spec, "data", "bridgeInfo", "name"), _at(each.shape, "bridge", "name")):
                if isinstance(name, str):
                    self.bridges.add((id.namespace, each.node.lower(), name))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_OSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}"
# Systems whose short name is the last two words of their URL in libosinfo's database; for others it is not.
_SYSTEM = re.compile(
    r"https?://(?:almalinux\.org/(almalinux)|alpinelinux\.org/(alpinelinux)|centos\.org/(centos|centos-stream)"
    r"|debian\.org/(debian)|fedoraproject\.org/(fedora)|freebsd\.org/(freebsd)|opensuse\.org/(opensuse)"
    r"|redhat\.com/(rhel)|rockylinux\.org/(rocky)|ubuntu\.com/(ubuntu)|microsoft\.com/(win))"
    r"/([0-9][0-9.]*|(?<=win/)(?:xp|vista|2k[0-9]+))\Z"
)


def _machine(shape: Shape, each: Observed, hints: _Hints) -> None:
    url = _at(each.spec, "domain", "metadata", f"{_OSINFO}libosinfo", f"{_OSINFO}os", "_id")
    if "osVariant" not in shape and isinstance(url, str) and (found := _SYSTEM.match(url)):
        shape["osVariant"] = "".join(filter(None, found.groups()))
    for mac, nic in shape.get("nics", {}).items():
        ports = hints.ports.get((each.id.namespace, mac), [])
        if "type" not in nic and len(ports) == 1:
            network, address = ports[0]
            nic |= {"type": "l3bridge", "network": network} | ({"ip": address} if address else {})
        elif "type" not in nic and (each.id.namespace, each.node.lower(), str(nic.get("source"))) in hints.bridges:
            nic["type"] = "l2bridge"


def _disk(shape: Shape, each: Observed, hints: _Hints) -> None:
    if "cloudInit" in shape:  # its size follows from the user data
        shape.pop("capacity", None)
        shape.pop("snapshots", None)


def _network(shape: Shape, each: Observed, hints: _Hints) -> None:
    if {"switch", "bridge", "addresses"} & shape.keys():
        return
    data = each.spec.get("data")
    listed = re.findall(r"[0-9A-Fa-f.:]+", str(_at(data, "addressInfo", "addresses") or ""))
    if listed and all(_is_address(each) for each in listed):
        shape["addresses"] = listed
    if isinstance(name := _at(data, "bridgeInfo", "name"), str) and name:
        shape["bridge"] = {"name": name}
    router = f"{each.id.name}-router-port"
    networks = [
        text
        for port in _each(_at(data, "routerInfo", "ports"))
        if port.get("name") == router
        for text in re.findall(r"[0-9A-Fa-f.:]+/[0-9]+", str(port.get("networks", "")))
    ]
    gateway = _at(data, "gatewayInfo", "router")
    if len(networks) == 1 and isinstance(gateway, str) and _is_address(gateway):
        try:
            interface = ipaddress.ip_interface(networks[0])
        except ValueError:
            return
        # The router of a switch stands at the address that answers DHCP (wire format 7.2).
        shape["switch"] = {"subnet": str(interface.network), "gateway": gateway, "dhcp": str(interface.ip)}
        if interface.version == 6:
            shape["switch"]["ipv6"] = True


def _snapshot(shape: Shape, each: Observed, hints: _Hints) -> None:
    found = {
        str(disk.get("_name", "")): {"mode": disk.get("_snapshot"), "file": _at(disk, "source", "_file")}
        for disk in _each(_at(each.spec, "domainsnapshot", "disks", "disk"))
    }
    if found:
        shape.setdefault("disks", found)


RECOVER: dict[str, Callable[[Shape, Observed, _Hints], None]] = {
    MACHINE: _machine,
    DISK: _disk,
    NETWORK: _network,
    SNAPSHOT: _snapshot,
}


# The proof -------------------------------------------------------------------------------------------------


def _prove(made: Draft, observed: Observation, stack: str, given: Collection[ResourceId]) -> None:
    """Read, validate and plan what was written; leave out what would not be found as it is."""
    while made.documents:
        found = list(_disproved(made, observed, stack, given))
        for id, problem in found:
            made.documents.pop(id, None)
            made.problems.append(problem)
        if not found:
            return


def _disproved(
    made: Draft, observed: Observation, stack: str, given: Collection[ResourceId]
) -> Iterator[tuple[ResourceId, Problem]]:
    files = {file_of(id): id for id in made.documents}
    try:
        desired = validate(load_texts(made.texts))
    except InvalidInput as invalid:
        for problem in invalid.problems:
            if problem.severity is Severity.ERROR:
                yield files[problem.origin.file], _about_resource(files[problem.origin.file], problem)
        return
    owners = {id: observed.resources[id].stack or stack or "default" for id in desired.resources}
    for owner in sorted(set(owners.values())):
        mine = {id: each for id, each in desired.resources.items() if owners[id] == owner}
        plan = make_plan(Desired(Stack(owner), mine), observed, Policy(adopt=True))
        for problem in plan.problems:
            yield files[problem.origin.file], _about_resource(files[problem.origin.file], problem)
        for step in plan.steps:
            if step.action is not Action.MARK:
                message = f"what would be written is not what is there: {step.operation} for {explain(step)}"
                remedy = "Correct what --with says of it." if step.resource in given else "Write the manifest by hand."
                yield step.resource, Problem(Origin(str(step.resource)), message, remedy)


def _about_resource(id: ResourceId, problem: Problem) -> Problem:
    return Problem(Origin(str(id)), problem.message, problem.remedy, problem.path)
