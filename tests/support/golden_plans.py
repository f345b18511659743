"""The cases of ``tests/plans``: what is there before, what is declared, and the plan as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from reconciler import LocalCluster, Plan, Policy, plan
from reconciler.manifests.desired import Desired
from reconciler.model.resource import ResourceId, id_of
from reconciler.output.text import plan_text, problems_text
from reconciler.planner.plan import Step, show_value
from support.paths import TESTS
from support.scenario import converge, desired_of, served
from support.yaml_text import documents_in

NODES = {"node22": "10.0.0.22", "node23": "10.0.0.23"}


CASES = sorted(file.parent for file in (TESTS / "plans").glob("*/plan.txt"))


_STEP = re.compile(r"  [-+~=!] +(\S+) +\S+ +\S+ +(?:none|live|interrupt|restart|recreate|data) ")


def operations_of(case: Path) -> set[str]:
    """The operations in the plan of a case; ``problems`` stands for a plan that has any."""
    lines = (case / "plan.txt").read_text().splitlines()
    return {found[1] for line in lines if (found := _STEP.match(line))} | {line for line in lines if line == "problems"}


def covering(cases: list[Path]) -> list[Path]:
    """A small choice of the cases in which every operation occurs that occurs in any.

    For where a case is slow, and what is tried is the way there (another API, another process), not the plan:
    always the case next that brings most of what is missing.
    """
    missing, chosen = set[str]().union(*map(operations_of, cases)), []
    while missing:
        chosen.append(max(cases, key=lambda case: (len(operations_of(case) & missing), case.name)))
        missing -= operations_of(chosen[-1])
    return sorted(chosen)


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


def prepare(cluster: Any, case: Path) -> None:
    """Bring a cluster to where a case begins. What was deleted and is kept is deleted, where that cannot be written."""
    if (case / "given.yaml").exists():
        converge(cluster, desired_in(case / "given.yaml"), allow=frozenset({"interrupt", "restart"}))
    if (case / "wire.yaml").exists():
        for resource in documents_in((case / "wire.yaml").read_text()):
            created = cluster.create(resource)
            if resource["metadata"].keys() - created["metadata"].keys() >= {"deletionTimestamp"}:
                cluster.delete(id_of(created))


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


def golden_plan(name: str) -> Plan:
    (case,) = [case for case in CASES if case.name == name]
    with LocalCluster(":memory:") if (case / "wire.yaml").exists() else served(addresses=NODES) as cluster:
        prepare(cluster, case)
        return plan(desired_in(case / "desired.yaml"), cluster, policy_of(case))
