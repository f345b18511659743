"""What is sent is pasted into a shell on the existing back end (quirk Q03): nothing odd gets that far.

Every text of a manifest that uses all fields is replaced, one at a time, by texts that would break out of a
command, a quote, a path or a line. Each is refused where it stands, or reaches no parameter.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import InvalidInput, LocalCluster, plan
from reconciler.planner.plan import Plan, show_value
from support.paths import EXAMPLES
from support.scenario import desired_of
from support.yaml_text import documents_in

EXAMPLE = EXAMPLES / "documented"
DOCUMENTS: list[dict[str, Any]] = [
    document for file in sorted(EXAMPLE.glob("*.yaml")) for document in documents_in(file.read_text())
]
ODD = (
    "x;reboot",
    "$(reboot)",
    "`reboot`",
    "a|b&&c",
    "a b",
    "a'b",
    'a"b',
    "a\\b",
    "a\nb",
    "a\x00b",
    "a\u202eb",
    "/var/lib/../../etc/passwd",
    "/var/lib/libvirt/./x",
    "--flag",
    "x" * 5000,
)
# Fields that are documented to carry more than a name, a number or a path, and what may stand in them.
CARRY = {"match": set(" $&|<>=(){}"), "userData": None}


def texts(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the texts of a document are."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, (*at, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from texts(each, (*at, index))
    elif isinstance(value, str):
        yield at


PLACES = [(index, at) for index, document in enumerate(DOCUMENTS) for at in texts(document) if at[0] != "apiVersion"]


def with_text(index: int, at: tuple[Any, ...], text: str) -> list[dict[str, Any]]:
    documents = copy.deepcopy(DOCUMENTS)
    parent = documents[index]
    for part in at[:-1]:
        parent = parent[part]
    parent[at[-1]] = text
    return documents


def planned(documents: list[dict[str, Any]]) -> Plan | None:
    try:
        desired = desired_of(documents)
    except InvalidInput:
        return None
    with LocalCluster(":memory:") as cluster:
        return plan(desired, cluster)


def test_the_manifest_as_it_stands_is_fine() -> None:
    made = planned(DOCUMENTS)
    assert made is not None
    assert not made.problems
    assert len(PLACES) > 100


@pytest.mark.parametrize(("index", "at"), PLACES, ids=lambda each: str(each).replace(" ", ""))
def test_odd_text_is_refused_or_sent_nowhere(index: int, at: tuple[Any, ...]) -> None:
    carried = CARRY.get(str(at[-1]), set())
    for text in ODD:
        made = planned(with_text(index, at, text))
        if made is None or carried is None:
            continue
        if made.problems:
            continue
        if carried and set(text) - set("abcdefghijklmnopqrstuvwxyz.,/-;") <= carried:
            continue
        sent = [show_value(value) for step in made.steps for value in step.parameters.values()]
        assert not [value for value in sent if text in value], f"{text!r} at {at}"
        named = [step.id for step in made.steps if text in step.id or text in step.node]
        assert not named, f"{text!r} at {at}"
