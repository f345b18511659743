"""The options of a run."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.provenance import UNKNOWN, Provenance
from reconciler.model.secret_access import SecretAccess


@dataclass(frozen=True, slots=True)
class Options:
    """``parallel`` operations at once; ``timeout`` seconds a step; ``grace`` seconds for an answer that is overdue;
    ``attempts`` at a cluster that does not answer; ``lease`` seconds to wait for another run of the stack to end;
    ``provenance``, what the journal says of where the run comes from. ``saved``: the plan may have been applied before,
    or in part, and what is as it leaves it is left alone. ``secrets``: which may be read; None: all that this
    process can.
    """

    parallel: int = 16
    timeout: float = 600.0
    grace: float = 5.0
    attempts: int = 5
    lease: float = 30.0
    provenance: Provenance = UNKNOWN
    saved: bool = False
    secrets: SecretAccess | None = None
