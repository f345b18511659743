"""One input through everything: load, validate, plan, each output, and a plan file written and read again."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import FrameType

from reconciler import Plan, Policy, make_plan
from reconciler.manifests.desired import Desired
from reconciler.manifests.loader import Loaded, load_texts
from reconciler.manifests.schema import explain_errors
from reconciler.manifests.validator import validate
from reconciler.model.problem import ClusterError, InvalidInput, Problem
from reconciler.output.chart import resources_chart, steps_chart
from reconciler.output.describe import Description
from reconciler.output.formats import GRAPH, PLAN, formats_of, render
from reconciler.output.plan_json import from_json, to_json
from reconciler.output.text import problems_text
from reconciler.planner.plan import show_value
from support.full_stack import documents
from support.scenario import desired_of
from tools.fuzz.clusters import ALLOWED, changed_cluster, clusters

SAVED = "plan.json"  # the name of inputs that are saved plans
SHOWN = "cluster.json"  # the name of inputs that are resources of a cluster
SECONDS = 10.0  # that an input may take
MEMORY = 400  # MiB that the process may grow by one input
POLICIES = (Policy(), Policy(allow=ALLOWED, prune=True, adopt=True), Policy(allow=ALLOWED, delete=True))


class Slow(Exception):
    """An input takes longer than ``SECONDS``."""


class Wrong(Exception):
    """An input led to a result that cannot be."""


def try_input(name: str, text: str) -> int:
    """Raises what an input should not lead to: any exception but ``InvalidInput``, or a problem that is a bug.

    Returns how many plans were made.
    """
    with _limited():
        if name == SAVED:
            return _try_saved(text)
        if name == SHOWN:
            return _try_shown(text)
        loaded = load_texts({name: text})
        _check(loaded.problems)
        desired = _valid(loaded)
        if desired is None:
            return 0
        _render(GRAPH, resources_chart(desired))
        plans = [make_plan(desired, each.observed, policy) for each in clusters() for policy in POLICIES]
        for made in plans:
            _check(made.problems)
        for made in sorted(plans, key=lambda plan: len(plan.steps))[-2:]:
            _show(made)
        return len(plans)


def _try_saved(text: str) -> int:
    """A file that says it is a saved plan: refused as a whole, or shown in every form and written again."""
    try:
        made = from_json(SAVED, text)
    except InvalidInput as invalid:
        _check(invalid.problems)
        return 0
    _show(made)
    return 1


def _try_shown(text: str) -> int:
    """Resources as a cluster may show them: shown, planned for, or named where they are no resources."""
    try:
        observed = changed_cluster(json.loads(text))
        for each in observed.resources.values():
            _render("get", [each])
            _render("describe", Description(each, ()))
        plans = [make_plan(_populating(), observed, policy) for policy in POLICIES]
    except ClusterError as error:
        if not str(error):
            raise Wrong("an error says nothing") from error
        return 0
    for made in plans:
        _check(made.problems)
        _show(made)
    return len(plans)


@cache
def _populating() -> Desired:
    """What the populated cluster was made from."""
    return desired_of(documents())


def _valid(loaded: Loaded) -> Desired | None:
    """What is valid of the manifests; None if no one can tell."""
    try:
        desired = validate(loaded, keep_going=True, offline=True)
    except InvalidInput as invalid:
        _check(invalid.problems)
        return None
    _check([*desired.problems, *desired.warnings])
    return desired


def _show(made: Plan) -> None:
    """Everything that is done with a plan before it is applied."""
    _render(PLAN, made)
    _render(GRAPH, steps_chart(made))
    document = to_json(made)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    if made.problems:
        if wrong := list(explain_errors("plan", document)):
            raise Wrong(f"a plan is not as its schema says: {wrong}")
        return  # it is not saved
    again = to_json(from_json("plan.json", text))
    for part in ("steps", "stack", "agent", "nodes", "notes"):
        if again[part] != document[part]:
            raise Wrong(f"a plan that is saved and read has other {part}")
    for step in made.steps:
        json.dumps({key: show_value(value) for key, value in step.parameters.items()})


def _render(verb: str, document: object) -> None:
    """Write the document of a verb in each of its formats."""
    for format in formats_of(verb):
        render(format.name, verb, document).encode()


def _check(problems: Sequence[Problem]) -> None:
    """Raise what problems carry: a bug, or no place."""
    for problem in problems:
        if problem.bug is not None:
            raise problem.bug
    problems_text(problems).encode()


@contextmanager
def _limited() -> Iterator[None]:
    """Raise ``Slow`` or ``Wrong`` where the block takes too long, or too much memory."""

    def expired(number: int, frame: FrameType | None) -> None:
        raise Slow(f"takes longer than {SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, expired)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) // 1024
    if grown > MEMORY:
        raise Wrong(f"takes {grown} MiB")
