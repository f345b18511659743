"""Progress of an apply on standard error: a bar on a terminal, otherwise one line an outcome; nothing for JSON."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from reconciler.apply import Outcome, Result
from reconciler.apply.estimate import seconds_left
from reconciler.output.escaping import visible
from reconciler.output.report import outcome_text
from reconciler.planner.plan import Step

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn, Task, TaskID

_SHOWN_ABOVE_THE_BAR = frozenset({Result.FAILED, Result.SKIPPED, Result.INTERRUPTED})
_VALID_FOR = 1.0  # seconds that an estimate is used before another one is made, at least
_COST = 50  # estimating may take one part in so many of the time


class Progress:
    """Call ``begin``, then ``started`` and ``ended`` for each step, then ``finish``, also where nothing began."""

    def __init__(self, *, quiet: bool = False, monotonic: Callable[[], float] = time.monotonic) -> None:
        """``quiet``: show nothing."""
        self.quiet = quiet
        self.seen = not quiet and sys.stderr.isatty()  # whether there is a bar
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._running: dict[str, Step] = {}
        self._left = TimeLeft((), {}, 1, monotonic)

    def begin(self, steps: Sequence[Step], durations: Mapping[str, float], parallel: int) -> None:
        """``steps`` will run, ``parallel`` at once; ``durations`` are the seconds that operations took before."""
        if not self.seen:
            return
        self._left = TimeLeft(steps, durations, parallel, self._left.monotonic)
        self._bar = _bar(self._left)
        self._bar.start()
        self._task = self._bar.add_task("", total=len(steps))

    def started(self, step: Step) -> None:
        """A step has begun."""
        self._running[step.id] = step
        self._left.started(step.id)
        self._show_running()

    def ended(self, outcome: Outcome) -> None:
        """A step has ended, or will not run; held ones were shown with the plan."""
        self._running.pop(outcome.step.id, None)
        self._left.ended(outcome.step.id)
        if self.quiet or outcome.result is Result.HELD:
            return
        text = outcome_text(outcome)
        if self._bar is None or self._task is None:
            print(text, file=sys.stderr)
            return
        if outcome.result in _SHOWN_ABOVE_THE_BAR:
            self._bar.console.print(text, markup=False, highlight=False, emoji=False)
        self._bar.advance(self._task)
        self._show_running()

    def finish(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()

    def _show_running(self) -> None:
        if self._bar is not None and self._task is not None:
            steps = list(self._running.values())
            more = f" and {len(steps) - 2} more" if len(steps) > 2 else ""
            text = ", ".join(f"{step.operation} {step.resource}" for step in steps[:2])
            self._bar.update(self._task, description=visible(text + more))


def _bar(left: TimeLeft) -> Bar:
    """Bar, steps done, time since the beginning, time left where it is known, running steps."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class LeftColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(left.text())

    columns: list[ProgressColumn] = [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    if left.text():
        columns.append(LeftColumn())
    columns.append(TextColumn("{task.description}", markup=False))
    console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
    return Bar(*columns, console=console, transient=False)


class TimeLeft:
    """An estimate of how long steps will still take, renewed as they start and end."""

    def __init__(
        self, steps: Sequence[Step], durations: Mapping[str, float], parallel: int, monotonic: Callable[[], float]
    ) -> None:
        """``durations``: seconds that operations took before; ``parallel``: steps that run at once."""
        self.monotonic = monotonic
        self._steps = {step.id: step for step in steps}
        self._durations, self._parallel = durations, parallel
        self._began: dict[str, float] = {}
        self._end: float | None = None  # when all will have ended; None where nothing is known
        self._renew_at = 0.0
        self._estimate()

    def started(self, id: str) -> None:
        """The step has begun."""
        self._began[id] = self.monotonic()

    def ended(self, id: str) -> None:
        """The step has ended, or will not run."""
        self._steps.pop(id, None)
        self._began.pop(id, None)
        if self.monotonic() >= self._renew_at:
            self._estimate()

    def _estimate(self) -> None:
        now = self.monotonic()
        running = {id: now - began for id, began in self._began.items()}
        seconds = seconds_left([*self._steps.values()], self._durations, self._parallel, running)
        self._end = None if seconds is None else now + seconds
        took = self.monotonic() - now
        self._renew_at = now + max(_VALID_FOR, _COST * took)

    def text(self) -> str:
        """``about 12 s left``; empty where nothing is known, or all should have ended by now."""
        left = 0 if self._end is None else round(self._end - self.monotonic())
        if left < 1:
            return ""
        return f"about {left} s left" if left < 90 else f"about {round(left / 60)} min left"
