"""Names and labels in the policy of a Stack that select nothing: without a word they would have no effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.catalogue.permission import permission, resource_of
from reconciler.manifests.desired import Declared, Stack
from reconciler.manifests.finding import Finding
from reconciler.manifests.loader import Manifest
from reconciler.model.kinds import MACHINE
from reconciler.model.nearest import NearestResources
from reconciler.model.problem import Severity
from reconciler.model.resource import ResourceId

_Resources = Mapping[ResourceId, Declared]


def names_nothing(manifest: Manifest, stack: Stack, resources: _Resources) -> Iterator[Finding]:
    """A warning for each permission on a resource, and each selector of machines, that no manifest here is meant by.

    A permission may be for what is no longer described and still to be pruned. The Stack has no errors.
    """
    if any(":" in each for each in stack.allow):
        yield from _permissions(manifest, resources)
    if any(labels for labels, _ in stack.max_interrupted):
        yield from _selectors(stack, resources)


def _permissions(manifest: Manifest, resources: _Resources) -> Iterator[Finding]:
    former = (each.moved_from for each in resources.values())
    described = {*resources, *(id for id in former if id is not None)}
    nearest = NearestResources(described)
    for index, text in enumerate(manifest.spec["policy"]["allow"]):
        id = resource_of(permission(text))
        if id is not None and id not in described:
            message = f"{id} is not described here: this permits something only if it is pruned"
            remedy = f"Correct the name, or remove the permission.{nearest.did_you_mean(id)}"
            yield Finding(("spec", "policy", "allow", index), message, remedy, severity=Severity.WARNING)


def _selectors(stack: Stack, resources: _Resources) -> Iterator[Finding]:
    machines = [each.labels for each in resources.values() if each.id.kind == MACHINE]
    for index, (labels, _) in enumerate(stack.max_interrupted):
        if labels and not any(labels.items() <= each.items() for each in machines):
            wanted = ", ".join(f"{name}: {value}" for name, value in labels.items())
            message = f"no machine described here has the labels {wanted}: the limit holds for none"
            remedy = "Correct the labels, or remove the limit."
            path = ("spec", "policy", "maxInterrupted", index, "selector", "matchLabels")
            yield Finding(path, message, remedy, severity=Severity.WARNING)
