"""What an examination of a cluster finds wrong, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Fault(NamedTuple):
    """Something that is wrong with a record or a resource.

    ``remedy``: what a repair does about it; empty if it can do nothing, then ``advice`` says what a person can do.
    """

    record: str
    message: str
    remedy: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a cluster of so many records. ``path``: its file; empty on Kubernetes.

    ``mended``: whether a repair was made; ``backup``: the copy of the file that it made before, if it changed any.
    """

    path: str
    records: int
    faults: tuple[Fault, ...] = ()
    mended: bool = False
    backup: str = ""

    @property
    def sound(self) -> bool:
        """Whether nothing is left to mend."""
        return not self.faults or (self.mended and all(each.remedy for each in self.faults))
