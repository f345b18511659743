"""Inputs that once led to an exception, a hang or a wrong result: each goes through everything again.

``make fuzz`` finds them; a small one of each kind is in ``tests/findings``, named by what was wrong with it.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests.loader import load_texts
from reconciler.model.problem import InvalidInput
from reconciler.model.resource import ResourceId
from reconciler.output.plan_json import from_json, to_json
from reconciler.planner import changes
from reconciler.planner.plan import Note, NoteKind, Plan
from support.paths import QUICKSTART, TESTS
from tools.fuzz import mutation, trial
from tools.fuzz.corpus import corpus
from tools.fuzz.mutation import make_input
from tools.fuzz.trial import SHOWN, Wrong, try_input

FINDINGS = sorted(file for file in (TESTS / "findings").iterdir() if file.suffix in (".yaml", ".json"))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # what a trial sets is gone after it


@pytest.mark.parametrize("file", FINDINGS, ids=lambda file: file.stem)
def test_what_was_once_found_is_mended(file: Path) -> None:
    name = SHOWN if file.name.startswith("cluster-") else file.name
    try_input(name, file.read_bytes().decode("utf-8", "surrogateescape"))


def test_a_saved_plan_whose_details_were_edited_is_refused_at_them() -> None:
    note = Note(ResourceId("VirtualMachine", "web-1"), NoteKind.EXPOSED, {})
    with pytest.raises(InvalidInput) as refused:
        from_json("plan.json", json.dumps(to_json_without_text(Plan("shop", notes=(note,)))))
    (problem,) = refused.value.problems
    assert (problem.path, problem.message) == ("notes[0].details", "the details are not those of its kind")


def to_json_without_text(plan: Plan) -> dict[str, Any]:
    """The plan as JSON, whose notes cannot be put into words."""
    notes = [{"resource": str(note.id), "kind": str(note.kind), "details": note.details} for note in plan.notes]
    return {**to_json(replace(plan, notes=())), "notes": notes}


def test_a_seed_is_an_input_and_another_one_another() -> None:
    known = corpus()
    assert make_input(known, "7:1") == make_input(known, "7:1")
    assert len({make_input(known, f"7:{number}") for number in range(20)}) == 20
    assert any(load_texts(dict([make_input(known, f"7:{number}")])).manifests for number in range(20))


def test_changed_plans_are_tried_some_refused_and_some_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "SAVED_PLANS", 1.0)
    inputs = [make_input(corpus(), f"7:{number}") for number in range(12)]
    assert {name for name, _ in inputs} == {"plan.json"}
    assert {try_input(name, text) for name, text in inputs} == {0, 1}
    text = next(text for name, text in inputs if try_input(name, text))
    monkeypatch.setattr(trial, "render", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        try_input("plan.json", text)


def test_what_is_wrong_with_a_plan_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The campaign would notice: a writer that raises, and a plan that is not read back as it was written."""
    text = (QUICKSTART / "quickstart.yaml").read_text()
    assert try_input("a.yaml", text) > 0
    monkeypatch.setattr(trial, "from_json", lambda name, text: Plan("another"))
    with pytest.raises(Wrong, match="saved and read"):
        try_input("a.yaml", text)
    monkeypatch.setattr(trial, "render", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        try_input("a.yaml", text)


def test_a_bug_that_a_barrier_keeps_from_the_others_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (QUICKSTART / "quickstart.yaml").read_text()
    assert try_input("a.yaml", text) > 0  # which also makes the cluster that inputs are planned against
    monkeypatch.setattr(changes, "_changes_of", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        try_input("a.yaml", text)


def test_an_input_that_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.001)
    with pytest.raises(trial.Slow):
        try_input("a.yaml", (QUICKSTART / "quickstart.yaml").read_text())
