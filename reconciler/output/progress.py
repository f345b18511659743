"""Progress of an apply: a bar on a terminal, one line an outcome anywhere else, nothing for JSON. On stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.apply import Outcome, Result
from reconciler.apply.estimate import seconds_left
from reconciler.output.report import outcome_text
from reconciler.planner.plan import Step

_WORTH_A_LINE = frozenset({Result.FAILED, Result.SKIPPED, Result.INTERRUPTED})
_SELDOM = 1.0  # seconds an estimate is good for
_SHARE = 50  # an estimate may take one part in so many of the time


class Progress:
    """Begin, then started and ended for each step, then finish (which may be called without a begin)."""

    def __init__(self, *, quiet: bool = False, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.quiet = quiet
        self.seen = not quiet and sys.stderr.isatty()
        self.bar: Any = None
        self.task: Any = None
        self.running: dict[str, Step] = {}
        self.left = Left((), {}, 1, monotonic)

    def begin(self, steps: Sequence[Step], durations: Mapping[str, float], parallel: int) -> None:
        """``steps`` will run, ``parallel`` at once; ``durations`` by operation are what such steps took before."""
        if not self.seen:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar
        from rich.text import Text

        left = self.left = Left(steps, durations, parallel, self.left.monotonic)

        class LeftColumn(ProgressColumn):
            def render(self, task: Any) -> Text:
                return Text(left.text())

        console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
        columns = [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")]
        if left.text():
            columns.insert(3, LeftColumn())
        self.bar = Bar(*columns, console=console, transient=False)
        self.bar.start()
        self.task = self.bar.add_task("", total=len(steps))

    def started(self, step: Step) -> None:
        self.running[step.id] = step
        self.left.started(step.id)
        self._describe()

    def ended(self, outcome: Outcome) -> None:
        self.running.pop(outcome.step.id, None)
        self.left.ended(outcome.step.id)
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


class Left:
    """How long it may still take, as a text that is brought up to date as steps start and end."""

    def __init__(
        self, steps: Sequence[Step], durations: Mapping[str, float], parallel: int, monotonic: Callable[[], float]
    ) -> None:
        self.steps = {step.id: step for step in steps}
        self.durations, self.parallel, self.monotonic = durations, parallel, monotonic
        self.since: dict[str, float] = {}
        self.until: float | None = None
        self.again = 0.0  # when an estimate is due
        self._estimate()

    def started(self, id: str) -> None:
        self.since[id] = self.monotonic()

    def ended(self, id: str) -> None:
        self.steps.pop(id, None)
        self.since.pop(id, None)
        if self.monotonic() >= self.again:
            self._estimate()

    def _estimate(self) -> None:
        now = self.monotonic()
        under_way = {id: now - began for id, began in self.since.items()}
        seconds = seconds_left([*self.steps.values()], self.durations, self.parallel, under_way)
        self.until = None if seconds is None else now + seconds
        took = self.monotonic() - now
        self.again = now + max(_SELDOM, _SHARE * took)

    def text(self) -> str:
        """``about 12 s left``; nothing where nothing is known, or it should have ended by now."""
        left = 0 if self.until is None else round(self.until - self.monotonic())
        if left < 1:
            return ""
        return f"about {left} s left" if left < 90 else f"about {round(left / 60)} min left"
