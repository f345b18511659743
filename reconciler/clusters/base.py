"""The seam to the API: what a cluster must do, and nothing else.

Resources are wire dictionaries. ``resourceVersion`` is opaque text; every write makes a new one. An
implementation maps its own failures onto the exceptions of ``problem.py`` and is proved by the cluster
contract in ``tests/contracts``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias

from reconciler.model.resource import Resource, ResourceId

Entries: TypeAlias = list[dict[str, Any]]  # inside the protocol, `list` is its method


class Listing(NamedTuple):
    """What exists of a kind, and the version from which a watch sees everything later (``earliest``)."""

    items: list[Resource]
    version: str


def earliest(versions: Iterable[str]) -> str:
    """The version from which a watch misses nothing that is later than any of these; "0" without any.

    Versions of one cluster are whole numbers that grow; that of a kind which is not served is empty.
    """
    return min((version for version in versions if version), key=lambda text: (len(text), text), default="0")


class Movement(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Notice(NamedTuple):
    """One movement a watch saw. A hint: several writes may arrive as one, the newest."""

    movement: Movement
    resource: Resource


class Watch(Protocol):
    def next(self, timeout: float) -> Sequence[Notice]:
        """Wait up to ``timeout`` seconds; what moved since the last call, oldest first, or nothing.

        Raises ``Expired`` when the cluster no longer keeps what lies between: list again.
        """

    @property
    def version(self) -> str:
        """The version up to which ``next`` has given everything: another watch may go on from it."""

    def close(self) -> None: ...


class Lease(Protocol):
    """The right to be the only one who acts under a name. Leaving the ``with`` block gives it back."""

    @property
    def lost(self) -> bool:
        """Whether somebody else may have it by now: start nothing more."""

    def __enter__(self) -> Lease: ...

    def __exit__(self, *exc: object) -> None: ...


RUN_BEGINS, RUN_ENDS = "run", "ended"  # phases of journal entries that stand around those of one run
AROUND = frozenset({RUN_BEGINS, RUN_ENDS})
RUN_STOPS = "stopped"  # instead of the end where steps were left: the run still counts as unfinished


class Cluster(Protocol):
    """Kinds are the eight of ``doslab.io/v1`` and ``Event`` (wire format 4.1)."""

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        """All resources of a kind in all namespaces, sorted by namespace and name."""

    def get(self, id: ResourceId) -> Resource | None: ...

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
        """Movements later than version ``since`` of the given kinds."""

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

    def lease(self, name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> Lease:
        """Be the only one who acts under a name (of a stack, of an agent's node) until it is given back.

        ``holder`` tells people who it is; ``annotation`` is what others read with ``lease_annotations``. Who dies
        gives it back as well, sooner or later. Raises ``Busy`` when another still has it after ``wait`` seconds.
        """

    def lease_annotations(self, prefix: str) -> Collection[str]:
        """The annotations of the leases that somebody holds, of those whose name begins with ``prefix``.

        Raises ``Forbidden`` for who may not list leases.
        """

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a Kubernetes Secret (base64); None if there is none, or no such thing here."""

    def digest_key(self) -> bytes:
        """A random key of this cluster, made when first asked for; what digests of secrets are keyed with."""

    def close(self) -> None: ...
