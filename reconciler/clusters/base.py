"""The interface to the API: what a cluster must do, in four parts.

Resources are wire dictionaries. ``resourceVersion`` is opaque text; every write makes a new one. An
implementation maps its own failures onto the exceptions of ``problem.py`` and is proved by the cluster
contract in ``tests/contracts``. Every method may raise ``ClusterError``, ``Unavailable`` where the same call may
succeed later.

A ``Cluster`` is each of its parts, so code that needs one part asks for that one; ``ComposedCluster`` makes a
cluster of parts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias

from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import SecretStore

Entries: TypeAlias = list[dict[str, Any]]  # of a journal, as JSON (``model.journal``)


class Listing(NamedTuple):
    """What exists of a kind, and the version from which a watch sees everything later (``earliest``)."""

    items: list[Resource]
    version: str


def earliest(versions: Iterable[str]) -> str:
    """The version from which a watch misses nothing that is later than any of these; "0" without any.

    Versions of one cluster are whole numbers that grow; that of a kind which is not served is empty.
    """
    return min((version for version in versions if version), key=age, default="0")


def age(version: str) -> tuple[int, str]:
    """A version as the key of an order, the oldest first; versions of one kind only, as Events may be kept apart."""
    return len(version), version


class EventType(StrEnum):
    """What happened to a resource, in the words of a Kubernetes watch."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class WatchEvent(NamedTuple):
    """One change that a watch saw. A hint: several writes may arrive as one, the newest."""

    type: EventType
    resource: Resource


class Watch(Protocol):
    """The changes of some kinds from a version on; used by one thread at a time."""

    def next(self, timeout: float) -> Sequence[WatchEvent]:
        """Wait up to ``timeout`` seconds; what changed since the last call, oldest first, or nothing.

        Raises ``Expired`` when the cluster no longer keeps what lies between: list again.
        """

    @property
    def version(self) -> str:
        """The version up to which ``next`` has given everything: another watch may go on from it."""

    def close(self) -> None:
        """End it, from any thread: a ``next`` that waits returns."""


class Lease(Protocol):
    """An exclusive lock on a name. Leaving the ``with`` block releases it."""

    @property
    def lost(self) -> bool:
        """Whether somebody else has it: nothing more may be started."""

    @property
    def unsure(self) -> bool:
        """Whether somebody else may have it by now: nothing may be started until it is renewed, or ``lost``."""

    def __enter__(self) -> Lease: ...

    def __exit__(self, *exc: object) -> None: ...


class ResourceStore(Protocol):
    """Resources: the eight kinds of ``doslab.io/v1`` and ``Event`` (wire format 4.1)."""

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        """All resources of a kind in all namespaces, sorted by namespace and name; to be read only.

        Parts that are equal in several of them may be one object.
        """

    def get(self, id: ResourceId) -> Resource | None:
        """A copy of a resource; None if there is none."""

    def create(self, resource: Resource) -> Resource:
        """Store a new resource; returns it with uid, creationTimestamp and resourceVersion.

        Raises ``AlreadyExists``.
        """

    def update(self, resource: Resource) -> Resource:
        """Replace a resource whole. Its ``metadata.resourceVersion`` must be the stored one.

        Raises ``Conflict`` when it is not (or absent), ``NotFound``.
        """

    def delete(self, id: ResourceId, *, version: str | None = None) -> None:
        """Remove a resource, if ``version`` is given only that one. Raises ``NotFound``, ``Conflict``."""

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> Watch:
        """Changes later than version ``since`` of the given kinds."""

    def identity(self) -> str:
        """What tells this cluster from every other, however it is reached; never empty, no secret.

        Raises ``Forbidden`` for who may not read it.
        """

    def silence(self, timeout: float) -> str:
        """Why the cluster does not answer within so many seconds, asked once; empty if it does."""


class JournalStore(Protocol):
    """The journal of each stack: entries in the order in which they were written (``model.journal``)."""

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        """Append one entry (JSON values) to the stack's journal; durable when it returns."""

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        """The stack's journal, oldest first; of its end only ``newest`` entries, if given."""

    def unfinished(self, stack: str) -> Entries:
        """The journal of the stack's last run, oldest first; nothing if that run came to its end."""

    def shorten(self, stack: str, *, newest: int) -> None:
        """Forget what is in the stack's journal before its ``newest`` entries, or somewhat more of them.

        Kept are the last run, and entries with a ``request``: for as long as an Operation is described, they tell
        that it was run.
        """


class LeaseStore(Protocol):
    """Leases: exclusive locks on names."""

    def lease(self, name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> Lease:
        """Acquire the exclusive lock on a name (of a stack, or of the node of an agent) until it is released.

        ``holder`` tells people who it is; ``annotation`` is what others read with ``lease_annotations``. Who dies
        gives it back as well, sooner or later. Raises ``Busy`` when another still has it after ``wait`` seconds.
        """

    def look(self, name: str) -> None:
        """Look at a lease that another may have, to know how long it is not renewed once it is wanted.

        Who will need several leases of one holder looks at all of them, and waits for each only once.
        """

    def lease_annotations(self, prefix: str) -> Collection[str]:
        """The annotations of the leases that somebody holds, of those whose name begins with ``prefix``.

        Raises ``Forbidden`` for who may not list leases.
        """


class Cluster(ResourceStore, JournalStore, LeaseStore, SecretStore, Protocol):
    """All four parts; the secrets are ``model.secret.SecretStore``."""

    def close(self) -> None:
        """Close files and connections. May be called twice."""
