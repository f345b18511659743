"""What a check reports: a path inside one document, what is wrong there and what to do.

A check knows no files: ``Manifest.problem`` adds the place and the resource, once for all checks.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.problem import Severity
from reconciler.model.resource import Path


class Finding(NamedTuple):
    """One thing that is wrong with a document. Its path begins where the check began: in a spec, or in the document."""

    path: Path
    message: str
    remedy: str  # a sentence in the imperative
    missing: str = ""  # the field that ``path`` needs and does not have, where that is what is wrong
    severity: Severity = Severity.ERROR

    @property
    def place(self) -> Path:
        """The path of the value, also of one that is missing."""
        return (*self.path, self.missing) if self.missing else self.path

    def under(self, *path: str | int) -> Finding:
        """The same finding with its path seen from further out: ``path`` comes before its own."""
        return self._replace(path=(*path, *self.path))
