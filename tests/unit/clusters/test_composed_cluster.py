"""A cluster of parts: a wrapper writes what it changes, and every other call goes to what it wraps."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from reconciler import LocalCluster
from reconciler.clusters.base import Cluster, JournalStore, LeaseStore, ResourceStore
from reconciler.clusters.composed import ComposedCluster, WrappedCluster
from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.model.resource import Resource
from reconciler.model.secret import SecretStore

PARTS = (ResourceStore, JournalStore, LeaseStore, SecretStore)


def calls_of(part: type) -> set[str]:
    return {name for name, value in vars(part).items() if inspect.isfunction(value) and not name.startswith("_")}


class Recorder:
    """A part that says what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, call: str) -> Any:
        return lambda *given, **named: (self.name, call, given, named)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_each_call_goes_to_the_part_that_it_belongs_to(part: type) -> None:
    parts: list[Any] = [Recorder(each.__name__) for each in PARTS]
    cluster = ComposedCluster(*parts)
    for name in calls_of(part):
        words = inspect.signature(getattr(part, name)).parameters.values()
        given = [each.name for each in words if each.kind is each.POSITIONAL_OR_KEYWORD][1:]
        named = {each.name: each.name for each in words if each.kind is each.KEYWORD_ONLY}
        asked = getattr(cluster, name)(*given, **named)
        if asked is not None:  # what returns nothing cannot say who was asked
            assert asked == (part.__name__, name, tuple(given), named)


def test_both_clusters_and_every_wrapper_are_composed() -> None:
    assert {each for part in PARTS for each in calls_of(part)} <= set(dir(ComposedCluster))
    assert issubclass(LocalCluster, ComposedCluster)
    assert issubclass(KubernetesCluster, ComposedCluster)
    assert {"close", *calls_of(Cluster)} == {"close"}


def test_a_wrapper_changes_one_call_and_no_other() -> None:
    class Loud(WrappedCluster):
        def create(self, resource: Resource) -> Resource:
            return super().create({**resource, "spec": {"loud": True}})

    with LocalCluster(":memory:") as under:
        cluster: Cluster = Loud(under)
        cluster.create({"apiVersion": "doslab.io/v1", "kind": "VirtualMachine", "metadata": {"name": "web"}})
        cluster.record("shop", {"phase": "run"})
        (stored,) = under.list("VirtualMachine").items
        assert stored["spec"] == {"loud": True}
        assert under.records("shop") == [{"phase": "run"}]
        assert cluster.digest_key() == under.digest_key()
        with cluster.lease("stack shop", "me"):
            pass
