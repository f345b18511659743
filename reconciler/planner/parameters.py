"""The parameters of a step: the functions of a row, called for one resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.catalogue.limits import NUMBERS, SIZES
from reconciler.catalogue.operation import Operation
from reconciler.manifests.request import SAMPLE_SECRET
from reconciler.model.fields import field_at
from reconciler.model.path import ShapePath, matches
from reconciler.model.secret import Secret
from reconciler.planner.plan import PathOf, Value
from reconciler.planner.rules import Make, RuleContext


def parameters_of(makes: Mapping[str, Make], case: RuleContext) -> dict[str, Value]:
    """Name -> value, without the parameters that have no value."""
    values = {name: make(case) for name, make in makes.items()}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def samples(operation: Operation, parameters: Mapping[str, Value]) -> dict[str, str | bool]:
    """The parameters with samples for values that are known later, for the catalogue to check."""
    examples = {row.name: row.example for row in operation.parameters if row.secret}
    return {name: examples.get(name) or _sample(value) for name, value in parameters.items()}


# Parameters of creation, each with the field that it comes from, where that has another name.
_FIELDS = {
    "vcpus": "cpu",
    "network": "nics",
    "disk": "disks",
    "os_variant": "osVariant",
    "boot": "bootOrder",
    "opt": "options",
    "targetPool": "pool",
    "sourcePool": "from",
    "sourceVolume": "from",
    "source": "from",
    "userData": "cloudInit",
    "diskspec": "disks",
    "domain": "virtualMachine",
    "address": "addresses",
    "vol": "disk",
    "dnsServer": "switch.dnsServers",
}


def field_of(operation: Operation, parameter: str, kind: str, changed: Sequence[ShapePath]) -> ShapePath:
    """The field that a parameter of a step has its value from: of several that change, the one whose limit it has.

    ``changed`` are the paths of the step's changes; the empty path is that of creation. Empty where it is not known.
    """
    limits = [
        tuple(row.field.split("."))
        for row in (*NUMBERS, *SIZES)
        if row.kind == kind and row.operation == operation.name and row.parameter == parameter
    ]
    inner = [path for path in changed if path]
    for path in inner:
        if any(matches(pattern, path) for pattern in limits):
            return path
    if inner:
        return inner[0]
    named = tuple(_FIELDS.get(parameter, parameter).split("."))
    candidates = (named, *((part, *named) for part in ("switch", "bridge")))
    return next((path for path in candidates if field_at(kind, path) is not None), ())


def _plain(value: Value) -> Value:
    """The text as one string if all its parts are known."""
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return "".join(str(part) for part in value)
    return value


def _sample(value: Value | PathOf) -> str | bool:
    """A value to check the others by: what is known later is some path."""
    if isinstance(value, Secret):
        return SAMPLE_SECRET
    if isinstance(value, PathOf):
        return "/var/lib/libvirt/pool/file"
    return "".join(str(_sample(part)) for part in value) if isinstance(value, tuple) else value
