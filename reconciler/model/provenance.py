"""Where a run comes from: who started it, with which verb, from which commit. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the journal says of a run besides its steps. What is not known is empty."""

    who: str = ""  # "alice on laptop"
    verb: str = ""  # apply, delete, run, import --adopt
    plan: str = ""  # file of the saved plan that was applied
    commit: str = ""  # short, of the manifests
    dirty: bool = False  # manifests were not as that commit has them

    def fields(self) -> dict[str, Any]:
        """The members that are not empty, by name."""
        return {name: value for name, value in asdict(self).items() if value}


UNKNOWN = Provenance()
