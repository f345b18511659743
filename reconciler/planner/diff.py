"""Desired and observed -> what differs, field by field. Pure.

Only declared fields are compared: what the platform fills in is never a difference. Parts with an identity
(disks by target, NICs by mac) are compared as sets; anything else is compared as it stands.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from reconciler.model import quantity
from reconciler.model.kinds import MACHINE, NETWORK, matches, parts_at
from reconciler.model.secret import Secret
from reconciler.model.shape import Shape, overlaid
from reconciler.observe.observed import ApproximateBytes, Observed, unreadable

# Declared for the planner's sake; nothing on the cluster answers to them.
NOT_COMPARED = frozenset({"deletionPolicy", "updatePolicy", "fullCopy", "boot", "stopMode", "user", "osType"})


class Change(NamedTuple):
    """One field that differs. None stands for absent; a part with an identity moves whole when it comes or goes."""

    path: tuple[str, ...]
    observed: Any
    desired: Any


# Fields that nobody else sets: when they are declared no longer, what they asked for is taken back.
TAKEN_BACK: dict[str, tuple[tuple[str, ...], ...]] = {
    MACHINE: (
        ("nics", "*", "acls"),
        ("nics", "*", "qosRules"),
        ("nics", "*", "floatingIP"),
        ("nics", "*", "vlan"),
        ("graphics", "passwordFrom"),
        ("devices",),
        ("passthrough",),
    ),
    NETWORK: (("bridge", "vlan"),),
}
_TAKEN_BACK_NAMES = {pattern[-1] for patterns in TAKEN_BACK.values() for pattern in patterns}


def diff(kind: str, desired: Shape, observed: Shape) -> list[Change]:
    """What would have to move for the observed shape to be as desired, in the order of declaration."""
    moves: list[Change] = []
    _compare_fields(kind, (), desired, observed, moves)
    return moves


def differences(kind: str, desired: Shape, observed: Observed) -> list[Change]:
    """What would have to move on a resource, what waits for the next start of its guest being counted as set."""
    return diff(kind, desired, overlaid(observed.shape, observed.pending))


def undone(kind: str, desired: Shape, observed: Observed) -> list[Change]:
    """What would have to move in the definition of a running guest's next start, and in nothing else.

    The guest has it as declared, and would lose it: somebody changed the one and not the other.
    """
    if observed.later is None or observed.later is observed.shape:
        return []
    now = [move.path for move in differences(kind, desired, observed)]
    return [move for move in diff(kind, desired, observed.later) if not any(_along(move.path, path) for path in now)]


def _along(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one path leads to the other."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _compare(kind: str, path: tuple[str, ...], desired: Any, observed: Any, moves: list[Change]) -> None:
    if desired == observed or path[-1] in NOT_COMPARED:
        return
    if isinstance(desired, dict) and (isinstance(observed, dict) or _is_parts(kind, path) or unreadable(kind, path)):
        # Never shown and not known to have been applied: each field of it is unknown.
        seen = observed if isinstance(observed, dict) else {}
        compare = _compare_parts if _is_parts(kind, path) else _compare_fields
        compare(kind, path, desired, seen, moves)
    elif not same(desired, observed):
        moves.append(Change(path, observed, desired))


def _compare_fields(kind: str, path: tuple[str, ...], desired: Shape, observed: Shape, moves: list[Change]) -> None:
    for key in desired:
        _compare(kind, (*path, key), desired[key], observed.get(key), moves)
    for key in observed:
        if key in _TAKEN_BACK_NAMES and key not in desired and _taken_back(kind, (*path, key)):
            if _is_parts(kind, (*path, key)):
                _compare_parts(kind, (*path, key), {}, observed[key], moves)
            else:
                moves.append(Change((*path, key), observed[key], None))


def _compare_parts(kind: str, path: tuple[str, ...], desired: Shape, observed: Shape, moves: list[Change]) -> None:
    for key in observed:
        if key not in desired:
            moves += whole(kind, (*path, key), observed[key], None)
    for key, part in desired.items():
        if key in observed:
            _compare(kind, (*path, key), part, observed[key], moves)
        else:
            moves += whole(kind, (*path, key), None, part)


def whole(kind: str, path: tuple[str, ...], observed: Any, desired: Any) -> list[Change]:
    """A part that comes, goes or is replaced, and so do the parts in it."""
    moves = [Change(path, observed, desired)]
    for name in dict.fromkeys((*(observed or ()), *(desired or ()))):
        if _is_parts(kind, (*path, name)):
            old, new = (observed or {}).get(name) or {}, (desired or {}).get(name) or {}
            for key in dict.fromkeys((*old, *new)):
                moves += whole(kind, (*path, name, key), old.get(key), new.get(key))
    return moves


def _is_parts(kind: str, path: tuple[str, ...]) -> bool:
    return parts_at(kind, path) is not None


def _taken_back(kind: str, path: tuple[str, ...]) -> bool:
    return any(matches(pattern, path) for pattern in TAKEN_BACK.get(kind, ()))


def same(desired: Any, observed: Any) -> bool:
    """Whether two values mean the same; rounded capacities and secrets as far as they can be told apart."""
    if isinstance(desired, Secret):
        return observed is not None and desired.digest in ("", observed)
    if isinstance(observed, ApproximateBytes) and isinstance(desired, int):
        return quantity.rounded(desired) == quantity.rounded(int(observed))
    return bool(desired == observed)
