"""The embedded cluster: resources, journals and the simulator's hosts in one SQLite file.

Several processes and many threads may use one file at once. A deleted resource leaves a tombstone, so
that one query tells a watch everything later than a version. Every write survives the death of the
process that made it; a power cut may take the last moments with it, but not the file's consistency.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from reconciler.clusters.composed import ComposedCluster
from reconciler.clusters.local.database import MEMORY, Database, open_database
from reconciler.clusters.local.journal import LocalJournal
from reconciler.clusters.local.key_value import KeyValueStore, LocalSecrets
from reconciler.clusters.local.leases import LocalLeases
from reconciler.clusters.local.resources import LocalResources
from reconciler.model.problem import Forbidden

DEFAULT_PATH = Path(".reconcile/cluster.db")


class LocalCluster(ComposedCluster):
    """A ``Cluster`` in a file, made when it does not exist. Its threads share one connection.

    ``keep_tombstones`` and ``keep_events`` are how many deleted resources and Events are kept at least. Raises
    ``InvalidInput`` for a file that cannot be used, ``Unavailable`` for one that is busy.
    """

    def __init__(
        self,
        path: Path | str = DEFAULT_PATH,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep_tombstones: int = 20_000,
        keep_events: int = 50_000,
    ) -> None:
        self.path = str(path)
        self._now = now
        self._database = Database(open_database(self.path))
        keep = {"tombstones": keep_tombstones, "events": keep_events}
        super().__init__(
            LocalResources(self._database, now, keep),
            LocalJournal(self._database),
            LocalLeases(self.path, self._database.lose),
            LocalSecrets(self._database),
        )

    def copy(self) -> LocalCluster:
        """The same in memory, with the same identity: what is written to it stays there."""
        with suppress(Forbidden):  # of a file that cannot be written, a copy can still be asked what it holds
            self.identity()  # drawn before it is copied
        other = LocalCluster(MEMORY, now=self._now)
        with self._database.querying() as source, other._database.querying() as target:
            source.backup(target)
        return other

    def world(self) -> KeyValueStore:
        """What the simulator's hosts are like, kept beside the resources."""
        return KeyValueStore(self._database)

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent. Watches that wait are woken and raise ``ClusterError``."""
        self._database.close()
