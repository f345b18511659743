"""No text ends the process, or keeps it busy: what cannot be read is a problem with its place."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.manifests import json_reader, reader, schema, validator
from reconciler.manifests.loader import load_texts
from reconciler.manifests.reader import SourceText
from reconciler.manifests.validator import validate
from reconciler.model.kinds import KINDS
from reconciler.model.problem import InvalidInput, Problem

HEAD = "apiVersion: gitops.doslab.io/v1alpha1\nkind: %s\nmetadata: {name: web-1-root}\n"
DISK = HEAD % "VirtualMachineDisk" + "spec:\n  nodeName: node22\n  pool: vmd-pool\n  capacity: %s\n"
MACHINE = HEAD % "VirtualMachine" + "spec:\n  cpu: {count: %s}\n  memory: {size: 1Gi}\n"


def problems_of(text: str, name: str = "a.yaml") -> list[Problem]:
    try:
        validate(load_texts({name: text}))
    except InvalidInput as invalid:
        return list(invalid.problems)
    return []


def as_json(text: str) -> str:
    """A manifest of a disk as JSON, with the text of a value as it is."""
    disk = (
        '{"apiVersion": "gitops.doslab.io/v1alpha1", "kind": "VirtualMachineDisk", "metadata": {"name": "web-1-root"}'
    )
    return disk + ',\n"spec": {"nodeName": "node22", "pool": "vmd-pool", "capacity": ' + text + "}}"


@pytest.mark.parametrize("value", ["1e9", "1E+09", "1.5e3", "1e400", "-1e400", ".inf", ".nan", "20.0", "9" * 4400])
def test_a_size_that_is_no_whole_number_is_a_problem_at_its_place(value: str) -> None:
    (problem,) = problems_of(DISK % value)
    assert (problem.path, problem.origin.line, problem.origin.column) == ("spec.capacity", 7, 13)


@pytest.mark.parametrize("value", ["1e9", "1e400", "NaN", "-Infinity", "20.0", "9" * 4400])
def test_so_it_is_in_json(value: str) -> None:
    (problem,) = problems_of(as_json(value), "a.json")
    assert (problem.path, problem.origin.line) == ("spec.capacity", 2)


def test_a_large_number_of_helm_is_told_how_to_be_written() -> None:
    assert "Write the number out: 1000000000." in str(problems_of(DISK % "1e+09"))
    assert "Write the number out: 2." in str(problems_of(MACHINE % "2.0"))
    assert "1e+09 is not allowed" in str(problems_of(DISK % "1e+09"))


@pytest.mark.parametrize("value", ["9" * 4400, "0x" + "f" * 90])
def test_a_size_beside_another_problem_is_one_as_well(value: str) -> None:
    paths = {problem.path for problem in problems_of(DISK % f"'{value}'\n  colour: red")}
    assert {"spec.capacity", "spec.colour"} <= paths


@pytest.mark.parametrize("spec", ["", "spec:", "spec: {}", "spec: []", "spec: 1"])
@pytest.mark.parametrize("kind", [*KINDS, "Operation"])
def test_an_empty_spec_is_a_problem(kind: str, spec: str) -> None:
    assert all(problem.origin.line for problem in problems_of(HEAD % kind + spec))
    assert problems_of(HEAD % kind + spec)


AFTER_ANOTHER = {
    "a mapping as a key": ("a.yaml", "? {a: 1}\n: 2\n", "a key must be text"),
    "a list as a key": ("a.yaml", "a:\n  ? [1]\n  : 2\n", "a key must be text"),
    "a mapping as a key in flow": ("a.yaml", "{a: {{b: 1}: 2}}\n", "a key must be text"),
    "a list as a key in flow": ("a.yaml", "{[1]: 2}\n", "a key must be text"),
    "deep mappings": ("a.yaml", "{a: " * 900 + "1" + "}" * 900, "nested deeper than 64"),
    "deep lists": ("a.yaml", "[" * 900 + "]" * 900, "nested deeper than 64"),
    "deep blocks": ("a.yaml", "- " * 900 + "1\n", "nested deeper than 64"),
    "aliases": ("a.yaml", "a: &a [1]\n" + "b: &b [*a, *a]\nc: *d\n", "*d has no anchor"),
    "lists in json": ("a.json", "[" * 100_000, "nested deeper than 64"),
    "mappings in json": ("a.json", '{"a":' * 50_000, "nested deeper than 64"),
    "a mapping as a key in json": ("a.json", "{{}: 2}", "not JSON"),
    "half a character in json": ("a.json", '{"a": "\\ud83d"}', "half of a surrogate pair"),
    "a key twice in json": ("a.json", '{"a": 1, "a": 2}', "duplicate key 'a'"),
}


@pytest.mark.parametrize(("name", "text", "message"), AFTER_ANOTHER.values(), ids=AFTER_ANOTHER)
def test_what_cannot_be_read_after_another_problem_is_the_second(name: str, text: str, message: str) -> None:
    """The place of the first problem is found by reading again, within the limits of the first reading."""
    other = "kind: x\n---\n" if name == "a.yaml" else '{"kind": "x"}\n'
    found = problems_of(other + text, name)
    assert message in str([each.message for each in found])
    assert all(each.origin.line for each in found)


def test_json_documents_have_places_each_its_own() -> None:
    text = '{"a": [1, {"b\\u0041": 2}],\n "c": {}}\n{"d": "\\ud83d\\ude00"}'
    source = SourceText("a.json", text)
    assert list(json_reader.read_json(source)) == [{"a": [1, {"bA": 2}], "c": {}}, {"d": "😀"}]
    places = {
        (0, ("a", 1, "bA")): (1, 23),
        (0, ("c",)): (2, 7),
        (0, ("c", "missing")): (2, 7),
        (1, ("d",)): (3, 7),
    }
    found = {place: source.locate(*place) for place in places}
    assert {place: (origin.line, origin.column) for place, origin in found.items()} == places


LINEAR: dict[str, tuple[str, Callable[[int], str]]] = {
    "a duplicate after many keys": ("a.json", lambda n: json.dumps(dict.fromkeys(map(str, range(n))))[:-1] + ',"0":1}'),
    "duplicates only": ("a.json", lambda n: "{" + ",".join(f'"{i}":1' for i in [*range(n), *range(n)]) + "}"),
    "quotes that never end": ("a.json", lambda n: '["' + '\\"' * n),
    "quotes only": ("a.json", lambda n: '"' * n),
    "brackets that never end": ("a.json", lambda n: '{"a":[' + "[]," * n),
    "unknown fields": (
        "a.yaml",
        lambda n: HEAD % "VirtualMachine" + "spec:\n" + "".join(f"  f{i}: 1\n" for i in range(n)),
    ),
    "disks": (
        "a.yaml",
        lambda n: MACHINE % 1 + "  disks:\n" + "".join(f"  - {{target: vda, disk: disk-{i}}}\n" for i in range(n)),
    ),
    "nics": (
        "a.yaml",
        lambda n: (
            MACHINE % 1
            + "  disks: []\n  nics:\n"
            + "".join(
                f'  - {{mac: "52:54:00:00:{i >> 8 & 255:02x}:{i & 255:02x}", type: l3bridge, source: br-int, '
                f"network: net-{i}, ip: 10.0.0.1, floatingIP: {{address: 10.1.0.1/24, externalNetwork: out}}}}\n"
                for i in range(n)
            )
        ),
    ),
    "addresses": (
        "a.yaml",
        lambda n: HEAD % "VirtualMachineNetwork" + "spec:\n  addresses:\n" + "  - {a: 1}\n" * n,
    ),
    "documents": ("a.yaml", lambda n: "---\nkind: x\n" * n),
}


@pytest.mark.parametrize(("name", "text"), LINEAR.values(), ids=LINEAR)
def test_time_grows_as_the_text_does(name: str, text: Callable[[int], str]) -> None:
    """Four times the text takes about four times as long, and not sixteen."""

    def seconds(count: int) -> float:
        written = text(count)
        began = time.process_time()
        problems_of(written, name)
        return time.process_time() - began

    seconds(10)  # what is imported and compiled once
    small = max(0.02, min(seconds(1500), seconds(1500)))
    assert min(seconds(6000), seconds(6000)) < 10 * small


def test_a_text_of_too_many_values_is_refused_where_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_VALUES", 100)
    monkeypatch.setattr(json_reader, "MAX_VALUES", 100)
    for name in ("a.yaml", "a.json"):
        (problem,) = problems_of("[\n" + "1,\n" * 150 + "1]", name)
        assert (problem.message, problem.origin.line) == ("more than 100 values", 101)


def patterns_of(value: Any) -> Iterator[str]:
    """The regular expressions in a schema, those for names of fields as well."""
    if isinstance(value, dict):
        yield from (each for each in (value.get("pattern"),) if isinstance(each, str))
        yield from value.get("patternProperties", {}) if isinstance(value.get("patternProperties"), dict) else ()
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from patterns_of(each)


@pytest.mark.parametrize("kind", [*KINDS, "Operation", "Stack", "plan"])
def test_no_pattern_takes_longer_than_a_text_is(kind: str) -> None:
    """An expression that tries each way to divide a text takes minutes for one that is no longer than a page."""
    units = [*"a0.-_:/, A\n=%f", "a-", "a.", "0.", "a:", "0:", "1,", "1-", "a/", "../", "..", "--", "a b", "0x", "\\"]
    texts = [start + unit * (4000 // len(unit)) + "!\n!" for unit in units for start in ("", "a", "0", "/", "a:")]
    for pattern in {*patterns_of(schema.schema(kind)), *patterns_of(schema._for_machines(schema.schema(kind), kind))}:
        search = re.compile(pattern).search
        for text in texts:
            began = time.process_time()
            search(text)
            assert time.process_time() - began < 0.05, (pattern, text[:12])


def test_no_more_problems_of_a_manifest_are_listed_than_anybody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validator, "MAX_FINDINGS", 20)
    found = problems_of(DISK % "20Gi" + "".join(f"  f{number}: 1\n" for number in range(100)))
    assert len(found) == 21
    assert any("more than 20 problems" in problem.message for problem in found)
