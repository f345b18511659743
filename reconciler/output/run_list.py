"""The runs of a stack, or one of them, as ``reconcile history`` shows them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from reconciler.output.escaping import page
from reconciler.output.history import RunRecord, run_json, run_text, runs_text


class RunList(NamedTuple):
    """Runs of a stack, newest first; with ``detailed`` one run with its steps."""

    stack: str
    runs: Sequence[RunRecord]
    detailed: bool = False


def stack_phrase(stack: str) -> str:
    """``the stack web``; of the empty name, the resources that belong to no stack."""
    return f"the stack {stack}" if stack else "resources without a stack"


def run_list_text(document: RunList) -> str:
    """One line a run, or everything about one."""
    if document.detailed:
        return run_text(document.runs[0])
    if not document.runs:
        return page([f"No runs of {stack_phrase(document.stack)} are recorded."])
    return runs_text(document.runs)


def run_list_json(document: RunList) -> list[dict[str, Any]] | dict[str, Any]:
    """A list of runs, or one run with its steps."""
    if document.detailed:
        return run_json(document.runs[0], steps=True)
    return [run_json(run) for run in document.runs]
