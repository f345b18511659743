"""What is wrong with the labels of a manifest: names that route or own resources, and what a Kubernetes API refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from reconciler.manifests.finding import Finding
from reconciler.model.fields import label_fields
from reconciler.model.wire import PRIVATE_LABEL

_PART = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_PART}")
_VALUE = re.compile(rf"({_PART})?")


def label_errors(kind: str, labels: Mapping[str, str]) -> Iterator[Finding]:
    """The labels that a resource of this kind cannot have; paths begin in the labels."""
    fields = {label: path for path, label in label_fields(kind).items()}
    for name, value in labels.items():
        if PRIVATE_LABEL.match(name):
            message = "agents and reconcile use this label to route resources and to know whose they are"
            yield Finding((name,), message, "Use another name.")
        elif name in fields:
            field = ".".join(fields[name])
            yield Finding((name,), f"this label is what the field {field} writes", f"Declare spec.{field} instead.")
        elif not _NAME.fullmatch(name):
            remedy = "Use up to 63 letters, digits, '-', '_' and '.', after a prefix like example.com/ if there is one."
            yield Finding((name,), "this is no name of a label", remedy)
        elif not _VALUE.fullmatch(value):
            remedy = "Use up to 63 letters, digits, '-', '_' and '.', a letter or digit first and last; or nothing."
            yield Finding((name,), "a label cannot have this value", remedy)
