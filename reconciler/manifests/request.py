"""Requests to run an operation once: from an ``Operation`` document or a command line. Pure."""

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
from reconciler.model.kinds import KINDS, MACHINE, POOL
from reconciler.model.problem import InvalidInput, Origin, Problem, clipped, shown
from reconciler.model.resource import Path, ResourceId
from reconciler.model.secret import Secret, secret_from

KIND = "Operation"
NAMING = {
    "pool": POOL,
    "targetPool": POOL,
    "domain": MACHINE,
    "targetDomain": MACHINE,
}  # parameters, and what they name
SAMPLE_SECRET = "sample-1"  # stands for a password where parameters are checked before it is known


@dataclass(slots=True, eq=False)
class Request:
    """An operation to run once for each name and content."""

    name: str
    target: ResourceId
    operation: Operation
    parameters: dict[str, str | bool | Secret] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    manifest: Manifest | None = None

    @property
    def id(self) -> ResourceId:
        """Its document, as an id among those of resources."""
        return request_id(self.name)

    @property
    def named(self) -> dict[str, ResourceId]:
        """The resources that parameters name, by parameter."""
        namespace = self.target.namespace
        given = {name: kind for name, kind in NAMING.items() if name in self.parameters}
        return {name: ResourceId(kind, str(self.parameters[name]), namespace) for name, kind in given.items()}

    @property
    def content(self) -> str:
        """A digest of target, operation and parameters; with another digest the same name is another request."""
        asked = {
            "target": str(self.target),
            "operation": self.operation.name,
            "parameters": {
                name: value.to_json() if isinstance(value, Secret) else value for name, value in self.parameters.items()
            },
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

    def show(self) -> str:
        """The parameters for people: ``name=value`` words, secrets as the place they are read from."""
        parts = []
        for name, value in self.parameters.items():
            shown = (
                str(value).lower() if isinstance(value, bool) else f"<{value}>" if isinstance(value, Secret) else value
            )
            parts.append(f"{name}={shown}")
        return " ".join(parts)


def request_id(name: str) -> ResourceId:
    """The id that stands for an ``Operation`` among those of resources. Their names are unique in all namespaces."""
    return ResourceId(KIND, name)


def request_of(manifest: Manifest) -> tuple[Request | None, list[Finding]]:
    """The request of a document that its schema accepts, or its findings, whose paths begin in the document."""
    spec, namespace = manifest.spec, manifest.id.namespace
    target = ResourceId(spec["target"]["kind"], spec["target"]["name"], namespace)
    name = spec["operation"]
    place: Path = ("spec", "operation")
    try:
        operation = catalogue.find(target.kind, name)
    except KeyError:
        message = f"{clipped(name)} is not an operation of {target.kind}"
        return None, [Finding(place, message, _nearest(target.kind, name))]
    if operation.verb in _BY_MANIFEST and operation.fields:
        message = f"{name} is planned from manifests and cannot be requested"
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
        message = f"{clipped(operation)} is not an operation of {target.kind}"
        raise _invalid(target, [Finding((), message, _nearest(target.kind, operation))]) from None
    given, findings = _given_words(row, words)
    found, wrong = _given_secrets(secrets)
    findings += wrong
    if not findings:
        findings = list(check(row, given, found))
    if findings:
        raise _invalid(target, findings)
    return Request(name, target, row, given | found)


def _invalid(target: ResourceId, findings: Iterable[Finding]) -> InvalidInput:
    return InvalidInput([Problem(Origin("run"), each.message, each.remedy, id=target) for each in findings])


def _given_words(operation: Operation, words: Iterable[str]) -> tuple[dict[str, str | bool], list[Finding]]:
    given: dict[str, str | bool] = {}
    findings: list[Finding] = []
    switches = {each.name for each in operation.parameters if each.type == "boolean"}
    hidden = {each.name for each in operation.parameters if each.secret}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            findings.append(Finding((), f"{shown(word)} is not KEY=VALUE", "Write name=value."))
        elif key in given:
            findings.append(Finding((), f"{key} is given twice", "Keep one."))
        elif key in hidden:
            message = f"{key} is a secret and must not be on the command line"
            findings.append(Finding((), message, f"Use --{key}-from env:NAME or file:PATH."))
        given[key] = value == "true" if key in switches and value in ("true", "false") else value
    return given, findings


def _given_secrets(secrets: Mapping[str, str | None]) -> tuple[dict[str, Secret], list[Finding]]:
    found: dict[str, Secret] = {}
    findings: list[Finding] = []
    for key, text in secrets.items():
        if text is None:
            continue
        source, _, where = text.partition(":")
        if source in ("env", "file") and where:
            found[key] = Secret(source, where)
        else:
            findings.append(Finding((), f"--{key}-from {text}", "Write env:NAME or file:PATH."))
    return found, findings


def check(operation: Operation, given: Mapping[str, str | bool], secrets: Mapping[str, Secret]) -> Iterator[Finding]:
    """Findings for parameters that the catalogue refuses. Their paths begin in the document."""
    samples = dict.fromkeys(secrets, SAMPLE_SECRET)
    for error in catalogue.parameter_errors(operation, {**given, **samples}):
        message, remedy = f"{operation.name}: {error.message}", f"See 'reconcile operations {operation.name}'."
        if error.parameter in secrets:
            yield Finding(("spec", *_place_of_secret(error.parameter)), message, remedy)
        else:
            yield Finding(("spec", "parameters"), message, remedy, missing=error.parameter)


def wire(value: Any) -> str | bool:
    """A YAML scalar as it is sent: switches stay switches, numbers are text."""
    return value if isinstance(value, bool) else str(value)


def _secrets(spec: Mapping[str, Any], namespace: str) -> Iterator[tuple[str, Secret]]:
    if "passwordFrom" in spec:
        yield "password", secret_from(spec["passwordFrom"], namespace)
    for name, source in spec.get("credentialsFrom", {}).items():
        yield name, secret_from(source, namespace)


def _place_of_secret(parameter: str) -> Path:
    return ("passwordFrom",) if parameter == "password" else ("credentialsFrom", parameter)


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
