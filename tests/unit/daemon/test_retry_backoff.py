"""When the daemon wakes for resources that failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.apply import ErrorKind, Outcome, Result
from reconciler.catalogue import Impact
from reconciler.daemon.loop.retry import RetryBackoff
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Action, Plan, Reason, Step

AT = datetime(2026, 11, 30, tzinfo=UTC)


def step(name: str) -> Step:
    id = ResourceId("VirtualMachine", name)
    return Step(name, Action.CHANGE, "PlugNIC", id, id, "node1", {}, Reason.FIELDS_CHANGED, Impact.LIVE)


def test_one_that_was_due_for_the_last_plan_wakes_nobody_again() -> None:
    """Its step did not run, as it needs that of another one, which is retried later."""
    steps = step("web-1"), step("web-2")
    retries = RetryBackoff()
    retries.record_outcomes([Outcome(steps[0], Result.FAILED, "no", error=ErrorKind.OTHER)], AT)
    first = retries.next_retry()
    assert first is not None
    assert first > AT
    then = first + timedelta(seconds=1)
    retries.record_plan(Plan("shop", steps), then)
    assert retries.next_retry() is None
    retries.record_outcomes([Outcome(steps[1], Result.FAILED, "no", error=ErrorKind.OTHER)], then)
    second = retries.next_retry()
    assert second is not None
    assert second > then
