"""Trying a plan out, and what is printed of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.given import connected, policy_of, read, where_of
from reconciler.cli.serving import looked_at
from reconciler.cli.terminal import count, painter, show_json, show_problems
from reconciler.model.outcome import Result

if TYPE_CHECKING:
    from reconciler.clusters.connection import ClusterReference
    from reconciler.planner.plan import Plan
    from reconciler.rehearsal import Rehearsal, SimulatedRun, TimelineEntry

BAR = 24  # characters of a bar on a terminal
_BAD = (Result.FAILED, Result.SKIPPED, Result.INTERRUPTED, Result.NOT_REHEARSED)


def rehearsed(
    paths: tuple[str, ...], cluster: ClusterReference, policy: dict[str, Any], inject: tuple[str, ...], parallel: int
) -> tuple[Plan, Rehearsal]:
    """The plan of manifests, and how it would go. The cluster is only read."""
    from reconciler.apply import Options
    from reconciler.planner import make_plan
    from reconciler.reconcile import observe_after_recovery, policy_now, with_secret_digests
    from reconciler.rehearsal import Fault, UnknownStep, rehearse

    try:
        faults = [Fault.of(text) for text in inject]
    except ValueError as error:
        raise click.UsageError(f"--inject: {error}.") from None
    loaded, desired = read(paths)
    allowed = policy_now(policy_of(desired, policy))
    with connected(cluster, loaded, desired, reading=True) as opened, looked_at(opened, policy) as shown:
        observed = observe_after_recovery(desired, shown)
        made = make_plan(with_secret_digests(desired, shown), observed, allowed)
    made = replace(made, cluster=where_of(cluster, loaded, desired).to_json())
    try:
        return made, rehearse(made, desired, observed, allowed, faults=faults, options=Options(parallel=parallel))
    except UnknownStep as error:
        raise click.UsageError(f"--inject: {error}.") from None


def show_rehearsal(made: Plan, rehearsal: Rehearsal, output: str) -> None:
    """The plan, then how it would go, in the format asked for."""
    from reconciler.output.plan_json import to_json
    from reconciler.output.text import plan_text

    if output == "json":
        show_json({"plan": to_json(made), "rehearsal": rehearsal_json(rehearsal)})
    else:
        click.echo(plan_text(made, painter(sys.stdout)))
        show_timeline(rehearsal)
    show_problems(made.problems)


def show_timeline(rehearsal: Rehearsal) -> None:
    """How it would go, as text."""
    click.echo("\n".join(rehearsal_lines(rehearsal, painter(sys.stdout), bars=sys.stdout.isatty())))


def rehearsal_lines(rehearsal: Rehearsal, paint: Any, *, bars: bool = False) -> list[str]:
    """Timeline, what was assumed, what is left, verdict."""
    from reconciler.output.text import plan_text
    from reconciler.planner.explanation import explain

    lines = ["rehearsal, in nominal seconds", *timeline(rehearsal.first, paint, bars=bars)]
    lines += [f"assumed: {note.id}: {note.text}" for note in rehearsal.assumed]
    if rehearsal.again is not None:
        lines += ["", "a second run would then:", plan_text(rehearsal.first.left, paint).rstrip("\n")]
        if not rehearsal.again.converges:
            lines += ["", "and go:", *timeline(rehearsal.again, paint, bars=bars)]
    last = rehearsal.again or rehearsal.first
    if not last.converges:
        lines += ["", "left to do after it:"]
        lines += [f"  {step.operation} of {step.resource}: {explain(step)}" for step in last.unwelcome]
        lines += [f"  {text}" for text in last.problems]
    lines += [
        f"not noticed: {step.operation} of {step.resource} did nothing, and nothing the API shows tells"
        for step in rehearsal.unnoticed
    ]
    lines += ["", paint(verdict(rehearsal), "green" if rehearsal.converges else "red")]
    return lines


def timeline(act: SimulatedRun, paint: Any, *, bars: bool = False) -> list[str]:
    """One line a step: start, end, result, operation, resource, and what there is to say of it."""
    from reconciler.output.text import table

    width = max(len(_seconds(act.seconds)), 5)
    rows = []
    for moment in act.timeline:
        told = [moment.message, f"(injected: {moment.fault})" if moment.fault else ""]
        rows.append(
            [
                _seconds(moment.start).rjust(width),
                _seconds(moment.end).rjust(width),
                moment.result,
                moment.step.operation,
                str(moment.step.resource),
                *([_bar(moment, act.seconds)] if bars else []),
                " ".join(filter(None, told)),
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


def verdict(rehearsal: Rehearsal) -> str:
    """The one line that says whether it would converge."""
    first, steps = rehearsal.first, count(len(rehearsal.first.timeline), "step")
    left = rehearsal.not_rehearsed
    but = f"; {count(left, 'step')} could not be rehearsed" if left else ""
    if rehearsal.again is None:
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
    """The same for machines."""
    return {
        "converges": rehearsal.converges,
        "first": _act_json(rehearsal.first),
        "again": _act_json(rehearsal.again) if rehearsal.again is not None else None,
        "assumed": [{"resource": str(note.id), "text": note.text} for note in rehearsal.assumed],
        "unnoticed": [step.id for step in rehearsal.unnoticed],
    }


def _act_json(act: SimulatedRun) -> dict[str, Any]:
    from reconciler.output.plan_json import to_json

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
