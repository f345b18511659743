"""The journal of one run: every start and end, written before anything relies on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.apply.report import GOOD, Outcome, Report, Result
from reconciler.clusters.base import RUN_BEGINS, RUN_ENDS, RUN_STOPS, Cluster
from reconciler.model.problem import ClusterError
from reconciler.model.provenance import Provenance
from reconciler.planner.plan import Step

OTHERS = 20  # steps without entries of their own that the last entry tells of: a ConfigMap holds 1 MiB


@dataclass(frozen=True, slots=True)
class Journal:
    """Entries of the run ``run`` in the journal of a stack. What the cluster raises, it raises."""

    cluster: Cluster
    stack: str
    run: str
    now: Callable[[], datetime]
    ended: set[str] = field(default_factory=set)  # steps whose end is written

    def begin(self, provenance: Provenance) -> None:
        entry = {"run": self.run, "phase": RUN_BEGINS, "at": self._at(), **provenance.fields()}
        self.cluster.record(self.stack, entry)

    def close(self, report: Report, seconds: float) -> None:
        """The run is over: came to its end or, if it left steps that the next one has to look after, stopped.

        Of a run that stopped, what its steps came to is worth more to people than this entry: it is left out
        where it cannot be written.
        """
        counts = Counter(outcome.result for outcome in report.outcomes)
        others = sorted(
            (outcome for outcome in report.outcomes if outcome.step.id not in self.ended),
            key=lambda outcome: outcome.result in GOOD,
        )
        entry = {
            "run": self.run,
            "phase": RUN_STOPS if counts[Result.INTERRUPTED] else RUN_ENDS,
            "at": self._at(),
            "seconds": round(seconds, 3),
            "totals": {str(result): counts[result] for result in Result if counts[result]},
            "others": [_other(outcome) for outcome in others[:OTHERS]],
        }
        with suppress(ClusterError) if counts[Result.INTERRUPTED] else nullcontext():
            self.cluster.record(self.stack, entry)

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
            "at": self._at(),
            "phase": phase,
            **_names(step),
        }
        if step.request[0]:
            entry["request"] = {"name": step.request[0], "content": step.request[1]}
        if note is not None:
            entry["note"] = note
        if result is not None:
            entry |= {"result": str(result), "message": message, "seconds": round(seconds, 3), "seen": seen}
        self.cluster.record(self.stack, entry)
        if phase == "end":
            self.ended.add(step.id)

    def _at(self) -> str:
        return self.now().isoformat(timespec="milliseconds")


def _names(step: Step) -> dict[str, str]:
    names = {"step": step.id, "operation": step.operation, "target": str(step.carrier)}
    return names if step.resource == step.carrier else {**names, "subject": str(step.resource)}


def _other(outcome: Outcome) -> dict[str, str]:
    return {**_names(outcome.step), "result": str(outcome.result), "message": outcome.message[:200]}
