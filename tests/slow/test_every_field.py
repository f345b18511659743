"""Every field that a manifest may declare reaches the driver: at creation, and when it changes.

The rows of ``model/fields`` are walked, each with another value than in the full stack; what the simulated hosts
hold is compared. A field that is not tried is in a table with the reason.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster, Options, Plan, apply
from reconciler.model.fields.field import Field
from reconciler.model.kinds import DISK, MACHINE, SNAPSHOT
from reconciler.planner.plan import Action, NoteKind
from support.full_stack import SECRETS
from support.other_values import LEAVES, NO_OTHER, OTHER_SECRETS, VALUES, changed, full_documents
from support.scenario import desired_of, plan_of, served
from support.services import ANSWERING

EVERYTHING = frozenset({"interrupt", "restart", "recreate", "data"})

# Why nothing on the host follows from another value of a field.
NOTHING = {
    (kind, row.name): why
    for kind, row in LEAVES
    for name, why in {
        "stopMode": "how a machine is stopped, once it is",
        "deletionPolicy": "whether the plan deletes what is no longer described",
        "readiness": "who is asked after an interruption; a hypervisor knows nothing of it",
    }.items()
    if row.path[0] == name
}
NOTHING_AT_CREATION = {
    **NOTHING,
    (DISK, "cloudInit.userDataFrom"): "the simulator keeps no user data: it holds passwords",
    (DISK, "cloudInit.userData"): "the same",
    (MACHINE, "from.image"): "the operation has no parameter for it: it only says which operation creates the VM",
    (SNAPSHOT, "external"): "the mode of each disk says it; the parameter goes along",
}
NOTHING_AT_CHANGE = {
    **NOTHING,
    (MACHINE, "disks.*.boot"): "which disk is the first in bootOrder, where the plan shows it",
    (DISK, "fullCopy"): "how the content comes into a disk that is made",
    (MACHINE, "guest.user"): "whose password and keys are set when they change",
}

rows = pytest.mark.parametrize(("kind", "row"), LEAVES, ids=[f"{kind}.{row.name}" for kind, row in LEAVES])


@pytest.fixture(scope="module", autouse=True)
def _secrets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SECRETS, **OTHER_SECRETS}.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster with the full stack, applied in one run."""
    path = tmp_path_factory.mktemp("full") / "cluster.db"
    with served(path) as cluster:
        made = applied(cluster, desired_of(full_documents()))
        assert made.problems == ()
    return path


def applied(cluster: LocalCluster, desired: Any) -> Plan:
    """Apply once: every step ends well, and the next plan has none."""
    made = plan_of(cluster, desired, allow=EVERYTHING)
    options = Options(timeout=20, grace=1, parallel=1)  # always in the same order
    report = apply(made, cluster, options=options, prober=ANSWERING)
    assert report.ok, [(outcome.step.id, outcome.message) for outcome in report.outcomes if outcome.message]
    again = plan_of(cluster, desired, allow=EVERYTHING)
    assert [step.id for step in again.steps] == []
    return made


def hosts(path: Path) -> dict[str, Any]:
    """What the simulated hosts hold, without the key of digests, which is random."""
    with LocalCluster(path) as cluster:
        return {key: value for key, value in cluster.world().items() if key != "digest-key"}


def test_every_field_has_another_value_to_try() -> None:
    assert VALUES.keys() | NO_OTHER.keys() == {(kind, row.name) for kind, row in LEAVES}
    assert VALUES.keys().isdisjoint(NO_OTHER)
    assert (NOTHING_AT_CREATION | NOTHING_AT_CHANGE).keys() <= {(kind, row.name) for kind, row in LEAVES}


@rows
def test_what_is_declared_at_creation_reaches_the_driver(kind: str, row: Field, full: Path, tmp_path: Path) -> None:
    if (kind, row.name) in NO_OTHER:
        pytest.skip(NO_OTHER[kind, row.name])
    desired = changed(kind, row)
    assert desired is not None
    with served(tmp_path / "cluster.db") as cluster:
        made = applied(cluster, desired)
    if made.problems:
        return  # refused, with a message
    same = hosts(tmp_path / "cluster.db") == hosts(full)
    assert same == ((kind, row.name) in NOTHING_AT_CREATION)


@rows
def test_what_changes_reaches_the_driver_or_is_told(kind: str, row: Field, full: Path, tmp_path: Path) -> None:
    if (kind, row.name) in NO_OTHER:
        pytest.skip(NO_OTHER[kind, row.name])
    desired = changed(kind, row)
    assert desired is not None
    path = Path(shutil.copy(full, tmp_path / "cluster.db"))
    with served(path) as cluster:
        made = applied(cluster, desired)
    told = bool(made.problems) or any(note.kind is NoteKind.KEPT_IN_USE for note in made.notes)
    steps = [step for step in made.steps if step.action is not Action.MARK]
    if (kind, row.name) in NOTHING_AT_CHANGE:
        assert (steps, told) == ([], False)
        return
    assert steps or told
    assert told or hosts(path) != hosts(full)
