"""A rehearsal as text and as JSON: the timeline of a plan tried on a simulated copy, and the verdict. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.model.outcome import Result
from reconciler.output.escaping import page
from reconciler.output.plan_json import problem_json, to_json
from reconciler.output.text import Paint, count, plain, plan_lines, table
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Plan

if TYPE_CHECKING:
    from reconciler.rehearsal import Rehearsal, SimulatedRun, TimelineEntry
    from reconciler.rehearsal.open_flow import EndedStep, OpenFlow


BAR = 24  # characters of a bar on a terminal
_BAD = (Result.FAILED, Result.SKIPPED, Result.INTERRUPTED, Result.NOT_REHEARSED)


class RehearsedPlan(NamedTuple):
    """A plan, and how it would go. ``bars``: whether the timeline is drawn, as on a terminal."""

    plan: Plan
    rehearsal: Rehearsal
    bars: bool = False


def rehearsed_plan_text(document: RehearsedPlan, paint: Paint = plain) -> str:
    """The plan, then how it would go."""
    rehearsed = rehearsal_lines(document.rehearsal, paint, bars=document.bars)
    return page([*plan_lines(document.plan, paint), "", *rehearsed])


def rehearsed_plan_json(document: RehearsedPlan) -> dict[str, Any]:
    """The document of ``plan --rehearse``."""
    return {
        "plan": to_json(document.plan),
        "rehearsal": rehearsal_json(document.rehearsal),
        "problems": [problem_json(problem) for problem in document.plan.problems],
    }


def rehearsal_text(rehearsal: Rehearsal, paint: Paint = plain, *, bars: bool = False) -> str:
    """How it would go: timeline, assumptions, what is left, verdict."""
    return page(rehearsal_lines(rehearsal, paint, bars=bars))


def rehearsal_lines(rehearsal: Rehearsal, paint: Paint, *, bars: bool = False) -> list[str]:
    """Timeline, assumptions, faults that nobody would notice, what is left, verdict; a string each."""
    lines = ["rehearsal, in nominal seconds", *timeline(rehearsal.first, paint, bars=bars)]
    lines += [f"assumed: {note.id}: {note.text}" for note in rehearsal.assumed]
    lines += [paint(_open_text(each), "yellow") for each in rehearsal.open_flows]
    if rehearsal.again is not None:
        lines += ["", "a second run would then:", *plan_lines(rehearsal.first.left, paint)]
        if not rehearsal.again.converges:
            lines += ["", "which would go like this:", *timeline(rehearsal.again, paint, bars=bars)]
    last = rehearsal.again or rehearsal.first
    if not last.converges:
        lines += ["", "still to do afterwards:"]
        lines += [f"  {step.operation} of {step.resource}: {explain(step)}" for step in last.unwelcome]
        lines += [f"  {text}" for text in last.problems]
    lines += [
        f"not noticed: {step.operation} of {step.resource} did nothing, and no field of the API shows it"
        for step in rehearsal.unnoticed
    ]
    lines += ["", paint(verdict(rehearsal), "green" if rehearsal.converges else "red")]
    return lines


def timeline(act: SimulatedRun, paint: Paint, *, bars: bool = False) -> list[str]:
    """A heading, then one line a step: start, end, result, operation, resource, message and injected fault."""
    width = max(len(_seconds(act.seconds)), 5)
    rows = []
    for moment in act.timeline:
        remarks = [moment.message, f"(injected: {moment.fault})" if moment.fault else ""]
        rows.append(
            [
                _seconds(moment.start).rjust(width),
                _seconds(moment.end).rjust(width),
                moment.result,
                moment.step.operation,
                str(moment.step.resource),
                *([_bar(moment, act.seconds)] if bars else []),
                " ".join(filter(None, remarks)),
            ]
        )
    heads = ["start".rjust(width), "end".rjust(width), "result", "operation", "resource", *([""] if bars else []), ""]
    head, *lines = table([heads, *rows], "  ")
    return [head] + [
        paint(line, "red") if moment.result in _BAD else line for line, moment in zip(lines, act.timeline, strict=True)
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _bar(moment: TimelineEntry, total: float) -> str:
    if moment.start is None or moment.end is None or not total:
        return " " * BAR
    begin = min(int(moment.start / total * BAR), BAR - 1)
    length = max(1, round((moment.end - moment.start) / total * BAR))
    return (" " * begin + "=" * length)[:BAR].ljust(BAR)


def _open_text(each: OpenFlow) -> str:
    """From which step to which one a flow passes that is expected to be dropped, and why."""
    until = f"to {_step_text(each.until)}" if each.until is not None else "to the end"
    flow, place = each.expected.flow, each.expected.origin
    return f"passes for a while: {flow}, from {_step_text(each.since)} {until}, against {place}: {each.reason}"


def _step_text(ended: EndedStep) -> str:
    return f"{ended.step.operation} of {ended.step.resource} ({_seconds(ended.end)} s)"


def verdict(rehearsal: Rehearsal) -> str:
    """The one line that says whether it would converge."""
    first, steps = rehearsal.first, count(len(rehearsal.first.timeline), "step")
    skipped = rehearsal.not_rehearsed
    but = f"; {count(skipped, 'step')} could not be rehearsed" if skipped else ""
    if rehearsal.again is None:
        if rehearsal.converges and (errors := len(first.left.problems)):
            blocked = f"{count(errors, 'error')} {'blocks' if errors == 1 else 'block'} the rest"
            return f"Rehearsed: what can run converges, {steps} in {_seconds(first.seconds)} s; {blocked}{but}."
        if rehearsal.converges:
            return f"Rehearsed: it converges, {steps} in {_seconds(first.seconds)} s{but}."
        failed = sum(moment.result in (Result.FAILED, Result.SKIPPED) for moment in first.timeline)
        return f"Rehearsed: it does NOT converge: {count(failed, 'step')} failed or skipped of {steps}{but}."
    if rehearsal.unnoticed:
        return f"Rehearsed with faults: {count(len(rehearsal.unnoticed), 'fault')} would not be noticed{but}."
    if rehearsal.converges:
        return f"Rehearsed with faults: a second run converges{but}."
    return f"Rehearsed with faults: a second run does NOT converge{but}."


def rehearsal_json(rehearsal: Rehearsal) -> dict[str, Any]:
    """The verdict, the timeline of the first run and of the second if there was one, and the assumptions."""
    return {
        "converges": rehearsal.converges,
        "first": _act_json(rehearsal.first),
        "again": _act_json(rehearsal.again) if rehearsal.again is not None else None,
        "assumed": [{"resource": str(note.id), "text": note.text} for note in rehearsal.assumed],
        "unnoticed": [step.id for step in rehearsal.unnoticed],
        "openFlows": [_open_json(each) for each in rehearsal.open_flows],
    }


def _open_json(each: OpenFlow) -> dict[str, Any]:
    flow, place = each.expected.flow, each.expected.origin
    return {
        "from": str(flow.source),
        "to": str(flow.target),
        "port": flow.service,
        "since": {"step": each.since.step.id, "seconds": each.since.end},
        "until": {"step": each.until.step.id, "seconds": each.until.end} if each.until is not None else None,
        "reason": each.reason,
        "file": place.file,
        "line": place.line or None,
        "column": place.column or None,
    }


def _act_json(act: SimulatedRun) -> dict[str, Any]:
    return {
        "seconds": act.seconds,
        "timeline": [
            {
                "step": moment.step.id,
                "operation": moment.step.operation,
                "resource": str(moment.step.resource),
                "start": moment.start,
                "end": moment.end,
                "result": moment.result,
                "message": moment.message,
                "fault": moment.fault or None,
            }
            for moment in act.timeline
        ],
        "converges": act.converges,
        "unwelcome": [step.id for step in act.unwelcome],
        "problems": list(act.problems),
        "left": to_json(act.left),
    }
