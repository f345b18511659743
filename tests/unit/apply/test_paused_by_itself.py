"""A guest that its node pauses: steps that were to leave it running end at once with the reason, and plans tell it."""

from __future__ import annotations

from typing import Any

from reconciler import Report
from reconciler.model.kinds import MACHINE
from reconciler.model.outcome import Result
from reconciler.model.resource import ResourceId
from reconciler.model.wire import PAUSED_BY
from reconciler.observe.observed import observe
from reconciler.output.describe import listing
from reconciler.output.text import plan_text
from reconciler.planner.plan import NoteKind
from support.paths import QUICKSTART
from support.scenario import desired_of, plan_of
from support.staged import Stage, staged

WEB = ResourceId(MACHINE, "web-1")
WHY = "I/O error on vda: no space left"


def pause(stage: Stage) -> None:
    """Have every look at the host find the guest paused, whatever is done to it."""
    seen = stage.driver.inner.observe

    def paused(id: ResourceId) -> dict[str, Any] | None:
        spec = seen(id)
        return spec if spec is None or id != WEB else {**spec, "powerstate": "Paused", PAUSED_BY: WHY}

    stage.driver.observe = paused  # type: ignore[method-assign]


def failures(report: Report) -> dict[str, str]:
    return {each.step.operation: each.message for each in report.outcomes if each.result is Result.FAILED}


def test_an_operation_whose_guest_pauses_by_itself_fails_with_the_reason_at_once() -> None:
    with staged() as stage:
        pause(stage)
        told = f"done, but the guest was paused by its node: {WHY}"
        assert failures(stage.apply()) == {"CreateAndStartVMFromISO": told}
        assert stage.clock.now < 60, "nobody waits for what does not come"
        made = plan_of(stage.cluster, desired_of(QUICKSTART))
        assert "ResumeVM" in [step.operation for step in made.steps]
        assert [note.kind for note in made.notes if note.id == WEB] == [NoteKind.PAUSED_BY]
        told = f"paused by its node: {WHY}; mend that first: resumed before, it pauses again at once"
        assert told in " ".join(plan_text(made).split())
        assert WHY in listing([observe(stage.cluster).resources[WEB]])
