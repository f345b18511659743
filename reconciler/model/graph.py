"""Edges between step ids -> waves, or the cycle that prevents them. Pure, and the same for the same input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter


class Cycle(Exception):
    """The ids of a cycle, each needing the next, begun at the smallest so that it always reads the same."""

    def __init__(self, members: Sequence[str]) -> None:
        first = members.index(min(members))
        self.members = [*members[first:], *members[:first]]
        super().__init__(" -> ".join([*self.members, self.members[0]]))


def waves(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Ids grouped so that each needs only ids of earlier groups; the order of ``needs`` is kept in a group.

    Raises ``Cycle``; no edge is ever dropped to make one go away.
    """
    place = {id: index for index, id in enumerate(needs)}
    sorter: TopologicalSorter[str] = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise Cycle(list(reversed(error.args[1][:-1]))) from None
    groups = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        groups.append(ready)
        sorter.done(*ready)
    return groups
