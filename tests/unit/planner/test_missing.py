"""A name of a resource that exists nowhere: every field that names one says so, and which name is nearest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import LocalCluster
from reconciler.model.fields import FIELDS
from reconciler.model.kinds import MACHINE
from reconciler.model.nearest import NearestResources
from reconciler.model.path import values_at
from reconciler.model.resource import ResourceId, show_path
from support.documents import documents
from support.scenario import converge, desired_of, plan_of, served

ALL = frozenset({"interrupt", "restart", "recreate", "data"})


REFERENCES = [
    (number, path)
    for number, document in enumerate(documents())
    for row in FIELDS[document["kind"]]
    if row.refers_to
    for path, _ in values_at(document["spec"], row.path)
]


def misspelt(number: int, path: tuple[str | int, ...]) -> list[dict[str, Any]]:
    """The documents, in one of which one name has an x at its end."""
    changed = documents()
    place: Any = changed[number]["spec"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] += "x"
    return changed


@pytest.fixture(scope="module")
def applied() -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired_of(documents()))
        yield cluster


def name_of(reference: tuple[int, tuple[str | int, ...]]) -> str:
    document = documents()[reference[0]]
    return f"{document['kind']}/{document['metadata']['name']}-{show_path(reference[1])}"


@pytest.mark.parametrize("there", [False, True], ids=["to be created", "applied"])
@pytest.mark.parametrize("reference", REFERENCES, ids=name_of)
def test_a_misspelt_name_is_that_and_no_change(
    reference: tuple[int, tuple[str | int, ...]], there: bool, applied: LocalCluster
) -> None:
    with served() as empty:
        made = plan_of(applied if there else empty, desired_of(misspelt(*reference)), allow=ALL)
    (problem,) = made.problems
    assert problem.path == show_path(("spec", *reference[1]))
    assert "which is neither described nor on the cluster" in problem.message
    assert "Did you mean " in problem.remedy


def test_every_field_that_names_a_resource_is_tried() -> None:
    tried = {
        (documents()[number]["kind"], tuple("*" if isinstance(n, int) else n for n in p)) for number, p in REFERENCES
    }
    assert tried == {(kind, row.path) for kind, rows in FIELDS.items() for row in rows if row.refers_to}


def test_of_very_many_missing_names_the_first_have_suggestions() -> None:
    known = [ResourceId(MACHINE, f"machine-{number}") for number in range(50)]
    nearest = NearestResources(known)
    said = [nearest.did_you_mean(id._replace(name=f"{id.name}x")) for id in known]
    assert all(said[:20])
    assert not any(said[20:])
    assert nearest.did_you_mean(known[0]._replace(name="machine-0x")) == said[0]
