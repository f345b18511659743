"""``Operation`` documents: do this once. A manifest becomes a request, or findings about it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from reconciler import catalogue
from reconciler.catalogue.operation import Operation, Verb
from reconciler.manifests.finding import Finding
from reconciler.manifests.loader import Manifest
from reconciler.model.kinds import KINDS
from reconciler.model.problem import InvalidInput, Origin, Problem
from reconciler.model.resource import Path, ResourceId
from reconciler.model.secret import Secret, secret_from

KIND = "Operation"
SAMPLE_SECRET = "sample-1"  # stands for a password where parameters are checked before it is known


@dataclass(slots=True, eq=False)
class Request:
    """One operation asked for by name: run once for each name and content."""

    name: str
    target: ResourceId
    operation: Operation
    parameters: dict[str, str | bool | Secret] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    manifest: Manifest | None = None

    @property
    def content(self) -> str:
        """A digest of what it asks for; another one under the same name is another request."""
        asked = {
            "target": str(self.target),
            "operation": self.operation.name,
            "parameters": {
                name: value.to_json() if isinstance(value, Secret) else value for name, value in self.parameters.items()
            },
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

    def show(self) -> str:
        """The parameters as people read them; secrets by their place."""
        parts = []
        for name, value in self.parameters.items():
            shown = (
                str(value).lower() if isinstance(value, bool) else f"<{value}>" if isinstance(value, Secret) else value
            )
            parts.append(f"{name}={shown}")
        return " ".join(parts)


def request_of(manifest: Manifest) -> tuple[Request | None, list[Finding]]:
    """The request of a document that its schema accepts, or what is wrong; paths begin in the document."""
    spec, namespace = manifest.spec, manifest.id.namespace
    target = ResourceId(spec["target"]["kind"], spec["target"]["name"], namespace)
    name = spec["operation"]
    place: Path = ("spec", "operation")
    try:
        operation = catalogue.find(target.kind, name)
    except KeyError:
        return None, [Finding(place, f"{name} is not an operation of {target.kind}", _nearest(target.kind, name))]
    if operation.verb in _BY_MANIFEST and operation.fields:
        message = f"{name} follows from manifests, it is not asked for"
        return None, [Finding(place, message, _BY_MANIFEST[operation.verb])]
    given = {key: wire(value) for key, value in spec.get("parameters", {}).items()}
    hidden = {row.name for row in operation.parameters if row.secret}
    findings = [
        Finding(("spec", "parameters", key), f"{key} is a secret", f"Give it as {_home_of_secret(key)}.")
        for key in given
        if key in hidden
    ]
    secrets = dict(_secrets(spec, namespace))
    findings += check(operation, given, secrets)
    if findings:
        return None, findings
    return Request(manifest.id.name, target, operation, given | secrets, tuple(spec.get("after", ())), manifest), []


# What to do instead of asking for an operation that creates or deletes.
_BY_MANIFEST = {
    Verb.CREATE: "Describe the resource.",
    Verb.DELETE: "Remove the resource's manifest and use --prune.",
}


def request_from_words(
    name: str, target: ResourceId, operation: str, words: Iterable[str], secrets: Mapping[str, str | None]
) -> Request:
    """The request of a command line: ``key=value`` words, and secrets as ``env:NAME`` or ``file:PATH``.

    Raises ``InvalidInput`` with everything that is wrong.
    """
    try:
        row = catalogue.find(target.kind, operation)
    except KeyError:
        message = f"{operation} is not an operation of {target.kind}"
        raise InvalidInput([Problem(Origin("run"), message, _nearest(target.kind, operation))]) from None
    problems = []
    given: dict[str, str | bool] = {}
    switches = {each.name for each in row.parameters if each.type == "boolean"}
    hidden = {each.name for each in row.parameters if each.secret}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            problems.append(Problem(Origin("run"), f"{word!r} is not KEY=VALUE", "Write name=value."))
        elif key in given:
            problems.append(Problem(Origin("run"), f"{key} is given twice", "Keep one."))
        elif key in hidden:
            remedy = f"Use --{key}-from env:NAME or file:PATH."
            problems.append(Problem(Origin("run"), f"{key} is a secret; a command line is no place for it", remedy))
        given[key] = value == "true" if key in switches and value in ("true", "false") else value
    found: dict[str, Secret] = {}
    for key, text in secrets.items():
        source, _, where = (text or "").partition(":")
        if text is not None and (source not in ("env", "file") or not where):
            problems.append(Problem(Origin("run"), f"--{key}-from {text}", "Write env:NAME or file:PATH."))
        elif text is not None:
            found[key] = Secret(source, where)
    if not problems:
        problems = [Problem(Origin("run"), message, remedy) for _, message, remedy in check(row, given, found)]
    if problems:
        raise InvalidInput(problems)
    return Request(name, target, row, given | found)


def check(operation: Operation, given: Mapping[str, str | bool], secrets: Mapping[str, Secret]) -> Iterator[Finding]:
    """What the catalogue refuses in the parameters, each with its place in the document."""
    samples = dict.fromkeys(secrets, SAMPLE_SECRET)
    for message in catalogue.check(operation, {**given, **samples}):
        name = message.split(" ", 1)[0].rstrip(":")
        path: Path = ("spec", "parameters", name) if name in given else ("spec",)
        yield Finding(path, f"{operation.name}: {message}", f"See 'reconcile operations {operation.name}'.")


def wire(value: Any) -> str | bool:
    """A YAML scalar as it is sent: switches stay switches, numbers are text."""
    return value if isinstance(value, bool) else str(value)


def _secrets(spec: Mapping[str, Any], namespace: str) -> Iterator[tuple[str, Secret]]:
    if "passwordFrom" in spec:
        yield "password", secret_from(spec["passwordFrom"], namespace)
    for name, source in spec.get("credentialsFrom", {}).items():
        yield name, secret_from(source, namespace)


def _home_of_secret(parameter: str) -> str:
    return "passwordFrom, or in credentialsFrom" if parameter == "password" else "a field of the resource's manifest"


def _nearest(kind: str, name: str) -> str:
    near = catalogue.nearest(kind, name)
    if near:
        return f"Did you mean {', '.join(near)}?"
    elsewhere = [other for other in KINDS if get_close_matches(name, _names(other), n=1, cutoff=0.9)]
    return f"It is one of {', '.join(elsewhere)}." if elsewhere else "See 'reconcile operations'."


def _names(kind: str) -> list[str]:
    return [operation.name for operation in catalogue.OPERATIONS if operation.kind == kind]
