"""Desired and observed -> changes of fields. Pure.

Only declared fields are compared: what the platform fills in is never a difference. Parts with an identity
(disks by target, NICs by mac) are compared as sets; anything else is compared as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from reconciler.model.fields import NOT_COMPARED_NAMES, FieldNode, node_at, tree
from reconciler.model.path import ShapePath, overlap
from reconciler.model.quantity import ApproximateBytes
from reconciler.model.resource import NodeName
from reconciler.model.secret import Secret
from reconciler.model.shape import Shape, overlaid
from reconciler.observe.observed import Observed
from reconciler.planner.removal import removed_fields, with_resets


class Change(NamedTuple):
    """One field that differs. None stands for absent; a part that is added or removed is one change as a whole."""

    path: ShapePath
    observed: Any
    desired: Any


def diff(kind: str, desired: Shape, observed: Shape) -> list[Change]:
    """The changes that turn the observed shape into the desired one, in the order of declaration."""
    changes: list[Change] = []
    _compare_fields(tree(kind), (), desired, observed, changes)
    return changes


def live_diff(kind: str, desired: Shape, observed: Observed) -> list[Change]:
    """The changes of a resource. What waits for the next start of its guest counts as set.

    What was applied and is no longer declared is taken back where that can be done.
    """
    return diff(kind, _to_be(kind, desired, observed), overlaid(observed.shape, observed.pending))


def persistent_diff(kind: str, desired: Shape, observed: Observed) -> list[Change]:
    """The changes that a running guest needs in its persistent configuration only.

    The guest has it as declared, and would lose it at its next start: somebody changed the one and not the other.
    """
    if observed.persistent is None or observed.persistent is observed.shape:
        return []
    then = diff(kind, _to_be(kind, desired, observed), observed.persistent)
    return lost_at_start(live_diff(kind, desired, observed), then)


def lost_at_start(now: Iterable[Change], then: Iterable[Change]) -> list[Change]:
    """Of the changes of the persistent configuration, those that the live one does not need."""
    live = [change.path for change in now]
    return [change for change in then if not any(overlap(change.path, path) for path in live)]


def _to_be(kind: str, desired: Shape, observed: Observed) -> Shape:
    """The desired shape, with what takes back what was applied and is no longer declared."""
    return with_resets(desired, removed_fields(kind, desired, observed.applied))


def _compare(node: FieldNode, path: ShapePath, desired: Any, observed: Any, changes: list[Change]) -> None:
    """Compare one field; ``node`` is that of ``path``. Found changes are appended to ``changes``."""
    if desired == observed or not node.compared:
        return
    if isinstance(desired, dict) and (isinstance(observed, dict) or node.is_parts or node.unreadable):
        # Never shown and not known to have been applied: each field of it is unknown.
        found = observed if isinstance(observed, dict) else {}
        compare = _compare_parts if node.is_parts else _compare_fields
        compare(node, path, desired, found, changes)
    elif not equivalent(desired, observed):
        changes.append(Change(path, observed, desired))


def _compare_fields(node: FieldNode, path: ShapePath, desired: Shape, observed: Shape, changes: list[Change]) -> None:
    for name in desired:
        _compare(node.get(name), (*path, name), desired[name], observed.get(name), changes)
    if not node.taken_back:
        return
    for name in observed:
        if name in node.taken_back and name not in desired:
            if (below := node.get(name)).is_parts:
                _compare_parts(below, (*path, name), {}, observed[name], changes)
            else:
                changes.append(Change((*path, name), observed[name], None))


def _compare_parts(node: FieldNode, path: ShapePath, desired: Shape, observed: Shape, changes: list[Change]) -> None:
    for key in observed:
        if key not in desired:
            changes += _part_changes(node.get(key), (*path, key), observed[key], None)
    for key, part in desired.items():
        if key in observed:
            _compare(node.get(key), (*path, key), part, observed[key], changes)
        else:
            changes += _part_changes(node.get(key), (*path, key), None, part)


def part_changes(kind: str, path: ShapePath, observed: Any, desired: Any) -> list[Change]:
    """The change of a part that is added, removed or replaced, and those of the parts in it."""
    return _part_changes(node_at(kind, path), path, observed, desired)


def _part_changes(node: FieldNode, path: ShapePath, observed: Any, desired: Any) -> list[Change]:
    changes = [Change(path, observed, desired)]
    for name in dict.fromkeys((*(observed or ()), *(desired or ()))):
        if (below := node.get(name)).is_parts:
            old, new = (observed or {}).get(name) or {}, (desired or {}).get(name) or {}
            for key in dict.fromkeys((*old, *new)):
                changes += _part_changes(below.get(key), (*path, name, key), old.get(key), new.get(key))
    return changes


def equivalent(desired: Any, observed: Any) -> bool:
    """Whether two values are equal. Rounded capacities, secrets and names of nodes are unless known to differ."""
    if isinstance(desired, Secret):
        return observed is not None and desired.digest in ("", observed)
    if isinstance(observed, ApproximateBytes) and isinstance(desired, int):
        return observed.may_be(desired)
    if isinstance(observed, NodeName) and isinstance(desired, str):
        return desired.lower() == observed.lower()
    return bool(desired == observed)


def reached(written: Any, now: Any) -> bool:
    """Whether what was written is there; of a part, what was written of it."""
    if isinstance(written, dict) and isinstance(now, dict):
        return all(reached(each, now.get(name)) for name, each in written.items() if name not in NOT_COMPARED_NAMES)
    return equivalent(written, now)
