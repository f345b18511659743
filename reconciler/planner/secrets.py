"""Secrets that manifests name and may not read of the machine that applies them: a problem of the resource."""

from __future__ import annotations

from reconciler.model.fields import secret_fields
from reconciler.model.path import values_at
from reconciler.model.secret import Secret
from reconciler.planner.findings import Findings
from reconciler.planner.inputs import PlanInput


def refuse_secrets(inputs: PlanInput, found: Findings) -> None:
    """Add a problem for each such field of the resources concerned, whether it changes or not."""
    for id, declared in inputs.desired.resources.items():
        for pattern in secret_fields(id.kind) if inputs.policy.concerns(id) else ():
            for path, secret in values_at(declared.shape, pattern):
                if isinstance(secret, Secret) and secret.refused[0]:
                    message, remedy = secret.refused
                    found.refuse(id, inputs.problem(id, f"{id}: {message}", remedy, tuple(map(str, path))))
