"""Which machines are in the middle of an interruption while a plan is applied."""

from __future__ import annotations

from reconciler import Outcome, Plan
from reconciler.planner.plan import Step


class Watcher:
    """How many machines are in the middle of it at once: from the first step that interrupts to the last of all."""

    def __init__(self, plan: Plan) -> None:
        self.left: dict[str, set[str]] = {}
        for step in plan.runnable:
            if step.impact.needs_permission or step.resource.name in self.left:
                self.left.setdefault(step.resource.name, set()).add(step.id)
        self.now: set[str] = set()
        self.seen: list[frozenset[str]] = []

    def start(self, step: Step) -> None:
        if step.id in self.left.get(step.resource.name, ()):
            self.now.add(step.resource.name)
            self.seen.append(frozenset(self.now))

    def end(self, outcome: Outcome) -> None:
        name = outcome.step.resource.name
        self.left.get(name, set()).discard(outcome.step.id)
        if not self.left.get(name):
            self.now.discard(name)
