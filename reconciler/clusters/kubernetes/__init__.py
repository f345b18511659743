"""The cluster on Kubernetes: the custom resources of ``doslab.io/v1``, and beside them what a stack needs kept.

Journals, leases and the key of digests live in one namespace, that of the resources themselves (wire format
1.1), so that whoever works on a stack finds the same ones from wherever they are.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from itertools import islice
from secrets import token_bytes
from typing import Any, TypeAlias
from urllib.parse import quote

from reconciler.clusters.base import RUN_BEGINS, RUN_ENDS, Listing
from reconciler.clusters.kubernetes.api import Api, Doubtful, open_api
from reconciler.clusters.kubernetes.journal import KubernetesJournal
from reconciler.clusters.kubernetes.lease import KubernetesLease, Leases
from reconciler.clusters.kubernetes.stream import KubernetesWatch
from reconciler.model.kinds import KINDS
from reconciler.model.problem import AlreadyExists, Conflict, Expired, NotFound
from reconciler.model.resource import DEFAULT_NAMESPACE, Resource, ResourceId, id_of
from reconciler.model.wire import WIRE_API_VERSION

Entries: TypeAlias = list[dict[str, Any]]  # inside the class, `list` is the method

PAGE = 500  # resources a request
LISTINGS = 3  # times a list is begun that expired between pages
EVENT = "Event"
DIGEST_KEY = "reconcile-digest-key"

# Kind -> path of its API, and its plural there.
_SERVED = {kind.name: (f"/apis/{WIRE_API_VERSION}", kind.plural) for kind in KINDS.values()}
_SERVED[EVENT] = ("/apis/events.k8s.io/v1", "events")


class KubernetesCluster:
    """A ``Cluster``. Threads may share it."""

    def __init__(self, api: Api, *, namespace: str = DEFAULT_NAMESPACE) -> None:
        self.api = api
        self.namespace = namespace
        self._journal = KubernetesJournal(api, namespace)
        self._leases = Leases(api, namespace)
        self._digest_key = b""

    @classmethod
    def connect(cls, *, kubeconfig: str = "", context: str = "") -> KubernetesCluster:
        """Nothing is sent yet. Raises ``ClusterError`` when no API is known or its credentials are unusable."""
        return cls(open_api(kubeconfig=kubeconfig, context=context))

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
        items: Entries = []
        while True:
            try:
                page = self.api.get(_collection(kind), query)
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
            return _read(id.kind, self.api.get(_path(id)))
        except NotFound:
            return None

    def create(self, resource: Resource) -> Resource:
        id = id_of(resource)

        def same(stored: Resource) -> bool:
            return all(stored.get(key) == value for key, value in resource.items() if key != "metadata")

        try:
            return self._settled("POST", _collection(id.kind, id.namespace), resource, id, same)
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

        return self._settled("PUT", _path(id), resource, id, same)

    def delete(self, id: ResourceId, *, version: str | None = None) -> None:
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if version is not None:
            options["preconditions"] = {"resourceVersion": version}
        doubtful = False
        while True:
            try:
                self.api.write("DELETE", _path(id), options)
            except Doubtful:
                self.api.get("/version")  # wait until it answers again
                doubtful = True
                continue
            except NotFound:
                if not doubtful:
                    raise
            return

    def _settled(
        self, method: str, path: str, resource: Resource, id: ResourceId, same: Callable[[Resource], bool]
    ) -> Resource:
        """Write until there is an answer. The version in it keeps what was stored from being stored twice."""
        doubtful = False
        while True:
            try:
                return _read(id.kind, self.api.write(method, path, resource))
            except Doubtful:
                self.api.get("/version")  # wait until it answers again
                doubtful = True
            except (AlreadyExists, Conflict):
                stored = self.get(id) if doubtful else None
                if stored is None or not same(stored):
                    raise
                return stored

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> KubernetesWatch:
        # Events may be in a store of their own, whose versions have nothing to do with those of resources.
        versions = {kind: self._version(kind) if kind == EVENT else since for kind in kinds}
        return KubernetesWatch(self.api, {kind: _collection(kind) for kind in kinds}, versions, labels)

    def _version(self, kind: str) -> str:
        return str(self.api.get(_collection(kind), {"limit": 1})["metadata"]["resourceVersion"])

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        self._journal.append(stack, entry)

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        if newest is None:
            return self._journal.entries(stack)
        return [*islice(self._journal.newest_first(stack), newest)][::-1]

    def shorten(self, stack: str, *, newest: int) -> None:
        self._journal.shorten(stack, newest)

    def unfinished(self, stack: str) -> Entries:
        found: Entries = []
        for entry in self._journal.newest_first(stack):
            if entry.get("phase") == RUN_ENDS:
                break
            found.append(entry)
            if entry.get("phase") == RUN_BEGINS:
                break
        return found[::-1]

    def lease(self, name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> KubernetesLease:
        return self._leases.take(name, holder, wait, annotation)

    def lease_annotations(self, prefix: str) -> Collection[str]:
        return self._leases.annotations(prefix)

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        try:
            data: Mapping[str, str] = self.api.get(_secret(namespace, name)).get("data") or {}
        except NotFound:
            return None
        return data

    def digest_key(self) -> bytes:
        while not self._digest_key:
            stored = self.secret(self.namespace, DIGEST_KEY)
            if stored is None:
                self._create_digest_key()
            else:
                self._digest_key = base64.b64decode(stored["key"])
        return self._digest_key

    def _create_digest_key(self) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": DIGEST_KEY},
            "data": {"key": base64.b64encode(token_bytes(32)).decode()},
        }
        with suppress(AlreadyExists, Doubtful):  # there is one by now, perhaps this one: it is read next
            self.api.write("POST", _secret(self.namespace), body)

    def _serves(self, kind: str) -> bool:
        return bool(self.list(kind).version)

    def close(self) -> None:
        self.api.close()


def _collection(kind: str, namespace: str = "") -> str:
    root, plural = _SERVED[kind]
    return f"{root}/namespaces/{quote(namespace, safe='')}/{plural}" if namespace else f"{root}/{plural}"


def _path(id: ResourceId) -> str:
    return f"{_collection(id.kind, id.namespace)}/{quote(id.name, safe='')}"


def _secret(namespace: str, name: str = "") -> str:
    folder = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    return f"{folder}/{quote(name, safe='')}" if name else folder


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
