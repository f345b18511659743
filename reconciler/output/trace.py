"""Whether a flow passes, as text and as JSON. Pure."""

from __future__ import annotations

from typing import Any

from reconciler.model.problem import Origin
from reconciler.model.trace import Answer, Verdict
from reconciler.model.trace.answer import Decision
from reconciler.output.escaping import page
from reconciler.output.plan_json import problem_json
from reconciler.output.text import Paint, plain, table
from reconciler.planner.traced_flow import TracedFlow

_COLOURS = {Verdict.ALLOWED: "green", Verdict.DROPPED: "red", Verdict.UNKNOWN: "yellow"}


def trace_text(traced: TracedFlow, paint: Paint = plain) -> str:
    """The verdict with its reason and the line of the rule; what each port does; what differs from now."""
    answer = traced.answer
    lines = [paint(f"{traced.flow}: {answer.verdict}", _COLOURS[answer.verdict]), f"  {_reason(traced)}"]
    if answer.assumed:
        lines.append(f"  assumed: {answer.assumed}")
    if answer.decisions:
        lines += ["", *table([_row(each, traced) for each in answer.decisions], "  ")]
    if traced.now is not None and traced.now.verdict is not answer.verdict:
        lines += ["", f"now: {traced.now.verdict}, as {traced.now.reason}"]
    if traced.held:
        lines.append("The plan has steps for it that are held: see 'reconcile plan'.")
    return page(lines)


def _reason(traced: TracedFlow) -> str:
    decider = traced.answer.decider
    place = traced.places.get(decider) if decider is not None else None
    return f"{traced.answer.reason}{f' ({place})' if place is not None else ''}"


def _row(each: Decision, traced: TracedFlow) -> list[str]:
    packet = "answer" if each.is_reply else "request"
    where = f"{each.direction} {each.port.machine} nics[{each.port.mac}]"
    rule = f"'{each.rule.key}'" if each.rule is not None else each.reason or "no rule"
    return [packet, str(each.verdict), where, rule, str(traced.places.get(each, ""))]


def trace_json(traced: TracedFlow) -> dict[str, Any]:
    """The same as values."""
    flow, answer = traced.flow, traced.answer
    return {
        "from": str(flow.source),
        "to": str(flow.target),
        "port": flow.service,
        "state": "observed" if traced.now is None else "planned",
        **_verdict_json(answer),
        "assumed": answer.assumed or None,
        "rule": _rule_json(answer.decider, traced),
        "decisions": [_decision_json(each, traced) for each in answer.decisions],
        "now": _verdict_json(traced.now) if traced.now is not None else None,
        "held": traced.held,
        "problems": [problem_json(problem) for problem in traced.problems],
    }


def _verdict_json(answer: Answer) -> dict[str, Any]:
    return {"verdict": str(answer.verdict), "reason": answer.reason}


def _decision_json(each: Decision, traced: TracedFlow) -> dict[str, Any]:
    return {
        "packet": "answer" if each.is_reply else "request",
        "resource": str(each.port.machine),
        "nic": each.port.mac,
        "direction": each.direction,
        "verdict": str(each.verdict),
        "reason": each.reason,
        "rule": _rule_json(each, traced),
    }


def _rule_json(decision: Decision | None, traced: TracedFlow) -> dict[str, Any] | None:
    if decision is None or decision.rule is None:
        return None
    rule, place = decision.rule, traced.places.get(decision, Origin(""))
    return {
        "resource": str(rule.machine),
        "nic": rule.mac,
        "direction": rule.direction,
        "priority": rule.priority,
        "match": rule.match,
        "action": rule.action,
        "file": place.file or None,
        "line": place.line or None,
        "column": place.column or None,
    }
