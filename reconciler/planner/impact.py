"""The impact of changing a field: each field of a manifest, for a running guest and a stopped one. Pure.

Nothing is decided here: it follows from the rules and from the impact of the operations they send.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from reconciler import catalogue
from reconciler.catalogue.operation import Impact, Operation
from reconciler.model.kinds import DISK, MACHINE
from reconciler.planner.rules import CHANGE, DELETE, ChangeKind, Rule
from reconciler.planner.rules.rule import guest_runs

_NEVER = next(each.default for each in fields(Rule) if each.name == "next_start")
_WORDS = {ChangeKind.ADDED: "comes", ChangeKind.CHANGED: "changes", ChangeKind.REMOVED: "goes"}


@dataclass(frozen=True, slots=True)
class ImpactRow:
    """One field, the kind of change, the operation that makes it, and its impact."""

    kind: str
    field: str  # dotted, ``*`` for a part's identity; empty for the resource itself
    what: str  # comes, changes, goes
    operation: str
    running: Impact
    stopped: Impact
    milder: tuple[tuple[str, Impact], ...] = ()  # on a running guest, in some cases: words, impact
    waits: bool = False  # may be written for the next start of the guest, and then does nothing until then


def rows() -> Iterator[ImpactRow]:
    """The whole table, by kind and field, in the order of the rules."""
    for rule in CHANGE:
        operation = _operation(rule.kind, rule.operation)
        for field in rule.fields:
            what = " or ".join(_WORDS[each] for each in ChangeKind if each in rule.on)
            waits = rule.next_start is not _NEVER
            milder = tuple((each.words, each.impact) for each in rule.milder)
            running = operation.running
            if rule.next_start is guest_runs:
                running, milder = Impact.NONE, ()
            yield ImpactRow(rule.kind, field, what, rule.operation, running, operation.stopped, milder, waits)
    for row in DELETE:
        operation = _operation(row.kind, row.operation)
        # What machines share is deleted when none uses it any more.
        running = operation.running if row.kind in (MACHINE, DISK) else operation.stopped
        yield ImpactRow(row.kind, "", "goes", row.operation, running, operation.stopped)


def _operation(kind: str, name: str) -> Operation:
    """The operation of a rule; another kind may carry it."""
    named = [each for each in catalogue.OPERATIONS if each.name == name]
    return next((each for each in named if each.kind == kind), named[0])
