"""Whether what options name exists: without a word, one that names nothing would have no effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reconciler.cli.errors import CommandFailed
from reconciler.cli.inputs import impacts_of
from reconciler.cli.options import PolicyOptions

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.manifests.desired import Desired
    from reconciler.model.resource import ResourceId


def refuse_unknown_names(options: PolicyOptions, cluster: Cluster, desired: Desired | None = None) -> None:
    """Raise ``CommandFailed`` for a resource or stack that an option names, and that nothing describes or has.

    Raises ``ClusterError`` where the cluster cannot be read; it is read only if an option names something.
    """
    from reconciler.catalogue.permission import resource_of

    for permission in sorted(impacts_of(options)):
        if (id := resource_of(permission)) is not None:
            _require_resource(f"--allow {permission}", id, cluster, desired)
    for stack in options.adopt_from:
        _require_stack(f"--adopt-from {stack}", stack, cluster)


def _require_resource(option: str, id: ResourceId, cluster: Cluster, desired: Desired | None) -> None:
    from reconciler.model.nearest import NearestResources
    from reconciler.observe.observed import observe

    described = _described(desired)
    if id in described or cluster.get(id) is not None:
        return
    hint = NearestResources({*described, *observe(cluster).resources}).did_you_mean(id)
    raise CommandFailed("NotFound", f"{option}: {id} is neither described nor on the cluster.{hint}")


def _described(desired: Desired | None) -> set[ResourceId]:
    """What manifests describe, be it with errors, by the names in them and those they had before."""
    if desired is None:
        return set()
    former = (each.moved_from for each in desired.resources.values())
    return {*desired.resources, *desired.invalid, *(id for id in former if id is not None)}


def _require_stack(option: str, stack: str, cluster: Cluster) -> None:
    from reconciler.model.nearest import did_you_mean

    if cluster.records(stack, newest=1) or stack in (known := stacks_on(cluster)):
        return
    hint = did_you_mean(stack, known) or _listed(known)
    raise CommandFailed("NotFound", f"{option}: there is no stack {stack} on the cluster.{hint}")


def stacks_on(cluster: Cluster) -> set[str]:
    """The stacks that own something on the cluster."""
    from reconciler.observe.observed import observe

    return {each.stack for each in observe(cluster).resources.values() if each.stack}


def _listed(stacks: Iterable[str]) -> str:
    names = sorted(stacks)
    return f" Stacks: {', '.join(names[:10])}." if names else " There are none."
