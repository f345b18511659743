"""Manifests -> what is desired, or every problem with them at once.

The second stage, pure and offline: schemas first, then what a schema cannot say, as one list of small
checks. A check knows paths and no files; ``validate`` adds the place.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

from reconciler.catalogue.operation import OWN_AGENT
from reconciler.manifests import drift_policy, schema
from reconciler.manifests.drift_policy import DriftPolicy
from reconciler.manifests.loader import Loaded, Manifest
from reconciler.manifests.request import KIND as OPERATION
from reconciler.manifests.request import Request, request_of
from reconciler.model import graph, quantity
from reconciler.model.fields import parts_of, quantity_fields, references_of, secret_fields
from reconciler.model.kinds import DISK, DISK_IMAGE, KINDS, MACHINE, NETWORK, POOL
from reconciler.model.path import values_at
from reconciler.model.problem import InvalidInput, Problem, Severity
from reconciler.model.resource import Path, ResourceId, show_path
from reconciler.model.shape import Shape, declared

Finding = tuple[Path, str, str]  # path within the spec, what is wrong, what to do
Claim: TypeAlias = tuple[Path, tuple[str, ...], str]  # where in the spec, what no other may have, and in words
Wrong: TypeAlias = "defaultdict[Manifest, list[Problem]]"


@dataclass(slots=True, eq=False)
class Declared:
    """One desired resource: its shape, and the manifest that asks for it."""

    id: ResourceId
    shape: Shape
    manifest: Manifest
    left: frozenset[tuple[str, ...]] = frozenset()  # fields that are left as they are: ``shape`` has what is there

    @property
    def node(self) -> str:
        return str(self.shape["nodeName"])

    @property
    def has_secrets(self) -> bool:
        return any(True for path in secret_fields(self.id.kind) for _ in values_at(self.shape, path))

    @property
    def moved_from(self) -> ResourceId | None:
        """What it was called before, if its manifest says so."""
        old = self.manifest.metadata.get("movedFrom")
        return ResourceId(self.manifest.id.kind, old, self.manifest.id.namespace) if old else None

    @property
    def drift(self) -> DriftPolicy:
        """What its manifest says about drift; the Stack's words hold besides."""
        drift = self.manifest.metadata.get("drift")
        return drift_policy.stance_of(drift, self.id.kind) if drift else drift_policy.NONE

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.manifest.metadata.get("labels", {})
        return labels


@dataclass(slots=True)
class Stack:
    """Name, cluster, defaults and policy that hold for all manifests (product words: 2.4)."""

    name: str = "default"
    cluster: str = ""  # file of the embedded cluster
    context: str | None = None  # of the kubeconfig, on Kubernetes; empty for the current one
    prune: bool = False
    max_deletions: str = ""  # a number, or a share in percent; empty: no limit
    allow: frozenset[str] = frozenset()
    defaults: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)  # name -> address
    agent: str = OWN_AGENT  # who serves the nodes
    drift: DriftPolicy = drift_policy.NONE


@dataclass(slots=True)
class Desired:
    """Everything the manifests ask for, by id in a fixed order, and warnings about them."""

    stack: Stack
    resources: dict[ResourceId, Declared]
    requests: dict[str, Request] = field(default_factory=dict)  # in an order in which they may run
    warnings: list[Problem] = field(default_factory=list)


def validate(loaded: Loaded) -> Desired:
    """Check everything that was loaded. Raises ``InvalidInput`` with all problems, load's included."""
    found = Validator().examine(loaded)
    if any(problem.severity is Severity.ERROR for problem in found.problems):
        raise InvalidInput(found.problems)
    return found.desired


class Checked(NamedTuple):
    """One manifest by itself: what it declares, what it refers to and claims for itself, what is wrong with it."""

    declared: Declared | None
    references: tuple[tuple[Path, ResourceId], ...] = ()
    claims: tuple[Claim, ...] = ()
    problems: tuple[Problem, ...] = ()


class ValidationResult(NamedTuple):
    """What is desired as far as it is right, and what is wrong: with manifests, and with what is none."""

    desired: Desired
    wrong: Mapping[Manifest, Sequence[Problem]]
    others: Sequence[Problem]

    @property
    def problems(self) -> list[Problem]:
        return [*self.others, *(problem for problems in self.wrong.values() for problem in problems)]


class Validator:
    """Validates time and again, and looks again only at what has moved and at what that has to do with."""

    def __init__(self) -> None:
        self._checked: dict[Manifest, Checked] = {}
        self._defaults: dict[str, Any] = {}
        self._resources: dict[ResourceId, Declared] = {}  # of the last time, as long as nothing was wrong
        self._together: CrossChecks | None = None

    def examine(self, loaded: Loaded) -> ValidationResult:
        """Everything that was loaded. A manifest with errors is left out of what is desired."""
        others = list(loaded.problems)
        wrong: Wrong = defaultdict(list)
        stack = _stack(loaded, wrong)
        before = self._checked if stack.defaults == self._defaults else {}
        self._defaults = stack.defaults
        checked = self._checked = {each: before.get(each) or _check(each, stack) for each in loaded.manifests}
        resources = self._as_before(before, checked)
        if resources is None:
            self._together = together = CrossChecks()
            for manifest, each in checked.items():
                if each.problems:
                    wrong[manifest] += each.problems
                if each.declared is not None and (problem := together.add(each)):
                    wrong[manifest].append(problem)
            for manifest, problem in together.problems():
                wrong[manifest].append(problem)
        requests = _requests([each for each in loaded.manifests if each.id.kind == OPERATION], wrong)
        bad = {each for each, problems in wrong.items() if any(it.severity is Severity.ERROR for it in problems)}
        if resources is None:
            assert self._together is not None
            known = sorted(self._together.known.items())
            declarations = ((id, each.declared) for id, each in known)
            resources = {id: each for id, each in declarations if each is not None and each.manifest not in bad}
        if wrong:
            self._together = None
        self._resources = resources
        kept: dict[str, Request] = {}
        spoilt = {each.id.name for each in bad if each.id.kind == OPERATION}
        for name, request in requests.items():  # each after those it waits for
            if name not in spoilt and all(other in kept for other in request.after):
                kept[name] = request
        warnings = sorted(it for problems in wrong.values() for it in problems if it.severity is not Severity.ERROR)
        return ValidationResult(Desired(stack, resources, kept, warnings), wrong, others)

    def _as_before(
        self, before: Mapping[Manifest, Checked], checked: Mapping[Manifest, Checked]
    ) -> dict[ResourceId, Declared] | None:
        """What is declared, if all was well the last time and what has moved since is; None where that is not plain."""
        together, self._together = self._together, None
        if together is None:
            return None
        gone = [before[each] for each in before.keys() - checked.keys()]
        fresh = [checked[each] for each in checked.keys() - before.keys()]
        if not together.replace(gone, fresh):
            return None
        self._together = together
        resources = dict(self._resources)
        lost = {each.declared.id for each in gone if each.declared is not None}
        for each in fresh:
            if each.declared is not None:
                resources[each.declared.id] = each.declared
                lost.discard(each.declared.id)
        for id in lost:
            del resources[id]
        return resources if resources.keys() == self._resources.keys() else dict(sorted(resources.items()))


def _check(manifest: Manifest, stack: Stack) -> Checked:
    """One manifest by itself."""
    problems: list[Problem] = []
    kind = manifest.id.kind
    if not _conforms(manifest, problems) or kind == OPERATION:
        return Checked(None, problems=tuple(problems))
    try:
        shape = declared(kind, manifest.spec, stack.defaults, manifest.id.namespace)
    except ValueError:
        return Checked(None, problems=tuple(_bad_sizes(manifest)))
    declaration = Declared(manifest.id, shape, manifest)
    for check in CHECKS[""] + CHECKS.get(kind, ()):
        for path, message, remedy in check(declaration):
            problems.append(_problem(manifest, ("spec", *path), message, remedy))
    if drift := manifest.metadata.get("drift"):
        for path, message, remedy in drift_policy.faults(drift, kind):
            problems.append(_problem(manifest, ("metadata", "drift", *path), message, remedy))
    references = tuple(references_of(kind, manifest.spec, manifest.id.namespace))
    claims = tuple(_claims(declaration)) if kind == MACHINE else ()
    return Checked(declaration, references, claims, tuple(problems))


_NOT_OF_OPERATIONS = {
    "movedFrom": "an Operation is nothing that could be renamed",
    "drift": "an Operation runs once and cannot drift",
}


def _requests(manifests: list[Manifest], wrong: Wrong) -> dict[str, Request]:
    """What the ``Operation`` documents ask for, each after those it names."""
    found: dict[str, Request] = {}
    places: dict[str, Manifest] = {}
    for manifest in manifests:
        if not schema.accepts(OPERATION)(manifest.document):
            continue  # said already
        name = manifest.id.name
        if name in places:
            first = places[name].origin("metadata", "name")
            message = f"the Operation {name} is described twice; the first is at {first}"
            wrong[manifest].append(_problem(manifest, ("metadata", "name"), message, "Give each a name of its own."))
            continue
        places[name] = manifest
        for key, message in _NOT_OF_OPERATIONS.items():
            if key in manifest.metadata:
                wrong[manifest].append(_problem(manifest, ("metadata", key), message, f"Take {key} away."))
        request, findings = request_of(manifest)
        if findings:
            wrong[manifest] += [_problem(manifest, path, message, remedy) for path, message, remedy in findings]
        if request is not None:
            found[name] = request
    for name, request in found.items():
        for index, other in enumerate(request.after):
            if other not in places:
                path = ("spec", "after", index)
                message = f"there is no Operation {other}"
                wrong[places[name]].append(_problem(places[name], path, message, "Correct the name."))
    try:
        waves = graph.waves({name: [other for other in found[name].after if other in found] for name in sorted(found)})
    except graph.Cycle as cycle:
        message = f"these Operations wait for each other: {cycle}"
        place = places[cycle.members[0]]
        wrong[place].append(_problem(place, ("spec", "after"), message, "Remove one of the references."))
        return {}
    return {name: found[name] for wave in waves for name in wave}


def _problem(manifest: Manifest, path: Path, message: str, remedy: str) -> Problem:
    return Problem(manifest.origin(*path), message, remedy, show_path(path))


def _conforms(manifest: Manifest, problems: list[Problem]) -> bool:
    kind = manifest.id.kind
    if kind not in KINDS and kind != OPERATION:
        kinds = [*KINDS, OPERATION]
        nearest = get_close_matches(kind, kinds, n=1, cutoff=0.4)
        known = f"Did you mean {nearest[0]}?" if nearest else f"Known kinds: {', '.join(kinds)}."
        problems.append(_problem(manifest, ("kind",), f"unknown kind {kind!r}", known))
        return False
    if schema.accepts(kind)(manifest.document):
        return True
    for path, message, remedy in schema.explain_errors(kind, manifest.document):
        problems.append(_problem(manifest, path, message, remedy))
    return False


def stack_name(folder: str) -> str:
    """The name of the stack that a folder of this name holds, unless it has a ``Stack``."""
    return re.sub(r"[^a-z0-9.-]+", "-", folder.lower()).strip("-.")[:63].strip("-.") or "default"


def _stack(loaded: Loaded, wrong: Wrong) -> Stack:
    name = stack_name(loaded.root)
    manifest = loaded.stack
    if manifest is None:
        return Stack(name)
    if not schema.accepts("Stack")(manifest.document):
        for path, message, remedy in schema.explain_errors("Stack", manifest.document):
            wrong[manifest].append(_problem(manifest, path, message, remedy))
        return Stack(name)
    drift = manifest.spec.get("drift", {})
    for path, message, remedy in drift_policy.faults(drift):
        wrong[manifest].append(_problem(manifest, ("spec", "drift", *path), message, remedy))
    policy = manifest.spec.get("policy", {})
    cluster = manifest.spec.get("cluster", {})
    return Stack(
        manifest.id.name,
        cluster.get("path", ""),
        cluster["kubernetes"].get("context", "") if "kubernetes" in cluster else None,
        policy.get("prune", False),
        str(policy.get("maxDeletions", "")),
        frozenset(policy.get("allow", ())),
        dict(manifest.spec.get("defaults", {})),
        {name: node["address"] for name, node in manifest.spec.get("nodes", {}).items()},
        manifest.spec.get("agent", OWN_AGENT),
        drift_policy.stance_of(drift) if manifest not in wrong else drift_policy.NONE,
    )


def _bad_sizes(manifest: Manifest) -> Iterator[Problem]:
    for pattern in quantity_fields(manifest.id.kind):
        for path, value in values_at(manifest.spec, pattern):
            try:
                quantity.parse(value)
            except ValueError as error:
                yield _problem(manifest, ("spec", *path), str(error), "Use a whole number: 1536Mi, 20Gi.")


# Checks of one resource -----------------------------------------------------------------------------------


def _has_node(resource: Declared) -> Iterator[Finding]:
    if "nodeName" not in resource.shape:
        yield (), "nodeName is missing", "Add it, or a default: spec.defaults.nodeName of the Stack."


def _topology(machine: Declared) -> Iterator[Finding]:
    cpu = machine.shape["cpu"]
    parts = [cpu.get(part) for part in ("cores", "sockets", "threads")]
    if any(part is not None for part in parts):
        cores, sockets, threads = (part or 1 for part in parts)
        product = cores * sockets * threads
        most = cpu.get("max", product)
        if product != most:
            yield (
                ("cpu", "max"),
                f"max is {most}, but cores x sockets x threads = {cores} x {sockets} x {threads} = {product}",
                f"Write max: {product}, or change the topology.",
            )
    else:
        most = cpu.get("max", cpu["count"])
    if cpu["count"] > most:
        yield ("cpu", "count"), f"count {cpu['count']} is above max {most}", "Raise max or lower count."


def _memory(machine: Declared) -> Iterator[Finding]:
    memory = machine.shape["memory"]
    for key, size in memory.items():
        if size % quantity.MIB:
            yield ("memory", key), f"{size} bytes is not a whole number of MiB", "Use Mi or Gi."
        elif not 100 * quantity.MIB <= size <= 99999999 * quantity.KIB:
            yield ("memory", key), "out of range: 100Mi to 97656Mi", "The API takes no other size."
    if memory.get("max", memory["size"]) < memory["size"]:
        yield ("memory", "size"), "size is above max", "Raise max or lower size."


def _targets(machine: Declared) -> Iterator[Finding]:
    spec = machine.manifest.spec
    seen: dict[str, str] = {}
    for name in ("disks", "cdroms"):
        for index, item in enumerate(spec.get(name, ())):
            path = show_path((name, index))
            if item["target"] in seen:
                where = seen[item["target"]]
                yield (
                    (name, index, "target"),
                    f"target {item['target']} is already used by {where}",
                    "Give each device a target of its own.",
                )
            seen.setdefault(item["target"], path)
    for index, target in enumerate(spec.get("bootOrder", ())):
        if target not in seen:
            yield ("bootOrder", index), f"no disk or cdrom has the target {target}", "Name a target."
    booting = [index for index, disk in enumerate(spec["disks"]) if disk.get("boot")]
    for index in booting[1:]:
        yield ("disks", index, "boot"), "a second boot disk", "Keep one; bootOrder gives the rest."
    names = [disk["disk"] for disk in spec["disks"]]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("disks", index, "disk"), f"{name} is attached twice", "Attach a disk once."


def _limits(machine: Declared) -> Iterator[Finding]:
    for index, disk in enumerate(machine.manifest.spec["disks"]):
        qos = disk.get("qos", {})
        for total, parts in (
            ("totalBytes", ("readBytes", "writeBytes")),
            ("totalIops", ("readIops", "writeIops")),
        ):
            both = [part for part in parts if part in qos]
            if total in qos and both:
                yield (
                    ("disks", index, "qos", total),
                    f"{total} excludes {' and '.join(both)}",
                    "Keep the total, or the read and write limits.",
                )
    for index, nic in enumerate(machine.manifest.spec["nics"]):
        for key, value in nic.get("qos", {}).items():
            size = quantity.parse(value)
            if size % quantity.KIB or size > 99_999_999 * quantity.KIB:
                yield (
                    ("nics", index, "qos", key),
                    f"{value} is not 0 to 99999999 whole KiB",
                    "Use Ki, Mi or Gi.",
                )


def _interfaces(machine: Declared) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, nic in enumerate(machine.manifest.spec["nics"]):
        if nic["mac"] in seen:
            yield ("nics", index, "mac"), f"{nic['mac']} is used twice", "Each NIC needs a MAC of its own."
        seen[nic["mac"]] = index
        for key in ("network", "ip"):
            if key in nic and nic["type"] != "l3bridge":
                yield (
                    ("nics", index, key),
                    f"{key} goes with type l3bridge only, not {nic['type']}",
                    f"Remove {key}, or use type: l3bridge.",
                )
        if "ip" in nic and "network" not in nic:
            yield ("nics", index, "ip"), "an ip needs the network it belongs to", "Add network."
        if "ip" in nic:
            yield from _address(("nics", index, "ip"), nic["ip"])


def _switched(machine: Declared) -> Iterator[Finding]:
    """What a switch does for a NIC needs the switch, and what a bridge does needs the bridge."""
    for index, nic in enumerate(machine.manifest.spec["nics"]):
        for key in ("acls", "qosRules", "floatingIP"):
            if key in nic and "network" not in nic:
                yield ("nics", index, key), f"{key} need the network whose switch they are on", "Add network."
        if "floatingIP" in nic:
            if "ip" not in nic:
                yield ("nics", index, "floatingIP"), "a floating IP leads to a fixed ip", "Add ip to the NIC."
            yield from _outside(("nics", index, "floatingIP", "address"), nic["floatingIP"]["address"])
            networks = [other.get("network") for other in machine.manifest.spec["nics"]]
            if networks.count(nic.get("network")) > 1:
                yield (
                    ("nics", index, "floatingIP"),
                    f"the VM has several NICs on {nic.get('network')}, and a floating IP cannot say which it leads to",
                    "Keep one NIC on that network.",
                )
        if "vlan" in nic and nic["type"] != "l2bridge":
            yield ("nics", index, "vlan"), f"vlan goes with type l2bridge only, not {nic['type']}", "Remove vlan."


def _outside(path: Path, text: str) -> Iterator[Finding]:
    try:
        prefix = ipaddress.IPv4Interface(text).network.prefixlen
    except ValueError:
        yield path, f"{text} is not an IPv4 address with a prefix length", "Write it as 10.10.0.9/24."
        return
    if not 1 <= prefix <= 30:
        yield path, f"prefix length {prefix} is out of range: 1 to 30", "Write that of the outside network."


def _console(machine: Declared) -> Iterator[Finding]:
    spec = machine.manifest.spec
    if spec.get("usbRedirection") and spec.get("graphics", {}).get("type") != "spice":
        yield ("usbRedirection",), "USB redirection needs a spice console", "Add graphics: {type: spice}."


# Lists whose elements no other check looks through for what repeats.
_NO_NAMES = {
    kind: [parts for parts in parts_of(kind) if parts.path not in (("disks",), ("cdroms",), ("nics",))]
    for kind in KINDS
}


def _told_apart(resource: Declared) -> Iterator[Finding]:
    """Elements of a list are told apart by what identifies them, so that must not repeat."""
    spec = resource.manifest.spec
    for parts in _NO_NAMES[resource.id.kind]:
        if parts.path[0] not in spec:
            continue
        for path, items in values_at(spec, parts.path):
            seen: dict[str, int] = {}
            for index, item in enumerate(items):
                first = seen.setdefault(parts.identity(item), index)
                if first != index:
                    what = " and ".join(parts.keys) or "text"
                    yield (*path, index), f"same {what} as {show_path((*path, first))}", "Keep one of them."


def _address(path: Path, text: str) -> Iterator[Finding]:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        yield path, f"{text} is not an IP address", "Write four numbers from 0 to 255, or IPv6."


def _network(network: Declared) -> Iterator[Finding]:
    spec = network.manifest.spec
    for index, text in enumerate(spec.get("addresses", ())):
        yield from _address(("addresses", index), text)
    if "switch" not in spec:
        return
    switch = spec["switch"]
    try:
        subnet = ipaddress.ip_network(switch["subnet"])
    except ValueError:
        try:
            fixed = ipaddress.ip_network(switch["subnet"], strict=False)
            remedy = f"Write {fixed}."
        except ValueError:
            remedy = "Write it as 192.168.5.0/24."
        yield ("switch", "subnet"), f"{switch['subnet']} is not a network address", remedy
        return
    if subnet.version == 4 and subnet.prefixlen not in (8, 16, 24):
        yield ("switch", "subnet"), f"prefix /{subnet.prefixlen} is not supported", "Use /8, /16 or /24."
    if (subnet.version == 6) != switch.get("ipv6", False):
        yield ("switch", "subnet"), f"an IPv{subnet.version} subnet", "Set ipv6 to match the subnet."
    for key in ("gateway", "dhcp"):
        if key in switch:
            bad = list(_address(("switch", key), switch[key]))
            yield from bad
            if not bad and ipaddress.ip_address(switch[key]) not in subnet:
                yield ("switch", key), f"{switch[key]} is not in {subnet}", "Choose an address of the subnet."
    for index, text in enumerate(switch.get("dnsServers", ())):
        yield from _address(("switch", "dnsServers", index), text)
    for index, text in enumerate(switch.get("excludeIPs", ())):
        first, _, last = text.partition("..")
        ends = [end for end in (first, last) if end]
        bad = [found for end in ends for found in _address(("switch", "excludeIPs", index), end)]
        yield from bad
        if not bad and len(ends) == 2:
            low, high = (int(ipaddress.ip_address(end)) for end in ends)
            if low > high:
                yield ("switch", "excludeIPs", index), f"the range {text} is backwards", "Swap its ends."


def _capacity(disk: Declared) -> Iterator[Finding]:
    capacity = disk.shape.get("capacity")
    if capacity is None and not {"from", "cloudInit"} & disk.shape.keys():
        yield (), "capacity is missing", "Add it; only a disk made from something may leave it out."
    if "cloudInit" in disk.shape:
        for key in ("capacity", "from", "fullCopy", "snapshots"):
            if key in disk.shape:
                yield (key,), f"{key} does not go with cloudInit", "Remove it; the size follows from the user data."
    if capacity is not None and not 10**9 <= capacity <= 999_999_999_999:
        yield ("capacity",), f"{capacity} bytes is out of range: 1G to 999G", "The API takes no other size."


def _pool_url(pool: Declared) -> Iterator[Finding]:
    spec = pool.manifest.spec
    local = spec["type"] in ("localfs", "vdiskfs")
    if local != spec["url"].startswith("/"):
        form = "an absolute directory" if local else "HOST:/export, HOST:volume or a uus URL"
        yield ("url",), f"the url of a {spec['type']} pool is {form}", "Correct the url or the type."
    if ".." in spec["url"].split("/"):
        yield ("url",), "'..' is not allowed in a path", "Write the path out."
    if "options" in spec and local:
        yield ("options",), f"options do not go with type {spec['type']}", "Remove them."
    if "options" not in spec and not local:
        yield (), f"options are missing; type {spec['type']} needs them", "Add them, for example rw."


CHECKS: dict[str, tuple[Callable[[Declared], Iterator[Finding]], ...]] = {
    "": (_has_node, _told_apart),
    MACHINE: (_topology, _memory, _targets, _limits, _interfaces, _switched, _console),
    NETWORK: (_network,),
    DISK: (_capacity,),
    POOL: (_pool_url,),
}


# Checks across resources ----------------------------------------------------------------------------------


class CrossChecks:
    """Resources that go with each other, and what would keep others from joining them."""

    def __init__(self) -> None:
        self.known: dict[ResourceId, Checked] = {}
        self._users: defaultdict[ResourceId, set[ResourceId]] = defaultdict(set)  # by what they refer to
        self._claimed: dict[tuple[str, ...], tuple[Declared, Path]] = {}
        self._moved: set[ResourceId] = set()  # names that were left

    def add(self, each: Checked) -> Problem | None:
        """Take one in, unless there is one of its name."""
        declared = each.declared
        assert declared is not None
        first = self.known.setdefault(declared.id, each)
        if first is not each:
            assert first.declared is not None
            place = first.declared.manifest.origin("metadata", "name")
            message = f"{declared.id} is described twice; the first is at {place}"
            remedy = "Keep one, or give one of them another name."
            return _problem(declared.manifest, ("metadata", "name"), message, remedy)
        for _, id in each.references:
            self._users[id].add(declared.id)
        if declared.moved_from is not None:
            self._moved.add(declared.moved_from)
        return None

    def problems(self) -> Iterator[tuple[Manifest, Problem]]:
        """What is wrong among them."""
        for each in self.known.values():
            yield from self._claims_of(each)
        yield from _moved_once(self.known)
        for each in self.known.values():
            yield from self._mismatches(each)

    def replace(self, gone: Sequence[Checked], fresh: Sequence[Checked]) -> bool:
        """Put some in the place of others. False where something is wrong then: what is known here is void."""
        for each in gone:
            if each.declared is not None:
                del self.known[each.declared.id]
                for _, key, _ in each.claims:
                    self._claimed.pop(key, None)
                for _, id in each.references:
                    self._users[id].discard(each.declared.id)
        changed: set[ResourceId] = set()
        for each in fresh:
            if each.problems or (each.declared is not None and self.add(each) is not None):
                return False
            if each.declared is not None:
                changed.add(each.declared.id)
        if self._moved:
            return False  # who left which name is for all of them to say
        if any(True for id in changed for _ in self._claims_of(self.known[id])):
            return False
        # A machine has a say in its disks, and they in theirs of pools: two steps are as far as it goes.
        near = {user for id in changed for user in self._users.get(id, ())}
        far = {user for id in near for user in self._users.get(id, ())}
        return not any(True for id in changed | near | far for _ in self._mismatches(self.known[id]))

    def _claims_of(self, each: Checked) -> Iterator[tuple[Manifest, Problem]]:
        """MACs, addresses and limits on a network, and disks belong to one machine each."""
        machine = each.declared
        assert machine is not None
        for path, key, what in each.claims:
            first, place = self._claimed.setdefault(key, (machine, path))
            if first is not machine or (key[0] == "limit" and place != path):
                origin = first.manifest.origin("spec", *place)
                message = f"{what} is already used by {first.id} at {origin}"
                problem = _problem(machine.manifest, ("spec", *path), message, "Use it in one machine only.")
                yield machine.manifest, problem

    def _mismatches(self, each: Checked) -> Iterator[tuple[Manifest, Problem]]:
        resource = each.declared
        assert resource is not None
        for path, id in each.references:
            other = self.known.get(id)
            if other is None or other.declared is None:
                continue
            manifest = resource.manifest
            if other is each:
                yield manifest, _problem(manifest, ("spec", *path), "refers to itself", "Name another one.")
            wrong = _mismatch(resource, other.declared, self.known)
            if wrong:
                yield manifest, _problem(manifest, ("spec", *path), *wrong)
            for at, message, remedy in _shared(resource, path, other.declared):
                yield manifest, _problem(manifest, ("spec", *at), message, remedy)


def _moved_once(known: Mapping[ResourceId, Checked]) -> Iterator[tuple[Manifest, Problem]]:
    """A name that was left is nobody's by now, and one resource only left it."""
    movers: dict[ResourceId, Declared] = {}
    for each in known.values():
        resource = each.declared
        assert resource is not None
        old = resource.moved_from
        if old is None:
            continue
        other = known[old].declared if old in known else movers.get(old)
        if other is not None:
            place = other.manifest.origin("metadata", "name")
            message = f"{old} is described at {place}" if old in known else f"{other.id} comes from {old.name} too"
            remedy = "Take movedFrom away, or correct the name in it."
            problem = _problem(resource.manifest, ("metadata", "movedFrom"), message, remedy)
            yield resource.manifest, problem
        movers[old] = resource


def _mismatch(resource: Declared, other: Declared, known: Mapping[ResourceId, Checked]) -> tuple[str, str] | None:
    """What is wrong with ``resource`` using ``other``: wrong content, or out of reach."""
    content = {DISK: "vmd", DISK_IMAGE: "vmdi"}.get(resource.id.kind)
    if other.id.kind == POOL and content and other.shape.get("content", "vmd") != content:
        return (
            f"{other.id} holds {other.shape.get('content', 'vmd')}, not {content}",
            f"Use a pool with content: {content}.",
        )
    if other.id.kind == NETWORK and "switch" not in other.shape:
        return f"{other.id} is not a switch", "Name a network with a switch."
    here, there = resource.shape.get("nodeName"), other.shape.get("nodeName")
    if here != there and other.id.kind in (POOL, DISK) and _is_local(other, known):
        return (
            f"{other.id} is on {there}, this is on {here}, and its pool is local to the node",
            f"Put both on one node, or {other.id.name} into a shared pool.",
        )
    return None


def _shared(machine: Declared, path: Path, disk: Declared) -> Iterator[Finding]:
    """Of a format with an index, each machine would write one of its own: libvirt lets several write to raw disks only.

    No manifest makes one, but a disk made by other means may be named without being described.
    """
    if machine.id.kind != MACHINE or disk.id.kind != DISK or path[0] != "disks":
        return
    attached, format = machine.manifest.spec["disks"][path[1]], disk.shape.get("format", "qcow2")
    if attached.get("mode") == "shareable" and format != "raw" and "cloudInit" not in disk.shape:
        message = f"{disk.id} is {format}, and only a raw disk is shareable"
        yield (*path[:-1], "mode"), message, "Take mode away, or name a raw disk that was made by other means."


def _is_local(resource: Declared, known: Mapping[ResourceId, Checked]) -> bool:
    if resource.id.kind == DISK:
        pool = known.get(ResourceId(POOL, resource.shape["pool"], resource.id.namespace))
        return pool is not None and pool.declared is not None and _is_local(pool.declared, known)
    return bool(resource.shape["type"] == "localfs")


_LIMITS = next(parts for parts in parts_of(MACHINE) if parts.path[-1] == "qosRules")


def _claims(machine: Declared) -> Iterator[Claim]:
    spec, namespace = machine.manifest.spec, machine.id.namespace
    for index, nic in enumerate(spec["nics"]):
        yield ("nics", index, "mac"), ("mac", nic["mac"]), nic["mac"]
        if "ip" in nic and "network" in nic:
            network = nic["network"]
            yield ("nics", index, "ip"), ("ip", namespace, network, nic["ip"]), f"{nic['ip']} on {network}"
    for index, nic in enumerate(spec["nics"]):
        for number, rule in enumerate(nic.get("qosRules", ())):
            key = _LIMITS.identity(rule)
            path = ("nics", index, "qosRules", number)
            yield path, ("limit", namespace, nic.get("network", ""), key), f"the limit '{key}' of {nic.get('network')}"
    for index, disk in enumerate(spec["disks"]):
        if disk.get("mode") != "shareable" and disk.get("mode") != "readonly":
            yield ("disks", index, "disk"), ("disk", namespace, disk["disk"]), f"disk {disk['disk']}"
