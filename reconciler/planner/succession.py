"""Which part that comes takes the place of which that goes, where their identity does not say it. Pure.

The identity of a disk is its place: the target. That of a NIC is its MAC, so that a NIC with another MAC is another
part. On the same network or bridge of the same machine it takes the place of one that goes: nobody declared that the
machine has both, and one of them may not be done without the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.model.path import ShapePath
from reconciler.model.shape import Shape
from reconciler.planner.diff import Change

# Of parts whose identity is not their place: the fields that say where a part is, and those by which pairs are alike.
_PLACES = {"nics": ("source", "network")}
_ALIKE = {"nics": ("ip", "vlan")}


def successions(parts: Iterable[Change]) -> dict[ShapePath, ShapePath]:
    """For each part that comes in the place of one that goes, that one.

    ``parts`` are the changes of whole parts. One goes for one that comes: if more come than go, the others are new.
    Those with the same address are a pair first, then the others in the order of their identities.
    """
    known = sorted((change for change in parts if change.path[0] in _PLACES), key=lambda change: change.path)
    coming = {change.path: change.desired for change in known if change.observed is None}
    going = {change.path: change.observed for change in known if change.desired is None}
    found: dict[ShapePath, ShapePath] = {}
    for alike in (True, False):
        for path, part in coming.items():
            if path not in found and (other := _leaving(path, part, going, alike)) is not None:
                found[path] = other
                del going[other]
    return found


def _leaving(path: ShapePath, part: Shape, going: Mapping[ShapePath, Shape], alike: bool) -> ShapePath | None:
    """The first part that goes from where another one comes, and if ``alike`` with the same address."""
    names = (*_PLACES[path[0]], *(_ALIKE[path[0]] if alike else ()))
    return next(
        (
            at
            for at, old in going.items()
            if at[0] == path[0] and all(old.get(each) == part.get(each) for each in names)
        ),
        None,
    )
