"""The result of an apply, as text and as JSON. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.apply import Outcome, Report, Result
from reconciler.output.escaping import page, visible
from reconciler.output.plan_json import origin_json, problem_json, to_json
from reconciler.output.rehearsal import rehearsal_json
from reconciler.planner.plan import Plan

if TYPE_CHECKING:
    from reconciler.rehearsal import Rehearsal


class ApplyResult(NamedTuple):
    """A plan, its rehearsal if one was requested, and the report; ``report`` is None if nothing was run.

    ``error``: kind and message of why the plan could not be run, in the form of ``failure.schema.json``.
    """

    plan: Plan
    report: Report | None
    rehearsal: Rehearsal | None = None
    error: dict[str, str] | None = None


def execution_json(execution: ApplyResult) -> dict[str, Any]:
    """The document of ``apply``, ``delete`` and ``run``."""
    plan, report, rehearsal, error = execution
    return {
        "plan": to_json(plan),
        **({"rehearsal": rehearsal_json(rehearsal)} if rehearsal is not None else {}),
        "report": report_json(report) if report is not None else None,
        "problems": [problem_json(problem) for problem in plan.problems],
        **({"error": error} if error is not None else {}),
    }


def execution_text(execution: ApplyResult) -> str:
    """The totals of what was run; plan and progress were shown before. Nothing where nothing was run."""
    return "" if execution.report is None else page([report_text(execution.report)])


def outcome_text(outcome: Outcome) -> str:
    """One line: result, operation, resource, seconds, message; of a failed step also where it is asked for."""
    step = outcome.step
    text = f"{outcome.result:<11} {step.operation} {step.resource}"
    if outcome.seconds:
        text += f" ({outcome.seconds:.1f} s)"
    text = f"{text}: {outcome.message}" if outcome.message else text
    failed = outcome.result is Result.FAILED
    return visible(f"{text} (asked for at {step.origin})" if failed and step.origin is not None else text)


def report_text(report: Report) -> str:
    """One line with totals by result, worst last."""
    counts = Counter(outcome.result for outcome in report.outcomes)
    parts = [f"{counts[result]} {result}" for result in Result if counts[result]]
    return ("Applied: " if report.ok else "Not everything was applied: ") + ", ".join(parts) + "."


def report_json(report: Report) -> dict[str, Any]:
    """Whether all went well, and the outcome of each step; durations are in seconds.

    ``errorKind`` is an ``ErrorKind`` of a failed step, null of others.
    """
    return {
        "ok": report.ok,
        "outcomes": [
            {
                "step": outcome.step.id,
                "operation": outcome.step.operation,
                "subject": str(outcome.step.resource),
                "result": str(outcome.result),
                "message": outcome.message,
                "seconds": round(outcome.seconds, 3),
                "errorKind": str(outcome.error) if outcome.error is not None else None,
                "origin": origin_json(outcome.step.origin),
            }
            for outcome in report.outcomes
        ],
    }
