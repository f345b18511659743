"""Putting an operation on its resource (wire format 2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler import catalogue
from reconciler.apply.failure import InvalidParameters
from reconciler.apply.metadata import MetadataWriter, retry_on_conflict
from reconciler.apply.verifier import FAILURES, status_of
from reconciler.clusters.base import Cluster
from reconciler.model.problem import AlreadyExists, Conflict, NotFound
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import Secret, Vault
from reconciler.model.wire import LABEL_EVENT, LABEL_EVENT_SDK, LABEL_HOST, LIFECYCLE, WIRE_API_VERSION
from reconciler.observe.observed import Observed
from reconciler.observe.reading import DiskAt
from reconciler.planner.plan import Action, Expectation, PathOf, Step


@dataclass(frozen=True, slots=True)
class Submission:
    """Writes operations on resources, with parameters as ``agent`` names them, who serves the nodes.

    ``disk_at`` is where disks are, kept up to date by whoever watches.
    """

    cluster: Cluster
    vault: Vault
    metadata: MetadataWriter
    disk_at: DiskAt
    agent: str

    def expected(self, step: Step) -> tuple[Expectation, ...]:
        """The fields that the step is expected to leave, with references resolved. Raises as ``parameters`` does."""
        return tuple(Expectation(each.id, each.path, self._resolve(each.value)) for each in step.expect)

    def parameters(self, step: Step) -> dict[str, Any]:
        """The parameters to send.

        Raises ``NotFound`` for a path of a missing resource, ``InvalidParameters``, and what the vault raises.
        """
        parameters = {name: self._resolve(value) for name, value in step.parameters.items()}
        if wrong := catalogue.check(catalogue.find(step.carrier.kind, step.operation), parameters, self.agent):
            raise InvalidParameters("; ".join(wrong))
        return parameters

    def submit(self, step: Step, resource: Resource | None, parameters: dict[str, Any], event_id: str) -> None:
        """Write the operation on its resource as it was read: label, event id, one lifecycle key.

        Raises ``NotFound`` if there is none and the step does not make it, ``Conflict`` if it moved meanwhile.
        """
        operation = catalogue.find(step.carrier.kind, step.operation)
        if resource is None:
            if step.action is not Action.CREATE or step.resource != step.carrier:
                raise NotFound(f"{step.carrier} does not exist")
            resource = {
                "apiVersion": WIRE_API_VERSION,
                "kind": step.carrier.kind,
                "metadata": {"name": step.carrier.name, "namespace": step.carrier.namespace},
                "spec": {},
            }
        metadata, spec = resource["metadata"], resource.setdefault("spec", {})
        labels = metadata.setdefault("labels", {})
        if step.resource == step.carrier:
            labels.update(step.labels)
        # Whatever a plan says: these route the resource, and tell the end of its operation.
        labels.update({LABEL_HOST: step.node.lower(), LABEL_EVENT: event_id, LABEL_EVENT_SDK: event_id})
        if step.resource == step.carrier:
            self.metadata.annotate(resource, step)
        if status_of(resource)[0] in FAILURES:
            del spec["status"]  # nobody clears it (wire format 4.2); the next failure may read the same
        spec["nodeName"] = step.node
        spec[LIFECYCLE] = {operation.key: operation.parameters_for(self.agent, parameters)}
        if "resourceVersion" in metadata:
            self.cluster.update(resource)
        else:
            try:
                self.cluster.create(resource)
            except AlreadyExists as error:
                raise Conflict(str(error)) from error

    def withdraw(self, id: ResourceId, event_id: str) -> None:
        """Take an operation that its agent gave up off its resource, lest it is run some time. Raises ``Conflict``."""

        def without(resource: Resource) -> Resource:
            if event_id_of(resource) == event_id:
                resource["spec"].pop(LIFECYCLE, None)
            return resource

        retry_on_conflict(self.cluster, id, without)

    def _resolve(self, value: Any) -> Any:
        """Resolve references: secrets, and the paths of resources that earlier steps created."""
        if isinstance(value, Secret):
            return self.vault.read(value)
        if isinstance(value, PathOf):
            return self._path(value)
        if isinstance(value, tuple):
            return "".join(self._resolve(part) for part in value)
        return value

    def _path(self, part: PathOf) -> str:
        resource = self.cluster.get(part.id)
        path = Observed(resource, self.disk_at).shape.get("path") if resource is not None else None
        if not path:
            raise NotFound(f"the {part} is not known: it does not exist")
        return str(path)


def event_id_of(resource: Resource | None) -> str:
    """The event id of the operation that was last put on a resource."""
    return str(((resource or {}).get("metadata", {}).get("labels") or {}).get(LABEL_EVENT, ""))
