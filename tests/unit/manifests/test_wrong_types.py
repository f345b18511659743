"""A value of another type, wherever it stands in a manifest, is a finding with its place: nothing is raised by it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.manifests import schema
from reconciler.model.path import Path
from reconciler.model.problem import InvalidInput, Problem
from support.full_stack import SECRETS, documents
from support.scenario import desired_of

JUNK: tuple[Any, ...] = (True, 7, "x", ["x"], {"x": "x"}, None)
STACK, *RESOURCES = documents()


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Each place below a value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def with_value(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(document)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return dict(changed)


def problems_of(stack: list[dict[str, Any]]) -> tuple[Problem, ...]:
    try:
        desired_of(stack)
    except InvalidInput as invalid:
        return tuple(invalid.problems)
    return ()


@pytest.mark.parametrize("document", [STACK, *RESOURCES], ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_value_of_another_type_is_a_finding(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    document = {**document, "metadata": {**document["metadata"], "movedFrom": "formerly", "labels": {"a": "b"}}}
    others = [] if document["kind"] == "Stack" else [STACK]
    found = [
        problem
        for path in places(document)
        for value in JUNK
        for problem in problems_of([*others, with_value(document, path, value)])
    ]
    assert found
    assert all(problem.origin.line for problem in found)


@pytest.mark.parametrize("document", RESOURCES, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_quick_check_and_the_one_that_explains_agree(document: dict[str, Any]) -> None:
    texts = ("/a/../b", "/var/lib/libvirt/../x/y", "/dev/../sda", "a,../b", "-1", "1.5Gi", "x" * 70)
    for path in ((), *places(document)):
        for value in (*JUNK, -1, 1.5, *texts) if path else (None,):
            tried = with_value(document, path, value) if path else document
            explained = list(schema.explain_errors(document["kind"], tried))
            assert schema.accepts(document["kind"])(tried) is not bool(explained), (path, value, explained)
