"""What a step relies on: fields as they were observed when it was planned, looked at again when it starts. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from reconciler.model.path import values_at
from reconciler.model.resource import ResourceId
from reconciler.model.shape import overlaid
from reconciler.model.wire import NEXT_START
from reconciler.observe.observed import Observed
from reconciler.planner.diff import Change, equivalent
from reconciler.planner.explanation import describe
from reconciler.planner.plan import Expectation

STACK = ("stack",)  # stands where a path of the shape does: the stack that owns the resource


def value_at(observed: Observed | None, path: tuple[str, ...]) -> Any:
    """What a resource shows there, or has waiting for its next start; None if nothing. Existence at the empty path."""
    if not path:
        return observed is not None and observed.exists
    if observed is None:
        return None
    if path == STACK:
        return observed.stack
    shape, path = observed.at(path)
    return next((value for _, value in values_at(overlaid(shape, observed.pending), path)), None)


def moved(relies: Iterable[Expectation], look: Callable[[ResourceId], Observed | None]) -> list[str]:
    """What is not any longer as the step relies on, in words; nothing if all of it is.

    ``look`` gives a resource as it is now.
    """
    told = []
    for each in relies:
        now = value_at(look(each.id), each.path)
        if now != each.value and not equivalent(each.value, now):
            told.append(_told(each, now))
    return told


def _told(planned: Expectation, now: Any) -> str:
    if not planned.path:
        return f"{planned.id} {'exists by now' if now else 'is gone'}"
    if planned.path == STACK:
        return f"{planned.id} belongs to {_owner(now)}, not to {_owner(planned.value)}"
    next_start = planned.path[0] == NEXT_START
    moves = Change(planned.path[next_start:], planned.value, now if now is not None else "")
    return f"{planned.id}: {describe(planned.id.kind, moves)}{' at its next start' if next_start else ''}"


def _owner(stack: Any) -> str:
    return f"the stack {stack}" if stack else "no stack"


def digest(relies: Iterable[Expectation]) -> str:
    """The same for the same fields and values."""
    content = [[str(each.id), list(each.path), each.value] for each in relies]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
