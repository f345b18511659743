"""Text that others write on the cluster moves no cursor, hides nothing and begins no line, whatever shows it."""

from __future__ import annotations

import copy
import json
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reconciler.clusters.local import LocalCluster
from reconciler.model.invisible import is_invisible
from reconciler.model.kinds import KINDS
from reconciler.model.resource import Resource
from reconciler.output.formats import formats_of, render
from reconciler.planner import Policy
from reconciler.reconcile import plan
from support.command_line import COMMAND, Result, run
from support.paths import QUICKSTART, ROOT
from support.scenario import converge, desired_of, served

FORGED = "3 steps: 3 to create"
NAME = f"x\n{FORGED}\r\x1b[2J\x1b[31m\x9b8m\u202e\u2066\u200b\u200e\u061c\ufeff\u2028\x85\x7f\U000e0041[bold]"
EVIL = f"{NAME}\x00\ud800"  # neither can stand in a name that SQLite keeps
KEPT = frozenset({"apiVersion", "kind", "name", "namespace", "uid", "resourceVersion", "creationTimestamp"})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each text inside, but for what identifies a resource."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from leaves(each, (*path, key))
    if isinstance(value, str) and not ((path[:1] == ("metadata",) and path[-1] in KEPT) or path[-1] in KEPT - {"name"}):
        yield path


def with_evil(resource: Resource, path: tuple[Any, ...]) -> Resource:
    """A copy with something hostile at the end of one text."""
    changed = copy.deepcopy(resource)
    inside: Any = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] += EVIL
    return changed


def new(resource: Resource, name: str, namespace: str = "default") -> Resource:
    """The same under another name."""
    metadata = {**resource["metadata"], "name": name, "namespace": namespace}
    for assigned in ("uid", "resourceVersion", "creationTimestamp"):
        metadata.pop(assigned, None)
    return {**resource, "metadata": metadata}


def assert_harmless(text: str) -> None:
    raw = sorted({repr(each) for each in text if each != "\n" and is_invisible(each)})
    assert raw == []
    assert [line for line in text.split("\n") if line.startswith(FORGED)] == []


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose cluster has an applied stack, and a hostile relative of each resource for each text in it."""
    folder = tmp_path_factory.mktemp("hostile")
    assert run(folder, "--yes", QUICKSTART).code == 0
    with LocalCluster(folder / ".reconcile" / "cluster.db") as cluster:
        originals = [each for kind in (*KINDS, "Event") for each in cluster.list(kind).items]
        number = 0
        for resource in originals:
            for path in leaves(resource):
                number += 1
                cluster.create(new(with_evil(resource, path), f"h-{number}"))
            cluster.create(new(resource, f"{NAME}{number}"))
            cluster.create(new(resource, f"elsewhere-{number}", NAME))
        assert number > 100
        (machine,) = [each for each in originals if each["kind"] == "VirtualMachine"]
        cluster.create(new(machine, NAME))
        for kind in KINDS:
            cluster.create({"apiVersion": "doslab.io/v1", "kind": kind, "metadata": {"name": f"{kind}{NAME}"}})
            cluster.create(new({**machine, "kind": kind}, f"misfit-{kind}".lower()))
        for resource in originals:
            if resource["kind"] != "Event":
                resource["metadata"].setdefault("labels", {})["note"] = EVIL
                resource["metadata"].setdefault("annotations", {})[f"note{EVIL}"] = EVIL
                cluster.update(resource)
        for entry in cluster.records("quickstart"):
            words = leaves({key: each for key, each in entry.items() if key not in ("phase", "run")})
            for path in words:
                cluster.record("quickstart", with_evil(entry, path))
    return folder


@pytest.fixture
def folder(seeded: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to be written to."""
    return Path(shutil.copytree(seeded, tmp_path / "copy"))


def shown(folder: Path, *words: str | Path) -> Result:
    result = run(folder, *words)
    assert_harmless(result.out)
    assert_harmless(result.err)
    return result


READ = [
    (verb, row.name, words)
    for verb, words in (
        ("get", ("get",)),
        ("history", ("history", "--stack", "quickstart", "--limit", "500")),
        ("plan", ("plan", QUICKSTART)),
        ("plan", ("plan", "--prune", "--allow", "data,recreate,restart,interrupt", QUICKSTART)),
        ("plan --rehearse", ("plan", "--rehearse", "--prune", "--allow", "recreate", QUICKSTART)),
        ("delete", ("delete", "--plan", QUICKSTART)),
        ("describe", ("describe", "--history", "vm/web-1", QUICKSTART)),
        ("describe", ("describe", f"vm/{NAME}", QUICKSTART)),
        ("graph", ("graph", "--prune", QUICKSTART)),
        ("import", ("import",)),
        ("operations", ("operations", "PlugDisk")),
        ("explain", ("explain", "vm.memory")),
        ("validate", ("validate", QUICKSTART)),
    )
    for row in formats_of(verb)
]


@pytest.mark.parametrize(("verb", "format", "words"), READ)
def test_what_is_read_is_shown_harmlessly(seeded: Path, verb: str, format: str, words: tuple[str, ...]) -> None:
    flag = "--format" if verb == "graph" else "-o"
    result = shown(seeded, *words, flag, format)
    assert result.out
    if format == "json":
        json.loads(result.out)


WRITTEN = [
    ("delete", "--yes", "--timeout", "2", "--target", "vm/web-1", QUICKSTART),
    ("release", "--yes", "--stack", "quickstart"),
    ("stack", "rename", "--yes", "quickstart", "shop"),
    ("apply", "--yes", "--timeout", "2", "--target", "vm/web-1", QUICKSTART),
    ("import", "--out", "made"),
    ("get", f"vm/{NAME}9"),
    ("get", NAME),
    ("describe", f"vm/{NAME}9"),
    ("history", "--stack", NAME),
    ("history", NAME),
    ("explain", f"vm.{NAME}"),
    ("operations", NAME),
    ("plan", NAME),
    ("plan", "--allow", NAME, QUICKSTART),
    ("plan", "--out", f"nowhere/{NAME}", QUICKSTART),
    (f"--{NAME}",),
]


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize(
    "words", WRITTEN, ids=lambda words: " ".join(map(str, words))[:30].encode("unicode_escape").decode()
)
def test_what_is_done_is_told_harmlessly(folder: Path, words: tuple[str, ...], format: str) -> None:
    result = shown(folder, *words, *(("-o", "json") if format == "json" and words[:2] != ("import", "--out") else ()))
    assert result.out + result.err
    for path in (folder / "made").glob("**/*.yaml"):
        assert_harmless(path.read_text())


MANIFESTS = {
    "a name": f"{{kind: VirtualMachineDisk, metadata: {{name: {json.dumps(NAME)}}}, spec: {{pool: p, capacity: 1Gi}}}}",
    "a kind": f"{{kind: {json.dumps(NAME)}, metadata: {{name: a}}}}",
    "a key": f"{{kind: VirtualMachineDisk, metadata: {{name: a}}, spec: {{{json.dumps(NAME)}: 1}}}}",
    "a value": f"{{kind: VirtualMachineDisk, metadata: {{name: a}}, spec: {{pool: p, capacity: {json.dumps(NAME)}}}}}",
    "a label": f"{{kind: VirtualMachineDisk, metadata: {{name: a, labels: {{a: {json.dumps(NAME)}}}}}, spec: {{}}}}",
    "broken text": f"kind: [{NAME}",
}


@pytest.mark.parametrize("format", [row.name for row in formats_of("plan")])
@pytest.mark.parametrize("text", MANIFESTS.values(), ids=MANIFESTS)
def test_manifests_are_refused_harmlessly(tmp_path: Path, text: str, format: str) -> None:
    (tmp_path / f"{NAME[:40]}.yaml").write_text(text)
    assert shown(tmp_path, "plan", "-o", format, tmp_path).code == 1
    if format in ("text", "json"):
        assert shown(tmp_path, "validate", "-o", format, tmp_path).code == 1


def test_a_plan_is_shown_harmlessly_whatever_differs() -> None:
    """Each text of each resource of a stack in turn, in each format: what was there before is in the plan."""
    desired, policy = desired_of(QUICKSTART), Policy(allow=frozenset({"interrupt", "restart", "recreate", "data"}))
    with served() as cluster:
        converge(cluster, desired)
        made = [each for kind in KINDS for each in cluster.list(kind).items]
        shown = 0
        for resource in made:
            for path in leaves(resource):
                with closing(cluster.copy()) as other:
                    other.update(with_evil(resource, path))
                    found = plan(desired, other, policy)
                shown += found.steps != ()
                for row in formats_of("plan"):
                    assert_harmless(render(row.name, "plan", found))
        assert shown > 10


def test_the_question_on_a_terminal_follows_what_is_asked_and_nothing_forged(tmp_path: Path) -> None:
    assert run(tmp_path, "--yes", QUICKSTART).code == 0
    with LocalCluster(tmp_path / ".reconcile" / "cluster.db") as cluster:
        (network,) = cluster.list("VirtualMachineNetwork").items
        cluster.create(new(network, NAME))
    ours, theirs = pty.openpty()
    words = ["--prune", "--allow", "interrupt,recreate,data", str(QUICKSTART)]
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    printed = b""
    while b"[y/N]" not in printed:
        more = os.read(ours, 65536)
        assert more
        printed += more
    os.write(ours, b"n\n")
    assert process.wait(30) == 1
    os.close(ours)
    text = printed.decode().replace("\r\n", "\n")
    assert "DeleteSwitch" in text
    assert text.rpartition("\n")[2].startswith("Run 1 step? [y/N]")
    assert_harmless(re.sub(r"\x1b\[(31|33|0)m", "", text))
