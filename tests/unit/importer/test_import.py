"""Manifests of what is on the cluster: each folder of ``imports`` is a sentence about what is written.

``wire.yaml`` holds resources as some agent left them, ``with.yaml`` what a person adds, ``options.yaml`` what
is chosen and for which stack. ``expected.yaml`` is what is written, ``said.txt`` what is said about it.
``pytest tests/unit/importer --update-plans`` writes both again.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import LocalCluster, load, observe, validate
from reconciler.importer import import_resources
from reconciler.importer.result import ImportResult
from reconciler.manifests.reader import SourceText, read_yaml
from reconciler.manifests.writer import write_files, yaml_text
from reconciler.model.kinds import KINDS, MACHINE
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observation
from reconciler.output.text import notes_text, problems_text
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Action, Plan
from support.command_line import run
from support.fleets import fleets
from support.paths import QUICKSTART
from support.scenario import converge, desired_of, plan_of, served
from support.wire_resources import DOMAIN, junk, machine, seen, volume
from support.wire_resources import resource as wire_resource
from support.yaml_text import documents_in

CASES = sorted(path for path in (Path(__file__).parent / "imports").iterdir() if path.is_dir())
slow = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def ids_of(observed: Observation, words: list[str]) -> list[ResourceId]:
    return [id for id in observed.resources if str(id) in words or id.kind in words]


@contextmanager
def wired(case: Path) -> Iterator[LocalCluster]:
    with LocalCluster(":memory:") as cluster:
        for resource in documents_in((case / "wire.yaml").read_text()):
            cluster.create(resource)
        yield cluster


def drafted(case: Path, cluster: LocalCluster) -> ImportResult:
    file, more = case / "options.yaml", case / "with.yaml"
    options: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    observed = observe(cluster)
    return import_resources(
        observed,
        ids_of(observed, options["what"]) if "what" in options else observed.resources,
        stack=options.get("stack", ""),
        named=ids_of(observed, options.get("named", [])),
        given={each.id: each.spec for each in load([more]).manifests} if more.exists() else {},
    )


def operations(plan: Plan) -> list[str]:
    return [f"{step.operation} {explain(step)}" for step in plan.steps if step.action is not Action.MARK]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_written_is_as_expected(case: Path, update_plans: bool) -> None:
    with wired(case) as cluster:
        made = drafted(case, cluster)
    found = {
        "expected.yaml": yaml_text(made.documents.values()),
        "said.txt": notes_text(made.notes) + problems_text(made.problems),
    }
    for name, text in found.items():
        if update_plans:
            (case / name).write_text(text)
        assert text == (case / name).read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan_of_what_is_written_has_no_operation(case: Path) -> None:
    """Not by the proof that import makes itself: by its files and the plan that people run."""
    text = (case / "expected.yaml").read_text()
    with wired(case) as cluster:
        desired = desired_of(text) if text else None
        owners = {observe(cluster).resources[id].stack or "default" for id in desired.resources} if desired else set()
        for owner in owners:
            stack = f"\n---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {{name: {owner}}}\n"
            made = plan_of(cluster, desired_of(text + stack), adopt=True)
            assert operations(made) == []
            assert [each for each in made.problems if "belongs to the stack" not in each.message] == []


# Properties ------------------------------------------------------------------------------------------------


def forgotten(cluster: LocalCluster) -> None:
    """Everything as if the SDK had made it: no label and no annotation of ours."""
    for kind in KINDS:
        for resource in cluster.list(kind).items:
            metadata = resource["metadata"]
            labels = (metadata.get("labels") or {}).items()
            metadata["labels"] = {name: value for name, value in labels if not name.startswith("gitops.doslab.io/")}
            metadata.pop("annotations", None)
            cluster.update(resource)


@slow
@given(fleets())
def test_a_fleet_that_was_applied_is_described_whole_and_its_plan_is_empty(fleet: list[dict[str, Any]]) -> None:
    with served() as cluster:
        converge(cluster, desired_of(fleet), allow=frozenset({"interrupt", "restart", "data"}))
        observed = observe(cluster)
        made = import_resources(observed, observed.resources)
        assert made.problems == []
        assert made.documents.keys() == observed.resources.keys()
        again = plan_of(cluster, desired_of(yaml_text(made.documents.values())))
        assert (again.steps, again.problems) == ((), ())


@slow
@given(fleets())
def test_what_nobody_remembers_is_described_or_its_unreadable_fields_are_named(fleet: list[dict[str, Any]]) -> None:
    with served() as cluster:
        converge(cluster, desired_of(fleet), allow=frozenset({"interrupt", "restart", "data"}))
        forgotten(cluster)
        observed = observe(cluster)
        made = import_resources(observed, observed.resources)
        left = {problem.origin.file for problem in made.problems}
        assert {str(id) for id in observed.resources} == {str(id) for id in made.documents} | left
        assert not left & {str(id) for id in made.documents}
        assert all(problem.path.startswith("spec") for problem in made.problems)
        desired = desired_of(yaml_text(made.documents.values()))
        assert operations(plan_of(cluster, desired, adopt=True)) == []
        # Taken over, it is ours to the last mark, and describing it once more says the same.
        converge(cluster, desired, adopt=True)
        assert plan_of(cluster, desired).steps == ()
        ours = observe(cluster)
        once_more = import_resources(ours, made.documents, stack="default")
        assert yaml_text(once_more.documents.values()) == yaml_text(made.documents.values())


@given(st.sampled_from(list(KINDS)), junk)
def test_a_damaged_resource_is_described_or_named_and_stops_no_other(kind: str, value: Any) -> None:
    observed = seen(wire_resource(kind, "odd-one", {KINDS[kind].exists: value}), volume())
    made = import_resources(observed, observed.resources)
    described = {id.name for id in made.documents}
    assert "disk01" in described
    assert ("odd-one" in described) != any(problem.origin.file.endswith("odd-one") for problem in made.problems)


WIRES = [
    resource for case in CASES for resource in documents_in((case / "wire.yaml").read_text()) if "spec" in resource
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Everything in a JSON value: what holds it, and the key."""
    found: list[tuple[Any, Any]] = []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found += [(value, key), *places(value[key])]
    return found


@settings(max_examples=300)
@given(st.data())
def test_whatever_is_damaged_nothing_is_raised_and_what_is_written_is_proved(data: st.DataObject) -> None:
    resources = copy.deepcopy(data.draw(st.lists(st.sampled_from(WIRES), min_size=1, max_size=4)))
    for resource in resources:
        for _ in range(data.draw(st.integers(0, 3))):
            if found := places(resource["spec"]):
                holder, key = data.draw(st.sampled_from(found))
                holder[key] = data.draw(junk)
    observed = seen(*resources)
    made = import_resources(observed, observed.resources)
    left = {problem.origin.file for problem in made.problems}
    assert {str(id) for id in observed.resources} == {str(id) for id in made.documents} | left
    if made.documents:
        desired = desired_of(yaml_text(made.documents.values()))
        assert desired.resources.keys() == made.documents.keys()


@given(st.dictionaries(st.sampled_from(["cpu", "memory", "disks", "nics", "bootOrder", "graphics", "nonsense"]), junk))
def test_whatever_is_given_nothing_is_raised(given: dict[str, Any]) -> None:
    observed = seen(machine(DOMAIN), volume())
    id = ResourceId(MACHINE, "vm01")
    made = import_resources(observed, observed.resources, given={id: {"osVariant": "win10", **given}})
    assert (id in made.documents) != any(problem.origin.file == str(id) for problem in made.problems)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "no",
        "0o17",
        "1e3",
        "52:54:00:12:34:56",
        "~",
        "",
        "null",
        "0x1f",
        "2001-01-01",
        "a: b",
        "line\nline\n",
        "=",
        "1_0",
    ]
)
values = st.recursive(
    st.booleans() | st.integers(-(10**12), 10**12) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), values, max_size=4))
def test_what_is_written_is_read_back_as_it_was(document: dict[str, Any]) -> None:
    assert list(read_yaml(SourceText("file", yaml_text([document, document])))) == [document, document]


# The command -----------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a cluster that holds the quickstart, owned by nobody."""
    with served(tmp_path / ".reconcile" / "cluster.db") as cluster:
        converge(cluster, validate(load([QUICKSTART])))
        forgotten(cluster)
    return tmp_path


GIVEN = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec: {nics: [{mac: "52:54:00:0a:00:02", type: l3bridge, network: web-net, ip: 192.168.5.9}]}
"""


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_import_adopt_and_an_empty_plan_byte_for_byte_again(home: Path) -> None:
    (home / "given.yaml").write_text(GIVEN)
    result = run(home, "import", "--out", "shop", "--with", "given.yaml", "--adopt", "--yes")
    assert result.code == 0, result.err
    assert result.out == ""
    assert "Wrote 5 resources to shop; the plan of it is empty." in result.err
    assert "Took over 5 resources into the stack shop." in result.err
    written = files(home / "shop")
    assert set(written) == {
        "reconcile.yaml",
        "virtualmachinedisks/web-1-data.yaml",
        "virtualmachinedisks/web-1-root.yaml",
        "virtualmachinenetworks/web-net.yaml",
        "virtualmachinepools/vmd-pool.yaml",
        "virtualmachines/web-1.yaml",
    }
    assert run(home, "--plan", "shop").out == "No changes. 5 resources are as declared.\n"
    again = run(home, "import", "--out", "shop", "--force")
    assert again.code == 0, again.err
    assert files(home / "shop") == written
    assert run(home, "import").out == "---\n".join(text for name, text in in_order(written))
    adopted = run(home, "import", "--out", "shop", "--force", "--adopt")
    assert "All of it belongs to the stack shop already." in adopted.err


def in_order(written: dict[str, str]) -> list[tuple[str, str]]:
    folders = [kind.plural for kind in KINDS.values()]
    found = [(name, text) for name, text in written.items() if "/" in name]
    return sorted(found, key=lambda each: (folders.index(each[0].split("/")[0]), each[0]))


def test_what_is_imported_stays_when_its_manifest_goes(home: Path) -> None:
    (home / "given.yaml").write_text(GIVEN)
    assert run(home, "import", "--out", "shop", "--with", "given.yaml", "--adopt", "--yes").code == 0
    kept = run(home, "delete", "--yes", "--allow", "data", "shop")
    assert kept.code == 0, kept.err
    assert kept.out.count("kept: deletionPolicy is Retain") == 5
    for folder in ("virtualmachines", "virtualmachinepools", "virtualmachinenetworks"):
        shutil.rmtree(home / "shop" / folder)
    pruned = run(home, "--yes", "--prune", "--allow", "interrupt,restart,recreate,data", "shop")
    assert pruned.code == 0, pruned.err
    assert len(run(home, "get").out.splitlines()) == 6


def test_nothing_is_owned_unless_told_and_the_plan_says_how(home: Path) -> None:
    before = run(home, "get", "-o", "json").out
    assert run(home, "import", "disk", "--out", "shop").code == 0
    assert run(home, "get", "-o", "json").out == before
    planned = run(home, "--plan", "shop")
    assert planned.code == 1
    assert "exists and belongs to no stack" in planned.err
    assert "Take it over with --adopt." in planned.err
    assert "(mark)" in run(home, "--plan", "--adopt", "shop").out


def test_what_cannot_be_read_is_named_and_the_rest_is_written(home: Path) -> None:
    result = run(home, "import")
    assert result.code == 1
    assert "kind: VirtualMachine\n" not in result.out
    assert result.out.count("apiVersion:") == 4
    assert "VirtualMachine/web-1: error: spec.nics[1].type: 52:54:00:0a:00:02: cannot be read back" in result.err
    assert "Left out 1 resource" in result.err
    told = json.loads(run(home, "import", "-o", "json").out)
    assert told["documents"][0]["kind"] == "VirtualMachinePool"
    assert [(each["resource"], each["path"]) for each in told["problems"]] == [
        ("VirtualMachine/web-1", "spec.nics[1].type")
    ]


def test_one_resource_comes_with_what_it_refers_to(home: Path) -> None:
    result = run(home, "import", "vmd/web-1-root")
    assert result.code == 0
    assert [each["metadata"]["name"] for each in documents_in(result.out)] == ["vmd-pool", "web-1-root"]
    assert "included: VirtualMachineDisk/web-1-root refers to it" in result.err


def test_without_a_terminal_nothing_is_taken_over(home: Path) -> None:
    result = run(home, "import", "pool", "--out", "shop", "--adopt")
    assert (result.code, "Add --yes" in result.err) == (1, True)
    assert "no stack" in run(home, "--plan", "shop").err
    as_json = json.loads(run(home, "import", "pool", "--stack", "shop", "--adopt", "-o", "json").out)
    assert as_json["error"]["kind"] == "NotConfirmed", "one document, though the manifests were written before"


def test_files_that_exist_are_overwritten_only_when_told(home: Path) -> None:
    assert run(home, "import", "pool", "--out", "shop").code == 0
    file = home / "shop" / "virtualmachinepools" / "vmd-pool.yaml"
    file.write_text(file.read_text() + "# mine\n")
    before = files(home / "shop")
    refused = run(home, "import", "pool", "disk", "--out", "shop")
    assert refused.code == 1
    assert "vmd-pool.yaml exists: nothing was written. Add --force to overwrite." in refused.err
    assert files(home / "shop") == before
    assert run(home, "import", "pool", "disk", "--out", "shop", "--force").code == 0
    assert "# mine" not in file.read_text()
    file.rename(home / "shop" / "pools.yaml")
    twice = run(home, "import", "pool", "--out", "shop")
    assert twice.code == 1
    assert "VirtualMachinePool/vmd-pool is described at shop/pools.yaml:4:" in twice.err


def test_the_stack_of_a_folder_is_the_one_it_says(home: Path) -> None:
    (home / "shop").mkdir()
    stack = "apiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: market}\n"
    (home / "shop" / "stack.yaml").write_text(stack)
    assert run(home, "import", "pool", "--out", "shop", "--adopt", "--yes").code == 0
    assert not (home / "shop" / "reconcile.yaml").exists()
    assert run(home, "--plan", "shop").out.startswith("No changes.")
    other = run(home, "import", "pool/vmd-pool", "--out", "other")
    assert (other.code, "belongs to the stack market" in other.err) == (1, True)
    assert not (home / "other").exists()


def test_a_file_that_cannot_be_written_leaves_none(home: Path) -> None:
    (home / "shop").mkdir()
    (home / "shop" / "virtualmachinedisks").write_text("in the way")
    result = run(home, "import", "pool", "disk", "--out", "shop")
    assert result.code == 1
    assert "cannot be written" in result.err
    assert files(home / "shop") == {"virtualmachinedisks": "in the way"}
    assert not (home / "shop" / "virtualmachinepools").exists()


def test_a_file_that_fails_midway_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("old")

    def full(old: str, new: str) -> None:
        raise OSError(28, "No space left on device", new)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_files(str(tmp_path), {"a.yaml": "new", "b/c.yaml": "new"})
    assert files(tmp_path) == {"a.yaml": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vmx",), "'vmx' is not a kind"),
        (("vm/web-9",), "there is no VirtualMachine/web-9. Did you mean web-1?"),
        (("--adopt",), "--adopt needs --out DIR or --stack NAME"),
        (("--stack", "No Name"), "'No Name' is not the name of a stack"),
        (("--with", "nowhere.yaml"), "nowhere.yaml: error: cannot be read"),
        (("--out", "given.yaml"), "given.yaml cannot be written: not a directory; nothing was written"),
        (("pool", "--out", "/dev/null/shop"), "/dev/null cannot be written: not a directory; nothing was written"),
        (("--with", "given.yaml", "--cluster", "empty.db"), "--with describes VirtualMachine/web-1, which is not on"),
    ],
)
def test_a_wrong_word_gives_one_clear_message(home: Path, words: tuple[str, ...], said: str) -> None:
    (home / "given.yaml").write_text(GIVEN)
    result = run(home, "import", *words)
    assert result.code == 1
    assert said in result.err
    assert not (home / "shop").exists()


def test_an_empty_cluster_has_nothing_to_import(tmp_path: Path) -> None:
    result = run(tmp_path, "import", "--out", "shop")
    assert (result.code, result.out, result.err) == (0, "", "Nothing to import.\n")
    assert list(tmp_path.iterdir()) == []
