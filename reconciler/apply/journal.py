"""The journal of one run: every start and end, written before anything relies on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.apply.report import Result
from reconciler.clusters.base import RUN_BEGINS, RUN_ENDS, Cluster
from reconciler.plan import Step


@dataclass(frozen=True, slots=True)
class Journal:
    """Entries of the run ``run`` in the journal of a stack. What the cluster raises, it raises."""

    cluster: Cluster
    stack: str
    run: str
    now: Callable[[], datetime]

    def begin(self) -> None:
        self.cluster.record(self.stack, {"run": self.run, "phase": RUN_BEGINS})

    def close(self) -> None:
        """The run came to its end, and left nothing that the next one has to mend."""
        self.cluster.record(self.stack, {"run": self.run, "phase": RUN_ENDS})

    def write(
        self,
        step: Step,
        phase: str,
        event_id: str,
        result: Result | None = None,
        message: str = "",
        seconds: float = 0.0,
        seen: bool = True,
        note: dict[str, Any] | None = None,
    ) -> None:
        """One entry: ``phase`` is ``start``, ``submitted`` or ``end``; ``seen``, whether its ``Done`` Event was."""
        entry: dict[str, Any] = {
            "run": self.run,
            "event": event_id,
            "at": self.now().isoformat(timespec="milliseconds"),
            "phase": phase,
            "step": step.id,
            "operation": step.operation,
            "target": str(step.target),
        }
        if step.request[0]:
            entry["request"] = {"name": step.request[0], "content": step.request[1]}
        if note is not None:
            entry["note"] = note
        if result is not None:
            entry |= {"result": str(result), "message": message, "seconds": round(seconds, 3), "seen": seen}
        self.cluster.record(self.stack, entry)
