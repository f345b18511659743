"""``reconcile operations``: the catalogue as people and machines read it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from reconciler.catalogue import OPERATIONS, Operation, check, find
from reconciler.cli import cli
from reconciler.model.problem import InvalidInput
from reconciler.output.operations import operations_json, operations_text, select

every_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda operation: f"{operation.section}-{operation.name}"
)


def text_of(operation: Operation) -> str:
    return operations_text(select(f"{operation.kind}/{operation.name}"))


def json_of(operation: Operation) -> dict[str, Any]:
    (row,) = operations_json(select(f"{operation.kind}/{operation.name}"))
    return row


@every_operation
def test_the_text_has_everything_of_the_row(operation: Operation) -> None:
    text = text_of(operation)
    assert text.startswith(f"{operation.name} ({operation.kind}, section {operation.section})\n  {operation.doc}")
    assert re.findall(r"^  Needs:     (.*)$", text, re.MULTILINE) == list(operation.needs)
    assert f"\n  Result:    {operation.leaves}\n" in text
    assert f"\n  Impact:    {operation.running} on a running guest, {operation.stopped} on a stopped one\n" in text
    assert f"\n  uni-virt:  {operation.univirt or 'yes'}\n" in text
    assert ("Deprecated by the API." in text) is operation.deprecated
    assert ("\n  Example:\n" in text) == ("it runs on request" in text) == (not operation.fields)
    assert ("Takes no parameters" in text) == (not operation.parameters)
    for row in operation.parameters:
        (line,) = re.findall(rf"^    {row.name} +.*$", text.partition("  Combinations:")[0], re.MULTILINE)
        assert line.endswith(row.doc)
        assert (" required " in line) is row.required
        if row.unit:
            assert f" {row.unit} " in line
        if row.minimum is not None:
            assert f" {row.minimum} to {row.maximum} " in line
        if row.type == "string":
            assert ", ".join(map(str, row.enum)) in line
        for other in row.excludes:
            assert f"{row.name} and {other} exclude" in text or f"{other} and {row.name} exclude" in text
        if row.secret and row.example:
            assert row.example not in text


@every_operation
def test_the_columns_of_the_parameters_are_aligned(operation: Operation) -> None:
    lines = [line for line in text_of(operation).partition("  Parameters:\n")[2].splitlines() if line[:4] == "    "]
    for line, row in zip(lines[1:], operation.parameters, strict=False):
        assert line[lines[0].index("DESCRIPTION") :] == row.doc


@every_operation
def test_the_json_has_everything_of_the_row(operation: Operation) -> None:
    row = json_of(operation)
    assert (row["kind"], row["name"], row["key"], row["section"], row["verb"]) == (
        operation.kind,
        operation.name,
        operation.key,
        operation.section,
        operation.verb,
    )
    assert (row["doc"], row["leaves"], row["univirt"]) == (operation.doc, operation.leaves, operation.univirt)
    assert (row["needs"], row["fields"]) == (list(operation.needs), list(operation.fields))
    assert row["impact"] == {"running": operation.running, "stopped": operation.stopped}
    assert (row["onRequest"], row["deprecated"]) == (not operation.fields, operation.deprecated)
    assert row["univirtState"] in ("yes", "caveat", "no")
    assert [each["name"] for each in row["parameters"]] == [each.name for each in operation.parameters]
    for said, parameter in zip(row["parameters"], operation.parameters, strict=True):
        for name in ("type", "required", "secret", "minimum", "maximum", "doc"):
            assert said[name] == getattr(parameter, name)
        assert said["unit"] == parameter.unit
        assert tuple(said["excludes"]) == parameter.excludes
        assert tuple(said["needs"]) == parameter.needs
        assert tuple(said["enum"] or ()) == parameter.enum
        assert (said["pattern"] or "") == parameter.pattern
    assert check(operation, row["call"]) == []
    assert Draft202012Validator(row["schema"]).is_valid(row["call"])
    assert json.loads(json.dumps(row)) == row


def invoke(*words: str) -> Result:
    return CliRunner().invoke(cli, ["operations", *words])


def test_without_a_name_all_are_listed() -> None:
    lines = invoke().output.splitlines()
    assert lines[0].split() == ["KIND", "OPERATION", "IMPACT", "DRIVERS", "FIELDS", "DESCRIPTION"]
    assert [tuple(line.split()[:2]) for line in lines[1:]] == [(each.kind, each.name) for each in OPERATIONS]
    listed = json.loads(invoke("--output", "json").output)
    assert [(each["kind"], each["name"]) for each in listed] == [(each.kind, each.name) for each in OPERATIONS]


def test_it_says_which_drivers_carry_an_operation_out_and_why_others_do_not() -> None:
    assert "\n  simulator: yes\n  libvirt:   no: backups are not implemented\n" in invoke("BackupVM").output
    caveat = "NICs of type l3bridge are ports of OVN, which this driver alone does not serve"
    assert f"\n  libvirt:   caveat: {caveat}\n" in invoke("PlugNIC").output
    (row,) = json.loads(invoke("BackupVM", "-o", "json").output)
    assert row["drivers"] == {
        "simulator": {"state": "yes", "reason": ""},
        "libvirt": {"state": "no", "reason": "backups are not implemented"},
    }
    listed = {line.split()[1]: line for line in invoke().output.splitlines()}
    assert " simulator, libvirt " in listed["StartVM"]
    assert " simulator  " in listed["BackupVM"]
    assert "libvirt" not in listed["BackupVM"]


def test_a_name_that_two_kinds_have_gives_both_and_the_kind_chooses() -> None:
    assert len(json.loads(invoke("DeleteVMBackup", "-o", "json").output)) == 2
    (row,) = json.loads(invoke("pool/DeleteVMBackup", "-o", "json").output)
    assert (row["kind"], row["section"]) == ("VirtualMachinePool", "7.11")
    assert operations_text(select("VM/deletevmbackup")) == text_of(find("VirtualMachine", "DeleteVMBackup"))


@pytest.mark.parametrize(
    ("word", "said", "remedy"),
    [
        ("PlugDsk", "there is no operation PlugDsk", "Did you mean PlugDisk"),
        ("plugnik", "there is no operation plugnik", "Did you mean PlugNIC"),
        ("disk/PlugDisk", "there is no operation disk/PlugDisk", "Did you mean CloneDisk"),
        ("xyzzy", "there is no operation xyzzy", "'reconcile operations' lists them."),
        ("vmx/PlugDisk", "'vmx' is not a kind", "Kinds: VirtualMachinePool"),
    ],
)
def test_an_unknown_name_gives_the_nearest(word: str, said: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        select(word)
    (problem,) = raised.value.problems
    assert said in str(problem)
    assert remedy in str(problem)
