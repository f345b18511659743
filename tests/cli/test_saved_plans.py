"""Saved plans as files that others may touch: sealed when they are saved, refused when they are not what was saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.clusters.local import LocalCluster
from support.command_line import run
from support.paths import QUICKSTART

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a saved plan, and the cluster that it was made for."""
    assert run(tmp_path, "--plan", QUICKSTART, "--out", "plan.json").code == 0
    return tmp_path


def read(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "plan.json").read_text()))


def write(folder: Path, plan: dict[str, Any]) -> None:
    (folder / "plan.json").write_text(json.dumps(plan))


def refusal(folder: Path, *words: str) -> str:
    """What ``apply`` says as it refuses the plan, before it shows it; nothing is run."""
    result = run(folder, "apply", "--yes", "plan.json", *words)
    assert result.code == 1
    assert result.out == ""
    assert run(folder, "get").out == "Nothing on the cluster.\n"
    return result.err


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each text, number and truth value inside."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from paths(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from paths(each, (*path, index))
    elif value is not None:
        yield path


def test_every_value_of_the_file_is_sealed(folder: Path) -> None:
    """All of them, also those that no step relies on, and those that only people read."""
    from reconciler.output.plan_seal import fingerprint

    plan = read(folder)
    of_all = fingerprint(plan)
    seen = 0
    for *into, last in paths(plan):
        if into or last != "seal":
            changed = json.loads(json.dumps(plan))
            inside: Any = changed
            for key in into:
                inside = inside[key]
            inside[last] = f"{inside[last]} "
            assert fingerprint(changed) != of_all, (*into, last)
            seen += 1
    assert seen > 200


CHANGES: dict[str, Change] = {
    "a parameter": lambda plan: plan["steps"][0]["parameters"].update(url="/var/lib/libvirt/other"),
    "a released hold": lambda plan: plan["steps"][0].update(heldBy="restart"),
    "an inserted step": lambda plan: plan["steps"].append({**plan["steps"][-1], "id": "another"}),
    "a step that is gone": lambda plan: plan["steps"].pop(),
    "an order": lambda plan: plan["steps"].reverse(),
    "a sentence that people read": lambda plan: plan["steps"][0].update(text="does nothing"),
    "a wave": lambda plan: plan["steps"][0].update(wave=7),
    "a node's address": lambda plan: plan["nodes"].update(node22="10.0.0.66"),
    "a total": lambda plan: plan["totals"].update(held=9),
    "the stack": lambda plan: plan.update(stack="other"),
    "another seal": lambda plan: plan.update(seal="0" * 64),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_plan_that_was_changed_is_refused(folder: Path, change: Change) -> None:
    plan = read(folder)
    change(plan)
    write(folder, plan)
    message = refusal(folder)
    assert message.startswith("plan.json: error: was changed since it was made: its seal is not that of what it says")
    assert "Make it again with --plan --out FILE." in message


def test_a_plan_that_is_written_otherwise_says_the_same(folder: Path) -> None:
    plan = read(folder)
    (folder / "plan.json").write_text(json.dumps(plan, sort_keys=True, indent=7))
    assert run(folder, "apply", "--yes", "plan.json").code == 0


def test_a_plan_runs_on_no_other_cluster(folder: Path) -> None:
    message = refusal(folder, "--cluster", "other.db")
    assert message.startswith("plan.json: error: was made for another cluster, .reconcile/cluster.db (")
    assert "not for other.db (" in message
    assert not (folder / "other.db").exists()
    LocalCluster(folder / "other.db").close()
    assert "was made for another cluster" in refusal(folder, "--cluster", "other.db")


def test_a_plan_runs_on_no_other_cluster_in_the_place_of_its_own(folder: Path) -> None:
    shutil.rmtree(folder / ".reconcile")
    assert "was made for another cluster" in refusal(folder)


def test_a_plan_runs_on_its_cluster_by_another_name(folder: Path) -> None:
    (folder / ".reconcile" / "cluster.db").rename(folder / "moved.db")
    assert run(folder, "apply", "--yes", "plan.json", "--cluster", "moved.db").code == 0


@pytest.mark.parametrize("missing", [("seal",), ("identity",), ("seal", "identity")])
def test_a_plan_without_a_seal_is_shown_and_not_run(folder: Path, missing: tuple[str, ...]) -> None:
    plan = read(folder)
    for name in missing:
        del plan[name]
    write(folder, plan)
    assert "plan.json: error: is not sealed, so it may have been changed by anybody" in refusal(folder)
    for verb in ("plan", "graph"):
        shown = run(folder, verb, "plan.json")
        assert shown.code == 0
        assert ("warning: plan.json is not sealed" in shown.err) is ("seal" in missing)


def test_what_is_printed_is_not_sealed_and_what_is_saved_is(folder: Path) -> None:
    assert {"seal", "identity"} & json.loads(run(folder, "--plan", "-o", "json", QUICKSTART).out).keys() == set()
    assert {"seal", "identity"} <= read(folder).keys()
    run(folder, "plan", "--rehearse", "--out", "plan.json", QUICKSTART)
    assert run(folder, "apply", "--yes", "plan.json").code == 0


def test_a_saved_plan_that_is_saved_again_keeps_its_seal(folder: Path) -> None:
    assert run(folder, "plan", "plan.json", "--out", "copy.json").err.startswith("Saved to copy.json; run it with")
    assert (folder / "copy.json").read_text() == (folder / "plan.json").read_text()


def test_who_may_not_read_the_key_saves_a_plan_without_a_seal(capsys: pytest.CaptureFixture[str]) -> None:
    from reconciler.cli.saved_plan import seal
    from reconciler.clusters.composed import WrappedCluster
    from reconciler.model.problem import Forbidden
    from reconciler.planner.plan import Plan

    class Guarded(WrappedCluster):
        def digest_key(self) -> bytes:
            raise Forbidden("secrets are not yours to read")

    with LocalCluster(":memory:") as under:
        assert seal(Plan("shop"), under).seal
        assert seal(Plan("shop"), Guarded(under)) == Plan("shop")
    assert "will refuse it: secrets are not yours to read. Who may read" in capsys.readouterr().err
