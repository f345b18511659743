"""The custom resources and Events of a Kubernetes API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from reconciler.clusters.base import Listing
from reconciler.clusters.kubernetes.api import Api
from reconciler.clusters.kubernetes.errors import Unconfirmed
from reconciler.clusters.kubernetes.watch import KubernetesWatch
from reconciler.model.kinds import KINDS
from reconciler.model.problem import AlreadyExists, Conflict, Expired, NotFound
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import WIRE_API_VERSION

Resources: TypeAlias = list[Resource]  # inside the class, `list` is the method

PAGE = 500  # resources a request
LISTINGS = 3  # times a list is begun that expired between pages
EVENT = "Event"
SYSTEM_NAMESPACE = "kube-system"  # made with the cluster and never again: its UID is the cluster's identity

# Kind -> path of its API, and its plural there.
_SERVED = {kind.name: (f"/apis/{WIRE_API_VERSION}", kind.plural) for kind in KINDS.values()}
_SERVED[EVENT] = ("/apis/events.k8s.io/v1", "events")


class KubernetesResources:
    """A ``ResourceStore``. Threads may share it."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def silence(self, timeout: float) -> str:
        return self._api.silence(timeout)

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        for _ in range(LISTINGS - 1):
            try:
                return self._pages(kind, labels)
            except Expired:  # it took longer than the server keeps a version: begin again
                continue
        return self._pages(kind, labels)

    def _pages(self, kind: str, labels: Mapping[str, str] | None) -> Listing:
        query: dict[str, str | int] = {"limit": PAGE}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        items: Resources = []
        while True:
            try:
                page = self._api.get(_collection(kind), query)
            except NotFound:
                return Listing([], "")  # not served: there can be none
            items += [_read(kind, item) for item in page["items"]]
            if not (more := page["metadata"].get("continue")):
                break
            query["continue"] = more
        if kind == EVENT:
            items = [item for item in items if _is_ours(item)]
        items.sort(key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))
        return Listing(items, str(page["metadata"]["resourceVersion"]))

    def get(self, id: ResourceId) -> Resource | None:
        try:
            return _read(id.kind, self._api.get(_path(id)))
        except NotFound:
            return None

    def identity(self) -> str:
        return str(self._api.get(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}")["metadata"]["uid"])

    def create(self, resource: Resource) -> Resource:
        id = id_of(resource)

        def same(stored: Resource) -> bool:
            return all(stored.get(key) == value for key, value in resource.items() if key != "metadata")

        try:
            return self._write_until_answered("POST", _collection(id.kind, id.namespace), resource, id, same)
        except NotFound as error:
            if self._serves(id.kind):
                raise
            raise NotFound(
                f"the API does not serve {id.kind}; install its definition: reconcile crds | kubectl apply -f -"
            ) from error

    def update(self, resource: Resource) -> Resource:
        id = id_of(resource)
        if not resource["metadata"].get("resourceVersion"):
            raise Conflict(f"{id} cannot be replaced without saying which version of it")

        def same(stored: Resource) -> bool:
            return _content(stored) == _content(resource)

        return self._write_until_answered("PUT", _path(id), resource, id, same)

    def delete(self, id: ResourceId, *, version: str | None = None) -> None:
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if version is not None:
            options["preconditions"] = {"resourceVersion": version}
        unconfirmed = False
        while True:
            try:
                self._api.write("DELETE", _path(id), options)
            except Unconfirmed:
                self._api.get("/version")  # wait until it answers again
                unconfirmed = True
                continue
            except NotFound:
                if not unconfirmed:
                    raise
            return

    def _write_until_answered(
        self, method: str, path: str, resource: Resource, id: ResourceId, same: Callable[[Resource], bool]
    ) -> Resource:
        """Write until there is an answer, and return what is stored.

        The version in the resource keeps it from being stored twice; ``same`` tells whether what is stored is ours.
        """
        unconfirmed = False
        while True:
            try:
                return _read(id.kind, self._api.write(method, path, resource))
            except Unconfirmed:
                self._api.get("/version")  # wait until it answers again
                unconfirmed = True
            except (AlreadyExists, Conflict):
                stored = self.get(id) if unconfirmed else None
                if stored is None or not same(stored):
                    raise
                return stored

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> KubernetesWatch:
        # Events may be in a store of their own, whose versions have nothing to do with those of resources.
        versions = {kind: self._version(kind) if kind == EVENT else since for kind in kinds}
        return KubernetesWatch(self._api, {kind: _collection(kind) for kind in kinds}, versions, labels)

    def _version(self, kind: str) -> str:
        return str(self._api.get(_collection(kind), {"limit": 1})["metadata"]["resourceVersion"])

    def _serves(self, kind: str) -> bool:
        return bool(self.list(kind).version)


def _collection(kind: str, namespace: str = "") -> str:
    root, plural = _SERVED[kind]
    return f"{root}/namespaces/{quote(namespace, safe='')}/{plural}" if namespace else f"{root}/{plural}"


def _path(id: ResourceId) -> str:
    return f"{_collection(id.kind, id.namespace)}/{quote(id.name, safe='')}"


def _read(kind: str, item: Resource) -> Resource:
    """A resource as the rest knows it: with its kind, without the book-keeping of who set which field."""
    item["kind"] = kind
    item["metadata"].pop("managedFields", None)
    return item


def _content(resource: Resource) -> tuple[Any, ...]:
    metadata = resource["metadata"]
    return resource.get("spec"), metadata.get("labels") or {}, metadata.get("annotations") or {}


def _is_ours(event: Resource) -> bool:
    """Whether an Event is about one of the kinds; a cluster has many that are not."""
    return (event.get("regarding") or {}).get("kind") in KINDS
