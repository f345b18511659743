"""Progress of an apply: a bar on a terminal, one line an outcome anywhere else, nothing for JSON. On stderr."""

from __future__ import annotations

import os
import sys
from typing import Any

from reconciler.apply import Outcome, Result
from reconciler.plan import Step
from reconciler.render import outcome_text

_WORTH_A_LINE = frozenset({Result.FAILED, Result.SKIPPED, Result.INTERRUPTED})


class Progress:
    """Begin, then started and ended for each step, then finish (which may be called without a begin)."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.bar: Any = None
        self.task: Any = None
        self.running: dict[str, Step] = {}

    def begin(self, total: int) -> None:
        if self.quiet or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self.bar = Bar(*columns, console=console, transient=False)
        self.bar.start()
        self.task = self.bar.add_task("", total=total)

    def started(self, step: Step) -> None:
        self.running[step.id] = step
        self._describe()

    def ended(self, outcome: Outcome) -> None:
        self.running.pop(outcome.step.id, None)
        if self.quiet or outcome.result is Result.HELD:
            return
        text = outcome_text(outcome)
        if self.bar is None:
            print(text, file=sys.stderr)
            return
        if outcome.result in _WORTH_A_LINE:
            self.bar.console.print(text, markup=False, highlight=False)
        self.bar.advance(self.task)
        self._describe()

    def _describe(self) -> None:
        if self.bar is not None:
            steps = list(self.running.values())
            more = f" and {len(steps) - 2} more" if len(steps) > 2 else ""
            text = ", ".join(f"{step.operation} {step.subject}" for step in steps[:2])
            self.bar.update(self.task, description=text + more)

    def finish(self) -> None:
        if self.bar is not None:
            self.bar.stop()
