"""Secrets that a manifest names and this machine does not allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.manifests.finding import Finding
from reconciler.model.resource import Path
from reconciler.model.secret_access import SecretAccess


def refused_secrets(spec: Mapping[str, Any], access: SecretAccess) -> Iterator[Finding]:
    """Findings for the variables and files in a spec, as written, that may not be read. Paths begin in the document."""
    for path, source, name in _named((), spec):
        if refused := access.refusal(source, name, resolved=True):
            yield Finding(("spec", *path), *refused)


def _is_source(path: Path, key: str) -> bool:
    """Whether a field says where a secret is: ``passwordFrom``, or a member of ``credentialsFrom``."""
    return key.endswith("From") or (bool(path) and str(path[-1]).endswith("From"))


def _named(path: Path, value: Any) -> Iterator[tuple[Path, str, str]]:
    """Path, source and name of every variable and file that a ``...From`` names, however deep."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if not isinstance(key, str):
                continue
            if isinstance(each, Mapping) and _is_source(path, key):
                yield from (
                    ((*path, key, source), source, each[source])
                    for source in ("env", "file")
                    if isinstance(each.get(source), str)
                )
            yield from _named((*path, key), each)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _named((*path, number), each)
