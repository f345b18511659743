"""The parameters of a step: the functions of a row, called for one resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.catalogue import ParameterError
from reconciler.catalogue.operation import Operation
from reconciler.manifests.request import SAMPLE_SECRET
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret
from reconciler.planner.plan import PathOf, Value
from reconciler.planner.rules import Make, RuleContext


def parameters_of(makes: Mapping[str, Make], case: RuleContext) -> dict[str, Value]:
    """Name -> value, without the parameters that have no value."""
    values = {name: make(case) for name, make in makes.items()}
    return {name: _plain(value) for name, value in values.items() if value is not None}


LikelyPath = Callable[[ResourceId], str]

_SOME_PATH = "/var/lib/libvirt/pool/file"  # every operation accepts it


def samples(
    operation: Operation, parameters: Mapping[str, Value], path: LikelyPath = lambda id: ""
) -> dict[str, str | bool]:
    """The parameters with samples for values that are known later, for the catalogue to check.

    ``path`` says where a file is likely to be that is still to be made; empty where that is not known.
    """
    examples = {row.name: row.example for row in operation.parameters if row.secret}
    return {
        name: examples[name] if isinstance(value, Secret) and name in examples else _sample(value, path)
        for name, value in parameters.items()
    }


def limit_remedy(error: ParameterError) -> str:
    """What to do about a parameter that may not be sent."""
    if error.limit is None:
        return "Change the manifest."
    return "Change the manifest, or serve the node with 'reconcile agent', which takes it."


def _plain(value: Value) -> Value:
    """The text as one string if all its parts are known."""
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return "".join(str(part) for part in value)
    return value


def _sample(value: Value | PathOf, path: LikelyPath) -> str | bool:
    """A value to check the others by."""
    if isinstance(value, Secret):
        return SAMPLE_SECRET
    if isinstance(value, PathOf):
        return path(value.id) or _SOME_PATH
    return "".join(str(_sample(part, path)) for part in value) if isinstance(value, tuple) else value
