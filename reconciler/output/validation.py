"""What ``validate`` found, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.output.escaping import page
from reconciler.output.plan_json import problem_json


class Validation(NamedTuple):
    """The resources that manifests describe, and warnings about them. Errors are raised as ``InvalidInput``."""

    resources: Sequence[ResourceId]
    warnings: Sequence[Problem]


def validation_text(validation: Validation) -> str:
    """How many resources are valid; warnings go to standard error."""
    number = len(validation.resources)
    return page([f"{number} {'resource is' if number == 1 else 'resources are'} valid."])


def validation_json(validation: Validation) -> dict[str, Any]:
    """The resources, and the warnings as problems."""
    return {
        "valid": True,
        "resources": [str(id) for id in validation.resources],
        "problems": [problem_json(problem) for problem in validation.warnings],
    }
