"""Which steps may start: those whose prerequisites have ended, and destructive ones after all others. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from reconciler.model.outcome import SUCCEEDED, Result
from reconciler.planner.plan import Plan, Step


class Order:
    """The steps of a plan that are not started yet, with the steps that each of them waits for.

    ``skip`` is told of steps that will never begin, and why; it must give each a result (``ended``).
    """

    def __init__(self, plan: Plan, skip: Callable[[Step, str], None]) -> None:
        self.skip = skip
        self.runnable = plan.runnable
        self.steps = {step.id: step for step in plan.steps}
        self.results: dict[str, Result] = {}
        self.ready: deque[str] = deque()  # ids, those to begin first in front
        self._waits: dict[str, set[str]] = {}
        self._waiters: dict[str, list[str]] = {}
        self._open = 0  # steps without outcome that are not destructive

    def begin(self) -> None:
        """Find the steps that are ready. Steps that do not run, for whatever reason, must have their result by now."""
        self.runnable = tuple(step for step in self.runnable if step.id not in self.results)
        known = {step.id for step in self.runnable}
        self._open = sum(not step.last for step in self.runnable)
        for step in self.runnable:
            waits = self._before(step, known)
            self._waits[step.id] = waits
            for id in waits:
                self._waiters.setdefault(id, []).append(step.id)
            if not waits and not (step.last and self._open):
                self.ready.append(step.id)

    def _before(self, step: Step, known: set[str]) -> set[str]:
        """The steps to wait for; a held step is replaced by those that it waits for itself."""
        found: set[str] = set()
        seen: set[str] = set()
        left = [*step.needs, *step.after]
        while left:
            id = left.pop()
            if id in seen or id not in self.steps:
                continue
            seen.add(id)
            if id in known:
                found.add(id)
            else:
                left += [*self.steps[id].needs, *self.steps[id].after]
        return found

    def ended(self, step: Step, result: Result) -> None:
        """Take in the result of a step: unblock the steps that wait for it, or skip them if it failed."""
        self.results[step.id] = result
        if not step.last and not step.held_by:
            self._open -= 1
            if not self._open:
                self._release_destructive()
        # A skipped step never ran: the steps behind it wait for what it still waited for.
        left = {id for id in self._waits.get(step.id, ()) if id not in self.results}
        for id in self._waiters.get(step.id, ()):
            for other in sorted(left - self._waits[id]):  # one that waits for it already is told of its end once
                self._waiters[other].append(id)
            self._waits[id] |= left
            self._unblock(self.steps[id], step, result)

    def _unblock(self, step: Step, ended: Step, result: Result) -> None:
        if step.id in self.results:
            return
        if ended.id in step.needs and result not in SUCCEEDED:
            if result is not Result.INTERRUPTED:
                self.skip(step, f"needs {ended.operation} of {ended.resource}")
            return
        self._waits[step.id].discard(ended.id)
        if not self._waits[step.id] and not (step.last and self._open > 0):
            self.ready.append(step.id)

    def _release_destructive(self) -> None:
        """Start destructive steps once all others have ended, and only if those succeeded."""
        others = (result for id, result in self.results.items() if not self.steps[id].last)
        well = all(result in SUCCEEDED or result is Result.HELD for result in others)
        for step in self.runnable:
            if step.last and step.id not in self.results and not self._waits[step.id]:
                if well:
                    self.ready.append(step.id)
                else:
                    self.skip(step, "nothing is deleted after a failure")
