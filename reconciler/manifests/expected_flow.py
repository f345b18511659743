"""``spec.expect`` of the Stack: flows, and whether they are to pass once a plan is applied."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.manifests.finding import Finding
from reconciler.manifests.loader import Manifest
from reconciler.model.nearest import NearestResources
from reconciler.model.problem import Origin, Problem, Severity
from reconciler.model.resource import Path, ResourceId
from reconciler.model.trace.flow import Flow, FlowError, MachineEnd, end_of, flow_of, service_of

PLACE: Path = ("spec", "expect")


@dataclass(frozen=True, slots=True)
class ExpectedFlow:
    """A flow that is to pass, or is not to; ``path`` is where the manifest of the Stack says so."""

    flow: Flow
    allowed: bool
    manifest: Manifest = field(compare=False, repr=False)
    path: Path = field(compare=False)

    @property
    def origin(self) -> Origin:
        """Its file, line and column."""
        return self.manifest.origin(*self.path)

    def problem(self, message: str, remedy: str, *, severity: Severity = Severity.ERROR) -> Problem:
        """A problem at its place."""
        return self.manifest.problem(Finding(self.path, message, remedy, severity=severity))


def expected_flows(manifest: Manifest, entries: list[Mapping[str, Any]]) -> tuple[list[ExpectedFlow], list[Finding]]:
    """The flows of entries that their schema accepts, and what is wrong with the others."""
    found: dict[Flow, ExpectedFlow] = {}
    wrong: list[Finding] = []
    for index, entry in enumerate(entries):
        path = (*PLACE, index)
        if errors := [finding.under(*path) for finding in _errors(entry)]:
            wrong += errors
            continue
        flow = flow_of(entry["from"], entry["to"], entry["port"])
        expected = ExpectedFlow(flow, entry["allowed"], manifest, path)
        if found.setdefault(flow, expected).allowed is not expected.allowed:
            message = f"{flow} is expected to be allowed and not to be"
            wrong.append(Finding((*path, "allowed"), message, "Remove one of the two."))
    return list(found.values()), wrong


def _errors(entry: Mapping[str, Any]) -> Iterator[Finding]:
    reading = {"from": end_of, "to": end_of, "port": service_of}
    wrong = False
    for name, read in reading.items():
        try:
            read(entry[name])
        except FlowError as error:
            wrong = True
            yield Finding((name,), str(error), error.remedy)
    if not wrong:
        try:
            flow_of(entry["from"], entry["to"], entry["port"])
        except FlowError as error:
            yield Finding(("to",), str(error), error.remedy)


def expected_of_others(expected: Collection[ExpectedFlow], resources: Collection[ResourceId]) -> Iterator[Problem]:
    """A warning for each end of a flow that is not described: only the cluster can have it."""
    nearest = NearestResources(resources)
    for each in expected:
        for end in each.flow.ends:
            if isinstance(end, MachineEnd) and end.id not in resources:
                message = f"{end.id} is not described here: it must be on the cluster"
                remedy = f"Correct the name, or add a manifest for it.{nearest.did_you_mean(end.id)}"
                yield each.problem(message, remedy, severity=Severity.WARNING)
