"""Loaded manifests -> the desired state, or all their problems at once.

The second stage, pure and offline: schemas first, then what a schema cannot say. A ``Validator`` may be asked
again and again, and then checks only what changed and what that can affect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from reconciler.manifests import drift_policy, schema
from reconciler.manifests.checks import check
from reconciler.manifests.cross_checks import (
    CrossChecks,
    LinkedResource,
    open_consoles,
    outside_of_reach,
    undescribed,
    without_their_disks,
)
from reconciler.manifests.desired import Declared, Desired, Stack
from reconciler.manifests.expected_flow import expected_of_others
from reconciler.manifests.finding import Finding
from reconciler.manifests.labels import label_errors
from reconciler.manifests.loader import Loaded, Manifest
from reconciler.manifests.network_checks import overlapping_subnets
from reconciler.manifests.request import KIND as OPERATION
from reconciler.manifests.request import request_id
from reconciler.manifests.request_conflicts import contradictions
from reconciler.manifests.request_set import requests_of
from reconciler.manifests.secret_checks import refused_secrets
from reconciler.manifests.stack import stack_name, stack_of
from reconciler.manifests.stack_names import names_nothing
from reconciler.manifests.uniqueness import reservations_of
from reconciler.model import quantity
from reconciler.model.fields import quantity_fields, references_of
from reconciler.model.kinds import KINDS
from reconciler.model.path import values_at
from reconciler.model.problem import InvalidInput, Problem, Severity, shown
from reconciler.model.resource import ResourceId
from reconciler.model.secret_access import SecretAccess
from reconciler.model.shape import Shape, declared

MAX_FINDINGS = 1000  # about one manifest: more are neither read by anybody nor worth the time to find

_Problems: TypeAlias = "defaultdict[Manifest, list[Problem]]"


def validate(
    loaded: Loaded, *, keep_going: bool = False, offline: bool = False, secrets: SecretAccess | None = None
) -> Desired:
    """Check everything that was loaded. Raises ``InvalidInput`` with all problems, load's included.

    With ``keep_going``, errors of single resources are in ``Desired.problems`` instead, and these in ``invalid``. Those
    of the Stack, and of files and documents of which nobody can tell what they declare, raise all the same. With
    ``offline``, no plan follows that looks on the cluster: what is referred to and not described is a warning. With
    ``secrets``, others may not be named.
    """
    result = Validator(once=True, secrets=secrets).examine(loaded)
    desired = result.desired
    known = {manifest.id for manifest in result.wrong}
    elsewhere: list[Problem] = []
    if offline:
        elsewhere += undescribed(desired.resources, desired.requests.values(), known)
        elsewhere += outside_of_reach(desired.resources)
        elsewhere += open_consoles(desired.resources, desired.stack.agent)
        elsewhere += without_their_disks(desired.resources)
        elsewhere += overlapping_subnets(desired.resources.values())
        elsewhere += expected_of_others(desired.stack.expect, {*desired.resources, *known})
    errors = [problem for problem in result.problems if problem.severity is Severity.ERROR]
    if errors and (not keep_going or _has_error(result.others) or _has_error(result.of_stack)):
        raise InvalidInput([*result.problems, *elsewhere])
    return replace(desired, warnings=sorted([*desired.warnings, *elsewhere]), problems=sorted(errors))


class ValidationResult(NamedTuple):
    """The desired state without what has errors, and all problems."""

    desired: Desired
    wrong: Mapping[Manifest, Sequence[Problem]]
    others: Sequence[Problem]  # with files and documents that are no manifest
    of_stack: Sequence[Problem] = ()  # those of ``wrong`` that are of the Stack

    @property
    def problems(self) -> list[Problem]:
        """All problems: of manifests, of files and of other documents."""
        return [*self.others, *(problem for problems in self.wrong.values() for problem in problems)]


class CheckedManifest(NamedTuple):
    """One manifest checked by itself: the resource it declares, and its problems."""

    resource: LinkedResource | None = None
    problems: tuple[Problem, ...] = ()


class Validator:
    """Validates the manifests of one stack, any number of times."""

    def __init__(self, *, once: bool = False, secrets: SecretAccess | None = None) -> None:
        """With ``once``, nothing of an earlier time takes the place of files that cannot be read: a Stack that is in
        none of the others may be in them. With ``secrets``, a manifest that names others has an error."""
        self._once, self._secrets = once, secrets
        self._checked: dict[Manifest, CheckedManifest] = {}
        self._defaults: tuple[dict[str, Any], bool] = {}, False
        self._resources: dict[ResourceId, Declared] = {}  # of the last time
        self._cross_checks: CrossChecks | None = None  # of the last time, if nothing was wrong

    def examine(self, loaded: Loaded) -> ValidationResult:
        """Check everything that was loaded. The desired state leaves out manifests with errors."""
        problems: _Problems = defaultdict(list)
        stack = _stack(loaded, problems)
        if self._once and loaded.stack is None and loaded.problems:
            stack = replace(stack, node_unknown=True)
        before, checked = self._check_each(loaded.manifests, stack)
        resources = self._updated(before, checked)
        if resources is None:
            self._cross_checks = _check_together(checked, problems)
        requests = requests_of(each for each in loaded.manifests if each.id.kind == OPERATION)
        described = resources if resources is not None or self._cross_checks is None else self._cross_checks.resources
        conflicts = contradictions(requests.requests.values(), described or {})
        for manifest, finding in (*requests.findings, *conflicts):
            problems[manifest].append(finding if isinstance(finding, Problem) else manifest.problem(finding))
        invalid = {manifest for manifest, found in problems.items() if _has_error(found)}
        of_stack = problems.get(loaded.stack, []) if loaded.stack is not None else []
        if resources is None and self._cross_checks is not None:
            known = sorted(self._cross_checks.resources.items())
            resources = {
                id: declared
                for id, declared in known
                if declared.manifest not in invalid and "nodeName" in declared.shape
            }
        self._resources = resources or {}
        if problems:
            self._cross_checks = None
        warnings = _warnings(problems)
        if loaded.stack is not None and not invalid:  # what is wrong may be what is named
            warnings += map(loaded.stack.problem, names_nothing(loaded.stack, stack, self._resources))
        ids = frozenset(id for manifest in invalid - {loaded.stack} for id in ids_of(manifest)) | requests.left_out
        desired = Desired(stack, self._resources, requests.without(invalid), sorted(warnings), ids)
        return ValidationResult(desired, problems, list(loaded.problems), of_stack)

    def _check_each(
        self, manifests: Iterable[Manifest], stack: Stack
    ) -> tuple[dict[Manifest, CheckedManifest], dict[Manifest, CheckedManifest]]:
        """Check each manifest by itself, unless that was done already; the results of last time and of now."""
        defaults = stack.defaults, stack.node_unknown
        if defaults != self._defaults:  # every manifest may mean something else now
            self._defaults, self._checked, self._cross_checks = defaults, {}, None
        before = self._checked
        self._checked = {each: before.get(each) or _check_or_bug(each, stack, self._secrets) for each in manifests}
        return before, self._checked

    def _updated(
        self, before: Mapping[Manifest, CheckedManifest], checked: Mapping[Manifest, CheckedManifest]
    ) -> dict[ResourceId, Declared] | None:
        """The resources of last time with the changes. None if there was or is an error: then all are checked again."""
        cross_checks, self._cross_checks = self._cross_checks, None
        if cross_checks is None:
            return None
        added = [checked[each] for each in checked.keys() - before.keys()]
        if any(each.problems for each in added):
            return None
        gone = [each for manifest in before.keys() - checked.keys() if (each := before[manifest].resource)]
        new = [each.resource for each in added if each.resource is not None]
        try:
            if not cross_checks.replace(gone, new):
                return None
        except Exception:  # a bug that one of them meets: which one, checking everything again tells
            return None
        self._cross_checks = cross_checks
        resources = {**self._resources, **{each.declared.id: each.declared for each in new}}
        for id in {each.declared.id for each in gone} - {each.declared.id for each in new}:
            del resources[id]
        return resources if resources.keys() == self._resources.keys() else dict(sorted(resources.items()))


def _stack(loaded: Loaded, problems: _Problems) -> Stack:
    """The settings of the Stack; ``problems`` gets those of its document."""
    try:
        stack, findings = stack_of(loaded)
        found = [] if loaded.stack is None else [loaded.stack.problem(finding) for finding in findings]
    except Exception as error:
        if loaded.stack is None:
            raise
        stack, found = Stack(stack_name(loaded.root)), [loaded.stack.bug(error)]
    if loaded.stack is not None and found:
        problems[loaded.stack] += found
    return stack


def _check_together(checked: Mapping[Manifest, CheckedManifest], problems: _Problems) -> CrossChecks:
    """Check all resources against each other; ``problems`` gets theirs and those of each by itself."""
    cross_checks = CrossChecks()
    for manifest, each in checked.items():
        if each.problems:
            problems[manifest] += each.problems
        if each.resource is None:
            continue
        try:
            problem = cross_checks.add(each.resource)
        except Exception as error:
            problem = manifest.bug(error)
        if problem is not None:
            problems[manifest].append(problem)
    for resource, problem in cross_checks.problems():
        problems[resource.manifest].append(problem)
    return cross_checks


def _has_error(problems: Iterable[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in problems)


def ids_of(manifest: Manifest) -> Iterator[ResourceId]:
    """The ids that a manifest speaks of: its own, and the name that its resource had before."""
    if manifest.id.kind == OPERATION:
        yield request_id(manifest.id.name)
        return
    yield manifest.id
    if isinstance(former := manifest.metadata.get("movedFrom"), str):
        yield manifest.id._replace(name=former)


def _warnings(problems: Mapping[Manifest, Iterable[Problem]]) -> list[Problem]:
    return [each for found in problems.values() for each in found if each.severity is not Severity.ERROR]


def _check_or_bug(manifest: Manifest, stack: Stack, secrets: SecretAccess | None) -> CheckedManifest:
    """Check one manifest by itself; a bug that it meets is its problem, and no other's."""
    try:
        checked = _check(manifest, stack)
        refused = refused_secrets(manifest.spec, secrets) if secrets is not None else ()
        return checked._replace(problems=(*checked.problems, *map(manifest.problem, refused)))
    except Exception as error:
        return CheckedManifest(problems=(manifest.bug(error),))


def _check(manifest: Manifest, stack: Stack) -> CheckedManifest:
    """Check one manifest by itself, and what its schema accepts of it also further. An ``Operation`` is no resource."""
    kind, namespace = manifest.id.kind, manifest.id.namespace
    findings = list(islice(_schema_errors(manifest), MAX_FINDINGS + 1))
    if len(findings) > MAX_FINDINGS:
        findings[MAX_FINDINGS:] = [Finding((), f"more than {MAX_FINDINGS} problems", "Fix the others first.")]
    if kind == OPERATION or kind not in KINDS:
        return CheckedManifest(problems=tuple(map(manifest.problem, findings)))
    shape = None if findings else _shape(manifest, stack)
    broken = frozenset[str]()
    if shape is None:
        refused = {each.path for each in findings}
        findings += [each for each in _size_errors(manifest) if each.path not in refused]
        if any(len(each.place) < 2 and each.place[:1] in ((), ("spec",)) for each in findings):
            return CheckedManifest(problems=tuple(map(manifest.problem, findings)))
        broken = frozenset(str(each.place[1]) for each in findings if each.place[0] == "spec")
        spec = {name: value for name, value in manifest.spec.items() if name not in broken}
        shape = declared(kind, spec, stack.defaults, namespace)
    if stack.node_unknown and "nodeName" not in shape:
        broken |= {"nodeName"}
    resource = Declared(manifest.id, shape, manifest, broken=broken)
    findings += [finding.under("spec") for finding in islice(check(resource), MAX_FINDINGS)]
    drift = manifest.metadata.get("drift")
    if drift and not any(each.place[:2] == ("metadata", "drift") for each in findings):
        findings += [finding.under("metadata", "drift") for finding in drift_policy.policy_errors(drift, kind)]
    labels = manifest.metadata.get("labels", {})
    if not any(each.place[:2] == ("metadata", "labels") for each in findings):
        findings += [finding.under("metadata", "labels") for finding in label_errors(kind, labels)]
    references = tuple(references_of(kind, resource.spec, namespace))
    linked = LinkedResource(resource, references, tuple(reservations_of(resource)))
    return CheckedManifest(linked, tuple(map(manifest.problem, findings)))


def _shape(manifest: Manifest, stack: Stack) -> Shape | None:
    """The shape that a manifest declares; None where the text of a size is none."""
    try:
        return declared(manifest.id.kind, manifest.spec, stack.defaults, manifest.id.namespace)
    except ValueError:
        return None


def _schema_errors(manifest: Manifest) -> Iterator[Finding]:
    kind = manifest.id.kind
    if kind not in KINDS and kind != OPERATION:
        kinds = [*KINDS, OPERATION]
        nearest = get_close_matches(kind, kinds, n=1, cutoff=0.4)
        remedy = f"Did you mean {nearest[0]}?" if nearest else f"Known kinds: {', '.join(kinds)}."
        yield Finding(("kind",), f"unknown kind {shown(kind)}", remedy)
    elif not schema.accepts(kind)(manifest.document):
        yield from schema.explain_errors(kind, manifest.document)


def _size_errors(manifest: Manifest) -> Iterator[Finding]:
    for pattern in quantity_fields(manifest.id.kind):
        for path, value in values_at(manifest.spec, pattern):
            try:
                quantity.parse(value)
            except ValueError as error:
                yield Finding(("spec", *path), str(error), "Use a whole number: 1536Mi, 20Gi.")
