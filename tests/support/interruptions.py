"""Which machines are in the middle of an interruption while a plan is applied."""

from __future__ import annotations

from reconciler import Outcome, Plan
from reconciler.planner.plan import Step


class Watcher:
    """The machines in the middle of it at once: from the first step that interrupts one to the last of its steps, and
    several for as long as a step of something that they share takes.
    """

    def __init__(self, plan: Plan) -> None:
        self.left: dict[frozenset[str], set[str]] = {}  # machines interrupted together -> steps
        for step in plan.runnable:
            if (machines := self._machines(step)) in self.left or step.interrupted:
                self.left.setdefault(machines, set()).add(step.id)
        self.together = {machines for machines in self.left if len(machines) > 1}
        self.now: set[frozenset[str]] = set()
        self.seen: list[frozenset[str]] = []

    @staticmethod
    def _machines(step: Step) -> frozenset[str]:
        return frozenset(id.name for id in step.interrupted or (step.resource,))

    def start(self, step: Step) -> None:
        machines = self._machines(step)
        if step.id in self.left.get(machines, ()):
            self.now.add(machines)
            self.seen.append(frozenset[str]().union(*self.now))

    def end(self, outcome: Outcome) -> None:
        machines = self._machines(outcome.step)
        self.left.get(machines, set()).discard(outcome.step.id)
        if not self.left.get(machines):
            self.now.discard(machines)
