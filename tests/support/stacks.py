"""Hypothesis strategies: random valid stacks with fields of every row and resources of every kind.

A stack is the full one, in which every field is declared, with other values of some fields and without others.
"""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from reconciler.model.fields.field import Field
from reconciler.model.kinds import MACHINE, SNAPSHOT
from support.other_values import LEAVES, NO_OTHER, VALUES, edited, full_documents

# What is declared so comes up in no run, and why; by kind and field.
NOT_DRAWN = {
    **NO_OTHER,
    ("VirtualMachinePool", "url"): "a snapshot names a file below it",
    ("VirtualMachinePool", "state"): "nothing is created in a pool that is stopped",
    ("VirtualMachineSnapshot", "virtualMachine"): "the disks in it are those of the machine",
    ("VirtualMachineSnapshot", "disks.*.file"): "it is below the disk that the machine has at the target",
}
# What comes up with any value, but not without one.
NOT_TAKEN_AWAY = {("VirtualMachine", "cdroms.*.path"): "a drive is made with a medium in it; the plan says so"}
DRAWN: tuple[tuple[str, Field], ...] = tuple((kind, row) for kind, row in LEAVES if (kind, row.name) not in NOT_DRAWN)


def _are_of_disks(stack: list[dict[str, Any]]) -> bool:
    """Whether each snapshot names disks that its machine has: where it was taken earlier, it need not."""
    specs = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in stack}
    return all(
        {disk["target"] for disk in spec["disks"]}
        <= {disk["target"] for disk in specs[MACHINE, spec["virtualMachine"]]["disks"]}
        for (kind, _), spec in specs.items()
        if kind == SNAPSHOT
    )


@st.composite
def stacks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A valid stack: the full one with up to eight edits, in any order of documents."""
    stack = full_documents()
    for kind, row in draw(st.lists(st.sampled_from(DRAWN), max_size=8, unique_by=lambda each: (each[0], each[1].name))):
        if row.name == "nodeName":
            stack[0]["spec"]["defaults"]["nodeName"] = "node23"
            continue
        absent = () if (kind, row.name) in NOT_TAKEN_AWAY else (None,)
        value = draw(st.sampled_from((*absent, *VALUES[kind, row.name])))
        stack = edited(stack, kind, row, value) or stack
    assume(_are_of_disks(stack))
    return draw(st.permutations(stack))
