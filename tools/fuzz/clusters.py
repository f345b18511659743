"""The clusters that plans are made for, and their resources as others could leave them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from reconciler import LocalCluster
from reconciler.model.resource import Resource
from reconciler.observe.observed import Observation, observe
from support.full_stack import SECRETS, documents
from support.scenario import converge, desired_of, served

ALLOWED = frozenset({"interrupt", "restart", "recreate", "data"})
ASSIGNED = ("uid", "resourceVersion", "creationTimestamp")  # by the cluster


class Given(NamedTuple):
    """A cluster that plans are made for."""

    name: str
    observed: Observation


@cache
def clusters() -> tuple[Given, ...]:
    """An empty cluster, and one on which every field of every kind is in use."""
    with LocalCluster(":memory:") as cluster:
        empty = observe(cluster)
    os.environ |= SECRETS
    with served() as cluster:
        converge(cluster, desired_of(documents()), allow=ALLOWED)
        populated = observe(cluster)
    return Given("empty", empty), Given("populated", populated)


@cache
def resources() -> tuple[Resource, ...]:
    """Those of the populated cluster, as its API shows them."""
    _, populated = clusters()
    found: list[Resource] = json.loads(json.dumps([each.resource for each in populated.observed.resources.values()]))
    for resource in found:
        for name in ASSIGNED:
            resource["metadata"].pop(name, None)
    return tuple(found)


def changed_cluster(changed: Iterable[Any]) -> Observation:
    """The populated cluster, where some resources are others.

    The API keeps to a kind, a name and a namespace, and to labels and annotations that are texts: what is none of the
    resources above, or has others, is left out.
    """
    _, populated = clusters()
    own = {_key(each): each for each in resources()}
    own |= {_key(each): each for each in changed if _is_kept(each) and _key(each) in own}
    with LocalCluster(":memory:") as cluster:
        for resource in own.values():
            cluster.create(resource)
        return replace(observe(cluster), capabilities=populated.observed.capabilities)


def _key(resource: Resource) -> tuple[str, ...]:
    metadata = resource["metadata"]
    return tuple(map(str, (resource["kind"], metadata.get("namespace", "default"), metadata["name"])))


def _is_kept(resource: Any) -> bool:
    metadata = resource.get("metadata") if isinstance(resource, dict) and "kind" in resource else None
    if not isinstance(metadata, dict) or "name" not in metadata or any(name in metadata for name in ASSIGNED):
        return False
    notes = [metadata.get(part) or {} for part in ("labels", "annotations")]
    return all(isinstance(each, dict) and all(isinstance(text, str) for text in each.values()) for each in notes)
