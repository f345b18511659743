"""The ``Operation`` documents of a stack -> requests, in an order in which they may run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.manifests import schema
from reconciler.manifests.finding import Finding
from reconciler.manifests.loader import Manifest
from reconciler.manifests.request import KIND, Request, request_of
from reconciler.model import graph

# Metadata that resources have and Operations do not, and why.
_NOT_OF_OPERATIONS = {
    "movedFrom": "an Operation cannot be renamed",
    "drift": "an Operation runs once and cannot drift",
}


class RequestSet(NamedTuple):
    """Requests by name, each after those it waits for, and the findings about documents."""

    requests: dict[str, Request]
    findings: list[tuple[Manifest, Finding]]

    def without(self, invalid: Iterable[Manifest]) -> dict[str, Request]:
        """The requests without errors that wait only for requests without errors."""
        refused = {manifest.id.name for manifest in invalid if manifest.id.kind == KIND}
        kept: dict[str, Request] = {}
        for name, request in self.requests.items():
            if name not in refused and all(other in kept for other in request.after):
                kept[name] = request
        return kept


def requests_of(manifests: Iterable[Manifest]) -> RequestSet:
    """The requests of all ``Operation`` documents. Those that its schema refuses are reported elsewhere."""
    findings: list[tuple[Manifest, Finding]] = []
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
        request, wrong = request_of(manifest)
        findings += [(manifest, finding) for finding in (*_metadata_errors(manifest), *wrong)]
        if request is not None:
            requests[name] = request
    findings += _unknown_references(requests, documents)
    try:
        waves = graph.waves(
            {name: [other for other in requests[name].after if other in requests] for name in sorted(requests)}
        )
    except graph.Cycle as cycle:
        message = f"these Operations wait for each other: {cycle}"
        finding = Finding(("spec", "after"), message, "Remove one of the references.")
        return RequestSet({}, [*findings, (documents[cycle.members[0]], finding)])
    return RequestSet({name: requests[name] for wave in waves for name in wave}, findings)


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
