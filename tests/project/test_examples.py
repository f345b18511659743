"""Every example is brought about, stays as it is, and goes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import observe
from reconciler.planner.plan import NoteKind
from support.paths import EXAMPLES
from support.scenario import converge, desired_of, plan_of, served

EXAMPLES = sorted(path for path in EXAMPLES.iterdir())
ALL = frozenset({"interrupt", "restart", "recreate", "data"})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_converges_and_is_deleted_as_far_as_it_allows(example: Path) -> None:
    desired = desired_of(example)
    with served() as cluster:
        converge(cluster, desired, allow=ALL)
        assert not plan_of(cluster, desired, allow=ALL).steps
        converge(cluster, desired, allow=ALL, delete=True)
        again = plan_of(cluster, desired, allow=ALL, delete=True)
        assert not again.steps
        left = {id for id, observed in observe(cluster).resources.items() if observed.exists}
        assert left == {note.id for note in again.notes if note.kind in (NoteKind.KEPT_RETAINED, NoteKind.KEPT_IN_USE)}


def test_the_examples_are_a_quickstart_and_a_fleet() -> None:
    quickstart = desired_of(next(path for path in EXAMPLES if path.name == "quickstart"))
    assert {id.kind for id in quickstart.resources} == {
        "VirtualMachinePool",
        "VirtualMachineNetwork",
        "VirtualMachineDisk",
        "VirtualMachine",
    }
    fleet = desired_of(next(path for path in EXAMPLES if path.name == "fleet"))
    assert len(fleet.resources) >= 20
    assert len({declared.node for declared in fleet.resources.values()}) == 2
