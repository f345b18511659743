"""Desired and observed -> what differs, field by field. Pure.

Only declared fields are compared: what the platform fills in is never a difference. Parts with an identity
(disks by target, NICs by mac) are compared as sets; anything else is compared as it stands.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from reconciler import quantity
from reconciler.kinds import KINDS
from reconciler.observe import UNREADABLE, About
from reconciler.secret import Secret
from reconciler.shape import Shape

# Declared for the planner's sake; nothing on the cluster answers to them.
NOT_COMPARED = frozenset({"deletionPolicy", "updatePolicy", "fullCopy", "boot"})


class Move(NamedTuple):
    """One field that differs. None stands for absent; a part with an identity moves whole when it comes or goes."""

    path: tuple[str, ...]
    observed: Any
    desired: Any


def diff(kind: str, desired_shape: Shape, shape: Shape) -> list[Move]:
    """What would have to move for the observed shape to be as desired, in the order of declaration."""
    moves: list[Move] = []
    keyed = [name for name, _ in KINDS[kind].identity]
    for key, desired in desired_shape.items():
        if key in keyed and key in shape:
            _compare_parts(kind, (key,), desired, shape[key], moves)
        else:
            _compare(kind, (key,), desired, shape.get(key), moves)
    return moves


def _compare_parts(kind: str, path: tuple[str, ...], desired: Shape, observed: Shape, moves: list[Move]) -> None:
    for key in observed:
        if key not in desired:
            moves.append(Move((*path, key), observed[key], None))
    for key, part in desired.items():
        if key in observed:
            _compare(kind, (*path, key), part, observed[key], moves)
        else:
            moves.append(Move((*path, key), None, part))


def _compare(kind: str, path: tuple[str, ...], desired: Any, observed: Any, moves: list[Move]) -> None:
    if desired == observed or path[-1] in NOT_COMPARED:
        return
    if observed is None and isinstance(desired, dict) and unreadable(kind, path):
        observed = {}  # never shown and not known to have been applied: each field of it is unknown
    if isinstance(desired, dict) and isinstance(observed, dict):
        for key in desired:
            _compare(kind, (*path, key), desired[key], observed.get(key), moves)
    elif not same(desired, observed):
        moves.append(Move(path, observed, desired))


def same(desired: Any, observed: Any) -> bool:
    """Whether two values mean the same; rounded capacities and secrets as far as they can be told apart."""
    if isinstance(desired, Secret):
        return observed is not None and desired.digest in ("", observed)
    if isinstance(observed, About) and isinstance(desired, int):
        return quantity.rounded(desired) == quantity.rounded(int(observed))
    return bool(desired == observed)


def unreadable(kind: str, path: tuple[str, ...]) -> bool:
    """Whether the API never shows the field."""
    return any(
        len(pattern) <= len(path) and all(a in ("*", b) for a, b in zip(pattern, path, strict=False))
        for pattern in UNREADABLE[kind]
    )
