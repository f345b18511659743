"""Golden plans: each folder of ``tests/plans`` is a sentence about what a plan does.

``given.yaml`` is brought about on the simulator first, ``wire.yaml`` holds resources as another agent left
them; ``desired.yaml`` is planned under ``policy.yaml``; ``plan.txt`` is the plan as people see it, and the
parameters as they go on the wire. ``pytest tests/test_plans.py --update-plans`` writes the plans anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import LocalCluster, Plan, Policy, apply, plan
from reconciler.catalogue import OPERATIONS
from reconciler.manifests.validation import Desired
from reconciler.model.resource import ResourceId
from reconciler.output.plan_json import from_json, to_json
from reconciler.output.text import plan_text, problems_text
from reconciler.planner.plan import Step, show_value
from support.scenario import OPTIONS, converge, desired_of, served

NODES = {"node22": "10.0.0.22", "node23": "10.0.0.23"}
CASES = sorted(path for path in (Path(__file__).parent / "plans").iterdir() if path.is_dir())


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of the cases are in files named from the root of the repository."""
    monkeypatch.chdir(Path(__file__).parent.parent)


def policy_of(case: Path) -> Policy:
    file = case / "policy.yaml"
    given: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    targets = frozenset(ResourceId(*text.split("/")) for text in given.pop("targets", ()))
    return Policy(allow=frozenset(given.pop("allow", ())), targets=targets, **given)


def desired_in(file: Path) -> Desired:
    """The manifests of one file, as the stack ``shop`` unless it has one itself."""
    if "kind: Stack" in file.read_text():
        return desired_of(file.read_text())
    stack = "\n---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: shop}\n"
    return desired_of(file.read_text() + stack)


def prepare(cluster: LocalCluster, case: Path) -> None:
    if (case / "given.yaml").exists():
        converge(cluster, desired_in(case / "given.yaml"), allow=frozenset({"restart"}))
    if (case / "wire.yaml").exists():
        for resource in yaml.safe_load_all((case / "wire.yaml").read_text()):
            cluster.create(resource)


def wire(value: Any) -> Any:
    return value if isinstance(value, bool) else show_value(value)


def parameters(step: Step) -> str:
    sent = json.dumps({name: wire(value) for name, value in step.parameters.items()})
    carrier = f" on {step.carrier}" if step.carrier != step.resource else ""
    return f"  {step.operation} {step.resource}{carrier} {sent}\n"


def golden(made: Plan) -> str:
    text = plan_text(made)
    if made.problems:
        text += "\nproblems\n" + problems_text(made.problems)
    if made.steps:
        text += "\nparameters\n" + "".join(parameters(step) for step in made.steps)
    return text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan_is_as_written(case: Path, update_plans: bool) -> None:
    # No agent where the wire is given: it would carry out what is under way there.
    with LocalCluster(":memory:") if (case / "wire.yaml").exists() else served(addresses=NODES) as cluster:
        prepare(cluster, case)
        made = plan(desired_in(case / "desired.yaml"), cluster, policy_of(case))
        found, file = golden(made), case / "plan.txt"
        if update_plans:
            file.write_text(found)
        assert found == file.read_text()
        assert from_json("plan.json", json.dumps(to_json(made))).steps == made.steps, "a saved plan is the plan"


@pytest.mark.parametrize("case", [case for case in CASES if not (case / "wire.yaml").exists()], ids=lambda c: c.name)
def test_what_is_left_after_its_apply_is_what_was_held(case: Path) -> None:
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        made = plan(desired, cluster, policy)
        report = apply(made, cluster, options=OPTIONS)
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        again = plan(desired, cluster, policy)
        assert [step.id for step in again.steps] == [step.id for step in made.held]


# Operations that no plan issues: another one does the same, in a way that works on both back ends.
STAND_INS = {"InsertISO": "ManageISO", "EjectISO": "ManageISO", "BatchDeprecatedACL": "DeprecatedACL"}


def test_every_operation_has_a_case() -> None:
    shown = {
        line.split()[1]
        for case in CASES
        for line in (case / "plan.txt").read_text().splitlines()
        if line[2:3] in "+~-!" and line.startswith("  ")
    }
    assert set(STAND_INS.values()) <= shown
    assert [operation.name for operation in OPERATIONS if operation.name not in shown | set(STAND_INS)] == []
