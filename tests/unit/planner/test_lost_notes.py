"""What only the note on a resource knows: it may be lost, or a creation fail that was one, and nothing is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler import catalogue
from reconciler.manifests.schema import schema
from reconciler.model.fields import FIELDS
from reconciler.model.fields.field import Visibility
from reconciler.model.kinds import MACHINE
from reconciler.model.path import value_in
from reconciler.model.resource import ResourceId
from reconciler.model.wire import ANNOTATION_APPLIED
from reconciler.planner.plan import Action
from support.documents import documents
from support.scenario import converge, desired_of, plan_of, served
from support.staged import staged

HIDDEN = [(kind, row) for kind, rows in FIELDS.items() for row in rows if row.shown is Visibility.NEVER]
ALWAYS = [(kind, row.path) for kind, row in HIDDEN if row.always]
ALL = frozenset({"interrupt", "restart", "recreate", "data"})


def lines_of(place: Any, path: tuple[str, ...]) -> Any:
    """The mappings in which the last word of a path is, in an annotation."""
    if len(path) == 1:
        return [place] if isinstance(place, dict) and path[0] in place else []
    below = place.values() if path[0] == "*" else [place[path[0]]] if path[0] in place else []
    return [found for each in below for found in lines_of(each, path[1:])]


@pytest.mark.parametrize(("kind", "path"), ALWAYS, ids=lambda each: ".".join(each) if each[0] != "V" else each)
def test_what_is_always_declared_and_is_not_noted_is_noted_again(kind: str, path: tuple[str, ...]) -> None:
    with served() as cluster:
        converge(cluster, desired_of(documents()))
        lost = 0
        for resource in cluster.list(kind).items:
            noted = json.loads(resource["metadata"]["annotations"][ANNOTATION_APPLIED])
            for line in lines_of(noted, path):
                del line[path[-1]]
                lost += 1
            resource["metadata"]["annotations"][ANNOTATION_APPLIED] = json.dumps(noted)
            resource["spec"].get("pool", {}).pop("content", None)  # as of one whose directory is not there
            cluster.update(resource)
        assert lost
        made = plan_of(cluster, desired_of(documents()))
        assert not made.problems
        assert {step.action for step in made.steps} == {Action.MARK}
        converge(cluster, desired_of(documents()))
        assert not plan_of(cluster, desired_of(documents())).steps
        for document in (changed := documents()):
            if document["kind"] == MACHINE:
                document["spec"]["osVariant"] = "debian13"
        assert path != ("osVariant",) or plan_of(cluster, desired_of(changed)).problems, "it is known again"


def test_the_hidden_fields_that_every_manifest_or_its_default_gives_are_said_to_be_always_there() -> None:
    def is_required(kind: str, path: tuple[str, ...]) -> bool:
        place = schema(kind)["properties"]["spec"]
        for name in path[:-1]:
            place = place["items"] if name == "*" else place["properties"][name]
        return path[-1] in place.get("required", ())

    assert [
        (kind, row.path) for kind, row in HIDDEN if is_required(kind, row.path) or row.default is not None
    ] == ALWAYS


def test_a_creation_that_is_reported_as_failed_and_was_none_is_taken_up_with_all_that_was_to_follow() -> None:
    """Of every kind: the host has it, the report says no, and what only the note knows is known all the same."""
    for document in (given := documents()):
        if document["metadata"]["name"] == "web-1" and document["kind"] == MACHINE:
            document["spec"] |= {"autostart": True}
    with staged() as stage:
        stage.driver.losing = {each.name for each in catalogue.OPERATIONS if each.creates}
        for _ in range(20):
            if not (made := plan_of(stage.cluster, desired_of(given), allow=ALL)).steps:
                break
            assert not made.problems, made.problems
            stage.apply(given, allow=ALL)
        assert not made.steps
        ran = [each for each in stage.driver.ran if each[0] in stage.driver.losing]
        assert sorted(ran) == sorted(set(ran)), "nothing is made twice"
        assert ("AutoStartVM", "web-1") in stage.driver.ran
        machine = stage.cluster.get(ResourceId(MACHINE, "web-1"))
        assert machine is not None
        noted = json.loads(machine["metadata"]["annotations"][ANNOTATION_APPLIED])
        assert (value_in(noted, ("osVariant",)), value_in(noted, ("autostart",))) == ("debian12", True)
