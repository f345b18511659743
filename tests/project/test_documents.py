"""What is made of the catalogue is up to date, says what the catalogue checks, and names what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.catalogue import OPERATIONS, Operation, Parameter, check, document, find
from reconciler.catalogue.operation import Impact
from reconciler.cli import cli
from reconciler.manifests import schema as manifests
from reconciler.manifests.loader import load
from reconciler.manifests.request import request_of
from reconciler.planner import impact
from reconciler.planner.rules import CHANGE, CREATE, DELETE
from support.paths import ROOT
from tools import generate

BY_NAME = {operation.name: operation for operation in OPERATIONS}
RULES = (*CREATE, *CHANGE, *DELETE)

every_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda operation: f"{operation.section}-{operation.name}"
)
on_request = pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if not operation.fields],
    ids=lambda operation: f"{operation.section}-{operation.name}",
)


# Files ----------------------------------------------------------------------------------------------------


def test_generated_files_are_up_to_date() -> None:
    assert generate.differing(ROOT) == [], "run 'make generate'"


def test_every_operation_has_its_schema_file() -> None:
    files = list((ROOT / "schemas" / "operations").rglob("*.schema.json"))
    assert len(files) == len(OPERATIONS)
    for file in files:
        kind, name = file.parent.name, file.name.removesuffix(".schema.json")
        Draft202012Validator.check_schema(json.loads(file.read_text()))
        assert json.loads(file.read_text())["$id"] == f"operations/{kind}/{name}.schema.json"
        assert find(kind, name)


def test_generating_makes_the_same_files_from_nothing_and_then_no_more(tmp_path: Path) -> None:
    assert len(generate.write(tmp_path)) == len(OPERATIONS) + 8  # the pages, the schemas with limits, the definitions
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert made == sorted(generate.files())
    assert all((tmp_path / path).read_bytes() == (ROOT / path).read_bytes() for path in made)
    assert generate.write(tmp_path) == []


def test_what_is_stale_is_named_and_put_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate.write(tmp_path)
    assert generate.main(["--check"], tmp_path) == 0
    operations = tmp_path / "schemas" / "operations"
    (operations / "VirtualMachine" / "StartVM.schema.json").write_text("{}")
    (operations / "VirtualMachine" / "StopVM.schema.json").unlink()
    (operations / "Gone").mkdir()
    (operations / "Gone" / "FlyVM.schema.json").write_text("{}")
    beside = tmp_path / "schemas" / "VirtualMachine.schema.json"
    beside.write_text("{}")
    capsys.readouterr()
    assert generate.main(["--check"], tmp_path) == 1
    said = capsys.readouterr().err
    assert "make generate" in said
    for name in ("Gone/FlyVM", "VirtualMachine/StartVM", "VirtualMachine/StopVM"):
        assert f"schemas/operations/{name}.schema.json" in said
    assert (operations / "Gone").exists(), "a check writes nothing"
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    assert not (operations / "Gone").exists()
    assert beside.exists()


def test_the_check_runs_with_the_others() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert "python -m tools.generate --check" in recipe


# Schemas --------------------------------------------------------------------------------------------------


@cache
def validator(operation: Operation) -> Draft202012Validator:
    return Draft202012Validator(document.schema(operation))


# What no schema can see, by operation: a call with it, and what ``check`` says of it, which is all it may say
# where a schema takes a call that it refuses.
TOPOLOGY = ({"vcpus": "2,maxvcpus=4,cores=1,sockets=1,threads=1"}, "vcpus: ")
BEYOND: dict[str, tuple[dict[str, Any], str]] = {
    "CreateAndStartVMFromISO": TOPOLOGY,
    "CreateAndStartVMFromImage": TOPOLOGY,
    "ChangeNumberOfCPU": (
        {"maximum": True, "count": "5", "cores": "2", "sockets": "1", "threads": "1"},
        "count must be cores",
    ),
    "CreateSwitch": ({"excludeIPs": "192.168.5.300"}, "(excludeIPs|dnsServer): .* is not an IP address"),
    "ModifySwitch": ({"dnsServer": '"{1.1.1.1,8.8.8}"'}, "dnsServer: .* is not an IP address"),
    "CreateAddress": ({"address": "10.0.0.1,10.0.0"}, "address: .* is not an IP address"),
    "ModifyAddress": ({"address": "10.0.0.1,10.0.0"}, "address: .* is not an IP address"),
    **dict.fromkeys(
        ("AddACL", "ModifyACL", "SetQoS", "ModifyQoS"), ({"rule": "'ip4 tcp'"}, "rule is no match of OVN: ")
    ),
}


def agree(operation: Operation, call: dict[str, Any]) -> None:
    """The schema takes a call that ``check`` takes, and refuses one that it refuses, as far as it can."""
    problems = check(operation, call)
    accepted = validator(operation).is_valid(call)
    if accepted and problems and operation.name in BEYOND:
        _, message = BEYOND[operation.name]
        assert all(re.match(message, problem) for problem in problems), problems
    else:
        assert accepted == (not problems), (call, problems)


@every_operation
def test_the_example_of_an_operation_may_be_sent(operation: Operation) -> None:
    call = document.call(operation)
    assert check(operation, call) == []
    assert validator(operation).is_valid(call)
    assert document.schema(operation)["examples"] == [call]


@every_operation
def test_a_schema_knows_one_parameter_too_few_or_too_many(operation: Operation) -> None:
    call = document.call(operation)
    assert not validator(operation).is_valid(call | {"surprise": "1"})
    for name in (row.name for row in operation.parameters if row.required):
        assert not validator(operation).is_valid({key: value for key, value in call.items() if key != name})


@every_operation
def test_a_schema_refuses_each_pair_that_excludes_each_other(operation: Operation) -> None:
    rows = {row.name: row for row in operation.parameters}
    for one, other in document.exclusions(operation):
        both = document.call(operation) | {one: sample(rows[one]), other: sample(rows[other])}
        assert check(operation, both)
        agree(operation, both)


@every_operation
def test_a_schema_tells_what_a_row_says(operation: Operation) -> None:
    properties = document.schema(operation)["properties"]
    assert list(properties) == [row.name for row in operation.parameters]
    for row in operation.parameters:
        made = properties[row.name]
        assert made["type"] == row.type
        assert made["description"].startswith(row.doc)
        assert made.get("writeOnly", False) is row.secret
        assert not row.unit or f"Unit: {row.unit}." in made["description"]
        if pattern := made.get("pattern"):
            assert pattern.startswith("^(?:")
            # Nothing that only Python knows, nor an escape that ECMA-262 refuses in its strict mode.
            assert not re.search(r"\\[AZz]|\(\?[a-zA-Z#<]|\(\?P", pattern)
            assert set(re.findall(r"\\(.)", pattern)) <= set("^$.*+?()[]{}|/\\sSnrtfv"), pattern


@pytest.mark.parametrize("bounds", [(0, 0), (0, 9), (1, 9), (1, 100), (10, 9999), (0, 4094), (0, 65535), (123, 4567)])
def test_a_range_admits_exactly_its_numbers(bounds: tuple[int, int]) -> None:
    pattern = re.compile(document.between(*bounds))
    for number in range(max(bounds[1] * 2, 100)):
        assert bool(pattern.fullmatch(str(number))) == (bounds[0] <= number <= bounds[1]), number
    assert not any(pattern.fullmatch(text) for text in ("", "01", "-1", "1.0", " 1", "٣"))


@given(st.data(), st.integers(0, 10**10), st.integers(0, 10**10))
def test_a_range_of_any_bounds_admits_exactly_its_numbers(data: st.DataObject, one: int, other: int) -> None:
    low, high = sorted((one, other))
    number = data.draw(st.one_of(st.integers(0, 10**11), st.sampled_from([low, high, high + 1, max(low - 1, 0)])))
    assert bool(re.fullmatch(document.between(low, high), str(number))) == (low <= number <= high)


def sample(row: Parameter) -> str | bool:
    return True if row.type == "boolean" else row.example


def values(row: Parameter) -> st.SearchStrategy[Any]:
    """Right values of a parameter, nearly right ones and wrong ones."""
    odd: list[Any] = [True, False, None, 1, "", "true", "True", "0", "01", ".", "..", "/..", "a" * 5000, [], {}]
    odd += list(row.enum)
    if row.minimum is not None and row.maximum is not None:
        odd += [str(each) for each in (row.minimum - 1, row.minimum, row.maximum, row.maximum + 1)]
    if row.example:
        ends = ("\n", "/..", "/.", "/../a", " --x", ",", "x", "$", "é", "\x00", "\x85", "\u2028", ",switch=a", "9")
        odd += [row.example + end for end in ends]
        odd += [f"{end}{row.example}" for end in ends]
        odd += [row.example[:-1], row.example.upper(), row.example + ",1.2.3.4", row.example * 40]
    return st.one_of(st.just(sample(row)), st.sampled_from(odd), st.text(max_size=6), touched(row.example))


@st.composite
def touched(draw: st.DrawFn, text: str) -> str:
    """A text with one character put in or taken out."""
    place = draw(st.integers(0, len(text)))
    return text[:place] + draw(st.sampled_from(["", *".:/-,=' \n;$aZ09"])) + text[place + draw(st.integers(0, 1)) :]


@st.composite
def calls(draw: st.DrawFn, operation: Operation) -> dict[str, Any]:
    """A right call, with some optional parameters, and then a few things changed."""
    call: dict[str, Any] = dict(document.call(operation))
    rows = {row.name: row for row in operation.parameters}
    names = st.sampled_from(sorted(rows)) if rows else st.nothing()
    if rows:
        for name in draw(st.lists(names, max_size=4, unique=True)):
            call.setdefault(name, sample(rows[name]))
        for name in draw(st.lists(names, max_size=2)):
            call[name] = draw(values(rows[name]))
        for name in draw(st.lists(names, max_size=1)):
            call.pop(name, None)
        for one, other in document.exclusions(operation)[: draw(st.integers(0, 1))]:
            call |= {one: sample(rows[one]), other: sample(rows[other])}
    for name in draw(st.lists(st.sampled_from(["surprise", "Name", "force ", ""]), max_size=1)):
        call[name] = "1"
    return call


@every_operation
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_schema_and_check_agree(operation: Operation, data: st.DataObject) -> None:
    agree(operation, data.draw(calls(operation)))


def test_what_a_schema_cannot_say_is_listed_and_said() -> None:
    assert {name for _, name in document.BEYOND} == set(BEYOND)
    for (kind, name), said in document.BEYOND.items():
        operation = find(kind, name)
        more, message = BEYOND[name]
        call = document.call(operation) | more
        assert [re.match(message, problem) is not None for problem in check(operation, call)] == [True]
        assert validator(operation).is_valid(call), "a schema can say it: take it off the list"
        assert said in document.schema(operation)["$comment"]
        assert said in document.parameter_relations(operation)


@pytest.mark.parametrize(
    ("name", "more", "good"),
    [
        ("CreateSwitch", {"subnet": "fd00::/64"}, False),
        ("CreateSwitch", {"subnet": "fd00::/64", "ipv6": "False"}, False),
        ("CreateSwitch", {"subnet": "fd00::/64", "ipv6": "True"}, True),
        ("CreateSwitch", {"ipv6": "true"}, False),
        ("CreateSwitch", {"ipv6": "False"}, True),
        ("CleanVMBackup", {"version": "v20261122,v1"}, False),
        ("CleanVMBackup", {"version": "v1,v20261122"}, False),
        ("CleanVMBackup", {"version": "v20261122,a.-bcd"}, False),
        ("CleanVMBackup", {"version": "v" * 101}, False),
        ("CleanVMBackup", {"version": "v" * 100 + ",v.20-26"}, True),
        ("ManageISO", {"insert": False}, False),
        ("ManageISO", {"insert": False, "update": True}, True),
        ("PlugNIC", {"type": "bridge"}, False),
        ("PlugNIC", {"type": "bridge", "source": "source=virbr0"}, True),
        ("CreatePool", {"type": "nfs"}, False),
        ("CreatePool", {"type": "nfs", "opt": "nolock"}, True),
        ("CreatePool", {"opt": "nolock"}, False),
        ("BackupVM", {"remote": "10.0.0.1", "port": "21", "username": "ftpuser"}, False),
        ("ChangeNumberOfCPU", {"maximum": True}, False),
        ("ChangeNumberOfCPU", {"maximum": False}, True),
    ],
)
def test_what_parameters_mean_for_each_other_is_in_the_schema(name: str, more: dict[str, Any], good: bool) -> None:
    operation = BY_NAME[name]
    call = document.call(operation) | more
    assert validator(operation).is_valid(call) is good
    assert (check(operation, call) == []) is good


ENGINE = """
const rows = JSON.parse(require("fs").readFileSync(0, "utf8"))
console.log(JSON.stringify(rows.map(([schema, texts]) => {
  const pattern = new RegExp(schema.pattern, "u")
  const never = schema.not && new RegExp(schema.not.pattern, "u")
  return texts.map((text) => {
    const length = [...text].length
    return pattern.test(text) && !(never && never.test(text)) &&
      length >= (schema.minLength ?? 0) && length <= (schema.maxLength ?? Infinity)
  })
})))
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no engine of ECMA-262 here: node")
def test_patterns_mean_the_same_to_ecma_262() -> None:
    """Editors read a schema's patterns as ECMA-262, in its strict mode; the tests above do so as Python."""
    found: dict[str, tuple[dict[str, Any], list[str]]] = {}
    ends = ("", "\n", "\u2028", "/..", "/.", ",", " ", "$", "é", "\x85", "\x0b", "9", "a" * 5000, "\U0001f600")
    for operation in OPERATIONS:
        for name, made in document.schema(operation)["properties"].items():
            if "pattern" in made:
                (example,) = made["examples"]
                texts = [
                    *(example + end for end in ends),
                    *(end + example for end in ends),
                    example[:-1],
                    "",
                    ".",
                    "..",
                ]
                found[f"{operation.section} {name}"] = (made, texts)
    run = subprocess.run(
        ["node", "-e", ENGINE], input=json.dumps(list(found.values())), capture_output=True, text=True, check=True
    )
    for (name, (made, texts)), taken in zip(found.items(), json.loads(run.stdout), strict=True):
        python = Draft202012Validator(made)
        assert taken == [python.is_valid(text) for text in texts], name
        assert taken[0], name
        assert not all(taken), name


# Fields and rules -----------------------------------------------------------------------------------------


def test_every_rule_sends_an_operation_there_is() -> None:
    assert {row.operation for row in RULES} <= set(BY_NAME)


def test_stand_ins_are_there_and_only_where_no_rule_is() -> None:
    sent = generate.rule_operations()
    for name, other in generate.STAND_INS.items():
        assert name not in sent
        assert other in sent
        assert BY_NAME[name].fields == BY_NAME[other].fields


@every_operation
def test_an_operation_that_fields_move_is_sent_by_a_rule_and_no_other(operation: Operation) -> None:
    moved = operation.name in generate.rule_operations() or operation.name in generate.STAND_INS
    assert moved == bool(operation.fields)


@every_operation
def test_a_row_names_fields_of_the_manifest(operation: Operation) -> None:
    for dotted in document.field_paths(operation):
        kind, _, field = dotted.partition(".")
        if field != "metadata":
            assert field_exists(kind, field.split(".")), dotted


@every_operation
def test_a_row_names_fields_that_a_rule_of_theirs_moves(operation: Operation) -> None:
    name = generate.STAND_INS.get(operation.name, operation.name)
    made = {row.kind for row in (*CREATE, *DELETE) if row.operation == name}
    moved = {f"{row.kind}.{each.replace('.*', '')}" for row in CHANGE if row.operation == name for each in row.fields}
    for dotted in document.field_paths(operation):
        kind = dotted.partition(".")[0]
        assert kind in made or any(each == dotted or each.startswith(f"{dotted}.") for each in moved), dotted


def field_exists(kind: str, path: list[str]) -> bool:
    root = manifests.schema(kind)
    fragment: dict[str, Any] = root["properties"]["spec"]
    for part in path:
        while "$ref" in fragment or "items" in fragment:
            fragment = root["$defs"][fragment["$ref"].rpartition("/")[2]] if "$ref" in fragment else fragment["items"]
        if part not in fragment.get("properties", {}):
            return False
        fragment = fragment["properties"][part]
    return True


# Pages ----------------------------------------------------------------------------------------------------


def test_every_operation_is_on_the_reference_page_once_and_linked() -> None:
    page = document.reference(OPERATIONS)
    for operation in OPERATIONS:
        anchor = document.anchor(operation)
        assert page.count(f'<a id="{anchor}"></a>\n### {operation.name}\n') == 1
        assert page.count(f"[{operation.name}](#{anchor})") == 1
    places = set(re.findall(r"\((\.\./schemas/[^)]+)\)", page))
    assert len(places) == len(OPERATIONS)
    assert all((ROOT / "docs" / place).is_file() for place in places)


@pytest.mark.parametrize("name", ["operations.md", "coverage.md", "fields.md", "command-line.md"])
def test_a_table_has_as_many_cells_in_each_line_as_in_its_head(name: str) -> None:
    width = 0
    for line in (ROOT / "docs" / "reference" / name).read_text().splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not width or not cells or cells == width, line
        width = cells


def test_the_totals_of_the_coverage_are_those_of_its_table() -> None:
    page = (ROOT / "docs" / "reference" / "coverage.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| VirtualMachine")]
    assert len(rows) == len(OPERATIONS)
    for column, back_end in enumerate(generate.BACK_ENDS, start=5):
        count = {state: sum(row[column] == state for row in rows) for state in ("yes", "caveat", "no")}
        assert sum(count.values()) == len(OPERATIONS)
        assert f"| {back_end} | {count['yes']} | {count['caveat']} | {count['no']} |" in page
    requested = sum(row[2] == "on request" for row in rows)
    assert f"{requested} run on request" in page
    assert f"A manifest field leads to {len(OPERATIONS) - requested}," in page
    assert f"{sum(row[3] != 'no' for row in rows)} are sent by a rule" in page


def test_the_coverage_names_the_tables_that_send_an_operation() -> None:
    assert [generate.rules_of(BY_NAME[name]) for name in ("CreatePool", "StopPool", "StopVM", "RebootVM")] == [
        ["create"],
        ["change", "delete"],
        ["change", "delete"],
        [],
    ]
    names = [operation.name for operation in OPERATIONS]
    # A rule is found by its operation's name, so a name that two kinds have must not be in a rule.
    assert all(names.count(row.operation) == 1 for row in RULES)


# The command ----------------------------------------------------------------------------------------------


def said(*words: str) -> str:
    result = CliRunner().invoke(cli, ["operations", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_says_all_of_an_operation() -> None:
    text = said("TuneDiskQoS")
    assert re.search(r"total_bytes_sec +string +bytes/s +0 to 1000000000000000 ", text)
    assert "total_bytes_sec: 0 to 9999999999 bytes/s for uni-virt (API document)." in text
    assert re.search(r"device +string +required +like vdb ", text)
    assert "total_bytes_sec and read_bytes_sec exclude each other." in text
    assert "Fields:    VirtualMachine.disks.qos" in text
    assert "Example:" not in text, "fields move it"
    assert "remote, port, username and password are given together or not at all." in said("BackupVM")
    assert "maximum needs cores, sockets and threads." in said("ChangeNumberOfCPU")
    assert re.search(r"type +string +required +from, to ", said("AddACL"))
    assert re.search(r"password +string +required +secret ", said("SetGuestPassword"))
    assert "correct-horse" not in said("SetGuestPassword")
    assert "Fields:    VirtualMachine.nics.vlan" in said("BindPortVlan")


def test_the_command_says_all_of_it_to_machines_too() -> None:
    (operation,) = json.loads(said("TuneDiskQoS", "--output", "json"))
    rows = {row["name"]: row for row in operation["parameters"]}
    total = rows["total_bytes_sec"]
    assert (total["minimum"], total["maximum"], total["unit"]) == (0, 10**15, "bytes/s")
    assert total["limits"] == [
        {
            "source": "API document",
            "agents": ["uni-virt"],
            "accepts": "0 to 9999999999 bytes/s",
            "required": False,
        }
    ]
    assert total["excludes"] == ["read_bytes_sec", "write_bytes_sec"]
    assert operation["example"] is None
    assert operation["call"] == {"device": "vdb"}
    (backup,) = json.loads(said("BackupVM", "--output", "json"))
    rows = {row["name"]: row for row in backup["parameters"]}
    assert rows["password"]["secret"]
    assert rows["remote"]["needs"] == ["port", "username", "password"]
    assert backup["onRequest"]
    assert backup["example"]["spec"]["operation"] == "BackupVM"
    assert len(json.loads(said("--output", "json"))) == len(OPERATIONS)


@on_request
def test_the_example_document_is_taken_as_it_stands(operation: Operation, tmp_path: Path) -> None:
    # One name may be on two kinds: each has its own example.
    texts = re.findall(r"^  Example:\n((?:    .*\n)+)", said(operation.name), re.MULTILINE)
    taken = []
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}.yaml"
        file.write_text("\n".join(line[4:] for line in text.splitlines()) + "\n")
        loaded = load([file])
        assert loaded.problems == []
        (manifest,) = loaded.manifests
        assert list(manifests.explain_errors("Operation", manifest.document)) == []
        request, findings = request_of(manifest)
        assert findings == []
        assert request is not None
        taken.append((request.target.kind, request.operation))
    assert (operation.kind, operation) in taken


def test_the_table_of_impacts_has_every_rule_and_what_plans_say() -> None:
    """A step of a golden plan does to its guest what the table says of its operation."""
    table = list(impact.rows())
    assert {(row.kind, row.operation) for row in table} == {(row.kind, row.operation) for row in (*CHANGE, *DELETE)}
    said = {
        (row.operation, str(each))
        for row in table
        for each in (row.running, *(impact for _, impact in row.milder), row.stopped, "none")
    }
    told = 0
    for plan in (ROOT / "tests" / "plans").glob("*/plan.txt"):
        for line in plan.read_text().splitlines():
            if match := re.match(rf"  [~-]  (\w+) .*?  ({'|'.join(Impact)})(?: \(held\))?  ", line):
                told += 1
                as_a_part = match[2] == "restart" and "  restart for " in line  # of what a restart does
                assert as_a_part or match.groups() in said, line
    assert told > 100
