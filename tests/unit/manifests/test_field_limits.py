"""What a field of a manifest accepts, the parameter it becomes accepts: found by walking all rows of the rules.

A row's parameters are functions. Which field each is made of is found by changing one field of a full manifest after
another: a parameter that follows one field only, and has its value, must not be narrower than the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import catalogue
from reconciler.catalogue import Operation, Parameter
from reconciler.catalogue.limits import NUMBERS, SIZES, FieldLimit
from reconciler.manifests import checks, schema
from reconciler.manifests.loader import load_texts
from reconciler.manifests.writer import yaml_text
from reconciler.model import quantity
from reconciler.model.fields import aliases, is_quantity
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import API_VERSION, ResourceId
from reconciler.model.shape import Shape, declared
from reconciler.observe.observed import Observation
from reconciler.planner.resource_index import ResourceIndex
from reconciler.planner.rules import CHANGE, CREATE, DELETE, RuleContext

Field = tuple[str, ...]

# Every field of every kind, in manifests that need not make sense as a whole.
SPECS: dict[str, list[dict[str, Any]]] = {
    "VirtualMachine": [
        {
            "nodeName": "node1", "powerState": "Running", "stopMode": "Graceful", "osVariant": "debian12",
            "from": {"image": "image-1"}, "uuid": "950646e8-c17a-49d0-b83c-1c797811e001", "virtType": "kvm",
            "livecd": True, "cputune": {"shares": 512, "period": 100000, "quota": 50000},
            "cpu": {"count": 2, "max": 8, "cores": 2, "sockets": 2, "threads": 2},
            "memory": {"size": "2Gi", "max": "4Gi"},
            "disks": [
                {"target": "vda", "disk": "disk-1", "bus": "virtio", "cache": "none", "mode": "readonly", "qos": {
                    "totalBytes": 10, "readBytes": 10, "writeBytes": 10,
                    "totalIops": 10, "readIops": 10, "writeIops": 10}},
            ],
            "cdroms": [{"target": "sda", "path": "/var/lib/libvirt/iso/a.iso"}],
            "nics": [
                {"mac": "52:54:00:00:00:01", "type": "l3bridge", "source": "br-int", "network": "net-1",
                 "ip": "192.168.5.9", "model": "virtio", "qos": {"inbound": "1Mi", "outbound": "1Mi"},
                 "acls": [{"direction": "from", "match": "ip4", "priority": 100, "action": "allow"}],
                 "qosRules": [
                     {"direction": "from", "match": "ip4", "priority": 100, "rateKbps": 10, "burstKbps": 10}],
                 "floatingIP": {"address": "10.10.0.9/24", "externalNetwork": "ext-net"}, "vlan": 10},
            ],
            "graphics": {"type": "vnc"},
            "devices": [{"file": "/var/lib/libvirt/devices/a.xml"}],
            "passthrough": [{"type": "usb", "bus": "01", "subBus": "00", "device": "1"}],
            "usbRedirection": 2, "redirdev": {"type": "tcp", "server": "192.168.1.1:4000"},
            "guest": {"user": "root", "osType": "linux", "sshKeys": ["ssh-ed25519 AAAA"]},
            "bootOrder": ["vda"], "autostart": True,
        },
    ],
    "VirtualMachineDisk": [
        {"nodeName": "node1", "pool": "pool-1", "from": {"image": "image-1", "disk": "disk-9"}, "capacity": "20Gi",
         "format": "qcow2", "snapshots": ["snap-1"], "cloudInit": {"userData": "#cloud-config\n"}},
    ],
    "VirtualMachineDiskImage": [{"nodeName": "node1", "pool": "pool-1", "from": {"disk": "disk-1"}}],
    "VirtualMachineDiskSnapshot": [{"nodeName": "node1", "disk": "disk-1", "format": "qcow2"}],
    "VirtualMachineImage": [{"nodeName": "node1", "disk": "disk-1", "pool": "pool-1"}],
    "VirtualMachineNetwork": [
        {"nodeName": "node1", "switch": {
            "subnet": "192.168.5.0/24", "gateway": "192.168.5.1", "dhcp": "192.168.5.2",
            "dnsServers": ["192.168.5.1"], "mtu": 1500, "bridge": "br-ex", "vlanId": 10,
            "excludeIPs": ["192.168.5.3"], "ipv6": False},
         "bridge": {"name": "br-web", "nic": "eth1", "vlan": 10}, "addresses": ["10.0.0.1"]},
    ],
    "VirtualMachinePool": [
        {"nodeName": "node1", "type": "localfs", "content": "vmd", "url": "/var/lib/libvirt/a", "options": "rw",
         "uuid": "0" * 32, "autostart": True, "state": "Active"},
    ],
    "VirtualMachineSnapshot": [
        {"nodeName": "node1", "virtualMachine": "web-1", "external": True,
         "disks": [{"target": "vda", "mode": "internal", "file": "/var/lib/libvirt/a"}]},
    ],
}  # fmt: skip

# Another value for a text; other texts get another last letter.
OTHER = {
    "52:54:00:00:00:01": "52:54:00:00:00:02", "vda": "vdb", "sda": "sdb", "192.168.5.9": "192.168.5.8",
    "192.168.5.1": "192.168.5.7", "192.168.5.2": "192.168.5.6", "10.10.0.9/24": "10.10.0.8/24",
    "192.168.5.0/24": "192.168.6.0/24", "2Gi": "3Gi", "4Gi": "5Gi", "1Mi": "2Mi", "20Gi": "30Gi",
    "#cloud-config\n": "#cloud-config\n\n", "0" * 32: "1" * 32,
}  # fmt: skip


class Mapped(NamedTuple):
    """A field and a parameter that has its value."""

    kind: str
    field: Field
    operation: Operation
    row: Parameter

    def __str__(self) -> str:
        return f"{self.kind}.{'.'.join(self.field)} -> {self.operation.name}.{self.row.name}"


def fragment_of(kind: str, field: Field) -> dict[str, Any]:
    """The schema of a field, references followed."""
    root = schema.schema(kind)
    fragment = root["properties"]["spec"]
    for name in (*field, ""):
        if "$ref" in fragment:
            fragment = root["$defs"][fragment["$ref"].rpartition("/")[2]]
        if name:
            fragment = fragment["items"] if name == "*" else fragment["properties"][name]
    return dict(fragment)


def leaves(value: Any, at: Field = ()) -> Iterator[tuple[Field, Callable[[Any, Any], None], Any]]:
    """Fields with a single value in a manifest: path, how to set it in a copy, and the value."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*at, key))
    elif isinstance(value, list):
        yield from leaves(value[0], (*at, "*"))
    else:

        def put(spec: Any, new: Any) -> None:
            for name in at[:-1]:
                spec = spec[0 if name == "*" else name]
            spec[0 if at[-1] == "*" else at[-1]] = new

        yield at, put, value


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return OTHER.get(value, value[:-1] + ("z" if value[-1] != "z" else "y"))


def part_at(shape: Shape, fields: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Where the part that a row is about is in the shape; empty for rows about plain fields."""
    names = fields[0].split(".") if fields else []
    names = names[: len(names) - names[::-1].index("*")] if "*" in names else []
    at: tuple[str, ...] = ()
    place: Any = shape
    for name in names:
        key = next(iter(place)) if name == "*" else name
        at, place = (*at, key), place[key]
    return at


def values(rule: Any, kind: str, shape: Shape, seen: Shape) -> dict[str, Any]:
    """The parameters of a row for a shape, without those that cannot be told."""
    id = ResourceId(kind, "web-1")
    around = ResourceIndex({}, Observation({}))
    found = {}
    for name, make in rule.parameters.items():
        try:
            at = part_at(shape, getattr(rule, "fields", ()), kind)
            value = make(RuleContext(id, shape, seen, around, running=True, at=at))
        except (KeyError, StopIteration, AttributeError, ValueError):
            continue
        if isinstance(value, str):
            found[name] = value
    return found


def as_sent(value: Any, kind: str, field: Field, row: Parameter) -> set[str]:
    """The texts that a field's value may be sent as."""
    if is_quantity(kind, field):
        size = quantity.parse(value)
        return {str(size), str(size // quantity.KIB), str(size // quantity.MIB)}
    return {str(value), f"'{value}'"}


@cache
def mapped() -> tuple[Mapped, ...]:
    """Every field that some parameter is made of, and of which alone."""
    found: dict[Mapped, None] = {}
    for rule in (*CREATE, *CHANGE, *DELETE):
        for spec in SPECS[rule.kind]:
            for seen_too in (True, False):
                for mapping in mapped_of(rule, spec, seen_too):
                    found[mapping] = None
    return tuple(found)


def mapped_of(rule: Any, spec: dict[str, Any], seen_too: bool) -> Iterator[Mapped]:
    kind = rule.kind
    operations = [each for each in catalogue.OPERATIONS if each.name == rule.operation]
    operation = next((each for each in operations if each.kind == kind), operations[0])

    def evaluate(changed: dict[str, Any]) -> dict[str, Any]:
        shape = declared(kind, changed, {})
        return values(rule, kind, shape, shape if seen_too else {})

    before = evaluate(spec)
    followers: dict[str, list[tuple[Field, Any]]] = {}
    for field, put, value in leaves(spec):
        changed = deepcopy(spec)
        put(changed, other(value))
        after = evaluate(changed)
        for name in before.keys() & after.keys():
            if before[name] != after[name]:
                followers.setdefault(name, []).append((field, value))
    for name, fields in followers.items():
        row = next(each for each in operation.parameters if each.name == name)
        (field, value), *more = fields
        if not more and before[name] in as_sent(value, kind, field, row):
            yield Mapped(kind, field, operation, row)


def test_the_rows_that_matter_are_among_those_found() -> None:
    found = {(each.kind, ".".join(each.field), each.operation.name, each.row.name) for each in mapped()}
    assert {
        (MACHINE, "nics.*.acls.*.priority", "AddACL", "priority"),
        (MACHINE, "nics.*.acls.*.match", "AddACL", "rule"),
        (MACHINE, "nics.*.mac", "PlugNIC", "mac"),
        (MACHINE, "memory.size", "ResizeRAM", "size"),
        (MACHINE, "nics.*.qos.inbound", "TuneNICQoS", "inbound"),
        (MACHINE, "disks.*.qos.readIops", "TuneDiskQoS", "read_iops_sec"),
        (NETWORK, "switch.mtu", "CreateSwitch", "mtu"),
        ("VirtualMachineDisk", "capacity", "CreateDisk", "capacity"),
        ("VirtualMachinePool", "url", "CreatePool", "url"),
    } <= found
    assert len(found) > 80


def numeric() -> list[Mapped]:
    return [each for each in mapped() if each.row.minimum is not None]


def limit_of(mapping: Mapped) -> FieldLimit | None:
    field = ".".join(mapping.field)
    return next((each for each in (*NUMBERS, *SIZES) if (each.kind, each.field) == (mapping.kind, field)), None)


@pytest.mark.parametrize("mapping", numeric(), ids=str)
def test_a_number_that_becomes_a_parameter_has_its_limits(mapping: Mapped) -> None:
    limit = limit_of(mapping)
    assert limit is not None, "add it to catalogue/limits.py"
    low, high = limit.range
    fragment = fragment_of(mapping.kind, mapping.field)
    if limit in NUMBERS:
        assert fragment["minimum"] >= low
        assert fragment["maximum"] <= high
    # All operations that move a field take the same of it.
    operation, parameter = mapping.operation, mapping.row.name
    other = limit._replace(operation=operation.name, parameter=parameter, carrier=operation.kind, least=None)
    assert other.range == limit._replace(least=None).range


@pytest.mark.parametrize("limit", SIZES, ids=lambda limit: limit.field)
def test_a_size_is_refused_exactly_beyond_the_limits_of_its_parameter(limit: FieldLimit) -> None:
    low, high = limit.range
    inside = (-(-low // limit.multiple) * limit.multiple, high // limit.multiple * limit.multiple)
    for size in inside:
        assert not size_findings(limit, size)
    for size in (inside[0] - limit.multiple, inside[1] + limit.multiple):
        if size >= 0:
            assert "out of range" in size_findings(limit, size)[0]


def size_findings(limit: FieldLimit, size: int) -> list[str]:
    """What a full manifest of the kind is told about a size."""
    spec = deepcopy(SPECS[limit.kind][0])
    for field, put, _ in leaves(spec):
        if ".".join(field) == limit.field:
            put(spec, size)
    document = {"apiVersion": API_VERSION, "kind": limit.kind, "metadata": {"name": "web-1"}, "spec": spec}
    (manifest,) = load_texts({"a.yaml": yaml_text([document])}).manifests
    shape = declared(limit.kind, manifest.spec, {})
    resource = checks.Declared(manifest.id, shape, manifest)
    return [f.message for f in checks._sizes(resource) if ".".join(map(str, f.path)).replace(".0", ".*") == limit.field]


# Texts ------------------------------------------------------------------------------------------------------

# What a schema's pattern lets through and a check of the manifest does not, or what binds in some cases only.
CHECKED_ELSEWHERE = {
    "nics.*.ip", "nics.*.floatingIP.address", "addresses.*",
    *(f"switch.{name}" for name in ("subnet", "gateway", "dhcp", "dnsServers.*", "excludeIPs.*")),
    "url",  # with the type of the pool
}  # fmt: skip
LEFT_OUT = {
    ("ManageISO", "source"): "a drive takes a file from anywhere when the machine is made, and from some folders later",
    **{
        (name, "type"): "a pool of uus is created and not started or stopped by these"
        for name in ("AutoStartPool", "StartPool", "StopPool")
    },
}


def texts() -> list[Mapped]:
    """Fields of a limited text, each once with the same rules for the parameter."""
    found = [
        each
        for each in mapped()
        if each.row.minimum is None
        and ".".join(each.field) not in CHECKED_ELSEWHERE
        and (each.operation.name, each.row.name) not in LEFT_OUT
        and {"enum", "pattern"} & fragment_of(each.kind, each.field).keys()
    ]
    return list({(each.kind, each.field, each.row.pattern, each.row.enum): each for each in found}.values())


@pytest.mark.parametrize("mapping", texts(), ids=str)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_text_that_a_schema_accepts_may_be_sent(mapping: Mapped, data: st.DataObject) -> None:
    value = data.draw(accepted_texts(fragment_of(mapping.kind, mapping.field)))
    sent = f"'{value}'" if mapping.row.name == "rule" else as_in_the_shape(mapping, value)
    assert not errors(mapping, sent), value


def as_in_the_shape(mapping: Mapped, value: str) -> str:
    """The value for a word that manifests may use for it."""
    return next((words.get(value, value) for path, words in aliases(mapping.kind) if path == mapping.field), value)


@pytest.mark.parametrize("mapping", [each for each in mapped() if (each.operation.name, each.row.name) in LEFT_OUT])
def test_what_is_left_out_differs_still(mapping: Mapped) -> None:
    value = "/srv/iso/a.iso" if mapping.row.name == "source" else "uus"
    assert accepted(fragment_of(mapping.kind, mapping.field), value)
    assert errors(mapping, value)


def errors(mapping: Mapped, value: str) -> list[str]:
    """What is wrong with a value of the parameter alone."""
    name = mapping.row.name
    found = catalogue.parameter_errors(mapping.operation, {name: value})
    return [each.message for each in found if each.parameter == name and " needs " not in each.message]


def accepted_texts(fragment: dict[str, Any]) -> st.SearchStrategy[str]:
    """Texts that a schema accepts, the short ones made long enough."""
    if "enum" in fragment:
        return st.sampled_from(fragment["enum"])
    bare = re.sub(r"\(\?[=!][^()]*\)", "", fragment["pattern"]).removesuffix("$") + r"\Z"
    least = max(fragment.get("minLength", 0), *map(int, re.findall(r"\{([0-9]+),", fragment["pattern"])), 0)
    texts = st.from_regex(re.compile(bare, re.ASCII)).map(lambda text: text.ljust(least, "a"))
    return texts.filter(lambda text: accepted(fragment, text))


def accepted(fragment: dict[str, Any], text: str) -> bool:
    from jsonschema import Draft202012Validator

    return bool(Draft202012Validator({**fragment, "type": "string"}).is_valid(text)) and not text.endswith("\n")
