"""The ``Operation`` documents of a stack -> requests, in an order in which they may run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.manifests import schema
from reconciler.manifests.finding import Finding
from reconciler.manifests.loader import Manifest
from reconciler.manifests.request import KIND, Request, request_of
from reconciler.model import graph
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId

# Metadata that resources have and Operations do not, and why.
_NOT_OF_OPERATIONS = {
    "movedFrom": "an Operation cannot be renamed",
    "drift": "an Operation runs once and cannot drift",
}


class RequestSet(NamedTuple):
    """Requests by name, each after those it waits for, and the findings about documents.

    ``left_out`` are those that wait for each other.
    """

    requests: dict[str, Request]
    findings: list[tuple[Manifest, Finding | Problem]]  # a problem is a bug that a document meets
    left_out: frozenset[ResourceId] = frozenset()

    def without(self, invalid: Iterable[Manifest]) -> dict[str, Request]:
        """The requests without errors; those they wait for may be missing."""
        refused = {manifest.id.name for manifest in invalid if manifest.id.kind == KIND}
        return {name: request for name, request in self.requests.items() if name not in refused}


def requests_of(manifests: Iterable[Manifest]) -> RequestSet:
    """The requests of all ``Operation`` documents. Those that its schema refuses are reported elsewhere."""
    findings: list[tuple[Manifest, Finding | Problem]] = []
    requests: dict[str, Request] = {}
    documents: dict[str, Manifest] = {}
    for manifest in manifests:
        if not schema.accepts(KIND)(manifest.document):
            continue
        name = manifest.id.name
        if name in documents:
            findings.append((manifest, _described_twice(manifest, documents[name])))
            continue
        documents[name] = manifest
        try:
            request, wrong = request_of(manifest)
        except Exception as error:
            findings.append((manifest, manifest.bug(error)))
            continue
        findings += [(manifest, finding) for finding in (*_metadata_errors(manifest), *wrong)]
        if request is not None:
            requests[name] = request
    findings += _unknown_references(requests, documents)
    left_out: set[ResourceId] = set()
    while True:
        after = {name: [other for other in requests[name].after if other in requests] for name in sorted(requests)}
        try:
            ordered = {name: requests[name] for wave in graph.waves(after) for name in wave}
        except graph.Cycle as cycle:
            message = f"these Operations wait for each other: {cycle}"
            finding = Finding(("spec", "after"), message, "Remove one of the references.")
            findings.append((documents[cycle.members[0]], finding))
            left_out.update(requests.pop(name).id for name in set(cycle.members))
        else:
            return RequestSet(ordered, findings, frozenset(left_out))


def _described_twice(manifest: Manifest, first: Manifest) -> Finding:
    place = first.origin("metadata", "name")
    message = f"the Operation {manifest.id.name} is described twice; the first is at {place}"
    return Finding(("metadata", "name"), message, "Give each a name of its own.")


def _metadata_errors(manifest: Manifest) -> Iterator[Finding]:
    for key, message in _NOT_OF_OPERATIONS.items():
        if key in manifest.metadata:
            yield Finding(("metadata", key), message, f"Take {key} away.")


def _unknown_references(
    requests: Mapping[str, Request], documents: Mapping[str, Manifest]
) -> Iterator[tuple[Manifest, Finding]]:
    for name, request in requests.items():
        for index, other in enumerate(request.after):
            if other not in documents:
                finding = Finding(("spec", "after", index), f"there is no Operation {other}", "Correct the name.")
                yield documents[name], finding
